//! What has happened in the ledger since the migration, as rows of the old kind. Pure.

use scrip::domain::{Allocation, Charge, Grant, Record, RecordKey, Timestamp, TransType, UserId, Void};

use super::content::content;
use crate::plan::is_of_old_rows;

/// A row as the old table would have it, and what that has no column for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) trans_no: String,
    pub(super) created_at: Timestamp,
    pub(super) user_uuid: String,
    pub(super) trans_type: String,
    pub(super) credits: i64,
    pub(super) order_no: Option<String>,
    pub(super) expired_at: Option<Timestamp>,
    /// The whole record, with the first row of each event.
    pub(super) record: Option<String>,
}

/// What a row tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Grant,
    Charge,
    Refund,
    Fence,
}

/// What happened at one moment.
struct Event {
    kind: Kind,
    trans_no: String,
    at: Timestamp,
    trans_type: String,
    order_no: Option<String>,
    /// A row each: how many credits, and when they stop to count.
    parts: Vec<(i64, Option<Timestamp>)>,
}

/// The rows of what a record tells and the old table does not.
pub(super) fn since(user: &UserId, key: &RecordKey, record: &Record, is_migrated: bool) -> Vec<Row> {
    let (made, void) = match record {
        Record::Grant(grant) => (Some(granted(grant)), None),
        Record::Charge(charge) => {
            let void = charge.void.as_ref().filter(|void| !is_of_old_rows(void));
            (Some(charged(charge)), void.map(|void| refunded(charge, void)))
        }
        Record::Fence(void) => (Some(fenced(key, void)), None),
    };
    let events = made.filter(|_| !is_migrated).into_iter().chain(void);
    events.flat_map(|event| rows(user, event, &content(key, record).to_string())).collect()
}

fn granted(grant: &Grant) -> Event {
    Event {
        kind: Kind::Grant,
        trans_no: grant.trans_no.to_string(),
        at: grant.trans_no.created_at(),
        trans_type: grant.trans_type.to_string(),
        order_no: grant.order_no.as_ref().map(ToString::to_string),
        parts: vec![(grant.credits.as_u64().cast_signed(), grant.expired_at)],
    }
}

/// A row for each pack that it took from: so each ends with its pack.
fn charged(charge: &Charge) -> Event {
    let part = |taken: &Allocation| (taken.credits.to_negative_i64(), taken.grant.expired_at);
    Event {
        kind: Kind::Charge,
        trans_no: charge.trans_no.to_string(),
        at: charge.trans_no.created_at(),
        trans_type: charge.trans_type.to_string(),
        order_no: reference(charge),
        parts: charge.allocations.iter().map(part).collect(),
    }
}

fn refunded(charge: &Charge, void: &Void) -> Event {
    let part = |taken: &Allocation| (taken.credits.as_u64().cast_signed(), taken.grant.expired_at);
    Event {
        kind: Kind::Refund,
        trans_no: format!("{}-refund", charge.trans_no),
        at: void.at,
        trans_type: TransType::Refund(charge.trans_type.clone()).to_string(),
        order_no: reference(charge),
        parts: charge.allocations.iter().map(part).collect(),
    }
}

/// It moved nothing; it has no number, but the refund that it is of made no other.
fn fenced(key: &RecordKey, void: &Void) -> Event {
    let generation = if let RecordKey::Charge { generation, .. } = key { generation.as_ref() } else { None };
    Event {
        kind: Kind::Fence,
        trans_no: format!("{}-fence", void.invocation),
        at: void.at,
        trans_type: "fence".to_owned(),
        order_no: generation.map(ToString::to_string),
        parts: vec![(0, None)],
    }
}

/// What the old table has as `order_no` of a charge.
fn reference(charge: &Charge) -> Option<String> {
    let generation = charge.generation.as_ref().map(ToString::to_string);
    generation.or_else(|| charge.order_no.as_ref().map(ToString::to_string))
}

fn rows(user: &UserId, event: Event, record: &str) -> Vec<Row> {
    let row = |(nth, (credits, expired_at))| Row {
        kind: event.kind,
        trans_no: if nth == 0 { event.trans_no.clone() } else { format!("{}-{}", event.trans_no, nth + 1) },
        created_at: event.at,
        user_uuid: user.to_string(),
        trans_type: event.trans_type.clone(),
        credits,
        order_no: event.order_no.clone(),
        expired_at,
        record: (nth == 0).then(|| record.to_owned()),
    };
    event.parts.iter().copied().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests;
