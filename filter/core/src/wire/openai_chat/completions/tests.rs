use serde_json::{Value, json};

use super::COMPLETIONS;
use crate::chat::{
    Annotation, Choice, Content, Event, Family, FinishReason, Losses, Part, Reply, Request, Role, Seal,
    TokenLogprob,
};
use crate::error::{Error, Kind, Result};
use crate::usage::{Counter, Usage};
use crate::wire::{Asked, ClientCodec as _};

fn decoded(body: &Value) -> Result<(Request, Vec<String>)> {
    let mut losses = Losses::default();
    let request = COMPLETIONS.decode(body.to_string().as_bytes(), &mut losses)?;
    Ok((request, losses.iter().map(|loss| loss.path.clone()).collect()))
}

fn asked(include_usage: bool) -> Asked {
    let request = Request { include_usage, ..Request::default() }.into();
    Asked { request, id: "own".to_owned(), model: "m".to_owned(), created: 5 }
}

fn choice(content: Vec<Part>, finish_reason: FinishReason) -> Choice {
    Choice { content, finish_reason, logprobs: Vec::new(), extra: None }
}

fn reply(choices: Vec<Choice>) -> Reply {
    let usage = Usage::of([(Counter::Input, Some(7)), (Counter::Output, Some(3))]);
    Reply { choices, usage, ..Reply::default() }
}

/// The chunks of the same answer as a stream, and what is lost of it.
fn streamed(reply: &Reply, include_usage: bool) -> (Vec<Value>, Vec<String>) {
    let (mut losses, mut out) = (Losses::default(), Vec::new());
    let mut writer = COMPLETIONS.events(&asked(include_usage));
    reply.events(|event| {
        if event == Event::End {
            writer.event(&Event::Usage(reply.usage), &mut losses, &mut out);
        }
        writer.event(&event, &mut losses, &mut out);
    });
    assert!(writer.is_closed());
    let out = String::from_utf8(out).unwrap();
    let mut data: Vec<&str> =
        out.trim_end().split("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect();
    assert_eq!(data.pop(), Some("[DONE]"));
    (data.into_iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect(), losses.lines())
}

#[test]
fn a_prompt_is_what_a_user_says() {
    for (prompt, origin) in [(json!("Once"), "prompt"), (json!(["Once"]), "prompt[0]")] {
        let (request, losses) = decoded(&json!({
            "model": "m", "prompt": prompt, "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "n": 2, "best_of": 2,
            "stop": "\n", "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2, "logit_bias": {"1": 2},
            "logprobs": 3, "user": "u", "stream": true, "stream_options": {"include_usage": true}, "echo": false,
            "suffix": null,
        }))
        .unwrap();
        assert_eq!(losses, [""; 0]);
        let [message] = request.messages.as_slice() else { panic!("{:?}", request.messages) };
        assert_eq!((message.role, message.origin.to_string().as_str()), (Role::User, origin));
        assert_eq!(message.content[0].content, Content::text("Once"));
        assert_eq!((request.max_tokens, request.n, request.seed), (Some(9), Some(2), Some(7)));
        assert_eq!(
            (request.temperature, request.top_p, request.stop),
            (Some(0.5), Some(0.9), vec!["\n".to_owned()])
        );
        assert_eq!((request.logprobs, request.top_logprobs), (true, Some(3)));
        assert!(request.stream && request.include_usage && request.extra.is_none());
    }
    let (request, _) = decoded(&json!({"model": "m", "prompt": "x", "logprobs": 0})).unwrap();
    assert_eq!((request.logprobs, request.top_logprobs, request.include_usage), (true, None, false));
}

#[test]
fn what_no_conversation_has_is_lost() {
    let asked = json!({"model": "m", "prompt": "x", "suffix": "s", "echo": true, "best_of": 3, "min_p": 0.1});
    let (request, losses) = decoded(&asked).unwrap();
    assert_eq!(losses, ["suffix", "echo", "best_of"]);
    assert_eq!(request.extra.unwrap().members, [("min_p".to_owned(), "0.1".to_owned())]);
}

#[test]
fn a_prompt_that_is_none_or_several_is_refused_by_its_name() {
    for (status, prompt, words) in [
        (422, json!(["a", "b"]), "prompt: the model takes one prompt in a request, and these are 2"),
        (422, json!([]), "prompt: the model takes one prompt in a request, and these are 0"),
        (422, json!([1, 2]), "prompt: the model takes a text, and these are tokens"),
        (422, json!([[1, 2], [3]]), "prompt: the model takes a text, and these are tokens"),
        (400, json!(null), "prompt: field is required"),
        (400, json!({"text": "x"}), "prompt: expected a string or a list of one"),
        (400, json!([null]), "prompt[0]: expected a string"),
    ] {
        let error = decoded(&json!({"model": "m", "prompt": prompt})).unwrap_err();
        assert!(error.status() == status && error.message().contains(words), "{}", error.message());
    }
}

#[test]
fn an_answer_is_text_whole_and_streamed() {
    let token = |token: &str, logprob, top: &[(&str, f64)]| TokenLogprob {
        token: token.to_owned(),
        logprob,
        top: top.iter().map(|(text, logprob)| ((*text).to_owned(), *logprob)).collect(),
    };
    let mut first = choice(vec![Part::text("é a"), Part::text("b")], FinishReason::Length);
    first.logprobs = vec![token("é", -0.5, &[("é", -0.5), ("e", -1.0)]), token(" a", -0.25, &[])];
    let second = choice(vec![Part::new(Content::Refusal("no".to_owned()))], FinishReason::ContentFilter);
    let reply = reply(vec![first, second]);
    let told = COMPLETIONS.reply(&asked(false), &reply, &mut Losses::default());
    let logprobs = json!({
        "tokens": ["é", " a"], "token_logprobs": [-0.5, -0.25],
        "top_logprobs": [{"é": -0.5, "e": -1.0}, {}], "text_offset": [0, 1],
    });
    assert_eq!(
        serde_json::from_slice::<Value>(&told).unwrap(),
        json!({
            "id": "own", "object": "text_completion", "created": 5, "model": "m",
            "choices": [
                {"index": 0, "text": "é ab", "logprobs": logprobs, "finish_reason": "length"},
                {"index": 1, "text": "no", "logprobs": null, "finish_reason": "content_filter"},
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
        })
    );

    for include_usage in [false, true] {
        let (mut chunks, losses) = streamed(&reply, include_usage);
        assert_eq!(losses, [""; 0]);
        if include_usage {
            let last = chunks.pop().unwrap();
            assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(10)));
        }
        let mut texts = [String::new(), String::new()];
        let mut reasons = Vec::new();
        for chunk in &chunks {
            assert_eq!((&chunk["object"], &chunk["id"]), (&json!("text_completion"), &json!("own")));
            assert!(chunk.get("usage").is_none());
            let choice = &chunk["choices"][0];
            let index = usize::try_from(choice["index"].as_u64().unwrap()).unwrap();
            texts[index].push_str(choice["text"].as_str().unwrap());
            reasons.extend(choice["finish_reason"].as_str());
        }
        assert_eq!(
            (texts, reasons),
            (["é ab".to_owned(), "no".to_owned()], vec!["length", "content_filter"])
        );
    }
}

