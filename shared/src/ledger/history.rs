use tokio::try_join;

use super::{Ledger, retry::RetryState};
use crate::domain::{
    Charge, Entry, GenerationUuid, LedgerError, Summary, Timestamp, TransNo, UserUuid, Wallet,
};
use crate::store::End;

/// How many voided records a timeline page passes over at most.
const PASSED_OVER_MAX: usize = 1_000;

/// How many records a summary reads at a time; a page of DynamoDB ends by
/// itself at 1 MB.
const SUMMED_AT_ONCE: usize = 5_000;

/// How many allocations a page of charges shows at most, so that an answer stays
/// within the 6 MB of a synchronous Lambda response at 400 bytes each.
const SHOWN_ALLOCATIONS_MAX: usize = 10_000;

/// Some records, and where the next ones begin.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The records, newest first.
    pub records: Vec<T>,
    /// The next ones come before this one; absent on the last page.
    pub next: Option<TransNo>,
}

/// The charges of a generation, and whose they are.
pub type GenerationPage = (UserUuid, Page<Charge>);

/// What `timeline` is asked for.
#[derive(Clone, Debug)]
pub struct TimelineRequest {
    /// Whose records.
    pub user: UserUuid,
    /// At most how many.
    pub limit: usize,
    /// Of those before this one.
    pub before: Option<TransNo>,
    /// Whether voided charges are shown.
    pub include_voided: bool,
}

/// From when to when a summary goes; at least one end is given.
#[derive(Clone, Copy, Debug)]
pub struct SummaryRange {
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Until before this moment.
    pub to: Option<Timestamp>,
}

impl Ledger {
    /// A user's records, newest first. The index may lag.
    ///
    /// # Errors
    /// What every call may end with: `Busy`, `StoreUnavailable`, `Internal`.
    pub async fn timeline(
        &self,
        request: &TimelineRequest,
        deadline: Timestamp,
    ) -> Result<Page<Entry>, LedgerError> {
        let mut records: Vec<Entry> = Vec::new();
        let (mut last_seen, mut passed_over) = (request.before, 0);
        let mut ask = request.limit + 1;
        loop {
            let (entries, is_end) = self.entries(&request.user, None, last_seen, ask, deadline).await?;
            for entry in entries {
                if records.len() == request.limit || passed_over == PASSED_OVER_MAX {
                    return Ok(Page { records, next: last_seen });
                }
                last_seen = Some(entry.trans_no);
                if entry.void.is_some() && !request.include_voided {
                    passed_over += 1;
                } else {
                    records.push(entry);
                }
            }
            if is_end {
                return Ok(Page { records, next: None });
            }
            ask = (4 * ask).min(PASSED_OVER_MAX);
        }
    }

    /// A user's sums, and the wallet of now: over all time in one read, or of
    /// the records made in a range, through the index, which may lag.
    ///
    /// # Errors
    /// What every call may end with: `Busy`, `StoreUnavailable`, `Internal`.
    pub async fn summary(
        &self,
        user: &UserUuid,
        range: Option<SummaryRange>,
        deadline: Timestamp,
    ) -> Result<(Summary, Wallet), LedgerError> {
        let wallet = self.wallet(user, deadline);
        match range {
            None => {
                let wallet = wallet.await?;
                Ok((Summary::lifetime(&wallet, self.now())?, wallet))
            }
            Some(range) => try_join!(self.sum(user, range, deadline), wallet),
        }
    }

    async fn sum(
        &self,
        user: &UserUuid,
        range: SummaryRange,
        deadline: Timestamp,
    ) -> Result<Summary, LedgerError> {
        let (from, mut before) = (range.from.map(TransNo::first_at), range.to.map(TransNo::first_at));
        let mut summary = Summary::default();
        while from.zip(before).is_none_or(|(from, before)| from < before) {
            let (entries, is_end) = self.entries(user, from, before, SUMMED_AT_ONCE, deadline).await?;
            entries.iter().try_for_each(|entry| summary.count(entry))?;
            before = entries.last().map(|entry| entry.trans_no).or(before);
            if is_end {
                break;
            }
        }
        Ok(summary)
    }

