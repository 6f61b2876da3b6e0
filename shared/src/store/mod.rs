//! The only code that knows DynamoDB: the table, its keys and items, and the
//! calls. Each call is one round trip; whether to try again is the ledger's.

mod attribute;
mod connect;
mod error;
mod held;
mod item;
mod key;
mod read;
mod repair;
mod scan;
mod table;
mod units;
mod write;

pub use connect::{Connection, Store};
pub use error::StoreError;
#[doc(hidden)]
pub use item::{from_record, from_wallet, to_record, to_wallet};
pub use read::{ChargePlace, End, Held, KeptWallet, PageKey};
pub use repair::Repair;
pub use scan::{Part, Plain, Put};
pub use table::TABLE;
pub use write::{Commit, RecordStep, Transaction, WalletStep};
