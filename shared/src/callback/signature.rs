//! Signatures of call-backs and payment events: an HMAC of a time and the body, in the header
//! `X-Signature` or `Stripe-Signature`, or in the headers of Standard Webhooks.

use std::str::FromStr;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Secret, secrets::Digest};
use crate::domain::Timestamp;

/// The largest accepted difference between the time of a signature and the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance {
    seconds: u32,
}

impl Tolerance {
    /// 300 seconds.
    pub const DEFAULT: Tolerance = Tolerance { seconds: 300 };
    /// The largest value, in seconds: one day.
    pub const SECONDS_MAX: u32 = 86_400;

    fn accepts(self, signed_at_seconds: i64, now: Timestamp) -> bool {
        now.millis().div_euclid(1_000).abs_diff(signed_at_seconds) <= self.seconds.into()
    }
}

impl FromStr for Tolerance {
    type Err = &'static str;

    /// Parses a whole number of seconds from 1 to [`Tolerance::SECONDS_MAX`].
    fn from_str(text: &str) -> Result<Tolerance, &'static str> {
        let seconds = text.parse().ok().filter(|seconds| (1..=Tolerance::SECONDS_MAX).contains(seconds));
        seconds
            .map(|seconds| Tolerance { seconds })
            .ok_or("must be a whole number of seconds from 1 to 86400")
    }
}

/// A header of the form `t=<unix seconds>,v1=<hex>`: the descriptions of what may be invalid.
#[derive(Clone, Copy)]
pub(crate) struct TimedHeader {
    not_one_time: &'static str,
    not_a_time: &'static str,
    too_far: &'static str,
}

const X_SIGNATURE: TimedHeader = TimedHeader {
    not_one_time: "`X-Signature` must contain exactly one `t`.",
    not_a_time: "`t` of `X-Signature` must be a time in seconds since 1970.",
    too_far: "`t` of `X-Signature` is too far from the current time.",
};

/// The header of Stripe's events.
pub(crate) const STRIPE_SIGNATURE: TimedHeader = TimedHeader {
    not_one_time: "`Stripe-Signature` must contain exactly one `t`.",
    not_a_time: "`t` of `Stripe-Signature` must be a time in seconds since 1970.",
    too_far: "`t` of `Stripe-Signature` is too far from the current time.",
};

/// The headers that may sign a call-back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SignatureHeaders<'a> {
    /// `X-Signature`.
    pub(crate) x_signature: Option<&'a str>,
    /// `webhook-id` of Standard Webhooks.
    pub(crate) webhook_id: Option<&'a str>,
    /// `webhook-timestamp` of Standard Webhooks, in seconds since 1970.
    pub(crate) webhook_timestamp: Option<&'a str>,
    /// `webhook-signature` of Standard Webhooks.
    pub(crate) webhook_signature: Option<&'a str>,
}

impl<'a> SignatureHeaders<'a> {
    /// The signatures in the headers, of at most two schemes, or what is invalid in them.
    pub(super) fn parse(
        &self,
        now: Timestamp,
        tolerance: Tolerance,
    ) -> impl Iterator<Item = Result<Signature<'a>, &'static str>> {
        let own = self.x_signature.map(|header| X_SIGNATURE.parse(header, now, tolerance));
        let standard = self.webhook_signature.map(|header| self.parse_standard(header, now, tolerance));
        own.into_iter().chain(standard)
    }

    /// Parses `v1,<base64>`, or several, separated by spaces. Other versions are skipped: a
    /// sender may add one.
    fn parse_standard(
        &self,
        header: &'a str,
        now: Timestamp,
        tolerance: Tolerance,
    ) -> Result<Signature<'a>, &'static str> {
        let id = self.webhook_id.ok_or("The header `webhook-id` is missing.")?;
        let seconds = self.webhook_timestamp.ok_or("The header `webhook-timestamp` is missing.")?;
        let signed_at =
            parse_seconds(seconds).ok_or("`webhook-timestamp` must be a time in seconds since 1970.")?;
        if !tolerance.accepts(signed_at, now) {
            return Err("`webhook-timestamp` is too far from the current time.");
        }
        let versions = header.split(' ').filter_map(|part| part.split_once(','));
        let digests = versions
            .filter(|(version, _)| *version == "v1")
            .filter_map(|(_, text)| BASE64_STANDARD.decode(text).ok()?.try_into().ok());
        Ok(Signature { signed_before_body: vec![id, seconds], digests: digests.collect() })
    }
}

