//! The messages of a request, in Cohere's words.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::results::{Found, Results};
use super::rules::{LEVELS, Rule};
use super::types::{CalledFunction, Content, Link, Message, Part, ToolCall};
use crate::chat::{self, Losses, MediaKind, Role, Source};
use crate::error::Result;
use crate::wire::fields::Path;
use crate::wire::openai::chat::{ELSEWHERE, Url, joined, label};
use crate::wire::openai_chat::saying_error;

/// Why a mark is not sent.
pub(super) const MARKS: &str = "Cohere caches without marks";

/// Writes the conversation. Results of tools are messages of their own here. `thinks`: the model will think, and takes
/// what was thought before.
///
/// # Errors
///
/// 422 for content that Cohere has no place for.
pub(super) fn messages<'a>(
    conversation: &'a [chat::Message],
    thinks: bool,
    losses: &mut Losses,
) -> Result<Vec<Message<'a>>> {
    let mut writer = Writer {
        thinks,
        losses,
        results: Results::of(conversation),
        out: Vec::with_capacity(conversation.len()),
        waiting: Vec::new(),
    };
    for (index, message) in conversation.iter().enumerate() {
        let path = Path::At(&Path::Root, message.origin);
        if message.name.is_some() {
            writer.losses.add(Path::Key(&path, "name"), "speakers have no names at Cohere");
        }
        match message.role {
            Role::System | Role::Developer => writer.instructions(&path, message)?,
            Role::User => writer.user(&path, index, message)?,
            Role::Assistant => writer.assistant(&path, index, message)?,
        }
    }
    writer.results_are_over();
    Ok(writer.out)
}

/// Writes one message of an assistant's, without the results of its calls. `None`: it says nothing.
pub(super) fn assistant<'a>(
    message: &'a chat::Message,
    thinks: bool,
    losses: &mut Losses,
) -> Option<Message<'a>> {
    let results = Results::of(&[]);
    let mut writer = Writer { thinks, losses, results, out: Vec::new(), waiting: Vec::new() };
    writer.said(&Path::At(&Path::Root, message.origin), message);
    writer.out.pop()
}

struct Writer<'a, 'l> {
    thinks: bool,
    losses: &'l mut Losses,
    results: Results<'a>,
    out: Vec<Message<'a>>,
    /// What results of tools have besides text. A message with it would stand between them, so it comes behind the
    /// last.
    waiting: Vec<Part<'a>>,
}

