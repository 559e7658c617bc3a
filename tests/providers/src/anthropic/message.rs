//! A Claude message: made up from the request, shown whole or as its event sequence.

use serde_json::{Value, json};

use crate::object::with;
use crate::server::Ask;
use crate::text::{self, End};

/// Pieces a tool's arguments are streamed in.
const ARGUMENT_PIECES: usize = 3;
/// A thought that clients cannot read.
pub(super) const CIPHERTEXT: &str = "b3BhcXVl";
/// What the stand-in thinks when asked to.
const THOUGHT: &str = "The user greets me, so I greet back.";

/// A message and what it cost.
#[derive(Debug)]
pub(crate) struct Message {
    id: String,
    model: String,
    blocks: Vec<Block>,
    stop_reason: &'static str,
    stop_sequence: Option<String>,
    input: u64,
    cache_creation: u64,
    output: u64,
    thinking: u64,
}

#[derive(Debug)]
enum Block {
    Thinking,
    RedactedThinking,
    Text(Vec<String>),
    ToolUse { id: String, name: String, input: Value },
}

impl Message {
    /// The answer to a request that passed [`super::check`].
    pub(crate) fn new(ask: &Ask<'_>, model: &str, body: &Value) -> Self {
        let mut blocks = Vec::new();
        let mut thinking = 0;
        if matches!(body.pointer("/thinking/type").and_then(Value::as_str), Some("enabled" | "adaptive")) {
            blocks.push(Block::Thinking);
            thinking = text::words(THOUGHT);
        }
        let (mut stop_reason, mut stop_sequence) = ("tool_use", None);
        let output;
        if let Some(tool) = tool(body).or_else(|| wanted_tool(body, thinking > 0)) {
            if thinking > 0 {
                blocks.push(Block::RedactedThinking);
            }
            let schema = tool.get("input_schema").unwrap_or(&Value::Null);
            let name = tool.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let input = text::sample(schema);
            output = text::words(&input.to_string());
            blocks.push(Block::ToolUse { id: format!("toolu_{}_{}", ask.name, ask.id), name, input });
        } else {
            let limit = body.get("max_tokens").and_then(Value::as_u64);
            let stops = body.get("stop_sequences").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let stops: Vec<_> = stops.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            let wanted = match body.pointer("/output_config/format/schema") {
                Some(schema) => text::sample(schema).to_string(),
                None => text::sentence(ask.name, ask.words),
            };
            let said = text::say(&wanted, limit, &stops);
            output = said.tokens() as u64;
            stop_reason = match &said.end {
                End::Done => "end_turn",
                End::Limit => "max_tokens",
                End::Stop(_) => "stop_sequence",
            };
            if let End::Stop(stop) = &said.end {
                stop_sequence = Some(stop.clone());
            }
            blocks.push(Block::Text(said.pieces));
        }
        let cache_creation = cached_tokens(body);
        Self {
            id: format!("msg_{}_{}", ask.name, ask.id),
            model: model.to_owned(),
            blocks,
            stop_reason,
            stop_sequence,
            input: input_tokens(body).saturating_sub(cache_creation),
            cache_creation,
            output: output + thinking,
            thinking,
        }
    }

    /// Tokens of the prompt that were not cached.
    pub(crate) fn input(&self) -> u64 {
        self.input
    }

    /// Tokens of the answer, thoughts included.
    pub(crate) fn output(&self) -> u64 {
        self.output
    }

