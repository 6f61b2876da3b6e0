//! The header `X-Signature`: an HMAC of the time and the body.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Secret;
use crate::domain::Timestamp;

/// The largest difference between the signature's time and the clock, in seconds.
const WINDOW_SECONDS: u64 = 300;

/// HMAC-SHA256, in bytes.
type Digest = [u8; 32];

/// A parsed `t=<unix seconds>,v1=<hex>`.
pub(super) struct Signature<'a> {
    /// The text of the time, which is part of the signed bytes.
    seconds: &'a str,
    /// The digests of the `v1` parts: several during the replacement of a secret.
    digests: Vec<Digest>,
}

impl<'a> Signature<'a> {
    /// Parses the header. Schemes other than `v1` are skipped, so that a provider can add
    /// one.
    pub(super) fn parse(header: &'a str, now: Timestamp) -> Result<Signature<'a>, &'static str> {
        let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
        let all = |wanted| parts().filter(move |(name, _)| *name == wanted).map(|(_, value)| value);
        let mut times = all("t");
        let (Some(seconds), None) = (times.next(), times.next()) else {
            return Err("`X-Signature` must contain exactly one `t`.");
        };
        let digits = Some(seconds).filter(|seconds| seconds.bytes().all(|byte| byte.is_ascii_digit()));
        let signed_at: i64 = digits
            .and_then(|digits| digits.parse().ok())
            .ok_or("`t` of `X-Signature` must be a time in seconds since 1970.")?;
        if now.millis().div_euclid(1_000).abs_diff(signed_at) > WINDOW_SECONDS {
            return Err("`t` of `X-Signature` must be within 300 seconds of the current time.");
        }
        Ok(Signature { seconds, digests: all("v1").filter_map(parse_digest).collect() })
    }

    /// Whether this secret signed these bytes. The comparison takes constant time.
    pub(super) fn matches(&self, secret: &Secret, body: &[u8]) -> bool {
        let keyed =
            Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC accepts a key of any length");
        let signed = keyed.chain_update(self.seconds).chain_update(".").chain_update(body);
        self.digests.iter().any(|digest| signed.clone().verify_slice(digest).is_ok())
    }
}

fn parse_digest(hex: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    hex::decode_to_slice(hex, &mut digest).ok().map(|()| digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "the-secret-of-this-test";
    /// `printf '1700000000.{}' | openssl dgst -sha256 -hmac the-secret-of-this-test`
    const DIGEST: &str = "c179f468d410b7c402eff19b00d936a143a11f798bb438c76f573cd21d7cdecc";

    /// Expects whether the header matches the body `{}` this many milliseconds after 1700000000,
    /// or an error of form.
    fn check(header: &str, after_millis: i64, expected: Result<bool, &'static str>) {
        let now = Timestamp::from_millis(1_700_000_000_000 + after_millis).unwrap();
        let secret = Secret::try_from(SECRET).unwrap();
        let result = Signature::parse(header, now).map(|signature| signature.matches(&secret, b"{}"));
        assert_eq!(result, expected, "{header}, {after_millis} ms after");
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
    fn time_must_be_within_300_seconds_of_the_clock() {
        let header = format!("t=1700000000,v1={DIGEST}");
        let expired = "`t` of `X-Signature` must be within 300 seconds of the current time.";
        for (after_millis, expected) in
            [(300_999, Ok(true)), (301_000, Err(expired)), (-300_000, Ok(true)), (-300_001, Err(expired))]
        {
            check(&header, after_millis, expected);
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