impl<'a> Writer<'a, '_> {
    fn instructions(&mut self, path: &Path<'_>, message: &'a chat::Message) -> Result<()> {
        self.results_are_over();
        let mut parts = Vec::with_capacity(message.content.len());
        for part in &message.content {
            let path = Path::At(path, part.origin);
            match self.part(&path, part)? {
                Some(Part::ImageUrl { .. }) => {
                    self.losses.add(path, "Cohere takes only texts in a system message");
                }
                part => parts.extend(part),
            }
        }
        self.say(path, "system", parts);
        Ok(())
    }

    /// What no call waits for stays where it is: that it would be refused, nobody says.
    fn user(&mut self, path: &Path<'_>, index: usize, message: &'a chat::Message) -> Result<()> {
        let mut parts = Vec::with_capacity(message.content.len());
        let mut has_results = false;
        for (position, part) in message.content.iter().enumerate() {
            let path = Path::At(path, part.origin);
            match &part.content {
                chat::Content::ToolResult { .. } => {
                    has_results = true;
                    if !self.results.is_taken((index, position)) {
                        self.result(&path, part)?;
                    }
                }
                _ => parts.extend(self.part(&path, part)?),
            }
        }
        if parts.is_empty() && has_results {
            return Ok(());
        }
        if !self.waiting.is_empty() {
            parts.splice(..0, std::mem::take(&mut self.waiting));
        }
        self.say(path, "user", parts);
        Ok(())
    }

    fn result(&mut self, path: &Path<'_>, part: &'a chat::Part) -> Result<()> {
        let chat::Content::ToolResult { call_id, content, is_error } = &part.content else { return Ok(()) };
        self.mark(path, part);
        let mut texts: Vec<Cow<'a, str>> = Vec::new();
        let mut pictures = Vec::new();
        for part in content {
            match self.part(&Path::At(path, part.origin), part)? {
                Some(Part::Text { text }) => texts.push(text),
                part => pictures.extend(part),
            }
        }
        let mut text = match <[Cow<'a, str>; 1]>::try_from(texts) {
            Ok([text]) => text,
            Err(texts) if texts.is_empty() && !pictures.is_empty() => Cow::Borrowed(ELSEWHERE),
            Err(texts) => Cow::Owned(texts.join("\n")),
        };
        if !pictures.is_empty() {
            self.waiting.push(Part::Text { text: Cow::Owned(label(call_id)) });
            self.waiting.extend(pictures);
        }
        if *is_error == Some(true) {
            text = saying_error(text);
        }
        if text.is_empty() {
            self.losses.add(Path::Key(path, "content"), Rule::EmptyResult);
            text = Cow::Borrowed("{}");
        }
        self.out.push(answered(call_id, text));
        Ok(())
    }

    /// A part of what is said to the model. A text without anything in it is none.
    fn part(&mut self, path: &Path<'_>, part: &'a chat::Part) -> Result<Option<Part<'a>>> {
        self.mark(path, part);
        Ok(match &part.content {
            chat::Content::Text { text, .. } | chat::Content::Refusal(text) => {
                (!text.is_empty()).then_some(Part::Text { text: Cow::Borrowed(text) })
            }
            chat::Content::Media { kind, source, detail, name } => Some(match kind {
                MediaKind::Image => {
                    let level = detail.as_deref().filter(|level| LEVELS.contains(level));
                    if level != detail.as_deref() {
                        self.losses.add(Path::Key(path, "detail"), Rule::Detail);
                    }
                    Part::ImageUrl { image_url: Link { url: picture(path, source)?, detail: level } }
                }
                MediaKind::Document => {
                    if detail.as_deref().is_some_and(|level| level != "auto") {
                        self.losses.add(Path::Key(path, "detail"), Rule::Detail);
                    }
                    Part::Text { text: document(path, source, name.as_deref())? }
                }
                MediaKind::Audio | MediaKind::Video => {
                    return Err(path.unprocessable("Cohere takes neither sound nor films"));
                }
            }),
            chat::Content::Foreign(foreign) => {
                self.lose_foreign(path, foreign);
                None
            }
            chat::Content::ToolCall { .. }
            | chat::Content::Thinking { .. }
            | chat::Content::RedactedThinking => {
                self.losses.add(path, "only assistants say this");
                None
            }
            chat::Content::ToolResult { .. } => {
                self.losses.add(path, "a result has no results in it");
                None
            }
        })
    }

    /// Texts alone are one text.
    fn say(&mut self, path: &Path<'_>, role: &'static str, mut parts: Vec<Part<'a>>) {
        if parts.is_empty() {
            self.losses.add(path, Rule::EmptyMessage);
            return;
        }
        let content = if parts.iter().all(|part| matches!(part, Part::Text { .. })) {
            let texts = parts.iter_mut().filter_map(|part| match part {
                Part::Text { text } => Some(std::mem::take(text)),
                Part::ImageUrl { .. } | Part::Thinking { .. } => None,
            });
            let texts: Vec<Cow<'a, str>> = texts.collect();
            match <[Cow<'a, str>; 1]>::try_from(texts) {
                Ok([text]) => Content::Text(text),
                Err(texts) => Content::Text(Cow::Owned(texts.join("\n"))),
            }
        } else {
            Content::Parts(parts)
        };
        self.out.push(Message { role, content: Some(content), ..Message::default() });
    }

    fn assistant(&mut self, path: &Path<'_>, index: usize, message: &'a chat::Message) -> Result<()> {
        self.results_are_over();
        self.said(path, message);
        for part in &message.content {
            if let chat::Content::ToolCall { id, .. } = &part.content {
                self.result_of(&Path::At(path, part.origin), index, id)?;
            }
        }
        Ok(())
    }

    /// Writes what an assistant said, without the results of its calls.
    fn said(&mut self, path: &Path<'_>, message: &'a chat::Message) {
        let mut said = Said::default();
        for (position, part) in message.content.iter().enumerate() {
            let path = Path::At(path, part.origin);
            self.mark(&path, part);
            if part.seal.is_some() && !matches!(part.content, chat::Content::RedactedThinking) {
                self.losses.add(Path::Key(&path, "signature"), "of use at its own provider only");
            }
            match &part.content {
                chat::Content::Text { text, annotations } => {
                    if !annotations.is_empty() {
                        self.losses.add(Path::Key(&path, "citations"), "the text goes without its sources");
                    }
                    said.text(position, text);
                }
                chat::Content::Refusal(text) => said.text(position, text),
                chat::Content::Thinking { text } if text.is_empty() => {}
                chat::Content::Thinking { text } => said.thoughts.push((position, text)),
                chat::Content::RedactedThinking => {
                    self.losses.add(path, "only its own provider can read this thought");
                }
                chat::Content::ToolCall { id, name, arguments } => {
                    // Nothing is not JSON.
                    let arguments = if arguments.is_empty() { "{}" } else { arguments };
                    said.calls.push(ToolCall {
                        id: Cow::Borrowed(id),
                        function: CalledFunction { name, arguments },
                    });
                }
                chat::Content::Media { .. } => self.losses.add(path, "assistants have said text only here"),
                chat::Content::Foreign(foreign) => self.lose_foreign(&path, foreign),
                chat::Content::ToolResult { .. } => {
                    self.losses.add(path, "assistants have no results of tools");
                }
            }
        }
        let place =
            |position: usize| message.content.get(position).map(|part| part.origin).unwrap_or_default();
        if said.calls.is_empty() {
            self.answer(path, said, place);
        } else {
            self.calls(path, said, place);
        }
    }

    /// Puts the result of a call of the message `index` behind it.
    fn result_of(&mut self, path: &Path<'_>, index: usize, id: &'a str) -> Result<()> {
        match self.results.take(index, id) {
            Some(Found { message, part, is_apart }) => {
                let path = Path::At(&Path::Root, message.origin);
                let path = Path::At(&path, part.origin);
                if is_apart {
                    self.losses.add(path, Rule::ResultMoved);
                }
                self.result(&path, part)
            }
            // Its tool was forgotten: that is the client's to hear.
            None if self.results.is_last(index) => {
                Err(path.unprocessable("there is no result of this call, and Cohere wants one"))
            }
            None => {
                self.losses.add(path, Rule::ResultMissing);
                self.out.push(answered(id, saying_error(Cow::Borrowed(NO_RESULT))));
                Ok(())
            }
        }
    }

    /// What the assistant said, and thought before.
    fn answer(&mut self, path: &Path<'_>, said: Said<'a>, place: impl Fn(usize) -> chat::Origin) {
        if said.texts.is_empty() {
            self.losses.add(path, Rule::EmptyMessage);
            return;
        }
        let text = joined(&said.texts(), "");
        let content = if self.thinks && !said.thoughts.is_empty() {
            let thoughts = said.thoughts.iter().map(|(_, thinking)| Part::Thinking { thinking });
            Content::Parts(thoughts.chain([Part::Text { text }]).collect())
        } else {
            for (position, _) in &said.thoughts {
                self.losses.add(Path::At(path, place(*position)), Rule::Thought);
            }
            Content::Text(text)
        };
        self.out.push(Message { role: "assistant", content: Some(content), ..Message::default() });
    }

    /// What it called, and what it thought or said before, which is its plan here ([`Rule::TextAndCalls`]).
    fn calls(&mut self, path: &Path<'_>, said: Said<'a>, place: impl Fn(usize) -> chat::Origin) {
        let is_thought = said.texts.is_empty() && self.thinks && !said.thoughts.is_empty();
        let (content, plan) = if is_thought {
            let thoughts = said.thoughts.iter().map(|(_, thinking)| Part::Thinking { thinking });
            (Some(Content::Parts(thoughts.collect())), None)
        } else {
            for (position, _) in &said.texts {
                self.losses.add(Path::At(path, place(*position)), Rule::TextAndCalls);
            }
            let plan: Vec<&'a str> = said.in_order();
            (None, (!plan.is_empty()).then(|| joined(&plan, "\n")))
        };
        self.out.push(Message {
            role: "assistant",
            tool_plan: plan,
            tool_calls: said.calls,
            content,
            ..Message::default()
        });
    }

    /// Something else than results follows.
    fn results_are_over(&mut self) {
        if !self.waiting.is_empty() {
            let content = Some(Content::Parts(std::mem::take(&mut self.waiting)));
            self.out.push(Message { role: "user", content, ..Message::default() });
        }
    }

    fn mark(&mut self, path: &Path<'_>, part: &chat::Part) {
        if part.cache_control.is_some() {
            self.losses.add(Path::Key(path, "cache_control"), MARKS);
        }
    }

    fn lose_foreign(&mut self, path: &Path<'_>, foreign: &chat::Foreign) {
        self.losses.add(path, format!("only its own provider understands {}", foreign.kind));
    }
}

