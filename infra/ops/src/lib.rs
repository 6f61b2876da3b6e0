//! The operator's commands: migration from the old table of credits and rollback, export
//! and import of the ledger's table, verification, comparison with a payment provider,
//! repair of a wallet, and a load generator.
//!
//! The old table has one kind of row: positive for grants and refunds, negative for
//! charges. A balance is the sum of the unexpired rows.

pub mod bench;
pub mod cli_error;
pub mod copy;
pub mod legacy;
pub mod migrate;
pub mod order_numbers;
pub mod orders;
pub mod plan;
pub mod progress;
pub mod repair;
pub mod rollback;
pub mod unblock;
pub mod users;
pub mod verify;
