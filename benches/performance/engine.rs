//! The embedded engine, served from a thread of its own, and clients of it.

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use dynoxide::{Database, ImportOptions, Item, server};
use scrip::{
    ledger::{ClockAndRandom, Ledger},
    store::{Store, TABLE},
    transport::App,
};
use serde_json::Value;
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

/// Items of one import.
const CHUNK: usize = 20_000;

/// An engine that serves until it is dropped.
pub(crate) struct Engine {
    database: Database,
    endpoint: String,
    /// Stops the server when it is dropped.
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Engine {
    /// An engine with the table, in this file.
    pub(crate) async fn start(file: &Path) -> Engine {
        let database = Database::new(file.to_str().expect("a path in UTF-8")).expect("an engine");
        let served = database.clone();
        let (address_sender, address) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let until_stopped = async { drop(stopped.await) };
        let server = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                let _ = address_sender.send(listener.local_addr().expect("an address"));
                server::serve_with_shutdown(listener, served, until_stopped).await.expect("a server");
            });
        });
        let endpoint = format!("http://{}", address.await.expect("an address"));
        let engine = Engine { database, endpoint, stop, server };
        engine.store(http_client()).create_table().await.expect("a table");
        engine
    }

    /// Writes items without the checks of requests.
    pub(crate) fn import(&self, items: impl Iterator<Item = Value>) {
        self.database.enable_bulk_loading().expect("an engine");
        let mut items = items.map(|item| serde_json::from_value::<Item>(item).expect("an item"));
        loop {
            let chunk: Vec<_> = items.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                break;
            }
            self.database.import_items(TABLE, chunk, ImportOptions::default()).expect("an import");
        }
        self.database.disable_bulk_loading().expect("an engine");
    }

    /// Closes the file, so that another process may open it.
    pub(crate) fn close(self) {
        drop((self.stop, self.database));
        self.server.join().expect("a server that ends");
    }

    /// A client over this HTTP client.
    pub(crate) fn client(&self, http: SharedHttpClient) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("key", "secret", Some("s".repeat(900)), None, "bench"))
            .endpoint_url(&self.endpoint)
            .http_client(http);
        Client::from_conf(Store::with_timeouts(config).build())
    }

    /// The functions' app.
    pub(crate) fn app(&self, http: SharedHttpClient) -> Arc<App> {
        let ledger = Ledger::new(self.store(http), ClockAndRandom::system());
        Arc::new(App::new(ledger).without_authentication())
    }

    fn store(&self, http: SharedHttpClient) -> Store {
        Store::new(self.client(http), TABLE)
    }
}

/// An HTTP client without TLS.
pub(crate) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}
