//! What becomes of a user's old rows: a wallet with records, or a refusal that
//! says why not. Pure: the same rows give the same plan, in whatever order they
//! come, however often they are planned.
//!
//! The new balance is the old one now and whenever something runs out later, or
//! zero where the old one would fall below it.

mod allocate;
mod class;
mod left;
mod pairs;
mod reason;
mod row;
mod shortfall;
mod span;

use std::collections::{BTreeMap, BTreeSet};

use scrip::domain::{
    Charge, CreditSum, Credits, GenerationId, Grant, GrantType, InvocationId, Pack, Reason, Record,
    RecordKey, Timestamp, TransNo, TransType, UserId, Void, Wallet,
};
use uuid::Uuid;

pub use reason::{Refusal, Why};
pub use row::{Found, OldRow};

use allocate::{Sources, given_back};
use class::{Kind, Line};
use span::Span;

/// A user who can be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Who it is.
    pub user: UserId,
    /// The wallet; none where no row moved any credits.
    pub wallet: Option<Wallet>,
    /// The records, in the order of time.
    pub records: Vec<Placed>,
    /// What each row became, by its `id`.
    pub classes: BTreeMap<i64, Class>,
    /// What the user would have more of now, if each charge had taken what runs out
    /// first: until when, and how many.
    pub shortfall: Vec<(Option<Timestamp>, Credits)>,
}

/// A record, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where.
    pub key: RecordKey,
    /// What.
    pub record: Record,
    /// The rows that it is made of, by their `id`: one, or a charge and its refund.
    pub rows: Vec<i64>,
}

/// What a row became.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The grant of an order, of a new user, or of the system.
    Grant,
    /// A grant whose order or user had one before: a webhook that came twice.
    GrantAgain,
    /// The grant of an order that does not say which.
    GrantWithoutOrder,
    /// A refund whose charge is certain: that is voided, and this is no record.
    RefundOfCharge,
    /// A refund whose charge is not certain: a grant.
    RefundKept,
    /// A charge for a generation.
    ChargeOfGeneration,
    /// A charge that names an order: the last pack's, as old rows have it.
    ChargeOfOrder,
    /// A charge that names nothing.
    ChargeOfNothing,
    /// No credits: no record.
    Nothing,
}

/// Plans a user's move, as of now.
///
/// # Errors
/// Why the user cannot be moved, and stays as it is.
pub fn plan(user: &str, rows: &[OldRow], now: Timestamp) -> Result<Moved, Refusal> {
    let user = UserId::try_from(user.to_owned()).map_err(|_| Refusal::of_user(Why::UserId))?;
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|row| (row.created_at, row.id));
    let lines = rows.into_iter().map(|row| Line::of(row, now)).collect::<Result<Vec<_>, _>>()?;
    let granted: u64 =
        lines.iter().filter(|line| line.row.credits > 0).map(|line| line.credits.as_u64()).sum();
    let mut pairs = pairs::pairs(&lines, now);
    let refunded: u64 = pairs.keys().map(|charge| lines[*charge].credits.as_u64()).sum();
    // What was given back had to be taken from something.
    pairs.retain(|charge, _| lines[*charge].credits.as_u64() <= granted - refunded);
    Plan { user, lines, pairs, now }.moved()
}

struct Plan<'a> {
    user: UserId,
    /// In the order of time.
    lines: Vec<Line<'a>>,
    /// Charges and their refunds, by their places.
    pairs: BTreeMap<usize, usize>,
    now: Timestamp,
}

/// A charge's place among the lines, and the void of it.
type ChargeAt = (usize, Option<Void>);

