//! Readers of the fields of an event.

use serde_json::Value;
use thiserror::Error;

use crate::domain::{Credits, Id, Timestamp};

/// The largest number of days after which credits may expire: a hundred years.
const DAYS_MAX: u64 = 36_500;

/// A day, in milliseconds.
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// An event that names credits or a payment in an unusable form. The text names the field, and
/// never repeats its value.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{field}` {problem}.")]
pub(crate) struct PaymentError {
    /// The field, by its path in the object of the event.
    pub(super) field: &'static str,
    /// Completes the sentence "`field` ...".
    pub(super) problem: &'static str,
}

pub(super) type Parsed<T> = Result<T, PaymentError>;

/// A text that is not empty.
pub(super) fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object[name].as_str().filter(|text| !text.is_empty())
}

/// The identifier of another object: Stripe sends the identifier alone, or the object if it was
/// expanded.
pub(super) fn reference<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    text(object, name).or_else(|| text(&object[name], "id"))
}

/// The identifier of the money that an object is about: its payment intent, or else its charge.
pub(super) fn payment(object: &Value) -> Option<&str> {
    reference(object, "payment_intent").or_else(|| reference(object, "charge"))
}

/// An identifier that the event must have.
pub(super) fn required_id<Kind>(text: Option<&str>, field: &'static str) -> Parsed<Id<Kind>> {
    let text = text.ok_or(PaymentError { field, problem: "is required" })?;
    text.to_owned().try_into().map_err(|problem| PaymentError { field, problem })
}

/// A whole number that the event must have.
pub(super) fn required_number(object: &Value, field: &'static str) -> Parsed<u64> {
    object[field].as_u64().ok_or(PaymentError { field, problem: "must be a whole number" })
}

/// A time in seconds since 1970 that the event must have.
pub(super) fn required_time(seconds: &Value, field: &'static str) -> Parsed<Timestamp> {
    let millis = seconds.as_i64().and_then(|seconds| seconds.checked_mul(1_000));
    let problem = "must be a whole number of seconds since 1970";
    millis.and_then(Timestamp::from_millis).ok_or(PaymentError { field, problem })
}

/// A member of metadata. It is absent if the metadata are, or are no object.
fn member<'a>(metadata: &'a Value, name: &str) -> Option<&'a Value> {
    Some(&metadata[name]).filter(|value| !value.is_null())
}

/// The digits of a member of metadata, whose values are texts.
fn digits(value: &Value) -> Option<u64> {
    let text = value.as_str()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `scrip_credits`, if it is there.
pub(super) fn credits(metadata: &Value) -> Parsed<Option<Credits>> {
    let credits = member(metadata, "scrip_credits").map(|value| {
        digits(value).and_then(Credits::requested).ok_or(PaymentError {
            field: "metadata.scrip_credits",
            problem: "must be the digits of a whole number from 1 to 1000000000000",
        })
    });
    credits.transpose()
}

/// The milliseconds of `scrip_days`, if it is there.
pub(super) fn validity(metadata: &Value) -> Parsed<Option<i64>> {
    let problem = "must be the digits of a whole number from 1 to 36500";
    let error = PaymentError { field: "metadata.scrip_days", problem };
    days(metadata, "scrip_days", 1, error)
}

/// The milliseconds of `scrip_grace_days`, if it is there.
pub(super) fn grace(metadata: &Value) -> Parsed<Option<i64>> {
    let problem = "must be the digits of a whole number from 0 to 36500";
    let error = PaymentError { field: "metadata.scrip_grace_days", problem };
    days(metadata, "scrip_grace_days", 0, error)
}

fn days(metadata: &Value, name: &str, least: u64, error: PaymentError) -> Parsed<Option<i64>> {
    let days = member(metadata, name).map(|value| {
        let days = digits(value).filter(|days| (least..=DAYS_MAX).contains(days));
        days.and_then(|days| i64::try_from(days).ok()).map(|days| days * DAY_MILLIS).ok_or(error)
    });
    days.transpose()
}
