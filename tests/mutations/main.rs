//! Whether the simulation can fail: faults are put into the ledger's code, one
//! at a time, and each has to be found within so many seeds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by panicking")]

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A fault: what it is, where, which text is replaced by which, and within how
/// many seeds it has to be found, about three times what it took at first.
type Mutation = (&'static str, &'static str, &'static str, &'static str, u32);

const WRITE: &str = "shared/src/store/write.rs";
const READ: &str = "shared/src/store/read.rs";
const WALLET: &str = "shared/src/domain/wallet.rs";
const COMMAND: &str = "shared/src/domain/command/mod.rs";
const CHARGE: &str = "shared/src/domain/command/charge.rs";
const REFUND: &str = "shared/src/domain/command/refund.rs";
const OWNER: &str = "shared/src/ledger/refund.rs";
const EXECUTE: &str = "shared/src/ledger/execute.rs";

const MUTATIONS: [Mutation; 25] = [
    (
        "void what is void already",
        WRITE,
        r#"["is_voided = :live AND ""#,
        r#"["attribute_exists(sk) AND :live = :live AND ""#,
        1_000,
    ),
    ("write over a record", WRITE, r#""attribute_not_exists(sk)""#, r#""attribute_not_exists(absent)""#, 300),
    (
        "compute from a stale wallet",
        WRITE,
        r#"("version = :from", values)"#,
        r#"(":from = :from", values)"#,
        300,
    ),
    (
        "write over a first wallet",
        WRITE,
        r#""attribute_not_exists(version)""#,
        r#""attribute_not_exists(absent)""#,
        300,
    ),
    ("forget the fence", REFUND, "        self.fence(view, now)", "        Ok(Step::Done)", 300),
    (
        "answer insufficient before looking for a replay",
        COMMAND,
        "if is_own || view.is_snapshot_of([key]) {",
        "if is_own || key == key || view.is_snapshot_of([key]) {",
        300,
    ),
    (
        "restore to the wrong pack",
        WALLET,
        "find(|pack| pack.grant.trans_no == grant.trans_no)",
        "find(|pack| pack.remaining < pack.grant.credits)",
        300,
    ),
    (
        "spend what has run out",
        CHARGE,
        "filter(|pack| pack.grant.is_usable(now))",
        "filter(|pack| pack.grant.is_usable(Timestamp::from_millis(0).unwrap_or(now)))",
        500,
    ),
    (
        "spend the youngest first",
        WALLET,
        "self.packs.insert(index, pack);",
        "self.packs.insert(index.min(0), pack);",
        300,
    ),
    (
        "the same token for another payload",
        EXECUTE,
        "(self.ledger, self.ledger.request_token());",
        "(self.ledger, RequestToken::new(Uuid::from_u128(self.retries.deadline().millis() as u128)));",
        300,
    ),
    (
        "read an old wallet",
        READ,
        ".set_key(Some(key.of(user)))\n            .consistent_read(true)",
        ".set_key(Some(key.of(user)))\n            .consistent_read(false)",
        300,
    ),
    (
        "look for charges to refund in an old copy",
        READ,
        "text(key::charges_of(generation)))\n            .consistent_read(true)",
        "text(key::charges_of(generation)))\n            .consistent_read(false)",
        300,
    ),
    (
        "read a snapshot item by item",
        READ,
        "let records = keys.iter().map(|key| ItemKey::Record(key.clone()));",
        "let (wallet, mut found) = (self.wallet(user).await?, Vec::new());
        for key in keys {
            found.push(self.record(user, key).await?);
        }
        if found.len() == keys.len() {
            return Ok((wallet, found));
        }
        let records = keys.iter().map(|key| ItemKey::Record(key.clone()));",
        4_000,
    ),
    (
        "believe an index that shows nothing to refund",
        OWNER,
        "let result = self.execute",
        "if self.generation_owner(&request.generation, invocation.deadline).await.is_err() {
            return Ok(RefundResult {
                outcome: crate::domain::RefundOutcome::Fenced,
                user,
                returned: crate::domain::RestoredCredits::default(),
                charges: Vec::new(),
                truncated: false,
                balance: crate::domain::Credits::ZERO,
            });
        }
        let result = self.execute",
        300,
    ),
    (
        "tell one's own write as a replay",
        CHARGE,
        "let replayed = !record.trans_no.is_from(view.invocation);",
        "let replayed = true || !record.trans_no.is_from(view.invocation);",
        300,
    ),
    (
        "reveal a charge before its wallet",
        CHARGE,
        "Some(record) if view.is_wallet_older_than(record)",
        "Some(record) if record.entry().is_none() && view.is_wallet_older_than(record)",
        2_000,
    ),
    (
        "refuse one's own charge that was refunded since",
        CHARGE,
        "if charge.trans_no.is_from(view.invocation) {",
        "if charge.void.is_none() && charge.trans_no.is_from(view.invocation) {",
        4_000,
    ),
    (
        "say Busy of what may be done",
        EXECUTE,
        "Ok(Commit::Conflict) if is_outcome_unknown =>",
        "Ok(Commit::Conflict) if false && is_outcome_unknown =>",
        4_000,
    ),
    (
        "call a token that is another's a fault",
        EXECUTE,
        "Err(StoreError::TokenMismatch(_)) if is_outcome_unknown =>",
        "Err(StoreError::TokenMismatch(_)) if false && is_outcome_unknown =>",
        2_000,
    ),
    (
        "do a delivery twice",
        EXECUTE,
        "invocation.delivery.unwrap_or(id)",
        "invocation.delivery.map_or(id, |_| id)",
        1_000,
    ),
    (
        "call a refund whole that others came into",
        REFUND,
        "if is_session && !view.is_generation_complete() {",
        "if is_session && !view.is_generation_queried() {",
        1_000,
    ),
    (
        "void by a wallet from before the charge",
        REFUND,
        "any(|(_, record)| view.is_wallet_older_than(record))",
        "any(|(_, record)| record.entry().is_none() && view.is_wallet_older_than(record))",
        2_000,
    ),
    (
        "call what two reads contradict a fault",
        REFUND,
        "Err(error) if view.is_snapshot_of(group.iter().map(|(key, ..)| *key)) =>",
        "Err(error) if !group.is_empty() =>",
        2_000,
    ),
    (
        "tell one's own void as another's",
        REFUND,
        "if void.invocation == view.invocation {",
        "if view.has_committed() && void.invocation == view.invocation {",
        4_000,
    ),
    ("stamp two changes with one moment", WALLET, "now.max(version.plus_millis(1))", "now.max(version)", 300),
];

