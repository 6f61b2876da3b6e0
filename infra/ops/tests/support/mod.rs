//! A PostgreSQL for tests, and old data to put into it.

#![allow(dead_code, unreachable_pub, reason = "no test needs all of it")]
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

pub mod oddities;
pub mod place;
pub mod postgres;
