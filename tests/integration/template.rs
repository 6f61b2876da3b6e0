//! What `template.yaml` deploys is what the code makes, serves and calls.

mod permissions;

pub(super) use permissions::statements;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
};

use aws_sdk_dynamodb::types::KeySchemaElement;
use scrip::{
    ledger::Ledger,
    transport::{
        App, Function, ROUTES, Reply,
        functions::{BALANCE, DECREASE, FUNCTIONS, GRANT, HISTORY, REFUND, WEBHOOK},
    },
};
use scrip_tests::{RecordedRequest, TestLedger, http_event, invoke};
use serde_json::{Value, json};
use yaml_serde::Value as Yaml;

use crate::payments;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// The table, as policies name it.
const TABLE: &str = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${TableName}";
/// What it takes to send traces to X-Ray: Lambda needs the first two, Step Functions all.
const TRACES: [&str; 4] =
    ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"];

fn template() -> String {
    fs::read_to_string(format!("{ROOT}/template.yaml")).unwrap()
}

/// All of the template. `!Ref X` becomes `{"!Ref": "X"}`.
pub(super) fn document() -> Value {
    to_json(yaml_serde::from_str(&template()).unwrap())
}

/// The template's resources.
pub(super) fn resources() -> Value {
    document()["Resources"].take()
}

fn to_json(yaml: Yaml) -> Value {
    match yaml {
        Yaml::Tagged(tagged) => json!({ tagged.tag.to_string(): to_json(tagged.value) }),
        Yaml::Sequence(items) => items.into_iter().map(to_json).collect(),
        Yaml::Mapping(fields) => fields
            .into_iter()
            .map(|(name, value)| (name.as_str().unwrap().to_owned(), to_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        plain => yaml_serde::from_value(plain).unwrap(),
    }
}

/// All resources of a type, with their names.
pub(super) fn of_type<'a>(resources: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let all = resources.as_object().unwrap().iter();
    all.filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
        .collect()
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// One or many, as policies have it.
pub(super) fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())
}

/// A function's logical name without its ending: `Grant`.
fn logical(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    first.to_uppercase() + rest
}

#[tokio::test]
async fn table_of_the_template_is_the_one_that_the_code_makes() {
    let ledger = TestLedger::new().await;
    let made = ledger.client.describe_table().table_name(&ledger.table).send().await.unwrap().table.unwrap();
    let keys = |keys: &[KeySchemaElement]| -> Value {
        keys.iter()
            .map(|key| json!({ "AttributeName": key.attribute_name(), "KeyType": key.key_type().as_str() }))
            .collect()
    };
    let sorted = |values: &Value, by: &str| {
        let mut values = values.as_array().unwrap().clone();
        values.sort_by_key(|value| text(&value[by]).to_owned());
        Value::from(values)
    };
    let attributes: Value = made
        .attribute_definitions()
        .iter()
        .map(|attribute| json!({ "AttributeName": attribute.attribute_name(), "AttributeType": attribute.attribute_type().as_str() }))
        .collect();
    let indexes: Value = made
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let projection = index.projection().unwrap();
            let mut carried = json!({ "ProjectionType": projection.projection_type().unwrap().as_str() });
            if !projection.non_key_attributes().is_empty() {
                carried["NonKeyAttributes"] = json!(projection.non_key_attributes());
            }
            json!({ "IndexName": index.index_name(), "KeySchema": keys(index.key_schema()), "Projection": carried })
        })
        .collect();

    let resources = resources();
    let table = &resources["Table"]["Properties"];
    assert_eq!(table["KeySchema"], keys(made.key_schema()));
    assert_eq!(sorted(&table["AttributeDefinitions"], "AttributeName"), sorted(&attributes, "AttributeName"));
    assert_eq!(sorted(&table["GlobalSecondaryIndexes"], "IndexName"), sorted(&indexes, "IndexName"));
    assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
    assert_eq!(table["DeletionProtectionEnabled"], true);
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["TimeToLiveSpecification"], Value::Null, "nothing may vanish by itself");
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        assert_eq!(resources["Table"][policy], "Retain");
    }
}

