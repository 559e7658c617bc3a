//! What Anthropic's API refuses, so that a translation that gets it wrong is noticed here and not in production.

use serde_json::Value;

use super::Carrier;
use super::message::{CIPHERTEXT, signature};

/// What a request is measured by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The API that carries it.
    pub(crate) carrier: Carrier,
    /// Whether it follows API version 2026-10-21, which took things away that 2023-06-01 has.
    pub(crate) latest: bool,
    /// Whether it only counts tokens, which needs no `max_tokens`.
    pub(crate) count: bool,
}

/// Fields of a request body, besides those that only one carrier has.
const FIELDS: [&str; 15] = [
    "max_tokens",
    "messages",
    "system",
    "metadata",
    "stop_sequences",
    "temperature",
    "top_k",
    "top_p",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "context_management",
    "cache_control",
    "service_tier",
];
const NATIVE_FIELDS: [&str; 7] =
    ["model", "stream", "container", "mcp_servers", "inference_geo", "speed", "diagnostics"];
const BEDROCK_FIELDS: [&str; 2] = ["anthropic_version", "anthropic_beta"];

/// Checks a request the way the API documents it. `anthropic_version` in the body is the carrier's business.
///
/// # Errors
/// The message the API would answer with.
pub(crate) fn check(body: &Value, rules: Rules) -> Result<(), String> {
    let Some(fields) = body.as_object() else { return Err("Input should be an object".to_owned()) };
    let own: &[&str] = match rules.carrier {
        Carrier::Native => &NATIVE_FIELDS,
        Carrier::Bedrock => &BEDROCK_FIELDS,
    };
    if let Some(name) =
        fields.keys().find(|name| !FIELDS.contains(&name.as_str()) && !own.contains(&name.as_str()))
    {
        return Err(format!("{name}: Extra inputs are not permitted"));
    }
    if rules.carrier == Carrier::Native
        && fields.get("model").and_then(Value::as_str).is_none_or(str::is_empty)
    {
        return Err("model: Field required".to_owned());
    }
    if rules.latest
        && let Some(name) =
            ["temperature", "top_p", "top_k"].into_iter().find(|name| fields.contains_key(*name))
    {
        return Err(format!("{name}: Extra inputs are not permitted"));
    }
    if !rules.count && fields.get("max_tokens").and_then(Value::as_u64).is_none_or(|limit| limit == 0) {
        return Err("max_tokens: Field required, an integer of at least 1".to_owned());
    }
    if let Some(temperature) = fields.get("temperature")
        && temperature.as_f64().is_none_or(|value| !(0.0..=1.0).contains(&value))
    {
        return Err("temperature: range: 0..1".to_owned());
    }
    sampling(body)?;
    tools(body)?;
    thinking(body)?;
    let texts = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    if texts(fields.get("stop_sequences")).iter().any(|stop| stop.trim().is_empty()) {
        return Err("stop_sequences: each stop sequence must contain non-whitespace".to_owned());
    }
    let user = body.pointer("/metadata/user_id").and_then(Value::as_str).unwrap_or_default();
    if user.chars().count() > 256 {
        return Err("metadata.user_id: String should have at most 256 characters".to_owned());
    }
    if user.contains('@') {
        return Err("metadata.user_id: user_id appears to contain an email address".to_owned());
    }
    if rules.carrier == Carrier::Bedrock {
        unknown_to_bedrock(body)?;
    }
    if let Some(system) = fields.get("system") {
        blocks("system", system, &["text"])?;
    }
    marks(body)?;
    messages(fields.get("messages"), rules.latest)?;
    thoughts(body)
}

/// At most four cache marks, wherever they are.
fn marks(body: &Value) -> Result<(), String> {
    fn count(value: &Value) -> usize {
        match value {
            Value::Array(list) => list.iter().map(count).sum(),
            Value::Object(map) => {
                let own = map.get("cache_control").is_some_and(|mark| !mark.is_null());
                usize::from(own) + map.get("content").map_or(0, count)
            }
            _ => 0,
        }
    }
    let found: usize =
        ["tools", "system", "messages"].iter().filter_map(|key| body.get(key)).map(count).sum();
    if found > 4 {
        return Err(format!("A maximum of 4 blocks with cache_control may be provided. Found {found}."));
    }
    Ok(())
}

