use super::{
    ChargeType, Credits, Entry, GenerationUuid, GrantType, IdempotencyKey, Nonce, OrderNo, Reason, Timestamp,
    TransNo, TransType, UserUuid,
};

/// A record of a user's ledger, or the fence that stands in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Credits came.
    Grant(Grant),
    /// Credits went.
    Charge(Charge),
    /// Credits must never go: a refund came before its charge.
    Fence(Void),
}

impl Record {
    /// The version of the wallet in which it, or its void, moved credits; a fence
    /// moves none.
    pub fn changed_at(&self) -> Option<Timestamp> {
        match self {
            Record::Grant(grant) => Some(grant.trans_no.created_at()),
            Record::Charge(Charge { void: Some(void), .. }) => Some(void.at),
            Record::Charge(charge) => Some(charge.trans_no.created_at()),
            Record::Fence(_) => None,
        }
    }

    /// What a timeline shows of it; of a fence, nothing.
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

/// Where a record stands, which is what makes a repeated request the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKey {
    /// The grant of a paid order.
    OrderGrant(OrderNo),
    /// The one grant of a new user.
    NewUserGrant,
    /// A grant under a caller's key.
    KeyedGrant(IdempotencyKey),
    /// A grant that is never a replay, by the invocation that made it.
    UnkeyedGrant(Nonce),
    /// A grant of migrated history that has no other place: a second one of an
    /// order, one of no order, or a refund that was a grant.
    MigratedGrant(Nonce),
    /// A charge, or the fence against it.
    Charge {
        /// The generation it pays for.
        generation: Option<GenerationUuid>,
        /// The caller's key; without a generation there is one.
        key: Option<IdempotencyKey>,
    },
    /// A charge that cannot be repeated safely, by the invocation that made it.
    UnkeyedCharge(Nonce),
}

impl RecordKey {
    /// Whether this record may stand here.
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

/// Credits given: the record, and the origin of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its identity and moment.
    pub trans_no: TransNo,
    /// Why; a refund type in migrated history.
    pub trans_type: TransType,
    /// How many.
    pub credits: Credits,
    /// The order that paid.
    pub order_no: Option<OrderNo>,
    /// When they run out; never, where absent.
    pub expired_at: Option<Timestamp>,
}

/// How much a charge took from which pack, with all that is needed to bring
/// the pack back whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The pack's origin.
    pub grant: Grant,
    /// What was taken from it.
    pub credits: Credits,
}

/// Credits taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Its identity and moment.
    pub trans_no: TransNo,
    /// What for.
    pub trans_type: ChargeType,
    /// How many, as a positive number.
    pub credits: Credits,
    /// The generation it pays for.
    pub generation: Option<GenerationUuid>,
    /// What the caller noted as order.
    pub order_no: Option<OrderNo>,
    /// Where they came from, in the order taken.
    pub allocations: Vec<Allocation>,
    /// The refund, if there was one.
    pub void: Option<Void>,
}

/// The mark of a refund on a charge, or in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
    /// Which invocation did it.
    pub by: Nonce,
}

/// What `grant` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRequest {
    /// Whose wallet.
    pub user: UserUuid,
    /// Why.
    pub trans_type: GrantType,
    /// How many.
    pub credits: Credits,
    /// The order that paid.
    pub order_no: Option<OrderNo>,
    /// When they run out.
    pub expired_at: Option<Timestamp>,
    /// The caller's key.
    pub key: Option<IdempotencyKey>,
}

impl GrantRequest {
    /// What identifies the grant, where it can be a replay at all.
    pub fn identity(&self) -> Option<RecordKey> {
        match self.trans_type {
            GrantType::NewUser => Some(RecordKey::NewUserGrant),
            GrantType::OrderPay => self.order_no.clone().map(RecordKey::OrderGrant),
            GrantType::SystemAdd => self.key.clone().map(RecordKey::KeyedGrant),
        }
    }
}

/// What `decrease` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeRequest {
    /// Whose wallet.
    pub user: UserUuid,
    /// What for.
    pub trans_type: ChargeType,
    /// How many.
    pub credits: Credits,
    /// The generation it pays for.
    pub generation: Option<GenerationUuid>,
    /// What the caller notes as order.
    pub order_no: Option<OrderNo>,
    /// The caller's key.
    pub key: Option<IdempotencyKey>,
}

/// What `refund` is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundRequest {
    /// Whose charges; found by the generation where absent.
    pub user: Option<UserUuid>,
    /// Of which generation.
    pub generation: GenerationUuid,
    /// The one under this key, or all.
    pub key: Option<IdempotencyKey>,
    /// Why.
    pub reason: Reason,
}

impl ChargeRequest {
    /// What identifies the charge, where it can be repeated safely.
    pub fn identity(&self) -> Option<RecordKey> {
        (self.generation.is_some() || self.key.is_some())
            .then(|| RecordKey::Charge { generation: self.generation.clone(), key: self.key.clone() })
    }
}

impl Grant {
    /// Whether its credits may be spent now.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.expired_at.is_none_or(|expired_at| now < expired_at)
    }

    /// Earliest expiry first, never-expiring last, ties by age.
    pub fn spending_order(&self) -> impl Ord + use<> {
        (self.expired_at.is_none(), self.expired_at, self.trans_no)
    }
}
