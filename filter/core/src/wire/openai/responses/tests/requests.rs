//! What a client asks.

use super::*;
use crate::chat::{Annotation, Family, Foreign, MediaKind, Message, Role, Source, Tool, ToolChoice};
use crate::config::Schema;
use crate::endpoint::Endpoint;
use crate::headers::Headers;
use crate::wire::fields::Path;
use crate::wire::{SchemaName, To, Translated, translate};

fn translated(asked: &Value) -> crate::error::Result<Translated> {
    let schema = Schema { name: SchemaName::Anthropic, prefix: None, version: None };
    let to = To {
        endpoint: Endpoint::Responses,
        schema: &schema,
        model: "claude-opus-4-6",
        stream: false,
        default_max_tokens: 4096,
        headers: &Headers::default(),
        auth: None,
        cache_marks: false,
    };
    let client = Endpoint::Responses.operation().conversation().unwrap();
    translate(client, schema.name.schema().codec().unwrap(), &to, asked.to_string().as_bytes())
}

/// The messages, each as its role and its parts with their places.
fn shown(messages: &[Message]) -> Vec<String> {
    let shown = messages.iter().map(|message| {
        let path = Path::At(&Path::Root, message.origin);
        let parts = message.content.iter().map(|part| {
            let kind = match &part.content {
                Content::Text { text, .. } => text.clone(),
                Content::Refusal(text) => format!("refused {text}"),
                Content::Thinking { text } => format!("<{text}>"),
                Content::RedactedThinking => "<>".to_owned(),
                Content::ToolCall { id, arguments, .. } => format!("{id}({arguments})"),
                Content::ToolResult { call_id, content, is_error } => {
                    format!("{call_id}={:?}{is_error:?}", content.len())
                }
                Content::Media { kind, .. } => format!("{kind:?}"),
                Content::Foreign(foreign) => format!("?{}", foreign.kind),
            };
            format!("{}: {kind}", Path::At(&path, part.origin))
        });
        format!("{:?} {}", message.role, parts.collect::<Vec<_>>().join(" | "))
    });
    shown.collect()
}

#[test]
fn items_are_messages() {
    let (request, losses) = decoded(&json!({"model": "m", "instructions": "I", "input": [
        {"role": "developer", "content": "D"},
        {"role": "user", "content": [{"type": "input_text", "text": "T"}, {"type": "input_image", "image_url": "https://a", "detail": "auto"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
            "content": [{"type": "output_text", "text": "O", "annotations": [], "logprobs": [1]}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "I"},
        {"type": "function_call_output", "call_id": "c1", "output": "{\"error\": \"no\"}"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "a"}, {"type": "input_file", "file_data": "JVBERi0=", "filename": "a.pdf"}]},
        {"role": "assistant", "content": "A"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"type": "shell_call_output", "call_id": "c3", "output": []},
    ]}));
    assert_eq!(losses, [""; 0]);
    assert_eq!(
        shown(&request.messages),
        [
            "System instructions: I",
            "Developer input[0].content: D",
            "User input[1].content[0]: T | input[1].content[1]: Image",
            "Assistant input[2]: <a\n\nb> | input[3]: O | input[4]: c1({}) | input[5]: c2({\"input\":\"I\"})",
            "User input[6]: c1=1Some(true)",
            "User input[7]: c2=2None",
            "Assistant input[8]: A",
            "Assistant input[9]: refused No. | input[10]: ?web_search_call",
            "User input[11]: ?shell_call_output",
        ]
    );
    assert_eq!(shown(&decoded(&with_input(json!("Hi"))).0.messages), ["User input: Hi"]);
}

#[test]
fn parts_keep_what_they_have() {
    let (request, _) = decoded(&with_input(json!([{"role": "user", "content": [
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "file_url": "https://a/b.pdf"},
        {"type": "input_file", "file_data": "data:image/png;base64,AA=="},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
        {"type": "input_text", "text": "x", "cache_control": {"type": "ephemeral"}, "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "output_text", "text": "y", "annotations": [
            {"type": "url_citation", "start_index": 0, "end_index": 1, "url": "https://a", "title": "A"},
            {"type": "file_citation", "index": 0, "file_id": "f", "filename": "n"}]},
        {"type": "hologram", "x": 1},
    ]}])));
    let [image, document, picture, audio, text, cited, foreign] = &request.messages[0].content[..] else {
        panic!("{request:?}")
    };
    let source = |part: &Part| match &part.content {
        Content::Media { kind, source, .. } => (*kind, source.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        source(image),
        (MediaKind::Image, Source::File { by: Family::OpenAi, id: "file-1".to_owned() })
    );
    assert_eq!(source(document), (MediaKind::Document, Source::url("https://a/b.pdf")));
    assert!(matches!(source(picture), (MediaKind::Image, Source::Base64 { .. })));
    assert!(
        matches!(source(audio), (MediaKind::Audio, Source::Base64 { media_type, .. }) if media_type == "audio/mpeg")
    );
    assert!(text.cache_control.is_some());
    assert_eq!(text.extra.as_ref().unwrap().members[0].0, "prompt_cache_breakpoint");
    let Content::Text { annotations, .. } = &cited.content else { panic!("{cited:?}") };
    let url = Annotation {
        span: Some((0, 1)),
        url: Some("https://a".to_owned()),
        title: Some("A".to_owned()),
        ..Annotation::default()
    };
    assert_eq!(annotations[0], url);
    assert_eq!(annotations[1].raw.as_ref().unwrap().kind, "file_citation");
    let json = r#"{"type":"hologram","x":1}"#.to_owned();
    let kind = "hologram".to_owned();
    assert_eq!(foreign.content, Content::Foreign(Foreign { family: Family::OpenAi, kind, json }));
}

