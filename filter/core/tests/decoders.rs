//! Each decoder on what is nearly right: the fixtures, with a few changes at random.
//!
//! Nothing may panic, whatever a client or a provider sends, what comes out must be whole, and a stream must end as its
//! API has it. `WEIR_FUZZ_SECONDS=60 cargo test -p weir-core --test decoders` takes a minute for each decoder instead
//! of a second. What made one fail is written to `target/fuzz`.

#![cfg(not(all(target_arch = "wasm32", target_os = "unknown")))]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde::de::IgnoredAny;
use serde_json::{Value, json};
use weir_core::chat::{Event, Losses, Request};
use weir_core::config::Schema;
use weir_core::endpoint::Endpoint;
use weir_core::headers::Headers;
use weir_core::wire::job::{Seen, Sent, Translation};
use weir_core::wire::usage::Recognizer;
use weir_core::wire::{Asked, BackendCodec, ClientCodec, Framing, SchemaName, To, translate, translation};

/// What Anthropic's clients rely on in a stream.
#[path = "../src/wire/anthropic/client/grammar.rs"]
mod grammar;

/// The same of Responses' clients.
#[path = "../src/wire/openai/responses/grammar.rs"]
mod grammar_of_responses;

/// The same of Gemini's.
#[path = "../src/wire/gemini/client/grammar.rs"]
mod grammar_of_gemini;

/// The same of Cohere's.
#[path = "../src/wire/cohere/client/grammar.rs"]
mod grammar_of_cohere;

#[path = "decoders/jobs.rs"]
mod jobs;

const CLIENTS: [Endpoint; 6] = [
    Endpoint::ChatCompletions,
    Endpoint::Completions,
    Endpoint::Messages,
    Endpoint::Responses,
    Endpoint::StreamGenerateContent,
    Endpoint::CohereChat,
];

#[test]
fn chat_completions_of_clients() {
    requests(Endpoint::ChatCompletions, &["openai_chat", "converse/requests"]);
}

#[test]
fn completions_of_clients() {
    requests(Endpoint::Completions, &["openai_completions"]);
}

#[test]
fn messages_of_clients() {
    requests(Endpoint::Messages, &["anthropic_messages", "converse/messages"]);
}

#[test]
fn responses_of_clients() {
    requests(Endpoint::Responses, &["openai_responses"]);
}

#[test]
fn contents_of_clients() {
    requests(Endpoint::GenerateContent, &["gemini_contents"]);
}

#[test]
fn chats_of_coheres_clients() {
    requests(Endpoint::CohereChat, &["cohere_chat"]);
}

/// What passes to Cohere is JSON that has lost nothing but what is in its messages.
#[test]
fn chats_on_their_way_to_cohere() {
    let corpus: Vec<Vec<u8>> =
        files("cohere_chat", "json").iter().map(|file| std::fs::read(file).unwrap()).collect();
    let schema = Schema { name: SchemaName::Cohere, prefix: None, version: None };
    for_a_while("chats to Cohere", |chance| {
        let body = chance.changed(&corpus);
        let _kept = Kept::new("chats", &body);
        let to = To {
            endpoint: Endpoint::CohereChat,
            schema: &schema,
            model: ["command-a-03-2025", "command-a-reasoning-08-2025"][chance.below(2)],
            stream: false,
            default_max_tokens: 4096,
            headers: &Headers::default(),
            auth: None,
            cache_marks: false,
        };
        let mend = schema.name.schema().mend(&to).unwrap();
        let edits = mend(&body, &mut Losses::default());
        let Ok(passed) = weir_core::codec::splice::edit(&body, &edits) else { return };
        let (Ok(mut was), Ok(mut is)) =
            (serde_json::from_slice::<Value>(&body), serde_json::from_slice::<Value>(&passed))
        else {
            return;
        };
        let count = |body: &Value| body["messages"].as_array().map(Vec::len);
        assert_eq!(count(&was), count(&is));
        was["messages"].take();
        is["messages"].take();
        assert_eq!(was, is);
    });
}