impl Plan<'_> {
    fn moved(self) -> Result<Moved, Refusal> {
        let mut classes = BTreeMap::new();
        let mut records = self.grants(&mut classes);
        let mut packs: Vec<_> = records.iter().filter_map(grant_of).collect();
        packs.sort_by_key(Grant::spending_order);
        let to_take = self.to_take(&packs)?;
        let mut sources = Sources::new(&packs, to_take, self.now);
        let keys = self.charge_keys();
        for (place, void) in self.charges() {
            let line = &self.lines[place];
            let allocations = match void {
                None => sources.take(line.credits, line.row.created_at),
                Some(_) => given_back(&packs, line.credits, line.row.created_at),
            };
            let Kind::Charge(trans_type, generation, order_no) = line.kind.clone() else { continue };
            classes.insert(line.row.id, class_of_charge(generation.as_ref(), order_no.is_some()));
            let refund = self.pairs.get(&place).map(|refund| self.lines[*refund].row.id);
            classes.extend(refund.map(|id| (id, Class::RefundOfCharge)));
            let charge = Charge {
                trans_no: trans_no(line),
                trans_type,
                credits: line.credits,
                generation,
                order_no,
                allocations,
                extra: Vec::new(),
                live: line.credits,
                void,
            };
            let rows = std::iter::once(line.row.id).chain(refund).collect();
            records.push(Placed { key: keys[&place].clone(), record: Record::Charge(charge), rows });
        }
        let nothing = self.lines.iter().filter(|line| line.kind == Kind::Nothing);
        classes.extend(nothing.map(|line| (line.row.id, Class::Nothing)));
        records.sort_by_key(|placed| trans_no_of(&placed.record));
        let wallet = wallet(&records, sources.left())?;
        let shortfall = shortfall::shortfall(&self.lines, &self.pairs, wallet.as_ref(), self.now);
        Ok(Moved { user: self.user, wallet, records, classes, shortfall })
    }

    /// The records of all that came, and what their rows are.
    fn grants(&self, classes: &mut BTreeMap<i64, Class>) -> Vec<Placed> {
        let paired: BTreeSet<_> = self.pairs.values().collect();
        let mut taken = BTreeSet::new();
        let mut records = Vec::new();
        for (_, line) in self.lines.iter().enumerate().filter(|(place, _)| !paired.contains(place)) {
            let (trans_type, order_no, key, class) = match &line.kind {
                Kind::Grant(GrantType::NewUser, order_no) => {
                    (GrantType::NewUser.into(), order_no, Some(RecordKey::NewUserGrant), Class::Grant)
                }
                Kind::Grant(GrantType::OrderPay, Some(order_no)) => {
                    let key = RecordKey::OrderGrant(order_no.clone());
                    (GrantType::OrderPay.into(), &Some(order_no.clone()), Some(key), Class::Grant)
                }
                Kind::Grant(GrantType::OrderPay, None) => {
                    (GrantType::OrderPay.into(), &None, None, Class::GrantWithoutOrder)
                }
                Kind::Grant(GrantType::SystemAdd, order_no) => {
                    let key = RecordKey::UnkeyedGrant(nonce(line));
                    (GrantType::SystemAdd.into(), order_no, Some(key), Class::Grant)
                }
                Kind::Refund(of, _) => (TransType::Refund(of.clone()), &None, None, Class::RefundKept),
                Kind::Charge(..) | Kind::Nothing => continue,
            };
            let is_again = key.as_ref().is_some_and(|key| !taken.insert(key.clone()));
            let key = key.filter(|_| !is_again).unwrap_or_else(|| RecordKey::MigratedGrant(nonce(line)));
            classes.insert(line.row.id, if is_again { Class::GrantAgain } else { class });
            let grant = Grant {
                trans_no: trans_no(line),
                trans_type,
                credits: line.credits,
                order_no: order_no.clone(),
                expired_at: line.row.expired_at,
            };
            records.push(Placed { key, record: Record::Grant(grant), rows: vec![line.row.id] });
        }
        records
    }

    /// The charges, in the order of time.
    fn charges(&self) -> impl Iterator<Item = ChargeAt> {
        let charges = self.lines.iter().enumerate().filter(|(_, line)| matches!(line.kind, Kind::Charge(..)));
        charges.map(|(place, _)| {
            let refund = self.pairs.get(&place).map(|refund| &self.lines[*refund]);
            let void = refund.map(|refund| Void {
                at: refund.row.created_at,
                reason: Reason::truncated(&refund.row.trans_type).expect("a trans_type is a text"),
                invocation: nonce(refund),
            });
            (place, void)
        })
    }

    /// What the live charges take from the packs of each span.
    fn to_take(&self, packs: &[Grant]) -> Result<BTreeMap<Span, u64>, Refusal> {
        let mut granted = BTreeMap::<Span, i128>::new();
        for pack in packs {
            *granted.entry(Span::of(pack.expired_at, self.now)).or_default() +=
                i128::from(pack.credits.as_u64());
        }
        let mut sums = granted.clone();
        for (place, _) in self.charges().filter(|(_, void)| void.is_none()) {
            let line = &self.lines[place];
            *sums.entry(Span::of(line.row.expired_at, self.now)).or_default() -=
                i128::from(line.credits.as_u64());
        }
        if sums.get(&Span::Over).is_some_and(|over| *over < 0) {
            return Err(Refusal::of_user(Why::Overcharged));
        }
        let mut left = left::left(&sums).map_err(Refusal::of_user)?;
        left.extend(sums.get(&Span::Over).map(|over| (Span::Over, *over)));
        let to_take = granted.into_iter().map(|(span, granted)| {
            let taken = granted - left.get(&span).copied().unwrap_or_default();
            (span, u64::try_from(taken).expect("no more is left than was granted"))
        });
        Ok(to_take.collect())
    }

    /// Where the charges stand: where a generation has several, each under a key.
    fn charge_keys(&self) -> BTreeMap<usize, RecordKey> {
        let mut counts = BTreeMap::<&GenerationId, usize>::new();
        for line in &self.lines {
            if let Kind::Charge(_, Some(generation), _) = &line.kind {
                *counts.entry(generation).or_default() += 1;
            }
        }
        let key = |line: &Line| match &line.kind {
            Kind::Charge(_, Some(generation), _) => {
                let own = || {
                    line.row
                        .trans_no
                        .clone()
                        .try_into()
                        .ok()
                        .or_else(|| nonce(line).to_string().try_into().ok())
                };
                let key = if counts[generation] > 1 { own() } else { None };
                RecordKey::Charge { generation: Some(generation.clone()), key }
            }
            _ => RecordKey::UnkeyedCharge(nonce(line)),
        };
        self.lines.iter().enumerate().map(|(place, line)| (place, key(line))).collect()
    }
}

