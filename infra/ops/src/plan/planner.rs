//! Creates the records and the wallet of a user.

use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::{
    Allocation, Charge, ChargeType, CreditSum, Credits, Debt, Debtor, GenerationId, Grant, GrantRecord,
    GrantType, InvocationId, OrderNo, Pack, Reason, Record, RecordKey, Timestamp, TransNo, TransType, UserId,
    Void, Wallet,
};
use uuid::Uuid;

use super::{
    Adjustment, AdjustmentReason, NegativeRule, PlanRules, PlannedRecord, RejectReason, Rejection, RowClass,
    UserPlan,
    adjustment::{DEBT_PART, adjusting_charge, adjusting_grant, debt_charge},
    allocate::{PackAllocator, PackGroup, allocate_refunded},
    classify::{ClassifiedRow, RowKind},
    expiry_bucket::ExpiryBucket,
    match_refunds::{Refund, Refunds, match_refunds},
    shortfall::shortfall,
    target::TargetBalance,
};

/// The reason of a void by a mark in the old table.
const MARKED_REASON: &str = "refunded in the old table";

pub(super) struct Planner<'a> {
    user: UserId,
    /// In the order of time.
    rows: Vec<ClassifiedRow<'a>>,
    refunds: Refunds,
    rules: &'a PlanRules,
}

/// What the charges take from the packs of each group.
struct Charged {
    by_group: BTreeMap<PackGroup, u64>,
    /// Credits of charges that no grant covers.
    uncovered: Credits,
    /// The sum below zero, if it is carried as debt.
    debt: Credits,
    adjustments: Vec<Adjustment>,
}

/// What must remain of the packs.
struct Remaining {
    target: TargetBalance,
    /// By grant, in the layout `lots`.
    lots: BTreeMap<TransNo, u64>,
}

impl Remaining {
    fn of(&self, (bucket, lot): PackGroup) -> i128 {
        match lot {
            None => self.target.remaining.get(&bucket).copied().unwrap_or_default(),
            Some(lot) => self.lots.get(&lot).copied().map_or(0, i128::from),
        }
    }
}

/// The content of a charge's row.
type ChargeContent<'a> = (&'a ChargeType, Option<&'a GenerationId>, Option<&'a OrderNo>);

