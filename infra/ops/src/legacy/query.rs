//! What is asked of PostgreSQL. Texts are compared and put in order by their bytes,
//! whatever the database's own order is.

use scrip::domain::Timestamp;

use super::TableNames;

/// Times are written in UTC, numbers exactly; rows that a policy hides are an error;
/// and nothing ends a transaction that takes as long as what is done with its rows.
pub(super) const SETTINGS: &str = "
    SET LOCAL timezone = 'UTC';
    SET LOCAL extra_float_digits = 3;
    SET LOCAL row_security = off;
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0";

/// How many users there are, and how many rows.
pub(super) fn counts(names: &TableNames, since: Option<Timestamp>) -> String {
    let (user, table, filter) = (user(names), names.table("credits"), filter(names, since));
    format!("SELECT count(DISTINCT {user}), count(*) FROM {table} AS c {filter}")
}

/// All rows, those of a user one after the other. Orders and generations are grouped
/// before they are joined, so that doubles there give no row twice.
pub(super) fn rows(names: &TableNames, since: Option<Timestamp>) -> String {
    let column = |name: &'static str| names.column("c", name);
    let (user, order_no) = (user(names), text(&column("credits.order_no")));
    let trans_type = text(&column("credits.trans_type"));
    let (orders, generations) = (
        owners(names, "orders", "orders.order_no", "orders.user_uuid"),
        owners(names, "generations", "generations.uuid", "generations.user_uuid"),
    );
    format!(
        "SELECT {id}::bigint, {trans_no}, {created_at}, {user}, coalesce({trans_type}, ''),
                coalesce({credits}, 0)::bigint, {order_no}, {expired_at},
                o.key IS NOT NULL, coalesce({user} = ANY(o.users), false),
                g.key IS NOT NULL, coalesce({user} = ANY(g.users), false),
                row_to_json(c.*)::text
         FROM {table} AS c
         LEFT JOIN {orders} AS o ON o.key = {order_no}
         LEFT JOIN {generations} AS g ON g.key = {order_no}
         {filter}
         ORDER BY {user}, {id}",
        filter = filter(names, since),
        id = column("credits.id"),
        trans_no = text(&column("credits.trans_no")),
        created_at = column("credits.created_at"),
        credits = column("credits.credits"),
        expired_at = column("credits.expired_at"),
        table = names.table("credits"),
    )
}

/// All rows of the users who have one made since then, or of all.
fn filter(names: &TableNames, since: Option<Timestamp>) -> String {
    let Some(since) = since else { return String::new() };
    let (user, table) = (user(names), names.table("credits"));
    let made = names.column("c", "credits.created_at");
    format!("WHERE {user} IN (SELECT {user} FROM {table} AS c WHERE {made} >= '{since}')")
}

/// Whose a row is.
fn user(names: &TableNames) -> String {
    format!("coalesce({}, '')", text(&names.column("c", "credits.user_uuid")))
}

/// Whose each order or generation is.
fn owners(names: &TableNames, table: &'static str, key: &'static str, user: &'static str) -> String {
    let (key, user) = (text(&names.column("t", key)), text(&names.column("t", user)));
    let table = names.table(table);
    format!("(SELECT {key} AS key, array_agg(DISTINCT {user}) AS users FROM {table} AS t GROUP BY 1)")
}

fn text(column: &str) -> String {
    format!("({column}::text COLLATE \"C\")")
}
