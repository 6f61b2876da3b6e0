//! The decisions of an operator that a migration needs, and that its folder stores for later
//! runs, `verify` and `rollback`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use scrip::domain::{Timestamp, TransType};
use serde::{Deserialize, Serialize};

use crate::{
    cli_error::CliError,
    legacy::{LOT_TYPES, Layout, NullExpiry, ReadRules},
    plan::{NegativeRule, PlanRules},
};

/// Options that become rules.
#[derive(Clone, Debug, Default, Args)]
pub struct RuleOptions {
    /// The ledger's type of an old `trans_type`, such as ping=chat; repeatable
    #[arg(long = "type", value_name = "OLD=NEW")]
    pub types: Vec<String>,
    /// File with a line OLD=NEW for each type
    #[arg(long = "types", value_name = "FILE")]
    pub type_file: Option<PathBuf>,
    /// Rows without `expired_at`: the old app ignored them, or counted them as never expiring
    #[arg(long, value_enum)]
    pub null_expiry: Option<NullExpiry>,
    /// Zone of times in columns without one, such as Asia/Shanghai; UTC by default
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// Layout of the table `credits`; signed by default
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,
    /// Users whose sum is below zero; zero by default
    #[arg(long, value_enum)]
    pub negative: Option<NegativeRule>,
}

/// The rules of a migration. A later run with the same folder may add rules, and may change
/// `negative`, which concerns users who were left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    types: BTreeMap<String, String>,
    null_expiry: Option<NullExpiry>,
    timezone: Option<String>,
    layout: Option<Layout>,
    negative: Option<NegativeRule>,
}

impl Rules {
    /// Reads the rules of a folder; none if it has no file of this name.
    pub(super) fn read(file: &Path) -> Result<Rules, CliError> {
        let Ok(text) = fs::read(file) else { return Ok(Rules::default()) };
        serde_json::from_slice(&text).map_err(|error| CliError(format!("{}: {error}", file.display())))
    }

    /// These rules and the given ones.
    ///
    /// # Errors
    /// A rule contradicts one by which users were migrated, or is invalid.
    pub(super) fn with(mut self, options: &RuleOptions) -> Result<Rules, CliError> {
        for (old, new) in types(options)? {
            let stored = self.types.entry(old.clone()).or_insert_with(|| new.clone());
            require_same(&format!("--type {old}"), stored, &new)?;
        }
        merge("--null-expiry", &mut self.null_expiry, options.null_expiry)?;
        merge("--timezone", &mut self.timezone, options.timezone.clone())?;
        merge("--layout", &mut self.layout, options.layout)?;
        self.negative = options.negative.or(self.negative);
        Ok(self)
    }

    /// The rules of a plan as of a moment.
    pub fn plan(&self, as_of: Timestamp) -> PlanRules {
        PlanRules {
            negative: self.negative.unwrap_or_default(),
            types: self.all_types(),
            ..PlanRules::as_of(as_of)
        }
    }

    /// The types of the operator, and those of the layout.
    fn all_types(&self) -> BTreeMap<String, String> {
        let of_layout = LOT_TYPES.iter().filter(|_| self.layout == Some(Layout::Lots));
        let mut types: BTreeMap<_, _> =
            of_layout.map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect();
        types.extend(self.types.clone());
        types
    }

    /// The rules of a read.
    pub fn read_rules(&self) -> ReadRules {
        ReadRules {
            null_expiry: self.null_expiry,
            timezone: self.timezone.clone(),
            layout: self.layout.unwrap_or_default(),
        }
    }
}

/// Sets a rule that is not set, and requires the same one otherwise.
fn merge<T: PartialEq + Serialize>(
    name: &str,
    stored: &mut Option<T>,
    given: Option<T>,
) -> Result<(), CliError> {
    match (&stored, given) {
        (_, None) => Ok(()),
        (Some(stored), Some(given)) => require_same(name, stored, &given),
        (None, given) => {
            *stored = given;
            Ok(())
        }
    }
}

fn require_same<T: PartialEq + Serialize>(name: &str, stored: &T, given: &T) -> Result<(), CliError> {
    if stored == given {
        return Ok(());
    }
    let text = |value: &T| serde_json::to_string(value).unwrap_or_default();
    Err(CliError(format!(
        "{name} is {} in this folder and {} now; use the same value or another --folder",
        text(stored),
        text(given)
    )))
}

/// The types of the command line and of the file.
fn types(options: &RuleOptions) -> Result<Vec<(String, String)>, CliError> {
    let text = match &options.type_file {
        Some(file) => fs::read_to_string(file).map_err(|error| CliError::from_io(file, &error))?,
        None => String::new(),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.chain(options.types.iter().map(String::as_str)).map(parse_type).collect()
}

fn parse_type(text: &str) -> Result<(String, String), CliError> {
    let invalid = |reason: &str| CliError(format!("--type {text:?}: {reason}"));
    let (old, new) = text.rsplit_once('=').ok_or_else(|| invalid("must be OLD=NEW"))?;
    TransType::try_from(new.trim().to_owned()).map_err(invalid)?;
    Ok((old.trim().to_owned(), new.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(types: &[&str]) -> RuleOptions {
        RuleOptions { types: types.iter().map(|text| (*text).to_owned()).collect(), ..RuleOptions::default() }
    }

    #[test]
    fn rules_of_a_folder_are_extended_and_not_changed() {
        let first = RuleOptions {
            null_expiry: Some(NullExpiry::Ignored),
            timezone: Some("Asia/Shanghai".to_owned()),
            negative: Some(NegativeRule::Quarantine),
            ..options(&["ping=chat"])
        };
        let rules = Rules::default().with(&first).unwrap();
        assert_eq!(rules.clone().with(&RuleOptions::default()), Ok(rules.clone()));
        assert_eq!(rules.clone().with(&first), Ok(rules.clone()));
        let more = RuleOptions { negative: Some(NegativeRule::Zero), ..options(&["a=b_generation"]) };
        let more = rules.clone().with(&more).unwrap();
        assert_eq!((more.types.len(), more.negative), (2, Some(NegativeRule::Zero)));
        for changed in [
            options(&["ping=system_add"]),
            RuleOptions { null_expiry: Some(NullExpiry::Never), ..RuleOptions::default() },
            RuleOptions { timezone: Some("UTC".to_owned()), ..RuleOptions::default() },
        ] {
            let error = rules.clone().with(&changed).unwrap_err().0;
            assert!(error.contains("use the same value or another --folder"), "{error}");
        }
        let debt = RuleOptions { negative: Some(NegativeRule::Debt), ..RuleOptions::default() };
        assert_eq!(rules.with(&debt).unwrap().negative, Some(NegativeRule::Debt));
    }

    #[test]
    fn types_have_an_old_and_a_new_name() {
        assert_eq!(parse_type(" a=b = chat"), Ok(("a=b".to_owned(), "chat".to_owned())));
        for text in ["ping", "ping=", "ping=Chat", "ping=pong"] {
            assert!(parse_type(text).is_err(), "{text}");
        }
    }
}
