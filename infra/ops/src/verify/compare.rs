//! Compares a user of the old table with the ledger.

use std::collections::BTreeMap;

use scrip::{
    domain::{Charge, ImportedRecord, Record, RecordKey, Timestamp, UserId, WalletRebuild},
    ledger::Ledger,
    store::StoredItem,
};

use crate::{
    cli_error::{CliError, deadline},
    legacy::UserRows,
    migrate::with_rows,
    plan::{OldRow, PlanRules, UserPlan, expected_balances, plan},
};

pub(super) struct Comparison {
    pub(super) user: String,
    pub(super) outcome: &'static str,
    pub(super) discrepancies: Vec<String>,
}

/// Checks that each row is in its record and that the records give the expected balance, as
/// of the migration and at every later expiry.
pub(super) async fn compare(
    ledger: &Ledger,
    rows: UserRows,
    rules: &PlanRules,
) -> Result<Comparison, CliError> {
    let old: Vec<OldRow> = rows.rows.iter().map(|(row, _)| row.clone()).collect();
    let planned = plan(&rows.user, &old, rules);
    let items = match UserId::try_from(rows.user.clone()) {
        Ok(user) => ledger.all_items(&user, deadline(ledger)).await,
        Err(_) => Ok(Vec::new()),
    };
    let items = items.map_err(|error| CliError::from_ledger(&format!("user {}", rows.user), &error))?;
    let migrated = migrated_records(&items);
    let result = |outcome, discrepancies| Ok(Comparison { user: rows.user.clone(), outcome, discrepancies });
    match planned {
        Err(_) if migrated.is_empty() => result("stayed there", Vec::new()),
        Err(rejection) => result(
            "were moved",
            vec![format!("the user was migrated, but the plan now rejects it: {rejection}")],
        ),
        Ok(user_plan) if user_plan.wallet.is_none() => result("have no credits to move", Vec::new()),
        Ok(_) if migrated.is_empty() => {
            result("are not in the ledger", vec!["the user is not in the ledger".to_owned()])
        }
        Ok(user_plan) => result("were moved", differences(&user_plan, &rows, &old, migrated, rules.as_of)),
    }
}

/// A record, if it is present, and its old rows.
type MigratedRecord<'a> = (Option<&'a Record>, &'a String);

fn migrated_records(items: &[StoredItem]) -> BTreeMap<&RecordKey, MigratedRecord<'_>> {
    let records: BTreeMap<_, _> = items
        .iter()
        .filter_map(|item| match item {
            StoredItem::Record { key, record, .. } => Some((key, record)),
            _ => None,
        })
        .collect();
    items
        .iter()
        .flat_map(StoredItem::old_rows)
        .map(|(key, rows)| (key, (records.get(key).copied(), rows)))
        .collect()
}

fn differences(
    user_plan: &UserPlan,
    rows: &UserRows,
    old: &[OldRow],
    mut migrated: BTreeMap<&RecordKey, MigratedRecord<'_>>,
    as_of: Timestamp,
) -> Vec<String> {
    let mut discrepancies = Vec::new();
    let mut rebuild = WalletRebuild::default();
    for ImportedRecord { key, record: planned, rows: planned_rows } in with_rows(user_plan, rows) {
        let text = planned_rows.as_str();
        match migrated.remove(&key) {
            None => discrepancies.push(format!("no record contains the rows {text}")),
            Some((_, rows)) if *rows != planned_rows => {
                discrepancies.push(format!("a record contains other rows than {text}"))
            }
            Some((None, _)) => discrepancies.push(format!("the record of the rows {text} is missing")),
            Some((Some(record), _)) if as_migrated(record, &planned) != planned => {
                discrepancies.push(format!("the record of the rows {text} differs from the plan"));
            }
            Some(_) => _ = rebuild.add(&key, &planned),
        }
    }
    discrepancies.extend(
        migrated
            .values()
            .map(|(_, rows)| format!("a record contains rows that are not in the old table: {rows}")),
    );
    for (at, expected) in expected_balances(old, as_of) {
        let found = rebuild.balance(at);
        if expected != found {
            discrepancies.push(format!("at {at} the balance must be {expected} and is {found}"));
        }
    }
    discrepancies
}

/// The record without changes that are later than the migration.
fn as_migrated(record: &Record, planned: &Record) -> Record {
    match (record, planned) {
        (Record::Charge(charge), Record::Charge(planned)) => {
            let mut charge = Charge { late_success_at: None, ..charge.clone() };
            charge.adjustments.truncate(planned.adjustments.len());
            charge.void = charge.void.filter(|_| planned.void.is_some());
            Record::Charge(charge)
        }
        (Record::Grant(record), Record::Grant(planned)) => {
            let mut record = record.clone();
            record.revocations.truncate(planned.revocations.len());
            Record::Grant(record)
        }
        _ => record.clone(),
    }
}
