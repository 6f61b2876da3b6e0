//! The records of an account, as their items store them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    item::{Parts, list, parts, sum, text},
    state::RecordState,
};

/// A grant or a charge.
#[derive(Clone, Debug)]
pub struct Record {
    pub item: Value,
    pub trans_no: String,
    /// In milliseconds since 1970.
    pub created_at: i64,
    /// Positive for a grant, negative for a charge; at its creation.
    pub credits: i64,
    /// The changes after the creation but the void, oldest first. The first one of a grant is of
    /// the creation if its order was revoked before.
    pub adjustments: Vec<Adjustment>,
    pub void: Option<Void>,
}

/// A void or a fence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// In milliseconds since 1970.
    pub at: i64,
    pub reason: String,
    /// The id of the execution that wrote it.
    pub by: String,
    /// The credits that repaid debts at once.
    pub repaid: i64,
    /// The returned credits that filled the shortfalls of packs.
    pub fills: Parts,
}

/// A change of a charge or a grant after its creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// In milliseconds since 1970.
    pub at: i64,
    /// The id of the execution that wrote it.
    pub by: String,
    pub kind: AdjustmentKind,
    /// The credits that repaid debts at once; a revocation does not say it.
    pub repaid: Option<i64>,
    /// The returned credits that filled the shortfalls of packs.
    pub fills: Parts,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdjustmentKind {
    Settled {
        requested: i64,
        uncovered: i64,
        taken: Parts,
    },
    OutputsReturned(BTreeSet<u64>),
    Repaid(Parts),
    Delivered,
    /// More of an order was revoked: taken from its pack, paid by other packs, left to the user
    /// as shortfall, and owed.
    Revoked {
        taken: i64,
        paid: Parts,
        shortfall: i64,
        owed: i64,
    },
    /// Less was revoked: the reductions of debt and shortfall, and what returned to the other
    /// packs and to its own.
    Restored {
        owed: i64,
        shortfall: i64,
        paid: i64,
        returned: i64,
    },
}

impl Record {
    pub fn new(item: Value) -> Record {
        let trans_no = text(&item, "trans_no");
        let digits: String = trans_no.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        Record {
            created_at: i64::from_str_radix(&digits, 16).expect("the 48 bits of a UUIDv7"),
            credits: item["credits"].as_i64().expect("credits"),
            adjustments: list(&item, "adjustments")
                .chain(list(&item, "revocations"))
                .map(Adjustment::new)
                .collect(),
            void: Void::new(&item),
            trans_no,
            item,
        }
    }

    /// The pack and the credits of each allocation, in the order of the charge.
    pub fn allocations(&self) -> Parts {
        parts(&self.item, "allocations")
    }

    /// Expiry of a grant's pack, in milliseconds since 1970.
    pub fn expired_at(&self) -> Option<i64> {
        self.item["expired_at"].as_i64()
    }

    /// The number of outputs of a charge.
    pub fn outputs(&self) -> Option<u64> {
        self.item["outputs"].as_u64()
    }

    /// The end of its hold, in milliseconds since 1970.
    pub fn hold_until(&self) -> Option<i64> {
        self.item["hold_until"].as_i64()
    }

    /// What was revoked of a grant at its creation, because its order was revoked before.
    pub fn first_revocation(&self) -> Option<&Adjustment> {
        self.adjustments.first().filter(|first| self.credits > 0 && first.at == self.created_at)
    }

    /// The revoked credits after each change of them, with its time.
    fn revoked(&self) -> Vec<(i64, i64)> {
        let (mut total, mut revoked) = (0, Vec::new());
        for Adjustment { at, kind, .. } in &self.adjustments {
            if let Some(more) = kind.revoked() {
                total += more;
                revoked.push((*at, total));
            }
        }
        revoked
    }

    /// The time of its last change.
    fn changed_at(&self) -> i64 {
        let adjusted_at = self.adjustments.last().map(|adjustment| adjustment.at);
        self.void.as_ref().map(|void| void.at).or(adjusted_at).unwrap_or(self.created_at)
    }

