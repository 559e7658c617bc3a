//! JSON as Google takes it: members by either spelling of their names, bytes in either alphabet of Base64
//! (<https://protobuf.dev/programming-guides/json/>).

use serde_json::Value;

/// What is not looked into: its names are a client's.
const OPEN: [&str; 7] = [
    "args",
    "labels",
    "parameters",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
    "responseSchema",
];

/// The same with the names that the reference has.
pub(super) fn in_camel_case(value: Value) -> Value {
    match value {
        Value::Array(list) => list.into_iter().map(in_camel_case).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let name = camel(&name);
                let value = if OPEN.contains(&name.as_str()) { value } else { in_camel_case(value) };
                (name, value)
            })
            .collect(),
        other => other,
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

/// Base64 in the alphabet that is not for URLs.
pub(super) fn standard(base64: &str) -> String {
    base64.replace('-', "+").replace('_', "/")
}
