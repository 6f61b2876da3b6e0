//! A correct charge on PostgreSQL: one transaction with the wallet's row locked, idempotent by
//! the generation.

use scrip_ops::cli_error::CliError;
use tokio::try_join;
use tokio_postgres::{Client, Row, Statement, types::ToSql};

use super::{COST, INSUFFICIENT, failed};
use crate::peers::subject::Answer;

/// Plans the charge itself, in two round trips.
pub(in super::super) struct RowLocksCaller {
    client: Client,
    lock_wallet: Statement,
    find_charge: Statement,
    open_packs: Statement,
    write_charge: Statement,
}

/// Calls a function of the database, in one round trip.
pub(in super::super) struct RowLocksFunctionCaller {
    client: Client,
    charge: Statement,
}

impl RowLocksCaller {
    pub(super) async fn prepare(client: Client) -> Result<RowLocksCaller, CliError> {
        let prepare = async |sql| client.prepare(sql).await.map_err(failed);
        let lock_wallet = prepare(include_str!("row_locks/lock_wallet.sql")).await?;
        let find_charge = prepare(include_str!("row_locks/find_charge.sql")).await?;
        let open_packs = prepare(include_str!("row_locks/open_packs.sql")).await?;
        let write_charge = prepare(include_str!("row_locks/write_charge.sql")).await?;
        Ok(RowLocksCaller { client, lock_wallet, find_charge, open_packs, write_charge })
    }

    pub(in super::super) async fn charge(&self, user: &str, generation: &str) -> Result<Answer, CliError> {
        let client = &self.client;
        let (of_user, of_charge): ([&(dyn ToSql + Sync); 1], [&(dyn ToSql + Sync); 2]) =
            ([&user], [&user, &generation]);
        // Sent in this order without waiting in between. Each statement sees what is committed
        // when it begins, so those behind the lock see the last charge.
        let ((), _, earlier, packs) = try_join!(
            biased;
            client.batch_execute("BEGIN"),
            client.query_opt(&self.lock_wallet, &of_user),
            client.query_opt(&self.find_charge, &of_charge),
            client.query(&self.open_packs, &of_user),
        )
        .map_err(failed)?;
        if earlier.is_some() {
            return self.roll_back(Answer::Charged).await;
        }
        let Some((packs, credits)) = take(&packs) else {
            return self.roll_back(Answer::Error(INSUFFICIENT.to_owned())).await;
        };
        let charge: [&(dyn ToSql + Sync); 5] = [&user, &generation, &COST, &packs, &credits];
        // `COMMIT` after a failed statement is a rollback.
        try_join!(biased; client.execute(&self.write_charge, &charge), client.batch_execute("COMMIT"))
            .map_err(failed)?;
        Ok(Answer::Charged)
    }

    async fn roll_back(&self, answer: Answer) -> Result<Answer, CliError> {
        self.client.batch_execute("ROLLBACK").await.map_err(failed)?;
        Ok(answer)
    }
}

impl RowLocksFunctionCaller {
    pub(super) async fn prepare(client: Client) -> Result<RowLocksFunctionCaller, CliError> {
        let charge = client.prepare("SELECT charge($1, $2, $3)").await.map_err(failed)?;
        Ok(RowLocksFunctionCaller { client, charge })
    }

    pub(in super::super) async fn charge(&self, user: &str, generation: &str) -> Result<Answer, CliError> {
        let row = self.client.query_one(&self.charge, &[&user, &generation, &COST]).await.map_err(failed)?;
        Ok(if row.get(0) { Answer::Charged } else { Answer::Error(INSUFFICIENT.to_owned()) })
    }
}

/// Takes the cost from packs in their order. Returns their ids with the credits taken, or `None`
/// if they have too few.
fn take(packs: &[Row]) -> Option<(Vec<i64>, Vec<i64>)> {
    let mut missing = COST;
    let mut taken = (Vec::new(), Vec::new());
    for pack in packs {
        if missing == 0 {
            break;
        }
        let credits = missing.min(pack.get(1));
        taken.0.push(pack.get(0));
        taken.1.push(credits);
        missing -= credits;
    }
    (missing == 0).then_some(taken)
}
