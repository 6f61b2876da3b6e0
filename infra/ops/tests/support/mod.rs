//! A PostgreSQL for tests, and old data to put into it.

#![allow(dead_code, unreachable_pub, reason = "no test needs all of it")]
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

pub mod legacy_data_gen;
pub mod postgres;
pub mod workspace;
