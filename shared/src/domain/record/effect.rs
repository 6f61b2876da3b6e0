//! Effects: what a change of a record does to packs and sums. Wallet, audit and metrics fold
//! over them, so that a new kind of record does not change those.

use super::{Charge, Grant, ShortfallFill};
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
    /// Adds the debt of an order, for which so many parts of other packs have paid.
    OrderOwed(&'a Grant, Credits, usize),
    /// Reduces the debt of this record, which gets so many parts of packs.
    Repaid(TransNo, Credits, usize),
    /// Adds to the sum of revoked credits.
    Revoked(Credits),
    /// Reduces the sum of revoked credits.
    Restored(Credits),
    /// Adds a shortfall: credits that were revoked after they were spent.
    ShortfallAdded(&'a Grant, Credits),
    /// Reduces a shortfall.
    ShortfallReduced(&'a Grant, Credits),
    /// Keeps returned credits, which fill the shortfall of the grant.
    Filled(&'a Grant, Credits),
    /// Adds a fence.
    Fenced,
}

impl<'a> Effect<'a> {
    /// Adds the fills of shortfalls by the credits that these effects return.
    pub(in crate::domain) fn add_fills(effects: &mut Vec<Effect<'a>>, fills: &[ShortfallFill]) {
        for fill in fills {
            let grant = effects.iter().find_map(|effect| match effect {
                Effect::Returned(grant, _) if grant.trans_no == fill.pack => Some(*grant),
                _ => None,
            });
            effects.extend(grant.map(|grant| Effect::Filled(grant, fill.credits)));
        }
    }

    /// Whether it changes a pack, a debt, a shortfall or the revoked credits by nothing.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Effect::Created(..)
            | Effect::Adjusted(..)
            | Effect::Voided(..)
            | Effect::Granted(_)
            | Effect::Fenced => false,
            Effect::Taken(_, credits)
            | Effect::Returned(_, credits)
            | Effect::Owed(_, credits, _)
            | Effect::OrderOwed(_, credits, _)
            | Effect::Repaid(_, credits, _)
            | Effect::Revoked(credits)
            | Effect::Restored(credits)
            | Effect::ShortfallAdded(_, credits)
            | Effect::ShortfallReduced(_, credits)
            | Effect::Filled(_, credits) => credits.is_zero(),
        }
    }
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