    /// Compares the attributes that repeat what the changes say with the last state.
    pub fn check_item(&self, last: &RecordState) -> Result<(), String> {
        let is_second =
            self.outputs().is_some() || self.hold_until().is_some() || !self.adjustments.is_empty();
        let is_held = self.hold_until().is_some() && !last.is_voided && !last.is_final();
        let settled = last.settlement.as_ref();
        let returned = self.adjustments.iter().flat_map(|adjustment| match &adjustment.kind {
            AdjustmentKind::OutputsReturned(outputs) => {
                outputs.iter().map(|output| (*output, adjustment.at)).collect()
            }
            _ => Vec::new(),
        });
        let stored = list(&self.item, "returned_outputs")
            .map(|returned| (returned["o"].as_u64().unwrap_or(0), returned["a"].as_i64().unwrap_or(0)));
        let revoked = list(&self.item, "revoked")
            .map(|revoked| (revoked["a"].as_i64().unwrap_or(0), revoked["n"].as_i64().unwrap_or(0)));
        for (name, is_equal) in [
            ("revoked", revoked.eq(self.revoked())),
            ("item_format", self.item["item_format"].as_i64() == is_second.then_some(2)),
            ("changed_at", self.item["changed_at"].as_i64() == is_second.then(|| self.changed_at())),
            ("live", self.item["live"].as_i64() == settled.map(|_| -last.credits)),
            ("settled_at", self.item["settled_at"].as_i64() == settled.map(|settled| settled.at)),
            ("hold_shard", self.item["hold_shard"].is_null() != is_held),
            ("returned_outputs", stored.eq(returned)),
        ] {
            if !is_equal {
                return Err(format!("{name} of {} differs from its changes: {last:?}", self.item));
            }
        }
        Ok(())
    }
}

impl Void {
    pub fn new(item: &Value) -> Option<Void> {
        let (reason, by) = (text(item, "voided_reason"), text(item, "voided_by"));
        let repaid = item["repaid"].as_i64().unwrap_or(0);
        let fills = parts(item, "fills");
        item["voided_at"].as_i64().map(|at| Void { at, reason, by, repaid, fills })
    }
}

impl Adjustment {
    fn new(item: &Value) -> Adjustment {
        let credits = |name: &str| item[name].as_i64().unwrap_or(0);
        let kind = match item["k"].as_str() {
            Some("settled") => AdjustmentKind::Settled {
                requested: credits("c"),
                uncovered: credits("u"),
                taken: parts(item, "t"),
            },
            Some("returned") => {
                AdjustmentKind::OutputsReturned(list(item, "o").filter_map(Value::as_u64).collect())
            }
            Some("repaid") => AdjustmentKind::Repaid(parts(item, "t")),
            Some("delivered") => AdjustmentKind::Delivered,
            Some("revoked") => AdjustmentKind::Revoked {
                taken: credits("n"),
                paid: parts(item, "t"),
                shortfall: credits("s"),
                owed: credits("d"),
            },
            Some("restored") => AdjustmentKind::Restored {
                owed: credits("d"),
                shortfall: credits("s"),
                paid: credits("t"),
                returned: credits("n"),
            },
            _ => panic!("no kind of an adjustment: {item}"),
        };
        let repaid = kind.revoked().is_none().then(|| credits("p"));
        Adjustment { at: credits("a"), by: text(item, "b"), kind, repaid, fills: parts(item, "f") }
    }
}

impl AdjustmentKind {
    /// What a revocation took from packs.
    pub fn taken(&self) -> i64 {
        match self {
            AdjustmentKind::Revoked { taken, paid, .. } => taken + sum(paid),
            _ => 0,
        }
    }

    /// How much more is revoked of an order, if it changes that.
    pub fn revoked(&self) -> Option<i64> {
        match self {
            AdjustmentKind::Revoked { taken, paid, shortfall, owed } => {
                Some(taken + sum(paid) + shortfall + owed)
            }
            AdjustmentKind::Restored { owed, shortfall, paid, returned } => {
                Some(-(owed + shortfall + paid + returned))
            }
            _ => None,
        }
    }
}
