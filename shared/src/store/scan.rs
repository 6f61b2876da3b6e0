//! The whole table: whose items there are, and every item as plain JSON.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{put_item::PutItemError, scan::builders::ScanFluentBuilder},
    types::{ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure},
};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};
use serde_json::{Map, Value};

use super::{PageKey, Store, StoreError, key::Item, names, record};

/// An item as plain JSON: a number is a number, a map an object.
pub type JsonItem = Map<String, Value>;

/// One of so many parts of a table. Each user is in one of them, and DynamoDB says in
/// which: by a hash, so that all parts are of about one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanSegment {
    nth: i32,
    of: i32,
}

impl ScanSegment {
    /// The whole table.
    pub const WHOLE: ScanSegment = ScanSegment { nth: 0, of: 1 };

    /// Into how many parts DynamoDB cuts a table at most.
    pub const OF_MAX: i32 = 1_000_000;

    /// The part of this number, from zero, where there are so many.
    pub fn new(nth: i32, of: i32) -> Option<ScanSegment> {
        (of <= ScanSegment::OF_MAX && (0..of).contains(&nth)).then_some(ScanSegment { nth, of })
    }

    /// Its number.
    pub fn nth(self) -> i32 {
        self.nth
    }

    /// How many there are.
    pub fn of(self) -> i32 {
        self.of
    }
}

/// What became of an item that was to be put where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// It was put there.
    Now,
    /// It was there already, the same.
    Before,
    /// Another one is there, and stays.
    Refused,
}

impl Store {
    /// A page of all items of a part, each by the `user_uuid` that it is under. One user's
    /// come one after the other, so each user is named once a page; one who is new may be
    /// missed.
    ///
    /// # Errors
    /// As [`StoreError`] says; so for every call here.
    pub async fn users(
        &self,
        part: ScanSegment,
        from: Option<PageKey>,
    ) -> Result<(Vec<String>, Option<PageKey>), StoreError> {
        let mut scan = self.scan(from).consistent_read(false).projection_expression(names::USER);
        if part != ScanSegment::WHOLE {
            scan = scan.segment(part.nth).total_segments(part.of);
        }
        let (items, next) = page(scan).await?;
        let user = |item: Item| record::place(&item).user;
        let mut users: Vec<_> = items.into_iter().map(user).collect();
        users.dedup();
        Ok((users, next))
    }

    /// A page of all items, as of now.
    pub async fn items(&self, from: Option<PageKey>) -> Result<(Vec<JsonItem>, Option<PageKey>), StoreError> {
        let (items, next) = page(self.scan(from)).await?;
        let items: Result<_, _> = items.into_iter().map(to_json).collect();
        Ok((items?, next))
    }

    /// Puts an item where nothing is.
    pub async fn put_new(&self, plain: JsonItem) -> Result<PutOutcome, StoreError> {
        let item = from_json(plain)?;
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.clone()))
            .condition_expression("attribute_not_exists(sk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await;
        match put {
            Ok(_) => Ok(PutOutcome::Now),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(refused) = refused.into_err() else {
                    return Err(StoreError::Other("a failed condition of no kind".to_owned()));
                };
                Ok(if refused.item == Some(item) { PutOutcome::Before } else { PutOutcome::Refused })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn scan(&self, from: Option<PageKey>) -> ScanFluentBuilder {
        self.client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .set_exclusive_start_key(from.map(|page| page.0))
    }
}

async fn page(scan: ScanFluentBuilder) -> Result<(Vec<Item>, Option<PageKey>), StoreError> {
    let answer = scan.send().await?;
    Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key.map(PageKey)))
}

/// An item as plain JSON; one that would not come back the same is an error.
fn to_json(item: Item) -> Result<JsonItem, StoreError> {
    let place = record::place(&item);
    let plain: JsonItem =
        from_item(item.clone()).map_err(|error| record::corrupt(&place, &error.to_string()))?;
    if from_json(plain.clone())? == item {
        Ok(plain)
    } else {
        Err(record::corrupt(&place, "has what JSON has not"))
    }
}

fn from_json(plain: JsonItem) -> Result<Item, StoreError> {
    to_item(plain).map_err(|error| StoreError::Other(error.to_string()))
}
