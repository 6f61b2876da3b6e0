//! Counts and sums of a migration.

use std::{collections::BTreeMap, fmt};

use scrip::domain::{GrantRecord, Record};
use serde::Serialize;

use super::{BlockState, Compensation, ImportState, Quarantined, UserOutcome, unknown_types::UnknownType};
use crate::{
    legacy::{ReadRules, UserRows},
    plan::{AdjustmentReason, PlanRules, Rejection, RowClass},
};

/// Counts and sums of a migration, as `report.json` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The moment of the migration.
    pub as_of: String,
    /// How rows were read: the layout, the zone of times without one, rows without expiry.
    pub reading: Vec<String>,
    /// Users by outcome.
    pub users: BTreeMap<&'static str, u64>,
    /// Users who were not migrated, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Users whom the plan would give another balance, with both balances. They were not migrated.
    pub differ: BTreeMap<String, String>,
    /// Users who were not migrated, and are blocked in the ledger.
    pub blocked: u64,
    /// Rows of types that the ledger does not have, of users who were not migrated.
    pub unknown_types: BTreeMap<String, UnknownType>,
    /// Rows by class. Each row of the table is counted once.
    pub rows: BTreeMap<&'static str, u64>,
    /// Credits in the rows of migrated users, by `trans_type`.
    pub before: BTreeMap<String, i128>,
    /// Credits in their records, by `trans_type`. Voided charges count zero.
    pub after: BTreeMap<String, i128>,
    /// The sum of the balances of migrated users, the same in the rows and in the records.
    pub balance: i128,
    /// Differences between old sums and grants: users and credits, by reason.
    pub adjustments: BTreeMap<AdjustmentReason, (u64, u128)>,
    /// Grants that pay for charges without a grant: users, and the sum of the credits.
    pub adjusting_grants: (u64, u128),
    /// Users who lack credits, and the sum of those credits.
    pub short: (u64, u128),
    /// Users to whom this run granted lacking credits, and the sum of the grants.
    pub compensated: (u64, u128),
    /// Users to whom an earlier run granted all of them.
    pub compensated_before: u64,
    /// Users to whom an earlier run granted other amounts, with both. This run granted none.
    pub compensated_otherwise: BTreeMap<String, String>,
}

impl Report {
    pub(super) fn new(rules: &PlanRules, reading: &ReadRules, without_expiry: u64) -> Report {
        let reading = reading.descriptions(without_expiry);
        Report { as_of: rules.as_of.to_string(), reading, ..Report::default() }
    }

    /// Whether users of the old table are not in the ledger with their old balance.
    pub fn has_left_behind(&self) -> bool {
        ["quarantined", "who would differ", "in the ledger already"]
            .iter()
            .any(|label| self.users.contains_key(label))
    }

    pub(super) fn count(&mut self, user: &UserRows, outcome: &UserOutcome, rules: &PlanRules) {
        if let UserOutcome::Planned(_, _, compensation) = outcome {
            self.count_compensation(user, compensation);
        }
        let (label, user_plan) = match outcome {
            UserOutcome::LeftBehind(reason, state) => {
                self.blocked += u64::from(*state == BlockState::Blocked);
                (self.count_quarantined(user, reason, rules), None)
            }
            UserOutcome::Planned(user_plan, ..) if user_plan.wallet.is_none() => ("without credits", None),
            UserOutcome::Planned(user_plan, ImportState::DryRun, _) => ("would be moved", Some(user_plan)),
            UserOutcome::Planned(user_plan, ImportState::Written, _) => ("moved", Some(user_plan)),
            UserOutcome::Planned(user_plan, ImportState::AlreadyPresent, _) => {
                ("moved before", Some(user_plan))
            }
            UserOutcome::Planned(_, ImportState::UsedSince, _) => ("in the ledger already", None),
        };
        *self.users.entry(label).or_default() += 1;
        let Some(user_plan) = user_plan else {
            *self.rows.entry("of users who were not moved").or_default() += user.rows.len() as u64;
            return;
        };
        for class in user_plan.classes.values() {
            *self.rows.entry(class_label(*class)).or_default() += 1;
        }
        for (row, _) in &user.rows {
            *self.before.entry(row.trans_type.clone()).or_default() += i128::from(row.credits);
        }
        for planned in &user_plan.records {
            let (trans_type, credits) = match &planned.record {
                Record::Grant(GrantRecord { grant, .. }) => {
                    (grant.trans_type.to_string(), i128::from(grant.credits.as_u64()))
                }
                Record::Charge(charge) => {
                    let live = if charge.void.is_none() { charge.credits.to_negative_i64() } else { 0 };
                    (charge.trans_type.to_string(), i128::from(live))
                }
                Record::Fence(_) => continue,
            };
            *self.after.entry(trans_type).or_default() += credits;
        }
        let packs = user_plan.wallet.iter().flat_map(|wallet| &wallet.packs);
        self.balance += packs.map(|pack| i128::from(pack.remaining.as_u64())).sum::<i128>();
        for adjustment in &user_plan.adjustments {
            let sum = self.adjustments.entry(adjustment.reason).or_default();
            *sum = (sum.0 + 1, sum.1 + u128::from(adjustment.credits));
        }
        let adjusting = user_plan.records.iter().filter_map(|planned| match &planned.record {
            Record::Grant(record) if planned.rows.is_empty() => {
                Some(u128::from(record.grant.credits.as_u64()))
            }
            _ => None,
        });
        for credits in adjusting {
            self.adjusting_grants = (self.adjusting_grants.0 + 1, self.adjusting_grants.1 + credits);
        }
        let lacking: u64 = user_plan.shortfall.iter().map(|(_, credits)| credits.as_u64()).sum();
        self.short.0 += u64::from(lacking > 0);
        self.short.1 += u128::from(lacking);
    }

