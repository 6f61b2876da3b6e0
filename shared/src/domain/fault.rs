use std::fmt;

use super::{Credits, Totals, TransNo, TransType};

/// What is wrong with a user's items.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
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
    Pack(TransNo, i128, i128),
    /// The sums of a trans_type: by the wallet, by the records.
    Totals(TransType, Totals, Totals),
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

impl Fault {
    /// Whether the wallet alone is wrong, so that the records say what it must be. A
    /// wallet that has counted more than there is, is the only one that still knows of
    /// what was lost.
    pub fn is_of_wallet(&self) -> bool {
        match self {
            Fault::WalletUnreadable(_)
            | Fault::WalletMissing
            | Fault::WalletBehind
            | Fault::PackUnknown(_)
            | Fault::PackDiffers(_)
            | Fault::Pack(..)
            | Fault::KeyedCharges => true,
            Fault::Totals(_, by_wallet, by_records) => {
                by_wallet.made.count <= by_records.made.count
                    && by_wallet.voided.count <= by_records.voided.count
            }
            Fault::Fences(by_wallet, by_records) => by_wallet <= by_records,
            Fault::NoUser
            | Fault::Unreadable(_)
            | Fault::Misplaced(_)
            | Fault::GrantMissing(_)
            | Fault::GrantDiffers(_)
            | Fault::Overdrawn(..)
            | Fault::TooMuch(_)
            | Fault::Timeline(_)
            | Fault::Generation(_) => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NoUser => f.write_str("this is no user_uuid that the ledger has written"),
            Fault::Unreadable(why) | Fault::WalletUnreadable(why) => f.write_str(why),
            Fault::Misplaced(record) => write!(f, "record {record} stands where another belongs"),
            Fault::WalletMissing => f.write_str("there are records and no wallet"),
            Fault::WalletBehind => f.write_str("there are records that are later than the wallet"),
            Fault::GrantMissing(pack) => write!(f, "pack {pack} was charged and has no record of its grant"),
            Fault::GrantDiffers(pack) => {
                write!(f, "pack {pack} is told otherwise by a charge than by its grant's record")
            }
            Fault::Overdrawn(pack, taken, granted) => {
                write!(f, "pack {pack} was granted {granted}, and the records took {taken} from it")
            }
            Fault::PackUnknown(pack) => write!(f, "pack {pack} is in the wallet and in no record"),
            Fault::PackDiffers(pack) => {
                write!(f, "pack {pack} is told otherwise by the wallet than by its grant's record")
            }
            Fault::Pack(pack, by_wallet, by_records) => {
                write!(f, "pack {pack} has {by_wallet} left by the wallet and {by_records} by the records")
            }
            Fault::Totals(of, by_wallet, by_records) => write!(
                f,
                "the sums of {of} are {} by the wallet and {} by the records",
                told(by_wallet),
                told(by_records)
            ),
            Fault::KeyedCharges => f.write_str("the wallet does not know of charges with keys"),
            Fault::Fences(by_wallet, by_records) => {
                write!(f, "there are {by_wallet} fences by the wallet and {by_records} by the records")
            }
            Fault::TooMuch(of) => write!(f, "the records of {of} sum up to more than 2^53-1"),
            Fault::Timeline(record) => write!(f, "record {record} is not the same in the timeline's index"),
            Fault::Generation(record) => write!(f, "record {record} is not in the generations' index"),
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
