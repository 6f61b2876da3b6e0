//! Converts the old rows of a user to a wallet and records, or rejects the user with a
//! reason. Pure: the plan depends neither on the order of the rows nor on earlier runs.
//!
//! The new balance equals the old one now and after every later expiry, or is zero where
//! the old one would be negative.

mod allocate;
mod classify;
mod expiry_bucket;
mod match_refunds;
mod rejection;
mod remaining;
mod row;
mod shortfall;

use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::{
    Charge, CreditSum, Credits, GenerationId, Grant, GrantRecord, GrantType, InvocationId, Metadata, Pack,
    Reason, Record, RecordKey, Timestamp, TransNo, TransType, UserId, Void, Wallet,
};
use uuid::Uuid;

pub use rejection::{RejectReason, Rejection};
pub use row::{OldRow, ReferenceOwner};

use allocate::{PackAllocator, allocate_refunded};
use classify::{ClassifiedRow, RowKind};
use expiry_bucket::ExpiryBucket;

/// The wallet and records of a user who can be migrated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPlan {
    /// The user of all rows.
    pub user: UserId,
    /// `None` if all rows have 0 credits.
    pub wallet: Option<Wallet>,
    /// In the order of time.
    pub records: Vec<PlannedRecord>,
    /// The class of each row, by its `id`.
    pub classes: BTreeMap<i64, RowClass>,
    /// Credits that the user would still have if each charge had taken from the pack that
    /// expires first, by expiry.
    pub shortfall: Vec<(Option<Timestamp>, Credits)>,
}

/// A record and the rows that it replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRecord {
    /// The key under which an import writes the record.
    pub key: RecordKey,
    /// A grant or a charge.
    pub record: Record,
    /// `id` of each row: one, or those of a charge and its refund.
    pub rows: Vec<i64>,
}

/// The part of the new ledger that a row becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowClass {
    /// The grant of an order, of a new user, or of the system.
    Grant,
    /// The second grant of an order or of a new user, from a repeated webhook.
    DuplicateGrant,
    /// An `order_pay` grant without an `order_no`.
    GrantWithoutOrder,
    /// A refund whose charge is certain: it voids the charge and is no record.
    MatchedRefund,
    /// A refund whose charge is not certain: a grant.
    UnmatchedRefund,
    /// A charge whose `order_no` is a generation.
    GenerationCharge,
    /// A charge whose `order_no` is the order of the last pack that it took from.
    OrderCharge,
    /// A charge without an `order_no`.
    UnreferencedCharge,
    /// A row of 0 credits: no record.
    ZeroCredits,
}

/// Plans the migration of a user as of `now`.
///
/// # Errors
/// The reason why the user cannot be migrated.
pub fn plan(user: &str, rows: &[OldRow], now: Timestamp) -> Result<UserPlan, Rejection> {
    let user = UserId::try_from(user.to_owned()).map_err(|_| Rejection::of_user(RejectReason::UserId))?;
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (row.created_at, row.id));
    let rows = rows.into_iter().map(|row| ClassifiedRow::new(row, now)).collect::<Result<Vec<_>, _>>()?;
    let granted: u64 = rows.iter().filter(|row| row.old.credits > 0).map(|row| row.credits.as_u64()).sum();
    let mut refunds = match_refunds::match_refunds(&rows, now);
    let refunded: u64 = refunds.keys().map(|charge| rows[*charge].credits.as_u64()).sum();
    // A voided charge needs allocations too, so it cannot exceed all other grants.
    refunds.retain(|charge, _| rows[*charge].credits.as_u64() <= granted - refunded);
    Planner { user, rows, refunds, now }.plan()
}

struct Planner<'a> {
    user: UserId,
    /// In the order of time.
    rows: Vec<ClassifiedRow<'a>>,
    /// Index of each refunded charge to the index of its refund.
    refunds: BTreeMap<usize, usize>,
    now: Timestamp,
}

/// Index of a charge among the rows, and its void.
type IndexedCharge = (usize, Option<Void>);

