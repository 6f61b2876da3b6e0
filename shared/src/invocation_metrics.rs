//! The metrics of one invocation. Any module except `domain` records them, and `transport`
//! emits them at the end. Outside an invocation, as in a command, nothing is recorded.

use std::cell::RefCell;

use tokio::task_local;

use crate::domain::{ChargeType, Credits, GenerationId, GrantType, UserId};

/// The metrics of one invocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InvocationMetrics {
    /// The operation's name.
    pub operation: Option<&'static str>,
    /// The user that the request concerns.
    pub user: Option<String>,
    /// The generation that the request concerns.
    pub generation: Option<String>,
    /// Calls to DynamoDB, retries included.
    pub round_trips: u64,
    /// Calls to DynamoDB that were retries.
    pub retries: u64,
    /// Transactions that failed because of other writers, or were throttled.
    pub conflicts: u64,
    /// Consumed read units, as DynamoDB reports them.
    pub read_units: f64,
    /// Consumed write units, as DynamoDB reports them.
    pub write_units: f64,
    /// Credits by direction and kind of record.
    pub flows: Vec<(CreditFlow, &'static str, Credits)>,
    /// The number of packs in the wallet.
    pub packs: Option<usize>,
    /// The outcome of a refund.
    pub outcome: Option<&'static str>,
    /// The outcome of a payment event.
    pub payment: Option<&'static str>,
    /// The names of anomalies: events that are accepted, but may be mistakes.
    pub anomalies: Vec<&'static str>,
}

/// The direction in which credits moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreditFlow {
    /// Into the wallet, by a grant.
    Granted,
    /// Out of the wallet, by a charge.
    Charged,
    /// Back into the wallet, by a void, a settlement or returned outputs.
    Voided,
    /// Owed by a charge that was settled above the balance.
    Owed,
    /// Voided before a provider reported success.
    LateSuccess,
    /// Taken back, or owed, because an order was revoked.
    Revoked,
    /// Returned, or owed no longer, because less of an order is revoked.
    Restored,
}

task_local! {
    static METRICS: RefCell<InvocationMetrics>;
}

/// Runs the work and returns the metrics that it recorded.
pub(crate) async fn collect<T>(work: impl Future<Output = T>) -> (T, InvocationMetrics) {
    let take = async {
        let result = work.await;
        (result, METRICS.with(RefCell::take))
    };
    METRICS.scope(RefCell::default(), take).await
}

/// Records the user and the generation that the request concerns.
pub(crate) fn set_subject(user: Option<&UserId>, generation: Option<&GenerationId>) {
    record(|metrics| {
        metrics.user = user.map(ToString::to_string);
        metrics.generation = generation.map(ToString::to_string);
    });
}

/// Changes the metrics of the current invocation, if there is one.
pub(crate) fn record(change: impl FnOnce(&mut InvocationMetrics)) {
    let _ = METRICS.try_with(|metrics| change(&mut metrics.borrow_mut()));
}

/// Records the credits of a grant.
pub(crate) fn record_grant(trans_type: GrantType, credits: Credits) {
    let kind = match trans_type {
        GrantType::NewUser => "new_user",
        GrantType::OrderPay => "order_pay",
        GrantType::SystemAdd => "system_add",
    };
    record(|metrics| metrics.flows.push((CreditFlow::Granted, kind, credits)));
}

/// Records revoked or restored credits.
pub(crate) fn record_revoked(flow: CreditFlow, credits: Credits) {
    record(|metrics| metrics.flows.push((flow, "order_pay", credits)));
}

/// Records the credits of voided charges whose generation succeeded.
pub(crate) fn record_late_success(credits: Credits) {
    record(|metrics| metrics.flows.push((CreditFlow::LateSuccess, "generation", credits)));
}

/// Records the credits of a charge or a void. All types of generations are one kind, because
/// each kind is a metric of its own.
pub(crate) fn record_charge(flow: CreditFlow, trans_type: &ChargeType, credits: Credits) {
    let kind = match trans_type {
        ChargeType::Chat => "chat",
        ChargeType::Generation(_) => "generation",
    };
    record(|metrics| metrics.flows.push((flow, kind, credits)));
}
