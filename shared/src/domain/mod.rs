//! The rules of the ledger as pure functions, without I/O, clock or randomness: time and
//! identity are arguments.

mod audit;
mod command;
mod credits;
mod discrepancy;
mod error;
mod id;
mod metadata;
mod order;
mod reason;
mod record;
mod summary;
mod timeline;
mod timestamp;
mod trans_no;
mod trans_type;
mod wallet;

pub use audit::WalletRebuild;
pub use command::{
    Block, ChargeRequest, Command, GrantRequest, ImportOutcome, ImportedHistory, ImportedRecord, OldRows,
    Plan, ReadRequest, RecordChange, RecordLookup, Refund, RefundOutcome, RefundRequest, RefundResult,
    RestoredCredits, Step, TransactionLimits, Unblock, View, VoidedCharge, WriteOutcome,
};
pub use credits::Credits;
pub use discrepancy::{Discrepancies, Discrepancy};
pub use error::{LedgerError, LedgerLimit};
pub use id::{GenerationId, Id, IdempotencyKey, OrderNo, UserId};
pub use metadata::Metadata;
pub use order::{Order, OrderChange};
pub use reason::Reason;
pub use record::{
    Allocation, Change, ChangeOrigin, Charge, Effect, Grant, GrantRecord, Record, RecordKey, Void,
};
pub use summary::Summary;
pub use timeline::Entry;
pub use timestamp::Timestamp;
pub use trans_no::{InvocationId, TransNo};
pub use trans_type::{ChargeType, GrantType, TransType};
pub use wallet::{CreditSum, Pack, Totals, Wallet};
