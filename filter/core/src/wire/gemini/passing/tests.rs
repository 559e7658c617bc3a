//! What passes, and what does not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::endpoint::Endpoint;
use crate::headers::Headers;
use crate::wire::SchemaName;

fn sent(endpoint: Endpoint, model: &str, body: &str) -> (String, String, Vec<String>) {
    let schema = config::Schema { name: SchemaName::GCPVertexAI, prefix: None, version: None };
    let to = To {
        endpoint,
        schema: &schema,
        model,
        stream: endpoint == Endpoint::StreamGenerateContent,
        default_max_tokens: 4096,
        headers: &Headers::default(),
        auth: None,
        cache_marks: false,
    };
    let mut losses = Losses::default();
    let body = schema.name.schema().envelope(&to, body.as_bytes(), &mut losses).unwrap();
    (schema.name.schema().path(&to), String::from_utf8(body).unwrap(), losses.lines())
}

#[test]
fn what_vertex_ai_takes_passes_byte_for_byte() {
    let body =
        r#" {"contents" : [{"role": "user", "parts": [{ "text":"\u0048i", "x": 1.50 }]}], "labels": {} } "#;
    for (endpoint, path) in [
        (Endpoint::GenerateContent, "/v1/publishers/google/models/gemini-2.5-pro:generateContent"),
        (
            Endpoint::StreamGenerateContent,
            "/v1/publishers/google/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        ),
        (Endpoint::GeminiCountTokens, "/v1/publishers/google/models/gemini-2.5-pro:countTokens"),
    ] {
        assert_eq!(sent(endpoint, "gemini-2.5-pro", body), (path.to_owned(), body.to_owned(), vec![]));
    }
    let marked = format!("\u{feff}{body}");
    assert_eq!(sent(Endpoint::GenerateContent, "gemini-2.5-pro", &marked).1, body);
}

#[test]
fn each_difference_has_its_source() {
    assert!(Rule::ALL.iter().all(|rule| rule.source().starts_with("https://")));
}

#[test]
fn what_vertex_ai_does_not_know_goes() {
    let body = r#"{"model":"models/x","store":true,"contents":[{"parts":[{"text":"Hi","partMetadata":{"a":1}},{"toolCall":{}}]}],
        "tools":[{"file_search":{},"googleSearch":{}}],"toolConfig":{"includeServerSideToolInvocations":true},
        "generationConfig":{"enableEnhancedCivicAnswers":true,"temperature":1.0}}"#;
    let (_, body, losses) = sent(Endpoint::GenerateContent, "gemini-2.5-pro", body);
    let expected = json!({
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "tools": [{"googleSearch": {}}],
        "toolConfig": {},
        "generationConfig": {"temperature": 1.0},
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    let paths: Vec<_> = losses.iter().filter_map(|loss| loss.split(": ").next()).collect();
    assert_eq!(
        paths,
        [
            "store",
            "contents[0].parts[0].partMetadata",
            "contents[0].parts[1].toolCall",
            "tools[0].file_search",
            "toolConfig.includeServerSideToolInvocations",
            "generationConfig.enableEnhancedCivicAnswers"
        ]
    );
}

#[test]
fn what_another_model_signed_goes_and_its_calls_have_what_stands_for_it() {
    let claudes = STANDARD.encode("claude:s1");
    let body = json!({"contents": [
        {"role": "user", "parts": [{"text": "Weather?"}]},
        {"role": "model", "parts": [{"text": "Hm", "thought": true, "thoughtSignature": claudes}]},
        {"role": "model", "parts": [
            {"text": "I ask.", "thoughtSignature": claudes},
            {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}},
            {"functionCall": {"id": "c2", "name": "f", "args": {}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"id": "c1", "name": "f", "response": {}, "willContinue": false}},
            {"functionResponse": {"id": "c2", "name": "f", "response": {}}},
        ]},
        {"role": "model", "parts": [
            {"functionCall": {"id": "c3", "name": "f", "args": {}}, "thoughtSignature": "R29vZ2xl"},
        ]},
    ]});
    let (_, newest, losses) = sent(Endpoint::GenerateContent, "gemini-3-pro-preview", &body.to_string());
    let newest: Value = serde_json::from_str(&newest).unwrap();
    assert_eq!(
        newest["contents"][1]["parts"],
        json!([
            {"text": "I ask."},
            {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}, "thoughtSignature": NO_SIGNATURE},
            {"functionCall": {"id": "c2", "name": "f", "args": {}}},
        ])
    );
    assert_eq!(newest["contents"][3], body["contents"][4]);
    assert_eq!(losses.len(), 3, "{losses:?}");
    assert!(losses[0].starts_with("contents[1].parts[0]: another model's thought"), "{losses:?}");
    let (_, older, _) = sent(Endpoint::GenerateContent, "gemini-2.5-pro", &body.to_string());
    assert!(!older.contains("\"id\"") && !older.contains(NO_SIGNATURE), "{older}");
}

