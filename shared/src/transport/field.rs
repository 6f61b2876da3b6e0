//! The parsers of fields. An error completes the sentence "`field` ...", and never repeats
//! the value.

use serde_json::Value;
use uuid::Uuid;

use crate::domain::{ChargeType, Credits, GrantType, Id, Metadata, Reason, Timestamp, TransNo, TransType};

type Parsed<T> = Result<T, &'static str>;

/// Records on a page of a request without `limit`.
pub(super) const LIMIT_DEFAULT: usize = 20;

pub(super) fn id<Kind>(value: &Value) -> Parsed<Id<Kind>> {
    text(value)?.try_into()
}

pub(super) fn reason(value: &Value) -> Parsed<Reason> {
    text(value)?.try_into()
}

pub(super) fn credits(value: &Value) -> Parsed<Credits> {
    value.as_u64().and_then(Credits::requested).ok_or("must be a whole number from 1 to 1000000000000")
}

pub(super) fn metadata(value: &Value) -> Parsed<Metadata> {
    let member = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let members: Option<Vec<_>> = value.as_object().and_then(|members| members.iter().map(member).collect());
    members.ok_or("must be an object of strings without repeated names")?.try_into()
}

pub(super) fn trans_no(value: &Value) -> Parsed<TransNo> {
    text(value)?.parse::<Uuid>().ok().and_then(|uuid| uuid.try_into().ok()).ok_or("must be a UUID version 7")
}

pub(super) fn timestamp(value: &Value) -> Parsed<Timestamp> {
    value.as_str().and_then(Timestamp::parse).ok_or("must be an RFC 3339 timestamp up to the year 9999")
}

pub(super) fn grant_type(value: &Value) -> Parsed<GrantType> {
    match text(value)?.try_into() {
        Ok(TransType::Grant(grant)) => Ok(grant),
        _ => Err("must be `new_user`, `order_pay` or `system_add`"),
    }
}

pub(super) fn charge_type(value: &Value) -> Parsed<ChargeType> {
    match text(value)?.try_into() {
        Ok(TransType::Charge(charge)) => Ok(charge),
        _ => Err("must be `chat` or `<gen>_generation`, where `<gen>` is 1 to 64 characters of `a-z 0-9 _`"),
    }
}

/// A time in seconds since 1970, as in the claim `exp` of a JSON Web Token.
pub(super) fn unix_seconds(value: &Value) -> Parsed<Timestamp> {
    let millis = value.as_i64().and_then(|seconds| seconds.checked_mul(1_000));
    millis.and_then(Timestamp::from_millis).ok_or("must be a whole number of seconds since 1970")
}

/// A number, or its digits, because a query contains text only.
pub(super) fn limit(value: &Value) -> Parsed<usize> {
    let digits = value.as_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = value.as_u64().or_else(|| digits?.parse().ok());
    number
        .and_then(|number| usize::try_from(number).ok())
        .filter(|number| (1..=100).contains(number))
        .ok_or("must be a whole number from 1 to 100")
}

/// A boolean, or its name, because a query contains text only.
pub(super) fn boolean(value: &Value) -> Parsed<bool> {
    match (value, value.as_str()) {
        (Value::Bool(boolean), _) => Ok(*boolean),
        (_, Some("true")) => Ok(true),
        (_, Some("false")) => Ok(false),
        _ => Err("must be `true` or `false`"),
    }
}

pub(super) fn text(value: &Value) -> Parsed<String> {
    value.as_str().map(str::to_owned).ok_or("must be a string")
}
