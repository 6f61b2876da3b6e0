//! What one invocation is about, does and costs: noted where it happens, told once at
//! its end. Where nobody asks, as in a command line, nothing is noted.

use std::cell::RefCell;

use tokio::task_local;

use crate::domain::{ChargeType, Credits, GenerationUuid, GrantType, UserUuid};

/// What was noted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// Which operation it was.
    pub operation: Option<&'static str>,
    /// Whom it was about.
    pub user: Option<String>,
    /// The generation that it was about.
    pub generation: Option<String>,
    /// Calls to DynamoDB, those that are tried again too.
    pub round_trips: u64,
    /// How often a call was tried again, for whatever reason.
    pub retries: u64,
    /// How often others were at the same wallet, or DynamoDB throttled.
    pub conflicts: u64,
    /// Read units, as DynamoDB counts them.
    pub read_units: f64,
    /// Write units, as DynamoDB counts them.
    pub write_units: f64,
    /// What moved.
    pub moves: Vec<(Move, Kind, Credits)>,
    /// How many packs the wallet has.
    pub packs: Option<usize>,
    /// How a refund ended.
    pub outcome: Option<&'static str>,
    /// What should not happen and is no error, by name.
    pub anomalies: Vec<&'static str>,
}

/// Which way credits moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// They came.
    Granted,
    /// They went.
    Charged,
    /// They came back.
    Voided,
}

/// What credits moved for. Types of generations are one kind: there may be any
/// number of them, and each would be a metric of its own.
pub type Kind = &'static str;

task_local! {
    static NOTES: RefCell<Notes>;
}

/// Does something, and says what was noted meanwhile.
pub(crate) async fn noted<T>(work: impl Future<Output = T>) -> (T, Notes) {
    let take = async {
        let done = work.await;
        (done, NOTES.with(RefCell::take))
    };
    NOTES.scope(RefCell::default(), take).await
}

/// Notes whom and which generation it is about.
pub(crate) fn about(user: Option<&UserUuid>, generation: Option<&GenerationUuid>) {
    note(|notes| {
        notes.user = user.map(ToString::to_string);
        notes.generation = generation.map(ToString::to_string);
    });
}

/// Notes something, if anybody asks.
pub(crate) fn note(change: impl FnOnce(&mut Notes)) {
    let _ = NOTES.try_with(|notes| change(&mut notes.borrow_mut()));
}

/// Notes credits that were granted.
pub(crate) fn granted(of: GrantType, credits: Credits) {
    let kind = match of {
        GrantType::NewUser => "new_user",
        GrantType::OrderPay => "order_pay",
        GrantType::SystemAdd => "system_add",
    };
    note(|notes| notes.moves.push((Move::Granted, kind, credits)));
}

/// Notes credits that a charge took, or got back.
pub(crate) fn moved(way: Move, of: &ChargeType, credits: Credits) {
    let kind = match of {
        ChargeType::Chat => "chat",
        ChargeType::Generation(_) => "generation",
    };
    note(|notes| notes.moves.push((way, kind, credits)));
}
