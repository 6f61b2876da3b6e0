//! Grants what the old charges cost a user too much, once for each user.
//!
//! The key of a grant names the expiry of the credits that the user lacks, and neither
//! the run nor its folder, so that every later run replays it. A run that computes other
//! amounts, because it is as of a later moment, grants nothing.

use scrip::{
    domain::{Credits, GrantRequest, GrantType, LedgerError, Record, RecordKey, Timestamp},
    ledger::Ledger,
    store::StoredItem,
};

use super::stopped;
use crate::{
    cli_error::{CliError, invocation},
    plan::UserPlan,
};

/// How the key of a grant begins.
const KEY: &str = "migration-shortfall-";
/// How the keys of earlier versions began: the moment of the run and the number of the part
/// followed.
const KEY_OF_RUN: &str = "migration-";
/// How many digits such a moment has, in milliseconds.
const MOMENT_DIGITS: usize = 13;

/// Credits that a user lacks, and when they expire.
pub(super) type Part = (Option<Timestamp>, Credits);

/// What a run did about the credits that a user lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compensation {
    /// Nothing: the user lacks none that could still be used, or the run was not asked to.
    None,
    /// It granted so many credits.
    Granted(u64),
    /// Nothing: an earlier run granted them.
    GrantedBefore,
    /// Nothing: an earlier run granted other amounts, which this text names.
    Differs(String),
}

/// Grants what a user lacks and no run has granted yet.
pub(super) async fn compensate(
    moved: &UserPlan,
    earlier: &[Part],
    ledger: &Ledger,
    as_of: Timestamp,
) -> Result<Compensation, CliError> {
    let differs = || Compensation::Differs(describe_difference(earlier, &moved.shortfall));
    let Some(missing) = missing(&moved.shortfall, earlier, as_of, ledger.now()) else { return Ok(differs()) };
    let mut granted = 0;
    for (expired_at, credits) in missing {
        let request = GrantRequest {
            user: moved.user.clone(),
            trans_type: GrantType::SystemAdd,
            credits,
            order_no: None,
            expired_at,
            key: key(expired_at).try_into().ok(),
        };
        match ledger.execute(&request, &invocation(ledger)).await {
            Ok(written) if written.replayed => {}
            Ok(_) => granted += credits.as_u64(),
            // Another run granted another amount since the records were read.
            Err(LedgerError::IdempotencyConflict(_)) => return Ok(differs()),
            Err(error) => return Err(stopped(&moved.user, &error)),
        }
    }
    Ok(match (granted, earlier) {
        (1.., _) => Compensation::Granted(granted),
        (0, []) => Compensation::None,
        (0, _) => Compensation::GrantedBefore,
    })
}

/// What earlier runs granted, by a user's items, in the order of expiry.
pub(super) fn granted_before(items: &[StoredItem]) -> Vec<Part> {
    let mut parts: Vec<_> =
        items
            .iter()
            .filter_map(|item| match item {
                StoredItem::Record {
                    key: RecordKey::KeyedGrant(key), record: Record::Grant(grant), ..
                } if is_compensation(&key.to_string()) => Some((grant.expired_at, grant.credits)),
                _ => None,
            })
            .collect();
    parts.sort_by_key(|(expired_at, _)| (expired_at.is_none(), *expired_at));
    parts
}

/// Which planned parts are still to be granted; none at all, where earlier runs granted
/// by another plan.
///
/// A run grants the parts in the order of expiry, so one that was killed leaves the first
/// of them. A plan as of a later moment that begins with the same parts ends with the same
/// ones too: each amount depends on the sum of all that follow.
fn missing(planned: &[Part], earlier: &[Part], as_of: Timestamp, now: Timestamp) -> Option<Vec<Part>> {
    let is_after = |moment: Timestamp| move |(end, _): &&Part| end.is_none_or(|end| moment < end);
    let usable: Vec<_> = planned.iter().filter(is_after(now)).copied().collect();
    // A plan has nothing that has expired by its moment.
    let comparable: Vec<_> = earlier.iter().filter(is_after(as_of)).copied().collect();
    let Some(last) = comparable.last() else {
        return (earlier.is_empty() || usable.is_empty()).then_some(usable);
    };
    let granted = planned.iter().position(|part| part == last)? + 1;
    let (first, rest) = planned.split_at(granted);
    // Of the first ones, a run skips those that expired before it granted them.
    let mut left = comparable.iter();
    let is_skippable = |part: &Part| part.0.is_some_and(|end| end <= now);
    let mut next = left.next();
    for part in first {
        if next == Some(part) {
            next = left.next();
        } else if !is_skippable(part) {
            return None;
        }
    }
    next.is_none().then(|| rest.iter().filter(is_after(now)).copied().collect())
}

