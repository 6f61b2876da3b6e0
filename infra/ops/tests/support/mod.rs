//! Helpers of tests: old tables with generated data, and a table with a folder.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

pub mod legacy_data_gen;
pub mod legacy_tables;
pub mod origin_data_gen;
pub mod workspace;