#[test]
fn counts_of_clients() {
    requests(Endpoint::GeminiCountTokens, &["gemini_contents"]);
}

/// What passes to Vertex AI is JSON that has lost nothing of its own.
#[test]
fn contents_on_their_way_to_vertex_ai() {
    let corpus: Vec<Vec<u8>> =
        files("gemini_contents", "json").iter().map(|file| std::fs::read(file).unwrap()).collect();
    let schema = Schema { name: SchemaName::GCPVertexAI, prefix: None, version: None };
    let headers = Headers::default();
    for_a_while("contents to Vertex AI", |chance| {
        let body = chance.changed(&corpus);
        let _kept = Kept::new("contents", &body);
        for endpoint in [Endpoint::GenerateContent, Endpoint::GeminiCountTokens] {
            let to = To {
                endpoint,
                schema: &schema,
                model: ["gemini-2.5-pro", "gemini-3-pro-preview"][chance.below(2)],
                stream: false,
                default_max_tokens: 4096,
                headers: &headers,
                auth: None,
                cache_marks: false,
            };
            let Ok(passed) = schema.name.schema().envelope(&to, &body, &mut Losses::default()) else {
                continue;
            };
            if let Ok(was) = serde_json::from_slice::<Value>(&body) {
                let is = serde_json::from_slice::<Value>(&passed).unwrap();
                assert!(endpoint == Endpoint::GeminiCountTokens || was["labels"] == is["labels"]);
            }
        }
    });
}

#[test]
fn answers_of_anthropic() {
    answers("anthropic", SchemaName::Anthropic);
}

#[test]
fn answers_of_openai() {
    answers("openai", SchemaName::OpenAI);
}

#[test]
fn answers_of_converse() {
    answers("converse", SchemaName::AWSBedrock);
}

#[test]
fn answers_of_gemini() {
    answers("gemini", SchemaName::GCPVertexAI);
}

#[test]
fn answers_of_cohere() {
    answers("cohere", SchemaName::Cohere);
}

/// What passes unread may be anything.
#[test]
fn usage_of_what_passes() {
    let corpus: Vec<Vec<u8>> = ["anthropic", "cohere", "converse", "embeddings", "gemini", "openai", "ranks"]
        .iter()
        .flat_map(|folder| files(folder, "json"))
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    for_a_while("usage of what passes", |chance| {
        let body = chance.changed(&corpus);
        let _kept = Kept::new("passed", &body);
        let mut known = Recognizer::default();
        known.document(&body);
        known.end_of_document(&body);
        known.document(&[b"[", body.as_slice(), b",", body.as_slice(), b"]"].concat());
        let usage = known.observed().usage;
        assert!(usage.total() >= usage.input() && usage.total() >= usage.output(), "{usage:?}");
    });
}

fn requests(endpoint: Endpoint, folders: &[&str]) {
    let corpus: Vec<Vec<u8>> = folders
        .iter()
        .flat_map(|folder| files(folder, "json"))
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    for_a_while(&format!("{endpoint:?}"), |chance| {
        let body = chance.changed(&corpus);
        let _kept = Kept::new("request", &body);
        for name in SchemaName::ALL {
            let is_count = client(endpoint).counts();
            let schema = name.schema();
            let Some(backend) = (if is_count { schema.counter() } else { schema.codec() }) else { continue };
            let (schema, headers) = (Schema { name: *name, prefix: None, version: None }, Headers::default());
            let model = ["claude-sonnet-4-5", "amazon.nova-pro-v1:0", "gemini-2.5-pro", "gpt-5.1", "m"];
            let to = To {
                endpoint,
                schema: &schema,
                model: model[chance.below(model.len())],
                stream: false,
                default_max_tokens: 4096,
                headers: &headers,
                auth: None,
                cache_marks: false,
            };
            match translate(client(endpoint), backend, &to, &body) {
                Ok(translated) => is_json(&translated.body),
                Err(error) => assert!((400..500).contains(&error.status()), "{error:?}"),
            }
        }
    });
}

