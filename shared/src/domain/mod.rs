//! The rules of the ledger as pure functions, without I/O, clock or randomness: time and
//! identity are arguments.

mod audit;
mod command;
mod credits;
mod debt;
mod discrepancy;
mod error;
mod id;
mod metadata;
mod order;
mod outputs;
mod reason;
mod record;
mod revoked;
mod summary;
mod timeline;
mod timestamp;
mod trans_no;
mod trans_type;
mod wallet;

pub use audit::{OrderGrant, WalletRebuild};
pub use command::{
    Block, ChargeRequest, Command, Completion, CompletionOutcome, CompletionRequest, CompletionResult,
    ExpireHold, GrantRequest, ImportOutcome, ImportedHistory, ImportedRecord, OldRows, Overage, Plan,
    ReadRequest, RecordChange, RecordLookup, Refund, RefundOutcome, RefundRequest, RefundResult,
    RefundSource, RefundedCharge, RestoredCredits, Revoke, RevokeOutcome, RevokeRequest, RevokeResult,
    RevokedGrant, SettleRequest, SettleResult, ShortfallPolicy, Step, TransactionLimits, Unblock, View,
    WriteOutcome,
};
pub use credits::Credits;
pub use debt::{Debt, Debtor};
pub use discrepancy::{Discrepancies, Discrepancy};
pub use error::{LedgerError, LedgerLimit};
pub use id::{GenerationId, Id, IdempotencyKey, OrderNo, RevokeSource, UserId};
pub use metadata::Metadata;
pub use order::{Order, OrderAddress, OrderChange, RevokeStatement, RevokedAmount, StatementKey};
pub use outputs::{OutputSet, Outputs};
pub use reason::Reason;
pub use record::{
    Adjustment, AdjustmentKind, Allocation, Change, ChangeOrigin, Charge, ChargeState, Effect, Grant,
    GrantRecord, Record, RecordKey, RecordVersion, Revocation, RevocationKind, RevocationState, Settlement,
    ShortfallFill, Void,
};
pub use summary::Summary;
pub use timeline::Entry;
pub use timestamp::Timestamp;
pub use trans_no::{InvocationId, TransNo};
pub use trans_type::{ChargeType, GrantType, TransType};
pub use wallet::{CreditSum, Pack, Totals, Wallet};
