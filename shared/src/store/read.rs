//! The reads. Each is one round trip.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{query::builders::QueryFluentBuilder, transact_get_items::TransactGetItemsError},
    types::{AttributeValue, Get, KeysAndAttributes, ReturnConsumedCapacity, TransactGetItem},
};

use super::{
    Store, StoreError, StoredWallet, capacity,
    error::{is_conflict, is_contention},
    key::{self, Item, ItemKey, text},
    names, record, stored_item,
    table::{GENERATION_INDEX, TIMELINE_INDEX},
    wallet::to_wallet,
};
use crate::{
    domain::{Charge, Entry, GenerationId, Record, RecordKey, RecordLookup, TransNo, UserId, Wallet},
    invocation_metrics,
};

/// Where a read goes on.
#[derive(Clone, Debug)]
pub struct PageKey(pub(super) Item);

impl PageKey {
    /// Behind all that a user may have.
    pub fn after(user: &str) -> PageKey {
        PageKey(key::last_of(user))
    }
}

/// Where the index says that a charge stands.
#[derive(Clone, Debug)]
pub struct ChargeKey(Item);

/// A wallet as it stands in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct RawWallet(pub(super) Item);

impl RawWallet {
    /// What it holds, as far as it is a wallet's.
    pub fn wallet(&self) -> Option<Wallet> {
        to_wallet(self.0.clone()).ok().map(|stored| stored.wallet)
    }
}

/// An item of a user's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all items are records")]
pub enum StoredItem {
    /// The wallet.
    Wallet(Wallet),
    /// A record, or a fence.
    Record {
        /// Where it stands.
        key: RecordKey,
        /// What it is.
        record: Record,
        /// The rows of the old table that it was made of, as text; none of a record
        /// that was made here.
        old_rows: Option<String>,
    },
    /// What is kept of a repair, or a part of it.
    Repair(TransNo),
    /// None that the ledger has written: its key, and why.
    Unreadable(String),
    /// The same, in the place of the wallet.
    UnreadableWallet(String),
    /// An item of a newer format: its key, and which.
    NewerFormat(String),
}

/// An end of a sorted range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexEdge {
    /// The lowest.
    First,
    /// The highest.
    Last,
}

impl Store {
    /// The wallet, as of now; an empty one for a user who has none.
    ///
    /// # Errors
    /// As [`StoreError`] says; so for every call here.
    pub async fn wallet(&self, user: &UserId) -> Result<StoredWallet, StoreError> {
        found_wallet(self.get(user, &ItemKey::Wallet).await?)
    }

    /// The wallet as it stands, as of now; nothing for a user who has none.
    pub async fn raw_wallet(&self, user: &UserId) -> Result<Option<RawWallet>, StoreError> {
        Ok(self.get(user, &ItemKey::Wallet).await?.map(RawWallet))
    }

    /// Whether the generation index has a charge. It may lag.
    pub async fn is_in_generation_index(
        &self,
        user: &UserId,
        generation: &GenerationId,
        trans_no: TransNo,
    ) -> Result<bool, StoreError> {
        let answer = self
            .query_of(GENERATION_INDEX, 1)
            .key_condition_expression("generation_uuid = :generation AND user_trans = :place")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .expression_attribute_values(":place", text(key::user_trans(user, trans_no)))
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        Ok(answer.items.is_some_and(|items| !items.is_empty()))
    }

    /// The record at a key, as of now.
    pub async fn record(&self, user: &UserId, key: &RecordKey) -> Result<RecordLookup, StoreError> {
        let item = self.get(user, &ItemKey::Record(key.clone())).await?;
        to_read_record(key.clone(), item)
    }