    pub(super) async fn entries(
        &self,
        user: &UserUuid,
        from: Option<TransNo>,
        before: Option<TransNo>,
        limit: usize,
        deadline: Timestamp,
    ) -> Result<(Vec<Entry>, bool), LedgerError> {
        self.read(deadline, || self.store.timeline(user, from, before, limit)).await
    }

    /// Whose charges a generation's are, by the index.
    pub(super) async fn owner(
        &self,
        generation: &GenerationUuid,
        deadline: Timestamp,
    ) -> Result<UserUuid, LedgerError> {
        let end = |end| self.read(deadline, move || self.store.generation_end(generation, end));
        match try_join!(end(End::First), end(End::Last))? {
            (Some(first), Some(last)) if first == last => Ok(first),
            (None, _) | (_, None) => Err(LedgerError::ChargeNotFound),
            _ => Err(LedgerError::IdempotencyConflict(
                "two users have charges of this generation: name the user_uuid",
            )),
        }
    }

    /// The charges of a generation, newest first, voided ones too; of the user
    /// given, or of the one user whom the index shows.
    ///
    /// # Errors
    /// `ChargeNotFound`, `IdempotencyConflict` where the index shows two users
    /// and none is given, and what every call may end with: `Busy`,
    /// `StoreUnavailable`, `Internal`.
    pub async fn generation(
        &self,
        generation: &GenerationUuid,
        user: Option<&UserUuid>,
        before: Option<TransNo>,
        limit: usize,
        deadline: Timestamp,
    ) -> Result<GenerationPage, LedgerError> {
        let user = match user {
            Some(user) => user.clone(),
            None => self.owner(generation, deadline).await?,
        };
        let find = || self.store.generation_charges(generation, &user, before, limit + 1);
        let mut places = self.read(deadline, find).await?;
        if places.is_empty() && before.is_none() {
            return Err(LedgerError::ChargeNotFound);
        }
        let mut has_more = places.len() > limit;
        places.truncate(limit);
        let found = places.len();
        let mut records = Vec::with_capacity(found);
        let mut tries = RetryState::until(deadline);
        while !places.is_empty() {
            let (mut charges, left) = self.read(deadline, || self.store.charges_at(places.clone())).await?;
            records.append(&mut charges);
            places = left;
            if !places.is_empty() {
                self.pause(&mut tries, LedgerError::Busy).await?;
            }
        }
        if records.len() < found {
            return Err(LedgerError::Internal(format!(
                "the index shows charges of {generation} that are not there"
            )));
        }
        records.sort_by_key(|charge: &Charge| std::cmp::Reverse(charge.trans_no));
        let shown = showable(&records);
        has_more |= shown < records.len();
        records.truncate(shown);
        let next = records.last().map(|charge| charge.trans_no).filter(|_| has_more);
        Ok((user, Page { records, next }))
    }
}

/// How many of these charges one answer has room for; at least one.
fn showable(charges: &[Charge]) -> usize {
    let mut allocations = 0;
    let fits = |charge: &&Charge| {
        allocations += charge.allocations.len();
        allocations <= SHOWN_ALLOCATIONS_MAX
    };
    charges.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Allocation, ChargeType, Credits, Grant, GrantType, Nonce};

    fn charge(allocations: usize) -> Charge {
        let trans_no = TransNo::new(Timestamp::from_millis(0).unwrap(), Nonce::new(Uuid::nil()));
        let (trans_type, credits) = (GrantType::SystemAdd.into(), Credits::ZERO);
        let grant = Grant { trans_no, trans_type, credits, order_no: None, expired_at: None };
        Charge {
            trans_no,
            trans_type: ChargeType::Chat,
            credits,
            generation: None,
            order_no: None,
            allocations: vec![Allocation { grant, credits }; allocations],
            extra: Vec::new(),
            live: credits,
            void: None,
        }
    }

    #[test]
    fn a_page_shows_charges_while_their_allocations_fit_and_one_at_least() {
        for (allocations, shown) in [
            (&[1, 1, 1][..], 3),
            (&[5_000, 5_000], 2),
            (&[5_000, 5_000, 1], 2),
            (&[5_000, 5_001, 1], 1),
            (&[20_000, 1], 1),
        ] {
            let charges: Vec<_> = allocations.iter().map(|allocations| charge(*allocations)).collect();
            assert_eq!(showable(&charges), shown, "{allocations:?}");
        }
    }
}
