//! A prototype that lives in tests alone: the charge in one round trip. The wallet
//! holds recent charges, and what follows the table's stream makes records of them.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::{
    Client,
    operation::transact_write_items::TransactWriteItemsError,
    types::{
        AttributeValue, Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
        Update,
    },
};
use scrip::store::TABLE;
use serde::{Deserialize, Serialize};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_attribute_value, to_item};
use tokio::time::{Duration, sleep};
use uuid::Uuid;

use super::expression::Expression;
use crate::Clock;

/// An item of the table.
pub(super) type Item = std::collections::HashMap<String, AttributeValue>;

/// What the only write of a charge is, and on which condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// One write of the wallet, if its version is unchanged.
    Version,
    /// One write of the wallet, if the packs that it takes from still have enough.
    Packs,
    /// The same condition, with the record in one transaction with it.
    PacksAndRecord,
}

/// The wallet of the prototype.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wallet {
    /// Grows with every change.
    pub version: u64,
    /// What is left, by the grant's trans_no; empty packs too.
    pub packs: BTreeMap<String, Pack>,
    /// What was charged and not voided.
    pub spent: u64,
    /// Charges of which no record may be relied on yet, by their sort key.
    pub recent: BTreeMap<String, Charge>,
}

/// A pack, or what a charge took from one, as in `docs/data-model.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// The grant's trans_no.
    pub i: String,
    /// Its trans_type.
    pub t: String,
    /// What it gave.
    pub c: u64,
    /// When it runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<i64>,
    /// What remains, or was taken.
    pub n: u64,
}

/// A charge, as its record has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Its identity.
    pub trans_no: String,
    /// What for.
    pub trans_type: String,
    /// How many, less than 0.
    pub credits: i64,
    /// Which generation.
    pub generation_uuid: String,
    /// `<user_uuid>#<trans_no>`.
    pub user_trans: String,
    /// Where they came from.
    pub allocations: Vec<Pack>,
    /// Whether it was refunded.
    pub is_voided: bool,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_at: Option<i64>,
}

/// How a charge ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charged {
    /// With its record; an earlier one's if it is a replay.
    Done {
        /// The record.
        charge: Charge,
        /// Whether an earlier call wrote it.
        replayed: bool,
    },
    /// There is less than it asks for.
    Insufficient,
    /// Others were at the wallet until the deadline.
    Busy,
}

/// A warm function: its client, and the wallet that it saw last.
pub struct OneTrip {
    client: Client,
    clock: Clock,
    random: Box<dyn FnMut() -> Uuid + Send + Sync>,
    guard: Guard,
    seen: Option<(String, Wallet)>,
}

/// How a write ended.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Written {
    Done,
    /// What stood there instead.
    Refused(Option<Wallet>, Option<Charge>),
    Contended,
}

impl OneTrip {
    /// A function that has seen nothing yet.
    pub fn new(
        client: Client,
        clock: Clock,
        guard: Guard,
        random: impl FnMut() -> Uuid + Send + Sync + 'static,
    ) -> OneTrip {
        OneTrip { client, clock, random: Box::new(random), guard, seen: None }
    }

    /// Puts a wallet with these packs.
    pub async fn seed(&self, user: &str, packs: &[(u64, Option<i64>)]) {
        let pack = |(nth, (credits, expired_at)): (usize, &(u64, Option<i64>))| {
            let i = crate::drawn(&format!("{user}/{nth}")).to_string();
            (i.clone(), Pack { i, t: "system_add".to_owned(), c: *credits, e: *expired_at, n: *credits })
        };
        let packs = packs.iter().enumerate().map(pack).collect();
        let wallet = Wallet { version: 0, packs, spent: 0, recent: BTreeMap::new() };
        let mut item: Item = to_item(wallet).expect("an item");
        item.extend(key(user, "wallet"));
        self.client.put_item().table_name(TABLE).set_item(Some(item)).send().await.expect("an engine");
    }

