//! The index of holds: the charges that are held, by the end of their holds.

use super::{
    PageKey, Store, StoreError,
    attribute::{AttributeCodec, Attributes},
    capacity,
    key::{self, Item, ItemKey, text},
    names, record,
    table::HOLD_INDEX,
};
use crate::domain::{RecordKey, Timestamp, UserId};

/// The number of entries of one read.
const HOLDS_PER_PAGE: i32 = 100;

/// A charge in the index of holds, which may lag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCharge {
    /// The owner of the charge.
    pub user: UserId,
    /// The key of the charge.
    pub key: RecordKey,
    /// The end of the hold.
    pub until: Timestamp,
}

impl HeldCharge {
    /// The number of shards of the index.
    pub const SHARDS: u64 = key::HOLD_SHARDS;
}

impl Store {
    /// Reads a page of the charges of a shard whose holds ended before or at `now`, the longest
    /// overdue first. The index may lag.
    ///
    /// # Errors
    /// Any [`StoreError`].
    pub async fn overdue_holds(
        &self,
        shard: u64,
        now: Timestamp,
        from: Option<PageKey>,
    ) -> Result<(Vec<HeldCharge>, Option<PageKey>), StoreError> {
        let answer = self
            .index_query(HOLD_INDEX, HOLDS_PER_PAGE)
            .key_condition_expression("hold_shard = :shard AND hold_until <= :now")
            .expression_attribute_values(":shard", text(key::hold_shard(shard)))
            .expression_attribute_values(":now", now.to_attribute())
            .set_exclusive_start_key(from.map(|page| page.0))
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        let held = answer.items.unwrap_or_default().into_iter().map(to_held).collect::<Result<_, _>>()?;
        Ok((held, answer.last_evaluated_key.map(PageKey)))
    }
}

fn to_held(item: Item) -> Result<HeldCharge, StoreError> {
    let location = record::location(&item);
    let corrupt = |problem: &str| record::corrupt(&location, problem);
    let Some(ItemKey::Record(key)) = ItemKey::parse(&location.sort) else {
        return Err(corrupt("not the key of a record"));
    };
    let user = UserId::try_from(location.user.clone()).map_err(corrupt)?;
    let until = Attributes(item).take_required(names::HOLD_UNTIL).map_err(|problem| corrupt(&problem))?;
    Ok(HeldCharge { user, key, until })
}
