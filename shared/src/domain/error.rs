//! The errors of the ledger.

use thiserror::Error;

use super::Credits;

/// How a call of the ledger fails. The text of each error may be shown to a caller.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LedgerError {
    /// A field is out of its range at this moment; names the field.
    #[error("{0}")]
    InvalidRequest(String),
    /// The usable packs hold less than the charge needs.
    #[error("The balance is {balance}, but the charge needs {required}.")]
    InsufficientCredits {
        /// What the usable packs hold.
        balance: Credits,
        /// What the charge asked for.
        required: Credits,
    },
    /// A call by generation alone found no charge; the index may lag.
    #[error("No charge of this generation is known yet: try again, or name the user_uuid.")]
    ChargeNotFound,
    /// One key, two different requests; says which two things differ.
    #[error("One key, two different requests: {0}.")]
    IdempotencyConflict(&'static str),
    /// A charge under a key that is voided or fenced.
    #[error("The charge of this generation and key was refunded.")]
    GenerationVoided,
    /// A limit of the ledger.
    #[error("{0}")]
    LimitExceeded(LedgerLimit),
    /// Contention or throttling outlasted the retries.
    #[error("Too much at once: try again.")]
    Busy,
    /// DynamoDB cannot be reached or refused the service's credentials.
    #[error("The store cannot be reached: try again.")]
    StoreUnavailable,
    /// Anything else. The reason is for the log, so the text leaves it out.
    #[error("Something failed inside: try again.")]
    Internal(String),
}

/// The limits of [`LedgerError::LimitExceeded`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LedgerLimit {
    /// A grant beyond the packs with credits left that one wallet may have.
    #[error("The wallet holds 500 packs with credits left.")]
    Packs,
    /// A charge of one trans_type more than one user may have.
    #[error("The user has charges of 100 trans_types.")]
    TransTypes,
    /// A sum beyond 2^53-1.
    #[error("A total would pass 9007199254740991 credits.")]
    Total,
    /// A refund that would bring back more packs than one item holds.
    #[error("The refund would bring back more packs than one wallet holds.")]
    RestoredPacks,
    /// A summary of a range with more records than one request may read.
    #[error("The range holds more than 100000 records: choose a shorter one.")]
    SummaryRange,
}
