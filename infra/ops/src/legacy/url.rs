//! Parses the URL of the database with the options of libpq.

use std::{path::PathBuf, time::Duration};

use percent_encoding::percent_decode_str;
use tokio_postgres::{Config, config::Host};

use super::error;
use crate::cli_error::CliError;

/// The default of `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The configuration, and the file of further roots.
pub(super) fn parse(url: &str) -> Result<(Config, Option<PathBuf>), CliError> {
    let (url, roots) = extract_libpq_options(url);
    let mut config: Config = url.parse().map_err(|_| error::invalid_url())?;
    // An unescaped @ ends the password, and the rest of it becomes the host or database.
    let has_at = |host: &Host| matches!(host, Host::Tcp(host) if host.contains('@'));
    let is_split = config.get_hosts().iter().any(has_at)
        || config.get_dbname().is_some_and(|database| database.contains('@'));
    if is_split || config.get_hosts().is_empty() || config.get_user().is_none() {
        return Err(error::invalid_url());
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config.application_name("scrip-ops");
    Ok((config, roots))
}

/// Removes the options that only libpq supports: the file of roots, and the modes that
/// validate certificates, as every mode does here.
fn extract_libpq_options(url: &str) -> (String, Option<PathBuf>) {
    let Some((before, options)) = url.rsplit_once('?') else { return (url.to_owned(), None) };
    let (mut roots, mut others) = (None, Vec::new());
    for option in options.split('&') {
        match option.split_once('=') {
            Some(("sslrootcert", file)) => {
                roots = Some(percent_decode_str(file).decode_utf8_lossy().into_owned().into());
            }
            Some(("sslmode", "verify-ca" | "verify-full")) => others.push("sslmode=require"),
            _ => others.push(option),
        }
    }
    let separator = if others.is_empty() { "" } else { "?" };
    (format!("{before}{separator}{}", others.join("&")), roots)
}

#[cfg(test)]
mod tests {
    use tokio_postgres::config::SslMode;

    use super::*;

    #[test]
    fn options_of_a_url_are_parsed() {
        for (options, mode, seconds, roots) in [
            ("", SslMode::Prefer, 10, None),
            ("?sslmode=disable", SslMode::Disable, 10, None),
            ("?sslmode=require&connect_timeout=3", SslMode::Require, 3, None),
            ("?sslrootcert=a%20b.pem", SslMode::Prefer, 10, Some("a b.pem")),
            ("?sslrootcert=/a.pem&sslmode=verify-full", SslMode::Require, 10, Some("/a.pem")),
        ] {
            let (config, found) = parse(&format!("postgresql://u:secret@host/db{options}")).unwrap();
            assert_eq!((config.get_ssl_mode(), found), (mode, roots.map(PathBuf::from)), "{options}");
            assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(seconds)), "{options}");
        }
    }

    #[test]
    fn error_of_an_invalid_url_does_not_contain_it() {
        for url in [
            "",
            "mysql://u:secret@host/db",
            "postgresql://u:secret@host/db?sslmode=maybe",
            "postgresql://u:sec@ret@host/db",
            "postgresql://u:s@cr/et@host/db",
            "postgresql://u:s@cr?et@host/db",
            "postgresql:///db",
            "postgresql://host/db",
        ] {
            assert_eq!(parse(url), Err(error::invalid_url()), "{url}");
        }
    }
}
