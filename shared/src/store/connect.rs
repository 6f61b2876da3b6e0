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

/// How a tool reaches DynamoDB.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// The region; the SDK's own search where absent.
    pub region: Option<String>,
    /// Another endpoint than the region's.
    pub endpoint: Option<String>,
    /// Whether to sign with made-up credentials, for an engine that asks for none.
    pub anonymous: bool,
}

impl Connection {
    /// The engine at this endpoint, with the credentials and the region of the
    /// environment, where there are any.
    pub fn to(endpoint: String) -> Connection {
        let anonymous = variable("AWS_ACCESS_KEY_ID").is_none() && variable("AWS_PROFILE").is_none();
        let region = variable("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned());
        Connection { region: Some(region), endpoint: Some(endpoint), anonymous }
    }

    /// A client, tuned as the ledger counts on.
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

    /// The table of this name, as a function reaches it.
    pub fn for_lambda(sdk: &SdkConfig, endpoint: Option<String>, table: impl Into<String>) -> Store {
        let mut config = Builder::from(sdk);
        config.set_endpoint_url(endpoint);
        Store::new(Client::from_conf(Store::with_timeouts(config).build()), table)
    }

    /// The table of this name, through a client of its own.
    pub async fn connect(connection: Connection, table: impl Into<String>) -> Store {
        Store::new(connection.client().await, table)
    }

    /// Makes the way to the table, so that no event has to wait for it, by a read of
    /// what is not there: each function may read an item. Whether that works is for
    /// the first event to tell.
    pub async fn warm(&self) {
        let _ = self.client.get_item().table_name(&self.table).set_key(Some(key::probe_key())).send().await;
    }

    /// A client that nothing around it can sway: no proxy, no profile, and no
    /// certificates where it speaks plain HTTP.
    fn anonymous(endpoint: Option<&str>) -> Builder {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("local", "local", None, None, "local"));
        if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://")) {
            return config.http_client(aws_smithy_http_client::Builder::new().build_http());
        }
        config
    }

    /// The timeouts and retries that the ledger counts on: the SDK itself tries
    /// once, because a bounded retry needs to know what failed and the deadline. How
    /// fast a body comes is not watched besides: the time for the attempt ends it.
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
