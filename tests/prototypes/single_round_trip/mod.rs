//! A rejected prototype (docs/adr/0020-one-round-trip.md): a charge in a single round trip. The
//! wallet contains recent charges, and a follower of the table's stream writes their records.

mod expression;

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

use self::expression::Expression;
use crate::Clock;

/// An item of the table.
type Item = std::collections::HashMap<String, AttributeValue>;

/// The write of a charge, and its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteCondition {
    /// One write of the wallet, if its version is unchanged.
    Version,
    /// One write of the wallet, if the packs that it takes from still have enough.
    Packs,
    /// The same condition, in one transaction with the record.
    PacksAndRecord,
}

/// The wallet of the prototype.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wallet {
    /// Grows with every change.
    pub version: u64,
    /// Packs by the grant's `trans_no`; empty packs too.
    pub packs: BTreeMap<String, Pack>,
    /// Credits of the charges that are not voided.
    pub spent: u64,
    /// Charges whose record may be missing or stale, by sort key.
    pub recent: BTreeMap<String, Charge>,
}

/// A pack or an allocation, as in `docs/data-model.md`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// `trans_no` of the grant.
    pub i: String,
    /// `trans_type` of the grant.
    pub t: String,
    /// Credits of the grant.
    pub c: u64,
    /// Expiry, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<i64>,
    /// Credits that remain, or that the charge took.
    pub n: u64,
}

/// A charge, as in its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Its identity.
    pub trans_no: String,
    /// Type of the charge.
    pub trans_type: String,
    /// Negative.
    pub credits: i64,
    /// The generation that it pays for.
    pub generation_uuid: String,
    /// `<user_uuid>#<trans_no>`.
    pub user_trans: String,
    /// The packs that paid.
    pub allocations: Vec<Pack>,
    /// Whether it was refunded.
    pub is_voided: bool,
    /// Time of the void, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided_at: Option<i64>,
}

/// The result of a charge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChargeResult {
    /// The credits are charged.
    Charged {
        /// The record.
        charge: Charge,
        /// Whether an earlier call wrote it.
        replayed: bool,
    },
    /// The usable packs have fewer credits.
    InsufficientCredits,
    /// Contention lasted until the deadline.
    Busy,
}

/// A warm function with the wallet that it read last.
pub struct SingleRoundTrip {
    client: Client,
    clock: Clock,
    random: Box<dyn FnMut() -> Uuid + Send + Sync>,
    condition: WriteCondition,
    cached_wallet: Option<(String, Wallet)>,
}

#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum WriteOutcome {
    Committed,
    /// The items that failed the conditions.
    ConditionFailed(Option<Wallet>, Option<Charge>),
    Contended,
}

impl SingleRoundTrip {
    /// A function without a cached wallet.
    pub fn new(
        client: Client,
        clock: Clock,
        condition: WriteCondition,
        random: impl FnMut() -> Uuid + Send + Sync + 'static,
    ) -> SingleRoundTrip {
        SingleRoundTrip { client, clock, random: Box::new(random), condition, cached_wallet: None }
    }

    /// Writes a wallet with packs of these credits and expiries.
    pub async fn create_wallet(&self, user: &str, packs: &[(u64, Option<i64>)]) {
        let pack = |(nth, (credits, expired_at)): (usize, &(u64, Option<i64>))| {
            let i = crate::seeded_uuid(&format!("{user}/{nth}")).to_string();
            (i.clone(), Pack { i, t: "system_add".to_owned(), c: *credits, e: *expired_at, n: *credits })
        };
        let packs = packs.iter().enumerate().map(pack).collect();
        let wallet = Wallet { version: 0, packs, spent: 0, recent: BTreeMap::new() };
        let mut item: Item = to_item(wallet).expect("an item");
        item.extend(key(user, "wallet"));
        self.client.put_item().table_name(TABLE).set_item(Some(item)).send().await.expect("an engine");
    }

