//! How a plan reads the rows of the old table, as the operator decides.

use std::collections::BTreeMap;

use clap::ValueEnum;
use scrip::domain::{Timestamp, TransType};
use serde::{Deserialize, Serialize};

/// The decisions of an operator that change plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanRules {
    /// The moment of the migration.
    pub as_of: Timestamp,
    /// Sums below zero.
    pub negative: NegativeRule,
    /// The ledger's `trans_type` of each type that only the old table has.
    pub types: BTreeMap<String, String>,
}

impl PlanRules {
    /// The default rules as of a moment.
    pub fn as_of(as_of: Timestamp) -> PlanRules {
        PlanRules { as_of, negative: NegativeRule::Zero, types: BTreeMap::new() }
    }

    /// Whether rows of a type of the old table have a type in the ledger.
    pub fn has_type(&self, old: &str) -> bool {
        TransType::try_from(self.trans_type(old).to_owned()).is_ok()
    }

    /// The ledger's type of a row.
    pub(super) fn trans_type<'a>(&'a self, old: &'a str) -> &'a str {
        self.types.get(old).map_or(old, String::as_str)
    }
}

/// What becomes of users whose sum is below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NegativeRule {
    /// The balance is 0, as the old app showed it
    #[default]
    Zero,
    /// The user is not migrated
    Quarantine,
    /// The sum is debt of the user; rejected, because the ledger has no debts yet
    Debt,
}
