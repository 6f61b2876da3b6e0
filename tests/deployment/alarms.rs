//! The alarms in moto, an emulator of CloudWatch with metric math. `tests/integration/alarms.rs`
//! evaluates them.

use serde_json::{Value, json};

use crate::{cloud::built_template, moto::form};

/// The template's alarms by name. Parameters have their defaults, and a reference to a
/// resource has the resource's name.
fn alarms() -> Vec<(String, Value)> {
    let template = built_template();
    let mut resources = template["Resources"].as_object().unwrap().clone();
    resources.retain(|_, resource| resource["Type"] == "AWS::CloudWatch::Alarm");
    // The tests of the template check the actions.
    for alarm in resources.values_mut() {
        alarm["Properties"]["AlarmActions"] = json!([]);
        alarm["Properties"]["OKActions"] = json!([]);
    }
    let alarms = resources.into_iter();
    alarms.map(|(name, alarm)| (name, resolved(&template, &alarm["Properties"]))).collect()
}

fn resolved(template: &Value, value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| resolved(template, item)).collect(),
        Value::Object(fields) => {
            if let Some(name) = fields.get("Ref") {
                return template["Parameters"][name.as_str().unwrap()].get("Default").unwrap_or(name).clone();
            }
            if let Some(path) = fields.get("Fn::FindInMap") {
                let path = resolved(template, path);
                let key = |nth: usize| path[nth].as_str().unwrap().to_owned();
                return template["Mappings"][key(0)][key(1)][key(2)].clone();
            }
            if let Some(function) = fields.get("Fn::Sub").or(fields.get("Fn::GetAtt")) {
                return json!(function.as_str().unwrap_or("a resource"));
            }
            fields.iter().map(|(name, value)| (name.clone(), resolved(template, value))).collect()
        }
        plain => plain.clone(),
    }
}

/// The fields of a form. The services name elements of lists and objects by their path.
fn fields(name: &str, value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Array(items) => {
            (1..).zip(items).flat_map(|(nth, item)| fields(&format!("{name}.member.{nth}"), item)).collect()
        }
        Value::Object(inner) => {
            let dotted =
                |inner: &str| if name.is_empty() { inner.to_owned() } else { format!("{name}.{inner}") };
            inner.iter().flat_map(|(inner, value)| fields(&dotted(inner), value)).collect()
        }
        Value::String(text) => vec![(name.to_owned(), text.clone())],
        plain => vec![(name.to_owned(), plain.to_string())],
    }
}

/// A value as CloudWatch returns it: a threshold is a float.
fn in_xml(field: &str, value: &str) -> String {
    let whole = field == "Threshold" && !value.contains('.');
    value.replace('&', "&amp;").replace('>', "&gt;") + if whole { ".0" } else { "" }
}

#[test]
#[ignore = "needs moto and the output of sam build, for which .ci/run installs the tools"]
fn alarms_are_accepted_and_described_as_written() {
    for (name, alarm) in alarms() {
        let fields = fields("", &alarm);
        let mut put = vec![("Action", "PutMetricAlarm"), ("AlarmName", &name)];
        put.extend(fields.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        form("monitoring", &put);
        let described = form("monitoring", &[("Action", "DescribeAlarms"), ("AlarmNames.member.1", &name)]);
        for (field, value) in &fields {
            let leaf = field.rsplit('.').find(|part| part.parse::<u8>().is_err()).unwrap();
            assert!(
                described.contains(&format!("<{leaf}>{}<", in_xml(leaf, value))),
                "{name}: {field}: {described}"
            );
        }
        let metrics = alarm["Metrics"].as_array().map_or(0, Vec::len);
        assert_eq!(described.matches("<ReturnData>").count(), metrics, "{name}: {described}");
    }
}
