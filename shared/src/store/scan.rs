//! The whole table: whose items there are, and every item as plain JSON.

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{put_item::PutItemError, scan::builders::ScanFluentBuilder},
    types::{ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure},
};
use serde_json::{Map, Value};

use super::{
    PageKey, Store, StoreError, item,
    key::{self, Item},
};

/// An item as plain JSON: a number is a number, a map an object.
pub type Plain = Map<String, Value>;

/// What became of an item that was to be put where nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was put there.
    Now,
    /// It was there already, the same.
    Before,
    /// Another one is there, and stays.
    Refused,
}

impl Store {
    /// A page of all items, each by the `user_uuid` that it is under. One user's come one
    /// after the other, so each user is named once a page; one who is new may be missed.
    ///
    /// # Errors
    /// As [`StoreError`] says; so for every call here.
    pub async fn users(&self, from: Option<PageKey>) -> Result<(Vec<String>, Option<PageKey>), StoreError> {
        let (items, next) =
            page(self.scan(from).consistent_read(false).projection_expression(key::USER)).await?;
        let user = |item: Item| item::place(&item).user;
        let mut users: Vec<_> = items.into_iter().map(user).collect();
        users.dedup();
        Ok((users, next))
    }

    /// A page of all items, as of now.
    pub async fn items(&self, from: Option<PageKey>) -> Result<(Vec<Plain>, Option<PageKey>), StoreError> {
        let (items, next) = page(self.scan(from)).await?;
        let items: Result<_, _> = items.into_iter().map(to_plain).collect();
        Ok((items?, next))
    }

    /// Puts an item where nothing is.
    pub async fn put_new(&self, plain: Plain) -> Result<Put, StoreError> {
        let item = from_plain(plain)?;
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
            Ok(_) => Ok(Put::Now),
            Err(SdkError::ServiceError(refused)) if refused.err().is_conditional_check_failed_exception() => {
                let PutItemError::ConditionalCheckFailedException(refused) = refused.into_err() else {
                    return Err(StoreError::Other("a failed condition of no kind".to_owned()));
                };
                Ok(if refused.item == Some(item) { Put::Before } else { Put::Refused })
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
fn to_plain(item: Item) -> Result<Plain, StoreError> {
    let place = item::place(&item);
    let plain: Plain = item::read(&place, item.clone())?;
    if from_plain(plain.clone())? == item {
        Ok(plain)
    } else {
        Err(item::corrupt(&place, "has what JSON has not"))
    }
}

fn from_plain(plain: Plain) -> Result<Item, StoreError> {
    item::write(&plain)
}
