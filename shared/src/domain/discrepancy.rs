//! The discrepancies that an audit finds, and whether a repair of the wallet corrects them.

use std::{collections::BTreeSet, fmt};

use super::{Credits, OrderNo, Timestamp, Totals, TransNo, TransType};

/// How far a wallet's version may be ahead of the clock, in milliseconds. Clocks differ by
/// far less than this hour.
const VERSION_AHEAD_MAX_MILLIS: i64 = 3_600_000;

pub(super) fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    now.plus_millis(VERSION_AHEAD_MAX_MILLIS) < time
}

/// A difference that an audit found in a user's items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discrepancy {
    /// The partition key is not a valid `user_uuid`.
    InvalidUser,
    /// An unreadable item: its key and the reason.
    UnreadableItem(String),
    /// The wallet is unreadable, or has attributes that the ledger does not write: the reason.
    WalletUnreadable(String),
    /// An item of a newer format than this version reads: its key and the format.
    NewerFormat(String),
    /// The key of a record does not match its content.
    MisplacedRecord(TransNo),
    /// There are records, but no wallet.
    WalletMissing,
    /// There are later records than the wallet's version.
    WalletBehind,
    /// The wallet's version is more than an hour ahead of the clock.
    VersionAhead(Timestamp),
    /// The last change of a record is more than an hour ahead of the clock. No valid version
    /// can follow it.
    RecordsAhead(Timestamp),
    /// A charge took from a pack whose grant does not exist.
    GrantMissing(TransNo),
    /// The copy of a grant in a charge differs from the grant.
    GrantDiffers(TransNo),
    /// Records took more from a pack than was granted, or returned more than was taken: the
    /// credits taken and granted.
    PackOverdrawn(TransNo, i128, Credits),
    /// A pack of the wallet has no record.
    PackUnknown(TransNo),
    /// The copy of a grant in the wallet differs from the grant.
    PackDiffers(TransNo),
    /// The remaining credits of a pack: by the wallet, by the records.
    PackBalance(TransNo, i128, i128),
    /// The sums of a trans_type: by the wallet, by the records.
    TotalsMismatch(TransType, Totals, Totals),
    /// There are charges with generation and key, but [`Wallet::has_keyed_charges`] is false.
    ///
    /// [`Wallet::has_keyed_charges`]: super::Wallet::has_keyed_charges
    KeyedChargesFlag,
    /// The debts differ. Their sums: by the wallet, by the records.
    DebtMismatch(Credits, Credits),
    /// The revoked credits: by the wallet, by the records.
    RevokedMismatch(i128, i128),
    /// The shortfall of a grant: by the wallet, by the records.
    ShortfallMismatch(TransNo, i128, i128),
    /// The grant of a revoked order, whose order has no item.
    OrderMissing(TransNo),
    /// The grant of a paid order, whose order has another user or none.
    OrderOwner(TransNo),
    /// The revoked credits of a paid order: its grant, by the statements, by the grant's record.
    OrderRevoked(TransNo, Credits, Credits),
    /// An order has a user, and the user has no grant of it.
    OrderWithoutGrant(OrderNo),
    /// The number of fences: by the wallet, by the records.
    FenceCount(u64, u64),
    /// The sum of the records of a trans_type exceeds [`Credits::TOTAL_MAX`].
    TotalOverflow(TransType),
    /// The entry of the timeline index is missing or differs from the record.
    TimelineIndex(TransNo),
    /// The charge is missing in the generation index.
    GenerationIndex(TransNo),
}

