//! The words of providers for the state of a generation.

/// The state of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GenerationStatus {
    Succeeded,
    Failed,
    /// Any other word of a provider: the generation has not ended.
    Progress,
}

const SUCCEEDED: [&str; 9] =
    ["succeeded", "success", "succeed", "successful", "completed", "complete", "done", "ok", "finished"];
const FAILED: [&str; 12] = [
    "failed",
    "failure",
    "fail",
    "error",
    "errored",
    "canceled",
    "cancelled",
    "aborted",
    "timed_out",
    "timeout",
    "expired",
    "rejected",
];

impl GenerationStatus {
    /// Reads a provider's word, without regard to case.
    pub(crate) fn parse(text: &str) -> GenerationStatus {
        let is_in = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        match (is_in(&SUCCEEDED), is_in(&FAILED)) {
            (true, _) => GenerationStatus::Succeeded,
            (_, true) => GenerationStatus::Failed,
            _ => GenerationStatus::Progress,
        }
    }

    /// The name in responses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            GenerationStatus::Succeeded => "succeeded",
            GenerationStatus::Failed => "failed",
            GenerationStatus::Progress => "progress",
        }
    }
}
