//! The charges of a generation, and their owner.

use tokio::try_join;

use super::{Ledger, Page, retry::RetryState};
use crate::{
    domain::{Charge, GenerationId, LedgerError, Timestamp, TransNo, UserId},
    store::IndexEdge,
};

/// The largest number of allocations on a page of charges. At 400 bytes each, the response
/// stays within the 6 MB of a synchronous Lambda response.
const PAGE_ALLOCATIONS_MAX: usize = 10_000;

/// The owner of a generation, and a page of its charges.
pub type GenerationPage = (UserId, Page<Charge>);

impl Ledger {
    /// The charges of a generation, newest first, including voided ones: those of the given
    /// user, or else of the owner in the index.
    ///
    /// # Errors
    /// `ChargeNotFound`; `IdempotencyConflict` if no user is given and the index has two;
    /// `Busy`, `StoreUnavailable` or `Internal`.
    pub async fn generation(
        &self,
        generation: &GenerationId,
        user: Option<&UserId>,
        before: Option<TransNo>,
        limit: usize,
        deadline: Timestamp,
    ) -> Result<GenerationPage, LedgerError> {
        let user = match user {
            Some(user) => user.clone(),
            None => self.generation_owner(generation, deadline).await?,
        };
        let look_up = || self.store.generation_charges(generation, &user, before, limit + 1);
        let mut keys = self.read(deadline, look_up).await?;
        if keys.is_empty() && before.is_none() {
            return Err(LedgerError::ChargeNotFound);
        }
        let mut has_more = keys.len() > limit;
        keys.truncate(limit);
        let count = keys.len();
        let mut records = Vec::with_capacity(count);
        let mut retries = RetryState::until(deadline);
        while !keys.is_empty() {
            let (mut charges, unread) =
                self.read(deadline, || self.store.charges_by_keys(keys.clone())).await?;
            records.append(&mut charges);
            keys = unread;
            if !keys.is_empty() {
                self.pause(&mut retries, LedgerError::Busy).await?;
            }
        }
        if records.len() < count {
            return Err(LedgerError::Internal(format!(
                "the index contains charges of {generation} that do not exist"
            )));
        }
        records.sort_by_key(|charge: &Charge| std::cmp::Reverse(charge.trans_no));
        let len = page_len(&records);
        has_more |= len < records.len();
        records.truncate(len);
        let next = records.last().map(|charge| charge.trans_no).filter(|_| has_more);
        Ok((user, Page { records, next }))
    }

    /// The user of a generation in the index.
    pub(super) async fn generation_owner(
        &self,
        generation: &GenerationId,
        deadline: Timestamp,
    ) -> Result<UserId, LedgerError> {
        let user_at = |edge| self.read(deadline, move || self.store.user_at_edge(generation, edge));
        match try_join!(user_at(IndexEdge::First), user_at(IndexEdge::Last))? {
            (Some(first), Some(last)) if first == last => Ok(first),
            (None, _) | (_, None) => Err(LedgerError::ChargeNotFound),
            _ => Err(LedgerError::IdempotencyConflict(
                "Two users have charges of this generation. Send `user_uuid`.",
            )),
        }
    }
}

/// The number of these charges that fit into one response; at least one.
fn page_len(charges: &[Charge]) -> usize {
    let mut allocations = 0;
    let fits = |charge: &&Charge| {
        allocations += charge.allocations.len();
        allocations <= PAGE_ALLOCATIONS_MAX
    };
    charges.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Allocation, ChargeType, Credits, Grant, GrantType, InvocationId};

    fn charge(allocations: usize) -> Charge {
        let trans_no = TransNo::new(Timestamp::from_millis(0).unwrap(), InvocationId::new(Uuid::nil()));
        let (trans_type, credits) = (GrantType::SystemAdd.into(), Credits::ZERO);
        let grant = Grant { trans_no, trans_type, credits, order_no: None, expired_at: None };
        let allocations = vec![Allocation { grant, credits }; allocations];
        Charge::new(trans_no, ChargeType::Chat, credits, allocations)
    }

    #[test]
    fn page_len_is_limited_by_allocations_and_at_least_one() {
        for (allocations, len) in [
            (&[1, 1, 1][..], 3),
            (&[5_000, 5_000], 2),
            (&[5_000, 5_000, 1], 2),
            (&[5_000, 5_001, 1], 1),
            (&[20_000, 1], 1),
        ] {
            let charges: Vec<_> = allocations.iter().map(|allocations| charge(*allocations)).collect();
            assert_eq!(page_len(&charges), len, "{allocations:?}");
        }
    }
}