    /// The wallet and the records at some keys, as of one moment: it is refused while a
    /// transaction is at one of these items.
    pub async fn snapshot(
        &self,
        user: &UserId,
        keys: &[RecordKey],
    ) -> Result<(StoredWallet, Vec<RecordLookup>), StoreError> {
        let records = keys.iter().map(|key| ItemKey::Record(key.clone()));
        let gets: Result<Vec<_>, StoreError> = std::iter::once(ItemKey::Wallet)
            .chain(records)
            .map(|key| {
                let get = Get::builder().table_name(&self.table).set_key(Some(key.of(user))).build()?;
                Ok(TransactGetItem::builder().get(get).build())
            })
            .collect();
        let sent = self
            .client
            .transact_get_items()
            .set_transact_items(Some(gets?))
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await;
        let answer = sent.map_err(|error| match cancellation_codes(&error) {
            Some(codes) if codes.iter().all(|code| is_conflict(code) || is_contention(code)) => {
                StoreError::Contended
            }
            _ => error.into(),
        })?;
        capacity::record_read(answer.consumed_capacity());
        let mut items = answer.responses.unwrap_or_default().into_iter().map(|response| response.item);
        let wallet = found_wallet(items.next().flatten())?;
        let records = keys.iter().zip(items).map(|(key, item)| to_read_record(key.clone(), item));
        Ok((wallet, records.collect::<Result<_, _>>()?))
    }

    async fn get(&self, user: &UserId, key: &ItemKey) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.of(user)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        Ok(answer.item)
    }

    /// A page of a user's charges and fences under a generation, with and
    /// without keys, as of now.
    pub async fn charges(
        &self,
        user: &UserId,
        generation: &GenerationId,
        from: Option<PageKey>,
    ) -> Result<(Vec<RecordLookup>, Option<PageKey>), StoreError> {
        let answer = self
            .query()
            .key_condition_expression("user_uuid = :user AND begins_with(sk, :charges)")
            .expression_attribute_values(":user", text(user.as_str()))
            .expression_attribute_values(":charges", text(key::charges_of(generation)))
            .consistent_read(true)
            .set_exclusive_start_key(from.map(|page| page.0))
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        let charge = |item: Item| {
            let bytes = item_bytes(&item);
            let (key, record) = record::to_keyed_record(item)?;
            Ok::<_, StoreError>(RecordLookup { key, record: Some(record), bytes })
        };
        let charges: Result<_, _> = answer.items.unwrap_or_default().into_iter().map(charge).collect();
        Ok((charges?, answer.last_evaluated_key.map(PageKey)))
    }

    /// A page of all that is a user's, as of now.
    pub async fn all(
        &self,
        user: &UserId,
        from: Option<PageKey>,
    ) -> Result<(Vec<StoredItem>, Option<PageKey>), StoreError> {
        let answer = self
            .query()
            .key_condition_expression("user_uuid = :user")
            .expression_attribute_values(":user", text(user.as_str()))
            .consistent_read(true)
            .set_exclusive_start_key(from.map(|page| page.0))
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        let all = answer.items.unwrap_or_default().into_iter().map(stored_item::classify).collect();
        Ok((all, answer.last_evaluated_key.map(PageKey)))
    }

    /// The newest records of a user, at most `limit`, of those made at or after
    /// `from` and before `before`, and whether the index has been read to its
    /// end. The index may lag.
    pub async fn timeline(
        &self,
        user: &UserId,
        from: Option<TransNo>,
        before: Option<TransNo>,
        limit: usize,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let answer = self
            .query_of(TIMELINE_INDEX, limit)
            .key_condition_expression("user_uuid = :user AND trans_no BETWEEN :from AND :to")
            .expression_attribute_values(":user", text(user.as_str()))
            .expression_attribute_values(":from", text(from.map_or_else(uuid::Uuid::nil, TransNo::uuid)))
            .expression_attribute_values(":to", text(key::before(before)))
            .scan_index_forward(false)
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        let entries: Result<_, _> =
            answer.items.unwrap_or_default().into_iter().map(record::to_entry).collect();
        Ok((entries?, answer.last_evaluated_key.is_none()))
    }

    /// Whose charge stands first, or last, in a generation's part of the index.
    /// It is sorted by user: where both ends are one user's, all of it is. The
    /// index may lag.
    pub async fn generation_end(
        &self,
        generation: &GenerationId,
        end: IndexEdge,
    ) -> Result<Option<UserId>, StoreError> {
        let answer = self
            .query_of(GENERATION_INDEX, 1)
            .key_condition_expression("generation_uuid = :generation")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .scan_index_forward(end == IndexEdge::First)
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        answer.items.unwrap_or_default().pop().map(record::user).transpose()
    }

    /// Where a user's charges of a generation stand, newest first, at most
    /// `limit` of those before `before`. The index may lag.
    pub async fn generation_charges(
        &self,
        generation: &GenerationId,
        user: &UserId,
        before: Option<TransNo>,
        limit: usize,
    ) -> Result<Vec<ChargeKey>, StoreError> {
        let answer = self
            .query_of(GENERATION_INDEX, limit)
            .key_condition_expression("generation_uuid = :generation AND user_trans BETWEEN :from AND :to")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .expression_attribute_values(":from", text(key::user_trans(user, uuid::Uuid::nil())))
            .expression_attribute_values(":to", text(key::user_trans(user, key::before(before))))
            .scan_index_forward(false)
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        let place = |item: Item| {
            item.into_iter().filter(|(name, _)| name == names::USER || name == names::SORT).collect()
        };
        Ok(answer.items.unwrap_or_default().into_iter().map(place).map(ChargeKey).collect())
    }

    /// The charges that stand at these places, as of now and in no order, and
    /// the places that one call had no room for.
    pub async fn charges_at(
        &self,
        places: Vec<ChargeKey>,
    ) -> Result<(Vec<Charge>, Vec<ChargeKey>), StoreError> {
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(places.into_iter().map(|place| place.0).collect()))
            .consistent_read(true)
            .build()
            .map_err(|error| StoreError::Other(error.to_string()))?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, keys)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await?;
        capacity::record_read(answer.consumed_capacity());
        let items = answer.responses.into_iter().flat_map(HashMap::into_values).flatten();
        let charges: Result<_, _> = items.map(record::to_charge).collect();
        let left =
            answer.unprocessed_keys.into_iter().flat_map(HashMap::into_values).flat_map(|left| left.keys);
        Ok((charges?, left.map(ChargeKey).collect()))
    }

    /// A query of at most so many entries of an index.
    fn query_of(&self, index: &str, limit: usize) -> QueryFluentBuilder {
        self.query().index_name(index).limit(i32::try_from(limit).unwrap_or(i32::MAX))
    }

    /// A query of the table; the caller says of what.
    fn query(&self) -> QueryFluentBuilder {
        self.client.query().table_name(&self.table).return_consumed_capacity(ReturnConsumedCapacity::Indexes)
    }
}

