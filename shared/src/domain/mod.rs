//! The rules, pure: no input or output, no clock, no randomness; time and
//! identity are arguments.

mod audit;
mod command;
mod credits;
mod error;
mod fault;
mod id;
mod record;
mod summary;
mod text;
mod time;
mod trans_no;
mod trans_type;
mod wallet;

pub use audit::Recount;
pub use command::{
    ChargeRequest, Command, GrantRequest, ImportOutcome, ImportedHistory, ImportedRecord, Plan, Read,
    ReadRecord, RecordChange, Refund, RefundOutcome, RefundRequest, Refunded, RestoredCredits, Room, Step,
    View, VoidedCharge, Written,
};
pub use credits::Credits;
pub use error::{LedgerError, Limit};
pub use fault::Fault;
pub use id::{GenerationUuid, Id, IdempotencyKey, OrderNo, UserUuid};
pub use record::{Allocation, Author, Change, Charge, Effect, Grant, Record, RecordKey, Void};
pub use summary::{Entry, Summary};
pub use text::Reason;
pub use time::Timestamp;
pub use trans_no::{Nonce, TransNo};
pub use trans_type::{ChargeType, GrantType, TransType};
pub use wallet::{Pack, Tally, Totals, Wallet};
