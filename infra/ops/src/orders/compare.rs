//! Compares one payment, or one order without a payment, with the ledger.

use scrip::{
    domain::{Credits, GrantRecord, Order, OrderNo, StatementKey, Timestamp},
    ledger::{Ledger, OrderReadError, PaidOrder},
};

use super::{
    difference::{Difference, RefundDifference},
    payment::Payment,
};
use crate::cli_error::{CliError, deadline};

/// The source of the revocations that refunds make.
const REFUND: &str = "refund";

/// The comparison of one payment.
pub(super) enum PaymentOutcome {
    /// It has a grant, under this number.
    Granted(OrderNo, Vec<Difference>),
    /// It has no grant, and should have one.
    Missing(Difference),
    /// It was refunded in full, and has no grant.
    RefundedWithoutGrant,
    /// It states no credits, and has no grant.
    WithoutCredits,
}

/// Compares a payment with its order. Without a grant, a payment must state credits to count as
/// a purchase of them, if the file has a column for credits.
pub(super) async fn compare_payment(
    ledger: &Ledger,
    payment: &Payment,
    states_credits: bool,
) -> Result<PaymentOutcome, CliError> {
    for number in &payment.orders {
        let Ok(order_no) = OrderNo::try_from(number.clone()) else { continue };
        match read_order(ledger, &order_no).await? {
            Ok(PaidOrder { order_no, alias, order: Some(order), grant: Some(grant) }) => {
                let granted = GrantedOrder { order_no, alias, order, grant };
                let differences = granted.differences(payment);
                return Ok(PaymentOutcome::Granted(granted.order_no, differences));
            }
            Ok(_) => {}
            Err(damaged) => return Ok(PaymentOutcome::Missing(damaged)),
        }
    }
    Ok(if states_credits && payment.credits.is_none() {
        PaymentOutcome::WithoutCredits
    } else if payment.is_refunded_in_full() {
        PaymentOutcome::RefundedWithoutGrant
    } else {
        PaymentOutcome::Missing(not_granted(payment))
    })
}

/// The difference of an order that no payment names, if it was granted in the time range.
pub(super) async fn compare_unpaid(
    ledger: &Ledger,
    number: &str,
    since: Timestamp,
    until: Timestamp,
) -> Result<Option<Difference>, CliError> {
    let Ok(order_no) = OrderNo::try_from(number.to_owned()) else {
        let reason = "not the key of an order".to_owned();
        return Ok(Some(Difference::Unreadable { order_no: number.to_owned(), reason }));
    };
    let paid = match read_order(ledger, &order_no).await? {
        Ok(paid) => paid,
        Err(damaged) => return Ok(Some(damaged)),
    };
    // The order of an alias has an item of its own.
    let grant = paid.grant.filter(|_| paid.alias.is_none()).map(|record| record.grant);
    let in_range = grant.filter(|grant| (since..=until).contains(&grant.trans_no.created_at()));
    Ok(in_range.map(|grant| Difference::NotPaid {
        order_no,
        user_uuid: paid.order.and_then(|order| order.user),
        credits: grant.credits,
        granted_at: grant.trans_no.created_at(),
    }))
}

/// Reads an order. The inner error is that of a damaged item.
async fn read_order(ledger: &Ledger, order_no: &OrderNo) -> Result<Result<PaidOrder, Difference>, CliError> {
    match ledger.paid_order(order_no, deadline(ledger)).await {
        Ok(paid) => Ok(Ok(paid)),
        Err(OrderReadError::Damaged(discrepancy)) => {
            let (order_no, reason) = (order_no.to_string(), discrepancy.to_string());
            Ok(Err(Difference::Unreadable { order_no, reason }))
        }
        Err(OrderReadError::Failed(error)) => {
            Err(CliError::from_ledger(&format!("order {order_no}"), &error))
        }
    }
}

fn not_granted(payment: &Payment) -> Difference {
    Difference::NotGranted {
        row: payment.row,
        order_no: payment.orders.first().cloned().unwrap_or_default(),
        user_uuid: payment.user.clone(),
        amount: payment.amount_text.clone(),
        currency: payment.currency.clone(),
        credits: payment.credits.clone(),
        created: payment.created,
    }
}

struct GrantedOrder {
    order_no: OrderNo,
    alias: Option<OrderNo>,
    order: Order,
    grant: GrantRecord,
}

impl GrantedOrder {
    fn differences(&self, payment: &Payment) -> Vec<Difference> {
        let (row, order_no, granted) = (payment.row, &self.order_no, self.grant.grant.credits);
        let other_user = payment.user.as_ref().filter(|user| {
            self.order.user.as_ref().is_none_or(|granted_to| granted_to.as_str() != user.as_str())
        });
        let other_user = other_user.map(|user| Difference::OtherUser {
            row,
            order_no: order_no.clone(),
            paid_by: user.clone(),
            granted_to: self.order.user.clone(),
        });
        let is_other = |credits: &&String| credits.parse() != Ok(granted.as_u64());
        let other_credits = payment.credits.as_ref().filter(is_other).map(|paid| Difference::OtherCredits {
            row,
            order_no: order_no.clone(),
            paid: paid.clone(),
            granted,
        });
        other_user.into_iter().chain(other_credits).chain(self.refund_difference(payment)).collect()
    }

    fn refund_difference(&self, payment: &Payment) -> Option<Difference> {
        let granted = self.grant.grant.credits;
        let share = payment.refunded?.share_of(payment.amount);
        let refunded = share.map_or(Credits::ZERO, |share| share.of(granted));
        let difference = RefundDifference {
            row: payment.row,
            order_no: self.order_no.clone(),
            user_uuid: self.order.user.clone(),
            granted,
            refunded,
            revoked: self.revoked_by_refunds(),
        };
        match difference.revoked.cmp(&refunded) {
            std::cmp::Ordering::Less => Some(Difference::NotRevoked(difference)),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Difference::NotRefunded(difference)),
        }
    }

    /// What the source `refund` revokes. An order that was paid in parts has a statement for each
    /// payment, under its alias.
    fn revoked_by_refunds(&self) -> Credits {
        let granted = self.grant.grant.credits;
        let statements = self.order.statements.iter().filter(|(key, _)| key.source.as_str() == REFUND);
        let revoked = |is_counted: &dyn Fn(&StatementKey) -> bool| {
            let counted = statements.clone().filter(|(key, _)| is_counted(key));
            counted.map(|(_, statement)| statement.amount.of(granted)).sum::<Credits>().min(granted)
        };
        match &self.alias {
            None => revoked(&|_| true),
            Some(_) if statements.clone().any(|(key, _)| key.alias == self.alias) => {
                revoked(&|key| key.alias == self.alias)
            }
            Some(_) => revoked(&|key| key.alias.is_none()),
        }
    }
}