fn found_wallet(item: Option<Item>) -> Result<StoredWallet, StoreError> {
    let stored = item.map_or_else(|| Ok(StoredWallet::default()), to_wallet)?;
    invocation_metrics::record(|metrics| metrics.packs = Some(stored.wallet.packs.len()));
    Ok(stored)
}

/// What was read at a record's key.
pub(super) fn to_read_record(key: RecordKey, item: Option<Item>) -> Result<RecordLookup, StoreError> {
    let bytes = item.as_ref().map_or(0, item_bytes);
    Ok(RecordLookup { key, record: item.map(record::to_record).transpose()?, bytes })
}

/// The size of an item, by the rules of "DynamoDB item sizes and formats".
pub(super) fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_bytes(value)).sum()
}

fn value_bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        // At most one byte for two digits, one for the sign, and one more.
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 2,
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_bytes(value)).sum::<usize>(),
        AttributeValue::M(map) => 3 + map.len() + item_bytes(map),
        _ => 1,
    }
}

/// Why a transaction of reads was cancelled, where it was.
fn cancellation_codes<R>(error: &SdkError<TransactGetItemsError, R>) -> Option<Vec<String>> {
    let TransactGetItemsError::TransactionCanceledException(cancelled) = error.as_service_error()? else {
        return None;
    };
    let codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    Some(codes.filter(|code| *code != "None").map(str::to_owned).collect())
}
