//! Custom tools: what the model gives them is a text. Other APIs have functions only, so such a tool is a function with
//! a text as its one argument, and its calls are told as what they are for.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::chat::Verbatim;

/// The name of the argument.
const INPUT: &str = "input";

/// The arguments of the function that stands for a custom tool.
pub(super) fn parameters() -> Option<Verbatim> {
    let members = json!({ INPUT: { "type": "string" } });
    let schema =
        json!({"type": "object", "properties": members, "required": [INPUT], "additionalProperties": false});
    to_raw_value(&schema).ok().map(Verbatim::from)
}

/// The arguments that say `input`.
pub(super) fn arguments(input: &str) -> String {
    json!({ INPUT: input }).to_string()
}

/// What the arguments say: the text, or what the model wrote in its place.
pub(super) fn input(arguments: String) -> String {
    #[derive(Deserialize)]
    struct Arguments {
        input: String,
    }
    serde_json::from_str(&arguments).map_or(arguments, |Arguments { input }| input)
}

/// The names of the custom tools among `tools`, which is JSON of a client's.
pub(super) fn names(tools: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Tool {
        #[serde(rename = "type")]
        kind: Option<String>,
        name: Option<String>,
    }
    let tools: Vec<Tool> = serde_json::from_str(tools).unwrap_or_default();
    let custom = tools.into_iter().filter(|tool| tool.kind.as_deref() == Some("custom"));
    custom.filter_map(|tool| tool.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for text in ["", "*** Begin Patch\n\"x\"\n", "{\"input\": 1}"] {
            assert_eq!(input(arguments(text)), text);
        }
        for other in ["", "plain", "{\"inp", "{\"input\": 1}", "{\"text\": \"x\"}"] {
            assert_eq!(input(other.to_owned()), other);
        }
        let tools = r#"[{"type":"custom","name":"a"},{"type":"function","name":"b"},{"type":"custom"},{}]"#;
        assert_eq!(names(tools), ["a"]);
    }
}