    /// Charges once for each generation, in one round trip if the wallet is cached. Pass true
    /// as `is_new` if no call for the generation is older than the charges in the wallet;
    /// else this reads the record first.
    pub async fn charge(
        &mut self,
        user: &str,
        generation: &str,
        credits: u64,
        is_new: bool,
        time_limit_millis: i64,
    ) -> ChargeResult {
        let deadline = self.clock.now().plus_millis(time_limit_millis);
        let sort = format!("charge#{generation}#");
        if !is_new && let Some(charge) = self.record(user, &sort).await {
            return ChargeResult::Charged { charge, replayed: true };
        }
        let (tail, mut attempts, mut is_fresh) = ((self.random)(), 0, false);
        loop {
            let wallet = match self.cached_wallet.take() {
                Some((owner, wallet)) if owner == user => wallet,
                _ => {
                    is_fresh = true;
                    self.wallet(user).await
                }
            };
            if let Some(charge) = wallet.recent.get(&sort) {
                let (charge, replayed) = (charge.clone(), !has_tail(charge, tail));
                self.cached_wallet = Some((user.to_owned(), wallet));
                return ChargeResult::Charged { charge, replayed };
            }
            let Some(charge) = self.plan(&wallet, user, generation, credits, tail) else {
                if !is_fresh {
                    continue;
                }
                // If this charge emptied the wallet, it is a replay.
                let record = self.record(user, &sort).await;
                return record.map_or(ChargeResult::InsufficientCredits, |charge| ChargeResult::Charged {
                    charge,
                    replayed: true,
                });
            };
            match self.write(user, &sort, &wallet, &charge).await {
                WriteOutcome::Committed => {
                    self.cached_wallet =
                        Some((user.to_owned(), charged_wallet(wallet, sort, &charge, self.condition)));
                    return ChargeResult::Charged { charge, replayed: false };
                }
                WriteOutcome::ConditionFailed(_, Some(charge)) => {
                    let replayed = !has_tail(&charge, tail);
                    return ChargeResult::Charged { charge, replayed };
                }
                WriteOutcome::ConditionFailed(Some(wallet), None) if attempts == 0 => {
                    (self.cached_wallet, is_fresh) = (Some((user.to_owned(), wallet)), true);
                    attempts = 1;
                }
                WriteOutcome::ConditionFailed(..) | WriteOutcome::Contended => {
                    attempts += 1;
                    if self.clock.now() >= deadline {
                        return ChargeResult::Busy;
                    }
                    self.pause(attempts).await;
                }
            }
        }
    }

    /// Voids a charge in the wallet or in its record. Returns whether this call did it.
    pub async fn void(&mut self, user: &str, generation: &str) -> bool {
        let sort = format!("charge#{generation}#");
        let now = self.clock.now().millis();
        for attempts in 0.. {
            let wallet = self.wallet(user).await;
            let (is_in_wallet, charge) = match wallet.recent.get(&sort) {
                Some(charge) => (true, Some(charge.clone())),
                None => (false, self.record(user, &sort).await),
            };
            let Some(charge) = charge.filter(|charge| !charge.is_voided) else { return false };
            let mut expression = Expression::default();
            for allocation in &charge.allocations {
                expression.restore(allocation);
            }
            expression.set("spent = spent - #credits", "#credits", charge.credits.unsigned_abs());
            if is_in_wallet {
                expression.void_charge(&sort, &charge, now);
                if let WriteOutcome::Committed = self.update(user, expression).await {
                    return true;
                }
            } else if let WriteOutcome::Committed = self.void_record(user, &sort, now, expression).await {
                return true;
            }
            self.pause(attempts).await;
        }
        unreachable!("it retries without limit")
    }