impl Planner<'_> {
    fn plan(self) -> Result<UserPlan, Rejection> {
        let mut classes = BTreeMap::new();
        let mut records = self.grants(&mut classes);
        let mut packs: Vec<_> = records.iter().filter_map(grant_of).collect();
        packs.sort_by_key(Grant::spending_order);
        let charged = self.charged_per_bucket(&packs)?;
        let mut allocator = PackAllocator::new(&packs, charged, self.now);
        let keys = self.charge_keys();
        for (index, void) in self.charges() {
            let row = &self.rows[index];
            let allocations = match void {
                None => allocator.allocate(row.credits, row.old.created_at),
                Some(_) => allocate_refunded(&packs, row.credits, row.old.created_at),
            };
            let RowKind::Charge(trans_type, generation, order_no) = row.kind.clone() else { continue };
            classes.insert(row.old.id, charge_class(generation.as_ref(), order_no.is_some()));
            let refund = self.refunds.get(&index).map(|refund| self.rows[*refund].old.id);
            classes.extend(refund.map(|id| (id, RowClass::MatchedRefund)));
            let charge = Charge {
                trans_no: trans_no(row),
                trans_type,
                credits: row.credits,
                generation,
                order_no,
                metadata: Metadata::default(),
                allocations,
                extra: Vec::new(),
                live: row.credits,
                void,
            };
            let rows = std::iter::once(row.old.id).chain(refund).collect();
            records.push(PlannedRecord { key: keys[&index].clone(), record: Record::Charge(charge), rows });
        }
        let zero_rows = self.rows.iter().filter(|row| row.kind == RowKind::ZeroCredits);
        classes.extend(zero_rows.map(|row| (row.old.id, RowClass::ZeroCredits)));
        records.sort_by_key(|planned| trans_no_of(&planned.record));
        let wallet = wallet(&records, allocator.remaining_packs())?;
        let shortfall = shortfall::shortfall(&self.rows, &self.refunds, wallet.as_ref(), self.now);
        Ok(UserPlan { user: self.user, wallet, records, classes, shortfall })
    }

    /// The records of grants and of refunds without a certain charge.
    fn grants(&self, classes: &mut BTreeMap<i64, RowClass>) -> Vec<PlannedRecord> {
        let matched: BTreeSet<_> = self.refunds.values().collect();
        let mut used_keys = BTreeSet::new();
        let mut records = Vec::new();
        for (_, row) in self.rows.iter().enumerate().filter(|(index, _)| !matched.contains(index)) {
            let (trans_type, order_no, key, class) = match &row.kind {
                RowKind::Grant(GrantType::NewUser, order_no) => {
                    (GrantType::NewUser.into(), order_no, Some(RecordKey::NewUserGrant), RowClass::Grant)
                }
                RowKind::Grant(GrantType::OrderPay, Some(order_no)) => {
                    let key = RecordKey::OrderGrant(order_no.clone());
                    (GrantType::OrderPay.into(), &Some(order_no.clone()), Some(key), RowClass::Grant)
                }
                RowKind::Grant(GrantType::OrderPay, None) => {
                    (GrantType::OrderPay.into(), &None, None, RowClass::GrantWithoutOrder)
                }
                RowKind::Grant(GrantType::SystemAdd, order_no) => {
                    let key = RecordKey::UnkeyedGrant(invocation_id(row));
                    (GrantType::SystemAdd.into(), order_no, Some(key), RowClass::Grant)
                }
                RowKind::Refund(charge_type, _) => {
                    (TransType::Refund(charge_type.clone()), &None, None, RowClass::UnmatchedRefund)
                }
                RowKind::Charge(..) | RowKind::ZeroCredits => continue,
            };
            let is_duplicate = key.as_ref().is_some_and(|key| !used_keys.insert(key.clone()));
            let key =
                key.filter(|_| !is_duplicate).unwrap_or_else(|| RecordKey::MigratedGrant(invocation_id(row)));
            classes.insert(row.old.id, if is_duplicate { RowClass::DuplicateGrant } else { class });
            let grant = Grant {
                trans_no: trans_no(row),
                trans_type,
                credits: row.credits,
                order_no: order_no.clone(),
                expired_at: row.old.expired_at,
            };
            records.push(PlannedRecord { key, record: Record::Grant(grant.into()), rows: vec![row.old.id] });
        }
        records
    }

    /// The charges, in the order of time.
    fn charges(&self) -> impl Iterator<Item = IndexedCharge> {
        let charges = self.rows.iter().enumerate().filter(|(_, row)| matches!(row.kind, RowKind::Charge(..)));
        charges.map(|(index, _)| {
            let refund = self.refunds.get(&index).map(|refund| &self.rows[*refund]);
            let void = refund.map(|refund| Void {
                at: refund.old.created_at,
                reason: Reason::truncated(&refund.old.trans_type).expect("a trans_type is a valid reason"),
                invocation: invocation_id(refund),
            });
            (index, void)
        })
    }

    /// The credits that live charges take from the packs of each bucket.
    fn charged_per_bucket(&self, packs: &[Grant]) -> Result<BTreeMap<ExpiryBucket, u64>, Rejection> {
        let mut granted = BTreeMap::<ExpiryBucket, i128>::new();
        for pack in packs {
            *granted.entry(ExpiryBucket::new(pack.expired_at, self.now)).or_default() +=
                i128::from(pack.credits.as_u64());
        }
        let mut sums = granted.clone();
        for (index, _) in self.charges().filter(|(_, void)| void.is_none()) {
            let row = &self.rows[index];
            *sums.entry(ExpiryBucket::new(row.old.expired_at, self.now)).or_default() -=
                i128::from(row.credits.as_u64());
        }
        if sums.get(&ExpiryBucket::Expired).is_some_and(|expired| *expired < 0) {
            return Err(Rejection::of_user(RejectReason::Overcharged));
        }
        let mut remaining = remaining::remaining(&sums).map_err(Rejection::of_user)?;
        remaining.extend(sums.get(&ExpiryBucket::Expired).map(|expired| (ExpiryBucket::Expired, *expired)));
        let charged = granted.into_iter().map(|(bucket, granted)| {
            let charged = granted - remaining.get(&bucket).copied().unwrap_or_default();
            (bucket, u64::try_from(charged).expect("no more remains than was granted"))
        });
        Ok(charged.collect())
    }

    /// The key of each charge, by index. Several charges of a generation have idempotency keys.
    fn charge_keys(&self) -> BTreeMap<usize, RecordKey> {
        let mut counts = BTreeMap::<&GenerationId, usize>::new();
        for row in &self.rows {
            if let RowKind::Charge(_, Some(generation), _) = &row.kind {
                *counts.entry(generation).or_default() += 1;
            }
        }
        let key = |row: &ClassifiedRow<'_>| match &row.kind {
            RowKind::Charge(_, Some(generation), _) => {
                let own = || {
                    row.old
                        .trans_no
                        .clone()
                        .try_into()
                        .ok()
                        .or_else(|| invocation_id(row).to_string().try_into().ok())
                };
                let key = if counts[generation] > 1 { own() } else { None };
                RecordKey::Charge { generation: Some(generation.clone()), key }
            }
            _ => RecordKey::UnkeyedCharge(invocation_id(row)),
        };
        self.rows.iter().enumerate().map(|(index, row)| (index, key(row))).collect()
    }
}