#[test]
fn settings_are_read() {
    let (request, losses) = decoded(&json!({
        "model": "m", "input": "Hi", "max_output_tokens": 5, "temperature": 0.5, "top_p": 0.25, "parallel_tool_calls": false,
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object", "x": 1.50}}},
        "reasoning": {"effort": "high", "summary": "auto"}, "metadata": {"a": "b"}, "user": "u", "safety_identifier": "u",
        "prompt_cache_key": "k", "prompt_cache_retention": "24h", "service_tier": "flex", "truncation": "disabled", "store": false,
        "background": false, "stream": true, "stream_options": {"include_obfuscation": true}, "previous_response_id": null,
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 2,
    }));
    assert_eq!(losses, [""; 0]);
    assert_eq!((request.max_tokens, request.temperature, request.top_p), (Some(5), Some(0.5), Some(0.25)));
    assert_eq!(request.parallel_tool_calls, Some(false));
    assert_eq!(request.verbosity.as_deref(), Some("low"));
    assert_eq!(request.thinking.effort.as_deref(), Some("high"));
    assert_eq!(request.thinking.display.as_deref(), Some("summarized"));
    assert_eq!((request.user.as_deref(), request.cache.key.as_deref()), (Some("u"), Some("k")));
    assert_eq!(
        (request.stream, request.include_usage, request.logprobs, request.top_logprobs),
        (true, true, true, Some(2))
    );
    assert!(matches!(&request.response_format, Some(crate::chat::ResponseFormat::JsonSchema { schema, .. })
        if schema == r#"{"type":"object","x":1.5}"#));
    assert_eq!(request.extra, None);
    assert!(
        request
            .repeated
            .iter()
            .any(|(name, json)| *name == "reasoning" && json == r#"{"effort":"high","summary":"auto"}"#)
    );
}

#[test]
fn tools_are_functions_or_of_openai() {
    let (request, losses) = decoded(&json!({"model": "m", "input": "Hi", "tools": [
        {"type": "function", "name": "f", "description": "F", "parameters": {"type": "object"}, "strict": true, "defer_loading": true},
        {"type": "custom", "name": "patch", "description": "P", "format": {"type": "grammar", "syntax": "lark", "definition": "start: X"}},
        {"type": "custom", "name": "plain", "format": {"type": "text"}},
        {"type": "web_search", "search_context_size": "low"},
        {"type": "google_search"},
    ], "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [
        {"type": "function", "name": "f"}, {"type": "custom", "name": "patch"}, {"type": "web_search"}]}}));
    assert_eq!(losses, ["tools[1].format", "tool_choice.tools[2]"]);
    let [
        Tool::Function(f),
        Tool::Function(patch),
        Tool::Function(plain),
        Tool::Hosted(web),
        Tool::Hosted(google),
    ] = &request.tools[..]
    else {
        panic!("{request:?}")
    };
    assert_eq!((f.name.as_str(), f.strict), ("f", Some(true)));
    assert_eq!(f.extra.as_ref().unwrap().members[0].0, "defer_loading");
    assert_eq!(patch.description.as_deref(), Some("P\n\nThe input follows this grammar (lark):\nstart: X"));
    assert!(plain.parameters.as_ref().unwrap().get().contains("input"));
    assert_eq!((web.family, web.kind.as_str()), (Family::OpenAi, "web_search"));
    assert_eq!(google.family, Family::Google);
    let names = vec!["f".to_owned(), "patch".to_owned()];
    assert_eq!(request.tool_choice, Some(ToolChoice::Among { names, required: true }));
    for (choice, expected, lost) in [
        (json!("auto"), Some(ToolChoice::Auto), vec![]),
        (json!({"type": "custom", "name": "p"}), Some(ToolChoice::Tool("p".to_owned())), vec![]),
        (json!({"type": "file_search"}), None, vec!["tool_choice"]),
    ] {
        let (request, losses) = decoded(&json!({"model": "m", "input": "Hi", "tool_choice": choice}));
        assert_eq!((request.tool_choice, losses), (expected, lost.into_iter().map(str::to_owned).collect()));
    }
}

/// The client is told which field it is, and what to do.
#[test]
fn what_is_kept_at_openai_is_refused() {
    for (member, value, param) in [
        ("previous_response_id", json!("resp_1"), "previous_response_id"),
        ("conversation", json!({"id": "conv_1"}), "conversation"),
        ("prompt", json!({"id": "pmpt_1"}), "prompt"),
        ("background", json!(true), "background"),
        (
            "input",
            json!([{"role": "user", "content": "Hi"}, {"type": "item_reference", "id": "rs_1"}]),
            "input[1]",
        ),
        ("input", json!([{"id": "rs_1"}]), "input[0]"),
        ("input", json!([{"type": "compaction", "encrypted_content": "x"}]), "input[0]"),
    ] {
        let mut request = with_input(json!("Hi"));
        request[member] = value;
        let error = translated(&request).unwrap_err();
        assert_eq!(error.status(), 400);
        let body: Value = serde_json::from_slice(&error.body(Endpoint::Responses.client_api())).unwrap();
        assert_eq!(body["error"]["param"], param);
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert!(error.message().starts_with(&format!("invalid request body: {param}: ")), "{error}");
    }
}

#[test]
fn what_is_lost_is_named_in_the_clients_words() {
    for (asked, paths) in [
        (
            json!({"model": "m", "input": "Hi", "store": true, "truncation": "auto"}),
            vec!["store", "truncation"],
        ),
        (json!({"model": "m", "input": "Hi", "include": ["file_search_call.results"]}), vec!["include[0]"]),
        (
            json!({"model": "m", "input": "Hi", "max_tool_calls": 3, "moderation": {"model": "x"}}),
            vec!["max_tool_calls", "moderation"],
        ),
        (
            json!({"model": "m", "input": "Hi", "text": {"verbosity": "low"}, "tools": [{"type": "web_search"}]}),
            vec!["tools[0]", "text.verbosity"],
        ),
        (
            with_input(
                json!([{"role": "user", "content": [{"type": "input_text", "text": "x"}, {"type": "hologram"}]},
                {"role": "assistant", "content": "A", "phase": "commentary"}, {"type": "computer_call", "call_id": "c"},
                {"role": "user", "content": "x"}]),
            ),
            vec!["input[1].phase", "input[0].content[1]", "input[2]"],
        ),
    ] {
        let losses = translated(&asked).unwrap().losses;
        let lost: Vec<&str> = losses.iter().map(|loss| loss.path.as_str()).collect();
        assert_eq!(lost, paths, "{asked}");
    }
    let asked =
        json!({"model": "m", "input": [{"role": "user", "content": "Hi"}], "reasoning": {"effort": "x"}});
    let error = translated(&asked).unwrap_err();
    assert!(error.message().starts_with("invalid request body: reasoning.effort: "), "{error}");
}

#[test]
fn a_thought_is_openais_unless_it_says_whose_it_is() {
    let (request, losses) = decoded(&with_input(json!([
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "t"}], "encrypted_content": "claude:EqoB"},
        {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "redacted:claude:EqoB"},
        {"type": "reasoning", "id": "rs_4", "summary": [], "encrypted_content": "redacted:EqoB"},
        {"type": "reasoning", "id": "rs_5", "summary": [], "content": [{"type": "reasoning_text", "text": "r"}]},
        {"type": "reasoning", "id": "rs_6", "summary": [], "encrypted_content": null},
        {"type": "function_call", "call_id": "c__sealed_gemini_QUJD", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c__sealed_gemini_QUJD", "output": "o"},
    ])));
    assert_eq!(losses, ["input[3].encrypted_content"]);
    let seal = |by, data: &str| Some(Seal { by, data: data.to_owned() });
    let seals: Vec<_> = request.messages[0].content.iter().map(|part| part.seal.clone()).collect();
    assert_eq!(
        seals,
        [
            seal(Family::OpenAi, "gAAA"),
            seal(Family::Anthropic, "EqoB"),
            seal(Family::Anthropic, "EqoB"),
            None,
            seal(Family::Google, "QUJD")
        ]
    );
    assert_eq!(
        shown(&request.messages),
        [
            "Assistant input[0]: <> | input[1]: <t> | input[2]: <> | input[4]: <r> | input[6]: c({})",
            "User input[7]: c=1None"
        ]
    );
    assert_eq!(request.messages[1].role, Role::User);
}

