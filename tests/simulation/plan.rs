//! What happens in a run, as data: who calls when, and what becomes of every
//! request on its way to the engine. A seed gives a plan, and a plan that fails
//! shrinks, step by step and fault by fault.

use proptest::{collection::vec, option, prelude::*, sample::select};

/// No clock is further from the simulation's than this, in milliseconds.
pub const SKEW_MAX_MILLIS: i64 = 3_000;

/// Whose wallets there are.
pub const USERS: [&str; 2] = ["u1", "u2"];
/// What is charged for, where anything is.
pub const GENERATIONS: [&str; 3] = ["g1", "g2", "g3"];

const SECOND: u64 = 1_000;
const DAY: u64 = 24 * 60 * 60 * SECOND;

/// A run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How far each machine's clock is ahead, in milliseconds.
    pub skews: Vec<i64>,
    /// What is done.
    pub steps: Vec<Step>,
}

/// A caller's request, from its first try to its last.
#[derive(Clone, Debug)]
pub struct Step {
    /// How long after the step before it begins, in milliseconds.
    pub wait: u64,
    /// What is asked for.
    pub call: Call,
    /// On which machine's clock it runs.
    pub machine: usize,
    /// Whether a process is started for it.
    pub is_cold: bool,
    /// Whether it comes through the HTTP API.
    pub over_http: bool,
    /// How often the caller asks, while it does not learn what became of it.
    pub tries: usize,
    /// Whether these are deliveries of one event, by Lambda, which may deliver it again
    /// even after an answer.
    pub is_redelivered: bool,
    /// After how many milliseconds an invocation is cut off.
    pub limit: u64,
    /// What becomes of its requests to the engine, in order; those beyond the
    /// list have a calm way.
    pub ways: Vec<Way>,
}

impl Step {
    /// A call by itself, with a long time before it is cut off.
    pub fn new(wait: u64, call: Call) -> Step {
        Step {
            wait,
            call,
            machine: 0,
            is_cold: false,
            over_http: false,
            tries: 1,
            is_redelivered: false,
            limit: 29 * SECOND,
            ways: Vec::new(),
        }
    }
}

