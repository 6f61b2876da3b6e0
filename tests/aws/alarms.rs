//! The alarms as a stand-in of CloudWatch takes them, moto, which has metric math. What they
//! say is tried in `tests/suite/alarms.rs`.

use serde_json::{Value, json};

use crate::{cloud::built, moto::form};

/// The alarms of the template, where parameters have their defaults, and what else is referred
/// to has its name.
fn alarms() -> Vec<(String, Value)> {
    let template = built();
    let mut resources = template["Resources"].as_object().unwrap().clone();
    resources.retain(|_, resource| resource["Type"] == "AWS::CloudWatch::Alarm");
    // Who hears it is held in the tests of the template.
    resources.values_mut().for_each(|alarm| alarm["Properties"]["AlarmActions"] = json!([]));
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
                let at = |nth: usize| path[nth].as_str().unwrap().to_owned();
                return template["Mappings"][at(0)][at(1)][at(2)].clone();
            }
            if let Some(function) = fields.get("Fn::Sub").or(fields.get("Fn::GetAtt")) {
                return json!(function.as_str().unwrap_or("of a resource"));
            }
            fields.iter().map(|(name, value)| (name.clone(), resolved(template, value))).collect()
        }
        plain => plain.clone(),
    }
}

/// The fields of a form, as the services that take forms name what is in lists and objects.
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

/// A value as it is told: the limit as a float.
fn in_xml(field: &str, value: &str) -> String {
    let whole = field == "Threshold" && !value.contains('.');
    value.replace('&', "&amp;").replace('>', "&gt;") + if whole { ".0" } else { "" }
}

#[test]
#[ignore = "needs moto and what sam build made, for which .ci/run installs the tools"]
fn each_alarm_is_taken_and_told_as_it_is_written() {
    for (name, alarm) in alarms() {
        let written = fields("", &alarm);
        let mut put = vec![("Action", "PutMetricAlarm"), ("AlarmName", &name)];
        put.extend(written.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        form("monitoring", &put);
        let told = form("monitoring", &[("Action", "DescribeAlarms"), ("AlarmNames.member.1", &name)]);
        for (field, value) in &written {
            let leaf = field.rsplit('.').find(|part| part.parse::<u8>().is_err()).unwrap();
            assert!(told.contains(&format!("<{leaf}>{}<", in_xml(leaf, value))), "{name}: {field}: {told}");
        }
        let metrics = alarm["Metrics"].as_array().map_or(0, Vec::len);
        assert_eq!(told.matches("<ReturnData>").count(), metrics, "{name}: {told}");
    }
}
