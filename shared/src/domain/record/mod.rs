//! Records: what each kind is, where it is stored, and what it does to the wallet.

mod charge;
mod effect;
mod grant;

pub use charge::{Allocation, Charge, Void};
pub use effect::{Change, ChangeOrigin, Effect};
pub use grant::Grant;

use super::{Entry, GenerationId, GrantType, IdempotencyKey, InvocationId, OrderNo, Timestamp, TransType};

/// A record of a user's ledger, or the fence in the place of a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Credits came.
    Grant(Grant),
    /// Credits went.
    Charge(Charge),
    /// A refund came before its charge: the charge must not be made any more.
    Fence(Void),
}

impl Record {
    /// What the record did to the wallet, oldest first. Each change carries the version
    /// that it gave the wallet.
    pub fn changes(&self) -> Vec<Change<'_>> {
        match self {
            Record::Grant(grant) => grant.changes(),
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

    /// The wallet's version of the last change; a wallet that is older does not show it.
    pub fn changed_at(&self) -> Timestamp {
        match self {
            Record::Grant(grant) => grant.trans_no.created_at(),
            Record::Charge(Charge { void: Some(void), .. }) | Record::Fence(void) => void.at,
            Record::Charge(charge) => charge.trans_no.created_at(),
        }
    }

    /// What a timeline shows; fences are not shown.
    pub fn entry(&self) -> Option<Entry> {
        match self.clone() {
            Record::Grant(Grant { trans_no, trans_type, credits, order_no, expired_at }) => Some(Entry {
                trans_no,
                trans_type,
                credits,
                order_no,
                generation: None,
                expired_at,
                void: None,
            }),
            Record::Charge(charge) => Some(Entry {
                trans_no: charge.trans_no,
                trans_type: TransType::Charge(charge.trans_type),
                credits: charge.credits,
                order_no: charge.order_no,
                generation: charge.generation,
                expired_at: None,
                void: charge.void.map(|void| (void.at, void.reason)),
            }),
            Record::Fence(_) => None,
        }
    }
}

/// The place of a record, which identifies the request that made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKey {
    /// The grant of a paid order.
    OrderGrant(OrderNo),
    /// The one grant of a new user.
    NewUserGrant,
    /// A grant under a caller's key.
    KeyedGrant(IdempotencyKey),
    /// A grant without an identity, by the delivery that made it.
    UnkeyedGrant(InvocationId),
    /// A grant of migrated history without a place of its own: a second grant of an
    /// order, a grant of no order, or a refund that was written as a grant.
    MigratedGrant(InvocationId),
    /// A charge, or the fence against it.
    Charge {
        /// The generation it pays for.
        generation: Option<GenerationId>,
        /// The caller's key; always present without a generation.
        key: Option<IdempotencyKey>,
    },
    /// A charge without an identity, by the delivery that made it.
    UnkeyedCharge(InvocationId),
}

impl RecordKey {
    /// Whether this record may have this key.
    pub fn fits(&self, record: &Record) -> bool {
        let is_for = |grant: &Grant, of: GrantType| grant.trans_type == of.into();
        match (self, record) {
            (RecordKey::OrderGrant(order_no), Record::Grant(grant)) => {
                is_for(grant, GrantType::OrderPay) && grant.order_no.as_ref() == Some(order_no)
            }
            (RecordKey::NewUserGrant, Record::Grant(grant)) => is_for(grant, GrantType::NewUser),
            (RecordKey::KeyedGrant(_) | RecordKey::UnkeyedGrant(_), Record::Grant(grant)) => {
                is_for(grant, GrantType::SystemAdd)
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
