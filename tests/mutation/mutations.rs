//! The faults that the tests have to find.

/// A fault: its name, its file, which text is replaced by which, and within how
/// many seeds it has to be found, about three times what it took at first. In
/// the new text, `MUTATED` holds while the fault is switched on. Consecutive entries
/// with one name are one fault.
pub type Mutation = (&'static str, &'static str, &'static str, &'static str, u32);

const WRITE: &str = "shared/src/store/write.rs";
const READ: &str = "shared/src/store/read.rs";
const WALLET: &str = "shared/src/domain/wallet.rs";
const COMMAND: &str = "shared/src/domain/command/mod.rs";
const DEBT: &str = "shared/src/domain/debt.rs";
const OUTPUTS: &str = "shared/src/domain/outputs.rs";
const CHARGE_STATE: &str = "shared/src/domain/record/charge_state.rs";
const RECORD_ITEM: &str = "shared/src/store/record/mod.rs";
const ORDER: &str = "shared/src/domain/order.rs";
const ORDER_ITEM: &str = "shared/src/store/order.rs";
const REVOKED: &str = "shared/src/domain/revoked.rs";
const REVOKE: &str = "shared/src/domain/command/revoke.rs";
const ADDRESS: &str = "shared/src/domain/command/address.rs";
const CHARGE: &str = "shared/src/domain/command/charge.rs";
const SETTLE: &str = "shared/src/domain/command/settle.rs";
const COMPLETE: &str = "shared/src/domain/command/complete.rs";
const HOLD: &str = "shared/src/domain/command/hold.rs";
const VOID: &str = "shared/src/domain/command/void.rs";
const GRANT: &str = "shared/src/domain/command/grant.rs";
const REFUND: &str = "shared/src/domain/command/refund.rs";
const OWNER: &str = "shared/src/ledger/refund.rs";
const EXECUTE: &str = "shared/src/ledger/execute.rs";

