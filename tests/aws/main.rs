//! The whole as it is deployed: what `sam build` makes of the template, in a
//! stand-in of AWS; the alarms in another, which knows their arithmetic; and the functions one by one, as cargo-lambda serves them.
//!
//! Each of these tests needs tools that `.ci/run` installs below `target/ci`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by panicking")]
#![allow(unreachable_pub, reason = "modules of one test")]

mod alarms;
mod cloud;
mod http;
mod moto;
mod outside;
mod process;
mod run;
mod story;
mod watch;
mod workflows;
