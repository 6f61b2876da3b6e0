//! The audits of many users, one segment of the table at a time, until the time is up.

use futures_util::stream::{FuturesOrdered, StreamExt};
use serde::Serialize;

use super::{AuditReport, Ledger, UserScan};
use crate::{
    domain::{Discrepancy, LedgerError, Timestamp, UserId},
    store::ScanSegment,
};

/// How many users are audited at once.
const AT_ONCE: usize = 4;

/// How long a run may take.
#[derive(Clone, Copy, Debug)]
pub struct AuditDeadline {
    /// From then on no audit begins, except that of the first user.
    pub last_begin: Timestamp,
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
type Audited = Result<AuditReport, LedgerError>;

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
        on_user: impl FnMut(&str, &Audited) + Send,
    ) -> (AuditSummary, Result<(), LedgerError>) {
        let mut summary = AuditSummary::new(segment);
        let users = self.users(segment, after);
        let ended = self.audit_users(users, deadline, &mut summary, on_user).await;
        (summary, ended)
    }

    async fn audit_users(
        &self,
        mut users: UserScan<'_>,
        deadline: AuditDeadline,
        summary: &mut AuditSummary,
        mut on_user: impl FnMut(&str, &Audited) + Send,
    ) -> Result<(), LedgerError> {
        let (mut last, mut has_begun, mut is_over) = (None, false, false);
        let mut audits = FuturesOrdered::new();
        loop {
            while !is_over && audits.len() < AT_ONCE && !(has_begun && self.now() >= deadline.last_begin) {
                match users.next(deadline.deadline).await? {
                    Some(user) => audits.push_back(self.audit_named(user, deadline.deadline)),
                    None => is_over = true,
                }
                has_begun = true;
            }
            let Some((user, audited)) = audits.next().await else {
                summary.unfinished_after = last.filter(|_| !is_over);
                return Ok(());
            };
            if let Err(error) = &audited {
                let now = self.now();
                if last.is_some() && now >= deadline.last_begin {
                    summary.unfinished_after = last;
                    return Ok(());
                }
                if *error == LedgerError::StoreUnavailable && now < deadline.deadline {
                    return Err(LedgerError::StoreUnavailable);
                }
            }
            on_user(&user, &audited);
            summary.add(&audited);
            last = Some(user);
        }
    }

    async fn audit_named(&self, user: String, deadline: Timestamp) -> (String, Audited) {
        let audited = match UserId::try_from(user.clone()) {
            Ok(id) => self.audit(&id, deadline).await,
            Err(_) => Ok(AuditReport { discrepancies: Discrepancy::NoUser.into(), ..AuditReport::default() }),
        };
        (user, audited)
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

    fn add(&mut self, audited: &Audited) {
        match audited {
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
