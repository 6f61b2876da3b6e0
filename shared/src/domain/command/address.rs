//! The charges that a request addresses by generation, key and `trans_no`.

use super::{ReadRequest, View};
use crate::domain::{Charge, GenerationId, IdempotencyKey, LedgerError, Record, RecordKey, TransNo};

/// The address of charges: one key, or all charges of a generation.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChargeAddress<'a> {
    pub(super) generation: &'a GenerationId,
    pub(super) key: Option<&'a IdempotencyKey>,
    pub(super) trans_no: Option<TransNo>,
    /// Whether the absence of a key addresses only the charge without a key.
    pub(super) is_exact: bool,
}

impl<'a> ChargeAddress<'a> {
    /// The one key that the request addresses, or the key of its fence.
    pub(super) fn record_key(&self) -> RecordKey {
        RecordKey::Charge { generation: Some(self.generation.clone()), key: self.key.cloned() }
    }

    /// The loaded charges at the address, with the sizes of their items in bytes.
    pub(super) fn charges(self, view: &'a View) -> impl Iterator<Item = (&'a RecordKey, &'a Charge, usize)> {
        let is_addressed =
            move |charge: &Charge| self.trans_no.is_none_or(|trans_no| trans_no == charge.trans_no);
        let is_of_generation = move |charge: &Charge| charge.generation.as_ref() == Some(self.generation);
        // The view also has charges that this command repaid.
        let one = (self.key.is_some() || self.is_exact).then(|| self.record_key());
        let is_at = move |key: &RecordKey| one.as_ref().is_none_or(|one| one == key);
        view.charges()
            .filter(move |(key, charge, _)| is_at(key) && is_of_generation(charge) && is_addressed(charge))
    }

    /// The read that is needed before any decision.
    ///
    /// # Errors
    /// `Internal` if a grant is at the key of a charge.
    pub(super) fn first_missing_read(&self, view: &View) -> Result<Option<ReadRequest>, LedgerError> {
        if view.records().any(|(_, record)| view.is_wallet_older_than(record)) {
            return Ok(Some(ReadRequest::Wallet));
        }
        if view.records().any(|(_, record)| matches!(record, Record::Grant(_))) {
            return Err(LedgerError::Internal("the key of a charge contains a grant".to_owned()));
        }
        let is_queried = !self.is_session(view) || view.is_generation_queried();
        Ok((!is_queried).then(|| self.read_generation()))
    }

    /// The read that is needed before a decision that the address has no further charges.
    pub(super) fn last_missing_read(&self, view: &View) -> Option<ReadRequest> {
        let is_complete = !self.is_session(view) || view.is_generation_complete();
        (!is_complete).then(|| self.read_generation())
    }

    fn read_generation(&self) -> ReadRequest {
        ReadRequest::Generation(self.generation.clone())
    }

    /// Whether there may be charges under other keys.
    fn is_session(&self, view: &View) -> bool {
        self.key.is_none() && !self.is_exact && view.wallet().has_keyed_charges
    }
}
