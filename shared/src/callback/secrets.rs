//! The secrets that sign call-backs.

use std::{fmt, sync::Arc};

use aws_sdk_secretsmanager::{
    Client,
    config::{Builder, retry::RetryConfig},
};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Mutex;

use super::{CallbackError, signature::Signature, timeouts};
use crate::{aws_config::describe_error, domain::Timestamp};

/// The time after which secrets are read again, in milliseconds.
const CACHE_MILLIS: i64 = 5 * 60 * 1_000;

/// Begins a secret that is written in base64 (Standard Webhooks).
const BASE64_PREFIX: &str = "whsec_";
/// The least length of a key, in bytes.
const KEY_BYTES_MIN: usize = 16;
/// Secrets are copied by hand: padding is optional.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// HMAC-SHA256, in bytes.
pub(super) type Digest = [u8; 32];

/// How the text of a secret gives its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretForm {
    /// With the prefix `whsec_` the rest is the key in base64, at least 16 bytes of it
    /// (Standard Webhooks); without it the text itself is the key.
    StandardWebhooks,
    /// The text itself is the key, a prefix `whsec_` included (Stripe).
    Stripe,
}

/// A secret that signs call-backs and payment events, and seals tokens: 16 to 255 of
/// `A-Z a-z 0-9 . _ : + / = -`, whose key [`SecretForm`] defines.
///
/// Braces and quotes are invalid, so that JSON is never read as secrets by mistake: its field
/// names could be guessed.
#[derive(Clone)]
pub struct Secret {
    key: Vec<u8>,
}

impl Secret {
    /// The HMAC of an empty text under this secret.
    pub(super) fn hmac(&self) -> SignedText {
        SignedText(Hmac::new_from_slice(&self.key).expect("HMAC accepts a key of any length"))
    }

    /// Parses one or more secrets, separated by white space.
    ///
    /// # Errors
    /// A description of a valid secret, without the text.
    pub fn list(text: &str, form: SecretForm) -> Result<Vec<Secret>, &'static str> {
        let secrets = text.split_whitespace().map(|text| Secret::parse(text, form));
        let secrets: Vec<Secret> = secrets.collect::<Result<_, _>>()?;
        if secrets.is_empty() { Err("there is no webhook secret") } else { Ok(secrets) }
    }

    /// Parses one secret.
    ///
    /// # Errors
    /// A description of a valid secret, without the text.
    pub fn parse(text: &str, form: SecretForm) -> Result<Secret, &'static str> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:+/=-".contains(&byte);
        if !(KEY_BYTES_MIN..=255).contains(&text.len()) || !text.bytes().all(is_allowed) {
            return Err("a webhook secret must be 16 to 255 characters of A-Z a-z 0-9 . _ : + / = -");
        }
        let encoded = text.strip_prefix(BASE64_PREFIX).filter(|_| form == SecretForm::StandardWebhooks);
        let key = match encoded {
            Some(encoded) => BASE64.decode(encoded).ok().filter(|key| key.len() >= KEY_BYTES_MIN),
            None => Some(text.as_bytes().to_vec()),
        };
        key.map(|key| Secret { key })
            .ok_or("a webhook secret that begins with whsec_ must continue with at least 16 bytes in base64")
    }
}

impl TryFrom<&str> for Secret {
    type Error = &'static str;

    /// Parses a secret of the form of Standard Webhooks.
    fn try_from(text: &str) -> Result<Secret, &'static str> {
        Secret::parse(text, SecretForm::StandardWebhooks)
    }
}

/// A text under a secret, and its HMAC-SHA256.
#[derive(Clone)]
pub(super) struct SignedText(Hmac<Sha256>);

impl SignedText {
    /// The text with more bytes at its end.
    pub(super) fn chain(self, bytes: &[u8]) -> SignedText {
        SignedText(self.0.chain_update(bytes))
    }

    /// The HMAC of the text.
    pub(super) fn digest(self) -> Digest {
        self.0.finalize().into_bytes().into()
    }

