//! The console's files, embedded in the binary.

use axum::{
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};

const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Path, content type and text of each file.
const FILES: [(&str, &str, &str); 16] = [
    ("/", HTML, include_str!("../../console/index.html")),
    ("/console/icon.svg", SVG, include_str!("../../console/icon.svg")),
    ("/console/style.css", CSS, include_str!("../../console/style.css")),
    ("/console/api.js", JS, include_str!("../../console/api.js")),
    ("/console/chart.js", JS, include_str!("../../console/chart.js")),
    ("/console/credits.js", JS, include_str!("../../console/credits.js")),
    ("/console/dom.js", JS, include_str!("../../console/dom.js")),
    ("/console/format.js", JS, include_str!("../../console/format.js")),
    ("/console/live.js", JS, include_str!("../../console/live.js")),
    ("/console/main.js", JS, include_str!("../../console/main.js")),
    ("/console/my-credits.js", JS, include_str!("../../console/my-credits.js")),
    ("/console/orders.js", JS, include_str!("../../console/orders.js")),
    ("/console/requests.js", JS, include_str!("../../console/requests.js")),
    ("/console/table.js", JS, include_str!("../../console/table.js")),
    ("/console/timeline.js", JS, include_str!("../../console/timeline.js")),
    ("/console/try-it.js", JS, include_str!("../../console/try-it.js")),
];

pub(super) fn at(path: &str) -> Option<Response> {
    let (_, content_type, text) = FILES.into_iter().find(|(at, ..)| *at == path)?;
    Some(([(CONTENT_TYPE, content_type)], text).into_response())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Maximum size of all files, which are sent uncompressed.
    const BYTES_MAX: usize = 100_000;

    #[test]
    fn console_files_are_served_and_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/console");
        assert_eq!(fs::read_dir(folder).unwrap().count(), FILES.len() + 1, "all files but jsconfig.json");
        let bytes: usize = FILES.iter().map(|(.., text)| text.len()).sum();
        assert!(bytes < BYTES_MAX, "{bytes}");
    }
}
