//! Read and write units, as DynamoDB reports them, for the invocation's metrics.

use aws_sdk_dynamodb::types::ConsumedCapacity;

use crate::invocation_metrics;

/// Records what a read consumed.
pub(super) fn record_read<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
    invocation_metrics::record(|metrics| {
        metrics.read_units = consumed.into_iter().fold(metrics.read_units, sum)
    });
}

/// Records what a write consumed.
pub(super) fn record_write<'a>(consumed: impl IntoIterator<Item = &'a ConsumedCapacity>) {
    invocation_metrics::record(|metrics| {
        metrics.write_units = consumed.into_iter().fold(metrics.write_units, sum)
    });
}

#[expect(clippy::float_arithmetic, reason = "DynamoDB counts half units; credits are never summed here")]
fn sum(units: f64, consumed: &ConsumedCapacity) -> f64 {
    units + consumed.capacity_units().unwrap_or_default()
}
