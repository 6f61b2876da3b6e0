//! How the rows of the old table are read, as the operator decides.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How rows are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadRules {
    /// Rows without `expired_at`; required if there are any.
    pub null_expiry: Option<NullExpiry>,
    /// The zone of times in columns without one; UTC if absent.
    pub timezone: Option<String>,
    /// The layout of the table `credits`.
    pub layout: Layout,
}

/// The meaning of rows without `expired_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NullExpiry {
    /// The rows never count, because the old app compares `expired_at` with the time
    Ignored,
    /// The rows never expire
    Never,
}

/// The layout of the table `credits`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Grants and refunds are rows above zero, charges are rows below zero
    #[default]
    Signed,
    /// Each grant has its remaining credits, and each charge names the grants that it took from
    Lots,
}

impl ReadRules {
    /// The rules as lines of a report. `without_expiry` is the number of rows without expiry.
    pub(crate) fn descriptions(&self, without_expiry: u64) -> Vec<String> {
        let zone = self.timezone.as_deref().unwrap_or("UTC");
        let layout = match self.layout {
            Layout::Signed => "layout: rows above and below zero",
            Layout::Lots => "layout: grants with remaining credits",
        };
        let mut lines =
            vec![layout.to_owned(), format!("times in columns without a zone are read as {zone}")];
        if without_expiry > 0 {
            let meaning = match self.null_expiry {
                Some(NullExpiry::Ignored) => "are ignored",
                Some(NullExpiry::Never) | None => "never expire",
            };
            lines.push(format!("{without_expiry} rows without an expiry {meaning}"));
        }
        lines
    }
}