/// Every thought is one the stand-in had, and where it is asked to think within a budget, a turn begins with one.
fn thoughts(body: &Value) -> Result<(), String> {
    let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let kind = |block: &Value| block.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let blocks =
        |message: &Value| message.get("content").and_then(Value::as_array).cloned().unwrap_or_default();
    for (index, message) in messages.iter().enumerate() {
        let content = blocks(message);
        for (position, block) in content.iter().enumerate() {
            let text = |key: &str| block.get(key).and_then(Value::as_str).unwrap_or_default();
            let at = format!("messages.{index}.content.{position}");
            match kind(block).as_str() {
                "thinking" if text("signature") != signature(text("thinking")) => {
                    return Err(format!("{at}: Invalid `signature` in `thinking` block"));
                }
                "redacted_thinking" if text("data") != CIPHERTEXT => {
                    return Err(format!("{at}: Invalid `data` in `redacted_thinking` block"));
                }
                _ => {}
            }
        }
        if content.last().is_some_and(|block| kind(block).ends_with("thinking")) {
            return Err(format!(
                "messages.{index}: The final block in an assistant message cannot be `thinking`."
            ));
        }
    }
    if body.pointer("/thinking/type").and_then(Value::as_str) != Some("enabled") {
        return Ok(());
    }
    if matches!(body.pointer("/tool_choice/type").and_then(Value::as_str), Some("any" | "tool")) {
        return Err("Thinking may not be enabled when tool_choice forces tool use.".to_owned());
    }
    // A turn goes on through the results of its tools, and Claude thinks at its beginning.
    let is_user = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("user");
    let speaks = |message: &Value| !blocks(message).iter().any(|block| kind(block) == "tool_result");
    let spoke = messages.iter().rposition(|message| is_user(&message) && speaks(message));
    let turn = messages.iter().enumerate().skip(spoke.map_or(0, |index| index + 1));
    if let Some((index, message)) = turn.into_iter().find(|(_, message)| !is_user(message))
        && let Some(first) = blocks(message).first().map(kind).filter(|first| !first.ends_with("thinking"))
    {
        return Err(format!(
            "messages.{index}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. When \
             `thinking` is enabled, a final `assistant` message must start with a thinking block"
        ));
    }
    Ok(())
}

fn messages(messages: Option<&Value>, latest: bool) -> Result<(), String> {
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
        if !matches!(role, "user" | "assistant") {
            return Err(format!("{at}.role: Input should be 'user' or 'assistant'"));
        }
        let is_prefill = index + 1 == messages.len() && role == "assistant";
        if is_prefill && last_text(message).is_some_and(|text| text.ends_with(char::is_whitespace)) {
            return Err("messages: final assistant content cannot end with trailing whitespace".to_owned());
        }
        if index == 0 && role != "user" {
            return Err(format!("{at}: first message must use the \"user\" role"));
        }
        let content = message.get("content").unwrap_or(&Value::Null);
        let kinds: &[&str] = if role == "user" {
            &["text", "image", "document", "tool_result", "search_result"]
        } else {
            &[
                "text",
                "tool_use",
                "thinking",
                "redacted_thinking",
                "server_tool_use",
                "web_search_tool_result",
            ]
        };
        blocks(&format!("{at}.content"), content, kinds)?;
        let documents = |block: &Value| block.get("type").and_then(Value::as_str) == Some("document");
        if latest
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
fn blocks(at: &str, content: &Value, kinds: &[&str]) -> Result<(), String> {
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
        if kind == "tool_use" && !block.get("input").is_some_and(Value::is_object) {
            return Err(format!("{at}.tool_use.input: Input should be a valid dictionary"));
        }
        if matches!(kind, "image" | "document") {
            source(&at, block.get("source").unwrap_or(&Value::Null))?;
        }
    }
    Ok(())
}

fn last_text(message: &Value) -> Option<&str> {
    let content = message.get("content")?;
    content.as_str().or_else(|| content.as_array()?.last()?.get("text")?.as_str())
}

/// Only a model's name tells what it takes, and only Anthropic's own requests have it.
fn sampling(body: &Value) -> Result<(), String> {
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    let is_one_of = |models: &[&str]| models.iter().any(|name| model.contains(name));
    let has = |name: &str| body.get(name).is_some();
    if is_one_of(&["opus-4-7", "opus-4-8", "sonnet-5"])
        && let Some(name) = ["temperature", "top_p", "top_k"].into_iter().find(|name| has(name))
    {
        return Err(format!("`{name}` is deprecated for this model."));
    }
    if is_one_of(&["opus-4-1", "-4-5", "-4-6"]) && has("temperature") && has("top_p") {
        return Err(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
                .to_owned(),
        );
    }
    Ok(())
}

/// InvokeModel takes no member it does not know, and fetches nothing.
fn unknown_to_bedrock(body: &Value) -> Result<(), String> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    for (index, tool) in list(body.get("tools")).iter().enumerate() {
        if tool.get("eager_input_streaming").is_some() {
            return Err(format!(
                "tools.{index}.custom.eager_input_streaming: Extra inputs are not permitted"
            ));
        }
    }
    let contents = list(body.get("messages")).into_iter().flat_map(|message| list(message.get("content")));
    for block in contents.chain(list(body.get("system"))).chain(list(body.get("tools"))) {
        if block.pointer("/cache_control/scope").is_some() {
            return Err("cache_control.ephemeral.scope: Extra inputs are not permitted".to_owned());
        }
        if block.pointer("/source/type").and_then(Value::as_str) == Some("url") {
            return Err("source.type: Input should be 'base64'".to_owned());
        }
    }
    Ok(())
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

