//! Envoy's matchers: which filter a place in a chain runs for a request.

use serde_json::{Map, Value, json};

use super::super::proto;

/// The message of a place that runs what its matcher says.
pub(super) const MESSAGE: &str = "envoy.extensions.common.matching.v3.ExtensionWithMatcher";

/// A place that runs what `matcher` says.
pub(super) fn extension(matcher: Value) -> Value {
    proto::any(
        MESSAGE,
        json!({
            "extension_config": proto::extension(
                "weir.security",
                "envoy.extensions.filters.http.composite.v3.Composite",
                json!({}),
            ),
            "xds_matcher": matcher,
        }),
    )
}

/// A matcher whose first match decides, and `rest` where there is none.
pub(super) fn first_of(matchers: Vec<Value>, rest: Option<Value>) -> Value {
    let mut fields = Map::new();
    // Envoy takes no empty list.
    if !matchers.is_empty() {
        fields.insert("matcher_list".to_owned(), json!({"matchers": matchers}));
    }
    fields.extend(rest.map(|rest| ("on_no_match".to_owned(), rest)));
    fields.into()
}

/// Has a filter run.
pub(super) fn run(filter: Value) -> Value {
    json!({"action": proto::extension(
        "weir.security.run",
        "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction",
        json!({"typed_config": {"name": "weir.security.filter", "typed_config": filter}}),
    )})
}

/// Has none run.
pub(super) fn skip() -> Value {
    json!({"action": proto::extension(
        "weir.security.skip",
        "envoy.extensions.filters.common.matcher.action.v3.SkipFilter",
        json!({}),
    )})
}

/// An action that is a message of its own.
pub(super) fn action(name: &str, message: &str, fields: Value) -> Value {
    json!({"action": proto::extension(name, message, fields)})
}

/// The value of a request header.
pub(super) fn header_input(name: &str) -> Value {
    proto::extension(
        "header",
        "envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
        json!({"header_name": name}),
    )
}

/// Whether the value of a header is `value`, a `StringMatcher`.
pub(super) fn header(name: &str, value: &Value) -> Value {
    json!({"single_predicate": {"input": header_input(name), "value_match": value}})
}

/// Whether `matcher` takes what `input` finds.
pub(super) fn custom(input: Value, matcher: Value) -> Value {
    json!({"single_predicate": {"input": input, "custom_match": matcher}})
}

/// RE2, the whole value.
pub(super) fn regex(regex: &str) -> Value {
    json!({"google_re2": {}, "regex": regex})
}

/// One of them; `None` where there is none.
pub(super) fn any_of(predicates: Vec<Value>) -> Option<Value> {
    joined("or_matcher", predicates)
}

/// All of them; `None` where there is none.
pub(super) fn all_of(predicates: Vec<Value>) -> Option<Value> {
    joined("and_matcher", predicates)
}

/// Envoy takes a list of two and more only.
fn joined(key: &str, mut predicates: Vec<Value>) -> Option<Value> {
    if predicates.len() > 1 {
        return Some(json!({key: {"predicate": predicates}}));
    }
    predicates.pop()
}