impl Discrepancy {
    /// Whether the wallet alone is wrong, so that it can be computed from the records. If
    /// the wallet counts more records than exist, records are lost, and the wallet is the
    /// only evidence.
    pub fn is_repairable(&self) -> bool {
        match self {
            Discrepancy::WalletUnreadable(_)
            | Discrepancy::WalletMissing
            | Discrepancy::WalletBehind
            | Discrepancy::VersionAhead(_)
            | Discrepancy::PackUnknown(_)
            | Discrepancy::PackDiffers(_)
            | Discrepancy::PackBalance(..)
            | Discrepancy::DebtMismatch(..)
            | Discrepancy::RevokedMismatch(..)
            | Discrepancy::ShortfallMismatch(..)
            | Discrepancy::KeyedChargesFlag => true,
            Discrepancy::TotalsMismatch(_, by_wallet, by_records) => {
                by_wallet.created.count <= by_records.created.count
                    && by_wallet.voided.count <= by_records.voided.count
            }
            Discrepancy::FenceCount(by_wallet, by_records) => by_wallet <= by_records,
            Discrepancy::InvalidUser
            | Discrepancy::UnreadableItem(_)
            | Discrepancy::NewerFormat(_)
            | Discrepancy::MisplacedRecord(_)
            | Discrepancy::RecordsAhead(_)
            | Discrepancy::GrantMissing(_)
            | Discrepancy::GrantDiffers(_)
            | Discrepancy::PackOverdrawn(..)
            | Discrepancy::TotalOverflow(_)
            | Discrepancy::OrderMissing(_)
            | Discrepancy::OrderOwner(_)
            | Discrepancy::OrderRevoked(..)
            | Discrepancy::OrderWithoutGrant(_)
            | Discrepancy::TimelineIndex(_)
            | Discrepancy::GenerationIndex(_) => false,
        }
    }
}

/// The discrepancies of a user: a list of the first, and the number of the others, so that
/// millions of them fit the memory of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discrepancies {
    listed: BTreeSet<Discrepancy>,
    unlisted: u64,
    has_unrepairable: bool,
}

impl Discrepancies {
    /// The largest number of listed discrepancies.
    pub const LISTED_MAX: usize = 100;

    /// Adds a discrepancy. If the list is full, the greatest one is only counted.
    pub fn insert(&mut self, discrepancy: Discrepancy) {
        self.has_unrepairable |= !discrepancy.is_repairable();
        self.listed.insert(discrepancy);
        if self.listed.len() > Self::LISTED_MAX {
            self.listed.pop_last();
            self.unlisted += 1;
        }
    }

    /// Counts discrepancies that a repair of the wallet does not correct.
    pub fn insert_unlisted(&mut self, count: u64) {
        self.has_unrepairable |= count > 0;
        self.unlisted += count;
    }

    /// The listed discrepancies, in order.
    pub fn listed(&self) -> impl Iterator<Item = &Discrepancy> {
        self.listed.iter()
    }

    /// The number of discrepancies that are not listed. One that several records show may
    /// count several times.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// The number of all discrepancies.
    pub fn count(&self) -> u64 {
        self.listed.len() as u64 + self.unlisted
    }

    /// Whether there is no discrepancy.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Whether there is a discrepancy, and a repair of the wallet corrects all.
    pub fn is_repairable(&self) -> bool {
        !self.is_empty() && !self.has_unrepairable
    }
}

impl Extend<Discrepancy> for Discrepancies {
    fn extend<All: IntoIterator<Item = Discrepancy>>(&mut self, all: All) {
        all.into_iter().for_each(|discrepancy| self.insert(discrepancy));
    }
}

