//! Scrip: a prepaid-credit ledger for AI-generation apps, on DynamoDB.
//!
//! Imports point one way: [`transport`] -> [`ledger`] -> [`store`] -> [`domain`],
//! and beside the ledger [`transport`] -> [`payments`] -> [`callback`] -> [`domain`].
//! `docs/ARCHITECTURE.md` is the map and lists the invariants.

mod aws_config;
pub mod callback;
pub mod domain;
mod environment;
pub mod invocation_metrics;
pub mod ledger;
pub mod payments;
pub mod store;
pub mod transport;
