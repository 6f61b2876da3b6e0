//! The DynamoDB port, as SDKs and tools use it.

use serde_json::{Value, json};

use crate::support::{Client, Stack};

fn call(client: &Client, operation: &str, request: &Value) -> Value {
    let headers = [
        ("Content-Type", "application/x-amz-json-1.0"),
        ("X-Amz-Target", &*format!("DynamoDB_20120810.{operation}")),
        ("X-Amz-Date", "20260101T000000Z"),
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=local/20260101/local/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=0",
        ),
    ];
    let answer = client.send("POST", "/", &headers, request.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[test]
fn dynamodb_port_serves_the_table_that_the_api_writes() {
    let stack = Stack::start(&["--memory"]);
    let grant = stack.client().grant("u", 5);
    let engine = Client::of(&stack.engine);

    let table = &call(&engine, "DescribeTable", &json!({ "TableName": "credits" }))["Table"];
    assert_eq!(table["TableStatus"], "ACTIVE");
    let indexes = table["GlobalSecondaryIndexes"].as_array().unwrap().iter();
    let mut names: Vec<_> = indexes.map(|index| index["IndexName"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["generation_uuid", "holds", "timeline"]);

    let query = json!({
        "TableName": "credits", "IndexName": "timeline", "KeyConditionExpression": "user_uuid = :u",
        "ExpressionAttributeValues": { ":u": { "S": "u" } },
    });
    let records = &call(&engine, "Query", &query)["Items"];
    assert_eq!(records[0]["trans_no"]["S"], grant["trans_no"], "{records}");

    let key = json!({ "user_uuid": { "S": "u" }, "sk": records[0]["sk"] });
    let item = &call(&engine, "GetItem", &json!({ "TableName": "credits", "Key": key }))["Item"];
    assert_eq!(item["trans_no"]["S"], grant["trans_no"], "{item}");
}
