//! Whether the tests can fail: a copy of the code contains faults that are switched on one at
//! a time. The simulation has to find each fault of the ledger within so many seeds, and an
//! integration test each fault of call-backs, which the simulation does not send.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by panicking")]

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

/// A fault: its name, its file, which text is replaced by which, and within how
/// many seeds it has to be found, about three times what it took at first. In
/// the new text, `MUTATED` holds while the fault is switched on. Consecutive entries
/// with one name are one fault.
type Mutation = (&'static str, &'static str, &'static str, &'static str, u32);

const WRITE: &str = "shared/src/store/write.rs";
const READ: &str = "shared/src/store/read.rs";
const WALLET: &str = "shared/src/domain/wallet.rs";
const COMMAND: &str = "shared/src/domain/command/mod.rs";
const DEBT: &str = "shared/src/domain/debt.rs";
const OUTPUTS: &str = "shared/src/domain/outputs.rs";
const CHARGE_STATE: &str = "shared/src/domain/record/charge_state.rs";
const CHARGE_ITEM: &str = "shared/src/store/record/charge.rs";
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

const MUTATIONS: [Mutation; 32] = [
    (
        "void a charge that is void already",
        CHARGE_ITEM,
        "(IS_FIRST, values)",
        r#"(if MUTATED { "attribute_exists(sk) AND :live = :live" } else { IS_FIRST }, values)"#,
        1_000,
    ),
    (
        "overwrite a record",
        WRITE,
        r#""attribute_not_exists(sk)""#,
        r#"if MUTATED { "attribute_not_exists(absent)" } else { "attribute_not_exists(sk)" }"#,
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
        "orders: self.paid_order().map(order)",
        "orders: self.paid_order().filter(|_| !MUTATED).map(order)",
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
        ".set_key(Some(key.of(user)))\n            .consistent_read(true)",
        ".set_key(Some(key.of(user)))\n            .consistent_read(!MUTATED)",
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
        300,
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
        300,
    ),
    (
        "change a charge whose version has changed since it was read",
        CHARGE_ITEM,
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
        CHARGE_ITEM,
        "    let (condition, values) = match version {",
        r#"    if MUTATED && expression.contains("settled_at") {
        let condition = "attribute_exists(sk) AND :live = :live";
        return ChargeUpdate { condition, expression, values: values.0 };
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
];

/// A fault that the simulation does not meet, or seldom: its name, its file, which text is
/// replaced by which, and the integration test that has to find it.
type TestedMutation = (&'static str, &'static str, &'static str, &'static str, &'static str);

const PAYMENT_EVENT: &str = "shared/src/payments/event.rs";
const SECRETS: &str = "shared/src/callback/secrets.rs";
const SIGNATURE: &str = "shared/src/callback/signature.rs";
const TOKEN: &str = "shared/src/callback/token.rs";
const WEBHOOK: &str = "shared/src/transport/functions/webhook.rs";

const TESTED_MUTATIONS: [TestedMutation; 12] = [
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

/// What the copy has beside the faults.
const SWITCH: &str = r#"
mod mutation {
    pub(crate) fn is_active(name: &str) -> bool {
        static ACTIVE: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        ACTIVE.get_or_init(|| std::env::var("SCRIP_ACTIVE_MUTATION").ok()).as_deref() == Some(name)
    }
}
"#;

/// How many seeds have to find nothing while no fault is switched on.
const SOUND_SEEDS: u32 = 300;

#[test]
#[ignore = "builds a copy of the ledger and runs thousands of seeds, which takes minutes"]
fn every_mutation_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let copy = root.join("target/mutations");
    copy_sources(root, &copy, &edited_files(root));
    assert_eq!(found_after(root, &copy, "", SOUND_SEEDS), None, "no fault is switched on");
    assert!(TESTED_MUTATIONS.iter().all(|mutation| passes(root, &copy, "", mutation.4)));
    let only = env::var("SCRIP_MUTATION").unwrap_or_default();
    let mut survivors = Vec::new();
    for (name, .., test) in TESTED_MUTATIONS.into_iter().filter(|mutation| mutation.0.contains(&only)) {
        if passes(root, &copy, name, test) {
            survivors.push(name);
        } else {
            eprintln!("{name}: found by {test}");
        }
    }
    let mut mutations = MUTATIONS.to_vec();
    mutations.dedup_by_key(|mutation| mutation.0);
    for (name, .., seeds) in mutations.into_iter().filter(|mutation| mutation.0.contains(&only)) {
        let began = Instant::now();
        match found_after(root, &copy, name, seeds) {
            Some(seed) => eprintln!("{name}: found by seed {seed}, {} s", began.elapsed().as_secs()),
            None => survivors.push(name),
        }
    }
    assert_eq!(survivors, [""; 0], "not found");
}

/// The files that differ in the copy, by their paths.
fn edited_files(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut files = BTreeMap::new();
    let mut edit = |file: &str, from: &str, to: &str| {
        let text = files.entry(file.into()).or_insert_with(|| fs::read_to_string(root.join(file)).unwrap());
        assert_eq!(text.matches(from).count(), 1, "{file} has changed: {from}");
        *text = text.replace(from, to);
    };
    // Of another version, so that nothing built of the copy is taken for the real.
    let version = format!("version = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    edit("Cargo.toml", &version, "version = \"0.0.0\"\n");
    let of_ledger = MUTATIONS.iter().map(|(name, file, from, to, _)| (name, file, from, to));
    let of_tests = TESTED_MUTATIONS.iter().map(|(name, file, from, to, _)| (name, file, from, to));
    for (name, file, from, to) in of_ledger.chain(of_tests) {
        edit(file, from, &to.replace("MUTATED", &format!("crate::mutation::is_active({name:?})")));
    }
    let library = "shared/src/lib.rs";
    files.insert(library.into(), fs::read_to_string(root.join(library)).unwrap() + SWITCH);
    files
}

/// Which seed finds the fault, if one of the first does.
fn found_after(root: &Path, copy: &Path, name: &str, seeds: u32) -> Option<String> {
    let mut command = test_command(root, copy, name, "simulation", "seeds_pass_every_check");
    command.env("SCRIP_SEEDS", seeds.to_string()).env("SCRIP_SHRINKS", "0");
    let (passes, text) = run_one_test(command);
    let found =
        text.lines().find_map(|line| line.strip_prefix("seed ")?.split(':').next().map(str::to_owned));
    assert_eq!(found.is_some(), !passes, "{text}");
    found
}

/// Whether an integration test passes with the fault.
fn passes(root: &Path, copy: &Path, name: &str, test: &str) -> bool {
    run_one_test(test_command(root, copy, name, "integration", test)).0
}

fn test_command(root: &Path, copy: &Path, name: &str, target: &str, test: &str) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["test", "--quiet", "--offline", "--workspace", "--test", target, test])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env("SCRIP_ACTIVE_MUTATION", name);
    command
}

