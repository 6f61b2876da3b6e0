//! The tables of the old app, and old users to write to them.

use std::io::Cursor;

use futures_util::SinkExt;
use proptest::{prelude::Rng, test_runner::TestRng};
use scrip::domain::Timestamp;
use scrip_ops::plan::OldRow;
use tokio_postgres::Client;

/// The tables, with further columns.
const TABLES: &str = "
    CREATE TABLE credits (
        id bigint, trans_no varchar(255) NOT NULL, created_at timestamptz(6), user_uuid varchar,
        trans_type varchar(50), credits bigint NOT NULL, order_no varchar(255), expired_at timestamp,
        note text, amount numeric, meta jsonb, PRIMARY KEY (id));
    CREATE TABLE orders (id bigserial, order_no varchar(255), user_uuid varchar);
    CREATE TABLE generations (uuid varchar(255), user_uuid varchar, prompt text)";

/// Users that are written by one statement.
const BATCH_USERS: usize = 1_000;

/// A user of the old tables.
#[derive(Debug, Default)]
pub struct OldUser {
    /// Rows of `credits`.
    pub rows: Vec<Row>,
    /// `order_no` and `user_uuid` of `orders`.
    pub orders: Vec<(String, Option<String>)>,
    /// `uuid` and `user_uuid` of `generations`.
    pub generations: Vec<(String, Option<String>)>,
}

/// A row of `credits`.
#[derive(Clone, Debug)]
pub struct Row {
    /// The row as a migration must read it.
    pub expected: OldRow,
    /// In the format of `COPY`.
    line: String,
}

impl Row {
    /// A row in the format of `COPY`, with values of the further columns. An empty user or type
    /// is written as NULL.
    pub fn new(expected: OldRow, rng: &mut TestRng) -> Row {
        let (micros, amount) = (rng.next_u32() % 1_000, rng.next_u64());
        let written = |at: Timestamp| at.to_string().trim_end_matches('Z').to_owned();
        let or_null_if_empty = |text: &str| or_null(Some(text).filter(|text| !text.is_empty()));
        let fields = [
            expected.id.to_string(),
            copy_text(&expected.trans_no),
            format!("{}{micros:03}+00", written(expected.created_at)),
            or_null_if_empty(&expected.user_uuid),
            or_null_if_empty(&expected.trans_type),
            expected.credits.to_string(),
            or_null(expected.order_no.as_deref()),
            expected.expired_at.map_or_else(|| "\\N".to_owned(), |at| format!("{}{micros:03}", written(at))),
            copy_text("\"a\"\\ 'b'\té\n🎨"),
            format!("{amount}.0{amount:020}"),
            copy_text(&format!(r#"{{"b": [1.10, null], "a": {amount}}}"#)),
        ];
        let line = format!("{}\n", fields.join("\t"));
        Row { expected, line }
    }

    /// The row with another text in a column.
    pub fn with_field(mut self, column: usize, text: &str) -> Row {
        let mut fields: Vec<_> = self.line.split('\t').collect();
        fields[column] = text;
        self.line = fields.join("\t");
        self
    }
}

impl OldUser {
    /// The rows as a migration must read them.
    pub fn expected_rows(&self) -> Vec<OldRow> {
        self.rows.iter().map(|row| row.expected.clone()).collect()
    }
}

/// Creates the tables and fills them with users.
pub async fn load_users(client: &Client, users: impl Iterator<Item = OldUser>) {
    client.batch_execute(TABLES).await.unwrap();
    let mut users = users.peekable();
    while users.peek().is_some() {
        let batch: Vec<_> = users.by_ref().take(BATCH_USERS).collect();
        let rows = batch.iter().flat_map(|user| user.rows.iter().rev());
        copy(client, "credits", rows.map(|row| row.line.clone()).collect()).await;
        let orders = batch.iter().flat_map(|user| &user.orders).map(pair).collect();
        copy(client, "orders (order_no, user_uuid)", orders).await;
        let generations = batch.iter().flat_map(|user| &user.generations).map(pair).collect();
        copy(client, "generations (uuid, user_uuid)", generations).await;
    }
    client.batch_execute("ANALYZE").await.unwrap();
}

async fn copy(client: &Client, table: &str, lines: String) {
    let mut sink = Box::pin(client.copy_in(&format!("COPY {table} FROM STDIN")).await.unwrap());
    sink.send(Cursor::new(lines.into_bytes())).await.unwrap();
    sink.as_mut().finish().await.unwrap();
}

fn pair((key, user): &(String, Option<String>)) -> String {
    format!("{}\t{}\n", copy_text(key), or_null(user.as_deref()))
}

fn or_null(value: Option<&str>) -> String {
    value.map_or_else(|| "\\N".to_owned(), copy_text)
}

/// Escapes a text for `COPY`.
fn copy_text(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}
