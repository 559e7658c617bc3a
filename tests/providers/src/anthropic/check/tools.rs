//! Tools and whether they must be called.

use serde_json::Value;

use super::is_one_of;

/// `^[a-zA-Z0-9_-]{1,128}$`
pub(super) fn is_name(name: &str) -> bool {
    let is_allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    (1..=128).contains(&name.len()) && name.chars().all(is_allowed)
}

pub(super) fn tools(body: &Value, model: &str) -> Result<(), String> {
    let tools = body.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut names = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let own_kind = tool.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "custom");
        let Some(name) = tool.get("name").and_then(Value::as_str) else {
            return Err(format!("tools.{index}.name: Field required"));
        };
        if !is_name(name) {
            return Err(format!(
                "tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            ));
        }
        if names.contains(&name) {
            return Err("tools: Tool names must be unique.".to_owned());
        }
        names.push(name);
        if !own_kind && tool.pointer("/input_schema/type").and_then(Value::as_str) != Some("object") {
            return Err(format!("tools.{index}.custom.input_schema.type: Field required"));
        }
        if ["oneOf", "allOf", "anyOf"]
            .iter()
            .any(|union| tool.pointer(&format!("/input_schema/{union}")).is_some())
        {
            return Err(format!(
                "tools.{index}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
            ));
        }
    }
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    if tools.is_empty() {
        return Err("tool_choice: may only be specified while providing tools".to_owned());
    }
    let is_forced = matches!(choice.get("type").and_then(Value::as_str), Some("any" | "tool"));
    let refuses = ["opus-5-5", "sonnet-5-5", "fable-5-1", "fable-5-2", "mythos-5-1", "mythos-5-2"];
    if is_forced && is_one_of(model, &refuses) {
        return Err("tool_choice: type \"tool\" and \"any\" are not supported for this model.".to_owned());
    }
    match choice.get("type").and_then(Value::as_str) {
        Some("auto" | "any" | "none") => Ok(()),
        Some("tool") => {
            let name = choice.get("name").and_then(Value::as_str);
            if name.is_some() && tools.iter().any(|tool| tool.get("name").and_then(Value::as_str) == name) {
                Ok(())
            } else {
                Err("tool_choice: Tool not found in provided tools".to_owned())
            }
        }
        _ => Err("tool_choice: Input tag does not match any of the expected tags".to_owned()),
    }
}
