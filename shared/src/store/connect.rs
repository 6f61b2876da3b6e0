use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::{
    Client, Config,
    config::{Builder, Credentials},
};

use super::key;
use crate::{aws_config::tool_config, environment::variable};

/// The connection of a tool to DynamoDB.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The region; by default the one that the SDK finds.
    pub region: Option<String>,
    /// An endpoint instead of the region's own.
    pub endpoint: Option<String>,
    /// Whether to sign with dummy credentials, for an engine that does not check them.
    pub anonymous: bool,
}

impl Connection {
    /// Connects to an endpoint, with the credentials and region of the environment, if set.
    pub fn to(endpoint: String) -> Connection {
        let anonymous = variable("AWS_ACCESS_KEY_ID").is_none() && variable("AWS_PROFILE").is_none();
        let region = variable("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned());
        Connection { region: Some(region), endpoint: Some(endpoint), anonymous }
    }

    /// A client with the timeouts and retries of [`Store::with_timeouts`].
    pub async fn client(self) -> Client {
        let Connection { region, endpoint, anonymous } = self;
        let mut config = if anonymous {
            Store::anonymous(endpoint.as_deref())
        } else {
            Builder::from(&tool_config().load().await)
        };
        if let Some(region) = region {
            config.set_region(Some(Region::new(region)));
        }
        config.set_endpoint_url(endpoint);
        Client::from_conf(Store::with_timeouts(config).build())
    }
}

/// One table and its client.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) client: Client,
    pub(super) table: String,
}

impl Store {
    /// A table with an existing client.
    pub fn new(client: Client, table: impl Into<String>) -> Store {
        Store { client, table: table.into() }
    }

    /// A table for a Lambda function, with its SDK configuration.
    pub fn for_lambda(sdk: &SdkConfig, endpoint: Option<String>, table: impl Into<String>) -> Store {
        let mut config = Builder::from(sdk);
        config.set_endpoint_url(endpoint);
        Store::new(Client::from_conf(Store::with_timeouts(config).build()), table)
    }

    /// A table with a client of its own.
    pub async fn connect(connection: Connection, table: impl Into<String>) -> Store {
        Store::new(connection.client().await, table)
    }

    /// Opens the connection before the first event, by reading a key that cannot exist: every
    /// function may read an item. Errors are ignored; the first event reports them.
    pub async fn warm(&self) {
        let _ = self.client.get_item().table_name(&self.table).set_key(Some(key::probe_key())).send().await;
    }

    /// A configuration that ignores the environment: no proxy, no profile, and no
    /// certificates for plain HTTP.
    fn anonymous(endpoint: Option<&str>) -> Builder {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("local", "local", None, None, "local"));
        if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
            return config.http_client(aws_smithy_http_client::Builder::new().build_http());
        }
        config
    }

    /// Sets the timeouts that the ledger relies on, and disables the SDK's retries: `ledger`
    /// retries by the kind of failure and the deadline. The attempt timeout also ends a slow
    /// body, so the stalled-stream protection is off.
    pub fn with_timeouts(config: Builder) -> Builder {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(3))
            .build();
        config
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(timeouts)
    }
}
