//! The commands `export` and `import`, from one engine to another.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod support;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use scrip::{
    domain::{
        ChargeRequest, ChargeType, Credits, GrantRequest, GrantType, ImportedHistory, ImportedRecord,
        Metadata, Overage, RefundRequest, RefundSource, RevokeRequest, RevokedAmount, SettleRequest,
        ShortfallPolicy, Timestamp,
    },
    ledger::{Invocation, Ledger},
};
use scrip_ops::plan::{OldRow, PlanRules, PlannedRecord, ReferenceOwner, plan};
use scrip_tests::process::succeed;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::workspace::{Workspace, fail};

/// Characters that JSON escapes.
const ODD_TEXT: &str = "{\"note\":\"é\u{1F600}\\\"\u{1}\u{2028}\n\"}";

/// Migrated users, and rows of each.
const MIGRATED: (i64, i64) = (15, 99);

fn id<T: TryFrom<String, Error = &'static str>>(text: &str) -> T {
    text.to_owned().try_into().unwrap()
}

fn credits(credits: u64) -> Credits {
    credits.try_into().unwrap()
}

fn metadata() -> Metadata {
    vec![("model".to_owned(), "flux".to_owned())].try_into().unwrap()
}

/// A table of several pages with all kinds of items.
async fn filled() -> Workspace {
    let workspace = Workspace::new().await;
    let ledger = workspace.ledger().await;
    for nth in 0..10 {
        use_ledger(&ledger, &format!("live-{nth}")).await;
    }
    for nth in 0..3 {
        revoke_orders(&ledger, &format!("revoked-{nth}")).await;
    }
    for nth in 0..MIGRATED.0 {
        migrate_user(&ledger, &format!("moved-{nth}")).await;
    }
    workspace
}

/// Writes packs, charges of them, a settlement, a refund and a fence.
async fn use_ledger(ledger: &Ledger, user: &str) {
    let deadline = ledger.now().plus_millis(60_000);
    for (trans_type, order_no, days) in
        [(GrantType::NewUser, None, None), (GrantType::OrderPay, Some(format!("order-{user}")), Some(30))]
    {
        let expired_at = days.map(|days| ledger.now().plus_millis(days * 86_400_000));
        let (user, order_no) = (id(user), order_no.as_deref().map(id));
        let request = GrantRequest {
            user,
            trans_type,
            credits: credits(10),
            order_no,
            expired_at,
            key: None,
            metadata: metadata(),
        };
        ledger.execute(&request, &Invocation::until(deadline)).await.unwrap();
    }
    for (nth, generation) in [Some("first"), Some("second"), None].into_iter().enumerate() {
        let request = ChargeRequest {
            user: id(user),
            trans_type: ChargeType::Chat,
            credits: credits(6),
            generation: generation.map(id),
            order_no: None,
            key: Some(id(&format!("key-{nth}"))),
            metadata: metadata(),
            outputs: None,
            hold_millis: None,
        };
        ledger.execute(&request, &Invocation::until(deadline)).await.unwrap();
    }
    let settlement = SettleRequest {
        user: id(user),
        generation: id("first"),
        key: Some(id("key-0")),
        credits: credits(4),
        overage: Overage::Refuse,
    };
    ledger.execute(&settlement, &Invocation::until(deadline)).await.unwrap();
    for generation in ["second", "never"] {
        let reason = ODD_TEXT.to_owned().try_into().unwrap();
        let request = RefundRequest {
            user: Some(id(user)),
            generation: id(generation),
            key: None,
            trans_no: None,
            outputs: None,
            source: RefundSource::Caller,
            reason,
        };
        ledger.refund(&request, &Invocation::until(deadline)).await.unwrap();
    }
}