/// Fails for what is no JSON. Numbers pass as they are written, also those that are too large for any type here.
fn is_json(text: &[u8]) {
    serde_json::from_slice::<IgnoredAny>(text).unwrap();
}

fn answers(folder: &str, schema: SchemaName) {
    let is_named = schema.schema().framing() == Framing::AwsNamed;
    let wholes: Vec<Vec<u8>> =
        files(folder, "json").iter().map(|file| std::fs::read(file).unwrap()).collect();
    let streams: Vec<Vec<String>> = files(folder, if is_named { "frames" } else { "sse" })
        .iter()
        .map(|file| {
            let lines = std::fs::read_to_string(file).unwrap();
            let data = |line: &str| {
                if is_named { Some(line.to_owned()) } else { Some(line.strip_prefix("data: ")?.to_owned()) }
            };
            lines.lines().filter_map(data).collect()
        })
        .collect();
    let backend = schema.schema().codec().unwrap();
    for_a_while(folder, |chance| {
        let asked = asked(chance);
        for endpoint in CLIENTS {
            let body = chance.changed(&wholes);
            let _kept = Kept::new(folder, &body);
            match backend.reply(&asked, &body, &mut Losses::default()) {
                Ok(reply) => {
                    let told = client(endpoint).reply(&asked, &reply, &mut Losses::default());
                    is_json(&told);
                }
                Err(error) => assert!(error.status() >= 400, "{error:?}"),
            }
        }
        let events = chance.changed_stream(&streams, is_named);
        let _kept = Kept::new(folder, events.join("\n").as_bytes());
        for endpoint in CLIENTS {
            stream(endpoint, backend, &asked, &events, is_named);
        }
    });
}

fn stream(endpoint: Endpoint, backend: &dyn BackendCodec, asked: &Asked, lines: &[String], is_named: bool) {
    let mut reader = backend.events(asked);
    let mut events: Vec<Event> = Vec::new();
    for line in lines {
        let (name, data) = match line.split_once(' ').filter(|_| is_named) {
            Some((name, data)) => (Some(name), data),
            None => (None, line.as_str()),
        };
        reader.event(name, data.as_bytes(), &mut Losses::default(), &mut events);
    }
    reader.finish(&mut events);
    let (mut writer, mut out) = (client(endpoint).events(asked), Vec::new());
    for event in &events {
        writer.event(event, &mut Losses::default(), &mut out);
    }
    assert!(writer.is_closed(), "the stream has no end");
    if endpoint == Endpoint::Messages {
        let _ = grammar::message_of(&out);
    } else if endpoint == Endpoint::Responses {
        let _ = grammar_of_responses::response_of(&out);
    } else if endpoint == Endpoint::StreamGenerateContent {
        let _ = grammar_of_gemini::answer_of(&out);
    } else if endpoint == Endpoint::CohereChat {
        let _ = grammar_of_cohere::answer_of(&out);
    } else {
        let out = String::from_utf8(out).unwrap();
        for data in
            out.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]")
        {
            is_json(data.as_bytes());
        }
    }
}

fn client(endpoint: Endpoint) -> &'static dyn ClientCodec {
    endpoint.operation().conversation().unwrap()
}

fn asked(chance: &mut Chance) -> Asked {
    let request = Request { include_usage: chance.below(2) == 0, ..Request::default() };
    let models = ["amazon.nova-pro-v1:0", "us.openai.gpt-6-sol", "claude-sonnet-4-5", "gemini-2.5-pro", "m"];
    Asked {
        request: request.into(),
        id: "own".to_owned(),
        model: models[chance.below(models.len())].to_owned(),
        created: 1_790_000_000,
    }
}

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(folder);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    assert!(!files.is_empty(), "{extension}");
    files.sort();
    files
}

