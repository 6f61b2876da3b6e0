//! The options of the command line.

use std::path::PathBuf;

use clap::{Parser, builder::NonEmptyStringValueParser};
use scrip::callback::Secret;

/// Scrip on one machine: the HTTP API and a DynamoDB-compatible engine, on loopback.
#[derive(Debug, Parser)]
#[command(name = "scrip-local", version)]
pub(crate) struct Options {
    /// Port of the HTTP API; 0 picks a free one
    #[arg(long, default_value_t = 9000)]
    pub(crate) port: u16,
    /// Port of the embedded DynamoDB engine; 0 picks a free one
    #[arg(long, default_value_t = 8000)]
    pub(crate) dynamodb_port: u16,
    /// Folder that keeps the table
    #[arg(long, value_name = "DIR", default_value = ".scrip")]
    pub(crate) data_dir: PathBuf,
    /// Keep the table in memory only
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) memory: bool,
    /// Use this DynamoDB engine instead of the embedded one, whose flags then mean nothing; the
    /// table is made if it is missing
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) dynamodb_endpoint: Option<String>,
    /// Let in nobody without a JSON Web Token that is signed with this secret, by HS256; everybody
    /// where this is absent
    #[arg(long, value_name = "SECRET", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) jwt_secret: Option<String>,
    /// Take call-backs that are signed with this secret; may be given several times
    #[arg(
        long = "webhook-secret",
        value_name = "SECRET",
        default_value = "local-webhook-secret",
        value_parser = |text: &str| Secret::try_from(text)
    )]
    pub(crate) webhook_secrets: Vec<Secret>,
}
