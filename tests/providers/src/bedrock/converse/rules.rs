//! What Bedrock refuses of a conversation whose shapes are right, with its own words where they are known.

use serde_json::Value;

pub(super) fn is_claude(model: &str) -> bool {
    model.contains("claude") || model.contains("anthropic.")
}

/// Checks the body of a request for `model`.
///
/// # Errors
/// The message that Bedrock answers with.
pub(super) fn check(model: &str, body: &Value) -> Result<(), String> {
    messages(model, body)?;
    documents(body)?;
    tools(model, body)?;
    cache_points(model, body)?;
    model_fields(model, body)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn blocks(message: &Value) -> &[Value] {
    list(message, "content")
}

/// The ids of the blocks of a kind.
fn ids<'a>(message: &'a Value, kind: &str) -> Vec<&'a str> {
    blocks(message).iter().filter_map(|block| block.get(kind)?.get("toolUseId")?.as_str()).collect()
}

fn messages(model: &str, body: &Value) -> Result<(), String> {
    let messages = list(body, "messages");
    let role = |message: &Value| message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
    if messages.first().is_none_or(|first| role(first) != "user") {
        return Err(
            "A conversation must start with a user message. Try again with a conversation that starts with a user \
             message."
                .to_owned(),
        );
    }
    let mut called: Vec<&str> = Vec::new();
    let mut before = String::new();
    for (index, message) in messages.iter().enumerate() {
        let role = role(message);
        if role == before {
            return Err(
                "A conversation must alternate between user and assistant roles. Make sure the conversation \
                        alternates between user and assistant roles and try again."
                    .to_owned(),
            );
        }
        if blocks(message).is_empty() {
            return Err(format!("The content field in the Message object at messages.{index} is empty."));
        }
        for (place, block) in blocks(message).iter().enumerate() {
            let in_result = list(block.get("toolResult").unwrap_or(&Value::Null), "content");
            let texts = in_result.iter().chain([block]);
            if texts.filter_map(|block| block.get("text")?.as_str()).any(|text| text.trim().is_empty()) {
                return Err(format!(
                    "The text field in the ContentBlock object at messages.{index}.content.{place} is blank. Add text \
                     to the text field, and try again."
                ));
            }
            if in_result.iter().any(|block| block.pointer("/document/citations").is_some()) {
                return Err("Citations are not supported in tool result documents.".to_owned());
            }
            let is_users = ["image", "document", "video", "audio", "searchResult", "toolResult"];
            let kind = block.as_object().and_then(|block| block.keys().next()).map_or("", String::as_str);
            if role == "assistant" && is_users.contains(&kind)
                || role == "user" && ["toolUse", "citationsContent"].contains(&kind)
            {
                return Err(format!("messages.{index}.content.{place}: {kind} is not for the role {role}"));
            }
            if block.pointer("/toolUse/input").is_some_and(|input| !input.is_object()) {
                return Err(format!(
                    "The format of the value at messages.{index}.content.{place}.toolUse.input is invalid. Provide a \
                     json object for the field and try again."
                ));
            }
        }
        let results = ids(message, "toolResult");
        if results != called && results.len() <= called.len() {
            return Err(format!(
                "Expected toolResult blocks at messages.{index}.content for the following Ids: {}",
                called.join(", ")
            ));
        }
        if results != called {
            return Err(format!(
                "The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of \
                 previous turn."
            ));
        }
        called = ids(message, "toolUse");
        let is_of_tools = |block: &Value| block.get("toolUse").or(block.get("toolResult")).is_some();
        let of_tools = blocks(message).iter().filter(|block| is_of_tools(block)).count();
        if model.contains("llama") && of_tools > 0 && of_tools < blocks(message).len() {
            return Err(format!(
                "messages.{index}.content: Conversation blocks and tool result blocks cannot be provided in the same \
                 turn."
            ));
        }
        before = role;
    }
    let continues = is_claude(model) || model.contains("nova");
    if before == "assistant" && !continues {
        return Err("The model that you are using requires the last turn in the conversation to be a user message. Add \
                    a user message to the conversation and try again."
            .to_owned());
    }
    Ok(())
}

fn documents(body: &Value) -> Result<(), String> {
    let mut names: Vec<&str> = Vec::new();
    for message in list(body, "messages") {
        let documents: Vec<&str> =
            blocks(message).iter().filter_map(|block| block.pointer("/document/name")?.as_str()).collect();
        if !documents.is_empty() && blocks(message).iter().all(|block| block.get("text").is_none()) {
            return Err("A text block must be included when using documents.".to_owned());
        }
        for name in documents {
            let is_allowed = |char: char| char.is_ascii_alphanumeric() || " -()[]".contains(char);
            if !name.chars().all(is_allowed) || name.contains("  ") {
                return Err("The document file name can only contain alphanumeric characters, whitespace characters, \
                            hyphens, parentheses, and square brackets. The name can't contain more than one \
                            consecutive whitespace character."
                    .to_owned());
            }
            if names.contains(&name) {
                return Err(
                    "Messages can't contain duplicate document names. Rename the document and retry your \
                            request."
                        .to_owned(),
                );
            }
            names.push(name);
        }
    }
    Ok(())
}