fn charge_class(generation: Option<&GenerationId>, has_order: bool) -> RowClass {
    match (generation, has_order) {
        (Some(_), _) => RowClass::GenerationCharge,
        (None, true) => RowClass::OrderCharge,
        (None, false) => RowClass::UnreferencedCharge,
    }
}

fn grant_of(planned: &PlannedRecord) -> Option<Grant> {
    if let Record::Grant(GrantRecord { grant, .. }) = &planned.record { Some(grant.clone()) } else { None }
}

fn trans_no_of(record: &Record) -> Option<TransNo> {
    match record {
        Record::Grant(GrantRecord { grant, .. }) => Some(grant.trans_no),
        Record::Charge(charge) => Some(charge.trans_no),
        Record::Fence(_) => None,
    }
}

/// A wallet with the totals of the records and the given packs.
fn wallet(records: &[PlannedRecord], packs: Vec<Pack>) -> Result<Option<Wallet>, Rejection> {
    let over_limit = |_| Rejection::of_user(RejectReason::WalletLimits);
    let version = records.iter().map(|planned| planned.record.changed_at()).max();
    let mut wallet = Wallet { version, packs, ..Wallet::default() };
    for planned in records {
        let (trans_type, credits, is_voided) = match &planned.record {
            Record::Grant(GrantRecord { grant, .. }) => (grant.trans_type.clone(), grant.credits, false),
            Record::Charge(charge) => {
                (TransType::Charge(charge.trans_type.clone()), charge.credits, charge.void.is_some())
            }
            Record::Fence(_) => continue,
        };
        let totals = wallet.totals.entry(trans_type).or_default();
        totals.created.add(credits).map_err(over_limit)?;
        if is_voided {
            totals.voided.add(credits).map_err(over_limit)?;
        }
        wallet.has_keyed_charges |=
            matches!(planned.key, RecordKey::Charge { generation: Some(_), key: Some(_) });
    }
    wallet.total_granted().map_err(over_limit)?;
    let charges = wallet.totals.iter().filter(|(trans_type, _)| matches!(trans_type, TransType::Charge(_)));
    let charged = charges
        .clone()
        .map(|(_, totals)| totals.created)
        .try_fold(CreditSum::default(), CreditSum::checked_add);
    charged.map_err(over_limit)?;
    let is_within_limits =
        wallet.packs.len() <= Wallet::PACKS_MAX && charges.count() <= Wallet::CHARGE_TYPES_MAX;
    if is_within_limits {
        Ok(version.map(|_| wallet))
    } else {
        Err(Rejection::of_user(RejectReason::WalletLimits))
    }
}

/// Whether a void comes from the row of a refund in the old table. The ledger draws the
/// invocation ids of its own voids at random; those of rows are derived from names.
pub fn is_void_of_old_rows(void: &Void) -> bool {
    void.invocation.is_named()
}

fn trans_no(row: &ClassifiedRow<'_>) -> TransNo {
    TransNo::new(row.old.created_at, invocation_id(row))
}

/// An id derived from the row's `trans_no`, the same in every run.
fn invocation_id(row: &ClassifiedRow<'_>) -> InvocationId {
    InvocationId::new(Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("scrip migrated {}", row.old.trans_no).as_bytes(),
    ))
}

#[cfg(test)]
mod tests;
