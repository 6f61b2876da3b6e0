//! Audits a user of the ledger and times the reads that callers do.

use std::time::{Duration, Instant};

use scrip::{
    domain::{Discrepancy, LedgerError, UserId},
    ledger::{Ledger, TimelineRequest},
};

use crate::cli_error::{CliError, deadline};

/// Records of a timed page: the default of the API.
const PAGE_SIZE: usize = 20;

pub(super) struct UserCheck {
    pub(super) user: String,
    pub(super) records: u64,
    pub(super) voided: u64,
    pub(super) discrepancies: Vec<String>,
    pub(super) latencies: Vec<(&'static str, Duration)>,
}

pub(super) async fn check_user(ledger: &Ledger, user: String) -> Result<UserCheck, CliError> {
    let Ok(id) = UserId::try_from(user.clone()) else {
        let discrepancies = vec![Discrepancy::InvalidUser.to_string()];
        return Ok(UserCheck { user, records: 0, voided: 0, discrepancies, latencies: Vec::new() });
    };
    let failed = |error| CliError::from_ledger(&format!("user {id}"), &error);
    let audit = ledger.audit(&id, deadline(ledger)).await.map_err(failed)?;
    let mut latencies = Vec::new();
    let balance = ledger.wallet(&id, deadline(ledger));
    latencies.push(("balance", measure(balance).await.map_err(failed)?));
    let request = TimelineRequest { user: id.clone(), limit: PAGE_SIZE, before: None, include_voided: false };
    let timeline = ledger.timeline(&request, deadline(ledger));
    latencies.push(("timeline", measure(timeline).await.map_err(failed)?));
    if let Some(generation) = &audit.generation {
        let charges = ledger.generation(generation, Some(&id), None, PAGE_SIZE, deadline(ledger));
        latencies.push(("generation", measure(charges).await.map_err(failed)?));
    }
    let mut discrepancies: Vec<_> = audit.discrepancies.listed().map(Discrepancy::to_string).collect();
    if audit.discrepancies.unlisted() > 0 {
        discrepancies.push(format!("and {} more", audit.discrepancies.unlisted()));
    }
    Ok(UserCheck { user, records: audit.records, voided: audit.voided, discrepancies, latencies })
}

/// The latency of a read. Damaged items are no error here: the audit reports them.
async fn measure<T>(read: impl Future<Output = Result<T, LedgerError>>) -> Result<Duration, LedgerError> {
    let started_at = Instant::now();
    match read.await {
        Ok(_) | Err(LedgerError::Internal(_) | LedgerError::ChargeNotFound) => Ok(started_at.elapsed()),
        Err(error) => Err(error),
    }
}
