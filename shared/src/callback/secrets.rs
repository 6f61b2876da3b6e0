//! The secrets that sign call-backs.

use std::{fmt, sync::Arc};

use aws_sdk_secretsmanager::{
    Client,
    config::{Builder, retry::RetryConfig},
};
use tokio::sync::Mutex;

use super::{CallbackError, timeouts};
use crate::{aws_config::describe_error, domain::Timestamp};

/// The time after which secrets are read again, in milliseconds.
const CACHE_MILLIS: i64 = 5 * 60 * 1_000;

/// A secret of a provider: 16 to 255 of `A-Z a-z 0-9 . _ : + / = -`.
///
/// Braces and quotes are invalid, so that JSON is never read as secrets by mistake: its field
/// names could be guessed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Parses one or more secrets, separated by white space.
    ///
    /// # Errors
    /// A description of a valid secret, without the text.
    pub fn list(text: &str) -> Result<Vec<Secret>, &'static str> {
        let secrets: Vec<Secret> = text.split_whitespace().map(Secret::try_from).collect::<Result<_, _>>()?;
        if secrets.is_empty() { Err("there is no webhook secret") } else { Ok(secrets) }
    }
}

impl TryFrom<&str> for Secret {
    type Error = &'static str;

    fn try_from(text: &str) -> Result<Secret, &'static str> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:+/=-".contains(&byte);
        if (16..=255).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Secret(text.to_owned()))
        } else {
            Err("a webhook secret must be 16 to 255 characters of A-Z a-z 0-9 . _ : + / = -")
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The secrets that may sign a call-back. Several are valid at the same time, so that one can be
/// replaced without rejecting call-backs.
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
    last: Mutex<Option<(Timestamp, Arc<[Secret]>)>>,
}

impl Secrets {
    /// Secrets that do not change during the process.
    pub fn fixed(secrets: Vec<Secret>) -> Secrets {
        Secrets(SecretSource::Fixed(secrets.into()))
    }

    /// The secrets of Secrets Manager with this name or ARN, read on first use and again after
    /// five minutes.
    pub fn from_secrets_manager(config: Builder, id: String) -> Secrets {
        let config = config.retry_config(RetryConfig::standard()).timeout_config(timeouts());
        Secrets(SecretSource::Cached(CachedSecret {
            client: Client::from_conf(config.build()),
            id,
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
        let secrets = Secret::list(value.secret_string().unwrap_or_default())?;
        Ok(secrets.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_separates_secrets_by_white_space_and_rejects_json() {
        let (one, other) = ("whsec_0123456789", "c2VjcmV0/c2VjcmV0+w==");
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
            let found = Secret::list(&text).ok().map(|secrets| secrets.len());
            assert_eq!(found, secrets, "{text:?}");
        }
    }
}
