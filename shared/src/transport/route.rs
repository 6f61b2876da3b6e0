//! The routes of the HTTP API, derived from the functions' operations.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::functions::FUNCTIONS;

/// A route of the HTTP API, and the operation that serves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The HTTP method.
    pub method: &'static str,
    /// The path in the form of API Gateway. A `{name}` segment matches any text.
    pub path: &'static str,
    /// The name of the operation in metrics and log.
    pub operation: &'static str,
    /// Whether the operation only reads.
    pub is_query: bool,
    /// Whether a signature of the body, or a call-back token in the path, replaces the token of
    /// a caller.
    pub is_signed: bool,
    /// The scheme in the header `WWW-Authenticate` of a rejected caller.
    pub challenge: &'static str,
}

/// The named segments of a path, decoded.
pub(super) type PathParameters = BTreeMap<&'static str, String>;

/// Matches a path against the path of a route.
pub(super) fn match_path(route_path: &'static str, path: &str) -> Option<PathParameters> {
    let mut parameters = BTreeMap::new();
    let mut segments = path.split('/');
    for pattern in route_path.split('/') {
        let segment = segments.next()?;
        match parameter_name(pattern) {
            Some(name) => {
                drop(parameters.insert(name, percent_decode_str(segment).decode_utf8_lossy().into()))
            }
            None if pattern == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(parameters)
}

/// The names of the parameters in the path of a route.
pub(super) fn parameter_names(route_path: &'static str) -> impl Iterator<Item = &'static str> {
    route_path.split('/').filter_map(parameter_name)
}

fn parameter_name(segment: &'static str) -> Option<&'static str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The routes with this path.
pub(super) fn routes_at(path: &str) -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(move |route| match_path(route.path, path).is_some())
}

/// Every route of the HTTP API. It is computed at compile time, because a function that
/// reads [`FUNCTIONS`] at run time would link the operations of all functions.
pub const ROUTES: [Route; ROUTE_COUNT] = routes();

const ROUTE_COUNT: usize = {
    let (mut count, mut nth) = (0, 0);
    while nth < FUNCTIONS.len() {
        let mut operation = 0;
        while operation < FUNCTIONS[nth].operations.len() {
            count += FUNCTIONS[nth].operations[operation].has_route() as usize;
            operation += 1;
        }
        nth += 1;
    }
    count
};

const fn routes() -> [Route; ROUTE_COUNT] {
    let mut routes = [FUNCTIONS[0].route(&FUNCTIONS[0].operations[0]); ROUTE_COUNT];
    let (mut count, mut nth) = (0, 0);
    while nth < FUNCTIONS.len() {
        let function = FUNCTIONS[nth];
        let mut operation = 0;
        while operation < function.operations.len() {
            if function.operations[operation].has_route() {
                routes[count] = function.route(&function.operations[operation]);
                count += 1;
            }
            operation += 1;
        }
        nth += 1;
    }
    routes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_path_decodes_named_segments() {
        for (path, user) in [
            ("/credits/u1/balance", Some("u1")),
            ("/credits/a%3Ab/balance", Some("a:b")),
            ("/credits//balance", Some("")),
            ("/credits/u1/balance/", None),
            ("/credits/u1/x/balance", None),
            ("/credits/u1/timeline", None),
        ] {
            let parameters = match_path("/credits/{user_uuid}/balance", path);
            assert_eq!(parameters.as_ref().map(|named| named["user_uuid"].as_str()), user, "{path}");
        }
    }

    #[test]
    fn routes_contain_all_operations() {
        let routes: Vec<_> = ROUTES.iter().map(|route| (route.operation, route.path)).collect();
        let operations = FUNCTIONS.iter().flat_map(|function| {
            let routed = function.operations.iter().filter(|operation| !operation.path.is_empty());
            routed.map(|operation| (operation.metric.unwrap_or(function.name), operation.path))
        });
        assert_eq!(routes, operations.collect::<Vec<_>>());
        let queries: Vec<_> =
            ROUTES.iter().filter(|route| route.is_query).map(|route| route.operation).collect();
        assert_eq!(queries, ["balance", "balance", "timeline", "summary", "generation"]);
    }
}
