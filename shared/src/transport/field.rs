//! The parsers of fields. An error completes the sentence "`field` ...", and never repeats
//! the value.

use serde_json::Value;
use uuid::Uuid;

use crate::domain::{
    ChargeType, Credits, GrantType, Id, Metadata, OutputSet, Outputs, Reason, ShortfallPolicy, Timestamp,
    TransNo, TransType,
};

/// A week.
const HOLD_SECONDS_MAX: i64 = 604_800;

type Parsed<T> = Result<T, &'static str>;

/// Records on a page of a request without `limit`.
pub(super) const LIMIT_DEFAULT: usize = 20;

pub(super) fn id<Kind>(value: &Value) -> Parsed<Id<Kind>> {
    text(value)?.try_into()
}

pub(super) fn reason(value: &Value) -> Parsed<Reason> {
    text(value)?.try_into()
}

/// The actual cost of a charge.
pub(super) fn cost(value: &Value) -> Parsed<Credits> {
    let credits = value.as_u64().filter(|credits| *credits <= Credits::REQUEST_MAX.as_u64());
    let credits = credits.and_then(|credits| credits.try_into().ok());
    credits.ok_or("must be a whole number from 0 to 1000000000000")
}

pub(super) fn outputs(value: &Value) -> Parsed<Outputs> {
    value.as_u64().ok_or("must be a whole number from 1 to 100")?.try_into()
}

/// The numbers of some outputs.
pub(super) fn output_set(value: &Value) -> Parsed<OutputSet> {
    const PROBLEM: &str = "must be a list of different whole numbers from 1 to 100";
    let number = |value: &Value| value.as_u64().and_then(|number| u8::try_from(number).ok());
    let numbers = value.as_array().and_then(|numbers| numbers.iter().map(number).collect::<Option<Vec<_>>>());
    numbers.ok_or(PROBLEM)?.try_into()
}

/// The number of one output.
pub(super) fn output(value: &Value) -> Parsed<u8> {
    let number = value.as_u64().and_then(|number| u8::try_from(number).ok());
    number.filter(|number| (1..=Outputs::MAX).contains(number)).ok_or("must be a whole number from 1 to 100")
}

/// The number of one output; `None` for a value that is no whole number, because providers call
/// their results `output` too.
pub(super) fn output_of_provider(value: &Value) -> Parsed<Option<u8>> {
    if value.is_i64() || value.is_u64() { output(value).map(Some) } else { Ok(None) }
}

/// Seconds of a hold, as milliseconds.
pub(super) fn hold_seconds(value: &Value) -> Parsed<i64> {
    let seconds = value.as_i64().filter(|seconds| (1..=HOLD_SECONDS_MAX).contains(seconds));
    seconds.map(|seconds| seconds * 1_000).ok_or("must be a whole number from 1 to 604800")
}

/// The numerator or the denominator of a share.
pub(super) fn share_part(value: &Value) -> Parsed<u64> {
    let part = value.as_u64().filter(|part| *part <= Credits::TOTAL_MAX.as_u64());
    part.ok_or("must be a whole number from 0 to 9007199254740991")
}

pub(super) fn shortfall(value: &Value) -> Parsed<ShortfallPolicy> {
    match value.as_str() {
        Some("keep") => Ok(ShortfallPolicy::Keep),
        Some("debt") => Ok(ShortfallPolicy::Debt),
        _ => Err("must be `keep` or `debt`"),
    }
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
