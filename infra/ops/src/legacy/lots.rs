//! Rows of the layout `lots`: a grant has its remaining credits and a status, and a charge names
//! the grants that it took from. A refund returns the credits to the grants and sets the status
//! of the charge.

use serde::Deserialize;
use tokio_postgres::Row;

use super::pg_timestamp::PgTimestamp;
use crate::plan::{Lot, OldRow};

/// The status of a row that counts.
const ACTIVE: &str = "active";

/// An entry of `consumed_detail`. Other members are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consumed {
    credit_id: Option<String>,
    transaction_no: Option<String>,
    credits_consumed: u64,
}

/// Adds the columns after those of the layout `signed`. A grant that does not count expired
/// when it was changed, and nothing remains of it.
pub(super) fn with_lot(mut row: OldRow, columns: &Row) -> Result<OldRow, tokio_postgres::Error> {
    let (status, detail): (&str, &str) = (columns.try_get(15)?, columns.try_get(17)?);
    let changed_at = PgTimestamp::created_at(columns.try_get(16)?);
    let (is_charge, is_active) = (row.credits < 0, status == ACTIVE);
    let remaining: i64 = columns.try_get(14)?;
    let counts = !is_charge && is_active;
    if !is_charge && !is_active {
        row.expired_at = Some(row.expired_at.map_or(changed_at, |expiry| expiry.min(changed_at)));
    }
    row.lot = Some(Lot {
        id: columns.try_get(13)?,
        remaining: if counts { u64::try_from(remaining).unwrap_or_default() } else { 0 },
        taken: taken(detail),
        refunded_at: (is_charge && !is_active).then_some(changed_at),
    });
    Ok(row)
}

/// The grants that a charge took from; empty if the text has another form. Then the charge is
/// divided among the packs by what remains of them.
fn taken(detail: &str) -> Vec<(String, u64)> {
    let entries: Vec<Consumed> = serde_json::from_str(detail).unwrap_or_default();
    let named = |entry: Consumed| Some((entry.credit_id.or(entry.transaction_no)?, entry.credits_consumed));
    entries.into_iter().filter_map(named).collect()
}

/// The types of the layout `lots` in the ledger.
pub(crate) const TYPES: [(&str, &str); 7] = [
    ("payment", "order_pay"),
    ("subscription", "order_pay"),
    ("renewal", "order_pay"),
    ("gift", "system_add"),
    ("award", "system_add"),
    ("grant", "system_add"),
    ("consume", "lot_generation"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charge_names_its_grants_by_id_or_number() {
        let text = r#"[{"creditId":"a","transactionNo":"1","creditsConsumed":5,"batchNo":1},
            {"transactionNo":"2","creditsConsumed":3}, {"creditsConsumed":1}]"#;
        assert_eq!(taken(text), [("a".to_owned(), 5), ("2".to_owned(), 3)]);
        for text in ["", "null", "{}", r#"[{"creditId":"a"}]"#] {
            assert_eq!(taken(text), [], "{text}");
        }
    }
}