fn for_a_while(decoder: &str, mut once: impl FnMut(&mut Chance)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let now = || SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_nanos() as u64);
    let seed = number("WEIR_FUZZ_SEED").unwrap_or_else(now);
    let until = Instant::now() + Duration::from_secs(number("WEIR_FUZZ_SECONDS").unwrap_or(1));
    let mut chance = Chance(seed | 1);
    let mut runs = 0;
    while Instant::now() < until {
        once(&mut chance);
        runs += 1;
    }
    println!("{decoder}: {runs} runs from WEIR_FUZZ_SEED={seed}");
}

/// An input that is written down if its test fails.
struct Kept<'a>(&'a str, Vec<u8>);

impl<'a> Kept<'a> {
    fn new(decoder: &'a str, input: &[u8]) -> Kept<'a> {
        Kept(decoder, input.to_vec())
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fuzz");
            let _ = std::fs::create_dir_all(&folder);
            let _ = std::fs::write(folder.join(self.0), &self.1);
            println!("the input: {}", String::from_utf8_lossy(&self.1));
        }
    }
}

/// Numbers at random (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        high as usize % bound.max(1)
    }

    /// One of the inputs, with some changes: mostly of its values, some of its bytes.
    fn changed(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let input = &corpus[self.below(corpus.len())];
        let mut bytes = match serde_json::from_slice::<Value>(input) {
            Ok(mut value) => {
                for _ in 0..=self.below(3) {
                    self.change(&mut value);
                }
                value.to_string().into_bytes()
            }
            Err(_) => input.clone(),
        };
        if self.below(4) == 0 {
            self.spoil(&mut bytes);
        }
        bytes
    }

    fn changed_stream(&mut self, corpus: &[Vec<String>], is_named: bool) -> Vec<String> {
        let mut lines = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(3) {
            if lines.is_empty() {
                break;
            }
            let at = self.below(lines.len());
            match self.below(6) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => lines.swap(at, 0),
                3 => lines.truncate(at),
                4 => {
                    let other = &corpus[self.below(corpus.len())];
                    if let Some(line) = other.get(self.below(other.len())) {
                        lines.insert(at, line.clone());
                    }
                }
                _ => {
                    let (name, data) = match lines[at].split_once(' ').filter(|_| is_named) {
                        Some((name, data)) => (format!("{name} "), data),
                        None => (String::new(), lines[at].as_str()),
                    };
                    let changed = self.changed(&[data.as_bytes().to_vec()]);
                    lines[at] = name + &String::from_utf8_lossy(&changed).replace('\n', " ");
                }
            }
        }
        lines
    }

    /// One value somewhere within becomes another, goes, or comes twice.
    fn change(&mut self, value: &mut Value) {
        let goes_deeper = self.below(5) > 0;
        match value {
            Value::Object(members) if goes_deeper && !members.is_empty() => {
                let at = self.below(members.len());
                let name = members.keys().nth(at).cloned().unwrap();
                match self.below(8) {
                    0 => drop(members.remove(&name)),
                    1 => {
                        let twin = members.get(&name).cloned().unwrap();
                        members.insert(format!("{name}_"), twin);
                    }
                    _ => self.change(members.get_mut(&name).unwrap()),
                }
            }
            Value::Array(list) if goes_deeper && !list.is_empty() => {
                let at = self.below(list.len());
                match self.below(8) {
                    0 => drop(list.remove(at)),
                    1 => list.insert(at, list[at].clone()),
                    2 => list.swap(0, at),
                    _ => self.change(&mut list[at]),
                }
            }
            other => *other = self.value(),
        }
    }

    fn value(&mut self) -> Value {
        match self.below(14) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(0),
            4 => json!(u64::MAX),
            5 => json!(1e300),
            6 => json!(1.5),
            7 => json!(""),
            8 => json!(" \n"),
            9 => json!("\u{1f600}\u{0}é"),
            10 => json!("{\"a\":"),
            11 => json!([]),
            12 => json!({}),
            _ => json!([{ "type": "text", "text": "x" }, null, 7]),
        }
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        match self.below(4) {
            0 => bytes.truncate(at),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, b"\"\\{}[],:0\xff"[self.below(10)]),
            _ => bytes[at] ^= 1 << self.below(8),
        }
    }
}
