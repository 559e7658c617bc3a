//! The resources of the files: what they come to, and the documents themselves.

use std::path::PathBuf;

use serde_json::Value;

use crate::check::{self, Environment};
use crate::plan::Plan;
use crate::resources::{Platform, Report, Set, Source, exported, source, yaml};
use crate::run::load;

/// All that a renderer for a platform begins with.
#[derive(Debug)]
pub struct Input {
    /// What the resources come to.
    pub plan: Plan,
    /// The resources.
    pub set: Set,
    /// The documents as they were written, without what only a cluster puts there.
    pub documents: Vec<Value>,
    /// Warnings, and what was left aside; a line each.
    pub notes: Vec<String>,
}

impl Input {
    /// Reads and checks the resources of files and folders.
    ///
    /// # Errors
    ///
    /// All mistakes in them, a line each.
    pub fn read(files: &[PathBuf], platform: Platform) -> Result<Input, load::Report> {
        let unreadable =
            |errors: Vec<_>| load::Report(errors.iter().map(|error| format!("error: {error}")).collect());
        Input::of(&source::read(files).map_err(unreadable)?, platform)
    }

    /// As [`Input::read`], of what was read already.
    ///
    /// # Errors
    ///
    /// All mistakes in the resources, a line each.
    pub fn of(sources: &[Source], platform: Platform) -> Result<Input, load::Report> {
        let mut compiled = check::compile(sources, &Environment::of_platform(platform));
        let Some(plan) = compiled.plan.take() else {
            return Err(load::Report(check::command::findings(&compiled)));
        };
        // What is skipped here is passed on.
        compiled.skipped.clear();
        let set = Set::read(sources, platform, &mut Report::default());
        let documents = sources.iter().flat_map(|source| yaml::documents(&source.text)).flatten();
        let own = documents.filter(|document| exported::made_from(document).is_none());
        let documents = own.map(cleaned).collect();
        Ok(Input { plan, set, documents, notes: check::command::findings(&compiled) })
    }
}

/// A document without nulls, status and what a cluster adds to `metadata`.
fn cleaned(mut document: Value) -> Value {
    const OF_THE_CLUSTER: [&str; 9] = [
        "creationTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
        "deletionTimestamp",
        "finalizers",
        "ownerReferences",
    ];
    const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    yaml::drop_nulls(&mut document);
    if let Value::Object(fields) = &mut document {
        fields.shift_remove("status");
    }
    if let Some(Value::Object(metadata)) = document.get_mut("metadata") {
        OF_THE_CLUSTER.iter().for_each(|field| drop(metadata.shift_remove(*field)));
        if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
            annotations.shift_remove(LAST_APPLIED);
            if annotations.is_empty() {
                metadata.shift_remove("annotations");
            }
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::kubernetes::{kind_of, name_of};

    #[test]
    fn of_an_export_only_what_was_written_is_passed_on() {
        let text = include_str!("../../../../tests/deploy/manifests/export.yaml").to_owned();
        let sources = [Source { name: "export.yaml".to_owned(), text }];
        let input = Input::of(&sources, Platform::EnvoyGateway).unwrap();
        let kinds: Vec<&str> = input.documents.iter().map(kind_of).collect();
        assert!(kinds.contains(&"Backend") && !kinds.contains(&"HTTPRoute"), "{kinds:?}");
        for document in &input.documents {
            let metadata = document.get("metadata").and_then(Value::as_object).unwrap();
            let left: Vec<&String> = metadata.keys().collect();
            let own = ["annotations", "name", "namespace"];
            assert!(
                left.iter().all(|field| own.contains(&field.as_str())),
                "{}: {left:?}",
                name_of(document)
            );
            assert!(document.get("status").is_none());
        }
    }
}
