//! The only user of DynamoDB: the table, its keys and items, and the calls. Each call is one
//! round trip. Retries are decided in `ledger`.

mod attribute;
mod capacity;
mod connect;
mod error;
mod format;
mod holds;
mod key;
mod names;
mod old_rows;
mod order;
mod read;
mod record;
mod repair;
mod scan;
mod stored_item;
mod table;
mod wallet;
mod write;

pub use connect::{Connection, Store};
pub use error::StoreError;
pub use holds::HeldCharge;
pub use order::StoredOrder;
pub use read::{ChargeKey, IndexEdge, PageKey, RawWallet, StoredItem};
#[doc(hidden)]
pub use record::{from_record, to_record};
pub use repair::Repair;
pub use scan::{JsonItem, PutOutcome, ScanSegment};
pub use table::TABLE;
pub use wallet::{StoredWallet, UnknownAttributes};
#[doc(hidden)]
pub use wallet::{from_wallet, to_wallet};
pub use write::{Commit, Refusal, RequestToken, Transaction};
