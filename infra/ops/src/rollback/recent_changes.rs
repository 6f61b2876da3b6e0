//! Converts changes of the ledger since the migration to rows of the old form. Pure.

use std::fmt;

use scrip::domain::{
    Change, Charge, Effect, Grant, GrantRecord, Record, RecordKey, Timestamp, TransType, UserId, Void,
};

use serde::Serialize;

use super::record_json::record_json;
use crate::plan::is_void_of_old_rows;

/// A row in the columns of the old table, and the record with all other values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChangeRow {
    pub(super) kind: ChangeKind,
    pub(super) trans_no: String,
    pub(super) created_at: Timestamp,
    pub(super) user_uuid: String,
    pub(super) trans_type: String,
    pub(super) credits: i64,
    pub(super) order_no: Option<String>,
    pub(super) expired_at: Option<Timestamp>,
    /// JSON; only in the first row of an event.
    pub(super) record: Option<String>,
}

/// The kind of a change, under its name in `rollback.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ChangeKind {
    /// Takes credits from packs.
    #[serde(rename = "charges")]
    Charge,
    /// Rejects a late charge.
    #[serde(rename = "fences")]
    Fence,
    /// Adds a pack.
    #[serde(rename = "grants")]
    Grant,
    /// Voids a charge.
    #[serde(rename = "refunds")]
    Refund,
    /// Takes credits of a revoked order back, or returns them.
    #[serde(rename = "revocations")]
    Revocation,
    /// Makes a sum of old rows what the migration made of it.
    #[serde(rename = "what was forgiven")]
    OldSumOffset,
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChangeKind::Charge => "charges",
            ChangeKind::Fence => "fences",
            ChangeKind::Grant => "grants",
            ChangeKind::Refund => "refunds",
            ChangeKind::Revocation => "revocations",
            ChangeKind::OldSumOffset => "offsets of old sums",
        })
    }
}

/// A change at one moment.
struct Event {
    kind: ChangeKind,
    trans_no: String,
    at: Timestamp,
    trans_type: String,
    order_no: Option<String>,
    /// Credits and expiry of each row.
    parts: Vec<(i64, Option<Timestamp>)>,
}

/// The rows of the changes that a record has and the old table lacks.
pub(super) fn change_rows(
    user: &UserId,
    key: &RecordKey,
    record: &Record,
    is_migrated: bool,
) -> Vec<ChangeRow> {
    let mut events = match record {
        Record::Grant(GrantRecord { grant, .. }) => grant_events(grant, record),
        Record::Charge(charge) => charge_events(charge, record),
        Record::Fence(void) => vec![fence_event(key, void)],
    };
    if is_migrated {
        events.remove(0);
    }
    events
        .into_iter()
        .flat_map(|event| event_rows(user, event, &record_json(key, record).to_string()))
        .collect()
}

/// The events of a grant: its creation, and the revocations of its order.
fn grant_events(grant: &Grant, record: &Record) -> Vec<Event> {
    let changes = record.changes();
    let event = |(nth, group): (usize, &[Change<'_>])| {
        Some(Event {
            kind: if nth == 0 { ChangeKind::Grant } else { ChangeKind::Revocation },
            trans_no: match nth {
                0 => grant.trans_no.to_string(),
                _ => format!("{}-revoked-{nth}", grant.trans_no),
            },
            at: group.first()?.at,
            trans_type: match nth {
                0 => grant.trans_type.to_string(),
                _ => format!("{}_revoke", grant.trans_type),
            },
            order_no: grant.order_no.as_ref().map(ToString::to_string),
            parts: parts_or_nothing(group),
        })
    };
    let groups = changes.chunk_by(|one, other| one.at == other.at);
    groups.enumerate().filter_map(event).collect()
}

/// The parts of a change of a grant: one of 0 credits if only a shortfall or a debt has changed, so
/// that each revocation has a row.
fn parts_or_nothing(changes: &[Change<'_>]) -> Vec<(i64, Option<Timestamp>)> {
    let parts: Vec<_> = changes.iter().filter_map(part).collect();
    if parts.is_empty() { vec![(0, None)] } else { parts }
}

/// The credits that a change adds to a pack, and the pack's expiry.
fn part(change: &Change<'_>) -> Option<(i64, Option<Timestamp>)> {
    let (credits, grant) = match &change.effect {
        Effect::Granted(grant) => (grant.credits.as_u64().cast_signed(), grant),
        Effect::Returned(grant, credits) => (credits.as_u64().cast_signed(), grant),
        Effect::Taken(grant, credits) | Effect::Filled(grant, credits) => (credits.to_negative_i64(), grant),
        _ => return None,
    };
    Some((credits, grant.expired_at))
}

/// The events of a charge: its creation, its adjustments, and its void unless that came from old
/// rows. Each has one row for each pack, with the pack's expiry.
fn charge_events(charge: &Charge, record: &Record) -> Vec<Event> {
    let changes = record.changes();
    let groups = changes.chunk_by(|one, other| one.at == other.at);
    let last = charge.void.as_ref().map(|void| (void.at, is_void_of_old_rows(void)));
    let is_of_old_rows = |at: Timestamp| last.is_some_and(|(voided_at, is_old)| voided_at == at && is_old);
    let event = |(nth, group): (usize, &[Change<'_>])| {
        let at = group.first()?.at;
        let is_void = nth > 0 && last.is_some_and(|(voided_at, _)| voided_at == at);
        (nth == 0 || !is_of_old_rows(at)).then(|| charge_event(charge, nth, is_void, at, group))
    };
    groups.enumerate().filter_map(event).collect()
}

fn charge_event(charge: &Charge, nth: usize, is_void: bool, at: Timestamp, changes: &[Change<'_>]) -> Event {
    let parts: Vec<_> = changes.iter().filter_map(part).collect();
    let is_return = is_void || parts.first().is_some_and(|(credits, _)| *credits > 0);
    let trans_type = charge.trans_type.clone();
    Event {
        kind: if is_return { ChangeKind::Refund } else { ChangeKind::Charge },
        trans_no: match nth {
            0 => charge.trans_no.to_string(),
            _ if is_void => format!("{}-refund", charge.trans_no),
            _ => format!("{}-adjusted-{nth}", charge.trans_no),
        },
        at,
        trans_type: if is_return { TransType::Refund(trans_type) } else { TransType::Charge(trans_type) }
            .to_string(),
        order_no: order_no(charge),
        parts,
    }
}

/// A row of 0 credits. A fence has no `trans_no`, so the refund's invocation id names it.
fn fence_event(key: &RecordKey, void: &Void) -> Event {
    let generation = if let RecordKey::Charge { generation, .. } = key { generation.as_ref() } else { None };
    Event {
        kind: ChangeKind::Fence,
        trans_no: format!("{}-fence", void.invocation),
        at: void.at,
        trans_type: "fence".to_owned(),
        order_no: generation.map(ToString::to_string),
        parts: vec![(0, None)],
    }
}

/// The `order_no` of a charge in the old table.
fn order_no(charge: &Charge) -> Option<String> {
    let generation = charge.generation.as_ref().map(ToString::to_string);
    generation.or_else(|| charge.order_no.as_ref().map(ToString::to_string))
}

fn event_rows(user: &UserId, event: Event, record: &str) -> Vec<ChangeRow> {
    let row = |(nth, (credits, expired_at))| ChangeRow {
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
