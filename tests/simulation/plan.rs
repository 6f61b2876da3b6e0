//! A run as data: the calls and their times, and the round trips of their requests to the
//! engine. A seed gives a plan, and a failing plan shrinks, step by step and fault by fault.

use proptest::{collection::vec, option, prelude::*, sample::select};

/// Largest difference between a machine's clock and the simulation's, in milliseconds.
pub const SKEW_MAX_MILLIS: i64 = 3_000;

pub const USERS: [&str; 2] = ["u1", "u2"];
pub const GENERATIONS: [&str; 3] = ["g1", "g2", "g3"];

const SECOND: u64 = 1_000;
const DAY: u64 = 24 * 60 * 60 * SECOND;

#[derive(Clone, Debug)]
pub struct Plan {
    /// How many milliseconds each machine's clock is ahead.
    pub skews: Vec<i64>,
    pub steps: Vec<Step>,
}

/// A caller's request, with its retries.
#[derive(Clone, Debug)]
pub struct Step {
    /// Milliseconds after the start of the step before.
    pub wait: u64,
    pub call: Call,
    /// Index of the machine.
    pub machine: usize,
    /// Whether it starts a new process.
    pub is_cold: bool,
    /// Whether it comes through the HTTP API, and not by direct invocation.
    pub is_http: bool,
    /// Most attempts, while the outcome is not final.
    pub attempts_max: usize,
    /// Whether the attempts are deliveries of one event. Lambda may deliver it again even
    /// after a response.
    pub is_redelivered: bool,
    /// Time limit of an invocation, in milliseconds.
    pub time_limit: u64,
    /// Its requests to the engine, in order; further requests take no time and meet no fault.
    pub round_trips: Vec<RoundTrip>,
}

impl Step {
    /// One attempt with the longest time limit and no faults.
    pub fn new(wait: u64, call: Call) -> Step {
        Step {
            wait,
            call,
            machine: 0,
            is_cold: false,
            is_http: false,
            attempts_max: 1,
            is_redelivered: false,
            time_limit: 29 * SECOND,
            round_trips: Vec::new(),
        }
    }
}