    /// Charges once for each generation, in one round trip where the wallet is one that
    /// was seen before. `is_new` vouches that no call for it began longer ago than
    /// charges stay in the wallet; where nobody does, its record is looked for first.
    pub async fn charge(
        &mut self,
        user: &str,
        generation: &str,
        credits: u64,
        is_new: bool,
        limit_millis: i64,
    ) -> Charged {
        let deadline = self.clock.now().plus_millis(limit_millis);
        let place = format!("charge#{generation}#");
        if !is_new && let Some(charge) = self.record(user, &place).await {
            return Charged::Done { charge, replayed: true };
        }
        let (tail, mut tries, mut is_fresh) = ((self.random)(), 0, false);
        loop {
            let wallet = match self.seen.take() {
                Some((of, wallet)) if of == user => wallet,
                _ => {
                    is_fresh = true;
                    self.wallet(user).await
                }
            };
            if let Some(charge) = wallet.recent.get(&place) {
                let (charge, replayed) = (charge.clone(), !is_of(charge, tail));
                self.seen = Some((user.to_owned(), wallet));
                return Charged::Done { charge, replayed };
            }
            let Some(charge) = self.plan(&wallet, user, generation, credits, tail) else {
                if !is_fresh {
                    continue;
                }
                // The replay of the charge that emptied the wallet gives its answer.
                let found = self.record(user, &place).await;
                return found
                    .map_or(Charged::Insufficient, |charge| Charged::Done { charge, replayed: true });
            };
            match self.write(user, &place, &wallet, &charge).await {
                Written::Done => {
                    self.seen = Some((user.to_owned(), after(wallet, place, &charge, self.guard)));
                    return Charged::Done { charge, replayed: false };
                }
                Written::Refused(_, Some(charge)) => {
                    let replayed = !is_of(&charge, tail);
                    return Charged::Done { charge, replayed };
                }
                Written::Refused(Some(wallet), None) if tries == 0 => {
                    (self.seen, is_fresh) = (Some((user.to_owned(), wallet)), true);
                    tries = 1;
                }
                Written::Refused(..) | Written::Contended => {
                    tries += 1;
                    if self.clock.now() >= deadline {
                        return Charged::Busy;
                    }
                    self.pause(tries).await;
                }
            }
        }
    }

    /// Voids a charge, wherever it stands by now; says whether this call did it.
    pub async fn void(&mut self, user: &str, generation: &str) -> bool {
        let place = format!("charge#{generation}#");
        let now = self.clock.now().millis();
        for tries in 0.. {
            let wallet = self.wallet(user).await;
            let (stands, charge) = match wallet.recent.get(&place) {
                Some(charge) => (true, Some(charge.clone())),
                None => (false, self.record(user, &place).await),
            };
            let Some(charge) = charge.filter(|charge| !charge.is_voided) else { return false };
            let mut expression = Expression::default();
            for allocation in &charge.allocations {
                expression.give_back(allocation);
            }
            expression.set("spent = spent - #credits", "#credits", charge.credits.unsigned_abs());
            if stands {
                expression.void(&place, &charge, now);
                if let Written::Done = self.update(user, expression).await {
                    return true;
                }
            } else if let Written::Done = self.void_record(user, &place, now, expression).await {
                return true;
            }
            self.pause(tries).await;
        }
        unreachable!("it is tried without end")
    }

    /// What follows the stream, once for all that came so far: writes a record of each
    /// recent charge, and takes those out of the wallet that were made before `until`.
    /// `recorded` is what it remembers of itself; a new one may begin without.
    pub async fn follow(&self, user: &str, until: i64, recorded: &mut BTreeMap<String, bool>) {
        // Of the stream, the wallet's newest image would be at hand.
        let wallet = self.wallet(user).await;
        recorded.retain(|place, _| wallet.recent.contains_key(place));
        for (place, charge) in &wallet.recent {
            if recorded.get(place) != Some(&charge.is_voided) {
                self.put_record(user, place, charge).await;
                recorded.insert(place.clone(), charge.is_voided);
            }
        }
        let is_old = |(_, charge): &(&String, &Charge)| created_at(charge) < until;
        let old: Vec<_> = wallet.recent.iter().filter(is_old).take(100).collect();
        if old.is_empty() {
            return;
        }
        let mut expression = Expression::default();
        for (place, charge) in old {
            expression.forget(place, charge);
        }
        // Refused, it finds the charge that was voided meanwhile when it looks again.
        self.update(user, expression).await;
    }