fn describe_difference(earlier: &[Part], planned: &[Part]) -> String {
    let describe = |parts: &[Part]| {
        let part = |(expired_at, credits): &Part| match expired_at {
            Some(end) => format!("{credits} until {end}"),
            None => format!("{credits} for ever"),
        };
        if parts.is_empty() {
            "none".to_owned()
        } else {
            parts.iter().map(part).collect::<Vec<_>>().join(", ")
        }
    };
    format!(
        "granted by an earlier run: {}; by this run's plan: {}; nothing was granted",
        describe(earlier),
        describe(planned)
    )
}

fn key(expired_at: Option<Timestamp>) -> String {
    expired_at.map_or_else(|| format!("{KEY}never"), |end| format!("{KEY}{}", end.millis()))
}

/// Whether a grant's key is of this kind, or of the one before.
fn is_compensation(key: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let of_run = key.strip_prefix(KEY_OF_RUN).and_then(|rest| rest.split_once('-'));
    key.starts_with(KEY)
        || of_run.is_some_and(|(moment, number)| {
            moment.len() == MOMENT_DIGITS && is_number(moment) && is_number(number)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    fn parts(parts: &[(i64, u64)]) -> Vec<Part> {
        let part = |(end, credits): &(i64, u64)| {
            ((*end != i64::MAX).then(|| at(*end)), Credits::try_from(*credits).unwrap())
        };
        parts.iter().map(part).collect()
    }

    #[test]
    fn a_later_run_grants_the_rest_of_the_same_plan_alone() {
        const EVER: i64 = i64::MAX;
        let plan = [(10, 1), (20, 2), (30, 3), (EVER, 4)];
        for (planned, earlier, as_of, now, expected) in [
            (&plan[..], &[][..], 5, 5, Some(&plan[..])),
            // Killed in between, and run again from the same folder.
            (&plan, &plan[..1], 5, 5, Some(&plan[1..])),
            (&plan, &plan[..3], 5, 5, Some(&plan[3..])),
            (&plan, &plan, 5, 5, Some(&[])),
            // Again when some have expired.
            (&plan, &[], 5, 15, Some(&plan[1..])),
            (&plan, &plan[1..2], 5, 15, Some(&plan[2..])),
            (&plan, &plan[..1], 5, 25, Some(&plan[2..])),
            // From another folder.
            (&plan[1..], &plan, 15, 15, Some(&[])),
            (&plan[1..], &plan[..2], 15, 15, Some(&plan[2..])),
            (&[], &plan[..1], 15, 15, Some(&[])),
            // Another plan: less, more, fewer parts, other ones.
            (&[(20, 1)], &plan, 15, 15, None),
            (&[(20, 5), (30, 3), (EVER, 4)], &plan, 15, 15, None),
            (&plan, &plan[1..], 5, 5, None),
            (&plan[1..], &plan[..1], 15, 15, None),
            (&[], &plan, 5, 5, None),
            // Two runs granted.
            (&plan[..1], &[(10, 1), (10, 1)], 5, 5, None),
        ] {
            let found = missing(&parts(planned), &parts(earlier), at(as_of), at(now));
            assert_eq!(found, expected.map(parts), "{planned:?}, {earlier:?}, {as_of}, {now}");
        }
    }

    #[test]
    fn keys_of_this_version_and_of_the_one_before_are_recognized() {
        assert_eq!(key(Some(at(1_767_225_600_000))), "migration-shortfall-1767225600000");
        assert_eq!(key(None), "migration-shortfall-never");
        let keys = [&key(None), &key(Some(at(5))), "migration-1767225600000-0", "migration-1767225600000-12"];
        assert!(keys.into_iter().all(is_compensation));
        let others = ["migration-0", "migration-2026-1", "migration-1767225600000-", "migration-x", "k"];
        assert!(!others.into_iter().any(is_compensation));
    }
}
