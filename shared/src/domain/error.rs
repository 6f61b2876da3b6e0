//! The errors of the ledger.

use thiserror::Error;

use super::Credits;

/// The errors of the ledger. Their texts are returned to callers.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LedgerError {
    /// A field has a value that is invalid at this time. The text names the field.
    #[error("{0}")]
    InvalidRequest(String),
    /// The balance is less than the charge needs.
    #[error("The balance is {balance}, but the charge needs {required}.{}", describe_debt(*debt))]
    InsufficientCredits {
        /// The sum of the usable packs.
        balance: Credits,
        /// The credits of the charge.
        required: Credits,
        /// The debt of the wallet.
        debt: Credits,
    },
    /// No charge of the generation is in the index, which may lag.
    #[error("No charge of this generation was found. Retry later, or send `user_uuid`.")]
    ChargeNotFound,
    /// Two different requests have one identity, or two users one generation. The text
    /// names the difference.
    #[error("{0}")]
    IdempotencyConflict(&'static str),
    /// The identity of the charge is voided or fenced.
    #[error("The charge of this generation and key was refunded.")]
    GenerationVoided,
    /// The request exceeds a limit of the ledger.
    #[error("{0}")]
    LimitExceeded(LedgerLimit),
    /// Contention or throttling lasted longer than the retries.
    #[error("There are too many concurrent requests. Retry later.")]
    Busy,
    /// DynamoDB is unreachable, or rejected the service's credentials.
    #[error("The database is unavailable. Retry later.")]
    StoreUnavailable,
    /// Any other failure. The reason is logged, and the text omits it.
    #[error("An internal error occurred. Retry later.")]
    Internal(String),
}

fn describe_debt(debt: Credits) -> String {
    if debt.is_zero() { String::new() } else { format!(" The wallet owes {debt}.") }
}

/// The limits of [`LedgerError::LimitExceeded`].
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum LedgerLimit {
    /// [`Wallet::GIFT_PACKS_MAX`](super::Wallet::GIFT_PACKS_MAX) usable packs before a gift.
    #[error("The wallet already contains 500 packs with credits.")]
    GiftPacks,
    /// [`Wallet::PAID_PACKS_MAX`](super::Wallet::PAID_PACKS_MAX) usable packs before the grant
    /// of a paid order.
    #[error("The wallet already contains 900 packs with credits.")]
    PaidPacks,
    /// [`Wallet::PACKS_MAX`](super::Wallet::PACKS_MAX) packs in an imported or repaired wallet.
    #[error("The wallet would contain more than 1050 packs.")]
    ImportedPacks,
    /// [`Wallet::CHARGE_TYPES_MAX`](super::Wallet::CHARGE_TYPES_MAX) types of charges of
    /// one user.
    #[error("The user already has charges with 100 values of `trans_type`.")]
    TransTypes,
    /// [`Credits::TOTAL_MAX`] for a sum.
    #[error("A total would exceed 9007199254740991 credits.")]
    Total,
    /// [`Wallet::PACKS_MAX`](super::Wallet::PACKS_MAX) packs after a refund.
    #[error("The refund would restore more packs than one wallet can contain.")]
    RestoredPacks,
    /// [`Wallet::DEBTS_MAX`](super::Wallet::DEBTS_MAX) charges and orders in debt.
    #[error("The wallet already has 50 charges and orders in debt.")]
    Debts,
    /// [`Wallet::CHARGE_PARTS_MAX`](super::Wallet::CHARGE_PARTS_MAX) parts of packs of one
    /// settled charge, or fewer of a charge in debt.
    #[error("The charge or order would consist of too many parts of packs.")]
    Parts,
    /// [`Wallet::SHORTFALLS_MAX`](super::Wallet::SHORTFALLS_MAX) orders with a shortfall.
    #[error("The wallet already has 50 revoked orders with a shortfall.")]
    Shortfalls,
    /// [`Order::STATEMENTS_MAX`](super::Order::STATEMENTS_MAX) sources of one order.
    #[error("The order is already revoked by 20 sources.")]
    RevokeSources,
    /// [`GrantRecord::REVOCATIONS_MAX`](super::GrantRecord::REVOCATIONS_MAX) changes of the
    /// revoked credits of one order.
    #[error("The revoked credits of the order have already changed 100 times.")]
    Revocations,
    /// 100,000 records in the range of a summary.
    #[error("The range contains more than 100000 records. Request a shorter range.")]
    SummaryRange,
    /// [`Wallet::is_blocked`](super::Wallet::is_blocked).
    #[error("The migration did not move this user. An operator must move or unblock the user first.")]
    Blocked,
}
