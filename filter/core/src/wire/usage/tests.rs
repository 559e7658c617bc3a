//! Usage, model and errors as each API reports them.

mod content;

use super::*;
use crate::codec::testing::written;
use crate::endpoint::Endpoint;
use crate::usage::Counter;
use crate::wire::error::event_error;

/// input, cached input, cache creation, output, reasoning, total
fn counters(usage: Usage) -> [Option<u64>; 6] {
    [
        Counter::Input,
        Counter::CachedInput,
        Counter::CacheCreationInput,
        Counter::Output,
        Counter::Reasoning,
        Counter::Total,
    ]
    .map(|counter| usage.get(counter))
}

#[test]
fn whole_answers() {
    let none = [None; 6];
    for (endpoint, body, expected) in [
        (
            Endpoint::ChatCompletions,
            r#"{"model":"m","usage":{"prompt_tokens":50,"completion_tokens":3,"total_tokens":53,
                "prompt_tokens_details":{"cached_tokens":10,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":2}}}"#,
            [Some(50), Some(10), None, Some(3), Some(2), Some(53)],
        ),
        (
            Endpoint::Completions,
            r#"{"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6,"prompt_tokens_details":null}}"#,
            [Some(5), None, None, Some(1), None, Some(6)],
        ),
        (
            Endpoint::Embeddings,
            r#"{"object":"list","data":[{"embedding":[0.1,-2e-3]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            [Some(8), None, None, None, None, Some(8)],
        ),
        (
            Endpoint::Responses,
            r#"{"id":"r","model":"g","usage":{"input_tokens":75,"input_tokens_details":{"cached_tokens":5,"cache_write_tokens":6},
                "output_tokens":10,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":85}}"#,
            [Some(75), Some(5), Some(6), Some(10), Some(4), Some(85)],
        ),
        (
            Endpoint::ImageGenerations,
            r#"{"created":1,"data":[],"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3,"input_tokens_details":{"text_tokens":1}}}"#,
            [Some(1), None, None, Some(2), None, Some(3)],
        ),
        (
            Endpoint::Transcriptions,
            r#"{"text":"hi","usage":{"type":"tokens","input_tokens":14,"output_tokens":45,"total_tokens":59}}"#,
            [Some(14), None, None, Some(45), None, Some(59)],
        ),
        (Endpoint::Transcriptions, r#"{"text":"hi","usage":{"type":"duration","seconds":9}}"#, none),
        (
            Endpoint::Rerank,
            r#"{"results":[],"meta":{"billed_units":{"search_units":1},"tokens":{"input_tokens":20,"output_tokens":1}}}"#,
            [Some(20), None, None, Some(1), None, Some(21)],
        ),
        (
            Endpoint::Rerank,
            r#"{"meta":{"billed_units":{"input_tokens":7}}}"#,
            [Some(7), None, None, None, None, Some(7)],
        ),
        (Endpoint::Rerank, r#"{"meta":{"billed_units":{"search_units":1}}}"#, none),
        (
            Endpoint::Messages,
            r#"{"model":"claude-x","usage":{"input_tokens":5,"output_tokens":1,"cache_read_input_tokens":20,"cache_creation_input_tokens":3}}"#,
            [Some(28), Some(20), Some(3), Some(1), None, Some(29)],
        ),
        (Endpoint::CountTokens, r#"{"input_tokens":14}"#, [Some(14), None, None, None, None, None]),
        (
            Endpoint::ResponsesInputTokens,
            r#"{"object":"response.input_tokens","input_tokens":9}"#,
            [Some(9), None, None, None, None, None],
        ),
        (
            Endpoint::Tokenize,
            r#"{"count":4,"max_model_len":4096,"tokens":[1,2,3,4]}"#,
            [Some(4), None, None, None, None, None],
        ),
        (
            Endpoint::ChatCompletions,
            r#"{"model":7,"usage":{"prompt_tokens":"x","completion_tokens":2}}"#,
            [None, None, None, Some(2), None, None],
        ),
    ] {
        assert_eq!(
            counters(observe_body(endpoint, body.as_bytes()).unwrap().usage),
            expected,
            "{endpoint:?} {body}"
        );
    }
}

#[test]
fn what_is_no_json_object_is_no_answer() {
    for body in ["ID3\u{1}binary", r#"{"usage":"#, "[]", ""] {
        assert!(observe_body(Endpoint::ChatCompletions, body.as_bytes()).is_err(), "{body}");
    }
    // Which of two counts is anyone's guess: it passes, and tells nothing.
    let twice = br#"{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}"#;
    assert_eq!(observe_body(Endpoint::ChatCompletions, twice), Ok(Observed::default()));
}

#[test]
fn cache_writes_have_three_names() {
    for name in ["cache_creation_input_tokens", "cache_creation_tokens", "cache_write_tokens"] {
        let body = format!(r#"{{"usage":{{"prompt_tokens":9,"prompt_tokens_details":{{"{name}":4}}}}}}"#);
        let usage = observe_body(Endpoint::ChatCompletions, body.as_bytes()).unwrap().usage;
        assert_eq!(usage.get(Counter::CacheCreationInput), Some(4), "{name}");
    }
}

#[test]
fn model_and_error_of_a_whole_answer() {
    let observed =
        observe_body(Endpoint::ChatCompletions, br#"{"model":"qwen3-\u0038b","choices":[]}"#).unwrap();
    assert_eq!((observed.model.as_deref(), observed.error), (Some("qwen3-8b"), None));
    let observed =
        observe_body(Endpoint::ChatCompletions, br#"{"error":{"message":"no","code":429}}"#).unwrap();
    assert_eq!(observed.error.map(|error| error.status()), Some(429));
}

#[test]
fn of_a_large_answer_the_ends_say_the_same_as_the_whole() {
    let vectors = vec![r#"{"object":"embedding","embedding":[0.25,-1e-3]}"#; 4_000].join(",");
    let usage = r#""usage":{"prompt_tokens":8,"total_tokens":8}"#;
    for body in [
        format!(r#"{{"object":"list","data":[{vectors}],"model":"bge-m3",{usage}}}"#),
        format!(r#"{{"id":"e-1","model":"bge-m3","data":[{vectors}],{usage}}}"#),
        format!(r#"{{"model" : "bge-m3" ,"data":[{vectors}], {usage} ,"x":{{"model":"inner"}} }} "#),
    ] {
        let whole = observe_body(Endpoint::Embeddings, body.as_bytes()).unwrap();
        assert_eq!((whole.model.as_deref(), whole.usage.input()), (Some("bge-m3"), Some(8)));
        let (head, tail) = (&body.as_bytes()[..END], &body.as_bytes()[body.len() - END..]);
        assert_eq!(observe_ends(Endpoint::Embeddings, head, tail), Some(whole));
    }
}

#[test]
fn the_ends_of_a_large_answer_are_not_taken_for_more_than_they_are() {
    let head = br#"{"data":[{"model":"inner"},{"model":"inner"}"#;
    for tail in [
        // Deeper inside.
        r#"0]}],"x":{"usage":{"prompt_tokens":8}}}"#,
        r#"{"usage":{"prompt_tokens":8}}]}"#,
        // Cut off, or not JSON behind it.
        r#"0]}],"usage":{"prompt_tokens":8}"#,
        r#"0]}],"usage":{"prompt_tokens":8}}}"#,
        r#"0]}],"usage":{"prompt_tokens":8},x}"#,
        // In a text, as a value, or not at all.
        r#" \"usage\":{\"prompt_tokens\":8}"}"#,
        r#"0]}],"object":"usage"}"#,
        r#"0]}],"model":"m"}"#,
        "",
    ] {
        assert_eq!(observe_ends(Endpoint::Embeddings, head, tail.as_bytes()), None, "{tail}");
    }
    let tail = br#"0]}],"usage":{"prompt_tokens":8}}"#;
    assert_eq!(
        observe_ends(Endpoint::Embeddings, head, tail).unwrap().model,
        None,
        "the inner one is not its own"
    );
}

fn observe(endpoint: Endpoint, events: &[&str]) -> (Observed, bool) {
    let mut observer = StreamObserver::new(endpoint, 1);
    for event in events {
        observer.event(event.as_bytes());
    }
    (observer.observed().clone(), observer.is_complete())
}

#[test]
fn chat_chunks_tell_usage_at_the_end_or_all_along() {
    let chunk = r#"{"model":"m-1","choices":[{"delta":{"content":"\"usage\" \"finish_reason\":\"stop\""},"finish_reason":null}],"usage":null}"#;
    let (observed, is_complete) = observe(Endpoint::ChatCompletions, &[chunk]);
    assert!(observed.usage.is_empty() && !is_complete);

    let finish = r#"{"model":"m-1","choices":[{"delta":{},"finish_reason": "stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
    let usage =
        r#"{"model":"","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
    let two = r#"{"model":"m-1","x":"usage","choices":[{"finish_reason":null},{"finish_reason":"stop"}],"usage" : {"prompt_tokens":9}}"#;
    let (observed, is_complete) = observe(Endpoint::ChatCompletions, &[chunk, two]);
    assert!(!is_complete && observed.usage.input() == Some(9), "one of two choices goes on");
    let (_, is_complete) = observe(Endpoint::ChatCompletions, &[chunk, finish]);
    assert!(is_complete, "a finish reason is the end for servers that send no [DONE]");
    let (observed, is_complete) = observe(Endpoint::ChatCompletions, &[chunk, finish, usage, "[DONE]"]);
    assert!(is_complete);
    assert_eq!(observed.model.as_deref(), Some("m-1"));
    assert_eq!(counters(observed.usage), [Some(3), None, None, Some(2), None, Some(5)]);
}

/// Whether a stream is whole when its connection ends behind these chunks.
fn is_whole(asked: u32, chunks: &[&str]) -> bool {
    let mut observer = StreamObserver::new(Endpoint::ChatCompletions, asked);
    chunks.iter().for_each(|chunk| observer.event(chunk.as_bytes()));
    observer.is_complete()
}

#[test]
fn only_a_reason_finishes_a_choice() {
    for reason in [r#""""#, "null", "false", "0", "{}", "[]", r#"["stop"]"#] {
        let chunk =
            format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"a"}},"finish_reason":{reason}}}]}}"#);
        assert!(!is_whole(1, &[&chunk]), "{reason}");
        assert!(is_whole(1, &[&chunk, "[DONE]"]), "the provider's own end: {reason}");
    }
    for chunk in [
        r#"{"choices":[{"finish_reason":"stop"}]}"#,
        r#"{"choices" : [ {"\u0066inish_reason" : "stop" , "index" : 0} ] }"#,
    ] {
        assert!(is_whole(1, &[chunk]), "{chunk}");
    }
    let said =
        r#"{"choices":[{"delta":{"content":"\"finish_reason\":\"stop\""},"x":{"finish_reason":"stop"}}]}"#;
    assert!(!is_whole(1, &[said]));
}

#[test]
fn each_choice_has_to_finish() {
    let [piece, finish] = ["null", r#""stop""#].map(|reason| {
        [0, 1].map(|index| {
            format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":{reason}}}]}}"#)
        })
    });
    assert!(!is_whole(2, &[&piece[0], &piece[1], &finish[0]]));
    assert!(!is_whole(2, &[&piece[1], &finish[1], &piece[0]]));
    assert!(!is_whole(1, &[&piece[0], &piece[1], &finish[0]]), "a second one that nobody asked for");
    assert!(!is_whole(2, &[&piece[0], &finish[0]]), "the other one never began");
    assert!(is_whole(2, &[&piece[0], &piece[1], &finish[1], &finish[0]]));
    assert!(is_whole(2, &[r#"{"choices":[{"finish_reason":"a"},{"finish_reason":"b"}]}"#]));
    assert!(is_whole(2, &[&piece[0], "[DONE]"]));
}

#[test]
fn a_message_without_its_stop_is_not_whole() {
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":6}}"#;
    assert!(!observe(Endpoint::Messages, &[delta]).1);
    assert!(observe(Endpoint::Messages, &[delta, r#"{ "type" : "message_\u0073top" }"#]).1);
}

#[test]
fn an_event_with_a_number_that_json_does_not_have_tells_its_usage_all_the_same() {
    let event = r#"{"choices":[{"finish_reason":"stop","logprobs":{"x":[NaN, -Infinity]}}],"usage":{"prompt_tokens":3}}"#;
    let (observed, is_complete) = observe(Endpoint::ChatCompletions, &[event]);
    assert!(is_complete && observed.usage.input() == Some(3));
    assert!(is_usage_only_chunk(br#"{"choices":[],"x":NaN,"usage":{"prompt_tokens":3}}"#));
}

#[test]
fn anthropic_events_are_cumulative() {
    let start = r#"{"type":"message_start","message":{"id":"msg","model":"claude-x","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":20,"cache_creation_input_tokens":0,"output_tokens":1}}}"#;
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"message_stop \"usage\""}}"#;
    let (observed, is_complete) = observe(Endpoint::Messages, &[start, delta]);
    assert_eq!(counters(observed.usage), [Some(30), Some(20), Some(0), None, None, None]);
    assert_eq!(observed.model.as_deref(), Some("claude-x"));
    assert!(!is_complete);

    let usage = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":6,"input_tokens":11,"cache_read_input_tokens":0}}"#;
    let (observed, is_complete) =
        observe(Endpoint::Messages, &[start, delta, usage, r#"{"type":"message_stop"}"#]);
    assert_eq!(counters(observed.usage), [Some(31), Some(20), Some(0), Some(6), None, Some(37)]);
    assert!(is_complete);
}

#[test]
fn responses_events_tell_usage_when_they_end_the_stream() {
    let created = r#"{"type":"response.created","response":{"id":"r","model":"g-5","status":"in_progress","error":null,"usage":null}}"#;
    let delta = r#"{"type":"response.output_text.delta","delta":"x","item_id":"i"}"#;
    for (kind, error) in [
        ("completed", "null"),
        ("incomplete", "null"),
        ("failed", r#"{"code":"server_error","message":"m"}"#),
    ] {
        let last = format!(
            r#"{{"type":"response.{kind}","response":{{"model":"g-5","error":{error},"usage":{{"input_tokens":7,"output_tokens":2,"total_tokens":9}}}}}}"#
        );
        let (observed, is_complete) = observe(Endpoint::Responses, &[created, delta]);
        assert_eq!((observed.model.as_deref(), is_complete), (Some("g-5"), false));
        let (observed, is_complete) = observe(Endpoint::Responses, &[created, delta, &last]);
        assert_eq!(counters(observed.usage), [Some(7), None, None, Some(2), None, Some(9)]);
        assert!(is_complete);
        assert_eq!(observed.error.is_some(), kind == "failed");
    }
}

#[test]
fn media_streams_tell_usage_in_their_last_event() {
    let usage = r#""usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}"#;
    for (endpoint, kind) in [
        (Endpoint::ImageGenerations, "image_generation.completed"),
        (Endpoint::ImageEdits, "image_edit.completed"),
        (Endpoint::Transcriptions, "transcript.text.done"),
        (Endpoint::Speech, "speech.audio.done"),
    ] {
        let (observed, is_complete) = observe(endpoint, &[&format!(r#"{{"type":"{kind}",{usage}}}"#)]);
        assert_eq!(counters(observed.usage), [Some(1), None, None, Some(2), None, Some(3)]);
        assert!(is_complete, "{endpoint:?}");
    }
}

#[test]
fn the_first_error_of_a_stream_is_kept() {
    let (observed, is_complete) = observe(
        Endpoint::ChatCompletions,
        &[
            r#"{"error":{"message":"first","code":503}}"#,
            r#"{"error":{"message":"second"}}"#,
            "garbage \"error\"",
        ],
    );
    assert_eq!(observed.error, Some(crate::error::Error::provider(503, None, "first")));
    assert!(!is_complete);
}

#[test]
fn only_a_chunk_of_nothing_but_usage_is_kept_from_the_client() {
    for (data, expected) in [
        (r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1}}"#, true),
        (r#"{"id":"c","choices":[],"usage":null}"#, false),
        (r#"{"id":"c","choices":[],"prompt_filter_results":[]}"#, false),
        (r#"{"id":"c","choices":[{"index":0}],"usage":{"prompt_tokens":1}}"#, false),
        (r#"{"usage":{"prompt_tokens":1}}"#, false),
        ("[DONE]", false),
        (r#"{"choices":[],"usage":"#, false),
    ] {
        assert_eq!(is_usage_only_chunk(data.as_bytes()), expected, "{data}");
    }
}

#[test]
fn a_stream_may_open_with_an_error() {
    let data = br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(event_error(data).map(|error| error.status()), Some(529));
    assert_eq!(event_error(br#"{"type":"message_start","message":{}}"#), None);
}
