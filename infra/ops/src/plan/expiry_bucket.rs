//! Groups credits by their expiry.

use scrip::domain::Timestamp;

/// Expiry as of the migration, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ExpiryBucket {
    Expired,
    Until(Timestamp),
    Never,
}

impl ExpiryBucket {
    pub(super) fn new(expired_at: Option<Timestamp>, now: Timestamp) -> ExpiryBucket {
        match expired_at {
            None => ExpiryBucket::Never,
            Some(at) if at <= now => ExpiryBucket::Expired,
            Some(at) => ExpiryBucket::Until(at),
        }
    }

    pub(super) fn expired_at(self) -> Option<Timestamp> {
        if let ExpiryBucket::Until(at) = self { Some(at) } else { None }
    }
}
