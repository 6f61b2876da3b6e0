//! The entries of a timeline.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{
    Credits, GenerationId, Metadata, OrderNo, OutputSet, Outputs, Reason, Timestamp, TransNo, TransType,
};

/// The fields of a record that the timeline shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The identity of the record, with its creation time.
    pub trans_no: TransNo,
    /// The type. Charges take credits, all other types add them.
    pub trans_type: TransType,
    /// The credits at the creation, as a positive number.
    pub credits: Credits,
    /// The order of the request.
    pub order_no: Option<OrderNo>,
    /// The generation of a charge.
    pub generation: Option<GenerationId>,
    /// The expiry of a grant.
    pub expired_at: Option<Timestamp>,
    /// The caller's own fields.
    pub metadata: Metadata,
    /// The number of outputs of a charge.
    pub outputs: Option<Outputs>,
    /// The outputs that were refunded before the void, with the times.
    pub returned_outputs: BTreeMap<u8, Timestamp>,
    /// The time and the cost of the settlement of a charge.
    pub settled: Option<(Timestamp, Credits)>,
    /// The end of the hold of a charge.
    pub hold_until: Option<Timestamp>,
    /// The revoked credits of a grant after each change, by its time.
    pub revoked: BTreeMap<Timestamp, Credits>,
    /// When a provider reported success after the void.
    pub late_success_at: Option<Timestamp>,
    /// The time and reason of the void of a charge.
    pub void: Option<(Timestamp, Reason)>,
}

impl Entry {
    /// The entry at a time: without later changes; `None` if the record itself is later. A
    /// late success changes no credits, and is ignored.
    pub fn as_of(mut self, time: Option<Timestamp>) -> Option<Entry> {
        let is_later = |at: Timestamp| time.is_some_and(|time| time < at);
        self.void = self.void.filter(|(at, _)| !is_later(*at));
        self.settled = self.settled.filter(|(at, _)| !is_later(*at));
        self.returned_outputs.retain(|_, at| !is_later(*at));
        self.revoked.retain(|at, _| !is_later(*at));
        self.late_success_at = None;
        (!is_later(self.trans_no.created_at())).then_some(self)
    }

    /// What a charge costs, or cost before its void; the credits of a grant.
    pub fn cost(&self) -> Credits {
        let returned: Vec<_> = self.returned_outputs.keys().copied().collect();
        let returned = self.outputs.zip(OutputSet::try_from(returned).ok());
        let returned = returned.map_or(Credits::ZERO, |(of, outputs)| of.worth(self.credits, &outputs));
        let settled = self.settled.map_or(self.credits, |(_, cost)| cost);
        settled.checked_sub(returned).unwrap_or_default()
    }

    /// The revoked credits of a grant, unless there are none.
    pub fn revoked_credits(&self) -> Option<Credits> {
        self.revoked.values().last().copied().filter(|credits| !credits.is_zero())
    }

    /// A hash of the content: two hashes of 64 bits with different seeds.
    pub fn fingerprint(&self) -> u128 {
        let hash = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, self).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        hash(0) << 64 | hash(1)
    }
}