/// Whether the test passes, and its output.
fn run_one_test(mut command: Command) -> (bool, String) {
    let output = command.output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(text.contains("running 1 test"), "it does not build: {text}");
    (output.status.success(), text)
}

/// Makes the copy the same as all that is built, but for the edited files. What is
/// the same already is left alone, and is not built again.
fn copy_sources(root: &Path, copy: &Path, edited: &BTreeMap<PathBuf, String>) {
    let mut left =
        ["Cargo.toml", "Cargo.lock", "clippy.toml", "shared", "functions", "infra", "tests", "benches"]
            .map(PathBuf::from)
            .to_vec();
    while let Some(path) = left.pop() {
        let (from, to) = (root.join(&path), copy.join(&path));
        if path.ends_with("target") {
            continue;
        }
        if from.is_dir() {
            fs::create_dir_all(&to).unwrap();
            for gone in entries(&to).into_iter().filter(|name| !from.join(name).exists()) {
                let gone = to.join(gone);
                if gone.is_dir() { fs::remove_dir_all(gone) } else { fs::remove_file(gone) }.unwrap();
            }
            left.extend(entries(&from).into_iter().map(|name| path.join(name)));
        } else {
            let content =
                edited.get(&path).map_or_else(|| fs::read(&from).unwrap(), |text| text.clone().into_bytes());
            if fs::read(&to).ok().as_ref() != Some(&content) {
                fs::write(&to, content).unwrap();
            }
        }
    }
}

fn entries(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}
