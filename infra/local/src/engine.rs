//! The embedded DynamoDB engine, on a socket.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use dynoxide::{Database, server};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// The embedded DynamoDB engine, serving.
pub(crate) struct Engine {
    /// Where any SDK or tool reaches it.
    pub(crate) endpoint: String,
    /// Where it keeps the table, in words.
    pub(crate) place: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), String>>,
    /// Locked while the engine runs: one process for each folder.
    _lock: Option<File>,
}

impl Engine {
    /// Serves the table that a folder keeps, or one in memory.
    pub(crate) fn start(listener: TcpListener, folder: Option<&Path>) -> Result<Engine, String> {
        let (database, lock) = match folder {
            Some(folder) => open(folder).map(|(database, lock)| (database, Some(lock)))?,
            None => (Database::memory().map_err(|error| error.to_string())?, None),
        };
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (stop, stopped) = oneshot::channel();
        let until_stopped = async move { stopped.await.unwrap_or(()) };
        Ok(Engine {
            endpoint: format!("http://{address}"),
            place: folder.map_or("in memory".to_owned(), |folder| format!("kept in {}", folder.display())),
            stop,
            served: tokio::spawn(server::serve_with_shutdown(listener, database, until_stopped)),
            _lock: lock,
        })
    }

    /// Lets the requests under way end, then closes the table.
    pub(crate) async fn stop(self) {
        // Either may be gone already, which is as good as stopped.
        let _ = self.stop.send(());
        let _ = self.served.await;
    }
}

fn open(folder: &Path) -> Result<(Database, File), String> {
    let name = folder.display();
    let no_folder = |error: std::io::Error| format!("cannot write to the folder {name}: {error}");
    fs::create_dir_all(folder).map_err(no_folder)?;
    let lock = File::create(folder.join("lock")).map_err(no_folder)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => format!("the folder {name} is in use by another process"),
        TryLockError::Error(error) => no_folder(error),
    })?;
    let path = folder.join("credits.db");
    let path = path.to_str().ok_or_else(|| format!("the folder {name} has a name that is no UTF-8"))?;
    let database = Database::new(path).map_err(|error| format!("cannot open {path}: {error}"))?;
    Ok((database, lock))
}