    /// Whether this is the HMAC of the text. The comparison takes constant time.
    pub(super) fn equals(&self, digest: &Digest) -> bool {
        self.0.clone().verify_slice(digest).is_ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The secrets that may sign a call-back or a payment event. Several are valid at the same time, so that one can be
/// replaced without rejecting anything.
#[derive(Debug)]
pub struct Secrets(SecretSource);

#[derive(Debug)]
enum SecretSource {
    Fixed(Arc<[Secret]>),
    Cached(CachedSecret),
}

/// Secrets in Secrets Manager, as a text for [`Secret::list`].
#[derive(Debug)]
struct CachedSecret {
    client: Client,
    id: String,
    form: SecretForm,
    last: Mutex<Option<(Timestamp, Arc<[Secret]>)>>,
}

impl Secrets {
    /// Secrets that do not change during the process.
    pub fn fixed(secrets: Vec<Secret>) -> Secrets {
        Secrets(SecretSource::Fixed(secrets.into()))
    }

    /// The secrets of Secrets Manager with this name or ARN, read on first use and again after
    /// five minutes.
    pub fn from_secrets_manager(config: Builder, id: String, form: SecretForm) -> Secrets {
        let config = config.retry_config(RetryConfig::standard()).timeout_config(timeouts());
        Secrets(SecretSource::Cached(CachedSecret {
            client: Client::from_conf(config.build()),
            id,
            form,
            last: Mutex::default(),
        }))
    }

    pub(super) async fn current(&self, now: Timestamp) -> Result<Arc<[Secret]>, CallbackError> {
        match &self.0 {
            SecretSource::Fixed(secrets) if secrets.is_empty() => {
                Err(CallbackError::Service("no webhook secret is configured".to_owned()))
            }
            SecretSource::Fixed(secrets) => Ok(secrets.clone()),
            SecretSource::Cached(cached) => cached.current(now).await,
        }
    }
}

impl Secrets {
    /// Verifies that one of these secrets made one of the signatures of a body.
    pub(crate) async fn verify(
        &self,
        signatures: &[Signature<'_>],
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), CallbackError> {
        let secrets = self.current(now).await?;
        let is_valid = |secret| signatures.iter().any(|signature| signature.matches(secret, body));
        if secrets.iter().any(is_valid) {
            Ok(())
        } else {
            Err(CallbackError::Unauthorized("No `v1` of the signature matches this body."))
        }
    }
}

impl CachedSecret {
    /// If a later read fails, the previous secrets remain valid, so that call-backs are not
    /// rejected.
    async fn current(&self, now: Timestamp) -> Result<Arc<[Secret]>, CallbackError> {
        let mut last = self.last.lock().await;
        let secrets = match &*last {
            Some((read_at, secrets)) if now < read_at.plus_millis(CACHE_MILLIS) => return Ok(secrets.clone()),
            Some((_, previous)) => self.read().await.unwrap_or_else(|reason| {
                tracing::error!(reason, "webhook secrets cannot be read again");
                previous.clone()
            }),
            None => self.read().await.map_err(CallbackError::Service)?,
        };
        *last = Some((now, secrets.clone()));
        Ok(secrets)
    }

    async fn read(&self) -> Result<Arc<[Secret]>, String> {
        let response = self.client.get_secret_value().secret_id(&self.id).send().await;
        let value = response.map_err(|error| format!("webhook secrets: {}", describe_error(&error)))?;
        let secrets = Secret::list(value.secret_string().unwrap_or_default(), self.form)?;
        Ok(secrets.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_separates_secrets_by_white_space_and_rejects_json() {
        let (one, other) = ("a_secret-of.this", "c2VjcmV0/c2VjcmV0+w==");
        for (text, secrets) in [
            (one.to_owned(), Some(1)),
            (format!(" {one}\n{other}\n"), Some(2)),
            (String::new(), None),
            (" \n".to_owned(), None),
            (format!("{one} short"), None),
            ("x".repeat(15), None),
            ("x".repeat(255), Some(1)),
            ("x".repeat(256), None),
            (format!("{{\"webhook_signing_secret\": \"{one}\"}}"), None),
            (format!("[\"{one}\"]"), None),
        ] {
            let found = Secret::list(&text, SecretForm::StandardWebhooks).ok().map(|secrets| secrets.len());
            assert_eq!(found, secrets, "{text:?}");
        }
    }

    #[test]
    fn key_of_the_prefix_whsec_depends_on_the_form() {
        use SecretForm::{StandardWebhooks, Stripe};

        let encoded = "whsec_c2VjcmV0LW9mLXRoaXMtdGVzdA==";
        for (form, text, key) in [
            (StandardWebhooks, encoded, Some(&b"secret-of-this-test"[..])),
            (StandardWebhooks, "whsec_c2VjcmV0LW9mLXRoaXMtdGVzdA", Some(b"secret-of-this-test")),
            (StandardWebhooks, "c2VjcmV0LW9mLXRoaXMtdGVzdA==", Some(b"c2VjcmV0LW9mLXRoaXMtdGVzdA==")),
            (StandardWebhooks, "WHSEC_no-prefix-in-capitals", Some(b"WHSEC_no-prefix-in-capitals")),
            (StandardWebhooks, "whsec_c2VjcmV0LW9mLXRo", None),
            (StandardWebhooks, "whsec_not.base64:not.base64", None),
            (Stripe, encoded, Some(encoded.as_bytes())),
            (Stripe, "whsec_not.base64:not.base64", Some(b"whsec_not.base64:not.base64")),
            (Stripe, "whsec_too-short", None),
        ] {
            let parsed = Secret::parse(text, form).ok();
            assert_eq!(parsed.as_ref().map(|secret| &secret.key[..]), key, "{form:?}: {text}");
        }
    }
}
