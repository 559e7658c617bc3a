//! The conversation: who speaks when, what they may say, and which result belongs to which call.

use serde_json::Value;

use super::Rules;
use super::tools::is_name;

/// Models that take instructions within the conversation.
const INSTRUCTIONS_WITHIN: [&str; 5] = ["opus-4-8", "opus-5", "sonnet-5-5", "fable-5", "mythos-5"];

pub(super) fn messages(messages: Option<&Value>, rules: Rules<'_>) -> Result<(), String> {
    let Some(messages) = messages.and_then(Value::as_array) else {
        return Err("messages: Field required".to_owned());
    };
    if messages.is_empty() {
        return Err("messages: at least one message is required".to_owned());
    }
    let mut called: Vec<&str> = Vec::new();
    let mut all_called: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let at = format!("messages.{index}");
        let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
        match role {
            "user" | "assistant" => {}
            "system" => instructions(messages, index, rules.model)?,
            _ => return Err(format!("{at}.role: Input should be 'user', 'assistant' or 'system'")),
        }
        let is_prefill = index + 1 == messages.len() && role == "assistant";
        if is_prefill && last_text(message).is_some_and(|text| text.ends_with(char::is_whitespace)) {
            return Err("messages: final assistant content cannot end with trailing whitespace".to_owned());
        }
        if index == 0 && role != "user" {
            return Err(format!("{at}: first message must use the \"user\" role"));
        }
        let content = message.get("content").unwrap_or(&Value::Null);
        let kinds: &[&str] = match role {
            "user" => &["text", "image", "document", "tool_result", "search_result"],
            "system" => &["text"],
            _ => &[
                "text",
                "tool_use",
                "thinking",
                "redacted_thinking",
                "server_tool_use",
                "web_search_tool_result",
            ],
        };
        blocks(&format!("{at}.content"), content, kinds)?;
        let documents = |block: &Value| block.get("type").and_then(Value::as_str) == Some("document");
        if rules.latest
            && role == "assistant"
            && content.as_array().is_some_and(|blocks| blocks.iter().any(documents))
        {
            return Err(format!("{at}: `document` blocks are not permitted in assistant messages"));
        }
        let ids = |kind: &str, key: &str| -> Vec<&str> {
            let blocks = content.as_array().map_or(&[][..], Vec::as_slice);
            let of_kind =
                blocks.iter().filter(|block| block.get("type").and_then(Value::as_str) == Some(kind));
            of_kind.filter_map(|block| block.get(key)?.as_str()).collect()
        };
        let answered = ids("tool_result", "tool_use_id");
        if let Some(id) =
            answered.iter().enumerate().find(|(at, id)| answered.iter().take(*at).any(|other| other == *id))
        {
            return Err(format!(
                "{at}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: {}",
                id.1
            ));
        }
        if let Some(id) = answered.iter().find(|id| !called.contains(*id)) {
            return Err(format!("{at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}"));
        }
        if let Some(id) = called.iter().find(|id| !answered.contains(*id)) {
            return Err(format!(
                "{at}: `tool_use` ids were found without `tool_result` blocks right after: {id}"
            ));
        }
        called = ids("tool_use", "id");
        for id in &called {
            if all_called.contains(id) {
                return Err(format!("{at}: `tool_use` ids must be unique"));
            }
            all_called.push(id);
        }
    }
    if called.is_empty() {
        Ok(())
    } else {
        Err("messages: the last `tool_use` has no `tool_result`".to_owned())
    }
}

/// Content is a text that is not empty, or a list of blocks of the kinds allowed here.
pub(super) fn blocks(at: &str, content: &Value, kinds: &[&str]) -> Result<(), String> {
    let list = match content {
        Value::String(text) if !text.is_empty() => return Ok(()),
        Value::Array(list) if !list.is_empty() => list,
        _ => return Err(format!("{at}: content must be non-empty")),
    };
    for (index, block) in list.iter().enumerate() {
        let at = format!("{at}.{index}");
        let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
        if !kinds.contains(&kind) {
            return Err(format!("{at}: Input tag '{kind}' does not match any of the expected tags"));
        }
        let required: &[&str] = match kind {
            "text" => &["text"],
            "tool_use" => &["id", "name"],
            "tool_result" => &["tool_use_id"],
            "thinking" => &["thinking", "signature"],
            "redacted_thinking" => &["data"],
            _ => &[],
        };
        for key in required {
            if block
                .get(*key)
                .and_then(Value::as_str)
                .is_none_or(|text| text.is_empty() && *key != "thinking")
            {
                return Err(format!("{at}.{kind}.{key}: must be a non-empty string"));
            }
        }
        let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
        if kind == "text" && text("text").trim().is_empty() {
            return Err("messages: text content blocks must contain non-whitespace text".to_owned());
        }
        for (key, id) in [("id", text("id")), ("tool_use_id", text("tool_use_id"))] {
            if !id.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-')) {
                return Err(format!("{at}.{kind}.{key}: String should match pattern '^[a-zA-Z0-9_-]+$'"));
            }
        }
        if kind == "tool_use" && !is_name(text("name")) {
            return Err(format!(
                "{at}.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            ));
        }
        if kind == "tool_use" && !block.get("input").is_some_and(Value::is_object) {
            return Err(format!("{at}.tool_use.input: Input should be a valid dictionary"));
        }
        if matches!(kind, "image" | "document") {
            source(&at, block.get("source").unwrap_or(&Value::Null))?;
        }
    }
    Ok(())
}

/// <https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages>
fn instructions(messages: &[Value], index: usize, model: &str) -> Result<(), String> {
    let role = |at: Option<usize>| messages.get(at?)?.get("role")?.as_str();
    if !INSTRUCTIONS_WITHIN.iter().any(|name| model.contains(name)) {
        return Err("role 'system' is not supported on this model".to_owned());
    }
    match (role(index.checked_sub(1)), role(index.checked_add(1))) {
        (Some("user"), None | Some("assistant")) => Ok(()),
        (None, _) => Err("messages.0: use the top-level 'system' parameter".to_owned()),
        (Some("user"), _) => {
            Err(format!("messages.{index}: role 'system' must precede an 'assistant' message"))
        }
        _ => Err(format!("messages.{index}: role 'system' must follow a 'user' message")),
    }
}

fn last_text(message: &Value) -> Option<&str> {
    let content = message.get("content")?;
    content.as_str().or_else(|| content.as_array()?.last()?.get("text")?.as_str())
}

fn source(at: &str, source: &Value) -> Result<(), String> {
    let text = |key: &str| source.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let whole = match source.get("type").and_then(Value::as_str) {
        Some("base64") => text("media_type") && text("data"),
        Some("url") => text("url"),
        Some("text") => text("data"),
        Some("file") => text("file_id"),
        Some("content") => true,
        _ => false,
    };
    if whole { Ok(()) } else { Err(format!("{at}.source: Input is not a valid source")) }
}
