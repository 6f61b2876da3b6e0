//! The binary of the local stack: its flags, its two ports, and how it stops.

mod console;
mod crash_recovery;
mod engine;
mod flags;
mod holds;
mod http_api;
mod metrics;
mod openapi;
mod secrets;
mod shutdown;
mod stripe;
mod support;
mod test_clock;
mod tokens;