/// A request. There are few names, so that calls meet.
#[derive(Clone, Debug)]
pub enum Call {
    /// `POST /credits/grant`
    Grant {
        user: &'static str,
        grant: Grant,
        credits: u64,
        /// Milliseconds from the start of the step until the pack expires.
        lifetime: Option<u64>,
    },
    /// `POST /credits/decrease`
    Charge {
        user: &'static str,
        generation: Option<&'static str>,
        key: Option<&'static str>,
        credits: u64,
        trans_type: &'static str,
        outputs: Option<u64>,
        hold_seconds: Option<u64>,
    },
    /// `POST /credits/settle`
    Settle {
        user: &'static str,
        generation: &'static str,
        key: Option<&'static str>,
        credits: u64,
        overage: Overage,
    },
    /// `POST /credits/refund`, or `POST /webhooks/generation` with a failure
    Refund {
        address: Address,
        /// Empty for the whole charge; at most one in a call-back.
        outputs: &'static [u64],
        /// Whether a provider's call-back requests it.
        is_callback: bool,
    },
    /// `POST /webhooks/generation` with a success
    Success(Address),
    /// `POST /credits/orders/{order_no}/revoke`
    Revoke {
        order_no: &'static str,
        /// The stated owner of the order.
        user: Option<&'static str>,
        statement: Statement,
        shortfall: Shortfall,
    },
    /// The scheduled sweep of holds
    Sweep,
    /// `GET /credits/{user_uuid}/balance`
    Balance(&'static str),
    /// `GET /credits/{user_uuid}/summary`
    Summary(&'static str),
    /// `GET /credits/{user_uuid}/timeline`
    Timeline(&'static str),
    /// `GET /generations/{generation_uuid}`
    Generation(&'static str),
}

/// The charges that a refund or a call-back addresses.
#[derive(Clone, Debug)]
pub struct Address {
    /// Absent if the caller names the generation only.
    pub user: Option<&'static str>,
    pub generation: &'static str,
    pub key: Option<&'static str>,
    /// Whether it names the first charge of the generation that a response named before.
    pub is_by_trans_no: bool,
}

/// What a settlement does if charge and balance do not suffice.
#[derive(Clone, Copy, Debug)]
pub enum Overage {
    Refuse,
    Available,
    /// With the largest debt of the wallet.
    Debt(Option<u64>),
}

/// What a source revokes of an order in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement {
    pub source: &'static str,
    /// The time to which it applies, in milliseconds since 1970.
    pub as_of: i64,
    pub amount: Amount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    Credits(u64),
    /// So many parts of so many.
    Share(u64, u64),
}

/// What a revocation does with spent credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    Keep,
    Debt,
}

/// The identity of a grant.
#[derive(Clone, Copy, Debug)]
pub enum Grant {
    /// One for each user.
    NewUser,
    /// One for each order.
    Order(&'static str),
    /// One for each key, or one for each request without a key.
    Added(Option<&'static str>),
}

/// A request to the engine and its response. Times are in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct RoundTrip {
    /// Time until the request arrives.
    pub request_millis: u64,
    /// Time that a write takes in the engine.
    pub engine_millis: u64,
    /// Time from a commit until strong reads see its items: the records, then the wallet.
    pub visibility_delays: [u64; 2],
    /// Time until the response arrives.
    pub response_millis: u64,
    /// Time until the indexes and weak reads show a write.
    pub index_lag: u64,
    pub fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The request never arrives, and the client gets no error.
    RequestLost,
    /// The connection closes before the request arrives.
    RequestAborted,
    /// The request is executed, and its response never arrives.
    ResponseLost,
    /// The request is executed, and the connection closes before the response.
    ResponseAborted,
    /// As `ResponseAborted`, and the engine forgets the request's token.
    TokenForgotten,
    /// The request arrives a second time, this many milliseconds later.
    Duplicated(u64),
    /// The engine rejects the request with `ThrottlingException`.
    Throttled,
    /// The engine rejects the transaction: another one has locked its items.
    Conflict,
    /// The engine returns `InternalServerError` and does not execute the request.
    InternalError,
    /// The engine executes the request and returns `InternalServerError`.
    InternalErrorAfterCommit,
    /// The engine rejects the request: its token belongs to another one. Only a transaction
    /// that is sent again can meet it.
    TokenMismatch,
    /// The process dies before it sends the request.
    KilledBeforeSend,
    /// The process dies after it sent the request.
    KilledAfterSend,
}

/// Any plan. Some have few faults, so that they show races above all; some have one generation,
/// so that most calls meet; and some have many revocations, so that orders pay for each other.
pub fn plans() -> impl Strategy<Value = Plan> {
    let skews = vec(-SKEW_MAX_MILLIS..=SKEW_MAX_MILLIS, 3);
    let steps = |fault_rate, generations: usize, revocations| {
        vec(steps(fault_rate, &GENERATIONS[..generations], revocations), 4..30)
    };
    let steps = prop_oneof![
        steps(0.01, 1, 5),
        steps(0.25, 1, 5),
        steps(0.01, 3, 5),
        steps(0.25, 3, 5),
        steps(0.02, 1, 30),
    ];
    (skews, first_grant(), steps).prop_map(|(skews, first, mut steps)| {
        steps[0].wait += 100;
        steps.insert(0, first);
        Plan { skews, steps }
    })
}

/// An initial grant, so that most charges succeed.
fn first_grant() -> impl Strategy<Value = Step> {
    (10..60u64).prop_map(|credits| {
        Step::new(0, Call::Grant { user: USERS[0], grant: Grant::Order("o0"), credits, lifetime: None })
    })
}

/// `revocations` is their weight; all other calls together have 35.
fn steps(fault_rate: f64, generations: &'static [&str], revocations: u32) -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        12 => 0..20u64,
        4 => 0..200u64,
        2 => 0..10 * SECOND,
        1 => 0..2 * DAY,
    ];
    let time_limit = prop_oneof![3 => Just(29 * SECOND), 1 => 600..5 * SECOND];
    (
        wait,
        calls(generations, revocations),
        0..3usize,
        any::<bool>(),
        any::<bool>(),
        (1..4usize, prop::bool::weighted(0.2)),
        time_limit,
        vec(round_trips(fault_rate), 0..8),
    )
        .prop_map(
            |(
                wait,
                call,
                machine,
                is_cold,
                is_http,
                (attempts_max, is_redelivered),
                time_limit,
                round_trips,
            )| {
                Step {
                    wait,
                    call,
                    machine,
                    is_cold,
                    is_http,
                    attempts_max,
                    is_redelivered,
                    time_limit,
                    round_trips,
                }
            },
        )
}

fn calls(generations: &'static [&str], revocations: u32) -> impl Strategy<Value = Call> {
    prop_oneof![
        4 => grants(),
        10 => charges(generations),
        5 => settlements(generations),
        7 => refunds(generations),
        2 => addresses(generations).prop_map(Call::Success),
        revocations => revocation(),
        2 => Just(Call::Sweep),
        2 => users().prop_map(Call::Balance),
        1 => users().prop_map(Call::Summary),
        1 => users().prop_map(Call::Timeline),
        1 => select(generations).prop_map(Call::Generation),
    ]
}

fn users() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(USERS[0]), 1 => Just(USERS[1])]
}