#[test]
fn routes_of_the_template_are_those_of_the_code_behind_what_admits_to_them() {
    let resources = resources();
    let mut found = BTreeSet::new();
    for (name, route) in of_type(&resources, "AWS::ApiGatewayV2::Route") {
        let key = text(&route["RouteKey"]);
        assert!(found.insert(key), "{key} is there twice");
        let target = text(&route["Target"]["!Sub"]);
        let integration = target.strip_prefix("integrations/${").and_then(|rest| rest.strip_suffix('}'));
        let alias = &resources[integration.unwrap()]["Properties"]["IntegrationUri"];
        let serving = match key.split_once(' ') {
            Some((method, path)) => {
                let served = |function: Function| Some((function, function.route_at(method, path)?));
                let (function, served) = FUNCTIONS.into_iter().find_map(served).unwrap();
                let (kind, authorizer, condition) = if served.is_signed {
                    ("NONE", Value::Null, Value::Null)
                } else {
                    ("JWT", json!({ "!Ref": "Authorizer" }), json!("HasIssuer"))
                };
                assert_eq!(
                    (&route["AuthorizationType"], &route["AuthorizerId"], &resources[name]["Condition"]),
                    (&json!(kind), &authorizer, &condition),
                    "{name}"
                );
                function
            }
            None => {
                assert_eq!((key, &route["AuthorizationType"]), ("$default", &json!("NONE")));
                BALANCE
            }
        };
        assert_eq!(alias, &json!({ "!Ref": format!("{}Function.Alias", logical(serving.name)) }), "{name}");
        assert_eq!(route["AuthorizationScopes"], Value::Null, "a user's token has none of our scopes");
    }
    let routes = ROUTES.map(|route| format!("{} {}", route.method, route.path));
    let expected = routes.iter().map(String::as_str).chain(["$default"]).collect();
    assert_eq!(found, expected);
}

#[test]
fn routes_without_a_token_have_limits_of_their_own() {
    let resources = resources();
    let routes = of_type(&resources, "AWS::ApiGatewayV2::Route").into_iter();
    let open: BTreeMap<_, _> = routes
        .filter(|(_, route)| route["AuthorizationType"] == "NONE")
        .map(|(name, route)| (text(&route["RouteKey"]), name))
        .collect();
    let stage = &resources["ApiStage"];
    let limits = json!({ "ThrottlingRateLimit": 50, "ThrottlingBurstLimit": 100 });
    let expected: Value = open.keys().map(|key| ((*key).to_owned(), limits.clone())).collect();
    assert_eq!(stage["Properties"]["RouteSettings"], expected);
    let before: BTreeSet<_> = list(&stage["DependsOn"]).into_iter().map(text).collect();
    assert_eq!(before, open.into_values().collect(), "API Gateway rejects settings of a missing route");
}

#[test]
fn browsers_may_read_when_to_retry() {
    let cors = &resources()["Api"]["Properties"]["CorsConfiguration"]["!If"];
    assert_eq!((&cors[0], &cors[1]["ExposeHeaders"]), (&json!("HasOrigins"), &json!(["retry-after"])));
}

#[test]
fn one_parameter_closes_exactly_the_functions_that_write() {
    let resources = resources();
    let closed = json!({ "!If": ["WritesClosed", 0, { "!Ref": "AWS::NoValue" }] });
    for function in FUNCTIONS {
        let mut served = ROUTES.iter().filter_map(|route| function.route_at(route.method, route.path));
        let expected = if served.any(|route| !route.is_query) { &closed } else { &Value::Null };
        let properties = &resources[format!("{}Function", logical(function.name))]["Properties"];
        assert_eq!(&properties["ReservedConcurrentExecutions"], expected, "{}", function.name);
    }
    assert_eq!(resources["AuditFunction"]["Properties"]["ReservedConcurrentExecutions"], Value::Null);
}