impl<'a> Planner<'a> {
    pub(super) fn new(user: UserId, rows: Vec<ClassifiedRow<'a>>, rules: &'a PlanRules) -> Planner<'a> {
        let mut refunds = match_refunds(&rows, rules.as_of);
        let granted: u64 =
            rows.iter().filter(|row| row.old.credits > 0).map(|row| row.credits.as_u64()).sum();
        let cancelled = |(charge, refund): (&usize, &Refund)| match refund {
            Refund::Cancelled(_) => rows[*charge].credits.as_u64(),
            Refund::Elsewhere(..) | Refund::Marked(_) => 0,
        };
        let remaining = granted - refunds.iter().map(cancelled).sum::<u64>();
        // A voided charge has allocations too, so the other grants must cover it.
        for (charge, refund) in &mut refunds {
            let credits = rows[*charge].credits.as_u64();
            if let Refund::Cancelled(row) = *refund
                && credits > remaining
            {
                *refund = Refund::Elsewhere(credits, vec![row]);
            }
        }
        Planner { user, rows, refunds, rules }
    }

    pub(super) fn plan(self) -> Result<UserPlan, Rejection> {
        let mut classes = BTreeMap::new();
        let mut records = self.grants(&mut classes);
        let Charged { by_group, uncovered, debt, adjustments } = self.charged(&records)?;
        if !uncovered.is_zero() {
            let (key, grant) = adjusting_grant(&self.user, uncovered, self.rules.as_of);
            records.push(PlannedRecord { key, record: Record::Grant(grant.into()), rows: Vec::new() });
        }
        let mut packs: Vec<_> = records.iter().filter_map(grant_of).collect();
        packs.sort_by_key(Grant::spending_order);
        let mut allocator = PackAllocator::new(&packs, by_group, self.rules.as_of);
        let keys = self.charge_keys();
        for (index, row) in self.rows.iter().enumerate() {
            match row.kind {
                RowKind::Charge(..) => {
                    self.classify_charge(index, &mut classes);
                    records.extend(self.charges(index, &keys[&index], &packs, &mut allocator));
                }
                RowKind::ZeroCredits => _ = classes.insert(row.old.id, RowClass::ZeroCredits),
                RowKind::Grant(..) | RowKind::Refund(..) => {}
            }
        }
        if self.is_of_lots() {
            let unexplained = allocator.allocate_rest();
            if !unexplained.is_empty() {
                let (key, charge) = adjusting_charge(&self.user, unexplained, self.rules.as_of);
                records.push(PlannedRecord { key, record: Record::Charge(charge), rows: Vec::new() });
            }
        }
        if !debt.is_zero() {
            let part = allocator.allocate(DEBT_PART, self.rules.as_of, &BTreeMap::new());
            let (key, charge) = debt_charge(&self.user, part, debt, self.rules.as_of).map_err(over_limit)?;
            records.push(PlannedRecord { key, record: Record::Charge(charge), rows: Vec::new() });
        }
        records.sort_by_key(|planned| trans_no_of(&planned.record));
        let wallet = wallet(&records, allocator.remaining_packs())?;
        // A charge of a lot names its packs, so none expired in place of another.
        let shortfall = if self.is_of_lots() {
            Vec::new()
        } else {
            shortfall(&self.rows, &self.refunds, wallet.as_ref(), self.rules.as_of)
        };
        Ok(UserPlan { user: self.user, wallet, records, classes, adjustments, shortfall })
    }

    /// The records of grants and of refunds that do not cancel a charge.
    fn grants(&self, classes: &mut BTreeMap<i64, RowClass>) -> Vec<PlannedRecord> {
        let (mut cancelling, mut elsewhere) = (BTreeSet::new(), BTreeSet::<usize>::new());
        for refund in self.refunds.values() {
            match refund {
                Refund::Cancelled(row) => _ = cancelling.insert(*row),
                Refund::Elsewhere(_, rows) => elsewhere.extend(rows),
                Refund::Marked(_) => {}
            }
        }
        let mut used_keys = BTreeSet::new();
        let mut records = Vec::new();
        for (index, row) in self.rows.iter().enumerate().filter(|(index, _)| !cancelling.contains(index)) {
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
                    let is_matched = elsewhere.contains(&index);
                    let class =
                        if is_matched { RowClass::RefundElsewhere } else { RowClass::UnmatchedRefund };
                    (TransType::Refund(charge_type.clone()), &None, None, class)
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

    /// The credits that live charges take from each group of packs, so that what must remain
    /// does.
    fn charged(&self, grants: &[PlannedRecord]) -> Result<Charged, Rejection> {
        let mut granted = BTreeMap::<PackGroup, i128>::new();
        for grant in grants.iter().filter_map(grant_of) {
            *granted.entry(self.group(&grant)).or_default() += i128::from(grant.credits.as_u64());
        }
        // The void of a charge has allocations too.
        let missing_for_void = self.largest_marked_charge() - granted.values().sum::<i128>();
        let remaining = self.remaining();
        let target = &remaining.target;
        if target.forgiven > 0 && self.rules.negative == NegativeRule::Quarantine {
            return Err(Rejection::of_user(RejectReason::NegativeBalance));
        }
        let expired = granted.remove(&(ExpiryBucket::Expired, None)).unwrap_or_default();
        let mut charged: i128 = self.live_charges().map(|row| i128::from(row.credits.as_u64())).sum();
        let mut by_group = BTreeMap::new();
        for (group, granted) in granted {
            let taken = granted - remaining.of(group);
            charged -= taken;
            by_group.insert(group, in_range(taken)?);
        }
        let is_debt = self.rules.negative == NegativeRule::Debt;
        let (debt, forgiven) = if is_debt { (target.forgiven, 0) } else { (0, target.forgiven) };
        // The charge that carries the debt takes a credit of the adjusting grant.
        let part = if debt > 0 { i128::from(DEBT_PART.as_u64()) } else { 0 };
        by_group.insert((ExpiryBucket::Expired, None), in_range(charged.max(0) + part)?);
        let uncovered = (charged - expired).max(missing_for_void).max(0) + part;
        let mut adjustments = Vec::new();
        for (reason, credits) in [
            (AdjustmentReason::PhantomSpent, (charged - target.forgiven - expired).max(0)),
            (AdjustmentReason::PhantomReturning, target.returning),
            (AdjustmentReason::NegativeForgiven, forgiven),
            (AdjustmentReason::NegativeCarried, debt),
            (AdjustmentReason::Unexplained, (-charged).max(0)),
        ] {
            if credits > 0 {
                adjustments.push(Adjustment { reason, credits: in_range(credits)? });
            }
        }
        let credits = |credits| Credits::try_from(in_range(credits)?).map_err(over_limit);
        Ok(Charged { by_group, uncovered: credits(uncovered)?, debt: credits(debt)?, adjustments })
    }

    /// The credits of the largest charge that its own row marks as refunded.
    fn largest_marked_charge(&self) -> i128 {
        let marked = self.refunds.iter().filter(|(_, refund)| matches!(refund, Refund::Marked(_)));
        marked.map(|(charge, _)| i128::from(self.rows[*charge].credits.as_u64())).max().unwrap_or_default()
    }

    /// What must remain of each group of packs.
    fn remaining(&self) -> Remaining {
        let mut sums = BTreeMap::<ExpiryBucket, i128>::new();
        for row in &self.rows {
            *sums.entry(ExpiryBucket::new(row.old.expired_at, self.rules.as_of)).or_default() +=
                row.old.counted_credits();
        }
        let lot = |row: &ClassifiedRow<'_>| Some((trans_no(row), row.old.lot.as_ref()?.remaining));
        Remaining { target: TargetBalance::new(&sums), lots: self.rows.iter().filter_map(lot).collect() }
    }

    /// The group of a pack: its own in the layout `lots`, unless it has expired.
    fn group(&self, grant: &Grant) -> PackGroup {
        let bucket = ExpiryBucket::new(grant.expired_at, self.rules.as_of);
        let is_own = self.is_of_lots() && bucket != ExpiryBucket::Expired;
        (bucket, is_own.then_some(grant.trans_no))
    }

    /// All rows of a table have one layout.
    fn is_of_lots(&self) -> bool {
        self.rows.first().is_some_and(|row| row.old.lot.is_some())
    }

    /// The packs that a row of the layout `lots` names, with the credits taken from them.
    fn named_packs(&self, row: &ClassifiedRow<'_>) -> BTreeMap<TransNo, u64> {
        let taken = row.old.lot.iter().flat_map(|lot| &lot.taken);
        let pack = |(name, credits): &(String, u64)| {
            let is_named = |row: &&ClassifiedRow<'_>| {
                row.old.trans_no == *name || row.old.lot.as_ref().is_some_and(|lot| lot.id == *name)
            };
            Some((trans_no(self.rows.iter().find(is_named)?), *credits))
        };
        taken.filter_map(pack).collect()
    }

    /// The rows of charges that no refund cancels.
    fn live_charges(&self) -> impl Iterator<Item = &ClassifiedRow<'a>> {
        let is_live = |(index, row): &(usize, &ClassifiedRow)| {
            matches!(row.kind, RowKind::Charge(..))
                && !self.refunds.get(index).is_some_and(Refund::is_restored)
        };
        self.rows.iter().enumerate().filter(is_live).map(|(_, row)| row)
    }

    fn classify_charge(&self, index: usize, classes: &mut BTreeMap<i64, RowClass>) {
        let row = &self.rows[index];
        let Some((_, generation, order_no)) = row.kind.charge() else { return };
        let class = match (generation, order_no) {
            (Some(_), _) => RowClass::GenerationCharge,
            (None, Some(_)) => RowClass::OrderCharge,
            (None, None) => RowClass::UnreferencedCharge,
        };
        classes.insert(row.old.id, class);
        if let Some(Refund::Cancelled(refund)) = self.refunds.get(&index) {
            classes.insert(self.rows[*refund].old.id, RowClass::MatchedRefund);
        }
    }

    /// The records of a charge. If it was refunded into another pack, its own pack still pays
    /// for it: that part is a charge without a generation, which no refund can address.
    fn charges(
        &self,
        index: usize,
        key: &RecordKey,
        packs: &[Grant],
        allocator: &mut PackAllocator<'_>,
    ) -> Vec<PlannedRecord> {
        let row = &self.rows[index];
        let Some(content) = row.kind.charge() else { return Vec::new() };
        let refund = self.refunds.get(&index);
        let void = refund.and_then(|refund| self.void(row, refund));
        let mut ids = vec![row.old.id];
        let (refunded, paid) = match refund {
            None => (0, row.credits.as_u64()),
            Some(Refund::Cancelled(refund)) => {
                ids.push(self.rows[*refund].old.id);
                (0, 0)
            }
            Some(Refund::Elsewhere(credits, _)) => (*credits, row.credits.as_u64() - credits),
            Some(Refund::Marked(_)) => (0, 0),
        };
        let named = self.named_packs(row);
        let part = |credits: u64| Credits::try_from(credits).expect("at most the credits of the row");
        let own = if paid > 0 {
            let allocations = allocator.allocate(part(paid), row.old.created_at, &named);
            charge(trans_no(row), key, content, allocations, None)
        } else {
            let allocations = allocate_refunded(packs, row.credits, row.old.created_at);
            charge(trans_no(row), key, content, allocations, void)
        };
        let mut records = vec![PlannedRecord { key: key.clone(), record: Record::Charge(own), rows: ids }];
        if refunded > 0 {
            let id = named_id(&format!("scrip migrated refunded {}", row.old.trans_no));
            let allocations = allocator.allocate(part(refunded), row.old.created_at, &named);
            let (trans_type, _, order_no) = content;
            let key = RecordKey::UnkeyedCharge(id);
            let trans_no = TransNo::new(row.old.created_at, id);
            let moved = charge(trans_no, &key, (trans_type, None, order_no), allocations, None);
            records.push(PlannedRecord { key, record: Record::Charge(moved), rows: Vec::new() });
        }
        records
    }

    /// The void by the last refund of a charge.
    fn void(&self, charge: &ClassifiedRow<'_>, refund: &Refund) -> Option<Void> {
        let (at, reason, id) = match refund {
            Refund::Cancelled(row) => self.refund_row(*row),
            Refund::Elsewhere(_, rows) => self.refund_row(*rows.last()?),
            Refund::Marked(at) => {
                (*at, MARKED_REASON, named_id(&format!("scrip migrated void {}", charge.old.trans_no)))
            }
        };
        let reason = Reason::truncated(reason).expect("a reason is not empty");
        Some(Void::new(at.max(charge.old.created_at), reason, id))
    }

    /// Time, type and id of the row of a refund.
    fn refund_row(&self, index: usize) -> (Timestamp, &str, InvocationId) {
        let row = &self.rows[index];
        (row.old.created_at, &row.old.trans_type, invocation_id(row))
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

/// A charge of its allocations.
fn charge(
    trans_no: TransNo,
    key: &RecordKey,
    (trans_type, generation, order_no): ChargeContent<'_>,
    allocations: Vec<Allocation>,
    void: Option<Void>,
) -> Charge {
    let credits = allocations.iter().map(|allocation| allocation.credits).sum();
    Charge {
        generation: generation.cloned(),
        key: if let RecordKey::Charge { key, .. } = key { key.clone() } else { None },
        order_no: order_no.cloned(),
        void,
        ..Charge::new(trans_no, trans_type.clone(), credits, allocations)
    }
}

fn in_range(credits: i128) -> Result<u64, Rejection> {
    u64::try_from(credits).map_err(over_limit)
}

fn over_limit<E>(_: E) -> Rejection {
    Rejection::of_user(RejectReason::WalletLimits)
}

fn grant_of(planned: &PlannedRecord) -> Option<Grant> {
    if let Record::Grant(GrantRecord { grant, .. }) = &planned.record { Some(grant.clone()) } else { None }
}

fn trans_no_of(record: &Record) -> Option<TransNo> {
    match record {
        Record::Grant(record) => Some(record.grant.trans_no),
        Record::Charge(charge) => Some(charge.trans_no),
        Record::Fence(_) => None,
    }
}

/// The debt of a charge.
fn debt_of(charge: &Charge) -> Option<Debt> {
    let (credits, generation) = (charge.state().debt(), charge.generation.clone()?);
    let debt = Debt {
        since: charge.changed_at(),
        trans_no: charge.trans_no,
        debtor: Debtor::Charge { generation, key: charge.key.clone() },
        credits,
        parts: charge.allocations.len(),
    };
    (!credits.is_zero()).then_some(debt)
}

/// A wallet with the totals of the records and the given packs.
fn wallet(records: &[PlannedRecord], packs: Vec<Pack>) -> Result<Option<Wallet>, Rejection> {
    let version = records.iter().map(|planned| planned.record.changed_at()).max();
    let mut wallet = Wallet { version, packs, ..Wallet::default() };
    for planned in records {
        let (trans_type, credits, is_voided) = match &planned.record {
            Record::Grant(GrantRecord { grant, .. }) => (grant.trans_type.clone(), grant.credits, false),
            Record::Charge(charge) => {
                wallet.debts.extend(debt_of(charge));
                (TransType::Charge(charge.trans_type.clone()), charge.state().cost, charge.void.is_some())
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

fn trans_no(row: &ClassifiedRow<'_>) -> TransNo {
    TransNo::new(row.old.created_at, invocation_id(row))
}

/// An id derived from the row's `trans_no`, the same in every run.
fn invocation_id(row: &ClassifiedRow<'_>) -> InvocationId {
    named_id(&format!("scrip migrated {}", row.old.trans_no))
}

fn named_id(name: &str) -> InvocationId {
    InvocationId::new(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()))
}
