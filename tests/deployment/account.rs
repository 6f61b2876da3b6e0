//! What a user does with an AWS account, in ministack: the commands of the runbooks, and the stories
//! of `tests/account`.

use std::path::Path;

use serde_json::json;

use crate::{
    cloud::{Cloud, STACK},
    process::{ROOT, command, tool},
};

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn stories_for_an_account_pass_on_the_emulator() {
    let cloud = Cloud::deployed();
    let claims = json!({ "sub": "app", "scope": "credits:read credits:write" });
    let mut stories = command(tool("sam/bin/python"));
    stories.args(["tests/account/stories.py", "run"]).current_dir(ROOT).envs([
        ("AWS_ENDPOINT_URL", cloud.endpoint.as_str()),
        ("SCRIP_STACK", STACK),
        ("SCRIP_API_URL", &cloud.api_url()),
        ("SCRIP_TOKEN_COMMAND", &format!("echo {}", cloud.fakes.token(&claims))),
        ("SCRIP_RELEASE", "1"),
    ]);
    let output = stories.output().expect("Python starts");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(output.status.success() && !text.contains("left out"), "{text}");
}

#[test]
#[ignore = "needs ministack, sam and cargo-lambda, which .ci/run installs"]
fn runbooks_run_as_they_are_written() {
    let cloud = Cloud::deployed();
    let mut reader = command(tool("sam/bin/python"));
    reader.current_dir(ROOT).env("AWS_ENDPOINT_URL", &cloud.endpoint).arg("tests/deployment/runbooks.py");
    let release = format!("release/scrip-{}-x86_64", env!("CARGO_PKG_VERSION"));
    let programs = Path::new(ROOT).join("target/debug/scrip-ops");
    let output = reader.arg(tool(&release)).arg(tool("")).arg(programs).output().expect("Python starts");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("text");
    assert!(output.status.success(), "{text}");
}
