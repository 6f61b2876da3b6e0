//! The state of a function between events.

use super::{caller::Caller, error::RequestError, event::Claims, telemetry::MetricHandles};
use crate::{callback::Callbacks, ledger::Ledger, payments::Payments};

/// The state of a function, which all of its events share.
pub struct App {
    /// The ledger.
    pub ledger: Ledger,
    accepts_missing_claims: bool,
    scope_prefix: String,
    pub(super) callbacks: Callbacks,
    pub(super) payments: Payments,
    pub(super) metrics: MetricHandles,
}

impl App {
    /// An app that requires claims, and rejects call-backs and payment events.
    pub fn new(ledger: Ledger) -> App {
        App {
            ledger,
            accepts_missing_claims: false,
            scope_prefix: String::new(),
            callbacks: Callbacks::none(),
            payments: Payments::none(),
            metrics: MetricHandles::default(),
        }
    }

    /// Accepts HTTP events without claims. For stacks without an authorizer only, such as the
    /// local one.
    #[must_use]
    pub fn without_authentication(self) -> App {
        App { accepts_missing_claims: true, ..self }
    }

    /// Accepts scopes that begin with this text, besides those without it.
    #[must_use]
    pub fn with_scope_prefix(self, scope_prefix: String) -> App {
        App { scope_prefix, ..self }
    }

    /// Accepts call-backs that these secrets sign, and resumes the executions that wait for them.
    #[must_use]
    pub fn with_callbacks(self, callbacks: Callbacks) -> App {
        App { callbacks, ..self }
    }

    /// Accepts payment events that these secrets sign.
    #[must_use]
    pub fn with_payments(self, payments: Payments) -> App {
        App { payments, ..self }
    }

    /// The caller of an HTTP request with these claims.
    pub(super) fn caller(&self, claims: Option<&Claims>) -> Result<Caller, RequestError> {
        match claims {
            Some(claims) => Ok(Caller::from_claims(claims, &self.scope_prefix)),
            None if self.accepts_missing_claims => Ok(Caller::Trusted),
            None => Err(RequestError::Unauthorized("The request has no valid access token.")),
        }
    }
}
