//! Where the JSON of a provider has the status of a generation and the text of an error.

use serde_json::Value;

/// JSON pointers to the status, in the order of search.
const STATUS: [&str; 8] = [
    "/status",
    "/state",
    "/task_status",
    "/data/status",
    "/data/state",
    "/data/task_status",
    "/output/task_status",
    "/payload/status",
];

/// JSON pointers to the text of an error, in the order of search.
const ERROR: [&str; 15] = [
    "/error",
    "/error/message",
    "/failure_reason",
    "/failure",
    "/task_status_msg",
    "/error_message",
    "/data/error",
    "/data/error/message",
    "/data/failure_reason",
    "/data/task_status_msg",
    "/output/message",
    "/payload/error",
    "/payload/error/message",
    "/detail",
    "/message",
];

/// What a provider's JSON says about a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderReport {
    pub(crate) status: Option<String>,
    pub(crate) error: Option<String>,
}

impl ProviderReport {
    /// Reads the first text that is not empty, each for the status and the error. An event of
    /// OpenAI has its status at the end of its `type` alone, as in `video.failed`.
    pub(crate) fn read(body: &Value) -> ProviderReport {
        let at = |pointer: &&str| body.pointer(pointer)?.as_str().filter(|text| !text.is_empty());
        let first = |pointers: &[&str]| pointers.iter().find_map(at).map(str::to_owned);
        let event = || at(&"/type")?.rsplit_once('.').map(|(_, status)| status.to_owned());
        ProviderReport { status: first(&STATUS).or_else(event), error: first(&ERROR) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(body: Value, status: Option<&str>, error: Option<&str>) {
        let expected = ProviderReport { status: status.map(str::to_owned), error: error.map(str::to_owned) };
        assert_eq!(ProviderReport::read(&body), expected, "{body}");
    }

    #[test]
    fn status_and_error_are_the_first_text_of_their_places() {
        for body in
            [json!(null), json!([]), json!("failed"), json!({}), json!({ "status": 2, "error": null })]
        {
            check(body, None, None);
        }
        check(json!({ "status": "", "state": "failed" }), Some("failed"), None);
        check(json!({ "state": "a", "status": "b", "data": { "status": "c" } }), Some("b"), None);
        check(json!({ "status": { "code": 1 }, "data": { "state": "done" } }), Some("done"), None);
        check(json!({ "payload": { "status": "ok" } }), Some("ok"), None);
        check(json!({ "error": { "message": "x" }, "failure_reason": "y" }), None, Some("x"));
        check(json!({ "error": {}, "failure_reason": "y" }), None, Some("y"));
        check(json!({ "type": "video.failed" }), Some("failed"), None);
        check(json!({ "type": "failed" }), None, None);
        check(json!({ "type": "video.failed", "data": { "status": "running" } }), Some("running"), None);
    }
}
