//! Grants each user once the credits that expired because an old charge was one row.
//!
//! The key of a grant names the expiry of the credits that the user lacks, and neither
//! the run nor its folder, so that every later run replays it. A run that computes other
//! amounts, because it is as of a later moment, grants nothing.

use scrip::{
    domain::{
        Credits, GrantRecord, GrantRequest, GrantType, LedgerError, Metadata, Record, RecordKey, Timestamp,
    },
    ledger::Ledger,
    store::StoredItem,
};

use super::ledger_error;
use crate::{
    cli_error::{CliError, invocation},
    plan::UserPlan,
};

/// Prefix of the idempotency key of a grant.
const KEY_PREFIX: &str = "migration-shortfall-";
/// Prefix of the keys of earlier versions. The moment of the run and a number follow.
const OLD_KEY_PREFIX: &str = "migration-";
/// Digits of such a moment, in milliseconds since 1970.
const MOMENT_DIGITS: usize = 13;

/// Expiry and amount of credits that a user lacks.
pub(super) type Part = (Option<Timestamp>, Credits);

/// The grants of a run for a user's shortfall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compensation {
    /// The user lacks no usable credits, or the run had no `--mend`.
    None,
    /// The sum of the grants, in credits.
    Granted(u64),
    /// An earlier run granted all.
    GrantedBefore,
    /// An earlier run granted other amounts, which the text names. This run granted none.
    Differs(String),
}

/// Grants the lacking credits that no run has granted yet.
pub(super) async fn compensate(
    user_plan: &UserPlan,
    earlier: &[Part],
    ledger: &Ledger,
    as_of: Timestamp,
) -> Result<Compensation, CliError> {
    let differs = || Compensation::Differs(describe_difference(earlier, &user_plan.shortfall));
    let Some(missing) = missing(&user_plan.shortfall, earlier, as_of, ledger.now()) else {
        return Ok(differs());
    };
    let mut granted = 0;
    for (expired_at, credits) in missing {
        let request = GrantRequest {
            user: user_plan.user.clone(),
            trans_type: GrantType::SystemAdd,
            credits,
            order_no: None,
            expired_at,
            key: key(expired_at).try_into().ok(),
            metadata: Metadata::default(),
        };
        match ledger.execute(&request, &invocation(ledger)).await {
            Ok(grant) if grant.replayed => {}
            Ok(_) => granted += credits.as_u64(),
            // Since the records were read, another run granted another amount.
            Err(LedgerError::IdempotencyConflict(_)) => return Ok(differs()),
            Err(error) => return Err(ledger_error(&user_plan.user, &error)),
        }
    }
    Ok(match (granted, earlier) {
        (1.., _) => Compensation::Granted(granted),
        (0, []) => Compensation::None,
        (0, _) => Compensation::GrantedBefore,
    })
}

/// The grants of earlier runs among a user's items, in the order of expiry.
pub(super) fn granted_before(items: &[StoredItem]) -> Vec<Part> {
    let mut parts: Vec<_> = items
        .iter()
        .filter_map(|item| match item {
            StoredItem::Record {
                key: RecordKey::KeyedGrant(key),
                record: Record::Grant(GrantRecord { grant, .. }),
                ..
            } if is_compensation(&key.to_string()) => Some((grant.expired_at, grant.credits)),
            _ => None,
        })
        .collect();
    parts.sort_by_key(|(expired_at, _)| (expired_at.is_none(), *expired_at));
    parts
}

/// The planned parts that are still to be granted, or `None` if earlier runs granted by
/// another plan.
///
/// A run grants the parts in the order of expiry, so a killed run has granted the first
/// ones. A plan as of a later moment that begins with the same parts ends with the same
/// ones too, because each amount depends on the sum of all that follow.
fn missing(planned: &[Part], earlier: &[Part], as_of: Timestamp, now: Timestamp) -> Option<Vec<Part>> {
    let expires_after = |at: Timestamp| move |(expiry, _): &&Part| expiry.is_none_or(|expiry| at < expiry);
    let usable: Vec<_> = planned.iter().filter(expires_after(now)).copied().collect();
    // A plan has no part that expires by its moment.
    let comparable: Vec<_> = earlier.iter().filter(expires_after(as_of)).copied().collect();
    let Some(last) = comparable.last() else {
        return (earlier.is_empty() || usable.is_empty()).then_some(usable);
    };
    let granted = planned.iter().position(|part| part == last)? + 1;
    let (first, rest) = planned.split_at(granted);
    // A run skips parts that expired before it could grant them.
    let mut earlier_parts = comparable.iter();
    let is_skippable = |part: &Part| part.0.is_some_and(|expiry| expiry <= now);
    let mut next = earlier_parts.next();
    for part in first {
        if next == Some(part) {
            next = earlier_parts.next();
        } else if !is_skippable(part) {
            return None;
        }
    }
    next.is_none().then(|| rest.iter().filter(expires_after(now)).copied().collect())
}

