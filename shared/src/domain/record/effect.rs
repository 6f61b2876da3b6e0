//! Effects: what a change of a record does to packs and totals. Wallet, audit and
//! metrics fold over them, so that a new kind of record leaves those alone.

use super::Grant;
use crate::domain::{Credits, InvocationId, Timestamp, TransNo, TransType};

/// One change that a record made.
#[derive(Clone, Debug)]
pub struct Change<'a> {
    /// The version that the change gave the wallet.
    pub at: Timestamp,
    /// Who made it.
    pub origin: ChangeOrigin,
    /// What it did.
    pub effect: Effect<'a>,
}

/// What a change does to the wallet.
#[derive(Clone, Debug)]
pub enum Effect<'a> {
    /// A record is counted in the totals.
    Created(TransType, Credits),
    /// A record is counted as voided.
    Voided(TransType, Credits),
    /// A pack is added.
    Granted(&'a Grant),
    /// Credits are taken from a pack.
    Taken(&'a Grant, Credits),
    /// Credits are given back to the pack that they were taken from.
    Returned(&'a Grant, Credits),
    /// A fence is counted.
    Fenced,
}

/// The invocation that made a change, by the trace that it left in the record.
#[derive(Clone, Copy, Debug)]
pub enum ChangeOrigin {
    /// The identity of the record that it created.
    TransNo(TransNo),
    /// Its id.
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
