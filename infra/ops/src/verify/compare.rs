//! A user of the old table, held against the ledger.

use std::collections::{BTreeMap, BTreeSet};

use scrip::{
    domain::{Charge, ImportedRecord, Record, RecordKey, Timestamp, UserId, WalletRebuild},
    ledger::Ledger,
    store::StoredItem,
};

use crate::{
    migrate::{old_balance, with_rows},
    old::UserRows,
    plan::{Moved, OldRow, plan},
    problem::{Problem, deadline},
};

/// What became of a user of the old table, and what is wrong with that.
pub(super) struct Compared {
    pub(super) user: String,
    pub(super) became: &'static str,
    pub(super) faults: Vec<String>,
}

/// Compares a user: each row is in the record that it became, and these records give
/// the old balance, as of the migration and whenever something runs out after it.
pub(super) async fn compare(ledger: &Ledger, rows: UserRows, as_of: Timestamp) -> Result<Compared, Problem> {
    let old: Vec<OldRow> = rows.rows.iter().map(|(row, _)| row.clone()).collect();
    let planned = plan(&rows.user, &old, as_of);
    let held = match UserId::try_from(rows.user.clone()) {
        Ok(user) => ledger.all_items(&user, deadline(ledger)).await,
        Err(_) => Ok(Vec::new()),
    };
    let held = held.map_err(|error| Problem::of_ledger(&format!("user {}", rows.user), &error))?;
    let moved: BTreeMap<_, _> = held.into_iter().filter_map(of_migration).collect();
    let ended = |became, faults| Ok(Compared { user: rows.user.clone(), became, faults });
    match planned {
        Err(_) if moved.is_empty() => ended("stayed there", Vec::new()),
        Err(refusal) => ended("were moved", vec![format!("was moved, and could not be now: {refusal}")]),
        Ok(plan) if plan.wallet.is_none() => ended("have no credits to move", Vec::new()),
        Ok(_) if moved.is_empty() => ended("are not in the ledger", vec!["is not in the ledger".to_owned()]),
        Ok(plan) => ended("were moved", differences(&plan, &rows, &old, moved, as_of)),
    }
}

/// A record of migrated history: what it is, and its rows.
type OfMigration = (RecordKey, (Record, String));

fn of_migration(held: StoredItem) -> Option<OfMigration> {
    match held {
        StoredItem::Record { key, record, old_rows: Some(rows) } => Some((key, (record, rows))),
        _ => None,
    }
}

fn differences(
    plan: &Moved,
    rows: &UserRows,
    old: &[OldRow],
    mut moved: BTreeMap<RecordKey, (Record, String)>,
    as_of: Timestamp,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rebuild = WalletRebuild::default();
    for ImportedRecord { key, record: planned, rows: planned_rows } in with_rows(plan, rows) {
        let name = planned_rows.as_str();
        match moved.remove(&key) {
            None => faults.push(format!("no record was made of the rows {name}")),
            Some((_, rows)) if rows != planned_rows => {
                faults.push(format!("a record keeps other rows: {name}"))
            }
            Some((record, _)) if as_moved(&record, &planned) != planned => {
                faults.push(format!("the record of the rows {name} is another one"));
            }
            Some(_) => _ = rebuild.add(&key, &planned),
        }
    }
    faults.extend(moved.values().map(|(_, rows)| format!("a record is of rows that are not there: {rows}")));
    let ends = old.iter().filter_map(|row| row.expired_at).filter(|end| *end > as_of);
    for at in ends.chain([as_of]).collect::<BTreeSet<_>>() {
        let (before, after) = (old_balance(old, at), rebuild.balance(at));
        if before.max(0) != after {
            faults.push(format!("at {at} the balance was {before} and is {after}"));
        }
    }
    faults
}

/// The record without a void that came after it was moved.
fn as_moved(record: &Record, planned: &Record) -> Record {
    match (record, planned) {
        (Record::Charge(charge), Record::Charge(Charge { void: None, .. })) => {
            Record::Charge(Charge { void: None, ..charge.clone() })
        }
        _ => record.clone(),
    }
}