fn tools(model: &str, body: &Value) -> Result<(), String> {
    let has_calls = list(body, "messages")
        .iter()
        .flat_map(blocks)
        .any(|block| block.get("toolUse").or(block.get("toolResult")).is_some());
    let Some(config) = body.get("toolConfig") else {
        return if has_calls {
            Err("The toolConfig field must be defined when using toolUse and toolResult content blocks."
                .to_owned())
        } else {
            Ok(())
        };
    };
    let mut names = Vec::new();
    for tool in list(config, "tools").iter().filter_map(|tool| tool.get("toolSpec")) {
        let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
        if names.contains(&name) {
            return Err(format!("The tool {name} is already defined at toolConfig.tools."));
        }
        names.push(name);
        if tool.pointer("/inputSchema/json/type").and_then(Value::as_str) != Some("object") {
            return Err("The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: \
                        object."
                .to_owned());
        }
        if tool.get("strict").is_some() && !is_structured(model) {
            return Err("This model doesn't support the toolSpec.strict field.".to_owned());
        }
    }
    let Some((choice, named)) = config
        .get("toolChoice")
        .and_then(Value::as_object)
        .and_then(|choice| choice.iter().next())
        .map(|(choice, value)| (choice.as_str(), value.get("name").and_then(Value::as_str)))
    else {
        return Ok(());
    };
    let takes = match choice {
        "tool" => is_claude(model) || model.contains("nova"),
        _ => !model.contains("llama"),
    };
    let refuses = ["opus-5-5", "sonnet-5-5", "fable-5-1", "fable-5-2", "mythos-5-1", "mythos-5-2"];
    if !takes || choice != "auto" && refuses.iter().any(|refusing| model.contains(refusing)) {
        return Err(format!(
            "This model doesn't support the toolConfig.toolChoice.{choice} field. Remove toolConfig.toolChoice.{choice} \
             and try again."
        ));
    }
    if named.is_some_and(|named| !names.contains(&named)) {
        return Err("The tool at toolConfig.toolChoice.tool.name is not one of toolConfig.tools.".to_owned());
    }
    Ok(())
}

/// Whether a model takes schemas that it must follow.
fn is_structured(model: &str) -> bool {
    let models =
        ["opus-4-5", "sonnet-4-5", "haiku-4-5", "opus-4-6", "sonnet-4-6", "qwen3", "gpt-oss", "deepseek.v3"];
    models.iter().any(|known| model.contains(known))
}

fn cache_points(model: &str, body: &Value) -> Result<(), String> {
    let has_point = |value: &Value| value.get("cachePoint").is_some();
    let tools = body.get("toolConfig").map_or(&[][..], |config| list(config, "tools"));
    let of_tools = tools.iter().filter(|tool| has_point(tool)).count();
    let messages = list(body, "messages").iter().flat_map(blocks).filter(|block| has_point(block)).count();
    let all = of_tools + messages + list(body, "system").iter().filter(|block| has_point(block)).count();
    let old = ["claude-3-haiku", "claude-3-sonnet", "claude-3-opus"];
    let caches = is_claude(model) && !old.iter().any(|old| model.contains(old)) || model.contains("nova");
    if all > 0 && !caches {
        return Err(
            "You invoked an unsupported model or your request did not allow prompt caching. See the \
                    documentation for more information."
                .to_owned(),
        );
    }
    if of_tools > 0 && model.contains("nova") {
        return Err(
            "Malformed input request: extraneous key [cachePoint] is not permitted, please reformat your \
                    input and try again."
                .to_owned(),
        );
    }
    if all > 4 {
        return Err(format!("A maximum of 4 cache points may be provided. Found {all}."));
    }
    Ok(())
}

/// `additionalModelRequestFields` are the model's, and it takes no other.
fn model_fields(model: &str, body: &Value) -> Result<(), String> {
    let fields = body.get("additionalModelRequestFields").and_then(Value::as_object);
    let names: Vec<&str> = fields.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let known: &[&str] = if is_claude(model) {
        &["thinking", "top_k", "output_config", "anthropic_beta", "tool_choice"]
    } else if model.contains("nova-2") {
        &["inferenceConfig", "reasoningConfig"]
    } else if model.contains("nova") {
        &["inferenceConfig"]
    } else if model.contains("gpt-oss") {
        &["reasoning_effort"]
    } else if model.contains("openai.") {
        &["reasoning"]
    } else {
        &[]
    };
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(format!(
            "The model returned the following errors: Malformed input request: extraneous key [{name}] is not \
             permitted, please reformat your input and try again."
        ));
    }
    let at = |pointer: &str| body.pointer(pointer);
    if at("/toolConfig/toolChoice").is_some()
        && at("/additionalModelRequestFields/tool_choice/type").is_some()
    {
        return Err("The additional field tool_choice.type conflicts with toolConfig.toolChoice.".to_owned());
    }
    let effort = at("/additionalModelRequestFields/reasoningConfig/maxReasoningEffort");
    let has_limits = ["maxTokens", "temperature", "topP"]
        .iter()
        .any(|name| at(&format!("/inferenceConfig/{name}")).is_some());
    if effort.and_then(Value::as_str) == Some("high") && has_limits {
        return Err(
            "The model returned the following errors: temperature, topP and maxTokens cannot be used with \
                    maxReasoningEffort set to high."
                .to_owned(),
        );
    }
    if at("/outputConfig/textFormat").is_some() && !is_structured(model) {
        return Err("This model doesn't support the outputConfig.textFormat field.".to_owned());
    }
    let schema = at("/outputConfig/textFormat/structure/jsonSchema/schema").and_then(Value::as_str);
    if schema.is_some_and(|schema| serde_json::from_str::<Value>(schema).is_err()) {
        return Err("outputConfig.textFormat.structure.jsonSchema.schema is not JSON.".to_owned());
    }
    if model.contains("gpt-oss") && at("/inferenceConfig/stopSequences").is_some() {
        return Err(
            "This model doesn't support the stopSequences field. Remove stopSequences and try again."
                .to_owned(),
        );
    }
    Ok(())
}
