//! Selects random users.

use std::collections::BTreeMap;

use futures_util::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use uuid::Uuid;

use crate::cli_error::CliError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) size: usize,
    /// The same seed selects the same users in any order.
    pub(super) seed: u64,
}

/// The users of the sample, or all without one.
pub(super) async fn select_users<'a, T: Send + 'a>(
    all: impl Stream<Item = Result<T, CliError>> + Send + 'a,
    user: impl Fn(&T) -> &str,
    sample: Option<Sample>,
) -> Result<BoxStream<'a, Result<T, CliError>>, CliError> {
    let Some(Sample { size, seed }) = sample else { return Ok(all.boxed()) };
    let mut all = Box::pin(all);
    let mut selected = BTreeMap::new();
    while let Some(item) = all.try_next().await? {
        // The hash of the name ranks a user, so a repeated name counts once.
        let rank = Uuid::new_v5(&Uuid::from_u64_pair(seed, 0), user(&item).as_bytes());
        selected.insert(rank, item);
        if selected.len() > size {
            selected.pop_last();
        }
    }
    Ok(stream::iter(selected.into_values().map(Ok)).boxed())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    async fn select(users: impl Iterator<Item = u32> + Send, sample: Option<Sample>) -> BTreeSet<String> {
        let all = stream::iter(users.map(|user| Ok(user.to_string())));
        let selected = select_users(all, String::as_str, sample).await.unwrap();
        selected.try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn sample_of_a_seed_has_the_same_users_in_any_order() {
        let sample = |seed| Some(Sample { size: 10, seed });
        let selected = select(0..1_000, sample(1)).await;
        assert_eq!(selected.len(), 10);
        assert_eq!(select((0..1_000).rev().chain(0..1_000), sample(1)).await, selected);
        assert_ne!(select(0..1_000, sample(2)).await, selected);
        assert_eq!(select(0..5, sample(1)).await.len(), 5);
        assert_eq!(select(0..1_000, None).await.len(), 1_000);
    }
}