/// Writes orders that were revoked before and after their grants, also by an alias, with a shortfall
/// that a refund fills, and a debt that a later grant repays in part.
async fn revoke_orders(ledger: &Ledger, user: &str) {
    let deadline = ledger.now().plus_millis(60_000);
    let order = |name: &str| id(&format!("{name}-{user}"));
    let grant = async |name: &str, granted: u64| {
        let request = GrantRequest {
            user: id(user),
            trans_type: GrantType::OrderPay,
            credits: credits(granted),
            order_no: Some(order(name)),
            expired_at: None,
            key: None,
            metadata: metadata(),
        };
        ledger.execute(&request, &Invocation::until(deadline)).await.unwrap();
    };
    let revoke = async |name: &str, amount: RevokedAmount, shortfall: ShortfallPolicy| {
        let request = RevokeRequest {
            order_no: order(name),
            user: None,
            source: id("refund"),
            amount,
            as_of: ledger.now(),
            shortfall,
            reason: ODD_TEXT.to_owned().try_into().unwrap(),
            metadata: metadata(),
        };
        ledger.revoke(&request, &Invocation::until(deadline)).await.unwrap();
    };
    let half = RevokedAmount::Share { part: 1, of: 2 };
    revoke("before", half, ShortfallPolicy::Keep).await;
    revoke("kept", half, ShortfallPolicy::Keep).await;
    grant("before", 10).await;
    grant("filled", 10).await;
    let charge = async |generation: &str, spent: u64| {
        let request = ChargeRequest {
            user: id(user),
            trans_type: ChargeType::Chat,
            credits: credits(spent),
            generation: Some(id(generation)),
            order_no: None,
            key: None,
            metadata: metadata(),
            outputs: None,
            hold_millis: None,
        };
        ledger.execute(&request, &Invocation::until(deadline)).await.unwrap();
    };
    charge("gen", 15).await;
    ledger.add_alias(&order("alias"), &order("filled"), &Invocation::until(deadline)).await.unwrap();
    revoke("alias", RevokedAmount::Credits(credits(10)), ShortfallPolicy::Keep).await;
    let request = RefundRequest {
        user: Some(id(user)),
        generation: id("gen"),
        key: None,
        trans_no: None,
        outputs: None,
        source: RefundSource::Caller,
        reason: ODD_TEXT.to_owned().try_into().unwrap(),
    };
    ledger.refund(&request, &Invocation::until(deadline)).await.unwrap();
    grant("owed", 100).await;
    charge("spent", 105).await;
    revoke("owed", RevokedAmount::Credits(credits(100)), ShortfallPolicy::Debt).await;
    grant("repaying", 3).await;
    revoke("before", RevokedAmount::Credits(credits(10)), ShortfallPolicy::Keep).await;
}

/// Writes a migrated user with a grant and many charges, each with a large row.
async fn migrate_user(ledger: &Ledger, user: &str) {
    let begin = Timestamp::parse("2025-01-01T00:00:00Z").unwrap();
    let row = |nth: i64| OldRow {
        id: nth,
        trans_no: format!("t{nth}"),
        created_at: begin.plus_millis(nth * 60_000),
        user_uuid: user.to_owned(),
        trans_type: if nth == 0 { "new_user" } else { "chat" }.to_owned(),
        credits: if nth == 0 { 1_000 } else { -1 },
        order_no: (nth > 0).then(|| format!("gen-{nth}")),
        expired_at: None,
        order_owner: ReferenceOwner::Missing,
        generation_owner: if nth == 0 { ReferenceOwner::Missing } else { ReferenceOwner::SameUser },
        lot: None,
    };
    let rows: Vec<_> = (0..MIGRATED.1).map(row).collect();
    let user_plan = plan(user, &rows, &PlanRules::as_of(ledger.now())).unwrap();
    let record = |planned: PlannedRecord| ImportedRecord {
        key: planned.key,
        record: planned.record,
        rows: ODD_TEXT.repeat(50),
    };
    let records = user_plan.records.into_iter().map(record).collect();
    let history = ImportedHistory { user: user_plan.user, records, wallet: user_plan.wallet.unwrap() };
    ledger.execute(&history, &Invocation::until(ledger.now().plus_millis(60_000))).await.unwrap();
}

fn command(name: &str, workspace: &Workspace, file: &Path, flags: &[&str]) -> Command {
    let mut command = workspace.command(&[name, "--file", file.to_str().unwrap()]);
    command.args(flags);
    command
}

/// The number before a label in a report.
fn count(report: &str, label: &str) -> usize {
    let line = report.lines().find_map(|line| line.strip_suffix(label)).unwrap();
    line.trim().parse().unwrap()
}