#[test]
fn first_deployment_that_fails_leaves_neither_table_nor_queue() {
    let resources = resources();
    assert_eq!(resources["Table"]["DependsOn"], "ApiStage");
    let authorizer = json!({ "!If": ["HasIssuer", { "!Ref": "Authorizer" }, ""] });
    assert_eq!(resources["Table"]["Metadata"]["CreatedAfter"], authorizer);
    assert_eq!(resources["FailureQueue"]["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(resources["FailureQueue"]["UpdateReplacePolicy"], "Retain");
}

/// A deployed stack keeps the value of a parameter that its file no longer has.
#[test]
fn stages_state_every_parameter_that_a_change_of_the_table_sets() {
    let document = document();
    let samconfig = fs::read_to_string(format!("{ROOT}/samconfig.toml")).unwrap();
    let mut tables = BTreeSet::new();
    for stage in ["dev", "staging", "prod"] {
        let file = fs::read_to_string(format!("{ROOT}/infra/stages/{stage}.yaml")).unwrap();
        let parameters: Value = yaml_serde::from_str(&file).unwrap();
        for name in parameters.as_object().unwrap().keys() {
            assert!(document["Parameters"][name].is_object(), "{stage}: {name}");
        }
        for name in ["TableName", "TableMode", "Writes", "Deployment", "ErrorShare", "Architecture"] {
            assert!(!parameters[name].is_null(), "{stage}: {name}");
        }
        assert_eq!((&parameters["ErrorShare"], &parameters["Writes"]), (&json!(0.05), &json!("open")));
        assert!(tables.insert(text(&parameters["TableName"]).to_owned()), "{stage} has a table of its own");
        assert!(samconfig.contains(&format!("\"file://infra/stages/{stage}.yaml\"")), "{stage}");
    }
    // So a deployment without an argument fails instead of publishing nothing.
    let (_, release) = samconfig.split_once("Release=").unwrap();
    let (release, _) = release.split_once('"').unwrap();
    assert_eq!(document["Parameters"]["Release"]["AllowedPattern"], "[0-9A-Za-z]{1,10}");
    assert!(release.len() > 10, "{release}");
}

#[test]
fn every_role_has_the_permissions_boundary() {
    let boundary =
        json!({ "!If": ["HasBoundary", { "!Ref": "PermissionsBoundary" }, { "!Ref": "AWS::NoValue" }] });
    let document = document();
    let resources = &document["Resources"];
    for (name, role) in of_type(resources, "AWS::IAM::Role") {
        assert_eq!(role["PermissionsBoundary"], boundary, "{name}");
    }
    // Otherwise SAM creates a role for CodeDeploy, without the boundary.
    let role = &document["Globals"]["Function"]["DeploymentPreference"]["Role"];
    assert_eq!(*role, json!({ "!GetAtt": "DeploymentRole.Arn" }));
}

#[tokio::test]
async fn default_route_rejects_callers_without_a_token() {
    let test_ledger = TestLedger::new().await;
    let ledger = Ledger::new(test_ledger.store(), test_ledger.clock.sources());
    let app = Arc::new(App::new(ledger));
    let deadline = test_ledger.clock.now().plus_millis(60_000);
    let paths = ROUTES.map(|route| route.path.replace(['{', '}'], ""));
    let others = ["/", "/credits//balance", "/credits/u/balance/", "/$default"];
    for path in paths.iter().map(String::as_str).chain(others) {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"] {
            let event = http_event(method, path, b"{\"user_uuid\":\"u\"}".to_vec(), None, &json!({}));
            let Ok(Reply::Http(answer)) = invoke(&app, BALANCE, event.to_string(), deadline).await else {
                panic!("no HTTP answer to {method} {path}");
            };
            assert!(matches!(answer.status_code, 401 | 404 | 405), "{method} {path}: {}", answer.status_code);
        }
    }
}

/// The functions without a route, which a schedule starts.
const SCHEDULED: [&str; 2] = ["audit", "sweep"];

#[test]
fn each_function_is_built_of_its_crate_and_runs_under_its_role() {
    let resources = resources();
    let functions = of_type(&resources, "AWS::Serverless::Function");
    let names: BTreeSet<_> = functions.iter().map(|(name, _)| (*name).to_owned()).collect();
    let crates = FUNCTIONS.map(|function| function.name).into_iter().chain(SCHEDULED);
    assert_eq!(names, crates.clone().map(|name| logical(name) + "Function").collect());
    for name in crates {
        let logical = logical(name);
        let resource = &resources[format!("{logical}Function")];
        assert_eq!(resource["Metadata"]["BuildMethod"], "rust-cargolambda", "{name}");
        assert_eq!(resource["Properties"]["CodeUri"], format!("functions/{name}"));
        assert_eq!(resource["Properties"]["Role"], json!({ "!GetAtt": format!("{logical}Role.Arn") }));
        let of_api = (!SCHEDULED.contains(&name)).then(|| "ServerErrors".to_owned());
        let always = json!({ "!Ref": of_api.as_deref().unwrap_or("AWS::NoValue") });
        let fully = [format!("{logical}Errors")].into_iter().chain(of_api);
        let fully: Value = fully.map(|alarm| json!({ "!Ref": alarm })).collect();
        let alarms = json!({ "!If": ["WatchesFully", fully, [always]] });
        assert_eq!(resource["Properties"]["DeploymentPreference"]["Alarms"], alarms, "{name}");
        assert_eq!(resource["Properties"]["AutoPublishCodeSha256"], json!({ "!Ref": "Release" }), "{name}");
        let errors = &resources[format!("{logical}Errors")]["Properties"]["Dimensions"];
        let of_alias =
            json!({ "Name": "Resource", "Value": { "!Sub": format!("${{{logical}Function}}:live") } });
        assert_eq!(errors[1], of_alias, "{name}");
        let manifest = fs::read_to_string(format!("{ROOT}/functions/{name}/Cargo.toml")).unwrap();
        assert!(manifest.contains(&format!("[[bin]]\nname = \"{name}\"")));
    }
    assert!(!template().contains("SCRIP_ADMIT_ANYONE"));
}
