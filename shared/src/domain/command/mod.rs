//! Commands: every request that moves money, one file each. A command decides by what
//! was read; `ledger::execute` reads, commits and retries for all of them.

mod charge;
mod grant;
mod import;
mod refund;
mod view;

pub use charge::ChargeRequest;
pub use grant::GrantRequest;
pub use import::{ImportOutcome, ImportedHistory, ImportedRecord};
pub use refund::{Refund, RefundOutcome, RefundRequest, RefundResult, RestoredCredits, VoidedCharge};
pub use view::{RecordLookup, TransactionLimits, View};

use super::{Credits, GenerationId, LedgerError, Record, RecordKey, Timestamp, UserId, Wallet};

/// A request that moves money.
pub trait Command {
    /// What it returns.
    type Answer;

    /// Whose wallet it is about.
    fn user(&self) -> &UserId;

    /// What the first decision needs.
    fn first_read(&self, view: &View) -> ReadRequest;

    /// Decides by what was read. It is pure: the same view and time give the same step.
    ///
    /// # Errors
    /// The refusal, if nothing that could be read would change it.
    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError>;

    /// The answer, from the view for which [`Command::next`] returned [`Step::Done`].
    ///
    /// # Errors
    /// `Internal` when the view contradicts itself.
    fn answer(&self, view: View, now: Timestamp) -> Result<Self::Answer, LedgerError>;
}

/// What a command does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Commit this, then decide again.
    Commit(Plan),
    /// Read this, then decide again.
    Read(ReadRequest),
    /// Nothing is left to do.
    Done,
}

/// What to read, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadRequest {
    /// The wallet.
    Wallet,
    /// The wallet and one record, side by side. A transaction may show in one of them
    /// and not yet in the other.
    WalletAndRecord(RecordKey),
    /// All charges and fences of a generation. They include every change up to the
    /// version of the wallet in the view, but for a transaction that DynamoDB is still
    /// applying.
    Generation(GenerationId),
    /// The wallet and these records as of one moment. It costs twice the read units.
    Snapshot(Vec<RecordKey>),
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The wallet after it; nothing where the wallet stays as it is.
    pub wallet: Option<Wallet>,
    /// The records that it writes.
    pub changes: Vec<RecordChange>,
}

/// One record of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// A new record, if its place is free.
    Create(RecordKey, Record),
    /// The same with the rows of the old table that it was made of, as text.
    Import(RecordKey, Record, String),
    /// A charge as it is after its void, if it was live.
    Void(RecordKey, Record),
}

impl RecordChange {
    /// The record's key, and the record after the change.
    pub fn after(&self) -> (&RecordKey, &Record) {
        let (RecordChange::Create(key, record)
        | RecordChange::Import(key, record, _)
        | RecordChange::Void(key, record)) = self;
        (key, record)
    }
}

/// A record that was written by this call, or by an earlier equal one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOutcome<T> {
    /// The record.
    pub record: T,
    /// The balance of now.
    pub balance: Credits,
    /// Whether an earlier call wrote it.
    pub replayed: bool,
}

/// A refusal that rests on the wallet, and on the absence of an earlier record in its place,
/// where there can be one.
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
