use std::fmt;

use super::{Credits, Totals, TransNo, TransType};

/// What is wrong with a user's items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Discrepancy {
    /// The ledger writes under no such `user_uuid`.
    NoUser,
    /// A record, or what is none of the ledger's items, cannot be read: its key, and why.
    Unreadable(String),
    /// The wallet cannot be read, or has more than was written: why.
    WalletUnreadable(String),
    /// A record stands where another one belongs.
    Misplaced(TransNo),
    /// There are records and no wallet.
    WalletMissing,
    /// There are records that are later than the wallet.
    WalletBehind,
    /// A pack was charged, and there is no record of its grant.
    GrantMissing(TransNo),
    /// A charge tells a grant otherwise than its record.
    GrantDiffers(TransNo),
    /// More was taken from a pack than was granted: the one, the other.
    Overdrawn(TransNo, u128, Credits),
    /// A pack is in the wallet, and no record tells of it.
    PackUnknown(TransNo),
    /// The wallet tells a grant otherwise than its record.
    PackDiffers(TransNo),
    /// What is left of a pack: by the wallet, by the records.
    PackBalance(TransNo, i128, i128),
    /// The sums of a trans_type: by the wallet, by the records.
    TotalsMismatch(TransType, Totals, Totals),
    /// The wallet does not know of charges with both a generation and a key.
    KeyedCharges,
    /// How many fences there are: by the wallet, by the records.
    Fences(u64, u64),
    /// The records of a trans_type sum up to more than any wallet may hold.
    TooMuch(TransType),
    /// The index of the timeline has not the record as it is.
    Timeline(TransNo),
    /// The index of generations has not the charge.
    Generation(TransNo),
}

impl Discrepancy {
    /// Whether the wallet alone is wrong, so that the records say what it must be. A
    /// wallet that has counted more than there is, is the only one that still knows of
    /// what was lost.
    pub fn is_repairable(&self) -> bool {
        match self {
            Discrepancy::WalletUnreadable(_)
            | Discrepancy::WalletMissing
            | Discrepancy::WalletBehind
            | Discrepancy::PackUnknown(_)
            | Discrepancy::PackDiffers(_)
            | Discrepancy::PackBalance(..)
            | Discrepancy::KeyedCharges => true,
            Discrepancy::TotalsMismatch(_, by_wallet, by_records) => {
                by_wallet.made.count <= by_records.made.count
                    && by_wallet.voided.count <= by_records.voided.count
            }
            Discrepancy::Fences(by_wallet, by_records) => by_wallet <= by_records,
            Discrepancy::NoUser
            | Discrepancy::Unreadable(_)
            | Discrepancy::Misplaced(_)
            | Discrepancy::GrantMissing(_)
            | Discrepancy::GrantDiffers(_)
            | Discrepancy::Overdrawn(..)
            | Discrepancy::TooMuch(_)
            | Discrepancy::Timeline(_)
            | Discrepancy::Generation(_) => false,
        }
    }
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Discrepancy::NoUser => f.write_str("this is no user_uuid that the ledger has written"),
            Discrepancy::Unreadable(why) | Discrepancy::WalletUnreadable(why) => f.write_str(why),
            Discrepancy::Misplaced(record) => write!(f, "record {record} stands where another belongs"),
            Discrepancy::WalletMissing => f.write_str("there are records and no wallet"),
            Discrepancy::WalletBehind => f.write_str("there are records that are later than the wallet"),
            Discrepancy::GrantMissing(pack) => {
                write!(f, "pack {pack} was charged and has no record of its grant")
            }
            Discrepancy::GrantDiffers(pack) => {
                write!(f, "pack {pack} is told otherwise by a charge than by its grant's record")
            }
            Discrepancy::Overdrawn(pack, taken, granted) => {
                write!(f, "pack {pack} was granted {granted}, and the records took {taken} from it")
            }
            Discrepancy::PackUnknown(pack) => write!(f, "pack {pack} is in the wallet and in no record"),
            Discrepancy::PackDiffers(pack) => {
                write!(f, "pack {pack} is told otherwise by the wallet than by its grant's record")
            }
            Discrepancy::PackBalance(pack, by_wallet, by_records) => {
                write!(f, "pack {pack} has {by_wallet} left by the wallet and {by_records} by the records")
            }
            Discrepancy::TotalsMismatch(of, by_wallet, by_records) => write!(
                f,
                "the sums of {of} are {} by the wallet and {} by the records",
                told(by_wallet),
                told(by_records)
            ),
            Discrepancy::KeyedCharges => f.write_str("the wallet does not know of charges with keys"),
            Discrepancy::Fences(by_wallet, by_records) => {
                write!(f, "there are {by_wallet} fences by the wallet and {by_records} by the records")
            }
            Discrepancy::TooMuch(of) => write!(f, "the records of {of} sum up to more than 2^53-1"),
            Discrepancy::Timeline(record) => {
                write!(f, "record {record} is not the same in the timeline's index")
            }
            Discrepancy::Generation(record) => write!(f, "record {record} is not in the generations' index"),
        }
    }
}

fn told(Totals { made, voided }: &Totals) -> String {
    format!(
        "{} credits of {} records, {} of {} voided",
        made.credits.get(),
        made.count,
        voided.credits.get(),
        voided.count
    )
}