    /// Counts a user in quarantine. Returns the outcome.
    fn count_quarantined(
        &mut self,
        user: &UserRows,
        reason: &Quarantined,
        rules: &PlanRules,
    ) -> &'static str {
        match reason {
            Quarantined::Rejected(rejection) => {
                let reason = Rejection { row: None, ..rejection.clone() }.to_string();
                *self.quarantined.entry(reason).or_default() += 1;
                for (row, _) in user.rows.iter().filter(|(row, _)| !rules.has_type(&row.trans_type)) {
                    self.unknown_types.entry(row.trans_type.clone()).or_default().add(row);
                }
                "quarantined"
            }
            Quarantined::BalanceDiffers(difference) => {
                self.differ.insert(user.user.clone(), difference.clone());
                "who would differ"
            }
        }
    }

    fn count_compensation(&mut self, user: &UserRows, compensation: &Compensation) {
        match compensation {
            Compensation::None => {}
            Compensation::Granted(credits) => {
                self.compensated.0 += 1;
                self.compensated.1 += u128::from(*credits);
            }
            Compensation::GrantedBefore => self.compensated_before += 1,
            Compensation::Differs(difference) => {
                self.compensated_otherwise.insert(user.user.clone(), difference.clone());
            }
        }
    }
}

fn class_label(class: RowClass) -> &'static str {
    match class {
        RowClass::Grant => "grants",
        RowClass::DuplicateGrant => "grants that came twice",
        RowClass::GrantWithoutOrder => "grants of no order",
        RowClass::MatchedRefund => "refunds of a charge",
        RowClass::RefundElsewhere => "refunds of a charge into another pack",
        RowClass::UnmatchedRefund => "refunds kept as grants",
        RowClass::GenerationCharge => "charges of a generation",
        RowClass::OrderCharge => "charges of an order",
        RowClass::UnreferencedCharge => "charges of nothing",
        RowClass::ZeroCredits => "rows without credits",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "as of {}", self.as_of)?;
        for line in &self.reading {
            writeln!(f, "{line}")?;
        }
        let counts = [("users", &self.users), ("rows", &self.rows)];
        for (title, counts) in counts {
            for (label, count) in counts {
                writeln!(f, "{count:>12} {title}: {label}")?;
            }
        }
        for (reason, count) in &self.quarantined {
            writeln!(f, "{count:>12} users in quarantine: {reason}")?;
        }
        if self.blocked > 0 {
            writeln!(f, "{:>12} users in quarantine are blocked in the ledger", self.blocked)?;
        }
        for (trans_type, unknown) in &self.unknown_types {
            writeln!(f, "unknown type {trans_type:?}: {unknown}")?;
        }
        for (user, difference) in &self.differ {
            writeln!(f, "user {user}: {difference}")?;
        }
        writeln!(f, "{:>12} credits are the balance of the migrated users, before and after", self.balance)?;
        for (reason, (users, credits)) in &self.adjustments {
            writeln!(f, "{users:>12} users have {credits} {}", reason.description())?;
        }
        if self.adjusting_grants.0 > 0 {
            let (users, credits) = self.adjusting_grants;
            writeln!(f, "{users:>12} users have adjusting grants of {credits} credits, which have expired")?;
        }
        writeln!(
            f,
            "{:>12} users lack {} credits that expired while later ones were spent",
            self.short.0, self.short.1
        )?;
        let (users, credits) = self.compensated;
        if users > 0 {
            writeln!(f, "{users:>12} users were granted {credits} credits for that")?;
        }
        if self.compensated_before > 0 {
            writeln!(f, "{:>12} users were granted them by an earlier run", self.compensated_before)?;
        }
        for (user, difference) in &self.compensated_otherwise {
            writeln!(f, "user {user}: {difference}")?;
        }
        Ok(())
    }
}
