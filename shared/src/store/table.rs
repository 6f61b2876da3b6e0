//! The table and its indexes, for engines other than AWS.

use aws_sdk_dynamodb::{
    error::{BuildError, DisplayErrorContext, SdkError},
    operation::get_item::GetItemError,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, ScalarAttributeType,
    },
};
use tokio::time::{Duration, sleep};

use super::{Store, StoreError, key::probe_key, names};

/// The table's name where nothing else is said.
pub const TABLE: &str = "credits";

/// The index of charges by generation: keys only, so that a void does not write to it.
pub(super) const GENERATION_INDEX: &str = "generation_uuid";
/// The sparse index of held charges by the end of their holds: keys only.
pub(super) const HOLD_INDEX: &str = "holds";
/// The index of a user's records by time.
pub(super) const TIMELINE_INDEX: &str = "timeline";

/// The projected attributes of the timeline index; never the allocations. DynamoDB cannot
/// change a projection, so it already contains the attributes of planned features.
const TIMELINE_ATTRIBUTES: [&str; 18] = [
    names::TRANS_TYPE,
    names::CREDITS,
    names::ORDER_NO,
    names::GENERATION,
    names::EXPIRED_AT,
    names::IS_VOIDED,
    names::VOIDED_AT,
    names::VOIDED_REASON,
    names::FORMAT,
    names::LIVE,
    names::SETTLED_AT,
    names::OUTPUTS,
    names::RETURNED_OUTPUTS,
    names::HOLD_UNTIL,
    names::REVOKED,
    names::METADATA,
    names::LATE_SUCCESS_AT,
    "debt",
];

impl Store {
    /// Creates the table unless it exists, and waits until it is active. For every engine
    /// but AWS, whose table `template.yaml` defines.
    ///
    /// # Errors
    /// When the engine cannot be reached or refuses.
    pub async fn create_table(&self) -> Result<(), StoreError> {
        let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
        let keys =
            |hash, range| Ok::<_, BuildError>(vec![key(hash, KeyType::Hash)?, key(range, KeyType::Range)?]);
        let attribute = |name: &str, scalar_type| {
            AttributeDefinition::builder().attribute_name(name).attribute_type(scalar_type).build()
        };
        let texts = [
            names::USER,
            names::SORT,
            names::TRANS_NO,
            names::GENERATION,
            names::USER_TRANS,
            names::HOLD_SHARD,
        ];
        let texts = texts.map(|name| attribute(name, ScalarAttributeType::S));
        let numbers = [attribute(names::HOLD_UNTIL, ScalarAttributeType::N)];
        let attributes: Result<Vec<_>, _> = texts.into_iter().chain(numbers).collect();
        let generation = GlobalSecondaryIndex::builder()
            .index_name(GENERATION_INDEX)
            .set_key_schema(Some(keys(names::GENERATION, names::USER_TRANS)?))
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build());
        let holds = GlobalSecondaryIndex::builder()
            .index_name(HOLD_INDEX)
            .set_key_schema(Some(keys(names::HOLD_SHARD, names::HOLD_UNTIL)?))
            .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build());
        let carried = Projection::builder()
            .projection_type(ProjectionType::Include)
            .set_non_key_attributes(Some(TIMELINE_ATTRIBUTES.map(str::to_owned).to_vec()));
        let timeline = GlobalSecondaryIndex::builder()
            .index_name(TIMELINE_INDEX)
            .set_key_schema(Some(keys(names::USER, names::TRANS_NO)?))
            .projection(carried.build());
        let created = self
            .client
            .create_table()
            .table_name(&self.table)
            .billing_mode(BillingMode::PayPerRequest)
            .set_attribute_definitions(Some(attributes?))
            .set_key_schema(Some(keys(names::USER, names::SORT)?))
            .global_secondary_indexes(generation.build()?)
            .global_secondary_indexes(timeline.build()?)
            .global_secondary_indexes(holds.build()?)
            .send()
            .await;
        match created {
            Err(error)
                if !error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) =>
            {
                Err(error.into())
            }
            _ => self.wait_until_active().await,
        }
    }

    /// A read is enough to find out. The embedded engine counts all items to describe a table.
    async fn wait_until_active(&self) -> Result<(), StoreError> {
        for _ in 0..300 {
            let probe =
                self.client.get_item().table_name(&self.table).set_key(Some(probe_key())).send().await;
            match probe {
                Ok(_) => return Ok(()),
                Err(error) if is_being_created(&error) => sleep(Duration::from_millis(100)).await,
                Err(error) => return Err(StoreError::Other(DisplayErrorContext(error).to_string())),
            }
        }
        Err(StoreError::Other(format!("table {} did not become active within 30 s", self.table)))
    }
}

fn is_being_created<R>(error: &SdkError<GetItemError, R>) -> bool {
    error.as_service_error().is_some_and(GetItemError::is_resource_not_found_exception)
}
