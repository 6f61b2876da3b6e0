//! What can be wrong with a user's items, and whether a repair of the wallet corrects it.

use std::{collections::BTreeSet, fmt};

use super::{Credits, Timestamp, Totals, TransNo, TransType};

/// How far a wallet's version may be ahead of the clock, in milliseconds: an hour, far more
/// than clocks differ.
const VERSION_AHEAD_MAX_MILLIS: i64 = 3_600_000;

/// Whether a moment is further ahead of the clock than clocks differ.
pub(super) fn is_ahead(moment: Timestamp, now: Timestamp) -> bool {
    now.plus_millis(VERSION_AHEAD_MAX_MILLIS) < moment
}

/// One thing that is wrong with a user's items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discrepancy {
    /// The ledger never writes such a `user_uuid`.
    InvalidUser,
    /// An item that is no readable record: its key, and why.
    UnreadableItem(String),
    /// The wallet cannot be read, or has attributes that the ledger does not write: why.
    WalletUnreadable(String),
    /// An item of a newer format than this version reads: its key, and which.
    NewerFormat(String),
    /// The key of a record is that of another one.
    MisplacedRecord(TransNo),
    /// There are records and no wallet.
    WalletMissing,
    /// There are records that are later than the wallet.
    WalletBehind,
    /// The wallet's version is more than an hour ahead of the clock.
    VersionAhead(Timestamp),
    /// The last change that a record shows is that far ahead, so that no version that
    /// follows it can be set back.
    RecordsAhead(Timestamp),
    /// A pack was charged, and there is no record of its grant.
    GrantMissing(TransNo),
    /// A charge has another copy of the grant than the grant's record.
    GrantDiffers(TransNo),
    /// Charges took more from a pack than was granted: what they took, what was granted.
    PackOverdrawn(TransNo, u128, Credits),
    /// A pack is in the wallet and in no record.
    PackUnknown(TransNo),
    /// The wallet has another copy of the grant than the grant's record.
    PackDiffers(TransNo),
    /// What is left of a pack: by the wallet, by the records.
    PackBalance(TransNo, i128, i128),
    /// The sums of a trans_type: by the wallet, by the records.
    TotalsMismatch(TransType, Totals, Totals),
    /// There are charges with both a generation and a key, and the wallet has no mark of it.
    KeyedChargesFlag,
    /// How many fences there are: by the wallet, by the records.
    FenceCount(u64, u64),
    /// The records of a trans_type sum up to more than any wallet may hold.
    TotalOverflow(TransType),
    /// The timeline index does not have the record as it is.
    TimelineIndex(TransNo),
    /// The generation index does not have the charge.
    GenerationIndex(TransNo),
}

impl Discrepancy {
    /// Whether the wallet alone is wrong, so that the records give what it must be. If the
    /// wallet counts more than exists, records are lost, and only the wallet shows it.
    pub fn is_repairable(&self) -> bool {
        match self {
            Discrepancy::WalletUnreadable(_)
            | Discrepancy::WalletMissing
            | Discrepancy::WalletBehind
            | Discrepancy::VersionAhead(_)
            | Discrepancy::PackUnknown(_)
            | Discrepancy::PackDiffers(_)
            | Discrepancy::PackBalance(..)
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
            | Discrepancy::TimelineIndex(_)
            | Discrepancy::GenerationIndex(_) => false,
        }
    }
}

/// All discrepancies of a user: the first ones by name, and a count of the others, so that a
/// user with millions of damaged records fits the memory of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discrepancies {
    listed: BTreeSet<Discrepancy>,
    unlisted: u64,
    has_unrepairable: bool,
}

impl Discrepancies {
    /// How many discrepancies have names.
    pub const LISTED_MAX: usize = 100;

    /// Adds one. Where there are too many, the greatest one loses its name.
    pub fn insert(&mut self, discrepancy: Discrepancy) {
        self.has_unrepairable |= !discrepancy.is_repairable();
        self.listed.insert(discrepancy);
        if self.listed.len() > Self::LISTED_MAX {
            self.listed.pop_last();
            self.unlisted += 1;
        }
    }

    /// Adds discrepancies of records that a repair of the wallet does not correct.
    pub fn insert_unlisted(&mut self, count: u64) {
        self.has_unrepairable |= count > 0;
        self.unlisted += count;
    }

    /// Those with names, in order.
    pub fn listed(&self) -> impl Iterator<Item = &Discrepancy> {
        self.listed.iter()
    }

    /// How many there are besides. One that several records show may count several times.
    pub fn unlisted(&self) -> u64 {
        self.unlisted
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.listed.len() as u64 + self.unlisted
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// Whether there are some, and a repair of the wallet corrects all.
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
            Discrepancy::InvalidUser => f.write_str("this is no user_uuid that the ledger has written"),
            Discrepancy::UnreadableItem(why)
            | Discrepancy::WalletUnreadable(why)
            | Discrepancy::NewerFormat(why) => f.write_str(why),
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
            Discrepancy::TotalsMismatch(of, by_wallet, by_records) => write!(
                f,
                "the sums of {of} are {} by the wallet and {} by the records",
                describe(by_wallet),
                describe(by_records)
            ),
            Discrepancy::KeyedChargesFlag => f.write_str("the wallet does not know of charges with keys"),
            Discrepancy::FenceCount(by_wallet, by_records) => {
                write!(f, "there are {by_wallet} fences by the wallet and {by_records} by the records")
            }
            Discrepancy::TotalOverflow(of) => write!(f, "the records of {of} sum up to more than 2^53-1"),
            Discrepancy::TimelineIndex(record) => {
                write!(f, "record {record} is not the same in the timeline's index")
            }
            Discrepancy::GenerationIndex(record) => {
                write!(f, "record {record} is not in the generations' index")
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
    fn names_are_bounded_and_what_lost_its_name_still_forbids_a_repair() {
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
