//! A record as a timeline shows it.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Credits, GenerationId, OrderNo, Reason, Timestamp, TransNo, TransType};

/// A record without what the timeline does not show.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its identity and moment.
    pub trans_no: TransNo,
    /// What it is for; a charge's credits went, all others' came.
    pub trans_type: TransType,
    /// How many, as a positive number.
    pub credits: Credits,
    /// The order it names.
    pub order_no: Option<OrderNo>,
    /// The generation it names.
    pub generation: Option<GenerationId>,
    /// When a grant runs out.
    pub expired_at: Option<Timestamp>,
    /// When and why a charge was voided.
    pub void: Option<(Timestamp, Reason)>,
}

impl Entry {
    /// The entry as of a moment: without a void that came later, and nothing where the
    /// record itself came later.
    pub fn as_of(self, moment: Option<Timestamp>) -> Option<Entry> {
        let is_later = |at: Timestamp| moment.is_some_and(|moment| moment < at);
        let void = self.void.filter(|(at, _)| !is_later(*at));
        (!is_later(self.trans_no.created_at())).then_some(Entry { void, ..self })
    }

    /// A number by which entries with other contents differ: two hashes of 64 bits.
    pub fn fingerprint(&self) -> u128 {
        let hash = |seed: u8| {
            let mut hasher = DefaultHasher::new();
            (seed, self).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        hash(0) << 64 | hash(1)
    }
}
