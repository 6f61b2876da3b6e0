use futures_util::stream::{FuturesOrdered, StreamExt};

use super::{AuditReport, Ledger};
use crate::{
    domain::{Discrepancy, LedgerError, Timestamp, UserUuid},
    store::Part,
};

/// How many users are audited at once.
const AT_ONCE: usize = 4;

/// How long a round may take.
#[derive(Clone, Copy, Debug)]
pub struct AuditDeadline {
    /// From then on nobody is begun with, but the very first user.
    pub last_begin: Timestamp,
    /// When all must have ended.
    pub deadline: Timestamp,
}

impl Ledger {
    /// Audits the users of a part, behind one where one is given, and tells each. Where the
    /// time is up before all are done, it says who was the last: all up to there are done.
    ///
    /// # Errors
    /// What every call may end with, for all who were told before it ended so.
    pub async fn audit_segment(
        &self,
        part: Part,
        after: Option<&str>,
        until: AuditDeadline,
        mut tell: impl FnMut(&str, &AuditReport) + Send,
    ) -> Result<Option<String>, LedgerError> {
        let (mut users, mut last) = (self.users(part, after), None);
        let (mut audits, mut has_begun, mut is_over) = (FuturesOrdered::new(), false, false);
        loop {
            while !is_over && audits.len() < AT_ONCE && !(has_begun && self.now() >= until.last_begin) {
                match users.next(until.deadline).await? {
                    Some(user) => audits.push_back(self.audit_named(user, until.deadline)),
                    None => is_over = true,
                }
                has_begun = true;
            }
            match audits.next().await {
                None if is_over => return Ok(None),
                None => return Ok(last),
                Some(Ok((user, audited))) => {
                    tell(&user, &audited);
                    last = Some(user);
                }
                // A user who is too much for what was left of the time is the first of the
                // next round, and has all of its time.
                Some(Err(_)) if last.is_some() && self.now() >= until.last_begin => return Ok(last),
                Some(Err(error)) => return Err(error),
            }
        }
    }

    async fn audit_named(
        &self,
        user: String,
        deadline: Timestamp,
    ) -> Result<(String, AuditReport), LedgerError> {
        let audited = match UserUuid::try_from(user.clone()) {
            Ok(id) => self.audit(&id, deadline).await?,
            Err(_) => AuditReport { discrepancies: [Discrepancy::NoUser].into(), ..AuditReport::default() },
        };
        Ok((user, audited))
    }
}
