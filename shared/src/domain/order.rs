//! Orders: one item for each paid order, over all users, with what its sources revoke.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{Credits, LedgerError, LedgerLimit, Metadata, OrderNo, Reason, RevokeSource, Timestamp, UserId};

/// A paid order. It is written in the transaction of its grant, so that an order has one
/// grant over all users. A revocation or an alias may come before the grant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// The user of the grant; absent before the grant.
    pub user: Option<UserId>,
    /// The order that this number is another name of. A number with a grant of its own is no
    /// alias.
    pub alias_of: Option<OrderNo>,
    /// What the sources revoke. The state after the latest statement of each decides.
    pub statements: BTreeMap<StatementKey, RevokeStatement>,
    /// The number of changes after the creation by a grant, by which a write detects others.
    pub revision: u64,
}

/// The identity of a statement about an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StatementKey {
    /// Who revokes.
    pub source: RevokeSource,
    /// The alias under which the order was named.
    pub alias: Option<OrderNo>,
}

/// What one source revokes in total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeStatement {
    /// The time to which the statement applies. The latest statement of a source counts.
    pub as_of: Timestamp,
    /// The amount in total.
    pub amount: RevokedAmount,
    /// The reason.
    pub reason: Reason,
    /// The caller's own fields.
    pub metadata: Metadata,
}

/// How much of an order a source revokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedAmount {
    /// These credits; may be zero.
    Credits(Credits),
    /// A share of the granted credits, rounded down. `part` is at most `of`, and `of` is not
    /// zero.
    Share {
        /// The numerator.
        part: u64,
        /// The denominator.
        of: u64,
    },
}

/// The change of an order. It fails if the order has another revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderChange {
    /// The number of the order.
    pub order_no: OrderNo,
    /// The revision before the change; absent if it creates the order.
    pub from: Option<u64>,
    /// The order after the change.
    pub order: Order,
}

/// An order as it was read, and the alias under which it was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderAddress {
    /// The number of the order.
    pub order_no: OrderNo,
    /// The order; absent if nothing is stored for it.
    pub order: Option<Order>,
    /// The alias, with its item.
    pub alias: Option<(OrderNo, Option<Order>)>,
}

impl OrderAddress {
    /// The user of the grant, if there is one.
    pub fn user(&self) -> Option<&UserId> {
        self.order.as_ref()?.user.as_ref()
    }

    /// The changes by a statement of a source. Under an alias it is stored at both numbers,
    /// because the alias may get a grant of its own. Empty if all was stated before.
    ///
    /// # Errors
    /// `LimitExceeded` for too many sources.
    pub fn state(
        &self,
        source: &RevokeSource,
        statement: &RevokeStatement,
    ) -> Result<Vec<OrderChange>, LedgerError> {
        let mut changes = Vec::new();
        let alias = self.alias.as_ref();
        let named = alias.map(|(alias, stored)| (alias, stored.as_ref(), None));
        let own = (&self.order_no, self.order.as_ref(), alias.map(|(alias, _)| alias.clone()));
        for (order_no, stored, alias) in named.into_iter().chain([own]) {
            let key = StatementKey { source: source.clone(), alias };
            let order = stored.cloned().unwrap_or_default().with(key, statement.clone())?;
            changes.extend(order.map(|order| order.replacing(order_no, stored)));
        }
        Ok(changes)
    }

    /// The changes that make the alias an alias of this order, which gets its statements.
    ///
    /// # Errors
    /// `LimitExceeded` for too many sources.
    pub fn link(&self) -> Result<Vec<OrderChange>, LedgerError> {
        let Some((alias, stored)) = &self.alias else { return Ok(Vec::new()) };
        let named = stored.clone().unwrap_or_default();
        let mut order = self.order.clone().unwrap_or_default();
        for (key, statement) in &named.statements {
            let key = StatementKey { alias: Some(alias.clone()), ..key.clone() };
            order = order.with(key, statement.clone())?.unwrap_or(order);
        }
        let mut changes = Vec::new();
        if named.alias_of.as_ref() != Some(&self.order_no) {
            let named = Order { alias_of: Some(self.order_no.clone()), ..named };
            changes.push(named.replacing(alias, stored.as_ref()));
        }
        if order != self.order.clone().unwrap_or_default() {
            changes.push(order.replacing(&self.order_no, self.order.as_ref()));
        }
        Ok(changes)
    }
}

