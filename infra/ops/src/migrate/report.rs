use std::{collections::BTreeMap, fmt};

use scrip::domain::{Record, Timestamp};
use serde::Serialize;

use super::{Compensation, ImportState, UserOutcome};
use crate::{
    legacy::UserRows,
    plan::{Rejection, RowClass},
};

/// The sums of a migration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The moment as of which all was moved.
    pub as_of: String,
    /// Users, by what became of them.
    pub users: BTreeMap<&'static str, u64>,
    /// Users who were not moved, by why.
    pub quarantined: BTreeMap<String, u64>,
    /// Users who were not moved because their balance would be another one, with both.
    pub differ: BTreeMap<String, String>,
    /// Rows, by what they became. Each row of the table is one of them.
    pub rows: BTreeMap<&'static str, u64>,
    /// Credits of the users who were moved, by trans_type, as the rows have them.
    pub before: BTreeMap<String, i128>,
    /// The same, as the records have them: a charge that is voided counts nothing.
    pub after: BTreeMap<String, i128>,
    /// The sum of the balances of who was moved, which is that of the rows too.
    pub balance: i128,
    /// Users whom the old charges cost too much, and how many credits, all together.
    pub short: (u64, u128),
    /// Users whom this run granted credits for that, and how many credits, all together.
    pub compensated: (u64, u128),
    /// Users whom an earlier run had granted all of them.
    pub compensated_before: u64,
    /// Users whom an earlier run had granted other amounts, with both: this run granted none.
    pub compensated_otherwise: BTreeMap<String, String>,
}

impl Report {
    pub(super) fn new(as_of: Timestamp) -> Report {
        Report { as_of: as_of.to_string(), ..Report::default() }
    }

    /// Counts a user in.
    pub(super) fn count(&mut self, user: &UserRows, end: &UserOutcome) {
        if let UserOutcome::Moved(_, _, compensation) = end {
            self.count_compensation(user, compensation);
        }
        let (became, moved) = match end {
            UserOutcome::Rejected(refusal) => {
                let why = Rejection { row: None, ..refusal.clone() }.to_string();
                *self.quarantined.entry(why).or_default() += 1;
                ("quarantined", None)
            }
            UserOutcome::BalanceDiffers(why) => {
                self.differ.insert(user.user.clone(), why.clone());
                ("who would differ", None)
            }
            UserOutcome::Moved(moved, ..) if moved.wallet.is_none() => ("without credits", None),
            UserOutcome::Moved(moved, ImportState::DryRun, _) => ("would be moved", Some(moved)),
            UserOutcome::Moved(moved, ImportState::Written, _) => ("moved", Some(moved)),
            UserOutcome::Moved(moved, ImportState::AlreadyPresent, _) => ("moved before", Some(moved)),
            UserOutcome::Moved(_, ImportState::UsedSince, _) => ("in the ledger already", None),
        };
        *self.users.entry(became).or_default() += 1;
        let Some(moved) = moved else {
            *self.rows.entry("of users who were not moved").or_default() += user.rows.len() as u64;
            return;
        };
        for class in moved.classes.values() {
            *self.rows.entry(name(*class)).or_default() += 1;
        }
        for (row, _) in &user.rows {
            *self.before.entry(row.trans_type.clone()).or_default() += i128::from(row.credits);
        }
        for placed in &moved.records {
            let (of, credits) = match &placed.record {
                Record::Grant(grant) => (grant.trans_type.to_string(), i128::from(grant.credits.as_u64())),
                Record::Charge(charge) => {
                    let live = if charge.void.is_none() { charge.credits.to_negative_i64() } else { 0 };
                    (charge.trans_type.to_string(), i128::from(live))
                }
                Record::Fence(_) => continue,
            };
            *self.after.entry(of).or_default() += credits;
        }
        let packs = moved.wallet.iter().flat_map(|wallet| &wallet.packs);
        self.balance += packs.map(|pack| i128::from(pack.remaining.as_u64())).sum::<i128>();
        let short: u64 = moved.shortfall.iter().map(|(_, credits)| credits.as_u64()).sum();
        self.short.0 += u64::from(short > 0);
        self.short.1 += u128::from(short);
    }

    fn count_compensation(&mut self, user: &UserRows, compensation: &Compensation) {
        match compensation {
            Compensation::None => {}
            Compensation::Granted(credits) => {
                self.compensated.0 += 1;
                self.compensated.1 += u128::from(*credits);
            }
            Compensation::GrantedBefore => self.compensated_before += 1,
            Compensation::Differs(why) => {
                self.compensated_otherwise.insert(user.user.clone(), why.clone());
            }
        }
    }
}

fn name(class: RowClass) -> &'static str {
    match class {
        RowClass::Grant => "grants",
        RowClass::DuplicateGrant => "grants that came twice",
        RowClass::GrantWithoutOrder => "grants of no order",
        RowClass::MatchedRefund => "refunds of a charge",
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
        let counts = [("users", &self.users), ("rows", &self.rows)];
        for (title, counts) in counts {
            for (what, count) in counts {
                writeln!(f, "{count:>12} {title} {what}")?;
            }
        }
        for (why, count) in &self.quarantined {
            writeln!(f, "{count:>12} users quarantined: {why}")?;
        }
        for (user, why) in &self.differ {
            writeln!(f, "user {user}: {why}")?;
        }
        writeln!(f, "{:>12} credits are the balance of who was moved, before and after", self.balance)?;
        writeln!(
            f,
            "{:>12} users lack {} credits that ran out while later ones were spent",
            self.short.0, self.short.1
        )?;
        let (users, credits) = self.compensated;
        if users > 0 {
            writeln!(f, "{users:>12} users were granted {credits} credits for that")?;
        }
        if self.compensated_before > 0 {
            writeln!(f, "{:>12} users were granted theirs by an earlier run", self.compensated_before)?;
        }
        for (user, why) in &self.compensated_otherwise {
            writeln!(f, "user {user}: {why}")?;
        }
        Ok(())
    }
}
