//! Where the bytes of an answer are cut must not matter: not to what the client gets, not to what is charged.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use weir_core::config::SchemaName::{self, AWSAnthropic, AWSBedrock, Anthropic, Cohere, OpenAI, OpenAIChat};

use crate::answer::{
    Answer, CHAT_CHUNKS, COHERE_EVENTS, CONVERSE_EVENTS, MESSAGE_EVENTS, chat_sse, exception, frame, gzip,
    named_frame, named_sse,
};
use crate::gateway::Gateway;
use crate::outcome::Outcome;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/anthropic/v1/messages";
const RESPONSES: &str = "/v1/responses";

/// What goes wrong within a stream.
#[derive(Debug, Clone)]
enum Fault {
    None,
    /// It ends here.
    Cut(Index),
    /// This byte is another.
    Flip(Index, u8),
    /// These bytes come in between.
    Insert(Index, Vec<u8>),
}

fn fault() -> impl Strategy<Value = Fault> {
    let extra = prop_oneof![
        Just(b"\n\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b": ping\n\n".to_vec()),
        Just(b"data: {\"error\":{\"message\":\"gone\"}}\n\n".to_vec()),
        Just(b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"x\"}}\n\n".to_vec()),
        Just(exception("throttlingException", r#"{"message":"slow"}"#)),
        Just(frame(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#)),
        Just(frame("{")),
        Just(named_frame(r#"contentBlockDelta {"contentBlockIndex":0,"delta":{"text":1}}"#)),
    ];
    prop_oneof![
        2 => Just(Fault::None),
        2 => any::<Index>().prop_map(Fault::Cut),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Fault::Flip(at, byte)),
        2 => (any::<Index>(), extra).prop_map(|(at, bytes)| Fault::Insert(at, bytes)),
    ]
}

fn faulty(mut stream: Vec<u8>, events: &[usize], fault: &Fault) -> Vec<u8> {
    match fault {
        Fault::None => {}
        Fault::Cut(at) => stream.truncate(at.index(stream.len() + 1)),
        Fault::Flip(at, byte) => {
            let at = at.index(stream.len());
            stream[at] = *byte;
        }
        // Mostly between events, where it does the most.
        Fault::Insert(at, bytes) => {
            let at = at.index(events.len() + 1);
            let at = events.get(at).copied().unwrap_or(stream.len() / 3);
            stream.splice(at..at, bytes.iter().copied());
        }
    }
    stream
}

/// Which client speaks to which backend.
#[derive(Debug, Clone, Copy)]
struct Pair {
    path: &'static str,
    schema: SchemaName,
    asks_usage: bool,
}

const PAIRS: [Pair; 15] = [
    Pair { path: CHAT, schema: OpenAI, asks_usage: false },
    Pair { path: CHAT, schema: OpenAI, asks_usage: true },
    Pair { path: MESSAGES, schema: Anthropic, asks_usage: false },
    Pair { path: MESSAGES, schema: OpenAI, asks_usage: false },
    Pair { path: CHAT, schema: Anthropic, asks_usage: true },
    Pair { path: CHAT, schema: Cohere, asks_usage: true },
    Pair { path: MESSAGES, schema: Cohere, asks_usage: false },
    Pair { path: RESPONSES, schema: OpenAIChat, asks_usage: false },
    Pair { path: RESPONSES, schema: Anthropic, asks_usage: false },
    Pair { path: RESPONSES, schema: Cohere, asks_usage: false },
    Pair { path: MESSAGES, schema: AWSAnthropic, asks_usage: false },
    Pair { path: CHAT, schema: AWSAnthropic, asks_usage: false },
    Pair { path: CHAT, schema: AWSBedrock, asks_usage: true },
    Pair { path: MESSAGES, schema: AWSBedrock, asks_usage: false },
    Pair { path: RESPONSES, schema: AWSBedrock, asks_usage: false },
];

impl Pair {
    /// The bytes of each event.
    fn events(self) -> Vec<Vec<u8>> {
        match self.schema {
            AWSAnthropic => MESSAGE_EVENTS.iter().map(|event| frame(event)).collect(),
            Cohere => COHERE_EVENTS.iter().map(|event| named_sse(&[event]).into_bytes()).collect(),
            AWSBedrock => CONVERSE_EVENTS.iter().map(|event| named_frame(event)).collect(),
            Anthropic => MESSAGE_EVENTS.iter().map(|event| named_sse(&[event]).into_bytes()).collect(),
            _ => {
                let done = || "data: [DONE]\n\n".to_owned();
                let chunks = CHAT_CHUNKS.iter().map(|chunk| chat_sse(&[chunk]).replace(&done(), ""));
                chunks.chain([done()]).map(String::into_bytes).collect()
            }
        }
    }

    fn media_type(self) -> &'static str {
        match self.schema {
            AWSAnthropic | AWSBedrock => "application/vnd.amazon.eventstream",
            _ => "text/event-stream",
        }
    }

    fn answer(self, chunks: Vec<Vec<u8>>, end_with_chunk: bool, gzip: bool) -> Outcome {
        let gateway = Gateway::new().backend("b", self.schema);
        let options = if self.asks_usage { r#","stream_options":{"include_usage":true}"# } else { "" };
        let list = if self.path == RESPONSES { "input" } else { "messages" };
        let body =
            format!(r#"{{"model":"m","stream":true{options},"{list}":[{{"role":"user","content":"Hi"}}]}}"#);
        let mut answer = Answer::new(200, self.media_type(), "").in_chunks(chunks, end_with_chunk);
        if gzip {
            answer = answer.header("content-encoding", "gzip");
        }
        gateway.post(self.path, body).header("accept-encoding", "gzip").answered_by(answer).send()
    }
}

/// Pieces of `bytes`, cut at `cuts`; some may be empty.
fn pieces(bytes: &[u8], cuts: &[Index]) -> Vec<Vec<u8>> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.sort_unstable();
    at.push(bytes.len());
    let mut start = 0;
    at.into_iter().map(|end| bytes[std::mem::replace(&mut start, end)..end].to_vec()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn cuts_do_not_matter(
        pair in select(PAIRS.as_slice()),
        fault in fault(),
        cuts in proptest::collection::vec(any::<Index>(), 0..12),
        end_with_chunk: bool,
    ) {
        let mut ends = Vec::new();
        let mut stream = Vec::new();
        for event in pair.events() {
            stream.extend(event);
            ends.push(stream.len());
        }
        let stream = faulty(stream, &ends, &fault);
        let whole = pair.answer(vec![stream.clone()], true, false);
        prop_assert_eq!(&pair.answer(pieces(&stream, &cuts), end_with_chunk, false), &whole);
        let bytes = stream.iter().map(|byte| vec![*byte]).chain([Vec::new()]).collect();
        prop_assert_eq!(&pair.answer(bytes, end_with_chunk, false), &whole);
        if matches!(fault, Fault::None) {
            prop_assert_eq!(whole.status, 200);
            let is_chat = matches!(pair.schema, OpenAI | OpenAIChat);
            prop_assert_eq!(whole.record.usage.input(), Some(if is_chat { 11 } else { 29 }));
        }
    }

    #[test]
    fn cuts_do_not_matter_within_an_encoding(
        pair in select(&PAIRS[..10]),
        fault in fault(),
        cut in proptest::option::of(any::<Index>()),
        cuts in proptest::collection::vec(any::<Index>(), 0..12),
    ) {
        let stream = faulty(pair.events().concat(), &[], &fault);
        let mut encoded = gzip(&stream);
        if let Some(cut) = cut {
            encoded.truncate(cut.index(encoded.len() + 1));
        }
        let whole = pair.answer(vec![encoded.clone()], true, true);
        prop_assert_eq!(&pair.answer(pieces(&encoded, &cuts), false, true), &whole);
        let bytes = encoded.iter().map(|byte| vec![*byte]).chain([Vec::new()]).collect();
        prop_assert_eq!(&pair.answer(bytes, true, true), &whole);
        if cut.is_none() {
            prop_assert_eq!(&pair.answer(vec![stream], true, false).body, &whole.body);
        }
    }
}