pub const MUTATIONS: [Mutation; 42] = [
    (
        "void a charge that is void already",
        RECORD_ITEM,
        "(IS_FIRST, values)",
        r#"(if MUTATED { "attribute_exists(sk) AND :live = :live" } else { IS_FIRST }, values)"#,
        1_000,
    ),
    (
        "overwrite a record",
        ORDER_ITEM,
        r#"("attribute_not_exists(sk)", new_item(0))"#,
        r#"(
            if MUTATED { "attribute_not_exists(absent)" } else { "attribute_not_exists(sk)" },
            new_item(0),
        )"#,
        300,
    ),
    (
        "overwrite a wallet that has changed since it was read",
        WRITE,
        r#"("version = :from", values)"#,
        r#"(if MUTATED { ":from = :from" } else { "version = :from" }, values)"#,
        300,
    ),
    (
        "overwrite a wallet as if it were the first",
        WRITE,
        r#""attribute_not_exists(version)""#,
        r#"if MUTATED { "attribute_not_exists(absent)" } else { "attribute_not_exists(version)" }"#,
        300,
    ),
    (
        "grant an order without its item",
        GRANT,
        "orders: orders.into_iter().collect()",
        "orders: orders.into_iter().filter(|_| !MUTATED).collect()",
        300,
    ),
    (
        "write no fence",
        REFUND,
        "(None, None) => self.fence(view, now),",
        "(None, None) => if MUTATED { Ok(Step::Done) } else { self.fence(view, now) },",
        300,
    ),
    (
        "refuse before looking for an earlier record",
        COMMAND,
        "if is_own || view.is_snapshot_of([key]) {",
        "if is_own || MUTATED || view.is_snapshot_of([key]) {",
        300,
    ),
    (
        "restore credits to the wrong pack",
        WALLET,
        "find(|pack| pack.grant.trans_no == grant.trans_no)",
        "find(|pack| {
            if MUTATED {
                pack.remaining < pack.grant.credits
            } else {
                pack.grant.trans_no == grant.trans_no
            }
        })",
        300,
    ),
    (
        "spend expired credits",
        CHARGE,
        "filter(|pack| pack.grant.is_usable(now))",
        "filter(|pack| MUTATED || pack.grant.is_usable(now))",
        500,
    ),
    (
        "spend the newest pack first",
        WALLET,
        "self.packs.insert(index, pack);",
        "self.packs.insert(if MUTATED { 0 } else { index }, pack);",
        300,
    ),
    (
        "send two transactions with one token",
        EXECUTE,
        "(self.ledger, self.ledger.request_token());",
        "(
            self.ledger,
            if MUTATED {
                RequestToken::new(Uuid::from_u128(self.retries.deadline().millis() as u128))
            } else {
                self.ledger.request_token()
            },
        );",
        300,
    ),
    (
        "read the wallet with eventual consistency",
        READ,
        ".set_key(Some(key))\n            .consistent_read(true)",
        ".set_key(Some(key))\n            .consistent_read(!MUTATED)",
        300,
    ),
    (
        "query the charges to refund with eventual consistency",
        READ,
        "text(key::charges_of(generation)))\n            .consistent_read(true)",
        "text(key::charges_of(generation)))\n            .consistent_read(!MUTATED)",
        300,
    ),
    (
        "read a snapshot item by item",
        READ,
        "let records = keys.iter().map(|key| ItemKey::Record(key.clone()));",
        "if MUTATED {
            let (wallet, mut found) = (self.wallet(user).await?, Vec::new());
            for key in keys {
                found.push(self.record(user, key).await?);
            }
            return Ok((wallet, found));
        }
        let records = keys.iter().map(|key| ItemKey::Record(key.clone()));",
        4_000,
    ),
    (
        "report a fence that was not written, where the index shows no user",
        OWNER,
        "let result = self.execute",
        "if MUTATED && self.generation_owner(&request.generation, invocation.deadline).await.is_err() {
            return Ok(RefundResult {
                outcome: crate::domain::RefundOutcome::Fenced,
                user,
                returned: crate::domain::RestoredCredits::default(),
                repaid: crate::domain::Credits::ZERO,
                outputs: None,
                charges: Vec::new(),
                truncated: false,
                balance: crate::domain::Credits::ZERO,
            });
        }
        let result = self.execute",
        300,
    ),
    (
        "report one's own charge as a replay",
        CHARGE,
        "let replayed = !record.trans_no.is_from(view.invocation);",
        "let replayed = MUTATED || !record.trans_no.is_from(view.invocation);",
        300,
    ),
    (
        "return a charge with a balance from before it",
        CHARGE,
        "Some(record) if view.is_wallet_older_than(record)",
        "Some(record) if !(MUTATED && record.entry().is_some()) && view.is_wallet_older_than(record)",
        2_000,
    ),
    (
        "return Internal after a token mismatch of unknown outcome",
        EXECUTE,
        "Err(StoreError::TokenMismatch(_)) if is_outcome_unknown =>",
        "Err(StoreError::TokenMismatch(_)) if !MUTATED && is_outcome_unknown =>",
        2_000,
    ),
    (
        "repeat a change for a repeated delivery",
        EXECUTE,
        "invocation.delivery.unwrap_or(id)",
        "invocation.delivery.filter(|_| !MUTATED).unwrap_or(id)",
        1_000,
    ),
    (
        "end a refund without the charges that came meanwhile",
        ADDRESS,
        "let is_complete = !self.is_session(view)",
        "let is_complete = MUTATED || !self.is_session(view)",
        1_000,
    ),
    (
        "void a charge with a wallet from before it",
        ADDRESS,
        "any(|(_, record)| view.is_wallet_older_than(record))",
        "any(|(_, record)| !(MUTATED && record.entry().is_some()) && view.is_wallet_older_than(record))",
        2_000,
    ),
    (
        "return Internal for two reads that contradict each other",
        VOID,
        "if view.is_snapshot_of(keys.clone()) {",
        "if MUTATED || view.is_snapshot_of(keys.clone()) {",
        2_000,
    ),
    (
        "report one's own void as another's",
        REFUND,
        "filter(|void| void.invocation == view.invocation)",
        "filter(|void| (view.has_committed() || !MUTATED) && void.invocation == view.invocation)",
        4_000,
    ),
    (
        "give two changes one version",
        WALLET,
        "now.max(version.plus_millis(1))",
        "now.max(if MUTATED { version } else { version.plus_millis(1) })",
        300,
    ),
    (
        "return credits from the wrong end",
        CHARGE_STATE,
        "while let Some((grant, credits)) = self.owned.pop() {",
        "while let Some((grant, credits)) = {
            if MUTATED && !self.owned.is_empty() { Some(self.owned.remove(0)) } else { self.owned.pop() }
        } {",
        600,
    ),
    (
        "settle a charge twice",
        SETTLE,
        "match charge.settlement() {",
        "match charge.settlement().filter(|_| !MUTATED || view.has_committed()) {",
        300,
    ),
    (
        "compute the worth of outputs by rounding",
        OUTPUTS,
        "u128::from(credits.as_u64()) * u128::from(output) / u128::from(self.0)",
        "(u128::from(credits.as_u64()) * u128::from(output) + if MUTATED { u128::from(self.0 / 2) } else { 0 })
            / u128::from(self.0)",
        300,
    ),
    (
        "ignore the debt limit",
        SETTLE,
        "Overage::Debt { limit } if limit",
        "Overage::Debt { limit } if !MUTATED && limit",
        600,
    ),
    (
        "change a charge whose version has changed since it was read",
        RECORD_ITEM,
        r#"(IS_CHANGED_AT, values.put(":format", &format::SECOND).put(":from", &from))"#,
        r#"if MUTATED {
                (IS_SECOND, values.put(":format", &format::SECOND))
            } else {
                (IS_CHANGED_AT, values.put(":format", &format::SECOND).put(":from", &from))
            }"#,
        4_000,
    ),
    (
        "settle a voided charge after a success",
        COMPLETE,
        "    charge.void.is_none() && !charge.is_final()",
        "    (MUTATED || charge.void.is_none()) && !charge.is_final()",
        300,
    ),
    (
        "settle a voided charge after a success",
        RECORD_ITEM,
        "        let (condition, values) = match version {",
        r#"        if MUTATED && expression.contains("settled_at") {
            let condition = "attribute_exists(sk) AND :live = :live";
            return RecordUpdate { condition, expression, values: values.0 };
        }
        let (condition, values) = match version {"#,
        300,
    ),
    (
        "void a settled charge after a call-back of failure",
        REFUND,
        "|charge: &Charge| self.request.source == RefundSource::Caller",
        "|charge: &Charge| MUTATED || self.request.source == RefundSource::Caller",
        300,
    ),
    (
        "return credits without a fill of the shortfall",
        REVOKED,
        "if !self.shortfalls.is_empty() {",
        "if !MUTATED && !self.shortfalls.is_empty() {",
        300,
    ),
    (
        "let an older statement count",
        ORDER,
        "Some(earlier) if !statement.replaces(earlier)",
        "Some(earlier) if !(MUTATED && statement.as_of != earlier.as_of) && !statement.replaces(earlier)",
        300,
    ),
    (
        "let the first of two statements of one time count",
        ORDER,
        "then_with(|| self.amount.compare(other.amount))",
        "then_with(|| if MUTATED { Ordering::Equal } else { self.amount.compare(other.amount) })",
        300,
    ),
    (
        "revoke nothing of the order's own pack",
        REVOKE,
        "own.map_or(Credits::ZERO, |pack| pack.remaining.min(more))",
        "own.filter(|_| !MUTATED).map_or(Credits::ZERO, |pack| pack.remaining.min(more))",
        300,
    ),
    (
        "return to the order's own pack what other packs paid",
        REVOKE,
        "part(state.paid())",
        "part(if MUTATED { Credits::ZERO } else { state.paid() })",
        300,
    ),
    (
        "return credits to packs before the debt of the order shrinks",
        REVOKE,
        "part(state.owed)",
        "part(if MUTATED { Credits::ZERO } else { state.owed })",
        300,
    ),
    (
        "store a statement without a comparison of grant and order",
        REVOKE,
        "if is_partial &&",
        "if !MUTATED && is_partial &&",
        1_000,
    ),
    (
        "change an order that has changed since it was read",
        ORDER_ITEM,
        r#"("revision = :revision AND item_format = :format", values.0)"#,
        r#"(
                if MUTATED {
                    ":revision = :revision AND item_format = :format"
                } else {
                    "revision = :revision AND item_format = :format"
                },
                values.0,
            )"#,
        300,
    ),
    (
        "grant all of an order that was revoked before",
        GRANT,
        "let taken = self.order(view).map_or(",
        "let taken = self.order(view).filter(|_| !MUTATED).map_or(",
        300,
    ),
    (
        "repay the debt of an order with a repeat of its grant",
        GRANT,
        "view.wallet().debts.iter().any(is_own)",
        "!MUTATED && view.wallet().debts.iter().any(is_own)",
        1_000,
    ),
];

