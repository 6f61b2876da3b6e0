use std::time::Duration;

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{Client, config::Credentials};

/// How to reach DynamoDB.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The region; the SDK's own search where absent.
    pub region: Option<String>,
    /// Another endpoint than the region's.
    pub endpoint: Option<String>,
    /// Whether to sign with made-up credentials, for an engine that asks for none.
    pub anonymous: bool,
}

/// One table, and the client that reaches it.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) client: Client,
    pub(super) table: String,
}

impl Store {
    /// The table of this name, through this client.
    pub fn new(client: Client, table: impl Into<String>) -> Store {
        Store { client, table: table.into() }
    }

    /// The table of this name, through a client of its own.
    pub async fn connect(connection: Connection, table: impl Into<String>) -> Store {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        if let Some(region) = connection.region {
            loader = loader.region(Region::new(region));
        }
        if connection.anonymous {
            loader = loader.credentials_provider(Credentials::new("local", "local", None, None, "local"));
        }
        let shared = loader.load().await;
        let mut config = Store::tuned(aws_sdk_dynamodb::config::Builder::from(&shared));
        config.set_endpoint_url(connection.endpoint);
        Store::new(Client::from_conf(config.build()), table)
    }

    /// The timeouts and retries that the ledger counts on: the SDK itself tries
    /// once, because a bounded retry needs to know what failed and the deadline.
    pub fn tuned(config: aws_sdk_dynamodb::config::Builder) -> aws_sdk_dynamodb::config::Builder {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(1))
            .operation_attempt_timeout(Duration::from_secs(3))
            .build();
        config.retry_config(RetryConfig::disabled()).timeout_config(timeouts)
    }
}
