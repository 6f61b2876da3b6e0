//! Limits of a cold start in instructions and bytes, which do not depend on the machine's load.

use std::{fs, path::Path};

use scrip_tests::{Clock, TestLedger, TlsProxy, instructions, start_embedded_engine};
use serde_json::json;
use tempfile::TempDir;

/// Largest size of the release build of `decrease`: a tenth above its present size.
const BYTES_MAX: u64 = 8_000_000;

/// Most instructions from its start to its first response, over TLS with one trusted authority.
/// It takes 6.3 million, and up to 7.9 on a busy machine, where it connects twice under
/// callgrind. The limit is a tenth above that.
const INSTRUCTIONS_MAX: u64 = 8_700_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs valgrind, and `cargo build --release -p scrip-decrease`"]
async fn cold_start_stays_within_its_limits() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/decrease");
    let bytes = fs::metadata(&program).expect("a release build").len();
    let engine = start_embedded_engine().await;
    let tls = TlsProxy::start(&engine).await;
    let ledger = TestLedger::at(&engine, Clock::running()).await;
    let folder = TempDir::new().expect("a folder");
    let authority = folder.path().join("authority.pem");
    fs::write(&authority, &tls.authority).expect("a file");
    let environment = [
        ("SCRIP_TABLE", &*ledger.table),
        ("AWS_ENDPOINT_URL_DYNAMODB", &tls.endpoint),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("SSL_CERT_FILE", authority.to_str().expect("UTF-8")),
    ];
    let charge = async |start| {
        let user = format!("u{start}");
        ledger.grant(&user, 100, None).await;
        let charge = json!({ "user_uuid": user, "trans_type": "chat", "credits": 8, "generation_uuid": "g" });
        vec![charge.to_string()]
    };

    let out = folder.path().join("callgrind");
    let count = instructions(&program, &environment, charge, &out).await;

    println!("{bytes} bytes, {count} instructions to the first response");
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    assert!(count <= INSTRUCTIONS_MAX, "{count} instructions");
}
