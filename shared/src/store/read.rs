//! Reads of items. Each call is one round trip.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{query::builders::QueryFluentBuilder, transact_get_items::TransactGetItemsError},
    types::{AttributeValue, Get, KeysAndAttributes, ReturnConsumedCapacity, TransactGetItem},
};

use super::{
    Store, StoreError, StoredOrder, StoredWallet, capacity,
    error::{is_conflict, is_contention},
    key::{self, Item, ItemKey, text},
    names, order, record, stored_item,
    table::{GENERATION_INDEX, TIMELINE_INDEX},
    wallet::to_wallet,
};
use crate::{
    domain::{
        Charge, Entry, GenerationId, OldRows, Order, OrderNo, Record, RecordKey, RecordLookup, TransNo,
        UserId, Wallet,
    },
    invocation_metrics,
};

/// The position after which the next page of a read starts.
#[derive(Clone, Debug)]
pub struct PageKey(pub(super) Item);

impl PageKey {
    /// After every item of a user.
    pub fn after(user: &str) -> PageKey {
        PageKey(key::last_of(user))
    }
}

/// The key of a charge, as an index returned it.
#[derive(Clone, Debug)]
pub struct ChargeKey(Item);

/// The item of a wallet, which may be damaged.
#[derive(Clone, Debug, PartialEq)]
pub struct RawWallet(pub(super) Item);

impl RawWallet {
    /// The wallet; `None` if the item is damaged.
    pub fn wallet(&self) -> Option<Wallet> {
        to_wallet(self.0.clone()).ok().map(|stored| stored.wallet)
    }

    /// Whether the user is blocked, also if the rest of the item is damaged.
    pub fn is_blocked(&self) -> bool {
        self.0.get(names::BLOCKED) == Some(&AttributeValue::Bool(true))
    }
}

/// One item of a user, classified.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all items are records")]
pub enum StoredItem {
    /// The wallet.
    Wallet(Wallet),
    /// A record, or a fence.
    Record {
        /// Its key.
        key: RecordKey,
        /// Its content.
        record: Record,
        /// The rows of the old table, as text, in a record that an earlier version imported.
        /// This version writes them to [`StoredItem::OldRows`].
        old_rows: Option<String>,
    },
    /// The rows of the old table from which records were imported.
    OldRows(OldRows),
    /// One part of a repair's report.
    Repair(TransNo),
    /// An item that the ledger did not write in this form: its key, and the reason.
    Unreadable(String),
    /// The same, under the key of the wallet.
    UnreadableWallet(String),
    /// An item of a newer format: its key, and the format.
    NewerFormat(String),
}

impl StoredItem {
    /// The rows of the old table in this item, by the keys of their records.
    pub fn old_rows(&self) -> impl Iterator<Item = (&RecordKey, &String)> {
        let (item, record) = match self {
            StoredItem::OldRows(rows) => (Some(rows), None),
            StoredItem::Record { key, old_rows: Some(rows), .. } => (None, Some((key, rows))),
            _ => (None, None),
        };
        item.into_iter().flatten().chain(record)
    }
}

/// The first or the last entry of a sorted range of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexEdge {
    /// The lowest entry.
    First,
    /// The highest entry.
    Last,
}

impl Store {
    /// Reads a wallet strongly; an empty one for a user without a wallet.
    ///
    /// # Errors
    /// Any [`StoreError`], as every read here.
    pub async fn wallet(&self, user: &UserId) -> Result<StoredWallet, StoreError> {
        decode_wallet(self.get(user, &ItemKey::Wallet).await?)
    }

    /// Reads the item of a wallet strongly, without decoding it.
    pub async fn raw_wallet(&self, user: &UserId) -> Result<Option<RawWallet>, StoreError> {
        Ok(self.get(user, &ItemKey::Wallet).await?.map(RawWallet))
    }

    /// Whether the generation index contains a charge. The index may lag.
    pub async fn is_in_generation_index(
        &self,
        user: &UserId,
        generation: &GenerationId,
        trans_no: TransNo,
    ) -> Result<bool, StoreError> {
        let answer = self
            .index_query(GENERATION_INDEX, 1)
            .key_condition_expression("generation_uuid = :generation AND user_trans = :user_trans")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .expression_attribute_values(":user_trans", text(key::user_trans(user, trans_no)))
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        Ok(answer.items.is_some_and(|items| !items.is_empty()))
    }

    /// Reads an order strongly.
    pub async fn order(&self, order_no: &OrderNo) -> Result<Option<Order>, StoreError> {
        let item = self.get_item(order::key_of(order_no)).await?;
        Ok(item.map(order::to_order).transpose()?.map(|(_, order)| order))
    }

    /// Reads an order strongly, and classifies its item.
    pub async fn stored_order(&self, order_no: &OrderNo) -> Result<Option<StoredOrder>, StoreError> {
        Ok(self.get_item(order::key_of(order_no)).await?.map(order::classify))
    }

