//! What an event of Stripe means for the ledger.

use serde_json::Value;

use super::{
    invoice,
    reader::{
        Parsed, PaymentError, credits, payment, reference, required_id, required_number, required_time, text,
        validity,
    },
};
use crate::domain::{
    Credits, GrantRequest, GrantType, Metadata, OrderNo, Reason, RevokeRequest, RevokedAmount,
    ShortfallPolicy, Timestamp,
};

/// What an event means for the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PaymentAction {
    /// A payment of credits.
    Grant(PaymentGrant),
    /// A refund or a dispute of a payment, whether it paid for credits or not.
    Revoke(RevokeRequest),
    /// A payment of an invoice, which the later events about the payment do not name.
    Alias(OrderAlias),
    /// Nothing.
    Ignored,
}

/// The grant of a paid order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PaymentGrant {
    /// The order.
    pub(crate) order_no: OrderNo,
    /// The grant, of type `order_pay`.
    pub(crate) request: GrantRequest,
    /// The payment of an older invoice, which names it itself.
    pub(crate) alias: Option<OrderNo>,
}

/// Another name of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OrderAlias {
    /// The payment.
    pub(crate) alias: OrderNo,
    /// The order that it pays.
    pub(crate) order_no: OrderNo,
}

impl PaymentGrant {
    /// The grant of these credits to a user.
    pub(super) fn new(
        order_no: OrderNo,
        user: Option<&str>,
        credits: Credits,
        expired_at: Option<Timestamp>,
    ) -> Parsed<PaymentGrant> {
        let request = GrantRequest {
            user: required_id(user, "metadata.scrip_user")?,
            trans_type: GrantType::OrderPay,
            credits,
            order_no: Some(order_no.clone()),
            expired_at,
            key: None,
            metadata: Metadata::default(),
        };
        Ok(PaymentGrant { order_no, request, alias: None })
    }
}

impl PaymentAction {
    /// The action of a parsed event.
    ///
    /// # Errors
    /// An event about credits whose values are unusable, or one without the fields that Stripe
    /// documents for it.
    pub(crate) fn of_event(event: &Value) -> Parsed<PaymentAction> {
        let problem = "must be a string";
        let kind = event["type"].as_str().ok_or(PaymentError { field: "type", problem })?;
        let object = &event["data"]["object"];
        match kind {
            "checkout.session.completed" | "checkout.session.async_payment_succeeded" => {
                checkout(object, created(event)?)
            }
            "invoice.paid" => invoice::grant(object),
            "invoice_payment.paid" => alias(object),
            "charge.refunded" => refund(object, created(event)?),
            "charge.dispute.funds_withdrawn" => dispute(object, created(event)?, 1),
            // The part of a dispute that was won in part: Stripe keeps the rest of the money.
            "charge.dispute.funds_reinstated" if object["status"] == "lost" => Ok(PaymentAction::Ignored),
            "charge.dispute.funds_reinstated" => dispute(object, created(event)?, 0),
            _ => Ok(PaymentAction::Ignored),
        }
    }
}

fn created(event: &Value) -> Parsed<Timestamp> {
    required_time(&event["created"], "created")
}

/// A finished Checkout Session of a single payment. Sessions of subscriptions are paid by
/// invoices.
fn checkout(session: &Value, now: Timestamp) -> Parsed<PaymentAction> {
    // An order without cost needs no payment.
    let is_paid = ["paid", "no_payment_required"].map(Value::from).contains(&session["payment_status"]);
    if session["mode"] != "payment" || !is_paid {
        return Ok(PaymentAction::Ignored);
    }
    let metadata = &session["metadata"];
    let Some(credits) = credits(metadata)? else { return Ok(PaymentAction::Ignored) };
    let user = text(metadata, "scrip_user").or_else(|| text(session, "client_reference_id"));
    let order_no = reference(session, "payment_intent").or_else(|| text(session, "id"));
    let expired_at = validity(metadata)?.map(|millis| now.plus_millis(millis));
    PaymentGrant::new(required_id(order_no, "id")?, user, credits, expired_at).map(PaymentAction::Grant)
}

/// A payment of an invoice. Payments outside of Stripe have no identifier that later events name.
fn alias(invoice_payment: &Value) -> Parsed<PaymentAction> {
    let Some(alias) = payment(&invoice_payment["payment"]) else { return Ok(PaymentAction::Ignored) };
    Ok(PaymentAction::Alias(OrderAlias {
        alias: required_id(Some(alias), "payment")?,
        order_no: required_id(reference(invoice_payment, "invoice"), "invoice")?,
    }))
}

/// The share of a charge that is refunded by now.
fn refund(charge: &Value, as_of: Timestamp) -> Parsed<PaymentAction> {
    let order_no = reference(charge, "payment_intent").or_else(|| text(charge, "id"));
    let (part, of) = (required_number(charge, "amount_refunded")?, required_number(charge, "amount")?);
    if of == 0 || part > of {
        let problem = "must be at most `amount`, which must not be 0";
        return Err(PaymentError { field: "amount_refunded", problem });
    }
    let amount = RevokedAmount::Share { part, of };
    revoke(order_no, "refund".to_owned(), amount, as_of, "payment refunded")
}

/// A dispute, which holds back 1 or 0 of 1 part of the order: its event has no amount of the
/// charge that would make its own amount a share.
fn dispute(dispute: &Value, as_of: Timestamp, part: u64) -> Parsed<PaymentAction> {
    let id = text(dispute, "id").ok_or(PaymentError { field: "id", problem: "is required" })?;
    let amount = RevokedAmount::Share { part, of: 1 };
    revoke(payment(dispute), format!("dispute:{id}"), amount, as_of, "payment disputed")
}

fn revoke(
    order_no: Option<&str>,
    source: String,
    amount: RevokedAmount,
    as_of: Timestamp,
    reason: &str,
) -> Parsed<PaymentAction> {
    Ok(PaymentAction::Revoke(RevokeRequest {
        order_no: required_id(order_no, "payment_intent")?,
        user: None,
        source: required_id(Some(&source), "id")?,
        amount,
        as_of,
        shortfall: ShortfallPolicy::Keep,
        reason: Reason::truncated(reason).expect("the text is not empty"),
        metadata: Metadata::default(),
    }))
}
