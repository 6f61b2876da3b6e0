//! Scans of the whole table: its users, and its items as plain JSON.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{put_item::PutItemError, scan::builders::ScanFluentBuilder},
    types::{ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure},
};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};
use serde_json::{Map, Value};

use super::{
    PageKey, Store, StoreError,
    key::{Item, text},
    names, order, record,
};

/// An item as plain JSON: numbers are numbers, maps are objects.
pub type JsonItem = Map<String, Value>;

/// One segment of a parallel scan. DynamoDB assigns users to segments by a hash, so that
/// segments have about the same size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanSegment {
    nth: i32,
    of: i32,
}

impl ScanSegment {
    /// The whole table.
    pub const WHOLE: ScanSegment = ScanSegment { nth: 0, of: 1 };

    /// The largest number of segments that DynamoDB allows.
    pub const OF_MAX: i32 = 1_000_000;

    /// Segment `nth` (from zero) of `of` segments; `None` if there is no such segment.
    pub fn new(nth: i32, of: i32) -> Option<ScanSegment> {
        (of <= ScanSegment::OF_MAX && (0..of).contains(&nth)).then_some(ScanSegment { nth, of })
    }

    /// The segment's number, from zero.
    pub fn nth(self) -> i32 {
        self.nth
    }

    /// The number of segments.
    pub fn of(self) -> i32 {
        self.of
    }
}

/// The outcome of [`Store::put_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutOutcome {
    /// The item was written.
    Now,
    /// The same item exists already.
    Before,
    /// Another item exists under the key, and is unchanged.
    Refused,
}

impl Store {
    /// Reads a page of users of a segment. Items of one user are adjacent, so each user is
    /// returned once a page. A user who is created meanwhile may be missed.
    ///
    /// # Errors
    /// Any [`StoreError`], as every call here.
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
        let locations = items.into_iter().map(|item| record::location(&item));
        let mut users: Vec<_> =
            locations.filter(|location| !order::is_order(location)).map(|location| location.user).collect();
        users.dedup();
        Ok((users, next))
    }

    /// Reads a page of the numbers of orders, also of invalid ones.
    pub async fn orders(&self, from: Option<PageKey>) -> Result<(Vec<String>, Option<PageKey>), StoreError> {
        let scan = self
            .scan(from)
            .consistent_read(false)
            .projection_expression(names::USER)
            .filter_expression("begins_with(user_uuid, :orders)")
            .expression_attribute_values(":orders", text(order::PARTITION));
        let (items, next) = page(scan).await?;
        let number =
            |item: Item| record::location(&item).user.strip_prefix(order::PARTITION).map(str::to_owned);
        let mut numbers: Vec<_> = items.into_iter().filter_map(number).collect();
        numbers.dedup();
        Ok((numbers, next))
    }

    /// Reads a page of all items strongly.
    pub async fn items(&self, from: Option<PageKey>) -> Result<(Vec<JsonItem>, Option<PageKey>), StoreError> {
        let (items, next) = page(self.scan(from)).await?;
        let items: Result<_, _> = items.into_iter().map(to_json).collect();
        Ok((items?, next))
    }

    /// Writes an item, if its key is free.
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

/// Converts an item to plain JSON; an item that would not convert back equally is an error.
fn to_json(item: Item) -> Result<JsonItem, StoreError> {
    let location = record::location(&item);
    let plain: JsonItem =
        from_item(item.clone()).map_err(|error| record::corrupt(&location, &error.to_string()))?;
    if from_json(plain.clone())? == item {
        Ok(plain)
    } else {
        Err(record::corrupt(&location, "has what JSON has not"))
    }
}

fn from_json(plain: JsonItem) -> Result<Item, StoreError> {
    to_item(plain).map_err(|error| StoreError::Other(error.to_string()))
}
