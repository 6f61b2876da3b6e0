//! The state that a function keeps from event to event.

use super::{caller::Caller, error::RequestError, event::Claims, telemetry::MetricHandles};
use crate::{callback::Callbacks, ledger::Ledger};

/// The state of a function.
pub struct App {
    /// The ledger.
    pub ledger: Ledger,
    admits_anyone: bool,
    pub(super) callbacks: Callbacks,
    pub(super) metrics: MetricHandles,
}

impl App {
    /// An app on this ledger that demands claims and admits no call-back.
    pub fn new(ledger: Ledger) -> App {
        App { ledger, admits_anyone: false, callbacks: Callbacks::none(), metrics: MetricHandles::default() }
    }

    /// Admits HTTP events without claims: only for a stack without an authorizer, such as the
    /// local one.
    #[must_use]
    pub fn without_authentication(self) -> App {
        App { admits_anyone: true, ..self }
    }

    /// Admits call-backs that these secrets sign, and resumes the executions that wait for them.
    #[must_use]
    pub fn with_callbacks(self, callbacks: Callbacks) -> App {
        App { callbacks, ..self }
    }

    /// The caller of an HTTP request with these claims.
    pub(super) fn caller(&self, claims: Option<&Claims>) -> Result<Caller, RequestError> {
        match claims {
            Some(claims) => Ok(Caller::from_claims(claims)),
            None if self.admits_anyone => Ok(Caller::Trusted),
            None => Err(RequestError::Unauthorized("The request has no valid access token.")),
        }
    }
}
