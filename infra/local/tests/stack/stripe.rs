//! Events of Stripe that Stripe's own library signs.

use std::{path::Path, process::Command};

use scrip_tests::process::succeed;

use crate::support::Stack;

/// Two, as during a rotation.
const SECRETS: [&str; 2] = ["whsec_the-first-of-the-story", "whsec_the-second-of-the-story"];

/// `.ci/run` installs the npm package in `target/ci/stripe`. `SCRIP_STRIPE_ORDERS` orders of the
/// eight events are tried, by `SCRIP_SEED`.
#[test]
#[ignore = "needs Node, and its package below target/ci/stripe"]
fn stripes_library_signs_events_for_the_stack() {
    let stack = Stack::start(&["--memory", "--stripe-secret", SECRETS[0], "--stripe-secret", SECRETS[1]]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec", "tests/stripe/events.test.mjs"]).current_dir(folder);
    node.env("SCRIP_URL", &stack.url).env("SCRIP_STRIPE_SECRETS", SECRETS.join(" "));
    node.env("SCRIP_STRIPE_TOOLS", folder.join("../../target/ci/stripe"));
    succeed(node);
}