impl Order {
    /// The largest number of statements about an order.
    pub const STATEMENTS_MAX: usize = 20;

    /// An order that was granted to a user.
    pub fn of(user: UserId) -> Order {
        Order { user: Some(user), ..Order::default() }
    }

    /// The credits that all sources revoke of a grant of so many.
    pub fn revoked(&self, granted: Credits) -> Credits {
        let parts = self.statements.values().map(|statement| statement.amount.of(granted).as_u64());
        let sum = parts.fold(0, u64::saturating_add).min(granted.as_u64());
        Credits::try_from(sum).unwrap_or(granted)
    }

    /// The order with a statement; `None` if it has this statement or a later one.
    ///
    /// # Errors
    /// `LimitExceeded` for more than [`Order::STATEMENTS_MAX`] sources.
    pub fn with(&self, key: StatementKey, statement: RevokeStatement) -> Result<Option<Order>, LedgerError> {
        match self.statements.get(&key) {
            Some(earlier) if !statement.replaces(earlier) => return Ok(None),
            None if self.statements.len() >= Order::STATEMENTS_MAX => {
                return Err(LedgerError::LimitExceeded(LedgerLimit::RevokeSources));
            }
            _ => {}
        }
        let mut order = self.clone();
        order.statements.insert(key, statement);
        Ok(Some(order))
    }

    /// The change from a stored order, if there was one, to this order.
    pub fn replacing(self, order_no: &OrderNo, stored: Option<&Order>) -> OrderChange {
        let from = stored.map(|stored| stored.revision);
        let order = Order { revision: from.map_or(1, |revision| revision + 1), ..self };
        OrderChange { order_no: order_no.clone(), from, order }
    }
}

impl OrderChange {
    /// The creation of an order with its grant.
    pub fn create(order_no: OrderNo, user: UserId) -> OrderChange {
        OrderChange { order_no, from: None, order: Order::of(user) }
    }
}

impl RevokeStatement {
    /// Whether this statement of a source counts, and not the other. Of two with one time the
    /// larger amount counts, and a share before credits, whatever order they come in.
    fn replaces(&self, other: &RevokeStatement) -> bool {
        self.as_of.cmp(&other.as_of).then_with(|| self.amount.compare(other.amount)) == Ordering::Greater
    }
}

impl RevokedAmount {
    /// The credits of a grant of so many.
    pub fn of(self, granted: Credits) -> Credits {
        match self {
            RevokedAmount::Credits(credits) => credits,
            RevokedAmount::Share { part, of } => {
                let share = u128::from(granted.as_u64()) * u128::from(part) / u128::from(of.max(1));
                u64::try_from(share).ok().and_then(|share| share.try_into().ok()).unwrap_or(granted)
            }
        }
    }

    /// Does not depend on the grant, which may come later.
    fn compare(self, other: RevokedAmount) -> Ordering {
        use RevokedAmount::{Credits, Share};
        match (self, other) {
            (Credits(one), Credits(other)) => one.cmp(&other),
            (Share { part, of }, Share { part: other_part, of: other_of }) => {
                let product = |one: u64, other: u64| u128::from(one) * u128::from(other);
                product(part, other_of).cmp(&product(other_part, of))
            }
            (Share { .. }, Credits(_)) => Ordering::Greater,
            (Credits(_), Share { .. }) => Ordering::Less,
        }
    }
}