#[test]
fn what_is_no_text_is_lost_whole_and_streamed() {
    let seal = Some(Seal { by: Family::Google, data: "s".to_owned() });
    let cited = Content::Text { text: "x".to_owned(), annotations: vec![Annotation::default()] };
    let called = Content::ToolCall { id: "c".to_owned(), name: "f".to_owned(), arguments: "{}".to_owned() };
    let parts = vec![
        Part::thinking("t", None),
        Part { seal: seal.clone(), ..Part::new(Content::RedactedThinking) },
        Part { seal, ..Part::new(cited) },
        Part::new(called),
    ];
    let reply = reply(vec![choice(parts, FinishReason::ToolCalls)]);
    let mut losses = Losses::default();
    let told = COMPLETIONS.reply(&asked(false), &reply, &mut losses);
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(
        (&told["choices"][0]["text"], &told["choices"][0]["finish_reason"]),
        (&json!("x"), &json!("stop"))
    );
    let expected = [
        "answer.content[0]: completions have no thoughts",
        "answer.content[1]: completions have no thoughts",
        "answer.content[2].citations: the text comes without this source",
        "answer.content[2].signature: completions have texts only",
        "answer.content[3]: completions have texts only",
    ];
    assert_eq!(losses.lines(), expected);
    let (chunks, losses) = streamed(&reply, false);
    assert_eq!((chunks.len(), losses.as_slice()), (2, &expected.map(str::to_owned)[..]));
}

#[test]
fn a_stream_that_fails_ends_with_the_error() {
    let (mut writer, mut out) = (COMPLETIONS.events(&asked(true)), Vec::new());
    let error = Error::new(Kind::RateLimited, "slow down".to_owned());
    writer.event(&Event::Ping, &mut Losses::default(), &mut out);
    writer.event(&Event::Error(error), &mut Losses::default(), &mut out);
    assert!(writer.is_closed());
    let out = String::from_utf8(out).unwrap();
    assert!(out.starts_with(": keepalive\n\ndata: {\"error\"") || out.contains("slow down"), "{out}");
    assert!(out.ends_with("\n\n") && !out.contains("[DONE]"));
}
