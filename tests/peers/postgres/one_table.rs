//! The old app: read the user's rows, add them up, insert a row. No lock, so two callers may
//! spend the same credits, and a repeated charge is another row.

use std::time::SystemTime;

use scrip_ops::cli_error::CliError;
use tokio_postgres::{Client, Row, Statement, types::ToSql};
use uuid::Uuid;

use super::{COST, INSUFFICIENT, failed};
use crate::peers::subject::Answer;

pub(in super::super) struct OneTableCaller {
    client: Client,
    unexpired_rows: Statement,
    insert_charge: Statement,
}

impl OneTableCaller {
    pub(super) async fn prepare(client: Client) -> Result<OneTableCaller, CliError> {
        Ok(OneTableCaller {
            unexpired_rows: client
                .prepare(include_str!("one_table/unexpired_rows.sql"))
                .await
                .map_err(failed)?,
            insert_charge: client
                .prepare(include_str!("one_table/insert_charge.sql"))
                .await
                .map_err(failed)?,
            client,
        })
    }

    pub(in super::super) async fn charge(&self, user: &str, generation: &str) -> Result<Answer, CliError> {
        let rows = self.client.query(&self.unexpired_rows, &[&user]).await.map_err(failed)?;
        let Some(expired_at) = paying_expiry(&rows) else {
            return Ok(Answer::Error(INSUFFICIENT.to_owned()));
        };
        let trans_no = Uuid::new_v4().to_string();
        let row: [&(dyn ToSql + Sync); 5] = [&trans_no, &user, &COST, &generation, &expired_at];
        self.client.execute(&self.insert_charge, &row).await.map_err(failed)?;
        Ok(Answer::Charged)
    }
}

/// The expiry of the row at which the sum reaches the cost, if the balance suffices.
fn paying_expiry(rows: &[Row]) -> Option<SystemTime> {
    let credits = |row: &Row| row.get::<_, i64>(0);
    if rows.iter().map(credits).sum::<i64>() < COST {
        return None;
    }
    let mut sum = 0;
    let row = rows.iter().find(|row| {
        sum += credits(row);
        sum >= COST
    })?;
    Some(row.get(1))
}
