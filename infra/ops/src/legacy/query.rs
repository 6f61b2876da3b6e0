//! Queries of a migration. Texts are compared and sorted by their bytes, in any collation of
//! the database.

use scrip::domain::Timestamp;

use super::{ReadRules, TableNames};

/// Times in UTC, exact numbers, an error instead of rows that a policy hides, and no
/// timeout: the transaction lasts as long as the migration.
pub(super) const SETTINGS: &str = "
    SET LOCAL timezone = 'UTC';
    SET LOCAL extra_float_digits = 3;
    SET LOCAL row_security = off;
    SET LOCAL statement_timeout = 0;
    SET LOCAL idle_in_transaction_session_timeout = 0";

/// Whether the server has a time zone.
pub(super) const HAS_TIMEZONE: &str = "SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = $1)";

/// The numbers of users, of rows, and of rows without expiry.
pub(super) fn counts(names: &TableNames, reading: &ReadRules, since: Option<Timestamp>) -> String {
    let (user, table, filter) = (user(names), names.table("credits"), filter(names, reading, since));
    let expired_at = names.column("c", "credits.expired_at");
    format!(
        "SELECT count(DISTINCT {user}), count(*), count(*) FILTER (WHERE {expired_at} IS NULL)
         FROM {table} AS c {filter}"
    )
}

/// All rows in the order of users. Orders and generations are grouped before the join, so
/// duplicates there do not repeat a row.
pub(super) fn rows(names: &TableNames, reading: &ReadRules, since: Option<Timestamp>) -> String {
    let time = |name: &'static str| names.time("c", name, reading.timezone.as_deref());
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
        filter = filter(names, reading, since),
        id = column("credits.id"),
        trans_no = text(&column("credits.trans_no")),
        created_at = time("credits.created_at"),
        credits = column("credits.credits"),
        expired_at = time("credits.expired_at"),
        table = names.table("credits"),
    )
}

/// Selects all rows of the users with a row created at `since` or later.
fn filter(names: &TableNames, reading: &ReadRules, since: Option<Timestamp>) -> String {
    let Some(since) = since else { return String::new() };
    let (user, table) = (user(names), names.table("credits"));
    let created_at = names.time("c", "credits.created_at", reading.timezone.as_deref());
    format!("WHERE {user} IN (SELECT {user} FROM {table} AS c WHERE {created_at} >= '{since}')")
}

fn user(names: &TableNames) -> String {
    format!("coalesce({}, '')", text(&names.column("c", "credits.user_uuid")))
}

/// The users of each order or generation.
fn owners(names: &TableNames, table: &'static str, key: &'static str, user: &'static str) -> String {
    let (key, user) = (text(&names.column("t", key)), text(&names.column("t", user)));
    let table = names.table(table);
    format!("(SELECT {key} AS key, array_agg(DISTINCT {user}) AS users FROM {table} AS t GROUP BY 1)")
}

/// All rows of the layout `lots` in the order of users: the columns of [`rows`], then the id,
/// the remaining credits, the status, the time of the last change and the grants that a charge
/// took from. A charge is a generation of its own, named by its id, by which the app refunds it.
pub(super) fn lot_rows(names: &TableNames, reading: &ReadRules, since: Option<Timestamp>) -> String {
    let column = |name: &'static str| names.column("c", name);
    let time = |name: &'static str| names.time("c", name, reading.timezone.as_deref());
    let (user, trans_no) = (user(names), text(&column("credits.trans_no")));
    let (order_no, scene) = (text(&column("credits.order_no")), text(&column("credits.trans_scene")));
    let (id, created_at) = (text(&column("credits.id")), time("credits.created_at"));
    format!(
        "SELECT row_number() OVER (PARTITION BY {user} ORDER BY {created_at}, {trans_no}), {trans_no}, {created_at},
                {user}, coalesce(nullif({scene}, ''), {trans_type}, ''), coalesce({credits}, 0)::bigint,
                CASE WHEN o.is_charge THEN {id} ELSE {order_no} END, {expired_at},
                o.is_order, o.is_order, o.is_charge, o.is_charge, row_to_json(c.*)::text,
                {id}, coalesce({remaining}, 0)::bigint, coalesce({status}, ''), coalesce({updated_at}, {created_at}),
                coalesce({detail}, '')
         FROM {table} AS c,
              LATERAL (SELECT coalesce({credits} > 0 AND {order_no} <> '', false) AS is_order,
                              coalesce({credits} < 0, false) AS is_charge) AS o
         {filter}
         ORDER BY {user}, 1",
        filter = filter(names, reading, since),
        trans_type = text(&column("credits.trans_type")),
        credits = column("credits.credits"),
        expired_at = time("credits.expired_at"),
        remaining = column("credits.remaining_credits"),
        status = text(&column("credits.status")),
        updated_at = time("credits.updated_at"),
        detail = text(&column("credits.consumed_detail")),
        table = names.table("credits"),
    )
}

fn text(column: &str) -> String {
    format!("({column}::text COLLATE \"C\")")
}