    /// One pass of the stream's follower: writes a record of each recent charge, and removes
    /// charges from the wallet that are older than `cutoff`, in milliseconds since 1970.
    /// `recorded` is the follower's memory; a new follower begins with an empty one.
    pub async fn write_records(&self, user: &str, cutoff: i64, recorded: &mut BTreeMap<String, bool>) {
        // The stream would contain the wallet's newest image.
        let wallet = self.wallet(user).await;
        recorded.retain(|sort, _| wallet.recent.contains_key(sort));
        for (sort, charge) in &wallet.recent {
            if recorded.get(sort) != Some(&charge.is_voided) {
                self.put_record(user, sort, charge).await;
                recorded.insert(sort.clone(), charge.is_voided);
            }
        }
        let is_old = |(_, charge): &(&String, &Charge)| created_at(charge) < cutoff;
        let old: Vec<_> = wallet.recent.iter().filter(is_old).take(100).collect();
        if old.is_empty() {
            return;
        }
        let mut expression = Expression::default();
        for (sort, charge) in old {
            expression.remove_charge(sort, charge);
        }
        // If a void came first, the next pass writes it.
        self.update(user, expression).await;
    }

    /// Reads the wallet.
    pub async fn wallet(&self, user: &str) -> Wallet {
        from_item(self.get(user, "wallet").await.expect("a wallet")).expect("a wallet")
    }