    /// The answer of a request that did not ask for a stream.
    pub(crate) fn whole(&self) -> Value {
        let mut usage = with(self.usage(), json!({"output_tokens": self.output}));
        if self.thinking > 0 {
            usage = with(usage, json!({"output_tokens_details": {"thinking_tokens": self.thinking}}));
        }
        let content: Vec<Value> = self.blocks.iter().map(Block::whole).collect();
        let end =
            json!({"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence, "usage": usage});
        with(self.head(content), end)
    }

    /// The documented sequence of events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut events = vec![json!({"type": "message_start", "message": self.head(Vec::new())})];
        for (index, block) in self.blocks.iter().enumerate() {
            events
                .push(json!({"type": "content_block_start", "index": index, "content_block": block.start()}));
            if index == 0 {
                events.push(json!({"type": "ping"}));
            }
            for delta in block.deltas() {
                events.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
            }
            events.push(json!({"type": "content_block_stop", "index": index}));
        }
        events.push(json!({
            "type": "message_delta",
            "delta": {"stop_reason": self.stop_reason, "stop_sequence": self.stop_sequence},
            "usage": {"output_tokens": self.output},
        }));
        events.push(json!({"type": "message_stop"}));
        events
    }

    fn head(&self, content: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": null,
            "stop_sequence": null,
            "usage": self.usage(),
        })
    }

    /// Usage as it stands when the answer begins.
    fn usage(&self) -> Value {
        json!({
            "input_tokens": self.input,
            "cache_creation_input_tokens": self.cache_creation,
            "cache_read_input_tokens": 0,
            // The first token is generated before the head is sent.
            "output_tokens": 1,
        })
    }
}

impl Block {
    fn whole(&self) -> Value {
        match self {
            Self::Thinking => {
                json!({"type": "thinking", "thinking": THOUGHT, "signature": signature(THOUGHT)})
            }
            Self::RedactedThinking => json!({"type": "redacted_thinking", "data": CIPHERTEXT}),
            Self::Text(pieces) => json!({"type": "text", "text": pieces.concat()}),
            Self::ToolUse { id, name, input } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": input})
            }
        }
    }

    fn start(&self) -> Value {
        match self {
            Self::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Self::RedactedThinking => self.whole(),
            Self::Text(_) => json!({"type": "text", "text": ""}),
            Self::ToolUse { id, name, .. } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": {}})
            }
        }
    }

    fn deltas(&self) -> Vec<Value> {
        match self {
            Self::Thinking => THOUGHT
                .split_inclusive(' ')
                .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
                .chain([json!({"type": "signature_delta", "signature": signature(THOUGHT)})])
                .collect(),
            Self::RedactedThinking => Vec::new(),
            Self::Text(pieces) => {
                pieces.iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect()
            }
            // The first fragment of arguments is empty in Anthropic's streams.
            Self::ToolUse { input, .. } => std::iter::once(String::new())
                .chain(text::split(&input.to_string(), ARGUMENT_PIECES))
                .map(|piece| json!({"type": "input_json_delta", "partial_json": piece}))
                .collect(),
        }
    }
}

/// The tool the request forces, if it does.
fn tool(body: &Value) -> Option<&Value> {
    let tools = body.get("tools")?.as_array()?;
    match body.pointer("/tool_choice/type")?.as_str()? {
        "any" => tools.first(),
        "tool" => {
            let name = body.pointer("/tool_choice/name")?;
            tools.iter().find(|tool| tool.get("name") == Some(name))
        }
        _ => None,
    }
}

/// The tool that the model takes of its own will: one that thinks does so, once the user has spoken.
fn wanted_tool(body: &Value, thinks: bool) -> Option<&Value> {
    let choice = body.pointer("/tool_choice/type").and_then(Value::as_str).unwrap_or("auto");
    let content = body.get("messages")?.as_array()?.last()?.get("content")?;
    let is_result = |block: &Value| block.get("type").and_then(Value::as_str) == Some("tool_result");
    let is_answered = content.as_array().is_some_and(|blocks| blocks.iter().any(is_result));
    body.get("tools")?.as_array()?.first().filter(|_| thinks && choice == "auto" && !is_answered)
}

/// The proof that a thought is the stand-in's own; opaque to clients.
pub(super) fn signature(thought: &str) -> String {
    let sum = thought
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("c3RhbmQtaW4{sum:016x}")
}

/// Tokens of the prompt: words of the system prompt and of all messages.
pub(crate) fn input_tokens(body: &Value) -> u64 {
    let messages = body.get("messages").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    messages.iter().chain(body.get("system")).map(text::content_words).sum()
}

/// Tokens of the system prompt up to its last cache mark; the stand-in always writes the cache and never reads it.
fn cached_tokens(body: &Value) -> u64 {
    let system = body.get("system").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let marked = system.iter().rposition(|block| block.get("cache_control").is_some());
    marked.map_or(0, |last| system.iter().take(last + 1).map(text::content_words).sum())
}
