//! What a cold start may take, in instructions and bytes: these do not depend on what
//! a machine does besides, as time does.

use std::{fs, path::Path};

use scrip_tests::{Bench, Clock, Tls, embedded, instructions};
use serde_json::json;
use tempfile::TempDir;

/// How large the release build of `decrease` may be: a tenth above what it is.
const BYTES_MAX: u64 = 8_000_000;

/// How many instructions it may take from its start to its first answer, over TLS and
/// with one authority to trust. It takes 6.3 million, and up to 7.9 on a machine so busy
/// that, under callgrind, it makes a connection twice: a tenth above that.
const INSTRUCTIONS_MAX: u64 = 8_700_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs valgrind, and `cargo build --release -p scrip-decrease`"]
async fn a_cold_start_keeps_within_its_limits() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/decrease");
    let bytes = fs::metadata(&program).expect("a release build").len();
    let engine = embedded().await;
    let tls = Tls::before(&engine).await;
    let bench = Bench::at(&engine, Clock::running()).await;
    let folder = TempDir::new().expect("a folder");
    let authority = folder.path().join("authority.pem");
    fs::write(&authority, &tls.authority).expect("a file");
    let environment = [
        ("SCRIP_TABLE", &*bench.table),
        ("AWS_ENDPOINT_URL_DYNAMODB", &tls.endpoint),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
        ("SSL_CERT_FILE", authority.to_str().expect("UTF-8")),
    ];
    let charge = async |start| {
        let user = format!("u{start}");
        bench.grant(&user, 100, None).await;
        let charge = json!({ "user_uuid": user, "trans_type": "chat", "credits": 8, "generation_uuid": "g" });
        vec![charge.to_string()]
    };

    let out = folder.path().join("callgrind");
    let count = instructions(&program, &environment, charge, &out).await;

    println!("{bytes} bytes, {count} instructions to the first answer");
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
    assert!(count <= INSTRUCTIONS_MAX, "{count} instructions");
}