    /// The wallet, as it is.
    pub async fn wallet(&self, user: &str) -> Wallet {
        from_item(self.get(user, "wallet").await.expect("a wallet")).expect("a wallet")
    }

    async fn record(&self, user: &str, place: &str) -> Option<Charge> {
        self.get(user, place).await.map(|item| from_item(item).expect("a charge"))
    }

    async fn get(&self, user: &str, sort: &str) -> Option<Item> {
        loop {
            let get = self.client.get_item().table_name(TABLE).set_key(Some(key(user, sort)));
            let get = get.consistent_read(true).return_consumed_capacity(ReturnConsumedCapacity::Indexes);
            if let Ok(got) = get.send().await {
                return got.item;
            }
        }
    }

    fn plan(
        &self,
        wallet: &Wallet,
        user: &str,
        generation: &str,
        credits: u64,
        tail: Uuid,
    ) -> Option<Charge> {
        let now = self.clock.now().millis();
        let mut packs: Vec<_> = wallet.packs.values().filter(|pack| pack.n > 0).collect();
        packs.retain(|pack| pack.e.is_none_or(|at| now < at));
        packs.sort_by_key(|pack| (pack.e.is_none(), pack.e, &pack.i));
        let (mut owed, mut allocations) = (credits, Vec::new());
        for pack in packs {
            let taken = owed.min(pack.n);
            owed -= taken;
            allocations.push(Pack { n: taken, ..pack.clone() });
            if owed == 0 {
                break;
            }
        }
        let tail: [u8; 10] = tail.into_bytes()[6..].try_into().expect("ten bytes");
        let trans_no = uuid::Builder::from_unix_timestamp_millis(now.unsigned_abs(), &tail).into_uuid();
        (owed == 0).then(|| Charge {
            trans_no: trans_no.to_string(),
            trans_type: "image_generation".to_owned(),
            credits: -i64::try_from(credits).expect("an amount"),
            generation_uuid: generation.to_owned(),
            user_trans: format!("{user}#{trans_no}"),
            allocations,
            is_voided: false,
            voided_at: None,
        })
    }

    async fn write(&self, user: &str, place: &str, wallet: &Wallet, charge: &Charge) -> Written {
        let mut expression = Expression::default();
        if self.guard == Guard::Version {
            expression.unchanged(wallet.version);
        }
        for allocation in &charge.allocations {
            expression.take(allocation);
        }
        expression.set("spent = spent + #credits", "#credits", charge.credits.unsigned_abs());
        if self.guard == Guard::PacksAndRecord {
            return self.write_both(user, place, charge, expression).await;
        }
        expression.remember(place, charge);
        self.update(user, expression).await
    }