/// What a caller asks for. The names are few, so that calls meet.
#[derive(Clone, Debug)]
pub enum Call {
    /// `POST /credits/grant`
    Grant {
        /// Whose wallet.
        user: &'static str,
        /// What identifies it.
        grant: Grant,
        /// How many.
        credits: u64,
        /// How long after the beginning of the step the pack runs out, in milliseconds.
        lasts: Option<u64>,
    },
    /// `POST /credits/decrease`
    Charge {
        /// Whose wallet.
        user: &'static str,
        /// For which generation.
        generation: Option<&'static str>,
        /// Under which key.
        key: Option<&'static str>,
        /// How many.
        credits: u64,
        /// What for.
        trans_type: &'static str,
    },
    /// `POST /credits/refund`, or `POST /webhooks/generation`
    Refund {
        /// Whose charges, where the caller knows.
        user: Option<&'static str>,
        /// Of which generation.
        generation: &'static str,
        /// Under which key.
        key: Option<&'static str>,
        /// Whether a provider's call-back asks for it.
        is_callback: bool,
    },
    /// `GET /credits/{user_uuid}/balance`
    Balance(&'static str),
    /// `GET /credits/{user_uuid}/summary`
    Summary(&'static str),
    /// `GET /credits/{user_uuid}/timeline`
    Timeline(&'static str),
    /// `GET /generations/{generation_uuid}`
    Generation(&'static str),
}

/// What identifies a grant.
#[derive(Clone, Copy, Debug)]
pub enum Grant {
    /// The user.
    NewUser,
    /// The order.
    Order(&'static str),
    /// The key, if there is one.
    Added(Option<&'static str>),
}

/// A request's way to the engine and back. Times are in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// How long it takes to arrive.
    pub there: u64,
    /// How long the engine works on it, if it writes.
    pub work: u64,
    /// How long after a commit its items become visible to strong reads, in turn: the
    /// records, then the wallet.
    pub visible: [u64; 2],
    /// How long the answer takes.
    pub back: u64,
    /// How long the indexes, and weak reads, do not know what it wrote.
    pub lag: u64,
    /// What else happens to it.
    pub fault: Option<Fault>,
}

/// What can happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It never arrives, and nobody says so.
    Lost,
    /// It never arrives, and the connection breaks.
    Broken,
    /// It is done, and its answer never comes.
    AnswerLost,
    /// It is done, and the connection breaks before the answer.
    AnswerBroken,
    /// As before, and the engine forgets its token.
    TokenForgotten,
    /// It arrives once more, so many milliseconds later.
    Twice(u64),
    /// It is refused: too many requests.
    Throttled,
    /// It is refused: somebody else is at the item.
    Conflict,
    /// It is not done, and the engine says that it failed inside.
    Failed,
    /// It is done, and the engine says that it failed inside.
    FailedAfterwards,
    /// It is refused: its token was another request's. Only a request that was sent before
    /// can meet it.
    TokenMismatch,
    /// The process dies before it is sent.
    Killed,
    /// The process dies when it has been sent.
    KilledAfterwards,
}

/// Any plan. Some are almost calm, so that it is races, above all, that are
/// seen; and in some all is about one generation, so that most calls meet.
pub fn plans() -> impl Strategy<Value = Plan> {
    let skews = vec(-SKEW_MAX_MILLIS..=SKEW_MAX_MILLIS, 3);
    let steps = |faulty, generations: usize| vec(steps(faulty, &GENERATIONS[..generations]), 4..30);
    let steps = prop_oneof![steps(0.01, 1), steps(0.25, 1), steps(0.01, 3), steps(0.25, 3),];
    (skews, first_grant(), steps).prop_map(|(skews, first, mut steps)| {
        steps[0].wait += 100;
        steps.insert(0, first);
        Plan { skews, steps }
    })
}

/// Credits to begin with, so that most charges find some.
fn first_grant() -> impl Strategy<Value = Step> {
    (10..60u64).prop_map(|credits| {
        Step::new(0, Call::Grant { user: USERS[0], grant: Grant::Order("o0"), credits, lasts: None })
    })
}

fn steps(faulty: f64, generations: &'static [&str]) -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        12 => 0..20u64,
        4 => 0..200u64,
        2 => 0..10 * SECOND,
        1 => 0..2 * DAY,
    ];
    let limit = prop_oneof![3 => Just(29 * SECOND), 1 => 600..5 * SECOND];
    (
        wait,
        calls(generations),
        0..3usize,
        any::<bool>(),
        any::<bool>(),
        (1..4usize, prop::bool::weighted(0.2)),
        limit,
        vec(ways(faulty), 0..8),
    )
        .prop_map(|(wait, call, machine, is_cold, over_http, (tries, is_redelivered), limit, ways)| {
            Step { wait, call, machine, is_cold, over_http, tries, is_redelivered, limit, ways }
        })
}

fn calls(generations: &'static [&str]) -> impl Strategy<Value = Call> {
    let user = || prop_oneof![4 => Just(USERS[0]), 1 => Just(USERS[1])];
    let generation = || select(generations);
    let key = || prop_oneof![1 => Just(None), 1 => select(vec!["k1", "k2"]).prop_map(Some)];
    let grant = prop_oneof![
        1 => Just(Grant::NewUser),
        3 => select(vec!["o1", "o2", "o3"]).prop_map(Grant::Order),
        2 => key().prop_map(Grant::Added),
    ];
    let lasts = option::of(prop_oneof![
        1 => 1..20 * SECOND,
        1 => 20 * SECOND..200 * SECOND,
        1 => DAY..5 * DAY,
    ]);
    let charged_for = prop_oneof![1 => Just(None), 6 => generation().prop_map(Some)];
    let trans_type = prop_oneof![5 => Just("image_generation"), 1 => Just("chat")];
    prop_oneof![
        4 => (user(), grant, 1..30u64, lasts)
            .prop_map(|(user, grant, credits, lasts)| Call::Grant { user, grant, credits, lasts }),
        10 => (user(), charged_for, key(), 1..12u64, trans_type).prop_map(
            |(user, generation, key, credits, trans_type)| Call::Charge { user, generation, key, credits, trans_type }
        ),
        7 => (option::weighted(0.8, user()), generation(), key(), prop::bool::weighted(0.25)).prop_map(
            |(user, generation, key, is_callback)| Call::Refund { user, generation, key, is_callback }
        ),
        2 => user().prop_map(Call::Balance),
        1 => user().prop_map(Call::Summary),
        1 => user().prop_map(Call::Timeline),
        1 => generation().prop_map(Call::Generation),
    ]
}

fn ways(faulty: f64) -> impl Strategy<Value = Way> {
    let trip = || prop_oneof![6 => 0..8u64, 2 => 0..60u64, 1 => 0..400u64];
    // Longer than the SDK waits for an answer: it arrives when it is given up.
    let there = prop_oneof![20 => trip(), 1 => 2 * SECOND..20 * SECOND];
    let lag = prop_oneof![2 => 0..50u64, 1 => 0..5 * SECOND];
    let visible = || prop_oneof![6 => Just(0), 2 => 0..20u64, 1 => 0..2 * SECOND];
    (there, 0..15u64, [visible(), visible()], trip(), lag, option::weighted(faulty, faults()))
        .prop_map(|(there, work, visible, back, lag, fault)| Way { there, work, visible, back, lag, fault })
}

fn faults() -> impl Strategy<Value = Fault> {
    let plain: &[Fault] = &[
        Fault::Lost,
        Fault::Broken,
        Fault::AnswerLost,
        Fault::AnswerBroken,
        Fault::TokenForgotten,
        Fault::Throttled,
        Fault::Conflict,
        Fault::Failed,
        Fault::FailedAfterwards,
        Fault::TokenMismatch,
        Fault::Killed,
        Fault::KilledAfterwards,
    ];
    prop_oneof![12 => select(plain), 1 => (0..20 * SECOND).prop_map(Fault::Twice)]
}

impl Fault {
    /// The fault without what it is drawn with.
    pub fn kind(self) -> Fault {
        if let Fault::Twice(_) = self { Fault::Twice(0) } else { self }
    }
}
