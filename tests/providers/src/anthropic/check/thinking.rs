//! Thoughts: which a model may be asked for, and which may come back.

use serde_json::Value;

use super::super::message::{CIPHERTEXT, signature};
use super::is_one_of;

/// Every thought is one the stand-in had, and where it is asked to think within a budget, a turn begins with one.
pub(super) fn thoughts(body: &Value) -> Result<(), String> {
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

/// <https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting>
pub(super) fn thinking(body: &Value, model: &str) -> Result<(), String> {
    let kind = body.pointer("/thinking/type").and_then(Value::as_str).unwrap_or_default();
    let has_high_effort =
        matches!(body.pointer("/output_config/effort").and_then(Value::as_str), Some("xhigh" | "max"));
    let always_on = ["opus-5-5", "fable-5", "mythos-"];
    let adaptive_only = ["opus-4-7", "opus-4-8", "opus-5", "sonnet-5", "haiku-5", "fable-5", "mythos-5"];
    let refuses = match kind {
        "adaptive" if is_one_of(model, &["-4-5", "opus-4-1", "claude-3-7"]) => {
            return Err("adaptive thinking is not supported on this model".to_owned());
        }
        "enabled" => is_one_of(model, &adaptive_only),
        "disabled" => {
            is_one_of(model, &always_on)
                || is_one_of(model, &["sonnet-5-5"])
                || has_high_effort && is_one_of(model, &["opus-5"])
        }
        "between_tools" => !is_one_of(model, &["sonnet-5-5"]) || has_high_effort,
        _ => false,
    };
    if refuses {
        return Err(format!(
            "\"thinking.type.{kind}\" is not supported for this model. Use \"thinking.type.adaptive\" and \
             \"output_config.effort\" to control thinking behavior."
        ));
    }
    if kind != "enabled" {
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