fn keys() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![1 => Just(None), 1 => select(vec!["k1", "k2"]).prop_map(Some)]
}

fn grants() -> impl Strategy<Value = Call> {
    let grant = prop_oneof![
        1 => Just(Grant::NewUser),
        3 => select(vec!["o1", "o2", "o3"]).prop_map(Grant::Order),
        2 => keys().prop_map(Grant::Added),
    ];
    let lifetime = option::of(prop_oneof![
        1 => 1..20 * SECOND,
        1 => 20 * SECOND..200 * SECOND,
        1 => DAY..5 * DAY,
    ]);
    (users(), grant, 1..30u64, lifetime).prop_map(|(user, grant, credits, lifetime)| Call::Grant {
        user,
        grant,
        credits,
        lifetime,
    })
}

/// Some holds end while their callers still retry.
fn charges(generations: &'static [&str]) -> impl Strategy<Value = Call> {
    let generation = prop_oneof![1 => Just(None), 6 => select(generations).prop_map(Some)];
    let trans_type = prop_oneof![5 => Just("image_generation"), 1 => Just("chat")];
    let outputs = option::weighted(0.25, prop_oneof![1 => Just(1), 4 => 2..4u64]);
    let hold_seconds = option::weighted(0.3, prop_oneof![3 => 1..4u64, 1 => Just(60)]);
    (users(), generation, keys(), 1..12u64, trans_type, outputs, hold_seconds).prop_map(
        |(user, generation, key, credits, trans_type, outputs, hold_seconds)| Call::Charge {
            user,
            generation,
            key,
            credits,
            trans_type,
            outputs: outputs.filter(|_| generation.is_some()),
            hold_seconds: hold_seconds.filter(|_| generation.is_some()),
        },
    )
}

fn settlements(generations: &'static [&str]) -> impl Strategy<Value = Call> {
    let credits = prop_oneof![3 => 0..12u64, 2 => 5..60u64];
    let overage = prop_oneof![
        1 => Just(Overage::Refuse),
        1 => Just(Overage::Available),
        2 => option::of(0..30u64).prop_map(Overage::Debt),
    ];
    (users(), select(generations), keys(), credits, overage).prop_map(
        |(user, generation, key, credits, overage)| Call::Settle { user, generation, key, credits, overage },
    )
}

