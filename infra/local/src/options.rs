//! The options of the command line.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use clap::{Parser, builder::NonEmptyStringValueParser};
use scrip::callback::{Secret, SecretForm, Tolerance};

/// Run Scrip on this machine: the HTTP API and a DynamoDB-compatible engine.
#[derive(Debug, Parser)]
#[command(name = "scrip-local", version)]
pub(crate) struct Options {
    /// Address of both ports. Any but a loopback address exposes them; it is for containers.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) host: IpAddr,
    /// Port of the HTTP API. 0 selects a free port.
    #[arg(long, default_value_t = 9000)]
    pub(crate) port: u16,
    /// Port of the embedded DynamoDB engine. 0 selects a free port.
    #[arg(long, default_value_t = 8000)]
    pub(crate) dynamodb_port: u16,
    /// Store the table in this folder.
    #[arg(long, value_name = "DIR", default_value = ".scrip")]
    pub(crate) data_dir: PathBuf,
    /// Store the table in memory. It is lost when the stack stops.
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) memory: bool,
    /// Use this DynamoDB engine instead of the embedded one. Creates the table if it is missing.
    /// The options of the embedded engine have no effect.
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) dynamodb_endpoint: Option<String>,
    /// Require a JSON Web Token signed with this secret (HS256). Without this option, every caller
    /// is accepted.
    #[arg(long, value_name = "SECRET", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) jwt_secret: Option<String>,
    /// Accept call-backs signed with this secret. Repeat the option to accept several secrets.
    #[arg(
        long = "webhook-secret",
        value_name = "SECRET",
        default_value = "local-webhook-secret",
        value_parser = |text: &str| Secret::try_from(text)
    )]
    pub(crate) webhook_secrets: Vec<Secret>,
    /// Accept call-backs whose signature is at most this old, in seconds, up to 86400.
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    pub(crate) webhook_tolerance: Tolerance,
    /// Accept events of Stripe signed with this secret. Repeat the option to accept several secrets.
    #[arg(
        long = "stripe-secret",
        value_name = "SECRET",
        default_value = "local-stripe-secret",
        value_parser = |text: &str| Secret::parse(text, SecretForm::Stripe)
    )]
    pub(crate) stripe_secrets: Vec<Secret>,
    /// Let `POST /test/clock` move the clock of the service forward.
    #[arg(long)]
    pub(crate) test_clock: bool,
    /// Accept scopes that begin with this text, such as `scrip/`, besides those without it.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub(crate) scope_prefix: String,
}
