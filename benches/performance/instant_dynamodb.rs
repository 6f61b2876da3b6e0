//! A mock DynamoDB in the same process that responds at once.

use std::{future::ready, sync::Arc};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use scrip::{
    ledger::{ClockAndRandom, Ledger},
    store::{Store, TABLE},
    transport::App,
};
use scrip_tests::{http_response, mock_http_client, operation};
use serde_json::json;

/// Approximate length of a function's session token.
const SESSION_TOKEN_CHARS: usize = 900;

/// The response to every read and to every write.
#[derive(Clone, Debug)]
pub(crate) struct InstantDynamoDb {
    read: Arc<str>,
    write: Arc<str>,
}

impl InstantDynamoDb {
    /// Reads return a wallet with this number of packs.
    pub(crate) fn new(packs: u64) -> InstantDynamoDb {
        let packs: Vec<_> = (0..packs)
            .map(|nth| {
                json!({ "M": {
                    "i": { "S": format!("01a20585-4495-7dd5-8c4e-{nth:012}") }, "t": { "S": "order_pay" },
                    "o": { "S": format!("order-{nth:08}") }, "c": { "N": "1000" }, "n": { "N": "500" },
                    "e": { "N": (4_070_908_800_000 + nth).to_string() },
                } })
            })
            .collect();
        let totals = json!({
            "order_pay": { "M": { "c": { "N": "500000" }, "n": { "N": "500" } } },
            "anime_generation": { "M": { "c": { "N": "1500" }, "n": { "N": "100" } } },
        });
        let wallet = json!({
            "user_uuid": { "S": "user" }, "sk": { "S": "wallet" }, "version": { "N": "1767225600000" },
            "packs": { "L": packs }, "totals": { "M": totals },
        });
        let consumed = |units: f64| json!({ "TableName": TABLE, "CapacityUnits": units });
        let read = json!({ "ConsumedCapacity": consumed(1.0), "Item": wallet });
        let write = json!({ "ConsumedCapacity": [consumed(6.0)] });
        InstantDynamoDb { read: read.to_string().into(), write: write.to_string().into() }
    }

    /// The functions' app.
    pub(crate) fn app(&self) -> Arc<App> {
        let ledger = Ledger::new(Store::new(self.client(), TABLE), ClockAndRandom::system());
        Arc::new(App::new(ledger))
    }

    /// A client that signs as on Lambda.
    pub(crate) fn client(&self) -> Client {
        let dynamodb = self.clone();
        let answer = move |request: &HttpRequest| {
            let body = if operation(request) == "GetItem" { &dynamodb.read } else { &dynamodb.write };
            ready(Ok(http_response(200, body.as_bytes())))
        };
        let session = "s".repeat(SESSION_TOKEN_CHARS);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("key", "secret", Some(session), None, "bench"))
            .http_client(mock_http_client(answer));
        Client::from_conf(Store::with_timeouts(config).build())
    }
}
