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
const POST: &str = "shared/src/ledger/post.rs";
const REFUND: &str = "shared/src/ledger/refund.rs";
const RETRY: &str = "shared/src/ledger/retry.rs";

const MUTATIONS: [Mutation; 20] = [
    (
        "void what is void already",
        WRITE,
        r#""is_voided = :live""#,
        r#""attribute_exists(sk) AND :live = :live""#,
        1_000,
    ),
    ("write over a record", WRITE, r#""attribute_not_exists(sk)""#, r#""attribute_not_exists(absent)""#, 300),
    ("compute from a stale wallet", WRITE, r#"("version = :from", Item"#, r#"(":from = :from", Item"#, 300),
    (
        "write over a first wallet",
        WRITE,
        r#""attribute_not_exists(version)""#,
        r#""attribute_not_exists(absent)""#,
        300,
    ),
    ("forget the fence", REFUND, "is_fenced || self.fence(&key).await?", "is_fenced || true", 300),
    (
        "answer insufficient before looking for a replay",
        POST,
        "Err(refusal) if !is_identified =>",
        "Err(refusal) if !is_identified || key == key.clone() =>",
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
        WALLET,
        "filter(|pack| pack.grant.is_usable(now)) {",
        "filter(|pack| pack.grant.is_usable(Timestamp::from_millis(0).unwrap_or(now))) {",
        500,
    ),
    (
        "spend the youngest first",
        WALLET,
        "self.packs.insert(at, pack);",
        "self.packs.insert(at.min(0), pack);",
        300,
    ),
    (
        "the same token for another payload",
        RETRY,
        "let token = self.nonce();",
        "let token = crate::domain::Nonce::new(uuid::Uuid::from_u128(tries.deadline.millis() as u128));",
        300,
    ),
    (
        "read an old wallet",
        READ,
        ".set_key(Some(key::of(user, sort)))\n            .consistent_read(true)",
        ".set_key(Some(key::of(user, sort)))\n            .consistent_read(false)",
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
        "believe an index that shows nothing to refund",
        REFUND,
        "let is_queried =",
        "if ledger.owner(&self.request.generation, deadline).await.is_err() { return Ok(Some(Outcome::Fenced)); }\n        let is_queried =",
        300,
    ),
    (
        "tell one's own write as a replay",
        POST,
        "replayed: !is_of(&record, nonce)",
        "replayed: true || !is_of(&record, nonce)",
        300,
    ),
    (
        "tell a balance from before the record",
        POST,
        "record.changed_at() > wallet.version",
        "false && record.changed_at() > wallet.version",
        700,
    ),
    (
        "say Busy of what may be done",
        RETRY,
        "Err(StoreError::Contended) if is_unknown =>",
        "Err(StoreError::Contended) if false && is_unknown =>",
        4_000,
    ),
    ("call a refund whole that others came into", REFUND, "!self.disturbed } else", "true } else", 700),
    (
        "void by a wallet from before the charge",
        REFUND,
        "record.changed_at() > self.wallet.version",
        "false && record.changed_at() > self.wallet.version",
        300,
    ),
    (
        "tell one's own void as another's",
        REFUND,
        "voided_by(record) == Some(self.nonce)",
        "false && voided_by(record) == Some(self.nonce)",
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