    async fn record(&self, user: &str, sort: &str) -> Option<Charge> {
        self.get(user, sort).await.map(|item| from_item(item).expect("a charge"))
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
        let (mut due, mut allocations) = (credits, Vec::new());
        for pack in packs {
            let taken = due.min(pack.n);
            due -= taken;
            allocations.push(Pack { n: taken, ..pack.clone() });
            if due == 0 {
                break;
            }
        }
        let tail: [u8; 10] = tail.into_bytes()[6..].try_into().expect("ten bytes");
        let trans_no = uuid::Builder::from_unix_timestamp_millis(now.unsigned_abs(), &tail).into_uuid();
        (due == 0).then(|| Charge {
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

    async fn write(&self, user: &str, sort: &str, wallet: &Wallet, charge: &Charge) -> WriteOutcome {
        let mut expression = Expression::default();
        if self.condition == WriteCondition::Version {
            expression.require_version(wallet.version);
        }
        for allocation in &charge.allocations {
            expression.take(allocation);
        }
        expression.set("spent = spent + #credits", "#credits", charge.credits.unsigned_abs());
        if self.condition == WriteCondition::PacksAndRecord {
            return self.write_both(user, sort, charge, expression).await;
        }
        expression.add_charge(sort, charge);
        self.update(user, expression).await
    }

    async fn update(&self, user: &str, mut expression: Expression) -> WriteOutcome {
        let update = self.client.update_item().table_name(TABLE).set_key(Some(key(user, "wallet")));
        let sent = update
            .update_expression(expression.update_expression())
            .condition_expression(expression.condition_expression())
            .set_expression_attribute_names(Some(expression.names))
            .set_expression_attribute_values(Some(expression.values).filter(|values| !values.is_empty()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Indexes)
            .send()
            .await;
        let Err(error) = sent else { return WriteOutcome::Committed };
        match error.into_service_error() {
            aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(
                failed,
            ) => WriteOutcome::ConditionFailed(
                failed.item.map(|item| from_item(item).expect("a wallet")),
                None,
            ),
            _ => WriteOutcome::Contended,
        }
    }

    async fn write_both(
        &self,
        user: &str,
        sort: &str,
        charge: &Charge,
        expression: Expression,
    ) -> WriteOutcome {
        let put = Put::builder()
            .table_name(TABLE)
            .set_item(Some(record(user, sort, charge)))
            .condition_expression("attribute_not_exists(sk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let put = TransactWriteItem::builder().put(put.build().expect("a put")).build();
        self.transact(put, user, expression).await
    }

    async fn void_record(&self, user: &str, sort: &str, now: i64, expression: Expression) -> WriteOutcome {
        let update = Update::builder()
            .table_name(TABLE)
            .set_key(Some(key(user, sort)))
            .condition_expression("is_voided = :live")
            .update_expression("SET is_voided = :voided, voided_at = :at")
            .expression_attribute_values(":live", AttributeValue::Bool(false))
            .expression_attribute_values(":voided", AttributeValue::Bool(true))
            .expression_attribute_values(":at", AttributeValue::N(now.to_string()));
        let update = TransactWriteItem::builder().update(update.build().expect("an update")).build();
        self.transact(update, user, expression).await
    }

    /// Writes a record and the wallet.
    async fn transact(
        &self,
        record_write: TransactWriteItem,
        user: &str,
        mut expression: Expression,
    ) -> WriteOutcome {
        let update = Update::builder()
            .table_name(TABLE)
            .set_key(Some(key(user, "wallet")))
            .update_expression(expression.update_expression())
            .condition_expression(expression.condition_expression())
            .set_expression_attribute_names(Some(expression.names))
            .set_expression_attribute_values(Some(expression.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = TransactWriteItem::builder().update(update.build().expect("an update")).build();
        let sent = self.client.transact_write_items().transact_items(record_write).transact_items(update);
        let sent = sent.return_consumed_capacity(ReturnConsumedCapacity::Indexes).send().await;
        let Err(error) = sent else { return WriteOutcome::Committed };
        let TransactWriteItemsError::TransactionCanceledException(cancelled) = error.into_service_error()
        else {
            return WriteOutcome::Contended;
        };
        let mut items =
            cancelled.cancellation_reasons.unwrap_or_default().into_iter().map(|reason| reason.item);
        let record = items.next().flatten().map(|item| from_item(item).expect("a charge"));
        let wallet = items.next().flatten().map(|item| from_item(item).expect("a wallet"));
        if record.is_none() && wallet.is_none() {
            WriteOutcome::Contended
        } else {
            WriteOutcome::ConditionFailed(wallet, record)
        }
    }

    /// Writes a record, unless it exists with a void.
    async fn put_record(&self, user: &str, sort: &str, charge: &Charge) {
        loop {
            let put = self.client.put_item().table_name(TABLE).set_item(Some(record(user, sort, charge)));
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

    /// The ledger's pause: uniform from 0 to a bound that doubles from 40 to 500 ms.
    async fn pause(&mut self, attempts: u32) {
        let bound = (40 << attempts.min(16)).min(500);
        let seeded_uuid = (self.random)().as_u128() % bound;
        sleep(Duration::from_millis(u64::try_from(seeded_uuid).expect("small"))).await;
    }
}

/// The wallet after a charge, without the changes of other processes.
fn charged_wallet(mut wallet: Wallet, sort: String, charge: &Charge, condition: WriteCondition) -> Wallet {
    for allocation in &charge.allocations {
        if let Some(pack) = wallet.packs.get_mut(&allocation.i) {
            pack.n -= allocation.n;
        }
    }
    if condition != WriteCondition::PacksAndRecord {
        wallet.recent.insert(sort, charge.clone());
    }
    Wallet { version: wallet.version + 1, ..wallet }
}

fn has_tail(charge: &Charge, tail: Uuid) -> bool {
    let trans_no: Uuid = charge.trans_no.parse().expect("a UUID");
    // The bytes before contain bits of the UUID's version and variant.
    trans_no.as_bytes()[9..] == tail.as_bytes()[9..]
}

fn created_at(charge: &Charge) -> i64 {
    let trans_no: Uuid = charge.trans_no.parse().expect("a UUID");
    i64::try_from(trans_no.as_u128() >> 80).expect("48 bits")
}

fn record(user: &str, sort: &str, charge: &Charge) -> Item {
    let mut item: Item = to_item(charge).expect("an item");
    item.extend(key(user, sort));
    item
}

fn key(user: &str, sort: &str) -> Item {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    Item::from([("user_uuid".to_owned(), text(user)), ("sk".to_owned(), text(sort))])
}

fn value(content: impl Serialize) -> AttributeValue {
    to_attribute_value(content).expect("a value")
}
