//! The key of names of stored responses: where it comes from, and what is wrong with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use weir_cli::check::{Compiled, Environment, Source, compile};
use weir_cli::resources::platform::Platform;
use weir_core::kept::Key;

const BASE: &str = include_str!("resources/base.yaml");
const SECRET: &str = "0123456789abcdef";

/// The base with `weir.dev/response-key: responses` on its Gateway, and a Secret of that name.
fn compiled(data: &str, environment: &Environment) -> Compiled {
    let gateway = "metadata: {name: edge, annotations: {weir.dev/response-key: responses}}";
    let text = BASE.replace("metadata: {name: edge}", gateway);
    assert!(text.contains(gateway), "the Gateway must stand in the base");
    let secret = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: responses}}\nstringData: {data}\n");
    let text = format!("{text}\n---\n{secret}");
    compile(&[Source { name: "base.yaml".to_owned(), text }], environment)
}

#[test]
fn the_key_follows_from_a_secret_and_does_not_show_it() {
    let filter = compiled(&format!("{{key: {SECRET}}}"), &Environment::default()).plan.unwrap().filter;
    assert_eq!(filter.kept_key, Some(Key::derived(SECRET.as_bytes())));
    let json = serde_json::to_string(&filter).unwrap();
    assert!(!json.contains(SECRET) && !json.contains(&hex::encode(SECRET)), "{json}");
    let lined = compiled(&format!("{{key: \"{SECRET}\\n\"}}"), &Environment::default());
    assert_eq!(lined.plan.unwrap().filter.kept_key, filter.kept_key, "as `openssl rand` ends it");
}

#[test]
fn a_key_that_is_none_is_a_mistake() {
    for (data, message) in
        [("{key: short}", "is shorter than 16 bytes"), ("{other: 0123456789abcdef}", "needs the key `key`")]
    {
        let errors = compiled(data, &Environment::default()).errors;
        assert!(errors.iter().any(|error| error.message.contains(message)), "{errors:#?}");
    }
    let text = BASE.replace(
        "metadata: {name: edge}",
        "metadata: {name: edge, annotations: {weir.dev/response-key: nowhere}}",
    );
    let source = Source { name: "base.yaml".to_owned(), text };
    let errors = compile(&[source], &Environment::default()).errors;
    assert!(errors.iter().any(|error| error.message.contains("Secret default/nowhere does not exist")));
}

#[test]
fn platforms_without_ways_to_one_backend_have_no_key() {
    let environment = Environment { platform: Platform::EnvoyGateway, ..Environment::default() };
    let compiled = compiled(&format!("{{key: {SECRET}}}"), &environment);
    assert!(compiled.warnings.iter().any(|warning| warning.message.contains("has no effect there")));
    assert_eq!(compiled.plan.unwrap().filter.kept_key, None);
}