fn class_of_charge(generation: Option<&GenerationId>, has_order: bool) -> Class {
    match (generation, has_order) {
        (Some(_), _) => Class::ChargeOfGeneration,
        (None, true) => Class::ChargeOfOrder,
        (None, false) => Class::ChargeOfNothing,
    }
}

fn grant_of(placed: &Placed) -> Option<Grant> {
    if let Record::Grant(grant) = &placed.record { Some(grant.clone()) } else { None }
}

fn trans_no_of(record: &Record) -> Option<TransNo> {
    match record {
        Record::Grant(grant) => Some(grant.trans_no),
        Record::Charge(charge) => Some(charge.trans_no),
        Record::Fence(_) => None,
    }
}

/// The wallet that the records give, with what is left in its packs.
fn wallet(records: &[Placed], packs: Vec<Pack>) -> Result<Option<Wallet>, Refusal> {
    let too_much = |_| Refusal::of_user(Why::TooMuch);
    let version = records.iter().map(|placed| placed.record.changed_at()).max();
    let mut wallet = Wallet { version, packs, ..Wallet::default() };
    for placed in records {
        let (of, credits, is_voided) = match &placed.record {
            Record::Grant(grant) => (grant.trans_type.clone(), grant.credits, false),
            Record::Charge(charge) => {
                (TransType::Charge(charge.trans_type.clone()), charge.credits, charge.void.is_some())
            }
            Record::Fence(_) => continue,
        };
        let totals = wallet.totals.entry(of).or_default();
        totals.created.add(credits).map_err(too_much)?;
        if is_voided {
            totals.voided.add(credits).map_err(too_much)?;
        }
        wallet.has_keyed_charges |=
            matches!(placed.key, RecordKey::Charge { generation: Some(_), key: Some(_) });
    }
    wallet.total_granted().map_err(too_much)?;
    let charges = wallet.totals.iter().filter(|(of, _)| matches!(of, TransType::Charge(_)));
    let charged = charges
        .clone()
        .map(|(_, totals)| totals.created)
        .try_fold(CreditSum::default(), CreditSum::checked_add);
    charged.map_err(too_much)?;
    let fits = wallet.packs.len() <= Wallet::PACKS_MAX && charges.count() <= Wallet::CHARGE_TYPES_MAX;
    if fits { Ok(version.map(|_| wallet)) } else { Err(Refusal::of_user(Why::TooMuch)) }
}

/// Whether a charge was voided because the old table had a row of its refund: the
/// ledger draws what it calls its own voids by.
pub fn is_of_old_rows(void: &Void) -> bool {
    void.invocation.is_named()
}

/// The identity of a record that a row became.
fn trans_no(line: &Line) -> TransNo {
    TransNo::new(line.row.created_at, nonce(line))
}

/// What tells a row from all others, the same whenever it is moved.
fn nonce(line: &Line) -> InvocationId {
    InvocationId::new(Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("scrip migrated {}", line.row.trans_no).as_bytes(),
    ))
}

#[cfg(test)]
mod tests;
