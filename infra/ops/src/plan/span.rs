use scrip::domain::Timestamp;

/// Until when credits count, seen from now. In the order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Span {
    /// No more.
    Over,
    /// Until then.
    Until(Timestamp),
    /// For ever.
    Ever,
}

impl Span {
    /// The span of what expires then.
    pub(super) fn of(expired_at: Option<Timestamp>, now: Timestamp) -> Span {
        match expired_at {
            None => Span::Ever,
            Some(at) if at <= now => Span::Over,
            Some(at) => Span::Until(at),
        }
    }

    /// When what has this span expires.
    pub(super) fn expired_at(self) -> Option<Timestamp> {
        if let Span::Until(at) = self { Some(at) } else { None }
    }
}
