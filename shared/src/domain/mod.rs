//! The rules, pure: no input or output, no clock, no randomness; time and
//! identity are arguments.

mod audit;
mod command;
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
pub use command::{
    ChargeRequest, Command, GrantRequest, ImportOutcome, ImportedHistory, ImportedRecord, Plan, Read,
    ReadRecord, RecordChange, Refund, RefundOutcome, RefundRequest, Refunded, RestoredCredits, Room, Step,
    View, VoidedCharge, Written,
};
pub use credits::Credits;
pub use discrepancy::{Discrepancies, Discrepancy};
pub use error::{LedgerError, Limit};
pub use id::{GenerationUuid, Id, IdempotencyKey, OrderNo, UserUuid};
pub use record::{Allocation, Author, Change, Charge, Effect, Grant, Record, RecordKey, Void};
pub use summary::Summary;
pub use text::Reason;
pub use time::Timestamp;
pub use timeline::Entry;
pub use trans_no::{Nonce, TransNo};
pub use trans_type::{ChargeType, GrantType, TransType};
pub use wallet::{Pack, Tally, Totals, Wallet};
