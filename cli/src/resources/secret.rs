//! Secrets, ConfigMaps and Services. What a Secret holds never gets into a message.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::decode::Mistake;
use crate::plan::SecretValue;

/// The values of a Secret or ConfigMap, by their key.
#[derive(Debug, Clone, Default)]
pub struct KeyedValues {
    values: BTreeMap<String, SecretValue>,
}

impl KeyedValues {
    /// A value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&SecretValue> {
        self.values.get(key)
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

/// Reads `data`, which is base64, and `stringData`, which wins and is not.
#[must_use]
pub fn secret(resource: &Value, mistakes: &mut Vec<Mistake>) -> KeyedValues {
    let mut values = BTreeMap::new();
    for (key, text) in texts(resource, "data", mistakes) {
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let decoded = STANDARD.decode(compact).ok().map(String::from_utf8);
        match decoded {
            Some(Ok(value)) => {
                values.insert(key, SecretValue(value));
            }
            // A Secret may hold binary values that no policy names.
            Some(Err(_)) => {}
            None => mistakes.push(Mistake {
                field: format!("data.{key}"),
                message: "is not base64; encode it, or use `stringData` for plain text".to_owned(),
            }),
        }
    }
    for (key, text) in texts(resource, "stringData", mistakes) {
        values.insert(key, SecretValue(text));
    }
    if resource.get("type").is_some_and(|kind| !kind.is_string()) {
        mistakes.push(Mistake { field: "type".to_owned(), message: "must be a text".to_owned() });
    }
    unknown_members(resource, &["data", "stringData", "type", "immutable"], mistakes);
    KeyedValues { values }
}

/// Reads `data`, which is text.
#[must_use]
pub fn config_map(resource: &Value, mistakes: &mut Vec<Mistake>) -> KeyedValues {
    let values =
        texts(resource, "data", mistakes).into_iter().map(|(key, text)| (key, SecretValue(text))).collect();
    unknown_members(resource, &["data", "binaryData", "immutable"], mistakes);
    KeyedValues { values }
}

fn texts(resource: &Value, member: &str, mistakes: &mut Vec<Mistake>) -> Vec<(String, String)> {
    let no_members = Map::new();
    let members = match resource.get(member) {
        None => &no_members,
        Some(Value::Object(members)) => members,
        Some(_) => {
            mistakes
                .push(Mistake { field: member.to_owned(), message: "must be an object of texts".to_owned() });
            &no_members
        }
    };
    let mut texts = Vec::new();
    for (key, value) in members {
        match value {
            Value::String(text) => texts.push((key.clone(), text.clone())),
            _ => mistakes.push(Mistake {
                field: format!("{member}.{key}"),
                message: "must be a text; put it in quotes".to_owned(),
            }),
        }
    }
    texts
}

fn unknown_members(resource: &Value, known: &[&str], mistakes: &mut Vec<Mistake>) {
    let envelope = ["apiVersion", "kind", "metadata"];
    for name in resource.as_object().into_iter().flat_map(Map::keys) {
        if !known.contains(&name.as_str()) && !envelope.contains(&name.as_str()) {
            let advice = super::diagnostic::closest(name, known).map_or_else(
                || format!("; known are {}", known.join(", ")),
                |best| format!(", did you mean `{best}`?"),
            );
            mistakes
                .push(Mistake { field: name.clone(), message: format!("there is no such field{advice}") });
        }
    }
}

/// What is needed of a Service: its ports, and the name it stands for if it is an external one.
#[derive(Debug, Clone, Default)]
pub struct ServiceSpec {
    /// `spec.ports[].port`
    pub ports: Vec<u64>,
    /// `spec.externalName`
    pub external_name: Option<String>,
}

/// Reads a Service, of which Kubernetes checks the rest.
#[must_use]
pub fn service(resource: &Value) -> ServiceSpec {
    let ports = resource.pointer("/spec/ports").and_then(Value::as_array);
    ServiceSpec {
        ports: ports.into_iter().flatten().filter_map(|port| port.get("port")?.as_u64()).collect(),
        external_name: resource.pointer("/spec/externalName").and_then(Value::as_str).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_notations_are_read_and_no_value_is_shown() {
        let mut mistakes = Vec::new();
        let read = secret(
            &json!({
                "data": {"a": "c2stMQ==", "b": "sk-not-base64!", "n": 4711, "binary": "//8="},
                "stringData": {"a": "sk-2"},
                "stringdata": {},
            }),
            &mut mistakes,
        );
        assert_eq!(read.get("a").unwrap().0, "sk-2");
        assert_eq!(read.keys().collect::<Vec<_>>(), ["a"]);
        let text = format!("{mistakes:?} {read:?}");
        assert!(!text.contains("sk-") && !text.contains("4711"), "{text}");
        let fields: Vec<_> = mistakes.iter().map(|mistake| mistake.field.as_str()).collect();
        assert_eq!(fields, ["data.n", "data.b", "stringdata"]);
    }
}
