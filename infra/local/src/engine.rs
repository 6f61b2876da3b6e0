//! The embedded DynamoDB engine behind a TCP socket.

use std::{
    fmt::Display,
    fs::{self, File, TryLockError},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use dynoxide::{Database, server};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::log_sync::LogSync;

/// A running engine.
pub(crate) struct Engine {
    /// URL for SDKs and tools.
    pub(crate) endpoint: String,
    /// The database that the port serves.
    pub(crate) database: Database,
    /// Its log, if it is stored in a folder.
    pub(crate) log: Option<Arc<LogSync>>,
    /// Where the table is stored, for the start message.
    pub(crate) storage: String,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
    /// Locked while the engine runs: two processes must not open the same folder.
    _lock: Option<File>,
}

impl Engine {
    /// Serves the table stored in `folder`, or in memory without one. Returns a message on failure.
    pub(crate) fn start(listener: TcpListener, folder: Option<&Path>) -> Result<Engine, String> {
        let (database, stored) = match folder {
            Some(folder) => open(folder).map(|(database, log, lock)| (database, Some((log, lock))))?,
            None => (Database::memory().map_err(|error| error.to_string())?, None),
        };
        let (log, lock) = stored.unzip();
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let address = from_this_machine(address);
        let (stop, stopped) = oneshot::channel();
        let until_stopped = async move { stopped.await.unwrap_or(()) };
        Ok(Engine {
            endpoint: format!("http://{address}"),
            storage: folder
                .map_or("in memory".to_owned(), |folder| format!("stored in {}", folder.display())),
            stop,
            server: tokio::spawn(server::serve_with_shutdown(listener, database.clone(), until_stopped)),
            database,
            log: log.map(Arc::new),
            _lock: lock,
        })
    }

    /// Completes pending requests, then closes the table.
    pub(crate) async fn stop(self) {
        // Both fail only if the server has ended already.
        let _ = self.stop.send(());
        let _ = self.server.await;
    }
}

/// The address by which this machine reaches a listener.
pub(crate) fn from_this_machine(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) if address.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(_) if address.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

fn open(folder: &Path) -> Result<(Database, LogSync, File), String> {
    let name = folder.display();
    let not_writable = |error: std::io::Error| format!("cannot write to the folder {name}: {error}");
    fs::create_dir_all(folder).map_err(not_writable)?;
    let lock = File::create(folder.join("lock")).map_err(not_writable)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => format!("the folder {name} is in use by another process"),
        TryLockError::Error(error) => not_writable(error),
    })?;
    let path = folder.join("credits.db");
    let path = path.to_str().ok_or_else(|| format!("the folder {name} has a name that is not UTF-8"))?;
    let cannot_open = |error: &dyn Display| format!("cannot open {path}: {error}");
    let database = Database::new(path).map_err(|error| cannot_open(&error))?;
    // The engine's only way to `synchronous = NORMAL`: a commit then does not sync the log while
    // it holds the engine's lock. `LogSync` does it afterwards, for several commits at once.
    database.disable_bulk_loading().map_err(|error| cannot_open(&error))?;
    let log = LogSync::open(Path::new(&format!("{path}-wal"))).map_err(|error| cannot_open(&error))?;
    Ok((database, log, lock))
}