impl From<Discrepancy> for Discrepancies {
    fn from(discrepancy: Discrepancy) -> Discrepancies {
        let mut all = Discrepancies::default();
        all.insert(discrepancy);
        all
    }
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Discrepancy::InvalidUser => f.write_str("the partition key is not a valid user_uuid"),
            Discrepancy::UnreadableItem(reason)
            | Discrepancy::WalletUnreadable(reason)
            | Discrepancy::NewerFormat(reason) => f.write_str(reason),
            Discrepancy::MisplacedRecord(record) => {
                write!(f, "record {record} is under the key of another record")
            }
            Discrepancy::WalletMissing => f.write_str("there are records and no wallet"),
            Discrepancy::WalletBehind => f.write_str("there are records that are later than the wallet"),
            Discrepancy::VersionAhead(version) => {
                write!(f, "the wallet's version {version} is more than an hour ahead of the clock")
            }
            Discrepancy::RecordsAhead(latest) => {
                write!(f, "the last change, of {latest}, is more than an hour ahead of the clock")
            }
            Discrepancy::GrantMissing(pack) => {
                write!(f, "pack {pack} was charged and has no record of its grant")
            }
            Discrepancy::GrantDiffers(pack) => {
                write!(f, "pack {pack} differs between a charge and its grant's record")
            }
            Discrepancy::PackOverdrawn(pack, taken, granted) => {
                write!(f, "pack {pack} was granted {granted}, and the records took {taken} from it")
            }
            Discrepancy::PackUnknown(pack) => write!(f, "pack {pack} is in the wallet and in no record"),
            Discrepancy::PackDiffers(pack) => {
                write!(f, "pack {pack} differs between the wallet and its grant's record")
            }
            Discrepancy::PackBalance(pack, by_wallet, by_records) => {
                write!(f, "pack {pack} has {by_wallet} left by the wallet and {by_records} by the records")
            }
            Discrepancy::TotalsMismatch(trans_type, by_wallet, by_records) => write!(
                f,
                "the sums of {trans_type} are {} by the wallet and {} by the records",
                describe(by_wallet),
                describe(by_records)
            ),
            Discrepancy::KeyedChargesFlag => {
                f.write_str("the wallet lacks the flag of charges with generation and key")
            }
            Discrepancy::DebtMismatch(by_wallet, by_records) => {
                write!(f, "the debts are {by_wallet} by the wallet and {by_records} by the records")
            }
            Discrepancy::RevokedMismatch(by_wallet, by_records) => {
                write!(f, "{by_wallet} credits are revoked by the wallet and {by_records} by the records")
            }
            Discrepancy::ShortfallMismatch(grant, by_wallet, by_records) => {
                write!(
                    f,
                    "the shortfall of {grant} is {by_wallet} by the wallet and {by_records} by the records"
                )
            }
            Discrepancy::OrderMissing(grant) => write!(f, "the order of grant {grant} has no item"),
            Discrepancy::OrderOwner(grant) => {
                write!(f, "the order of grant {grant} has another user or none")
            }
            Discrepancy::OrderRevoked(grant, by_order, by_record) => write!(
                f,
                "{by_order} credits of grant {grant} are revoked by its order and {by_record} by its record"
            ),
            Discrepancy::OrderWithoutGrant(order_no) => {
                write!(f, "order {order_no} has a user, and the user has no grant of it")
            }
            Discrepancy::FenceCount(by_wallet, by_records) => {
                write!(f, "there are {by_wallet} fences by the wallet and {by_records} by the records")
            }
            Discrepancy::TotalOverflow(trans_type) => {
                write!(f, "the sum of the records of {trans_type} is more than 2^53-1")
            }
            Discrepancy::TimelineIndex(record) => {
                write!(f, "record {record} is missing or different in the timeline index")
            }
            Discrepancy::GenerationIndex(record) => {
                write!(f, "record {record} is missing in the generation index")
            }
        }
    }
}

fn describe(Totals { created, voided }: &Totals) -> String {
    format!(
        "{} credits of {} records, {} of {} voided",
        created.credits.as_u64(),
        created.count,
        voided.credits.as_u64(),
        voided.count
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_discrepancies_are_counted_and_still_prevent_a_repair() {
        let max = Discrepancies::LISTED_MAX as u64;
        for (repairable, unrepairable, unlisted) in
            [(0, 0, 0), (5, 0, 0), (max, 0, 0), (max + 7, 0, 7), (0, 3, 0), (max, 3, 3), (max, max, max)]
        {
            let mut all = Discrepancies::default();
            all.extend((0..repairable).map(|nth| Discrepancy::FenceCount(0, nth + 1)));
            all.extend((0..unrepairable).map(|nth| Discrepancy::FenceCount(nth + 2, 1)));
            assert_eq!((all.count(), all.unlisted()), (repairable + unrepairable, unlisted));
            assert_eq!(all.listed().count() as u64, all.count() - unlisted);
            assert_eq!(all.is_repairable(), repairable > 0 && unrepairable == 0);
        }
        let mut all = Discrepancies::from(Discrepancy::WalletMissing);
        all.insert_unlisted(2);
        assert!(!all.is_repairable() && all.count() == 3);
    }
}
