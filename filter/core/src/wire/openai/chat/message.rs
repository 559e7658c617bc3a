//! The messages of a request, in the words of chat completions.

use std::borrow::Cow;

use super::media::medium;
use super::request::{MESSAGE_MEMBERS, PART_MEMBERS, extras, mark};
use super::servers::Server;
use super::types::{
    CacheControl, CalledFunction, Content, ExtraContent, Extras, Google, Kind, Message, Part, ToolCall,
};
use crate::chat::{self, Family, Losses, Role};
use crate::error::Result;
use crate::wire::fields::Path;
use crate::wire::openai_chat::saying_error;

/// What chat completions show the model of a result that is no text, and comes behind all results.
pub(in crate::wire) const ELSEWHERE: &str = "The result is in the next message.";

/// What stands before it there.
pub(in crate::wire) fn label(call_id: &str) -> String {
    format!("Result of the tool call {call_id}:")
}

/// Writes the conversation. Results of tools are messages of their own here, and directly follow their calls.
pub(super) fn messages<'a>(
    conversation: &'a [chat::Message],
    server: Server,
    losses: &mut Losses,
) -> Result<Vec<Message<'a>>> {
    let mut writer =
        Writer { server, losses, out: Vec::with_capacity(conversation.len()), waiting: Vec::new() };
    for message in conversation {
        let path = Path::At(&Path::Root, message.origin);
        match message.role {
            Role::System | Role::Developer => writer.instructions(&path, message)?,
            Role::User => writer.user(&path, message)?,
            Role::Assistant => writer.assistant(&path, message),
        }
    }
    writer.results_are_over();
    Ok(writer.out)
}

