//! Call-back tokens: a content and its HMAC, as the last segment of a URL. A token replaces the
//! signature of a provider that does not sign, or signs in another way.

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::Secret;

/// The signed text before the content. No signature of a call-back covers a text that begins
/// so, because it begins with a time or an id of the sender.
const CONTEXT: &[u8] = b"callback.v1.";

/// Writes no padding and accepts it.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The token of a content: `<base64url of the content>.<base64url of the HMAC>`.
pub(super) fn seal(secret: &Secret, content: &[u8]) -> String {
    let content = BASE64_URL.encode(content);
    let digest = secret.hmac().chain(CONTEXT).chain(content.as_bytes()).digest();
    format!("{content}.{}", BASE64_URL.encode(digest))
}

/// The content of a token, if one of these secrets sealed it. The comparison takes constant
/// time.
pub(super) fn open(secrets: &[Secret], token: &str) -> Option<Vec<u8>> {
    let (content, digest) = token.split_once('.')?;
    let digest = BASE64_URL.decode(digest).ok()?.try_into().ok()?;
    let sealed = |secret: &Secret| secret.hmac().chain(CONTEXT).chain(content.as_bytes()).equals(&digest);
    if secrets.iter().any(sealed) { BASE64_URL.decode(content).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "the-secret-of-this-test";
    /// `printf '{"exp":1}' | basenc --base64url | tr -d =`
    const CONTENT: &str = "eyJleHAiOjF9";
    /// `printf 'callback.v1.eyJleHAiOjF9' | openssl dgst -sha256 -hmac the-secret-of-this-test
    /// -binary | basenc --base64url | tr -d =`
    const DIGEST: &str = "0lj6vmqtcQ9ugcAcIXMXMUpMAfcHIUmfkTBFJklG2Vk";

    fn secrets(texts: &[&str]) -> Vec<Secret> {
        texts.iter().map(|text| Secret::try_from(*text).unwrap()).collect()
    }

    #[test]
    fn token_is_a_content_and_its_hmac() {
        let secrets = secrets(&[SECRET]);
        let token = seal(&secrets[0], br#"{"exp":1}"#);
        assert_eq!(token, format!("{CONTENT}.{DIGEST}"));
        assert_eq!(open(&secrets, &token).as_deref(), Some(&br#"{"exp":1}"#[..]));
        assert!(open(&secrets, &format!("{token}=")).is_some(), "padding is accepted");
    }

    #[test]
    fn token_is_accepted_under_each_secret() {
        let both = secrets(&["the-next-secret-of-this-test", SECRET]);
        for secret in &both {
            assert!(open(&both, &seal(secret, b"{}")).is_some());
        }
        assert!(open(&both[..1], &seal(&both[1], b"{}")).is_none(), "the secret was removed");
        assert!(open(&[], &seal(&both[0], b"{}")).is_none(), "there is no secret");
    }

    #[test]
    fn forged_token_is_rejected() {
        let secrets = secrets(&[SECRET]);
        let (content, digest) = (CONTENT, DIGEST);
        let of_content_alone = BASE64_URL.encode(secrets[0].hmac().chain(content.as_bytes()).digest());
        for token in [
            String::new(),
            ".".to_owned(),
            content.to_owned(),
            format!("{content}."),
            format!(".{digest}"),
            format!("{digest}.{content}"),
            format!("{content}.{}", &digest[..digest.len() - 1]),
            format!("{}.{digest}", &content[..content.len() - 1]),
            format!("{}.{digest}", BASE64_URL.encode(br#"{"exp":2}"#)),
            format!("{content}.{of_content_alone}"),
            format!("{content}.{digest}.{digest}"),
            format!("{content}. {digest}"),
        ] {
            assert_eq!(open(&secrets, &token), None, "{token}");
        }
    }
}
