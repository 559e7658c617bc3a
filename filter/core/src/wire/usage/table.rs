//! Every counter as each provider that has it tells it, with where that is documented.

use serde_json::{Value, json};

use super::{StreamObserver, observe_body};
use crate::endpoint::Endpoint;
use crate::usage::record::{Record, UsageStatus};
use crate::usage::{Counter, Usage};
use crate::wire::converse;

/// What reads an answer.
enum Reader {
    /// As it passes.
    Of(Endpoint),
    /// The `usage` of Converse, which no client speaks.
    Converse,
}

/// Where it is documented, what reads it, the answer, and what it says.
type Row = (&'static str, Reader, Value, Vec<(Counter, u64)>);

fn table() -> Vec<Row> {
    use Counter::*;
    use Reader::{Converse, Of};
    vec![
        (
            "anthropic.types.Usage, and of code in the documentation of the tool",
            Of(Endpoint::Messages),
            json!({"usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 6},
                "server_tool_use": {"web_search_requests": 11, "web_fetch_requests": 12, "code_execution_requests": 13}}}),
            vec![
                (Input, 10),
                (CachedInput, 2),
                (CacheCreationInput, 7),
                (Output, 9),
                (Reasoning, 6),
                (Total, 19),
                (CacheCreation5mInput, 3),
                (CacheCreation1hInput, 4),
                (WebSearches, 11),
                (WebFetches, 12),
                (CodeExecutions, 13),
            ],
        ),
        (
            "openai.types.CompletionUsage",
            Of(Endpoint::ChatCompletions),
            json!({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2, "audio_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 4, "audio_tokens": 1}}}),
            vec![
                (Input, 10),
                (CachedInput, 1),
                (CacheCreationInput, 2),
                (Output, 5),
                (Reasoning, 4),
                (Total, 15),
                (AudioInput, 3),
                (AudioOutput, 1),
            ],
        ),
        (
            "openai.types.responses.ResponseUsage; tool_usage as answers have it",
            Of(Endpoint::Responses),
            json!({"tool_usage": {"web_search": {"num_requests": 2}},
                "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
                    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
                    "output_tokens_details": {"reasoning_tokens": 4}}}),
            vec![
                (Input, 10),
                (CachedInput, 1),
                (CacheCreationInput, 2),
                (Output, 5),
                (Reasoning, 4),
                (Total, 15),
                (WebSearches, 2),
            ],
        ),
        (
            "openai.types.images_response.Usage",
            Of(Endpoint::ImageGenerations),
            json!({"usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
                "input_tokens_details": {"image_tokens": 6, "text_tokens": 4},
                "output_tokens_details": {"image_tokens": 5, "text_tokens": 0}}}),
            vec![(Input, 10), (Output, 5), (Total, 15), (ImageInput, 6), (ImageOutput, 5)],
        ),
        (
            "openai.types.audio.transcription.UsageTokens",
            Of(Endpoint::Transcriptions),
            json!({"usage": {"type": "tokens", "input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
                "input_token_details": {"audio_tokens": 10, "text_tokens": 0}}}),
            vec![(Input, 10), (Output, 5), (Total, 15), (AudioInput, 10)],
        ),
        (
            "openai.types.realtime.RealtimeResponseUsage",
            Of(Endpoint::Responses),
            json!({"usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
                "input_token_details": {"cached_tokens": 1, "text_tokens": 2, "audio_tokens": 5, "image_tokens": 3},
                "output_token_details": {"text_tokens": 1, "audio_tokens": 4}}}),
            vec![
                (Input, 10),
                (CachedInput, 1),
                (Output, 5),
                (Total, 15),
                (AudioInput, 5),
                (ImageInput, 3),
                (AudioOutput, 4),
            ],
        ),
        (
            "google.genai.types.GenerateContentResponseUsageMetadata",
            Of(Endpoint::GenerateContent),
            json!({"usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 4,
                "toolUsePromptTokenCount": 8, "candidatesTokenCount": 9, "thoughtsTokenCount": 3, "totalTokenCount": 40,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}, {"modality": "AUDIO", "tokenCount": 6},
                    {"modality": "IMAGE", "tokenCount": 9}],
                "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 8}],
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}, {"modality": "IMAGE", "tokenCount": 7}]}}),
            vec![
                (Input, 28),
                (CachedInput, 4),
                (Output, 12),
                (Reasoning, 3),
                (Total, 40),
                (ToolUseInput, 8),
                (AudioInput, 6),
                (ImageInput, 17),
                (AudioOutput, 2),
                (ImageOutput, 7),
            ],
        ),
        (
            "bedrock-runtime: TokenUsage, CacheDetail",
            Converse,
            json!({"inputTokens": 1, "outputTokens": 5, "totalTokens": 15, "cacheReadInputTokens": 2,
                "cacheWriteInputTokens": 7,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 3}]}),
            vec![
                (Input, 10),
                (CachedInput, 2),
                (CacheCreationInput, 7),
                (Output, 5),
                (Total, 15),
                (CacheCreation5mInput, 3),
                (CacheCreation1hInput, 4),
            ],
        ),
        (
            "cohere.types.Usage",
            Of(Endpoint::CohereChat),
            json!({"usage": {"billed_units": {"input_tokens": 1, "output_tokens": 5, "search_units": 2},
                "tokens": {"input_tokens": 10, "output_tokens": 5}, "cached_tokens": 3}}),
            vec![(Input, 10), (CachedInput, 3), (Output, 5), (Total, 15), (SearchUnits, 2)],
        ),
        (
            "cohere.types.ApiMeta",
            Of(Endpoint::Rerank),
            json!({"meta": {"billed_units": {"search_units": 2.0, "images": 3, "image_tokens": 4}}}),
            vec![(Input, 4), (Total, 4), (ImageInput, 4), (SearchUnits, 2), (Images, 3)],
        ),
    ]
}

