//! The command of a provider's success: settles charges at what they cost, or ends the hold of
//! a charge with outputs. On a voided charge it leaves a note.

use super::{
    Command, Plan, ReadRequest, RecordChange, Step, View,
    address::ChargeAddress,
    void::{LoadedCharge, reread_or_reject},
};
use crate::domain::{
    AdjustmentKind, Charge, Credits, GenerationId, IdempotencyKey, LedgerError, Settlement, Timestamp,
    TransNo, UserId,
};

/// The report of a provider that a generation succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletionRequest {
    /// The owner of the charges; looked up by the generation if absent.
    pub user: Option<UserId>,
    /// The generation.
    pub generation: GenerationId,
    /// The idempotency key of one charge; all charges of the generation if absent.
    pub key: Option<IdempotencyKey>,
    /// The identity of the one charge.
    pub trans_no: Option<TransNo>,
}

/// The command of a success: the request with its user.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// The owner of the charges.
    pub user: &'a UserId,
    /// The request.
    pub request: &'a CompletionRequest,
}

/// The outcome of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionOutcome {
    /// This call settled at least one charge, or ended its hold.
    Settled,
    /// Earlier calls settled all charges.
    AlreadySettled,
    /// All charges were voided before the success.
    LateSuccess,
    /// A refund preceded the charge.
    Fenced,
}

impl CompletionOutcome {
    /// The name in responses and metrics.
    pub fn name(self) -> &'static str {
        match self {
            CompletionOutcome::Settled => "settled",
            CompletionOutcome::AlreadySettled => "already_settled",
            CompletionOutcome::LateSuccess => "late_success",
            CompletionOutcome::Fenced => "fenced",
        }
    }
}

/// The result of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionResult {
    /// The outcome.
    pub outcome: CompletionOutcome,
    /// The credits of voided charges on which this call noted a late success.
    pub late_credits: Credits,
}

impl Command for Completion<'_> {
    type Answer = CompletionResult;

    fn user(&self) -> &UserId {
        self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::WalletAndRecord(self.address().record_key())
    }

    /// One charge a transaction: a generation rarely has several.
    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        let address = self.address();
        if let Some(read) = address.first_missing_read(view)? {
            return Ok(Step::Read(read));
        }
        if let Some(open) = address.charges(view).find(|(_, charge, _)| is_open(charge)) {
            return settle(open, view, now);
        }
        if let Some(read) = address.last_missing_read(view) {
            return Ok(Step::Read(read));
        }
        let is_unnoted = |charge: &Charge| charge.void.is_some() && charge.late_success_at.is_none();
        if let Some((key, ..)) = address.charges(view).find(|(_, charge, _)| is_unnoted(charge)) {
            let changes = vec![RecordChange::NoteSuccess(key.clone(), now)];
            return Ok(Step::Commit(Plan { changes, ..Plan::default() }));
        }
        let is_fenced = self.request.trans_no.is_none() && view.record(&address.record_key()).is_some();
        if address.charges(view).next().is_some() || is_fenced {
            Ok(Step::Done)
        } else {
            Err(LedgerError::ChargeNotFound)
        }
    }

    fn answer(&self, view: View, _: Timestamp) -> Result<CompletionResult, LedgerError> {
        let charges = || self.address().charges(&view).map(|(_, charge, _)| charge);
        let is_own = |charge: &Charge| charge.adjustments.iter().any(|own| own.invocation == view.invocation);
        let is_live = |charge: &Charge| charge.void.is_none();
        let outcome = if charges().any(is_own) {
            CompletionOutcome::Settled
        } else if charges().any(is_live) {
            CompletionOutcome::AlreadySettled
        } else if charges().next().is_some() {
            CompletionOutcome::LateSuccess
        } else {
            CompletionOutcome::Fenced
        };
        let is_noted = |charge: &&Charge| view.has_committed() && charge.late_success_at.is_some();
        let late_credits = charges().filter(is_noted).map(|charge| charge.state().cost).sum();
        Ok(CompletionResult { outcome, late_credits })
    }
}

impl Completion<'_> {
    fn address(&self) -> ChargeAddress<'_> {
        let CompletionRequest { generation, key, trans_no, .. } = self.request;
        ChargeAddress { generation, key: key.as_ref(), trans_no: *trans_no, is_exact: false }
    }
}

fn is_open(charge: &Charge) -> bool {
    charge.void.is_none() && !charge.is_final()
}

fn settle((key, charge, bytes): LoadedCharge<'_>, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
    let kind = if charge.outputs.is_some() {
        AdjustmentKind::Delivered
    } else {
        AdjustmentKind::Settled(Settlement::new(charge.state().cost, Credits::ZERO, Vec::new()))
    };
    match view.wallet().adjust(charge, kind, view, now) {
        Ok(plan) => Ok(Step::Commit(plan)),
        Err(error) => reread_or_reject(error, &[(key, charge, bytes)], view),
    }
}
