//! Which users are looked at.

use std::collections::BTreeMap;

use futures_util::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use uuid::Uuid;

use crate::cli_error::CliError;

/// So many of all, by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// How many.
    pub(super) size: usize,
    /// The same seed chooses the same users, in whatever order they come.
    pub(super) seed: u64,
}

/// Those of them that the sample chooses, or all.
pub(super) async fn select_users<'a, T: Send + 'a>(
    all: impl Stream<Item = Result<T, CliError>> + Send + 'a,
    user: impl Fn(&T) -> &str,
    sample: Option<Sample>,
) -> Result<BoxStream<'a, Result<T, CliError>>, CliError> {
    let Some(Sample { size, seed }) = sample else { return Ok(all.boxed()) };
    let mut all = Box::pin(all);
    let mut chosen = BTreeMap::new();
    while let Some(one) = all.try_next().await? {
        // A user who is named twice has one place.
        let place = Uuid::new_v5(&Uuid::from_u64_pair(seed, 0), user(&one).as_bytes());
        chosen.insert(place, one);
        if chosen.len() > size {
            chosen.pop_last();
        }
    }
    Ok(stream::iter(chosen.into_values().map(Ok)).boxed())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    async fn of(users: impl Iterator<Item = u32> + Send, sample: Option<Sample>) -> BTreeSet<String> {
        let all = stream::iter(users.map(|user| Ok(user.to_string())));
        let chosen = select_users(all, String::as_str, sample).await.unwrap();
        chosen.try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn a_seed_chooses_the_same_users_in_any_order() {
        let of_seed = |seed| Some(Sample { size: 10, seed });
        let chosen = of(0..1_000, of_seed(1)).await;
        assert_eq!(chosen.len(), 10);
        assert_eq!(of((0..1_000).rev().chain(0..1_000), of_seed(1)).await, chosen);
        assert_ne!(of(0..1_000, of_seed(2)).await, chosen);
        assert_eq!(of(0..5, of_seed(1)).await.len(), 5);
        assert_eq!(of(0..1_000, None).await.len(), 1_000);
    }
}
