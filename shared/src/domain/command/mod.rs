//! Commands: the requests that move credits, one file each. A command decides by a [`View`];
//! `ledger::execute` reads, commits and retries for all of them.

mod address;
mod adjust;
mod block;
mod charge;
mod complete;
mod grant;
mod hold;
mod import;
mod refund;
mod revoke;
mod settle;
mod view;
mod void;

pub use block::{Block, Unblock};
pub use charge::ChargeRequest;
pub use complete::{Completion, CompletionOutcome, CompletionRequest, CompletionResult};
pub use grant::GrantRequest;
pub use hold::ExpireHold;
pub use import::{ImportOutcome, ImportedHistory, ImportedRecord, OldRows};
pub use refund::{Refund, RefundOutcome, RefundRequest, RefundResult, RefundSource, RefundedCharge};
pub use revoke::{Revoke, RevokeOutcome, RevokeRequest, RevokeResult, RevokedGrant, ShortfallPolicy};
pub use settle::{Overage, SettleRequest, SettleResult};
pub use view::{RecordLookup, TransactionLimits, View};
pub use void::RestoredCredits;

use super::{
    Adjustment, Credits, GenerationId, LedgerError, OrderChange, Record, RecordKey, RecordVersion,
    Revocation, Timestamp, UserId, Void, Wallet,
};

/// A request that moves credits.
///
/// ```
/// use scrip::domain::{
///     ChargeRequest, ChargeType, Command, Credits, InvocationId, ReadRequest, Step, Timestamp,
///     TransactionLimits, View,
/// };
/// # use uuid::Uuid;
///
/// let charge = ChargeRequest {
///     user: "user-1".to_owned().try_into()?,
///     trans_type: ChargeType::Chat,
///     credits: Credits::requested(8).expect("an amount in range"),
///     generation: Some("session-1".to_owned().try_into()?),
///     order_no: None,
///     key: None,
///     metadata: Default::default(),
///     outputs: None,
///     hold_millis: None,
/// };
/// let id = InvocationId::new(Uuid::from_u128(1));
/// let view = View::new(id, id, TransactionLimits { records: 99, bytes: 1_000_000 });
/// assert_eq!(charge.first_read(&view), ReadRequest::Wallet);
///
/// // The balance is 0. An earlier charge with this identity would still be a replay, so the
/// // command requests a snapshot before it rejects.
/// let now = Timestamp::parse("2026-01-31T00:00:00Z").expect("a valid time");
/// assert!(matches!(charge.next(&view, now), Ok(Step::Read(ReadRequest::Snapshot(_)))));
/// # Ok::<(), &'static str>(())
/// ```
pub trait Command {
    /// The result of the command.
    type Answer;

    /// The owner of the wallet.
    fn user(&self) -> &UserId;

    /// The read before the first decision.
    fn first_read(&self, view: &View) -> ReadRequest;

    /// Decides the next step. The same view and time give the same step.
    ///
    /// # Errors
    /// The rejection, if no other read could change it.
    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError>;

    /// The result, from the view for which [`Command::next`] returned [`Step::Done`].
    ///
    /// # Errors
    /// `Internal` if the view contradicts itself.
    fn answer(&self, view: View, now: Timestamp) -> Result<Self::Answer, LedgerError>;
}

/// The next step of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Commit the plan, then call [`Command::next`] again.
    Commit(Plan),
    /// ReadRequest, then call [`Command::next`] again.
    Read(ReadRequest),
    /// The command is complete.
    Done,
}

/// A read that a command requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadRequest {
    /// The wallet.
    Wallet,
    /// The wallet and one record, with two independent reads. A concurrent transaction may
    /// be visible in only one of them.
    WalletAndRecord(RecordKey),
    /// All charges and fences of a generation. They include every change up to the version
    /// of the wallet in the view, except a transaction that DynamoDB is still applying.
    Generation(GenerationId),
    /// The wallet and these records in one transaction, at twice the read units.
    Snapshot(Vec<RecordKey>),
}

/// The changes of one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The next wallet; absent if the wallet does not change.
    pub wallet: Option<Wallet>,
    /// The changes of records.
    pub changes: Vec<RecordChange>,
    /// The changes of orders.
    pub orders: Vec<OrderChange>,
}

/// The change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// Creates a record, if no item has its key.
    Create(RecordKey, Record),
    /// Creates a record of migrated history, and stores its rows of the old table as text. The
    /// rows of all records of one plan are stored in one item.
    Import(RecordKey, Record, String),
    /// Adjusts a live charge of this version.
    Adjust(RecordKey, RecordVersion, Adjustment),
    /// Voids a live charge of this version.
    Void(RecordKey, RecordVersion, Void),
    /// Revokes credits of a grant of this version, or repays its debt. With the revoked credits
    /// after it, if they change.
    Revoke(RecordKey, RecordVersion, Revocation, Option<Credits>),
    /// Notes a late success on a voided charge. The wallet does not change.
    NoteSuccess(RecordKey, Timestamp),
}

impl RecordChange {
    /// The record's key.
    pub fn key(&self) -> &RecordKey {
        let (RecordChange::Create(key, _)
        | RecordChange::Import(key, ..)
        | RecordChange::Adjust(key, ..)
        | RecordChange::Void(key, ..)
        | RecordChange::Revoke(key, ..)
        | RecordChange::NoteSuccess(key, _)) = self;
        key
    }

    /// The record's key, and the rows of the old table that it was made of.
    pub fn old_rows(&self) -> Option<(&RecordKey, &str)> {
        match self {
            RecordChange::Import(key, _, rows) => Some((key, rows)),
            _ => None,
        }
    }
}

/// The result of a grant or a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOutcome<T> {
    /// The record of this call, or of an earlier call with the same identity.
    pub record: T,
    /// The balance after the call.
    pub balance: Credits,
    /// Whether an earlier call wrote the record.
    pub replayed: bool,
}

/// Rejects a request by the wallet. If an earlier call may have written a record at the key,
/// the rejection needs a snapshot of both, because a replay precedes every rejection.
fn reject_or_reread(error: LedgerError, key: &RecordKey, view: &View) -> Result<Step, LedgerError> {
    let is_own = matches!(
        key,
        RecordKey::UnkeyedGrant(id) | RecordKey::UnkeyedCharge(id) if *id == view.invocation
    );
    if is_own || view.is_snapshot_of([key]) {
        return Err(error);
    }
    Ok(Step::Read(ReadRequest::Snapshot(vec![key.clone()])))
}

#[cfg(test)]
mod tests;