/// The parsed signatures of one scheme.
#[derive(Debug)]
pub(crate) struct Signature<'a> {
    /// The signed texts before the body. A dot follows each.
    signed_before_body: Vec<&'a str>,
    /// Several during the replacement of a secret.
    digests: Vec<Digest>,
}

impl TimedHeader {
    /// Parses the value of the header. Schemes other than `v1` are skipped: a sender may add one.
    pub(crate) fn parse<'a>(
        &self,
        value: &'a str,
        now: Timestamp,
        tolerance: Tolerance,
    ) -> Result<Signature<'a>, &'static str> {
        let parts = || value.split(',').filter_map(|part| part.trim().split_once('='));
        let all = |wanted| parts().filter(move |(name, _)| *name == wanted).map(|(_, value)| value);
        let mut times = all("t");
        let (Some(seconds), None) = (times.next(), times.next()) else {
            return Err(self.not_one_time);
        };
        let signed_at = parse_seconds(seconds).ok_or(self.not_a_time)?;
        if !tolerance.accepts(signed_at, now) {
            return Err(self.too_far);
        }
        let digests = all("v1").filter_map(parse_hex);
        Ok(Signature { signed_before_body: vec![seconds], digests: digests.collect() })
    }
}

impl Signature<'_> {
    /// Whether this secret signed these bytes. The comparison takes constant time.
    pub(crate) fn matches(&self, secret: &Secret, body: &[u8]) -> bool {
        let mut signed = secret.hmac();
        for text in &self.signed_before_body {
            signed = signed.chain(text.as_bytes()).chain(b".");
        }
        let signed = signed.chain(body);
        self.digests.iter().any(|digest| signed.equals(digest))
    }
}

