//! Bad resources, each the good base with one thing changed, and what is said about each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::HashMap;

use weir_cli::check::{Environment, Source, command, compile};

#[path = "support/bad/mod.rs"]
mod bad;

use bad::cases;

const BASE: &str = include_str!("resources/base.yaml");

fn findings(edits: &[(&str, &str)], added: &str) -> Vec<String> {
    let mut text = BASE.to_owned();
    for (from, to) in edits {
        assert_eq!(text.matches(from).count(), 1, "{from} must stand in the base once");
        text = text.replace(from, to);
    }
    let mut sources = vec![Source { name: "base.yaml".to_owned(), text }];
    if !added.is_empty() {
        sources.push(Source { name: "added.yaml".to_owned(), text: added.to_owned() });
    }
    let compiled = compile(&sources, &Environment::default());
    assert_eq!(compiled.plan.is_some(), compiled.errors.is_empty());
    command::findings(&compiled)
}

#[test]
fn the_base_is_good() {
    assert!(findings(&[], "").is_empty(), "{:#?}", findings(&[], ""));
}

#[test]
fn each_mistake_is_told_with_its_place() {
    let mut told = String::new();
    let mut reasons: HashMap<Vec<String>, &str> = HashMap::new();
    for (name, edits, added) in cases() {
        let found = findings(edits, added);
        assert!(!found.is_empty(), "{name}: nothing was found");
        let text = found.join("\n");
        assert!(!text.contains("hush") && !text.contains('\0'), "{name}: {text}");
        told.push_str(&format!("# {name}\n{text}\n\n"));
        if let Some(other) = reasons.insert(found, name) {
            panic!("{name} fails for the reason of {other}");
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn mistakes_of_several_files_are_all_told() {
    let sources = [
        Source { name: "a.yaml".to_owned(), text: "a: [".to_owned() },
        Source { name: "b.yaml".to_owned(), text: BASE.replace("name: openai-servers}}", "name: x}}") },
        Source { name: "c.yaml".to_owned(), text: "- 1\n---\nkind: Gateway\n".to_owned() },
    ];
    let compiled = compile(&sources, &Environment::default());
    let errors: Vec<String> = compiled.errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "a.yaml:1:4: this is not YAML: unclosed bracket '['",
            "c.yaml: a document is no resource: it needs `apiVersion`, `kind` and `metadata.name`",
        ]
    );
}
