//! A PostgreSQL server for each test process, with a database for each test.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_postgres::{Client, NoTls};

/// Runs a server until standard input closes, which happens however the test process ends,
/// and removes its data. ICU collation does not sort by bytes.
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
    --no-locale --encoding=UTF8 --locale-provider=icu --icu-locale=en --no-sync >"$folder/log" 2>&1 ||
    { cat "$folder/log" >&2 && exit 1; }
"$1/pg_ctl" --pgdata="$folder/data" --log="$folder/log" --wait --silent \
    --options="-F -h 127.0.0.1 -p $2 -k '' -l -c ssl_cert_file=$folder/certificate -c ssl_key_file=$folder/key" start || { cat "$folder/log" >&2 && exit 1; }
echo ready
read -r _ || true
"$1/pg_ctl" --pgdata="$folder/data" --mode=immediate --silent stop
"#;

/// A running server, also with TLS as 127.0.0.1.
struct Server {
    port: u16,
    /// Certificate of the authority, in PEM.
    root: String,
    /// Ends when its standard input closes.
    _supervisor: Child,
}

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// A new database.
pub async fn database() -> Database {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    let admin = Database { name: "postgres".to_owned() };
    admin.client().await.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    Database { name }
}

/// A database of the server.
pub struct Database {
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
        format!("postgresql://{user}@{host}:{}/{}", SERVER.port, self.name)
    }

    /// Certificate of the authority, in PEM.
    pub fn root(&self) -> &'static str {
        &SERVER.root
    }

    /// A connection to it.
    pub async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url(), NoTls).await.unwrap();
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
        client.batch_execute("SET timezone = 'UTC'").await.unwrap();
        let rows = client.query(&sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get::<_, &str>(1).parse().unwrap())).collect()
    }
}

impl Server {
    fn start() -> Server {
        let port = free_port();
        let (root, certificate, key) = identity();
        let mut supervisor = supervisor();
        supervisor.env("CERTIFICATE", certificate).env("KEY", key);
        supervisor.arg(binaries()).arg(port.to_string()).current_dir("/").process_group(0);
        let mut supervisor = supervisor.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "PostgreSQL did not start");
        Server { port, root, _supervisor: supervisor }
    }
}

/// Certificate of an authority; certificate and key of the server.
fn identity() -> (String, String, String) {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
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
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