/// What a call without a result gets.
const NO_RESULT: &str = "no result";

fn answered<'a>(call_id: &'a str, text: Cow<'a, str>) -> Message<'a> {
    let content = Some(Content::Text(text));
    Message { role: "tool", tool_call_id: Some(call_id), content, ..Message::default() }
}

/// What is in an assistant's message: texts and thoughts with their positions in it.
#[derive(Default)]
struct Said<'a> {
    texts: Vec<(usize, &'a str)>,
    thoughts: Vec<(usize, &'a str)>,
    calls: Vec<ToolCall<'a>>,
}

impl<'a> Said<'a> {
    fn text(&mut self, position: usize, text: &'a str) {
        if !text.is_empty() {
            self.texts.push((position, text));
        }
    }

    fn texts(&self) -> Vec<&'a str> {
        self.texts.iter().map(|(_, text)| *text).collect()
    }

    fn in_order(&self) -> Vec<&'a str> {
        let mut all: Vec<_> = self.texts.iter().chain(&self.thoughts).copied().collect();
        all.sort_by_key(|(position, _)| *position);
        all.into_iter().map(|(_, text)| text).collect()
    }
}

/// <https://docs.cohere.com/docs/image-inputs>
fn picture<'a>(path: &Path<'_>, source: &'a Source) -> Result<Url<'a>> {
    match source {
        Source::Url { url, .. } => Ok(Url::Plain(url)),
        Source::Base64 { media_type, data } => Ok(Url::Data { media_type, data }),
        Source::Text(_) => Err(path.unprocessable("a picture cannot be a text")),
        Source::File { .. } => Err(path.unprocessable(BY_NAME)),
    }
}

const BY_NAME: &str = "the file is not known to this backend; send its bytes";

/// A document of text stays where it is, as text: those that Cohere itself has beside the messages are of no turn.
fn document<'a>(path: &Path<'_>, source: &'a Source, name: Option<&str>) -> Result<Cow<'a, str>> {
    match source {
        Source::Text(text) => Ok(Source::titled(name, text)),
        Source::Base64 { media_type, data } if media_type.starts_with("text/") => {
            let bytes =
                STANDARD.decode(data).map_err(|_| path.unprocessable("the file is not valid base64"))?;
            let text =
                String::from_utf8(bytes).map_err(|_| path.unprocessable("the text file is not UTF-8"))?;
            Ok(Cow::Owned(Source::titled(name, &text).into_owned()))
        }
        Source::Base64 { media_type, .. } => {
            Err(path.unprocessable(format_args!("files of type {media_type:?} are not supported by Cohere")))
        }
        Source::Url { .. } => Err(path.unprocessable("Cohere takes no document by URL; send its text")),
        Source::File { .. } => Err(path.unprocessable(BY_NAME)),
    }
}
