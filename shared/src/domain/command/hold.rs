//! The command of the sweep of holds: voids one charge whose hold has timed out.

use super::{
    Command, ReadRequest, Step, View,
    void::{LoadedCharge, void},
};
use crate::domain::{LedgerError, Reason, RecordKey, Timestamp, UserId};

/// The reason of the void.
const REASON: &str = "hold timed out";

/// Voids a charge whose hold has timed out, unless it was settled, delivered or voided before.
/// The answer is whether this call voided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireHold {
    /// The owner of the charge.
    pub user: UserId,
    /// The key of the charge.
    pub key: RecordKey,
}

impl Command for ExpireHold {
    type Answer = bool;

    fn user(&self) -> &UserId {
        &self.user
    }

    fn first_read(&self, _: &View) -> ReadRequest {
        ReadRequest::WalletAndRecord(self.key.clone())
    }

    fn next(&self, view: &View, now: Timestamp) -> Result<Step, LedgerError> {
        if view.record(&self.key).is_some_and(|record| view.is_wallet_older_than(record)) {
            return Ok(Step::Read(ReadRequest::Wallet));
        }
        let Some(charge) = self.overdue(view, now) else { return Ok(Step::Done) };
        let reason = Reason::try_from(REASON.to_owned());
        let reason = reason.map_err(|problem| LedgerError::Internal(problem.to_owned()))?;
        void(&[charge], &reason, view, now)
    }

    fn answer(&self, view: View, _: Timestamp) -> Result<bool, LedgerError> {
        Ok(view.charges().any(|(key, charge, _)| {
            *key == self.key && charge.void.as_ref().is_some_and(|void| void.invocation == view.invocation)
        }))
    }
}

impl ExpireHold {
    fn overdue<'a>(&self, view: &'a View, now: Timestamp) -> Option<LoadedCharge<'a>> {
        let is_overdue = |(key, charge, _): &LoadedCharge<'_>| {
            **key == self.key
                && charge.void.is_none()
                && !charge.is_final()
                && charge.hold_until.is_some_and(|until| until <= now)
        };
        view.charges().find(is_overdue)
    }
}