#[test]
#[ignore = "builds the ledger anew for every mutation, which takes minutes"]
fn every_mutation_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let copy = root.join("target/mutations");
    copy_sources(root, &copy);
    // Of another version, so that nothing built of the copy is taken for the real.
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let version = format!("version = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest.matches(&version).count(), 1, "the workspace says its version once");
    fs::write(copy.join("Cargo.toml"), manifest.replace(&version, "version = \"0.0.0\"\n")).unwrap();
    let only = env::var("SCRIP_MUTATION").unwrap_or_default();
    let mut survivors = Vec::new();
    for (name, file, from, to, seeds) in MUTATIONS.into_iter().filter(|mutation| mutation.0.contains(&only)) {
        let (path, original) = (copy.join(file), fs::read_to_string(root.join(file)).unwrap());
        assert_eq!(original.matches(from).count(), 1, "{name}: {file} has changed: {from}");
        fs::write(&path, original.replace(from, to)).unwrap();
        match found_after(root, &copy, seeds) {
            Some(found) => eprintln!("{name}: found by seed {found}"),
            None => survivors.push(name),
        }
        fs::write(&path, original).unwrap();
    }
    assert_eq!(survivors, [""; 0], "not found");
}

/// Which seed finds what is wrong with these sources, if one of the first does.
fn found_after(root: &Path, sources: &Path, seeds: u32) -> Option<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "test",
            "--quiet",
            "--offline",
            "--workspace",
            "--test",
            "simulation",
            "no_seed_loses_anything",
        ])
        .current_dir(sources)
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env("SCRIP_SEEDS", seeds.to_string())
        .env("SCRIP_SHRINKS", "0")
        .output()
        .unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(text.contains("running 1 test"), "it does not build: {text}");
    let found =
        text.lines().find_map(|line| line.strip_prefix("seed ")?.split(':').next().map(str::to_owned));
    assert_eq!(found.is_some(), !output.status.success(), "{text}");
    found
}

/// Makes the copy the same as all that is built, so that no mutation ever stands in the sources: what
/// an earlier run left there and the sources no longer have would be built with them.
fn copy_sources(root: &Path, copy: &Path) {
    let mut left = ["Cargo.toml", "Cargo.lock", "clippy.toml", "shared", "functions", "infra", "tests"]
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
        } else if fs::read(&to).ok() != fs::read(&from).ok() {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn entries(folder: &Path) -> Vec<OsString> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}