fn describe_difference(earlier: &[Part], planned: &[Part]) -> String {
    let describe = |parts: &[Part]| {
        let part = |(expired_at, credits): &Part| match expired_at {
            Some(expiry) => format!("{credits} until {expiry}"),
            None => format!("{credits} without expiry"),
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
    expired_at
        .map_or_else(|| format!("{KEY_PREFIX}never"), |expiry| format!("{KEY_PREFIX}{}", expiry.millis()))
}

/// Whether a key belongs to a grant for a shortfall, of this version or an earlier one.
fn is_compensation(key: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let old_suffix = key.strip_prefix(OLD_KEY_PREFIX).and_then(|rest| rest.split_once('-'));
    key.starts_with(KEY_PREFIX)
        || old_suffix.is_some_and(|(moment, number)| {
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
        let part = |(expiry, credits): &(i64, u64)| {
            ((*expiry != i64::MAX).then(|| at(*expiry)), Credits::try_from(*credits).unwrap())
        };
        parts.iter().map(part).collect()
    }

    #[test]
    fn repeated_run_grants_only_the_rest_of_the_same_plan() {
        const NEVER: i64 = i64::MAX;
        let plan = [(10, 1), (20, 2), (30, 3), (NEVER, 4)];
        for (planned, earlier, as_of, now, expected) in [
            (&plan[..], &[][..], 5, 5, Some(&plan[..])),
            // The first run was killed; the same folder.
            (&plan, &plan[..1], 5, 5, Some(&plan[1..])),
            (&plan, &plan[..3], 5, 5, Some(&plan[3..])),
            (&plan, &plan, 5, 5, Some(&[])),
            // The first part has expired since.
            (&plan, &[], 5, 15, Some(&plan[1..])),
            (&plan, &plan[1..2], 5, 15, Some(&plan[2..])),
            (&plan, &plan[..1], 5, 25, Some(&plan[2..])),
            // Another folder.
            (&plan[1..], &plan, 15, 15, Some(&[])),
            (&plan[1..], &plan[..2], 15, 15, Some(&plan[2..])),
            (&[], &plan[..1], 15, 15, Some(&[])),
            // Another plan: less, more, fewer parts, other parts.
            (&[(20, 1)], &plan, 15, 15, None),
            (&[(20, 5), (30, 3), (NEVER, 4)], &plan, 15, 15, None),
            (&plan, &plan[1..], 5, 5, None),
            (&plan[1..], &plan[..1], 15, 15, None),
            (&[], &plan, 5, 5, None),
            // Two runs granted the same part.
            (&plan[..1], &[(10, 1), (10, 1)], 5, 5, None),
        ] {
            let found = missing(&parts(planned), &parts(earlier), at(as_of), at(now));
            assert_eq!(found, expected.map(parts), "{planned:?}, {earlier:?}, {as_of}, {now}");
        }
    }

    #[test]
    fn keys_of_this_and_earlier_versions_are_recognized() {
        assert_eq!(key(Some(at(1_767_225_600_000))), "migration-shortfall-1767225600000");
        assert_eq!(key(None), "migration-shortfall-never");
        let keys = [&key(None), &key(Some(at(5))), "migration-1767225600000-0", "migration-1767225600000-12"];
        assert!(keys.into_iter().all(is_compensation));
        let others = ["migration-0", "migration-2026-1", "migration-1767225600000-", "migration-x", "k"];
        assert!(!others.into_iter().any(is_compensation));
    }
}