    async fn update(&self, user: &str, mut expression: Expression) -> Written {
        let update = self.client.update_item().table_name(TABLE).set_key(Some(key(user, "wallet")));
        let sent = update
            .update_expression(expression.update())
            .condition_expression(expression.condition())
            .set_expression_attribute_names(Some(expression.names))
            .set_expression_attribute_values(Some(expression.values).filter(|values| !values.is_empty()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await;
        let Err(error) = sent else { return Written::Done };
        match error.into_service_error() {
            aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                failed,
            ) => Written::Refused(failed.item.map(|item| from_item(item).expect("a wallet")), None),
            _ => Written::Contended,
        }
    }

    async fn write_both(&self, user: &str, place: &str, charge: &Charge, expression: Expression) -> Written {
        let put = Put::builder()
            .table_name(TABLE)
            .set_item(Some(record(user, place, charge)))
            .condition_expression("attribute_not_exists(sk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = TransactWriteItem::builder().put(put.build().expect("a put")).build();
        self.transact(put, user, expression).await
    }

    async fn void_record(&self, user: &str, place: &str, now: i64, expression: Expression) -> Written {
        let update = Update::builder()
            .table_name(TABLE)
            .set_key(Some(key(user, place)))
            .condition_expression("is_voided = :live")
            .update_expression("SET is_voided = :voided, voided_at = :at")
            .expression_attribute_values(":live", AttributeValue::Bool(false))
            .expression_attribute_values(":voided", AttributeValue::Bool(true))
            .expression_attribute_values(":at", AttributeValue::N(now.to_string()));
        let update = TransactWriteItem::builder().update(update.build().expect("an update")).build();
        self.transact(update, user, expression).await
    }

    /// Something of a record, and the wallet.
    async fn transact(
        &self,
        of_record: TransactWriteItem,
        user: &str,
        mut expression: Expression,
    ) -> Written {
        let update = Update::builder()
            .table_name(TABLE)
            .set_key(Some(key(user, "wallet")))
            .update_expression(expression.update())
            .condition_expression(expression.condition())
            .set_expression_attribute_names(Some(expression.names))
            .set_expression_attribute_values(Some(expression.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = TransactWriteItem::builder().update(update.build().expect("an update")).build();
        let sent = self.client.transact_write_items().transact_items(of_record).transact_items(update);
        let sent = sent.return_consumed_capacity(ReturnConsumedCapacity::Indexes).send().await;
        let Err(error) = sent else { return Written::Done };
        let TransactWriteItemsError::TransactionCanceledException(cancelled) = error.into_service_error()
        else {
            return Written::Contended;
        };
        let mut items =
            cancelled.cancellation_reasons.unwrap_or_default().into_iter().map(|reason| reason.item);
        let record = items.next().flatten().map(|item| from_item(item).expect("a charge"));
        let wallet = items.next().flatten().map(|item| from_item(item).expect("a wallet"));
        if record.is_none() && wallet.is_none() {
            Written::Contended
        } else {
            Written::Refused(wallet, record)
        }
    }

    /// Puts a record, over nothing but the same charge before it was voided.
    async fn put_record(&self, user: &str, place: &str, charge: &Charge) {
        loop {
            let put = self.client.put_item().table_name(TABLE).set_item(Some(record(user, place, charge)));
            let put = put
                .condition_expression("attribute_not_exists(sk) OR is_voided <> :voided")
                .expression_attribute_values(":voided", AttributeValue::Bool(true))
                .return_consumed_capacity(ReturnConsumedCapacity::Indexes);
            match put.send().await.map_err(aws_sdk_dynamodb::error::SdkError::into_service_error) {
                Err(error) if !error.is_conditional_check_failed_exception() => {
                    sleep(Duration::from_millis(10)).await;
                }
                _ => return,
            }
        }
    }

    /// As the ledger's: drawn evenly, from zero to a bound that doubles from 40 to 500 ms.
    async fn pause(&mut self, tries: u32) {
        let most = (40 << tries.min(16)).min(500);
        let drawn = (self.random)().as_u128() % most;
        sleep(Duration::from_millis(u64::try_from(drawn).expect("small"))).await;
    }
}

/// The wallet after a charge, as far as one process knows.
fn after(mut wallet: Wallet, place: String, charge: &Charge, guard: Guard) -> Wallet {
    for allocation in &charge.allocations {
        if let Some(pack) = wallet.packs.get_mut(&allocation.i) {
            pack.n -= allocation.n;
        }
    }
    if guard != Guard::PacksAndRecord {
        wallet.recent.insert(place, charge.clone());
    }
    Wallet { version: wallet.version + 1, ..wallet }
}

fn is_of(charge: &Charge, tail: Uuid) -> bool {
    let trans_no: Uuid = charge.trans_no.parse().expect("a UUID");
    // The version and the variant stand in some bits of both.
    trans_no.as_bytes()[9..] == tail.as_bytes()[9..]
}

fn created_at(charge: &Charge) -> i64 {
    let trans_no: Uuid = charge.trans_no.parse().expect("a UUID");
    i64::try_from(trans_no.as_u128() >> 80).expect("48 bits")
}

fn record(user: &str, place: &str, charge: &Charge) -> Item {
    let mut item: Item = to_item(charge).expect("an item");
    item.extend(key(user, place));
    item
}

fn key(user: &str, sort: &str) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    Item::from([("user_uuid".to_owned(), text(user)), ("sk".to_owned(), text(sort))])
}

pub(super) fn value(of: impl Serialize) -> AttributeValue {
    to_attribute_value(of).expect("a value")
}
