use super::Credits;

/// Why a request was refused or failed: the rows of the contract's table, one
/// variant a row. How each looks to a caller is [`crate::transport`]'s to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerError {
    /// Malformed, or a field missing, unknown or out of form; names each one.
    InvalidRequest(String),
    /// No valid caller or signature; says what is wrong with it.
    Unauthorized(&'static str),
    /// A caller who may not act on this user.
    Forbidden,
    /// The usable packs hold less than the charge needs.
    InsufficientCredits {
        /// What the usable packs hold.
        balance: Credits,
        /// What the charge asked for.
        required: Credits,
    },
    /// A call by generation alone found no charge; the index may lag.
    ChargeNotFound,
    /// No such route.
    NotFound,
    /// The route exists, but not with this method.
    MethodNotAllowed,
    /// One key, two different requests; says which two things differ.
    IdempotencyConflict(&'static str),
    /// A charge under a key that is voided or fenced.
    GenerationVoided,
    /// A limit of the ledger.
    LimitExceeded(Limit),
    /// The body is larger than a request may be.
    PayloadTooLarge,
    /// Contention or throttling outlasted the retries.
    Busy,
    /// DynamoDB cannot be reached or refused the service's credentials.
    StoreUnavailable,
    /// Anything else. The text is for the log and never leaves the service.
    Internal(String),
}

/// The limits that [`Error::LimitExceeded`] speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// A grant beyond the packs with credits left that one wallet may have.
    Packs,
    /// A charge of one trans_type more than one user may have.
    TransTypes,
    /// A sum beyond 2^53-1.
    Total,
    /// A refund that would bring back more packs than one item holds.
    RestoredPacks,
    /// A summary of a range with more records than one request may read.
    SummaryRange,
}