fn lines(file: &Path) -> Vec<String> {
    let mut text = String::new();
    GzDecoder::new(File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn write_gzip(file: &Path, text: &str) {
    let mut gzip = GzEncoder::new(File::create(file).unwrap(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap();
}

/// The users of the items with a matching `sk`.
fn users(items: &[String], is_included: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let items = items.iter().map(|item| serde_json::from_str::<Value>(item).unwrap());
    let included = items.filter(|item| is_included(item["sk"]["S"].as_str().unwrap()));
    included.map(|item| item["user_uuid"]["S"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn import_writes_exactly_the_exported_items() {
    let (from, to) = (filled().await, Workspace::new().await);
    let file = from.path("table.jsonl.gz");
    let report = succeed(command("export", &from, &file, &[]));
    let all = from.items();
    assert_eq!(count(&report, " items"), all.len());
    assert_eq!(count(&report, " users"), users(&all, |_| true).len());
    assert_eq!(count(&report, " bytes") as u64, fs::metadata(&file).unwrap().len());

    let lines = lines(&file);
    let header: Value = serde_json::from_str(&lines[0]).unwrap();
    let trailer: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    let sha256 = hex::encode(Sha256::digest(lines[..lines.len() - 1].concat()));
    assert_eq!((&header["scrip_export"], &header["table"]), (&json!(1), &json!("credits")));
    assert_eq!(lines.len(), all.len() + 2);
    assert_eq!(trailer["sha256"], sha256);
    assert!(report.contains(&sha256));
    assert!(lines.concat().len() > 2 << 20, "several pages");

    for written in ["alias_of", "statements", "revocations", "shortfalls", "fills"] {
        assert!(all.iter().any(|item| item.contains(&format!("\"{written}\":"))), "{written}");
    }
    assert!(all.iter().any(|item| item.contains("\"item_format\":{\"N\":\"3\"}")));
    let dry = succeed(command("import", &to, &file, &["--dry-run"]));
    assert_eq!(count(&dry, " items"), all.len());
    assert_eq!(to.items(), [""; 0]);
    let first = succeed(command("import", &to, &file, &[]));
    assert_eq!((count(&first, " items written"), count(&first, " items already present")), (all.len(), 0));
    assert_eq!(to.items(), all);
    let again = succeed(command("import", &to, &file, &[]));
    assert_eq!((count(&again, " items written"), count(&again, " items already present")), (0, all.len()));
    assert_eq!(to.items(), all);
    succeed(to.command(&["verify"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_import_continues() {
    let (from, to) = (filled().await, Workspace::new().await);
    let file = from.path("file");
    succeed(command("export", &from, &file, &[]));
    let all = from.items();
    let with_wallet = |items: &[String]| users(items, |sort| sort == "wallet").len();
    let records = all.len() - with_wallet(&all);
    for enough in [1, 500, 1_000, records + 5] {
        let mut importing = command("import", &to, &file, &[]);
        let mut child = importing.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while to.items().len() < enough && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(50));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let items = to.items();
        let wallets = with_wallet(&items);
        assert!(wallets == 0 || items.len() - wallets == records, "wallets follow all records");
    }
    let report = succeed(command("import", &to, &file, &[]));
    assert!(count(&report, " items already present") > records);
    assert_eq!(to.items(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_export_leaves_no_file_or_a_complete_one() {
    let from = filled().await;
    for nth in 0..4_u64 {
        let file = from.path(&format!("file-{nth}"));
        let mut child = command("export", &from, &file, &[]).stderr(Stdio::null()).spawn().unwrap();
        sleep(Duration::from_millis(60 * nth));
        child.kill().unwrap();
        child.wait().unwrap();
        if !file.exists() {
            succeed(command("export", &from, &file, &[]));
        }
        succeed(command("import", &from, &file, &["--dry-run"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_rejects_an_incomplete_or_changed_file() {
    let (from, to) = (Workspace::new().await, Workspace::new().await);
    use_ledger(&from.ledger().await, "u").await;
    let (whole, changed) = (from.path("whole"), from.path("changed"));
    succeed(command("export", &from, &whole, &[]));
    let (bytes, lines) = (fs::read(&whole).unwrap(), lines(&whole));
    let (header, rest) = lines.split_first().unwrap();
    let (trailer, items) = rest.split_last().unwrap();
    let body = items.concat();
    for (case, text, expected) in [
        ("no trailer", format!("{header}{body}"), "truncated"),
        ("half a trailer", format!("{header}{body}{}", &trailer[..20]), "has changed"),
        ("an item less", format!("{header}{}{trailer}", items[1..].concat()), "has changed"),
        ("another number", format!("{header}{}{trailer}", body.replacen("-6", "-5", 1)), "has changed"),
        ("another trailer", format!("{header}{body}{}", trailer.replacen(":8", ":9", 1)), "has changed"),
        ("more after the trailer", format!("{header}{body}{trailer}{trailer}"), "has changed"),
        ("a line without end", format!("{header}{}", " ".repeat(9 << 20)), "has changed"),
        ("no header", format!("{body}{trailer}"), "not written by scrip-ops export"),
        ("a foreign file", "id,credits\n1,10\n".to_owned(), "not written by scrip-ops export"),
        ("nothing", String::new(), "not written by scrip-ops export"),
        ("a later format", header.replacen(":1", ":2", 1), "another version"),
    ] {
        write_gzip(&changed, &text);
        let error = fail(command("import", &to, &changed, &[]));
        assert!(error.contains("changed: ") && error.contains(expected), "{case}: {error}");
    }
    let mut changed_bytes = bytes.clone();
    // In the checksum of gzip: elsewhere a changed bit may have no effect.
    changed_bytes[bytes.len() - 5] ^= 1;
    for (case, bytes, expected) in [
        ("truncated", &bytes[..bytes.len() / 2], "truncated"),
        ("cut off at its end", &bytes[..bytes.len() - 1], "truncated"),
        ("a changed byte", &changed_bytes, "has changed"),
        ("a plain file", b"{\"user_uuid\":\"u\",\"sk\":\"wallet\"}\n", "not written by scrip-ops export"),
        ("an empty file", b"", "truncated"),
    ] {
        fs::write(&changed, bytes).unwrap();
        let error = fail(command("import", &to, &changed, &[]));
        assert!(error.contains("changed: ") && error.contains(expected), "{case}: {error}");
    }
    assert_eq!(to.items(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn export_and_import_fail_in_one_line() {
    let (workspace, nowhere) = (Workspace::new().await, ["--dynamodb-endpoint", "http://127.0.0.1:1"]);
    use_ledger(&workspace.ledger().await, "u").await;
    let whole = workspace.path("whole");
    succeed(command("export", &workspace, &whole, &[]));
    let missing = ["--dynamodb-table", "missing"];
    for (name, file, flags, expected) in [
        ("export", "whole", &[][..], "already exists"),
        ("export", "no/folder", &[], "no/folder"),
        ("export", "new", &missing, "table missing: "),
        ("import", "none", &[], "none: "),
        ("import", "", &[], "directory"),
        ("import", "whole", &missing, "item user_uuid="),
    ] {
        let error = fail(command(name, &workspace, &workspace.path(file), flags));
        assert!(error.contains(expected), "{name} {file} {flags:?}: {error}");
    }
    for (name, file) in [("export", "new"), ("import", "whole")] {
        let mut elsewhere = Command::new(env!("CARGO_BIN_EXE_scrip-ops"));
        elsewhere.args([name, "--file", workspace.path(file).to_str().unwrap()]).args(nowhere);
        assert!(fail(elsewhere).contains("DynamoDB"), "{name}");
    }
    let mut left: Vec<_> =
        fs::read_dir(workspace.path("")).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["as_of", "whole"], "failed commands leave no files");
}

#[tokio::test(flavor = "multi_thread")]
async fn import_never_overwrites_an_item() {
    let (from, to) = (Workspace::new().await, Workspace::new().await);
    let file = from.path("file");
    use_ledger(&from.ledger().await, "u").await;
    use_ledger(&to.ledger().await, "u").await;
    succeed(command("export", &from, &file, &[]));
    let before = to.items();
    let error = fail(command("import", &to, &file, &[]));
    assert!(error.contains("user_uuid=\"u\" sk=\"") && error.contains("a different item"), "{error}");
    let after = to.items();
    assert!(before.iter().all(|item| after.contains(item)), "existing items are unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn export_writes_an_item_exactly_or_fails() {
    for (value, is_exported) in [
        (json!({ "N": "31.245270191439438" }), true),
        (json!({ "N": "-17" }), true),
        (json!({ "N": "123456789012345678901234567890" }), false),
        (json!({ "M": { "a": { "L": [{ "NULL": true }, { "BOOL": false }, { "S": "" }] } } }), true),
        (json!({ "B": "aGVsbG8=" }), false),
        (json!({ "SS": ["a", "b"] }), false),
    ] {
        let (from, to) = (Workspace::new().await, Workspace::new().await);
        let file = from.path("file");
        let item = json!({ "user_uuid": { "S": "u" }, "sk": { "S": "odd" }, "value": value });
        let put = json!({ "TableName": "credits", "Item": item });
        from.engine.put_item(serde_json::from_value(put).unwrap()).unwrap();
        if is_exported {
            succeed(command("export", &from, &file, &[]));
            succeed(command("import", &to, &file, &[]));
            assert_eq!(from.items(), to.items());
        } else {
            let error = fail(command("export", &from, &file, &[]));
            assert!(error.contains("user_uuid=\"u\" sk=\"odd\""), "{value}: {error}");
            assert!(!file.exists());
        }
    }
}
