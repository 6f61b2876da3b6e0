//! Effects: what a change of a record does to packs and sums. Wallet, audit and metrics fold
//! over them, so that a new kind of record does not change those.

use super::{Charge, Grant};
use crate::domain::{Credits, InvocationId, Timestamp, TransNo, TransType};

/// A change of a wallet, as a record stores it.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The version of the wallet after the change.
    pub at: Timestamp,
    /// The invocation that made the change.
    pub origin: ChangeOrigin,
    /// The effect.
    pub effect: Effect<'a>,
}

/// The effect of a change on the wallet.
#[derive(Clone, Debug)]
pub enum Effect<'a> {
    /// Adds a record to the sums.
    Created(TransType, Credits),
    /// Changes the cost of a charge in the sums: the cost before and after.
    Adjusted(TransType, Credits, Credits),
    /// Adds a record to the sums of voided records.
    Voided(TransType, Credits),
    /// Adds a pack.
    Granted(&'a Grant),
    /// Takes credits from a pack.
    Taken(&'a Grant, Credits),
    /// Returns credits to the pack that they were taken from.
    Returned(&'a Grant, Credits),
    /// Adds the debt of a charge that consists of so many parts of packs.
    Owed(&'a Charge, Credits, usize),
    /// Reduces the debt of a charge, which gets so many parts of packs.
    Repaid(&'a Charge, Credits, usize),
    /// Adds a fence.
    Fenced,
}

/// The invocation that made a change, as the record stores it.
#[derive(Clone, Copy, Debug)]
pub enum ChangeOrigin {
    /// In the identity of the record.
    TransNo(TransNo),
    /// By its id.
    Invocation(InvocationId),
}

impl ChangeOrigin {
    /// Whether this invocation made the change.
    pub fn is_invocation(self, invocation: InvocationId) -> bool {
        match self {
            ChangeOrigin::TransNo(trans_no) => trans_no.is_from(invocation),
            ChangeOrigin::Invocation(id) => id == invocation,
        }
    }
}
