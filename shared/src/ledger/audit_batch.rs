//! The audits of many users, one segment of the table at a time, until the time is up.

use futures_util::stream::{FuturesOrdered, StreamExt};
use serde::Serialize;

use super::{AuditReport, Ledger, UserScan};
use crate::{
    domain::{Discrepancy, LedgerError, Timestamp, UserId},
    store::ScanSegment,
};

/// How many users are audited at once.
const CONCURRENT_AUDITS: usize = 4;

/// How long a run may take.
#[derive(Clone, Copy, Debug)]
pub struct AuditDeadline {
    /// From then on no audit begins, except that of the first user.
    pub last_start: Timestamp,
    /// When all audits must have ended.
    pub deadline: Timestamp,
}

/// What a run found in a segment, or in a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditSummary {
    /// The number of the segment, from zero.
    pub segment: i32,
    /// How many segments the table has.
    pub of: i32,
    /// How many users were audited, without those whose audit failed.
    pub users: u64,
    /// How many records they have.
    pub records: u64,
    /// How many of these are voided.
    pub voided: u64,
    /// How many users have discrepancies.
    pub drifted: u64,
    /// How many users' audits failed.
    pub failed: u64,
    /// The last user of the run, where there are more: the next payload's `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfinished_after: Option<String>,
}

/// What an audit ended with.
type AuditResult = Result<AuditReport, LedgerError>;

impl Ledger {
    /// Audits the users of a segment, behind one where one is given, and passes each result
    /// on. A user whose audit fails is counted, and the run goes on. Where the time is up,
    /// the summary names the last user: all before it are done.
    ///
    /// A user who needs more than the rest of the time is left for the next run. One who was
    /// the first of the run had all of its time: that user has failed, and the next run
    /// begins behind it.
    ///
    /// The result beside the summary is the error that ended the run, if one did: the table
    /// cannot be read.
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
