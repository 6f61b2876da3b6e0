//! The metadata of a record.

use std::collections::BTreeMap;

use serde::Serialize;

/// The caller's own fields of a record: at most 10 pairs of a name (1 to 40 of
/// `A-Z a-z 0-9 _ . -`) and a text of at most 255 characters, 2,048 bytes in all. They are
/// stored and returned, and are never part of an identity.
///
/// ```
/// use scrip::domain::Metadata;
///
/// let metadata = Metadata::try_from(vec![("model".to_owned(), "flux".to_owned())]).unwrap();
/// assert_eq!(metadata.iter().collect::<Vec<_>>(), [("model", "flux")]);
/// assert!(Metadata::try_from(vec![("a b".to_owned(), String::new())]).is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The largest size: the sum of all names and values, in bytes.
    pub const BYTES_MAX: usize = 2_048;
    /// The largest number of members.
    pub const MEMBERS_MAX: usize = 10;
    const NAME_MAX: usize = 40;
    const VALUE_CHARS_MAX: usize = 255;

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The members, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl TryFrom<Vec<(String, String)>> for Metadata {
    type Error = &'static str;

    fn try_from(members: Vec<(String, String)>) -> Result<Metadata, &'static str> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let is_name =
            |name: &str| (1..=Metadata::NAME_MAX).contains(&name.len()) && name.bytes().all(is_allowed);
        let count = members.len();
        let bytes: usize = members.iter().map(|(name, value)| name.len() + value.len()).sum();
        let has_valid_names = members.iter().all(|(name, _)| is_name(name));
        let has_valid_values =
            members.iter().all(|(_, value)| value.chars().count() <= Metadata::VALUE_CHARS_MAX);
        let members: BTreeMap<_, _> = members.into_iter().collect();
        if count > Metadata::MEMBERS_MAX {
            Err("must have at most 10 members")
        } else if !has_valid_names {
            Err("must have names of 1 to 40 characters of `A-Z a-z 0-9 _ . -`")
        } else if !has_valid_values {
            Err("must have values of at most 255 characters")
        } else if bytes > Metadata::BYTES_MAX {
            Err("must have at most 2048 bytes in all")
        } else if members.len() < count {
            Err("must not have two members of one name")
        } else {
            Ok(Metadata(members))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_accepts_members_within_its_limits() {
        let member = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let members = |count: usize, bytes: usize| {
            (0..count).map(|nth| member(&format!("name-{nth:04}"), &"x".repeat(bytes))).collect()
        };
        for (members, is_valid) in [
            (Vec::new(), true),
            (members(10, 194), true),
            (members(10, 196), false),
            (members(11, 1), false),
            (vec![member(&"n".repeat(40), "")], true),
            (vec![member(&"n".repeat(41), "")], false),
            (vec![member("", "x")], false),
            (vec![member("a.B_9-", &"é".repeat(255))], true),
            (vec![member("a", &"é".repeat(256))], false),
            (vec![member("a", "1"), member("a", "1")], false),
        ] {
            assert_eq!(Metadata::try_from(members.clone()).is_ok(), is_valid, "{members:?}");
        }
    }
}
