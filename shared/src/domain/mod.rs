//! The rules, pure: no input or output, no clock, no randomness; time and
//! identity are arguments.

mod audit;
mod credits;
mod discrepancy;
mod error;
mod id;
mod record;
mod summary;
mod text;
mod time;
mod timeline;
mod trans_no;
mod trans_type;
mod wallet;

pub use audit::WalletRebuild;
pub use credits::Credits;
pub use discrepancy::{Discrepancies, Discrepancy, VERSION_AHEAD_MAX_MILLIS};
pub use error::{LedgerError, Limit};
pub use id::{GenerationUuid, Id, IdempotencyKey, OrderNo, UserUuid};
pub use record::{
    Allocation, Charge, ChargeRequest, Grant, GrantRequest, Record, RecordKey, RefundRequest, Void,
};
pub use summary::Summary;
pub use text::Reason;
pub use time::Timestamp;
pub use timeline::Entry;
pub use trans_no::{Nonce, TransNo};
pub use trans_type::{ChargeType, GrantType, TransType};
pub use wallet::{Pack, Returned, Tally, Totals, Wallet};
