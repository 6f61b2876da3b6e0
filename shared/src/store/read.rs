use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::query::builders::QueryFluentBuilder,
    types::{KeysAndAttributes, ReturnConsumedCapacity},
};

use super::{
    Store, StoreError, held, item,
    key::{self, Item, text},
    table::{GENERATION_INDEX, TIMELINE_INDEX},
    units,
};
use crate::{
    domain::{Charge, Entry, GenerationUuid, Record, RecordKey, TransNo, UserUuid, Wallet},
    meter,
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
pub struct ChargePlace(Item);

/// A wallet as it stands in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptWallet(pub(super) Item);

impl KeptWallet {
    /// What it holds, as far as it is a wallet's.
    pub fn wallet(&self) -> Option<Wallet> {
        item::to_wallet(self.0.clone()).ok()
    }
}

/// An item of a user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
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
}

/// An end of a sorted range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
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
    pub async fn wallet(&self, user: &UserUuid) -> Result<Wallet, StoreError> {
        let item = self.get(user, key::WALLET.to_owned()).await?;
        let wallet = item.map_or_else(|| Ok(Wallet::default()), item::to_wallet)?;
        meter::note(|notes| notes.packs = Some(wallet.packs.len()));
        Ok(wallet)
    }

    /// The wallet as it stands, as of now; nothing for a user who has none.
    pub async fn kept_wallet(&self, user: &UserUuid) -> Result<Option<KeptWallet>, StoreError> {
        Ok(self.get(user, key::WALLET.to_owned()).await?.map(KeptWallet))
    }

    /// Whether the generation index has a charge. It may lag.
    pub async fn is_in_generation_index(
        &self,
        user: &UserUuid,
        generation: &GenerationUuid,
        trans_no: TransNo,
    ) -> Result<bool, StoreError> {
        let answer = self
            .query_of(GENERATION_INDEX, 1)
            .key_condition_expression("generation_uuid = :generation AND user_trans = :place")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .expression_attribute_values(":place", text(key::user_trans(user, trans_no)))
            .send()
            .await?;
        units::read(&answer.consumed_capacity);
        Ok(answer.items.is_some_and(|items| !items.is_empty()))
    }

    /// The record at a key, as of now.
    pub async fn record(&self, user: &UserUuid, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        self.get(user, key::sort(key)).await?.map(item::to_record).transpose()
    }

    async fn get(&self, user: &UserUuid, sort: String) -> Result<Option<Item>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key::of(user, sort)))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await?;
        units::read(&answer.consumed_capacity);
        Ok(answer.item)
    }

    /// A page of a user's charges and fences under a generation, with and
    /// without keys, as of now.
    pub async fn charges(
        &self,
        user: &UserUuid,
        generation: &GenerationUuid,
        from: Option<PageKey>,
    ) -> Result<(Vec<(RecordKey, Record)>, Option<PageKey>), StoreError> {
        let answer = self
            .query()
            .key_condition_expression("user_uuid = :user AND begins_with(sk, :charges)")
            .expression_attribute_values(":user", text(user.as_str()))
            .expression_attribute_values(":charges", text(key::charges_of(generation)))
            .consistent_read(true)
            .set_exclusive_start_key(from.map(|page| page.0))
            .send()
            .await?;
        units::read(&answer.consumed_capacity);
        let charges: Result<_, _> =
            answer.items.unwrap_or_default().into_iter().map(item::to_placed).collect();
        Ok((charges?, answer.last_evaluated_key.map(PageKey)))
    }

    /// A page of all that is a user's, as of now.
    pub async fn all(
        &self,
        user: &UserUuid,
        from: Option<PageKey>,
    ) -> Result<(Vec<Held>, Option<PageKey>), StoreError> {
        let answer = self
            .query()
            .key_condition_expression("user_uuid = :user")
            .expression_attribute_values(":user", text(user.as_str()))
            .consistent_read(true)
            .set_exclusive_start_key(from.map(|page| page.0))
            .send()
            .await?;
        units::read(&answer.consumed_capacity);
        let all = answer.items.unwrap_or_default().into_iter().map(held::judged).collect();
        Ok((all, answer.last_evaluated_key.map(PageKey)))
    }

    /// The newest records of a user, at most `limit`, of those made at or after
    /// `from` and before `before`, and whether the index has been read to its
    /// end. The index may lag.
    pub async fn timeline(
        &self,
        user: &UserUuid,
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
        units::read(&answer.consumed_capacity);
        let entries: Result<_, _> =
            answer.items.unwrap_or_default().into_iter().map(item::to_entry).collect();
        Ok((entries?, answer.last_evaluated_key.is_none()))
    }

    /// Whose charge stands first, or last, in a generation's part of the index.
    /// It is sorted by user: where both ends are one user's, all of it is. The
    /// index may lag.
    pub async fn generation_end(
        &self,
        generation: &GenerationUuid,
        end: End,
    ) -> Result<Option<UserUuid>, StoreError> {
        let answer = self
            .query_of(GENERATION_INDEX, 1)
            .key_condition_expression("generation_uuid = :generation")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .scan_index_forward(end == End::First)
            .send()
            .await?;
        units::read(&answer.consumed_capacity);
        answer.items.unwrap_or_default().pop().map(item::user).transpose()
    }

    /// Where a user's charges of a generation stand, newest first, at most
    /// `limit` of those before `before`. The index may lag.
    pub async fn generation_charges(
        &self,
        generation: &GenerationUuid,
        user: &UserUuid,
        before: Option<TransNo>,
        limit: usize,
    ) -> Result<Vec<ChargePlace>, StoreError> {
        let answer = self
            .query_of(GENERATION_INDEX, limit)
            .key_condition_expression("generation_uuid = :generation AND user_trans BETWEEN :from AND :to")
            .expression_attribute_values(":generation", text(generation.as_str()))
            .expression_attribute_values(":from", text(key::user_trans(user, uuid::Uuid::nil())))
            .expression_attribute_values(":to", text(key::user_trans(user, key::before(before))))
            .scan_index_forward(false)
            .send()
            .await?;
        units::read(&answer.consumed_capacity);
        let place = |item: Item| {
            item.into_iter().filter(|(name, _)| name == key::USER || name == key::SORT).collect()
        };
        Ok(answer.items.unwrap_or_default().into_iter().map(place).map(ChargePlace).collect())
    }

    /// The charges that stand at these places, as of now and in no order, and
    /// the places that one call had no room for.
    pub async fn charges_at(
        &self,
        places: Vec<ChargePlace>,
    ) -> Result<(Vec<Charge>, Vec<ChargePlace>), StoreError> {
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
        units::read(answer.consumed_capacity());
        let items = answer.responses.into_iter().flat_map(HashMap::into_values).flatten();
        let charges: Result<_, _> = items.map(item::to_charge).collect();
        let left =
            answer.unprocessed_keys.into_iter().flat_map(HashMap::into_values).flat_map(|left| left.keys);
        Ok((charges?, left.map(ChargePlace).collect()))
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