fn addresses(generations: &'static [&str]) -> impl Strategy<Value = Address> {
    (option::weighted(0.8, users()), select(generations), keys(), prop::bool::weighted(0.2))
        .prop_map(|(user, generation, key, is_by_trans_no)| Address { user, generation, key, is_by_trans_no })
}

fn refunds(generations: &'static [&str]) -> impl Strategy<Value = Call> {
    let outputs: &[&[u64]] = &[&[1], &[2], &[3], &[1, 2], &[1, 2, 3]];
    let outputs = prop_oneof![2 => Just(&[][..]), 1 => select(outputs)];
    (addresses(generations), outputs, prop::bool::weighted(0.25)).prop_map(
        |(address, outputs, is_callback)| {
            let outputs_max = if is_callback { 1 } else { outputs.len() };
            Call::Refund { address, outputs: &outputs[..outputs.len().min(outputs_max)], is_callback }
        },
    )
}

/// The statements of few sources about few orders at few times.
fn revocation() -> impl Strategy<Value = Call> {
    let order_no = prop_oneof![4 => Just("o0"), 3 => select(vec!["o1", "o2", "o3"])];
    let amount = prop_oneof![
        1 => Just(Amount::Credits(0)),
        4 => (1..40u64).prop_map(Amount::Credits),
        4 => select(vec![(0, 1), (1, 3), (1, 2), (2, 3), (1, 1)]).prop_map(|(part, of)| Amount::Share(part, of)),
    ];
    let statement = (select(vec!["refund", "dispute"]), 0..4i64, amount)
        .prop_map(|(source, as_of, amount)| Statement { source, as_of, amount });
    let shortfall = select(vec![Shortfall::Keep, Shortfall::Debt]);
    (order_no, option::weighted(0.2, users()), statement, shortfall).prop_map(
        |(order_no, user, statement, shortfall)| Call::Revoke { order_no, user, statement, shortfall },
    )
}

fn round_trips(fault_rate: f64) -> impl Strategy<Value = RoundTrip> {
    let latency = || prop_oneof![6 => 0..8u64, 2 => 0..60u64, 1 => 0..400u64];
    // Some take longer than the SDK's timeout: the request arrives after the SDK gave it up.
    let request = prop_oneof![20 => latency(), 1 => 2 * SECOND..20 * SECOND];
    let index_lag = prop_oneof![2 => 0..50u64, 1 => 0..5 * SECOND];
    let visibility_delay = || prop_oneof![6 => Just(0), 2 => 0..20u64, 1 => 0..2 * SECOND];
    let visibility_delays = [visibility_delay(), visibility_delay()];
    let fault = option::weighted(fault_rate, faults());
    (request, 0..15u64, visibility_delays, latency(), index_lag, fault).prop_map(
        |(request_millis, engine_millis, visibility_delays, response_millis, index_lag, fault)| RoundTrip {
            request_millis,
            engine_millis,
            visibility_delays,
            response_millis,
            index_lag,
            fault,
        },
    )
}

fn faults() -> impl Strategy<Value = Fault> {
    let simple: &[Fault] = &[
        Fault::RequestLost,
        Fault::RequestAborted,
        Fault::ResponseLost,
        Fault::ResponseAborted,
        Fault::TokenForgotten,
        Fault::Throttled,
        Fault::Conflict,
        Fault::InternalError,
        Fault::InternalErrorAfterCommit,
        Fault::TokenMismatch,
        Fault::KilledBeforeSend,
        Fault::KilledAfterSend,
    ];
    prop_oneof![12 => select(simple), 1 => (0..20 * SECOND).prop_map(Fault::Duplicated)]
}

impl Fault {
    /// The fault without its drawn delay.
    pub fn kind(self) -> Fault {
        if let Fault::Duplicated(_) = self { Fault::Duplicated(0) } else { self }
    }
}
