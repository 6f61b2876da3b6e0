//! Scrip: a prepaid-credit ledger for AI-generation apps, on DynamoDB.
//!
//! Imports point one way: [`transport`] -> [`ledger`] -> [`store`] -> [`domain`].
//! `docs/ARCHITECTURE.md` is the map and lists the invariants.

pub mod domain;
pub mod ledger;
pub mod store;
pub mod transport;