    /// Reads a record strongly.
    pub async fn record(&self, user: &UserId, key: &RecordKey) -> Result<RecordLookup, StoreError> {
        let item = self.get(user, &ItemKey::Record(key.clone())).await?;
        to_read_record(key.clone(), item)
    }

    /// Reads the wallet and some records in one transaction, so that all are of one moment.
    /// DynamoDB rejects it while a write transaction holds one of these items.
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
        let wallet = decode_wallet(items.next().flatten())?;
        let records = keys.iter().zip(items).map(|(key, item)| to_read_record(key.clone(), item));
        Ok((wallet, records.collect::<Result<_, _>>()?))
    }

    async fn get(&self, user: &UserId, key: &ItemKey) -> Result<Option<Item>, StoreError> {
        self.get_item(key.of(user)).await
    }

    async fn get_item(&self, key: Item) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        Ok(answer.item)
    }

    /// Reads a page of a user's charges and fences of a generation strongly.
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

    /// Reads a page of all items of a user strongly.
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

    /// Reads at most `limit` records of a user from `from` (inclusive) to `before`
    /// (exclusive), newest first, and whether the range ended. The index may lag.
    pub async fn timeline(
        &self,
        user: &UserId,
        from: Option<TransNo>,
        before: Option<TransNo>,
        limit: usize,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let answer = self
            .index_query(TIMELINE_INDEX, limit_of(limit))
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

    /// The user of the first or last charge of a generation in the index. The index is
    /// sorted by user: if both edges belong to one user, all charges do. It may lag.
    pub async fn user_at_edge(
        &self,
        generation: &GenerationId,
        edge: IndexEdge,
    ) -> Result<Option<UserId>, StoreError> {
        let answer = self
            .index_query(GENERATION_INDEX, 1)
            .key_condition_expression("generation_uuid = :generation")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .scan_index_forward(edge == IndexEdge::First)
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        answer.items.unwrap_or_default().pop().map(record::user).transpose()
    }

    /// The keys of at most `limit` charges of a user and generation before `before`, newest
    /// first. The index may lag.
    pub async fn generation_charges(
        &self,
        generation: &GenerationId,
        user: &UserId,
        before: Option<TransNo>,
        limit: usize,
    ) -> Result<Vec<ChargeKey>, StoreError> {
        let answer = self
            .index_query(GENERATION_INDEX, limit_of(limit))
            .key_condition_expression("generation_uuid = :generation AND user_trans BETWEEN :from AND :to")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .expression_attribute_values(":from", text(key::user_trans(user, uuid::Uuid::nil())))
            .expression_attribute_values(":to", text(key::user_trans(user, key::before(before))))
            .scan_index_forward(false)
            .send()
            .await?;
        capacity::record_read(&answer.consumed_capacity);
        let key = |item: Item| {
            item.into_iter().filter(|(name, _)| name == names::USER || name == names::SORT).collect()
        };
        Ok(answer.items.unwrap_or_default().into_iter().map(key).map(ChargeKey).collect())
    }

    /// Reads charges strongly, in no order, and returns the keys that DynamoDB left
    /// unprocessed.
    pub async fn charges_by_keys(
        &self,
        keys: Vec<ChargeKey>,
    ) -> Result<(Vec<Charge>, Vec<ChargeKey>), StoreError> {
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.into_iter().map(|key| key.0).collect()))
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
        let unprocessed = answer
            .unprocessed_keys
            .into_iter()
            .flat_map(HashMap::into_values)
            .flat_map(|request| request.keys);
        Ok((charges?, unprocessed.map(ChargeKey).collect()))
    }

    pub(super) fn index_query(&self, index: &str, limit: i32) -> QueryFluentBuilder {
        self.query().index_name(index).limit(limit)
    }

    fn query(&self) -> QueryFluentBuilder {
        self.client.query().table_name(&self.table).return_consumed_capacity(ReturnConsumedCapacity::Indexes)
    }
}

fn limit_of(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

fn decode_wallet(item: Option<Item>) -> Result<StoredWallet, StoreError> {
    let stored = item.map_or_else(|| Ok(StoredWallet::default()), to_wallet)?;
    invocation_metrics::record(|metrics| metrics.packs = Some(stored.wallet.packs.len()));
    Ok(stored)
}

/// Decodes what a read of a record's key returned.
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

/// The reasons of a cancelled read transaction.
fn cancellation_codes<R>(error: &SdkError<TransactGetItemsError, R>) -> Option<Vec<String>> {
    let TransactGetItemsError::TransactionCanceledException(cancelled) = error.as_service_error()? else {
        return None;
    };
    let codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
    Some(codes.filter(|code| *code != "None").map(str::to_owned).collect())
}
