//! The grant of a paid invoice of a subscription, in the forms of all API versions.

use serde_json::Value;

use super::{
    event::{PaymentAction, PaymentGrant},
    reader::{Parsed, PaymentError, credits, grace, payment, reference, required_id, required_time, text},
};
use crate::domain::{Credits, Timestamp};

/// The credits of an invoice, and when they expire.
struct Terms {
    credits: Credits,
    expired_at: Timestamp,
}

/// The grant of a paid invoice. An invoice that only prorates a change of its subscription grants
/// nothing, because the invoice of the period has granted already.
pub(super) fn grant(invoice: &Value) -> Parsed<PaymentAction> {
    if !is_of_subscription(invoice) {
        return Ok(PaymentAction::Ignored);
    }
    let lines = Lines::of(invoice);
    let subscription = subscription_metadata(invoice, &lines);
    let terms = match credits(subscription)? {
        Some(credits) => lines.period(subscription)?.map(|expired_at| Terms { credits, expired_at }),
        None => lines.priced(subscription)?,
    };
    let Some(Terms { credits, expired_at }) = terms else { return Ok(PaymentAction::Ignored) };
    let order_no = required_id(text(invoice, "id"), "id")?;
    let user = text(subscription, "scrip_user");
    let grant = PaymentGrant::new(order_no, user, credits, Some(expired_at))?;
    let alias = payment(invoice).map(|alias| required_id(Some(alias), "payment_intent")).transpose()?;
    Ok(PaymentAction::Grant(PaymentGrant { alias, ..grant }))
}

/// Whether a subscription made the invoice. Older invoices without one have a
/// `subscription_details` without metadata.
fn is_of_subscription(invoice: &Value) -> bool {
    let older = invoice["subscription_details"]["metadata"].as_object();
    invoice["parent"]["subscription_details"].is_object()
        || reference(invoice, "subscription").is_some()
        || older.is_some_and(|metadata| !metadata.is_empty())
}

/// The metadata of the subscription: of the invoice's parent since the API version of March 2025,
/// of the invoice before, and of a line of the subscription in the oldest versions.
fn subscription_metadata<'a>(invoice: &'a Value, lines: &Lines<'a>) -> &'a Value {
    let [today, older] = [&invoice["parent"], invoice].map(|of| &of["subscription_details"]["metadata"]);
    let oldest = lines.regular().next().map_or(&Value::Null, |line| &line["metadata"]);
    [today, older].into_iter().find(|metadata| metadata.is_object()).unwrap_or(oldest)
}

/// The lines of an invoice. An event has only the first ones of a long invoice.
struct Lines<'a> {
    all: &'a [Value],
    has_more: bool,
}

impl<'a> Lines<'a> {
    fn of(invoice: &'a Value) -> Lines<'a> {
        let all = invoice["lines"]["data"].as_array().map_or(&[][..], Vec::as_slice);
        Lines { all, has_more: invoice["lines"]["has_more"] == true }
    }

    /// The lines of the subscription for a whole period.
    fn regular(&self) -> impl Iterator<Item = &'a Value> {
        self.all.iter().filter(|line| is_regular(line))
    }

    /// The latest end of the periods, plus the grace; `None` if every line is a proration or an
    /// item of its own.
    fn period(&self, metadata: &Value) -> Parsed<Option<Timestamp>> {
        let grace = grace(metadata)?.unwrap_or_default();
        let ends: Vec<_> = self.regular().map(period_end).collect::<Parsed<_>>()?;
        let latest = ends.into_iter().max().map(|end| end.plus_millis(grace));
        if latest.is_none() && (self.has_more || self.all.is_empty()) {
            return Err(PaymentError {
                field: "lines",
                problem: "must include a period of the subscription",
            });
        }
        Ok(latest)
    }

    /// The sum of the credits of the lines' prices, times their quantities, and the latest end of
    /// their periods; `None` if no price has credits.
    fn priced(&self, subscription: &Value) -> Parsed<Option<Terms>> {
        let grace_of_all = grace(subscription)?;
        let (mut sum, mut latest) = (0, None);
        for line in self.regular() {
            let metadata = price_metadata(line);
            let Some(credits) = credits(metadata)? else { continue };
            let quantity = line["quantity"].as_u64().unwrap_or(1);
            sum = credits.as_u64().saturating_mul(quantity).saturating_add(sum);
            let grace = grace(metadata)?.or(grace_of_all).unwrap_or_default();
            latest = latest.max(Some(period_end(line)?.plus_millis(grace)));
        }
        let Some(expired_at) = latest.filter(|_| sum > 0) else { return Ok(None) };
        if self.has_more {
            let problem = "must be complete; set `scrip_credits` on a subscription with so many items";
            return Err(PaymentError { field: "lines", problem });
        }
        let problem = "times the quantities must be at most 1000000000000";
        let credits = Credits::requested(sum);
        let credits = credits.ok_or(PaymentError { field: "metadata.scrip_credits", problem })?;
        Ok(Some(Terms { credits, expired_at }))
    }
}

/// Whether a line charges a whole period of the subscription. Today's lines say in `parent` what
/// they are of, older ones in `type` and `proration`.
fn is_regular(line: &Value) -> bool {
    let parent = &line["parent"];
    let is_proration = [&line["proration"], &parent["subscription_item_details"]["proration"]]
        .into_iter()
        .any(|is| is == true);
    let is_item = line["type"] == "invoiceitem" || parent["type"] == "invoice_item_details";
    !is_proration && !is_item
}

/// The metadata of a line's price: in older API versions the price is there, today it is if the
/// event's receiver has expanded it.
fn price_metadata(line: &Value) -> &Value {
    let prices = [&line["pricing"]["price_details"]["price"], &line["price"], &line["plan"]];
    let mut metadata = prices.into_iter().map(|price| &price["metadata"]);
    metadata.find(|metadata| metadata.is_object()).unwrap_or(&Value::Null)
}

fn period_end(line: &Value) -> Parsed<Timestamp> {
    required_time(&line["period"]["end"], "lines.data.period.end")
}
