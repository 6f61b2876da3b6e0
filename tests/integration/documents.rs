//! Documents are compared with the code and with each other.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

/// Every function of a Rust file below a folder.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() && entry.file_name() != "target" {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(path).unwrap();
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn test_cases_name_existing_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = BTreeSet::new();
    functions(root, &mut found);
    let documents = ["docs/test-cases.md", "docs/security.md"];
    let document = documents.map(|document| fs::read_to_string(root.join(document)).unwrap()).concat();
    let rows = document.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let named: Vec<_> = rows
        .filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next())
        .flat_map(|tests| tests.split('`').skip(1).step_by(2))
        .collect();
    assert!(named.len() > 50, "the table was read: {named:?}");
    for test in named {
        assert!(found.contains(test), "{test}");
    }
}

/// The names of all properties in a part of the OpenAPI document.
fn properties(part: &Value, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                found.extend(properties.keys().cloned());
            }
            members.values().for_each(|member| properties(member, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| properties(element, found)),
        _ => {}
    }
}

#[test]
fn api_reference_has_every_route_and_field_of_the_openapi_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let document = fs::read_to_string(root.join("infra/openapi.yaml")).unwrap();
    let document: Value = yaml_serde::from_str(&document).unwrap();
    let reference = fs::read_to_string(root.join("docs/service.md")).unwrap();
    let mut names = BTreeSet::new();
    properties(&document, &mut names);
    let routes = document["paths"].as_object().unwrap().iter().flat_map(|(path, operations)| {
        let methods = operations.as_object().unwrap().keys().filter(|method| *method != "parameters");
        methods.map(move |method| format!("`{} {path}`", method.to_uppercase()))
    });
    let routes: Vec<_> = routes.collect();
    assert!(names.len() > 30 && routes.len() > 8, "the document was read: {names:?} {routes:?}");
    let missing: Vec<_> = routes
        .into_iter()
        .chain(names.iter().map(|name| format!("`{name}`")))
        .filter(|item| !reference.contains(item) && !reference.contains(&item.replace('`', "\"")))
        .collect();
    assert_eq!(missing, [""; 0], "docs/service.md");
}
