//! Resources as JSON, and files of them as YAML.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::render::{Error, Files};

/// Tells what Weir made from what was passed on, for `kubectl apply --prune` and people.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// A resource of Weir's own making.
pub(in crate::render) fn resource(
    api_version: &str,
    kind: &str,
    namespace: &str,
    name: &str,
    spec: Value,
) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {MANAGED_BY: "weir"}},
        "spec": spec,
    })
}

/// The field `kind`.
pub(in crate::render) fn kind_of(document: &Value) -> &str {
    document.get("kind").and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.name`
pub(in crate::render) fn name_of(document: &Value) -> &str {
    document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.namespace`, which is `default` where it is not given.
pub(in crate::render) fn namespace_of(document: &Value) -> &str {
    document.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or("default")
}

/// What a policy applies to, in the old form and the new.
pub(in crate::render) fn targets(policy: &Value) -> impl Iterator<Item = &Value> {
    let many = policy.pointer("/spec/targetRefs").and_then(Value::as_array).into_iter().flatten();
    policy.pointer("/spec/targetRef").into_iter().chain(many)
}

/// Resources by the file they go into, in the order they were added.
#[derive(Debug, Default)]
pub(in crate::render) struct Manifests(BTreeMap<&'static str, Vec<Value>>);

impl Manifests {
    /// Adds a resource to a file.
    pub(in crate::render) fn add(&mut self, file: &'static str, resource: Value) {
        self.0.entry(file).or_default().push(resource);
    }

    /// The files.
    pub(in crate::render) fn into_files(self) -> Result<Files, Error> {
        let mut files = Files::default();
        for (file, resources) in self.0 {
            // Each with its own mark, so that files may be put one behind the other.
            let documents: Result<String, Error> =
                resources.iter().map(|resource| Ok(format!("---\n{}", yaml(resource)?))).collect();
            files.insert_text(file, documents?);
        }
        Ok(files)
    }
}

fn yaml(resource: &Value) -> Result<String, Error> {
    // Long strings stay on their line: these are no prose.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(resource, options).map_err(|error| Error::Yaml(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::yaml::documents;

    #[test]
    fn what_is_written_is_read_again() {
        // What readers of YAML 1.1, such as kubectl, take for something else than a string.
        let words = [
            "yes",
            "On",
            "no",
            "~",
            "null",
            "0123",
            "1_000",
            "1e3",
            "12:30",
            "0x1f",
            ".5",
            "=",
            "<<",
            "2020-01-01",
            "",
            " ",
            "a: b",
            "- a",
            "#",
            "x #y",
            "%a",
            "@a",
            "`a`",
            "'",
            "\"",
            "\\",
            "a\nb\n",
            "a\n\n",
            "\ta",
            "*",
            "&a",
            "!a",
            "{\"a\":[1]}",
            "[]",
            "very long ".repeat(40).trim(),
        ]
        .map(str::to_owned)
        .to_vec();
        let written = json!({"list": words, "number": 7, "big": 1.5, "yes": true, "empty": {}, "none": []});
        let text = yaml(&written).unwrap();
        let read: Vec<Value> = documents(&text).into_iter().map(Result::unwrap).collect();
        assert_eq!(read, [written], "{text}");
        for word in ["yes", "On", "0123", "1_000", "12:30", "="] {
            assert!(!text.contains(&format!("- {word}\n")), "{word} is not quoted:\n{text}");
        }
    }
}
