//! PostgreSQL servers with a database for each user of them. All tests of a process share one server.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_postgres::{Client, NoTls};

/// Runs a server until standard input closes, which happens however this process ends, and
/// removes its data. The arguments are the folder of the programs, the port, and the flags of
/// `initdb` and of the server. ICU collation does not sort by bytes.
const SERVER_SCRIPT: &str = r#"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap '' HUP INT TERM
umask 077
echo secret >"$folder/password"
printf %s "$CERTIFICATE" >"$folder/certificate"
printf %s "$KEY" >"$folder/key"
"$1/initdb" --pgdata="$folder/data" --username=scrip --pwfile="$folder/password" --auth=scram-sha-256 \
    --no-locale --encoding=UTF8 --locale-provider=icu --icu-locale=en $3 >"$folder/log" 2>&1 ||
    { cat "$folder/log" >&2 && exit 1; }
"$1/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait --silent \
    --options="$4 -h 127.0.0.1 -p $2 -k '' -l -c ssl_cert_file=$folder/certificate -c ssl_key_file=$folder/key" start || { cat "$folder/log" >&2 && exit 1; }
echo ready
read -r _ || true
"$1/pg_ctl" --pgdata="$folder/data" --mode=immediate --silent stop
"#;

/// A running server, also with TLS as 127.0.0.1. Dropping it stops it and removes its data.
pub struct Server {
    port: u16,
    /// Certificate of the authority, in PEM.
    root: String,
    /// Ends when its standard input closes.
    supervisor: Child,
}

/// What is on disk when a commit returns.
#[derive(Clone, Copy, Debug)]
pub enum Durability {
    /// The commit: PostgreSQL's default.
    Synced,
    /// Possibly nothing. Faster, for tests.
    Unsynced,
}

impl Durability {
    /// The flags of `initdb` and of the server.
    fn flags(self) -> [&'static str; 2] {
        match self {
            Durability::Synced => ["", ""],
            Durability::Unsynced => ["--no-sync", "-F"],
        }
    }
}

/// A new database of the server that the tests of this process share.
pub async fn database() -> Database {
    static SERVER: LazyLock<Arc<Server>> = LazyLock::new(|| Server::start(Durability::Unsynced));
    SERVER.database().await
}

/// A database of a server.
pub struct Database {
    /// The server, which runs until its last database is dropped.
    pub server: Arc<Server>,
    /// Without quotes.
    pub name: String,
}

impl Database {
    /// URL of its owner.
    pub fn url(&self) -> String {
        self.url_of("scrip:secret")
    }

    /// URL for `user:password`.
    pub fn url_of(&self, user: &str) -> String {
        format!("{}?sslmode=disable", self.url_at(user, "127.0.0.1"))
    }

    /// URL for a host name, without options.
    pub fn url_at(&self, user: &str, host: &str) -> String {
        format!("postgresql://{user}@{host}:{}/{}", self.server.port, self.name)
    }

    /// Certificate of the authority, in PEM.
    pub fn root(&self) -> &str {
        &self.server.root
    }

    /// A connection to it.
    pub async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }

    /// The sum of each user's unexpired rows at a moment in milliseconds since 1970. `table`
    /// may be a query with the columns of `credits`.
    pub async fn sums(&self, table: &str, at: i64) -> BTreeMap<String, i128> {
        let sql = format!(
            "SELECT user_uuid::text, coalesce(sum(credits) FILTER (WHERE expired_at IS NULL
                 OR floor(extract(epoch FROM expired_at) * 1000) > {at}), 0)::text
             FROM {table} AS rows WHERE user_uuid IS NOT NULL GROUP BY user_uuid"
        );
        let client = self.client().await;
        client.batch_execute("SET timezone = 'UTC'").await.expect("a time zone");
        let rows = client.query(&sql, &[]).await.expect("rows");
        rows.iter().map(|row| (row.get(0), row.get::<_, &str>(1).parse().expect("a number"))).collect()
    }
}

impl Server {
    /// Starts a server with data of its own.
    pub fn start(durability: Durability) -> Arc<Server> {
        let port = free_port();
        let (root, certificate, key) = identity();
        let mut supervisor = supervisor();
        supervisor.env("CERTIFICATE", certificate).env("KEY", key);
        supervisor.arg(binaries()).arg(port.to_string()).args(durability.flags());
        supervisor.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut supervisor = supervisor.spawn().expect("a shell");
        let mut line = String::new();
        let output = supervisor.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("text");
        assert_eq!(line, "ready\n", "PostgreSQL did not start");
        Arc::new(Server { port, root, supervisor })
    }

    /// Creates a database.
    pub async fn database(self: &Arc<Self>) -> Database {
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::SeqCst));
        let admin = Database { server: self.clone(), name: "postgres".to_owned() };
        let create = format!("CREATE DATABASE {name}");
        admin.client().await.batch_execute(&create).await.expect("a database");
        Database { name, ..admin }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // `wait` closes its standard input. It may have been killed.
        let _ = self.supervisor.wait();
    }
}

/// Certificate of an authority; certificate and key of the server.
fn identity() -> (String, String, String) {
    let mut params = CertificateParams::new([]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("a key");
    let root = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let key = key();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("an address");
    let certificate = params.signed_by(&key, &root).expect("a certificate");
    (root.pem(), certificate.pem(), key.serialize_pem())
}

/// The shell that runs the server, as another user if the tests run as root.
fn supervisor() -> Command {
    let is_root = rustix::process::geteuid().is_root();
    let mut supervisor = Command::new(if is_root { "setpriv" } else { "sh" });
    if is_root {
        supervisor
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"])
            .env_remove("TMPDIR");
    }
    supervisor.args(["-c", SERVER_SCRIPT, "sh"]);
    supervisor
}

/// The folder of `initdb` and `pg_ctl`: on the path, or Debian's newest version.
fn binaries() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut debian: Vec<_> = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().collect();
    debian.sort_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    let debian = debian.iter().rev().map(|version| version.path().join("bin"));
    let has_programs = |folder: &PathBuf| ["initdb", "pg_ctl"].iter().all(|name| folder.join(name).exists());
    env::split_paths(&path).chain(debian).find(has_programs).expect("initdb, as .ci/run installs it")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port()
}
