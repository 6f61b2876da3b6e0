//! Tests of the deployment: the output of `sam build` in ministack, an emulator of AWS; alarms
//! and workflows also in moto, another one; and the functions as cargo-lambda serves them.
//!
//! The tests need tools that `.ci/run` installs below `target/ci`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by panicking")]
#![allow(unreachable_pub, reason = "modules of one test binary")]

mod account;
mod alarms;
mod aws_fakes;
mod cargo_lambda;
mod cloud;
mod execution;
mod http;
mod moto;
mod process;
mod scenarios;
mod workflows;