fn parse_seconds(text: &str) -> Option<i64> {
    Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

fn parse_hex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    hex::decode_to_slice(text, &mut digest).ok().map(|()| digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "the-secret-of-this-test";
    /// `printf '1700000000.{}' | openssl dgst -sha256 -hmac the-secret-of-this-test`
    const DIGEST: &str = "c179f468d410b7c402eff19b00d936a143a11f798bb438c76f573cd21d7cdecc";
    /// `printf 'msg_1.1700000000.{}' | openssl dgst -sha256 -hmac the-secret-of-this-test -binary | base64`
    const STANDARD_DIGEST: &str = "afRyRqEpG+Y9K75lPefvtY610hxtPtu9+IZ/qyiw2yU=";

    const TOO_FAR: &str = "`t` of `X-Signature` is too far from the current time.";

    /// Expects whether the headers match the body `{}` this many milliseconds after 1700000000,
    /// or an error of form.
    fn check_headers(
        headers: SignatureHeaders<'_>,
        tolerance: Tolerance,
        after_millis: i64,
        expected: Result<bool, &'static str>,
    ) {
        let now = Timestamp::from_millis(1_700_000_000_000 + after_millis).unwrap();
        let secret = Secret::try_from(SECRET).unwrap();
        let result = headers.parse(now, tolerance).next().expect("a signature");
        let result = result.map(|signature| signature.matches(&secret, b"{}"));
        assert_eq!(result, expected, "{headers:?}, {after_millis} ms after");
    }

    fn check(header: &str, after_millis: i64, expected: Result<bool, &'static str>) {
        let headers = SignatureHeaders { x_signature: Some(header), ..SignatureHeaders::default() };
        check_headers(headers, Tolerance::DEFAULT, after_millis, expected);
    }

    #[test]
    fn signature_matches_its_time_secret_and_body_only() {
        let v1 = |hex: &str| format!("t=1700000000,v1={hex}");
        let other = "0".repeat(64);
        check(&v1(DIGEST), 0, Ok(true));
        check(&v1(&DIGEST.to_uppercase()), 0, Ok(true));
        check(&format!("v1={DIGEST}, t=1700000000"), 0, Ok(true));
        check(&format!("t=1700000000,v1={other},v1={DIGEST}"), 0, Ok(true));
        check(&format!("t=1700000000,v0=x,v1=no hex,v1={DIGEST},v2="), 0, Ok(true));
        check(&v1(&other), 0, Ok(false));
        check(&v1(&DIGEST[..62]), 0, Ok(false));
        check(&v1(&format!("{DIGEST}00")), 0, Ok(false));
        check(&format!("t=1700000001,v1={DIGEST}"), 0, Ok(false));
        check(&format!("t=01700000000,v1={DIGEST}"), 0, Ok(false));
        check(&format!("t=1700000000,v0={DIGEST}"), 0, Ok(false));
        check("t=1700000000", 0, Ok(false));
    }

    #[test]
    fn standard_signature_matches_its_id_time_secret_and_body_only() {
        let v1 = format!("v1,{STANDARD_DIGEST}");
        let other = format!("v1,{}", BASE64_STANDARD.encode([0; 32]));
        let (id, time) = (Some("msg_1"), Some("1700000000"));
        let not_a_number = Err("`webhook-timestamp` must be a time in seconds since 1970.");
        for (id, time, header, expected) in [
            (id, time, v1.clone(), Ok(true)),
            (id, time, format!("{other} {v1}"), Ok(true)),
            (id, time, format!("v1a,xyz {v1} v2,"), Ok(true)),
            (id, time, other, Ok(false)),
            (id, time, String::new(), Ok(false)),
            (id, time, STANDARD_DIGEST.to_owned(), Ok(false)),
            (id, time, format!("v1a,{STANDARD_DIGEST}"), Ok(false)),
            (id, time, v1[..20].to_owned(), Ok(false)),
            (Some("msg_2"), time, v1.clone(), Ok(false)),
            (id, Some("1700000001"), v1.clone(), Ok(false)),
            (None, time, v1.clone(), Err("The header `webhook-id` is missing.")),
            (id, None, v1.clone(), Err("The header `webhook-timestamp` is missing.")),
            (id, Some("soon"), v1.clone(), not_a_number),
            (id, Some("1699999699"), v1, Err("`webhook-timestamp` is too far from the current time.")),
        ] {
            let headers = SignatureHeaders {
                x_signature: None,
                webhook_id: id,
                webhook_timestamp: time,
                webhook_signature: Some(&header),
            };
            check_headers(headers, Tolerance::DEFAULT, 0, expected);
        }
    }

    #[test]
    fn time_must_be_within_the_tolerance_of_the_clock() {
        let header = format!("t=1700000000,v1={DIGEST}");
        for (after_millis, expected) in
            [(300_999, Ok(true)), (301_000, Err(TOO_FAR)), (-300_000, Ok(true)), (-300_001, Err(TOO_FAR))]
        {
            check(&header, after_millis, expected);
        }
        let headers = SignatureHeaders { x_signature: Some(&header), ..SignatureHeaders::default() };
        check_headers(headers, "900".parse().unwrap(), 900_999, Ok(true));
        check_headers(headers, "900".parse().unwrap(), 901_000, Err(TOO_FAR));
    }

    #[test]
    fn tolerance_is_at_most_a_day() {
        for (text, is_valid) in
            [("1", true), ("86400", true), ("0", false), ("86401", false), ("-1", false), ("5m", false)]
        {
            assert_eq!(text.parse::<Tolerance>().is_ok(), is_valid, "{text}");
        }
    }

    #[test]
    fn header_must_have_exactly_one_valid_time() {
        let not_one = "`X-Signature` must contain exactly one `t`.";
        let no_number = "`t` of `X-Signature` must be a time in seconds since 1970.";
        for (time, error) in [
            ("", not_one),
            ("t=1700000000,t=1700000000,", not_one),
            ("T=1700000000,", not_one),
            ("t,", not_one),
            ("t=,", no_number),
            ("t=+1700000000,", no_number),
            ("t=1.7e9,", no_number),
            ("t=99999999999999999999,", no_number),
        ] {
            check(&format!("{time}v1={DIGEST}"), 0, Err(error));
        }
    }
}
