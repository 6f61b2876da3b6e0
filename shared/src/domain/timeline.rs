//! The entries of a timeline.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Credits, GenerationId, Metadata, OrderNo, Reason, Timestamp, TransNo, TransType};

/// The fields of a record that the timeline shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The identity of the record, with its creation time.
    pub trans_no: TransNo,
    /// The type. Charges take credits, all other types add them.
    pub trans_type: TransType,
    /// The credits, as a positive number.
    pub credits: Credits,
    /// The order of the request.
    pub order_no: Option<OrderNo>,
    /// The generation of a charge.
    pub generation: Option<GenerationId>,
    /// The expiry of a grant.
    pub expired_at: Option<Timestamp>,
    /// The caller's own fields.
    pub metadata: Metadata,
    /// The time and reason of the void of a charge.
    pub void: Option<(Timestamp, Reason)>,
}

impl Entry {
    /// The entry at a time: without a later void; `None` if the record itself is later.
    pub fn as_of(self, time: Option<Timestamp>) -> Option<Entry> {
        let is_later = |at: Timestamp| time.is_some_and(|time| time < at);
        let void = self.void.filter(|(at, _)| !is_later(*at));
        (!is_later(self.trans_no.created_at())).then_some(Entry { void, ..self })
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
