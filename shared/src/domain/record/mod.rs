//! Records: their kinds, their keys, and their effects on the wallet.

mod charge;
mod charge_state;
mod effect;
mod grant;
mod revocation;

pub use charge::{Adjustment, AdjustmentKind, Allocation, Charge, Settlement, Void};
pub use charge_state::ChargeState;
pub use effect::{Change, ChangeOrigin, Effect};
pub use grant::{Grant, GrantRecord};
pub use revocation::{Revocation, RevocationKind, RevocationState};

use std::collections::BTreeMap;

use super::{
    Credits, Entry, GenerationId, GrantType, IdempotencyKey, InvocationId, OrderNo, Timestamp, TransNo,
    TransType,
};

/// A record of a user, or a fence at the key of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Credits that were added.
    Grant(GrantRecord),
    /// Credits that were taken.
    Charge(Charge),
    /// A refund without a charge. It rejects a charge that arrives later.
    Fence(Void),
}

impl Record {
    /// The changes of the wallet, oldest first.
    pub fn changes(&self) -> Vec<Change<'_>> {
        match self {
            Record::Grant(record) => record.changes(),
            Record::Charge(charge) => charge.changes(),
            Record::Fence(fence) => {
                vec![Change {
                    at: fence.at,
                    origin: ChangeOrigin::Invocation(fence.invocation),
                    effect: Effect::Fenced,
                }]
            }
        }
    }

    /// The version of the wallet after the last change.
    pub fn changed_at(&self) -> Timestamp {
        match self {
            Record::Grant(record) => record.changed_at(),
            Record::Charge(charge) => charge.changed_at(),
            Record::Fence(void) => void.at,
        }
    }

    /// The entry of the timeline; `None` for a fence.
    pub fn entry(&self) -> Option<Entry> {
        match self.clone() {
            Record::Grant(record) => Some(record.into_entry()),
            Record::Charge(charge) => Some(Entry {
                settled: charge.settled(),
                returned_outputs: charge.returned_outputs(),
                outputs: charge.outputs,
                hold_until: charge.hold_until,
                late_success_at: charge.late_success_at,
                revoked: BTreeMap::new(),
                trans_no: charge.trans_no,
                trans_type: TransType::Charge(charge.trans_type),
                credits: charge.credits,
                order_no: charge.order_no,
                generation: charge.generation,
                expired_at: None,
                metadata: charge.metadata,
                void: charge.void.map(|void| (void.at, void.reason)),
            }),
            Record::Fence(_) => None,
        }
    }
}

/// The state of a record's item, which a write requires to be unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordVersion {
    /// The first format: a charge without outputs, hold or adjustments, or a grant without
    /// revocations.
    First,
    /// The second format, last changed at this version of the wallet.
    ChangedAt(Timestamp),
    /// A record in debt. The version of the wallet, which lists its debts, decides.
    InDebt,
}

/// Returned credits that a pack did not get, because they filled the shortfall of its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShortfallFill {
    /// The grant of the pack.
    pub pack: TransNo,
    /// The credits.
    pub credits: Credits,
}

/// The key of a record: the identity of the request that created it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKey {
    /// The grant of a paid order.
    OrderGrant(OrderNo),
    /// The one grant of type `new_user`.
    NewUserGrant,
    /// A grant with an idempotency key.
    KeyedGrant(IdempotencyKey),
    /// A grant without an identity, by the delivery that created it.
    UnkeyedGrant(InvocationId),
    /// A grant of migrated history that has none of the keys above: a second grant of an
    /// order, a grant without an order, or a refund that was a grant.
    MigratedGrant(InvocationId),
    /// A charge, or its fence.
    Charge {
        /// The generation that it pays for.
        generation: Option<GenerationId>,
        /// The idempotency key; always present without a generation.
        key: Option<IdempotencyKey>,
    },
    /// A charge without an identity, by the delivery that created it.
    UnkeyedCharge(InvocationId),
}

impl RecordKey {
    /// Whether the content of a record matches this key.
    pub fn matches(&self, record: &Record) -> bool {
        let is_type =
            |record: &GrantRecord, grant_type: GrantType| record.grant.trans_type == grant_type.into();
        match (self, record) {
            (RecordKey::OrderGrant(order_no), Record::Grant(record)) => {
                is_type(record, GrantType::OrderPay) && record.grant.order_no.as_ref() == Some(order_no)
            }
            (RecordKey::NewUserGrant, Record::Grant(record)) => is_type(record, GrantType::NewUser),
            (RecordKey::KeyedGrant(_) | RecordKey::UnkeyedGrant(_), Record::Grant(record)) => {
                is_type(record, GrantType::SystemAdd)
            }
            (RecordKey::MigratedGrant(_), Record::Grant(_))
            | (RecordKey::Charge { .. }, Record::Fence(_)) => true,
            (RecordKey::Charge { generation, .. }, Record::Charge(charge)) => {
                charge.generation == *generation
            }
            (RecordKey::UnkeyedCharge(_), Record::Charge(charge)) => charge.generation.is_none(),
            _ => false,
        }
    }
}
