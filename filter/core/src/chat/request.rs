//! A client's request.

use serde_json::{Map, Value};

/// What a client asks of a model.
///
/// `None` and empty lists mean that the client said nothing, so the backend's own default holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The model the client named.
    pub model: String,
    /// The conversation in the client's order, system and developer messages included.
    pub messages: Vec<Message>,
    /// The functions the model may call.
    pub tools: Vec<Tool>,
    /// Whether and which of `tools` must be called.
    pub tool_choice: Option<ToolChoice>,
    /// `Some(false)`: at most one call per answer.
    pub parallel_tool_calls: Option<bool>,
    /// The most tokens of the answer, reasoning included.
    pub max_tokens: Option<u64>,
    /// Sampling temperature, unchecked: its range is the target's.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Sampling from the `k` most likely tokens.
    pub top_k: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// What the answer's text must look like.
    pub response_format: Option<ResponseFormat>,
    /// How hard to think, in OpenAI's words (`low`, `medium`, ...); which are allowed is the target's to say.
    pub reasoning_effort: Option<String>,
    /// Thinking, where the client asks for it in tokens.
    pub thinking: Option<Thinking>,
    /// A stable name of the end user, for the provider's abuse detection.
    pub user: Option<String>,
    /// Labels for the provider's own log.
    pub metadata: Map<String, Value>,
    /// The answer is to come as a stream of events.
    pub stream: bool,
    /// The stream is to end with the usage.
    pub include_usage: bool,
    /// Which capacity to serve from, in OpenAI's words (`auto`, `default`, `flex`, `priority`).
    pub service_tier: Option<String>,
    /// Seed of the sampling.
    pub seed: Option<i64>,
    /// How many answers to give.
    pub n: Option<u64>,
    /// Makes what was said already less likely, from -2 to 2.
    pub presence_penalty: Option<f64>,
    /// The same, growing with how often it was said.
    pub frequency_penalty: Option<f64>,
    /// Bias per token id.
    pub logit_bias: Map<String, Value>,
    /// The answer is to tell each token's log probability.
    pub logprobs: bool,
    /// How many alternatives to tell per token.
    pub top_logprobs: Option<u64>,
}

/// One message of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order. A plain string is one text.
    pub content: Vec<Part>,
    /// Tells speakers of the same role apart.
    pub name: Option<String>,
}

/// Who speaks. Answers of tools are the user's: [`Content::ToolResult`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The operator's instructions.
    System,
    /// The same, in the words of OpenAI's newer models.
    Developer,
    /// The person, or the program on the person's behalf.
    User,
    /// The model.
    Assistant,
}

/// One piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is.
    pub content: Content,
    /// The prompt up to here may be kept for later requests.
    pub cache_control: Option<CacheControl>,
}

impl Part {
    /// A part without a cache mark.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self { content, cache_control: None }
    }

    /// A text without a cache mark.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::Text(text.into()))
    }
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text.
    Text(String),
    /// A picture.
    Image {
        /// Where it is.
        source: Source,
        /// How closely to look: `low`, `high`, `auto`.
        detail: Option<String>,
    },
    /// A PDF or another document.
    Document {
        /// Where it is.
        source: Source,
        /// Its file name.
        name: Option<String>,
    },
    /// The model calls a tool.
    ToolCall {
        /// The name of this call, which its result repeats.
        id: String,
        /// The tool.
        name: String,
        /// A JSON object as text, in a history as in an answer: the model may have been cut inside it or may have
        /// written something else, and `""` stands for `{}`.
        arguments: String,
    },
    /// What a tool answered.
    ToolResult {
        /// The call it answers.
        call_id: String,
        /// The answer.
        content: Vec<Part>,
        /// The call failed; `None` where the client's API cannot say.
        is_error: Option<bool>,
    },
    /// What the model thought.
    Thinking {
        /// The thought, or the provider's summary of it.
        text: String,
        /// The provider's proof that the thought is the model's own.
        signature: Option<String>,
    },
    /// A thought that only its provider can read.
    RedactedThinking {
        /// Its ciphertext.
        data: String,
    },
    /// The model declined, and said so in this text.
    Refusal(String),
}

/// Where the bytes of an image or a document are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the request.
    Base64 {
        /// Such as `image/png`.
        media_type: String,
        /// Base64 with padding, unchecked.
        data: String,
    },
    /// To be fetched by the provider.
    Url(String),
}

/// A mark that the prompt up to here may be cached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// For how long: `5m` or `1h`.
    pub ttl: Option<String>,
}

/// A function the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does and when to use it.
    pub description: Option<String>,
    /// JSON Schema of its arguments, always an object, as the client's own text: numbers may have more digits than 64
    /// bits hold. `None`: it takes none.
    pub parameters: Option<String>,
    /// Arguments must follow the schema exactly.
    pub strict: Option<bool>,
    /// The tools up to this one may be cached.
    pub cache_control: Option<CacheControl>,
}

/// Whether and which tool must be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// None may be called.
    None,
    /// At least one must be called.
    Required,
    /// This one must be called.
    Tool(String),
}

/// What the answer's text must look like.
#[derive(Debug, Clone, PartialEq)]
pub enum ResponseFormat {
    /// Any JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema's name.
        name: Option<String>,
        /// The schema, always an object, as the client's own text.
        schema: String,
        /// It must be followed exactly.
        strict: Option<bool>,
    },
}

/// Thinking before the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thinking {
    /// Whether.
    pub mode: ThinkingMode,
    /// The most tokens to think with.
    pub budget_tokens: Option<u64>,
    /// How thoughts are shown: `summarized` or `omitted`.
    pub display: Option<String>,
    /// Whether thoughts are shown at all, in Gemini's words.
    pub include_thoughts: Option<bool>,
}

/// Whether to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThinkingMode {
    /// Yes, within the budget.
    Enabled,
    /// No.
    Disabled,
    /// As the model sees fit.
    Adaptive,
}