/// An assistant's message of many items: a decoder that looks at all of it again for each takes quadratic time.
#[test]
fn many_items_take_linear_time() {
    let said = json!({"role": "assistant", "content": "x"});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let thought = json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "t"}]});
    let mut items = vec![thought; 25_000];
    items.push(call);
    items.extend(vec![said; 25_000]);
    let (request, _) = decoded(&with_input(Value::Array(items)));
    assert_eq!(request.messages.len(), 1);
}

#[test]
fn thoughts_go_with_the_message_behind_them() {
    let said = |text: &str| json!({"role": "assistant", "content": text});
    let thought =
        |text: &str| json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]});
    let seal =
        |by: &str| json!({"type": "reasoning", "summary": [], "encrypted_content": format!("{by}:QUJD")});
    let texts = |items: Value| -> Vec<Vec<String>> {
        let (request, _) = decoded(&with_input(items));
        let text = |part: &Part| match &part.content {
            Content::Text { text, .. } | Content::Thinking { text } => text.clone(),
            other => panic!("{other:?}"),
        };
        request.messages.iter().map(|message| message.content.iter().map(text).collect()).collect()
    };
    assert_eq!(
        texts(json!([thought("t1"), said("a"), thought("t2"), said("b")])),
        [["t1", "a"], ["t2", "b"]]
    );
    // Gemini's seal is of the text before it, Claude's of a thought that is not shown.
    assert_eq!(
        texts(json!([said("a"), seal("gemini"), thought("t"), said("b"), seal("claude"), said("c")])),
        [vec!["a", ""], vec!["t", "b"], vec!["", "c"]]
    );
}
