//! A client's request.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Annotation, Extra, Family, Foreign, Origin, Seal, Verbatim};

/// What a client asks of a model.
///
/// `None` and empty lists mean that the client said nothing, so the backend's own default holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Request {
    /// The model the client named.
    pub model: String,
    /// The conversation in the client's order, system and developer messages included.
    pub messages: Vec<Message>,
    /// The tools the model may use.
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
    /// Whether and how hard to think before the answer.
    pub thinking: Thinking,
    /// How much to say, in OpenAI's words (`low`, `medium`, `high`).
    pub verbosity: Option<String>,
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
    /// What the provider's prompt cache is to be told beyond the marks on parts and tools.
    pub cache: Cache,
    /// Members of the request that the neutral form has no word for.
    pub extra: Option<Box<Extra>>,
    /// What the client's API repeats in its answers: the names of members of the request and their JSON, in the
    /// client's words.
    pub repeated: Vec<(&'static str, String)>,
}

/// Settings of the provider's prompt cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    /// Requests of the same key are served where their beginning is cached (`prompt_cache_key`).
    pub key: Option<String>,
    /// For how long to keep, in the client's words (`prompt_cache_retention`: `in_memory`, `24h`).
    pub retention: Option<String>,
    /// The mark that the API sets by itself, at the end of what can be cached (Anthropic's top-level `cache_control`).
    pub automatic: Option<CacheControl>,
    /// A cached beginning by the name that its provider gave it (Gemini's `cachedContent`).
    pub content: Option<String>,
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
    /// Where the client has it.
    pub origin: Origin,
    /// Members that the neutral form has no word for.
    pub extra: Option<Box<Extra>>,
}

impl Message {
    /// A message of nobody in particular.
    #[must_use]
    pub fn new(role: Role, content: Vec<Part>) -> Self {
        Self { role, content, name: None, origin: Origin::default(), extra: None }
    }
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
    /// The provider's name for it, where parts have names of their own (items of OpenAI's responses).
    pub id: Option<String>,
    /// What its provider wants to see again with it: the signature of a thought, of a call or of a text.
    pub seal: Option<Seal>,
    /// The prompt up to here may be kept for later requests.
    pub cache_control: Option<CacheControl>,
    /// Where the client has it in its message.
    pub origin: Origin,
    /// Members that the neutral form has no word for.
    pub extra: Option<Box<Extra>>,
}

impl Part {
    /// A part that is nothing but its content.
    #[must_use]
    pub fn new(content: Content) -> Self {
        Self { content, id: None, seal: None, cache_control: None, origin: Origin::default(), extra: None }
    }

    /// A text, and nothing else.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Content::text(text))
    }

    /// A thought with the seal of its provider, if it has one.
    #[must_use]
    pub fn thinking(text: impl Into<String>, seal: Option<Seal>) -> Self {
        Self { seal, ..Self::new(Content::Thinking { text: text.into() }) }
    }
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// Where it comes from, and what else is said of it.
        annotations: Vec<Annotation>,
    },
    /// A picture, a document, sound or a film.
    Media {
        /// Which.
        kind: MediaKind,
        /// Where it is.
        source: Source,
        /// How closely to look: `low`, `high`, `auto`.
        detail: Option<String>,
        /// Its file name, or the title of a document.
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
        /// The thought, or the provider's summary of it. The proof that it is the model's own is [`Part::seal`].
        text: String,
    },
    /// A thought that only its provider can read: [`Part::seal`].
    RedactedThinking,
    /// The model declined, and said so in this text.
    Refusal(String),
    /// What only its provider understands, such as a search that the provider made itself.
    Foreign(Foreign),
}

impl Content {
    /// A text that nothing is said of.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), annotations: Vec::new() }
    }
}

/// What a medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A PDF, a text or another document.
    Document,
    /// Sound.
    Audio,
    /// A film.
    Video,
}

