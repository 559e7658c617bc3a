//! Good resources with each of their values damaged in turn: nothing panics, nothing slips through, no secret shows.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use weir_cli::check::{Compiled, Environment, Source, command, compile};
use weir_cli::resources::yaml;

const GOOD: &[&str] = &[include_str!("resources/base.yaml"), include_str!("resources/wide/all.yaml")];

/// Members that take whatever names people give.
const OPEN: &[&str] = &["labels", "annotations", "infrastructure", "stringData", "data"];
/// Kinds of which only a part is read, or nothing.
const NOT_READ: &[&str] = &["Service"];

/// JSON pointers of all values of a document.
fn places(value: &Value, place: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.replace('/', "~1"), member)).collect()
        }
        Value::Array(items) => items.iter().enumerate().map(|(i, item)| (i.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    for (name, child) in children {
        let place = format!("{place}/{name}");
        places(child, &place, found);
        found.push(place);
    }
}

fn is_open(document: &Value, place: &str) -> bool {
    place.split('/').any(|step| OPEN.contains(&step))
        || document["kind"].as_str().is_some_and(|kind| NOT_READ.contains(&kind))
}

fn check(documents: &[Value]) -> Compiled {
    let text: String = documents.iter().map(|document| format!("---\n{document}\n")).collect();
    let compiled = compile(&[Source { name: "a".to_owned(), text }], &Environment::default());
    assert_eq!(compiled.plan.is_some(), compiled.errors.is_empty());
    compiled
}

/// Calls back with each place of each document.
fn for_each_place(mut test: impl FnMut(&[Value], usize, &str)) {
    for text in GOOD {
        let documents: Vec<Value> = yaml::documents(text).into_iter().map(Result::unwrap).collect();
        assert!(check(&documents).plan.is_some());
        for (position, document) in documents.iter().enumerate() {
            let mut found = Vec::new();
            places(document, "", &mut found);
            for place in &found {
                test(&documents, position, place);
            }
        }
    }
}

#[test]
fn a_wrong_value_is_told_and_not_shown() {
    for_each_place(|documents, position, place| {
        for damage in [json!("sk-hush"), json!(-7), json!({"zzz": "hush"})] {
            let is_object = damage.is_object();
            let mut documents = documents.to_vec();
            *documents[position].pointer_mut(place).unwrap() = damage;
            let compiled = check(&documents);
            let text = command::findings(&compiled).join("\n");
            assert!(!text.contains('\0'), "{place}: {text}");
            // Secrets are told from what may be repeated by where they stand.
            if place.starts_with("/stringData") || place.starts_with("/data") {
                assert!(!text.contains("hush"), "{place}: {text}");
            }
            // No value of these resources may be an object of anything.
            if is_object && !is_open(&documents[position], place) {
                assert!(!compiled.errors.is_empty() || !compiled.skipped.is_empty(), "{place}: {text}");
            }
        }
    });
}

#[test]
fn a_field_that_nobody_knows_is_told_wherever_it_stands() {
    for_each_place(|documents, position, place| {
        let open = is_open(&documents[position], place);
        let mut documents = documents.to_vec();
        let Some(Value::Object(members)) = documents[position].pointer_mut(place) else { return };
        if open {
            return;
        }
        members.insert("zzz".to_owned(), json!(1));
        let errors = check(&documents).errors;
        assert!(
            errors
                .iter()
                .any(|error| error.field.ends_with("zzz") && error.message.contains("no such field")),
            "{place}: {errors:?}"
        );
    });
}

#[test]
fn an_absent_value_never_panics() {
    for_each_place(|documents, position, place| {
        let (parent, name) = place.rsplit_once('/').unwrap();
        let mut documents = documents.to_vec();
        match documents[position].pointer_mut(parent) {
            Some(Value::Object(members)) => {
                members.remove(&name.replace("~1", "/"));
            }
            Some(Value::Array(items)) => {
                items.remove(name.parse().unwrap());
            }
            _ => {}
        }
        let text = command::findings(&check(&documents)).join("\n");
        assert!(!text.contains('\0'), "{place}: {text}");
    });
}