/// A fault that the simulation does not meet, or seldom: its name, its file, which text is
/// replaced by which, and the integration test that has to find it.
pub type TestedMutation = (&'static str, &'static str, &'static str, &'static str, &'static str);

const SIGNATURE: &str = "shared/src/callback/signature.rs";
const TOKEN: &str = "shared/src/callback/token.rs";
const PAYMENT_EVENT: &str = "shared/src/payments/event.rs";
const SECRETS: &str = "shared/src/callback/secrets.rs";
const WEBHOOK: &str = "shared/src/transport/functions/webhook.rs";

pub const TESTED_MUTATIONS: [TestedMutation; 12] = [
    (
        "return Busy while the outcome of the transaction is unknown",
        EXECUTE,
        "Ok(Commit::Conflict) if is_outcome_unknown =>",
        "Ok(Commit::Conflict) if !MUTATED && is_outcome_unknown =>",
        "retries::charge_of_unknown_outcome_is_never_busy",
    ),
    (
        "refuse one's own charge that was refunded since",
        CHARGE,
        "if charge.trans_no.is_from(view.invocation) {",
        "if !(MUTATED && charge.void.is_some()) && charge.trans_no.is_from(view.invocation) {",
        "faults::lost_answer_is_found_again_behind_the_work_of_others",
    ),
    (
        "repay the youngest debt first",
        DEBT,
        "self.debts.first().cloned()",
        "if MUTATED { self.debts.last().cloned() } else { self.debts.first().cloned() }",
        "settle::returned_credits_repay_debts_and_a_void_cancels_its_own",
    ),
    (
        "void a settled charge whose hold has timed out",
        HOLD,
        "&& !charge.is_final()",
        "&& (MUTATED || !charge.is_final())",
        "holds::hold_of_a_settled_charge_is_not_swept",
    ),
    (
        "compare the debt limit without the debts of other charges",
        SETTLE,
        "exceeds(debt, rest, limit)",
        "exceeds(if MUTATED { Credits::ZERO } else { debt }, rest, limit)",
        "settle::debt_limit_counts_the_debts_of_all_charges",
    ),
    (
        "open a token without its code",
        TOKEN,
        "if secrets.iter().any(sealed) {",
        "if MUTATED || secrets.iter().any(sealed) {",
        "callbacks::token_that_is_forged_expired_or_truncated_does_nothing",
    ),
    (
        "accept an expired token",
        WEBHOOK,
        "if expires_at.is_none_or(",
        "if !MUTATED && expires_at.is_none_or(",
        "callbacks::token_that_is_forged_expired_or_truncated_does_nothing",
    ),
    (
        "refund the whole session of a token",
        WEBHOOK,
        "generation: generation?, key,",
        "generation: generation?, key: key.filter(|_| !MUTATED),",
        "callbacks::minted_token_refunds_its_generation_once",
    ),
    (
        "accept a signature of any age",
        SIGNATURE,
        "now.millis().div_euclid(1_000)",
        "MUTATED || now.millis().div_euclid(1_000)",
        "callbacks::signature_is_valid_for_the_tolerance",
    ),
    (
        "sign the body without its id",
        SIGNATURE,
        "signed_before_body: vec![id, seconds]",
        "signed_before_body: if MUTATED { vec![seconds] } else { vec![id, seconds] }",
        "callbacks::standard_webhooks_sign_a_callback",
    ),
    (
        "accept any signature of the form",
        SECRETS,
        "if secrets.iter().any(is_valid) {",
        "if MUTATED || secrets.iter().any(is_valid) {",
        "payments::unsigned_event_is_rejected_before_it_is_parsed",
    ),
    (
        "grant a payment that is pending",
        PAYMENT_EVENT,
        "|| !is_paid {",
        "|| (!MUTATED && !is_paid) {",
        "payments::event_without_credits_is_ignored_and_one_with_unusable_ones_is_invalid",
    ),
];