fn tools(body: &Value) -> Result<(), String> {
    let tools = body.get("tools").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, tool) in tools.iter().enumerate() {
        let own_kind = tool.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "custom");
        if tool.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err(format!("tools.{index}.name: Field required"));
        }
        if !own_kind && tool.pointer("/input_schema/type").and_then(Value::as_str) != Some("object") {
            return Err(format!("tools.{index}.custom.input_schema.type: Field required"));
        }
    }
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    if tools.is_empty() {
        return Err("tool_choice: may only be specified while providing tools".to_owned());
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

fn thinking(body: &Value) -> Result<(), String> {
    if body.pointer("/thinking/type").and_then(Value::as_str) != Some("enabled") {
        return Ok(());
    }
    let budget = body.pointer("/thinking/budget_tokens").and_then(Value::as_u64).unwrap_or(0);
    if budget < 1024 {
        return Err(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024".to_owned()
        );
    }
    if body.get("max_tokens").and_then(Value::as_u64).is_some_and(|limit| limit <= budget) {
        return Err("`max_tokens` must be greater than `thinking.budget_tokens`".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NATIVE: Rules = Rules { carrier: Carrier::Native, latest: false, count: false };
    const BEDROCK: Rules = Rules { carrier: Carrier::Bedrock, ..NATIVE };
    const LATEST: Rules = Rules { latest: true, ..NATIVE };

    #[test]
    fn the_body_follows_the_carrier() {
        let native = json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(check(&native, NATIVE), Ok(()));
        assert_eq!(check(&native, BEDROCK).unwrap_err(), "model: Extra inputs are not permitted");
        let bedrock = json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 1,
                             "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(check(&bedrock, BEDROCK), Ok(()));
    }

    #[test]
    fn the_latest_version_has_no_sampling_parameters() {
        let body = json!({"model": "m", "max_tokens": 1, "temperature": 1.0,
                          "messages": [{"role": "user", "content": "x"}]});
        assert_eq!(check(&body, NATIVE), Ok(()));
        assert!(check(&body, LATEST).is_err());
    }

    #[test]
    fn every_tool_use_has_its_result_in_the_next_message() {
        let check =
            |messages: Value| check(&json!({"model": "m", "max_tokens": 1, "messages": messages}), NATIVE);
        let user = json!({"role": "user", "content": "x"});
        let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]});
        let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]});
        assert_eq!(check(json!([user, call, result])), Ok(()));
        assert!(check(json!([user, call, user])).is_err());
        assert!(check(json!([user, result])).is_err());
        assert!(check(json!([user, call])).is_err());
    }

    #[test]
    fn a_thought_comes_back_as_it_was() {
        let check = |content: Value, think: bool| {
            let mut body = json!({"model": "m", "max_tokens": 4000, "messages": [
                {"role": "user", "content": "x"}, {"role": "assistant", "content": content},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]});
            if think {
                body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
            }
            check(&body, NATIVE)
        };
        let thought = json!({"type": "thinking", "thinking": "a", "signature": signature("a")});
        let emptied = json!({"type": "thinking", "thinking": "", "signature": signature("a")});
        let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
        assert_eq!(check(json!([thought, call]), true), Ok(()));
        assert_eq!(check(json!([call]), false), Ok(()));
        assert!(check(json!([call]), true).is_err());
        assert!(check(json!([emptied, call]), false).is_err());
        assert!(check(json!([call, thought]), false).is_err());
    }

    #[test]
    fn five_cache_marks_are_too_many() {
        let check = |count: usize| {
            let text = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
            let content = vec![text; count];
            check(
                &json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}),
                NATIVE,
            )
        };
        assert_eq!(check(4), Ok(()));
        assert!(check(5).is_err());
    }

    #[test]
    fn what_only_some_take_is_refused() {
        let refused = [
            (json!({"stop_sequences": ["\n"]}), NATIVE),
            (json!({"metadata": {"user_id": "ann@example.com"}}), NATIVE),
            (json!({"model": "claude-opus-4-7", "top_k": 1}), NATIVE),
            (json!({"model": "claude-sonnet-4-5", "temperature": 1, "top_p": 1}), NATIVE),
            (json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "\n"}]}]}), NATIVE),
            (
                json!({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "x "}]}),
                NATIVE,
            ),
            (
                json!({"system": [{"type": "text", "text": "x", "cache_control": {"scope": "global"}}]}),
                BEDROCK,
            ),
            (
                json!({"tools": [{"name": "f", "input_schema": {"type": "object"}, "eager_input_streaming": true}]}),
                BEDROCK,
            ),
        ];
        for (members, rules) in refused {
            let mut body = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "x"}]});
            if rules.carrier == Carrier::Native {
                body["model"] = json!("m");
            }
            assert_eq!(check(&body, rules), Ok(()));
            for (key, value) in members.as_object().unwrap() {
                body[key] = value.clone();
            }
            assert!(check(&body, rules).is_err(), "{body}");
        }
    }

    #[test]
    fn empty_text_is_refused() {
        let body = json!({"model": "m", "max_tokens": 1,
                          "messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]});
        assert!(check(&body, NATIVE).is_err());
    }
}
