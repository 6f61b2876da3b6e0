use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// A method and a path, whose `{name}` segments take any text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path, as API Gateway writes it.
    pub path: &'static str,
    /// Whether a signature of the body admits the caller, in place of a token.
    pub is_signed: bool,
}

impl Route {
    pub(super) const GRANT: Route = Route::post("/credits/grant");
    pub(super) const DECREASE: Route = Route::post("/credits/decrease");
    pub(super) const REFUND: Route = Route::post("/credits/refund");
    pub(super) const BALANCE: Route = Route::get("/credits/{user_uuid}/balance");
    pub(super) const USER_CREDITS: Route = Route::post("/api/get-user-credits");
    pub(super) const TIMELINE: Route = Route::get("/credits/{user_uuid}/timeline");
    pub(super) const SUMMARY: Route = Route::get("/credits/{user_uuid}/summary");
    pub(super) const GENERATION: Route = Route::get("/generations/{generation_uuid}");
    pub(super) const WEBHOOK: Route = Route { is_signed: true, ..Route::post("/webhooks/generation") };

    const fn get(path: &'static str) -> Route {
        Route { method: "GET", path, is_signed: false }
    }

    const fn post(path: &'static str) -> Route {
        Route { method: "POST", path, is_signed: false }
    }

    /// The named segments of a path that this route takes, decoded.
    pub(super) fn parameters(&self, path: &str) -> Option<BTreeMap<&'static str, String>> {
        let mut parameters = BTreeMap::new();
        let mut segments = path.split('/');
        for pattern in self.path.split('/') {
            let segment = segments.next()?;
            match pattern.strip_prefix('{').and_then(|pattern| pattern.strip_suffix('}')) {
                Some(name) => {
                    drop(parameters.insert(name, percent_decode_str(segment).decode_utf8_lossy().into()))
                }
                None if pattern == segment => {}
                None => return None,
            }
        }
        segments.next().is_none().then_some(parameters)
    }
}

/// Every route of the HTTP API.
pub const ROUTES: [Route; 9] = [
    Route::GRANT,
    Route::DECREASE,
    Route::REFUND,
    Route::BALANCE,
    Route::USER_CREDITS,
    Route::TIMELINE,
    Route::SUMMARY,
    Route::GENERATION,
    Route::WEBHOOK,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_gives_its_named_segments_decoded() {
        for (path, user) in [
            ("/credits/u1/balance", Some("u1")),
            ("/credits/a%3Ab/balance", Some("a:b")),
            ("/credits//balance", Some("")),
            ("/credits/u1/balance/", None),
            ("/credits/u1/x/balance", None),
            ("/credits/u1/timeline", None),
        ] {
            let parameters = Route::BALANCE.parameters(path);
            assert_eq!(parameters.as_ref().map(|named| named["user_uuid"].as_str()), user, "{path}");
        }
    }
}