/// Where the bytes of a medium are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the request.
    Base64 {
        /// Such as `image/png`.
        media_type: String,
        /// Base64 with padding, unchecked.
        data: String,
    },
    /// The text of a document itself.
    Text(String),
    /// To be fetched by the provider: `https:`, or where its own storage is, `s3:` or `gs:`.
    Url {
        /// Where.
        url: String,
        /// What it is said to be, such as `image/png`.
        media_type: Option<String>,
    },
    /// A file that was given to the provider before.
    File {
        /// Whose file it is.
        by: Family,
        /// Its name there.
        id: String,
    },
}

impl Source {
    /// An address of which nothing else is known.
    #[must_use]
    pub fn url(url: impl Into<String>) -> Self {
        Self::Url { url: url.into(), media_type: None }
    }

    /// A document's text below its title, for an API that has no other place for titles.
    pub(crate) fn titled<'a>(title: Option<&str>, text: &'a str) -> Cow<'a, str> {
        match title {
            Some(title) => Cow::Owned(format!("{title}\n\n{text}")),
            None => Cow::Borrowed(text),
        }
    }
}

/// A mark that the prompt up to here may be cached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheControl {
    /// For how long: `5m` or `1h`.
    pub ttl: Option<String>,
}

/// What the model may use.
#[derive(Debug, Clone, PartialEq)]
pub enum Tool {
    /// A function that the client runs.
    Function(Function),
    /// What its provider runs itself, such as a web search: of use there only.
    Hosted(Foreign),
}

/// A function the model may call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// What it does and when to use it.
    pub description: Option<String>,
    /// JSON Schema of its arguments, always an object, as the client's own text: numbers may have more digits than 64
    /// bits hold. `None`: it takes none.
    pub parameters: Option<Verbatim>,
    /// Arguments must follow the schema exactly.
    pub strict: Option<bool>,
    /// It stands for a custom tool: the client wants the text that is its one argument.
    pub is_custom: bool,
    /// The tools up to this one may be cached.
    pub cache_control: Option<CacheControl>,
    /// Members that the neutral form has no word for.
    pub extra: Option<Box<Extra>>,
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
    /// The others are not to be called.
    Among {
        /// The names of those that may be.
        names: Vec<String>,
        /// One of them must be.
        required: bool,
    },
}

impl ToolChoice {
    /// Whether the model is forced to call a tool.
    #[must_use]
    pub fn is_forced(&self) -> bool {
        match self {
            ToolChoice::Auto | ToolChoice::None => false,
            ToolChoice::Required | ToolChoice::Tool(_) => true,
            ToolChoice::Among { required, .. } => *required,
        }
    }
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

/// Thinking before the answer: one idea in the words of several vendors, of which a client may use more than one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Thinking {
    /// How hard, as a word (`none`, `low`, `medium`, ...); which are allowed is the target's to say.
    pub effort: Option<String>,
    /// Whether.
    pub mode: Option<ThinkingMode>,
    /// Beside [`ThinkingMode::Disabled`]: not before the answer, but between calls of tools all the same.
    pub between_tools: bool,
    /// The most tokens to think with.
    pub budget_tokens: Option<u64>,
    /// How thoughts are shown: `summarized` or `omitted`.
    pub display: Option<String>,
    /// Whether thoughts are shown at all, in Gemini's words.
    pub include_thoughts: Option<bool>,
}

impl Thinking {
    /// Whether to think, in Claude's words, which clients of other APIs use as well; `None` for a word that is none of
    /// them.
    #[must_use]
    pub fn of_kind(kind: &str) -> Option<Self> {
        let (mode, between_tools) = match kind {
            "enabled" => (ThinkingMode::Enabled, false),
            "adaptive" => (ThinkingMode::Adaptive, false),
            "disabled" => (ThinkingMode::Disabled, false),
            // <https://platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5>
            "between_tools" => (ThinkingMode::Disabled, true),
            _ => return None,
        };
        Some(Self { mode: Some(mode), between_tools, ..Self::default() })
    }
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
