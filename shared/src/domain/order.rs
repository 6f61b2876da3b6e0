//! Orders: one item for each paid order, over all users.

use super::{OrderNo, UserId};

/// A paid order. It is written in the transaction of its grant, so that an order has one
/// grant over all users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The user of the grant.
    pub user: UserId,
}

/// The creation of an order. It fails if an order with this number exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderChange {
    /// The number of the order.
    pub order_no: OrderNo,
    /// The order after the change.
    pub order: Order,
}
