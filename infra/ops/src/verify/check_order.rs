//! Compares an order with the grant of its user.

use scrip::{
    domain::{Discrepancy, OrderNo},
    ledger::Ledger,
};

use crate::cli_error::{CliError, deadline};

pub(super) struct OrderCheck {
    /// The user of the order; its partition key if it has none.
    pub(super) owner: String,
    pub(super) discrepancies: Vec<String>,
}

pub(super) async fn check_order(ledger: &Ledger, number: String) -> Result<OrderCheck, CliError> {
    let partition = format!("order#{number}");
    let Ok(order_no) = OrderNo::try_from(number) else {
        let discrepancies = vec!["the partition key is not that of an order".to_owned()];
        return Ok(OrderCheck { owner: partition, discrepancies });
    };
    let audit = ledger.audit_order(&order_no, deadline(ledger)).await;
    let audit = audit.map_err(|error| CliError::from_ledger(&format!("order {order_no}"), &error))?;
    let discrepancies = audit.discrepancies.listed().map(Discrepancy::to_string).collect();
    Ok(OrderCheck { owner: audit.user.map_or(partition, |user| user.to_string()), discrepancies })
}