fn read(reader: &Reader, answer: &Value) -> Usage {
    let answer = answer.to_string();
    match reader {
        Reader::Of(endpoint) => observe_body(*endpoint, answer.as_bytes()).unwrap().usage,
        Reader::Converse => converse::usage::read(answer.as_bytes()),
    }
}

#[test]
fn every_provider_is_read_to_the_last_counter() {
    for (source, reader, answer, counts) in table() {
        let usage = read(&reader, &answer);
        assert_eq!(usage.reported().collect::<Vec<_>>(), counts, "{source}");
    }
}

#[test]
fn every_counter_is_told_by_someone() {
    let told: Vec<Counter> = table().into_iter().flat_map(|row| row.3).map(|(counter, _)| counter).collect();
    for counter in Counter::ALL {
        assert!(told.contains(counter), "{counter:?}");
    }
}

#[test]
fn a_record_has_what_was_reported() {
    for (source, reader, answer, counts) in table() {
        let mut record = Record::for_tests();
        record.set_usage(&read(&reader, &answer), UsageStatus::Complete);
        let line: Value = serde_json::from_str(&record.to_line()).unwrap();
        for counter in Counter::ALL {
            let count = counts.iter().find(|(told, _)| told == counter).map(|(_, count)| json!(count));
            let absent = counter.is_basic().then_some(Value::Null);
            assert_eq!(line.get(counter.name()), count.or(absent).as_ref(), "{source}: {}", counter.name());
        }
    }
}

#[test]
fn a_response_in_events_tells_what_its_tools_did() {
    let mut observer = StreamObserver::new(Endpoint::Responses, 1);
    let response = |usage: Value| json!({"tool_usage": {"web_search": {"num_requests": 2}}, "usage": usage});
    let created = json!({"type": "response.created", "response": response(Value::Null)});
    observer.event(created.to_string().as_bytes());
    assert!(observer.observed().usage.is_empty());
    let usage = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 15});
    let completed = json!({"type": "response.completed", "response": response(usage)});
    observer.event(completed.to_string().as_bytes());
    assert_eq!(observer.observed().usage.get(Counter::WebSearches), Some(2));
}

#[test]
fn odd_details_cost_nothing_else() {
    for odd in ["null", "7", "\"text\"", "[]", "[1]", "{}", r#"[{"modality":7,"ttl":[]}]"#] {
        for (endpoint, usage, details) in [
            (
                Endpoint::ChatCompletions,
                r#""usage":{"prompt_tokens":3"#,
                ["prompt_tokens_details", "completion_tokens_details", "input_tokens_details"],
            ),
            (
                Endpoint::Transcriptions,
                r#""usage":{"input_tokens":3"#,
                ["input_token_details", "input_tokens_details", "output_token_details"],
            ),
            (
                Endpoint::GenerateContent,
                r#""usageMetadata":{"promptTokenCount":3"#,
                ["promptTokensDetails", "toolUsePromptTokensDetails", "candidatesTokensDetails"],
            ),
            (
                Endpoint::CohereChat,
                r#""usage":{"tokens":{"input_tokens":3}"#,
                ["billed_units", "warnings", "api_version"],
            ),
        ] {
            let details = details.map(|member| format!(r#""{member}":{odd}"#)).join(",");
            let answer = format!("{{{usage},{details}}}}}");
            let seen = observe_body(endpoint, answer.as_bytes()).unwrap();
            assert_eq!(seen.usage.input(), Some(3), "{answer}");
        }
        let usage = converse::usage::read(format!(r#"{{"inputTokens":3,"cacheDetails":{odd}}}"#).as_bytes());
        assert_eq!(usage, Usage::of([(Counter::Input, Some(3))]), "{odd}");
    }
}
