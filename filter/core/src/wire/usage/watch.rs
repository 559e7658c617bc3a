//! What an endpoint's answers are watched for.

/// What is known of an endpoint's answers where they pass untranslated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// Where its events and answers have their content.
    pub shape: Shape,
    /// Where and how its answers tell what was used.
    pub counters: Counters,
    /// What its answers cost.
    pub tokens: Tokens,
    /// Answers that are no JSON are what was asked for, and nothing in them is for the gateway: sound, or plain text.
    pub is_opaque: bool,
    /// Its answers are streams even where the client does not say so.
    pub always_streams: bool,
}

impl Watch {
    /// Of answers of which nothing is known.
    pub const NOTHING: Watch = Watch {
        shape: Shape::Other,
        counters: Counters::OpenAi,
        tokens: Tokens::None,
        is_opaque: false,
        always_streams: false,
    };
}

/// Where an answer, or an event of a stream, has its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// In `choices[].message` or `choices[].delta`, as OpenAI's chat completions.
    Chat,
    /// In `choices[].text`, as OpenAI's older completions.
    Completions,
    /// In `output` and in deltas, as OpenAI's responses.
    Responses,
    /// In blocks, as Anthropic's messages.
    Messages,
    /// In a message, as Cohere's chat.
    Cohere,
    /// In the parts of candidates, as Gemini's.
    Gemini,
    /// Anywhere: what there is, is content.
    Other,
}

impl Shape {
    /// What says that a stream is complete.
    #[must_use]
    pub fn end(self) -> End {
        match self {
            Shape::Chat | Shape::Completions => End::Done,
            Shape::Responses | Shape::Messages | Shape::Cohere => End::Event,
            Shape::Gemini => End::Reasons,
            Shape::Other => End::Connection,
        }
    }

    /// Whether a stream tells what was used only if `stream_options.include_usage` asks for it, in a chunk of its own.
    #[must_use]
    pub fn tells_usage_if_asked(self) -> bool {
        match self {
            Shape::Chat | Shape::Completions => true,
            Shape::Responses | Shape::Messages | Shape::Cohere | Shape::Gemini | Shape::Other => false,
        }
    }

    /// Whether content can be told from the rest.
    #[must_use]
    pub fn is_measured(self) -> bool {
        match self {
            Shape::Chat
            | Shape::Completions
            | Shape::Responses
            | Shape::Messages
            | Shape::Cohere
            | Shape::Gemini => true,
            Shape::Other => false,
        }
    }
}

/// What says that a stream is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `data: [DONE]`, and before it a reason for the end of each choice.
    Done,
    /// An event of its own.
    Event,
    /// A reason for the end of each choice. More of the answer may follow until the connection ends.
    Reasons,
    /// Nothing but the end of the connection.
    Connection,
}

/// Where and how an answer tells what was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counters {
    /// `usage` in either of OpenAI's ways.
    OpenAi,
    /// `usage` in Anthropic's words.
    Anthropic,
    /// `usage` or `meta`, as Cohere's.
    Cohere,
    /// `input_tokens`: the answer counts, and that is all it used.
    InputTokens,
    /// `count`, likewise.
    Count,
    /// `usageMetadata`, as Gemini's.
    Gemini,
    /// `totalTokens`: the answer counts, and that is all it used.
    TotalTokens,
    /// Nothing, whatever its answers say: they tell of something that was charged before.
    Nothing,
}

/// What answers cost, so that a missing report is worth estimating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// No tokens that a provider reports.
    None,
    /// Those of the input.
    Input,
    /// Those of input and output.
    InputAndOutput,
}
