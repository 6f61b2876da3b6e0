//! The functions on a real engine, through the official SDK, one table a test.

mod races;
mod refunds;
