//! The audits of all users of one segment of the table, up to a deadline.

use futures_util::stream::{FuturesOrdered, StreamExt};
use serde::Serialize;

use super::{AuditReport, Ledger, UserScan};
use crate::{
    domain::{Discrepancy, LedgerError, Timestamp, UserId},
    store::ScanSegment,
};

/// The number of concurrent audits.
const CONCURRENT_AUDITS: usize = 4;

/// The time limits of a run.
#[derive(Clone, Copy, Debug)]
pub struct AuditDeadline {
    /// No audit starts after this time, except that of the first user.
    pub last_start: Timestamp,
    /// All audits must end by this time.
    pub deadline: Timestamp,
}

/// The result of a run over a segment, or over a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditSummary {
    /// The number of the segment, from zero.
    pub segment: i32,
    /// The number of segments.
    pub of: i32,
    /// The number of audited users, without those whose audit failed.
    pub users: u64,
    /// The number of their records.
    pub records: u64,
    /// The number of voided records.
    pub voided: u64,
    /// The number of users with discrepancies.
    pub drifted: u64,
    /// The number of users whose audit failed.
    pub failed: u64,
    /// The last user of the run, if users remain: the field `after` of the next payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished_after: Option<String>,
}

type AuditResult = Result<AuditReport, LedgerError>;

impl Ledger {
    /// Audits the users of a segment, after the user `after` if there is one, and calls
    /// `on_user` with each result. If the audit of a user fails, the run counts it and
    /// continues. If the time ends, the summary names the last audited user.
    ///
    /// A user whose audit exceeds the remaining time is left for the next run. If this was the
    /// first user of the run, the audit had all of the time: it has failed, and the next run
    /// starts after that user.
    ///
    /// # Errors
    /// The second value is the error that ended the run, if the table is unreadable.
    pub async fn audit_segment(
        &self,
        segment: ScanSegment,
        after: Option<&str>,
        deadline: AuditDeadline,
        on_user: impl FnMut(&str, &AuditResult) + Send,
    ) -> (AuditSummary, Result<(), LedgerError>) {
        let mut summary = AuditSummary::new(segment);
        let users = self.users(segment, after);
        let result = self.audit_users(users, deadline, &mut summary, on_user).await;
        (summary, result)
    }

    async fn audit_users(
        &self,
        mut users: UserScan<'_>,
        deadline: AuditDeadline,
        summary: &mut AuditSummary,
        mut on_user: impl FnMut(&str, &AuditResult) + Send,
    ) -> Result<(), LedgerError> {
        let (mut last, mut has_started, mut is_scan_complete) = (None, false, false);
        let mut audits = FuturesOrdered::new();
        loop {
            while !is_scan_complete
                && audits.len() < CONCURRENT_AUDITS
                && !(has_started && self.now() >= deadline.last_start)
            {
                match users.next(deadline.deadline).await? {
                    Some(user) => audits.push_back(self.audit_user_id(user, deadline.deadline)),
                    None => is_scan_complete = true,
                }
                has_started = true;
            }
            let Some((user, result)) = audits.next().await else {
                summary.unfinished_after = last.filter(|_| !is_scan_complete);
                return Ok(());
            };
            if let Err(error) = &result {
                let now = self.now();
                if last.is_some() && now >= deadline.last_start {
                    summary.unfinished_after = last;
                    return Ok(());
                }
                if *error == LedgerError::StoreUnavailable && now < deadline.deadline {
                    return Err(LedgerError::StoreUnavailable);
                }
            }
            on_user(&user, &result);
            summary.add(&result);
            last = Some(user);
        }
    }

    async fn audit_user_id(&self, user: String, deadline: Timestamp) -> (String, AuditResult) {
        let result = match UserId::try_from(user.clone()) {
            Ok(id) => self.audit(&id, deadline).await,
            Err(_) => {
                Ok(AuditReport { discrepancies: Discrepancy::InvalidUser.into(), ..AuditReport::default() })
            }
        };
        (user, result)
    }
}

impl AuditSummary {
    fn new(segment: ScanSegment) -> AuditSummary {
        AuditSummary {
            segment: segment.nth(),
            of: segment.of(),
            users: 0,
            records: 0,
            voided: 0,
            drifted: 0,
            failed: 0,
            unfinished_after: None,
        }
    }

    fn add(&mut self, result: &AuditResult) {
        match result {
            Ok(report) => {
                self.users += 1;
                self.records += report.records;
                self.voided += report.voided;
                self.drifted += u64::from(!report.discrepancies.is_empty());
            }
            Err(_) => self.failed += 1,
        }
    }
}