struct Writer<'a, 'l> {
    server: Server,
    losses: &'l mut Losses,
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
            parts.extend(self.part(&Path::At(path, part.origin), part)?);
        }
        // Others know OpenAI's word for it rarely, and their templates refuse it.
        let role = match message.role {
            Role::Developer if self.server.is_openai => "developer",
            _ => "system",
        };
        self.say(role, message, parts);
        Ok(())
    }

    fn user(&mut self, path: &Path<'_>, message: &'a chat::Message) -> Result<()> {
        let mut parts = Vec::with_capacity(message.content.len());
        let mut results = 0_usize;
        for part in &message.content {
            let at = Path::At(path, part.origin);
            match &part.content {
                chat::Content::ToolResult { call_id, content, is_error } => {
                    results = results.saturating_add(1);
                    self.result(&at, message, part, ToolResult { call_id, content, is_error: *is_error })?;
                }
                _ => parts.extend(self.part(&at, part)?),
            }
        }
        if parts.is_empty() && results > 0 {
            return Ok(());
        }
        if !self.waiting.is_empty() {
            parts.splice(..0, std::mem::take(&mut self.waiting));
        }
        self.say("user", message, parts);
        Ok(())
    }

    fn result(
        &mut self,
        path: &Path<'_>,
        message: &'a chat::Message,
        part: &'a chat::Part,
        result: ToolResult<'a>,
    ) -> Result<()> {
        let mut mark = self.mark(path, part);
        let last = result.content.len().saturating_sub(1);
        let mut texts: Vec<&'a str> = Vec::new();
        let mut others = Vec::new();
        for (position, inner) in result.content.iter().enumerate() {
            let at = Path::At(path, inner.origin);
            if let chat::Content::Text { text, .. } = &inner.content {
                let is_last = position == last && mark.is_none();
                mark = mark.or(self.last_mark(&at, inner, is_last));
                texts.push(text);
            } else {
                others.extend(self.part(&at, inner)?);
            }
        }
        let mut text = joined(&texts, "\n");
        if texts.is_empty() && !others.is_empty() {
            text = Cow::Borrowed(ELSEWHERE);
        }
        if !others.is_empty() {
            self.waiting.push(plain(Cow::Owned(label(&self.server.call_id(result.call_id)))));
            self.waiting.extend(others);
        }
        // These APIs cannot say that a tool failed, so the result says it: the client side of this API reads it so.
        if result.is_error == Some(true) {
            text = saying_error(text);
        }
        self.out.push(Message {
            role: "tool",
            content: Some(Content::Text(text)),
            tool_call_id: Some(self.server.call_id(result.call_id)),
            cache_control: mark,
            extra: extras(message.extra.as_deref(), MESSAGE_MEMBERS),
            ..Message::default()
        });
        Ok(())
    }

    /// A part of what is said to the model.
    fn part(&mut self, path: &Path<'_>, part: &'a chat::Part) -> Result<Option<Part<'a>>> {
        let kind = match &part.content {
            chat::Content::Text { text, .. } | chat::Content::Refusal(text) => {
                Kind::Text { text: Cow::Borrowed(text) }
            }
            chat::Content::Foreign(foreign) => {
                self.lose_foreign(path, foreign);
                return Ok(None);
            }
            content => match medium(path, content, self.server, self.losses)? {
                Some(kind) => kind,
                None => {
                    self.losses.add(path, "only assistants say this");
                    return Ok(None);
                }
            },
        };
        let cache_control = self.mark(path, part);
        Ok(Some(Part { kind, cache_control, extra: extras(part.extra.as_deref(), PART_MEMBERS) }))
    }

    /// Texts alone are one text: not every server takes a list.
    fn say(&mut self, role: &'static str, message: &'a chat::Message, mut parts: Vec<Part<'a>>) {
        let is_text = |part: &Part<'_>| {
            matches!(part.kind, Kind::Text { .. }) && part.cache_control.is_none() && part.extra.0.is_empty()
        };
        let content = if parts.iter().all(is_text) {
            let texts = parts.iter_mut().filter_map(|part| match &mut part.kind {
                Kind::Text { text } => Some(std::mem::take(text)),
                _ => None,
            });
            let texts: Vec<Cow<'a, str>> = texts.collect();
            match <[Cow<'a, str>; 1]>::try_from(texts) {
                Ok([text]) => Content::Text(text),
                Err(texts) => Content::Text(Cow::Owned(texts.join("\n"))),
            }
        } else {
            Content::Parts(parts)
        };
        self.out.push(Message {
            role,
            name: message.name.as_deref(),
            content: Some(content),
            extra: extras(message.extra.as_deref(), MESSAGE_MEMBERS),
            ..Message::default()
        });
    }

    fn assistant(&mut self, path: &Path<'_>, message: &'a chat::Message) {
        self.results_are_over();
        let mut texts: Vec<&'a str> = Vec::new();
        let mut refusals: Vec<&'a str> = Vec::new();
        let mut thoughts: Vec<&'a str> = Vec::new();
        let mut tool_calls = Vec::new();
        let mut mark = None;
        let last = message.content.len().saturating_sub(1);
        for (position, part) in message.content.iter().enumerate() {
            let at = Path::At(path, part.origin);
            mark = self.last_mark(&at, part, position == last);
            match &part.content {
                chat::Content::Text { text, annotations } => {
                    if !annotations.is_empty() {
                        self.losses
                            .add(Path::Key(&at, "citations"), "chat completions take no sources of texts");
                    }
                    self.lose_seal(&at, part);
                    texts.push(text);
                }
                chat::Content::Refusal(text) => refusals.push(text),
                chat::Content::Thinking { text } if self.server.family.reads_thoughts => {
                    thoughts.push(text);
                    self.lose_seal(&at, part);
                }
                chat::Content::Thinking { .. } => self.losses.add(at, "this server takes no thoughts"),
                chat::Content::RedactedThinking => {
                    self.losses.add(at, "only its own provider can read this thought");
                }
                chat::Content::ToolCall { id, name, arguments } => {
                    tool_calls.push(self.call(&at, part, (id, name, arguments)));
                }
                chat::Content::Media { .. } => self.losses.add(at, "assistants have said text only here"),
                chat::Content::Foreign(foreign) => self.lose_foreign(&at, foreign),
                chat::Content::ToolResult { .. } => {
                    self.losses.add(at, "assistants have no results of tools")
                }
            }
        }
        let extra = extras(message.extra.as_deref(), MESSAGE_MEMBERS);
        if texts.is_empty()
            && refusals.is_empty()
            && tool_calls.is_empty()
            && thoughts.is_empty()
            && extra.0.is_empty()
        {
            return;
        }
        let is_said = !tool_calls.is_empty() || !refusals.is_empty();
        let content =
            if texts.is_empty() && is_said { None } else { Some(Content::Text(joined(&texts, ""))) };
        self.out.push(Message {
            role: "assistant",
            name: message.name.as_deref(),
            content,
            refusal: said(&refusals),
            reasoning_content: said(&thoughts),
            tool_calls,
            cache_control: mark,
            extra,
            ..Message::default()
        });
    }

    fn call(
        &mut self,
        path: &Path<'_>,
        part: &'a chat::Part,
        (id, name, arguments): (&'a str, &'a str, &'a str),
    ) -> ToolCall<'a> {
        let own =
            part.seal.as_ref().filter(|seal| seal.by == Family::Google && self.server.family.is_google());
        if own.is_none() {
            self.lose_seal(path, part);
        }
        ToolCall {
            id: self.server.call_id(id),
            kind: "function",
            function: CalledFunction {
                name: self.server.tool_name(name),
                // Nothing is not JSON, and servers parse it.
                arguments: if arguments.is_empty() { "{}" } else { arguments },
            },
            extra_content: own.map(|seal| ExtraContent { google: Google { thought_signature: &seal.data } }),
        }
    }

    /// Something else than results follows.
    fn results_are_over(&mut self) {
        if !self.waiting.is_empty() {
            let content = Some(Content::Parts(std::mem::take(&mut self.waiting)));
            self.out.push(Message { role: "user", content, ..Message::default() });
        }
    }

    fn lose_seal(&mut self, path: &Path<'_>, part: &chat::Part) {
        if part.seal.is_some() {
            self.losses.add(Path::Key(path, "signature"), "of use at its own provider only");
        }
    }

    /// The mark of a part, where the server takes any.
    fn mark(&mut self, path: &Path<'_>, part: &'a chat::Part) -> Option<CacheControl<'a>> {
        mark(path, part.cache_control.as_ref(), self.server, self.losses)
    }

    /// The same where marks are the message's own, which stand at its end.
    fn last_mark(
        &mut self,
        path: &Path<'_>,
        part: &'a chat::Part,
        is_last: bool,
    ) -> Option<CacheControl<'a>> {
        if is_last || !self.server.family.takes_marks {
            return self.mark(path, part);
        }
        if part.cache_control.is_some() {
            self.losses
                .add(Path::Key(path, "cache_control"), "there are marks at the end of such messages only");
        }
        None
    }

    fn lose_foreign(&mut self, path: &Path<'_>, foreign: &chat::Foreign) {
        self.losses.add(path, format!("only its own provider understands {}", foreign.kind));
    }
}

/// What a tool answered.
struct ToolResult<'a> {
    call_id: &'a str,
    content: &'a [chat::Part],
    is_error: Option<bool>,
}

fn plain(text: Cow<'_, str>) -> Part<'_> {
    Part { kind: Kind::Text { text }, cache_control: None, extra: Extras::default() }
}

/// All of it, if there is any.
fn said<'a>(texts: &[&'a str]) -> Option<Cow<'a, str>> {
    (!texts.is_empty()).then(|| joined(texts, ""))
}

pub(in crate::wire) fn joined<'a>(texts: &[&'a str], between: &str) -> Cow<'a, str> {
    match texts {
        [] => Cow::Borrowed(""),
        [text] => Cow::Borrowed(text),
        texts => Cow::Owned(texts.join(between)),
    }
}
