//! A user of the table, held against itself; and the reads that callers do, timed.

use std::time::{Duration, Instant};

use scrip::{
    domain::{Discrepancy, LedgerError, UserId},
    ledger::{Ledger, TimelineRequest},
};

use crate::problem::{Problem, deadline};

/// How many records a timed page has: what callers get who do not say.
const PAGE: usize = 20;

/// What was seen of a user.
pub(super) struct Look {
    pub(super) user: String,
    pub(super) records: u64,
    pub(super) voided: u64,
    pub(super) faults: Vec<String>,
    /// How long each read took.
    pub(super) times: Vec<(&'static str, Duration)>,
}

/// Looks at a user.
pub(super) async fn look(ledger: &Ledger, user: String) -> Result<Look, Problem> {
    let Ok(id) = UserId::try_from(user.clone()) else {
        let faults = vec![Discrepancy::InvalidUser.to_string()];
        return Ok(Look { user, records: 0, voided: 0, faults, times: Vec::new() });
    };
    let failed = |error| Problem::of_ledger(&format!("user {id}"), &error);
    let audited = ledger.audit(&id, deadline(ledger)).await.map_err(failed)?;
    let mut times = Vec::new();
    let balance = ledger.wallet(&id, deadline(ledger));
    times.push(("balance", timed(balance).await.map_err(failed)?));
    let request = TimelineRequest { user: id.clone(), limit: PAGE, before: None, include_voided: false };
    let timeline = ledger.timeline(&request, deadline(ledger));
    times.push(("timeline", timed(timeline).await.map_err(failed)?));
    if let Some(generation) = &audited.generation {
        let charges = ledger.generation(generation, Some(&id), None, PAGE, deadline(ledger));
        times.push(("generation", timed(charges).await.map_err(failed)?));
    }
    let mut faults: Vec<_> = audited.discrepancies.listed().map(Discrepancy::to_string).collect();
    if audited.discrepancies.unlisted() > 0 {
        faults.push(format!("and {} more", audited.discrepancies.unlisted()));
    }
    Ok(Look { user, records: audited.records, voided: audited.voided, faults, times })
}

/// How long a read takes. That it finds damage is what the audit tells.
async fn timed<T>(read: impl Future<Output = Result<T, LedgerError>>) -> Result<Duration, LedgerError> {
    let began = Instant::now();
    match read.await {
        Ok(_) | Err(LedgerError::Internal(_) | LedgerError::ChargeNotFound) => Ok(began.elapsed()),
        Err(error) => Err(error),
    }
}
