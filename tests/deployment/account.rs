//! The stories for a stack in an AWS account, `tests/account`, on the deployment in ministack.

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