/// A turn in many pieces: marking all of it again for each takes quadratic time.
#[test]
fn many_pieces_take_linear_time() {
    let thought = json!({"text": "t", "thought": true, "thoughtSignature": STANDARD.encode("claude:s1")});
    let mut contents = vec![json!({"role": "model", "parts": [thought]})];
    contents.extend(vec![json!({"role": "model", "parts": [{"text": "x"}]}); 100_000]);
    let contents = to_raw_value(&contents).unwrap();
    assert!(turns_of_others(&contents).iter().all(|is_foreign| *is_foreign));
}

#[test]
fn a_count_of_a_request_is_one_of_its_conversation() {
    let body = r#"{"generateContentRequest":{"model":"models/x","contents":[{"parts":[{"text":"Hi"}]}],
        "safetySettings":[],"cachedContent":"c","toolConfig":{},"systemInstruction":{"parts":[{"text":"s"}]}}}"#;
    let (_, body, losses) = sent(Endpoint::GeminiCountTokens, "gemini-2.5-pro", body);
    let expected = r#"{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"systemInstruction":{"parts":[{"text":"s"}]}}"#;
    assert_eq!(body, expected);
    let lost = |name: &str| format!("generateContentRequest.{name}: Vertex AI counts the conversation only");
    assert_eq!(losses, [lost("safetySettings"), lost("cachedContent"), lost("toolConfig")]);
}

#[test]
fn what_is_left_of_nothing_goes_with_it() {
    let body = json!({
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Hello"}]},
            // As SDKs keep the last response of a stream.
            {"role": "model", "parts": [{"text": ""}]},
            {"role": "model", "parts": [{"text": "", "thoughtSignature": "R29vZ2xl"}]},
            {"role": "model", "parts": [{"text": "", "thoughtSignature": STANDARD.encode("claude:s1")}]},
            {"role": "user", "parts": [{"text": ""}, {"text": "Bye"}]},
        ],
        "systemInstruction": {"parts": [{"text": ""}]},
        "tools": [{"fileSearch": {}}, {"mcpServers": []}],
    });
    let (_, sent, losses) = sent(Endpoint::GenerateContent, "gemini-2.5-pro", &body.to_string());
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let contents = &body["contents"];
    let bye = json!({"role": "user", "parts": [{"text": "Bye"}]});
    assert_eq!(sent, json!({"contents": [contents[0], contents[1], contents[3], bye]}));
    assert_eq!(losses.len(), 3, "{losses:?}");
}

#[test]
fn what_vertex_ai_does_not_know_goes_wherever_it_is() {
    let voice = json!({"replicated_voice_config": {"voiceSampleAudio": "AA==", "consentAudio": "AA=="}});
    let speaker = json!({"voiceConfig": {"replicatedVoiceConfig": {"voiceConsentSignature": {}}}});
    let result = json!({"name": "f", "response": {}, "parts": [{"inlineData": {}, "mediaProcessing": {}}]});
    let body = json!({
        "systemInstruction": {"parts": [{"text": "s", "partMetadata": {"a": 1}}]},
        "contents": [{"role": "user", "parts": [{"functionResponse": result}]}],
        "generationConfig": {"speechConfig": {
            "voiceConfig": voice, "multiSpeakerVoiceConfig": {"speakerVoiceConfigs": [speaker]},
        }},
    });
    let (_, sent, losses) = sent(Endpoint::GenerateContent, "gemini-2.5-pro", &body.to_string());
    let sent: Value = serde_json::from_str(&sent).unwrap();
    let speech = &sent["generationConfig"]["speechConfig"];
    assert_eq!(speech["voiceConfig"], json!({"replicated_voice_config": {"voiceSampleAudio": "AA=="}}));
    let speaker = &speech["multiSpeakerVoiceConfig"]["speakerVoiceConfigs"][0];
    assert_eq!(speaker, &json!({"voiceConfig": {"replicatedVoiceConfig": {}}}));
    let result = &sent["contents"][0]["parts"][0]["functionResponse"];
    assert_eq!(result["parts"], json!([{"inlineData": {}}]));
    assert_eq!(sent["systemInstruction"], json!({"parts": [{"text": "s"}]}));
    assert_eq!(losses.len(), 4, "{losses:?}");
}
