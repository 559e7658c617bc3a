//! A streamed answer, in Cohere's words: <https://docs.cohere.com/docs/streaming>.
//!
//! Blocks of content come one after the other. Texts that follow each other are one block, as in a whole answer, so
//! that a block ends where something else begins. Each call says with each of its events which it is.

use super::super::API;
use super::super::answer::reason_of;
use super::super::types::{CalledFunction, ToolCall};
use super::reply::{
    NO_ARGUMENTS, lose_choice, lose_foreign, lose_media, lose_redacted, lose_signature, lose_source,
};
use super::types::{
    Arguments, Block, CallPiece, Citation, Delta, Event, Logprob, MessageDelta, Piece, Start,
};
use crate::chat::{self, Annotation, BlockStart, FinishReason, Losses, Seal, TokenLogprob};
use crate::error::{Error, Result};
use crate::usage::Usage;
use crate::wire::api::{Api as _, MAX_HELD, hold};
use crate::wire::openai_chat::{lose_extra, lose_tier};
use crate::wire::{Asked, EventWriter, write_json};

/// Blocks that may be open at once. A provider that goes beyond does not follow its API.
const MAX_OPEN: usize = 256;

/// Writes one answer as server-sent events.
#[derive(Debug)]
pub(super) struct Writer {
    asked: Asked,
    is_started: bool,
    is_closed: bool,
    blocks: Vec<Open>,
    /// The block of content that grows.
    content: Option<Growing>,
    /// Blocks of content so far, calls and citations.
    contents: u32,
    calls: u32,
    citations: u32,
    /// Of the text that comes next.
    logprobs: Vec<TokenLogprob>,
    /// Bytes that are held until a block ends.
    held: usize,
    reason: FinishReason,
    usage: Usage,
}

/// A block of the answer that is not complete.
#[derive(Debug)]
struct Open {
    index: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text(Text),
    Thinking,
    Call {
        number: u32,
        has_arguments: bool,
        is_sealed: bool,
    },
    /// It is lost.
    Lost,
}

/// A text, and the citations that wait for its end.
#[derive(Debug, Default)]
struct Text {
    /// The block of content that it is in, and how many characters are before it there.
    place: Option<(u32, usize)>,
    characters: usize,
    /// What it says; `None` where that is more than is held.
    said: Option<String>,
    annotations: Vec<Annotation>,
}

#[derive(Debug, Clone, Copy)]
struct Growing {
    index: u32,
    is_text: bool,
    characters: usize,
}

impl EventWriter for Writer {
    fn event(&mut self, event: &chat::Event, losses: &mut Losses, out: &mut Vec<u8>) {
        if self.is_closed {
            return;
        }
        if let Err(error) = self.tell(event, losses, out) {
            self.fail(&error, out);
        }
    }

    fn is_closed(&self) -> bool {
        self.is_closed
    }
}

impl Writer {
    pub(super) fn new(asked: &Asked) -> Self {
        Self {
            asked: asked.clone(),
            is_started: false,
            is_closed: false,
            blocks: Vec::new(),
            content: None,
            contents: 0,
            calls: 0,
            citations: 0,
            logprobs: Vec::new(),
            held: 0,
            reason: FinishReason::default(),
            usage: Usage::default(),
        }
    }

    fn tell(&mut self, event: &chat::Event, losses: &mut Losses, out: &mut Vec<u8>) -> Result<()> {
        match event {
            chat::Event::Start { id, .. } => {
                if let Some(id) = id {
                    self.asked.id.clone_from(id);
                }
                self.start(out);
            }
            chat::Event::BlockStart { index, choice, block, .. } => {
                self.block_start(*index, *choice, block, losses, out)?;
            }
            chat::Event::BlockDelta { index, delta } => self.block_delta(*index, delta, losses, out)?,
            chat::Event::BlockStop { index } => {
                if let Some(position) = self.blocks.iter().rposition(|open| open.index == *index) {
                    let open = self.blocks.remove(position);
                    self.complete(open, losses, out);
                }
            }
            chat::Event::Usage(usage) => self.usage.merge(*usage),
            chat::Event::Finish { choice: 0, reason } => self.reason = reason.clone(),
            chat::Event::Logprobs { choice: 0, tokens } => {
                self.logprobs.extend_from_slice(tokens);
                hold(&mut self.held, size_of_tokens(tokens))?;
            }
            // Of other choices nothing is told.
            chat::Event::Finish { .. } | chat::Event::Logprobs { .. } => {}
            chat::Event::ServiceTier(tier) => lose_tier(tier, losses),
            chat::Event::Extra { extra, .. } => lose_extra("answer", Some(extra), losses),
            chat::Event::Ping => out.extend_from_slice(API.sign_of_life()),
            chat::Event::Error(error) => self.fail(error, out),
            chat::Event::End => self.end(losses, out),
        }
        Ok(())
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if self.is_started {
            return;
        }
        self.is_started = true;
        let delta = Delta::Message { message: MessageDelta::Start(Start::NOTHING_YET) };
        let id = Some(self.asked.id.as_str());
        write(&Event { kind: "message-start", id, delta: Some(delta), ..Event::default() }, out);
    }

    fn block_start(
        &mut self,
        index: u32,
        choice: u32,
        block: &BlockStart,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.blocks.len() >= MAX_OPEN {
            return Err(Error::bad_answer("the backend has too many blocks open at once"));
        }
        self.start(out);
        let kind = if choice > 0 {
            lose_choice(choice, losses);
            Kind::Lost
        } else {
            match block {
                BlockStart::Text | BlockStart::Refusal => {
                    Kind::Text(Text { said: Some(String::new()), ..Text::default() })
                }
                BlockStart::Thinking => Kind::Thinking,
                BlockStart::ToolCall { id, name } => self.call(id, name, out),
                BlockStart::RedactedThinking(_) => {
                    lose_redacted(index, losses);
                    Kind::Lost
                }
                BlockStart::Media { .. } => {
                    lose_media(index, losses);
                    Kind::Lost
                }
                BlockStart::Foreign(foreign) => {
                    lose_foreign(index, &foreign.kind, losses);
                    Kind::Lost
                }
            }
        };
        self.blocks.push(Open { index, kind });
        Ok(())
    }

    fn call(&mut self, id: &str, name: &str, out: &mut Vec<u8>) -> Kind {
        self.close(out);
        let number = self.calls;
        self.calls = number.saturating_add(1);
        let function = CalledFunction { name, arguments: "" };
        let tool_calls = ToolCall { id: id.into(), function };
        write_delta("tool-call-start", number, MessageDelta::CallBegun { tool_calls }, out);
        Kind::Call { number, has_arguments: false, is_sealed: Seal::of_id(id).1.is_some() }
    }

    fn block_delta(
        &mut self,
        index: u32,
        delta: &chat::Delta,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(position) = self.blocks.iter().rposition(|open| open.index == index) else { return Ok(()) };
        // It goes back behind the others, of which only the index matters.
        let mut open = self.blocks.swap_remove(position);
        let mut held = 0;
        match (delta, &mut open.kind) {
            (_, Kind::Lost) => {}
            (chat::Delta::Text(piece), Kind::Text(text)) => self.text(text, piece, out),
            (chat::Delta::Thinking(piece), Kind::Thinking) if !piece.is_empty() => {
                self.grow(false, out);
                self.piece(Piece::Thinking(piece), None, out);
            }
            (chat::Delta::Arguments(piece), Kind::Call { number, has_arguments, .. }) => {
                if !piece.is_empty() {
                    *has_arguments = true;
                    arguments(*number, piece, out);
                }
            }
            (chat::Delta::Annotation(annotation), Kind::Text(text)) => {
                held = size_of(annotation);
                text.annotations.push((**annotation).clone());
            }
            (chat::Delta::Annotation(_), _) => lose_source(index, losses),
            (chat::Delta::Seal(..), Kind::Call { is_sealed: true, .. }) => {}
            (chat::Delta::Seal(..), Kind::Call { is_sealed, .. }) => {
                // The client has the id of the call already.
                *is_sealed = true;
                lose_signature(index, losses);
            }
            (chat::Delta::Seal(..), Kind::Text(_) | Kind::Thinking) => lose_signature(index, losses),
            (chat::Delta::Text(_) | chat::Delta::Thinking(_) | chat::Delta::Arguments(_), _) => {}
        }
        self.blocks.push(open);
        hold(&mut self.held, held)
    }

    fn text(&mut self, text: &mut Text, piece: &str, out: &mut Vec<u8>) {
        if piece.is_empty() {
            return;
        }
        let growing = self.grow(true, out);
        text.place.get_or_insert((growing.index, growing.characters));
        let characters = piece.chars().count();
        text.characters = text.characters.saturating_add(characters);
        if let Some(growing) = &mut self.content {
            growing.characters = growing.characters.saturating_add(characters);
        }
        match &mut text.said {
            Some(said) if said.len().saturating_add(piece.len()) <= MAX_HELD => said.push_str(piece),
            said => *said = None,
        }
        let logprobs = self.take_logprobs();
        self.piece(Piece::Text(piece), Logprob::of_all(&logprobs), out);
    }

    fn take_logprobs(&mut self) -> Vec<TokenLogprob> {
        let logprobs = std::mem::take(&mut self.logprobs);
        self.held = self.held.saturating_sub(size_of_tokens(&logprobs));
        logprobs
    }

    /// The block of content of this kind that grows, which is a new one if another did.
    fn grow(&mut self, is_text: bool, out: &mut Vec<u8>) -> Growing {
        if let Some(growing) = self.content.filter(|growing| growing.is_text == is_text) {
            return growing;
        }
        self.close(out);
        let growing = Growing { index: self.contents, is_text, characters: 0 };
        self.contents = growing.index.saturating_add(1);
        self.content = Some(growing);
        let content = if is_text {
            Block::Text { text: String::new() }
        } else {
            Block::Thinking { thinking: String::new() }
        };
        write_delta("content-start", growing.index, MessageDelta::Begun { content }, out);
        growing
    }

    fn piece(&self, content: Piece<'_>, logprobs: Option<Logprob<'_>>, out: &mut Vec<u8>) {
        let delta = Some(Delta::Message { message: MessageDelta::Content { content } });
        let index = self.content.map(|growing| growing.index);
        write(&Event { kind: "content-delta", index, delta, logprobs, ..Event::default() }, out);
    }

    /// Ends the block of content that grows.
    fn close(&mut self, out: &mut Vec<u8>) {
        if self.content.is_some_and(|growing| growing.is_text) && !self.logprobs.is_empty() {
            let logprobs = self.take_logprobs();
            self.piece(Piece::Text(""), Logprob::of_all(&logprobs), out);
        }
        if let Some(Growing { index, .. }) = self.content.take() {
            write(&Event { kind: "content-end", index: Some(index), ..Event::default() }, out);
        }
    }

    /// Writes what waited for the end of a block.
    fn complete(&mut self, open: Open, losses: &mut Losses, out: &mut Vec<u8>) {
        match open.kind {
            Kind::Call { number, has_arguments, .. } => {
                if !has_arguments {
                    arguments(number, NO_ARGUMENTS, out);
                }
                write(&Event { kind: "tool-call-end", index: Some(number), ..Event::default() }, out);
            }
            Kind::Text(mut text) => {
                let annotations = std::mem::take(&mut text.annotations);
                if !annotations.is_empty() && text.place.is_none() {
                    let growing = self.grow(true, out);
                    text.place = Some((growing.index, growing.characters));
                }
                let freed = annotations.iter().map(size_of).fold(0, usize::saturating_add);
                self.held = self.held.saturating_sub(freed);
                for annotation in &annotations {
                    self.cite(open.index, &text, annotation, losses, out);
                }
            }
            Kind::Thinking | Kind::Lost => {}
        }
    }

    /// Tells a source of a text that is still in the block of content that grows.
    fn cite(
        &mut self,
        index: u32,
        text: &Text,
        annotation: &Annotation,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) {
        let growing = self.content.map(|growing| growing.index);
        let place = text.place.filter(|(content, _)| Some(*content) == growing);
        let citation = place.and_then(|(content, before)| {
            let content = usize::try_from(content).unwrap_or(usize::MAX);
            Citation::of(annotation, text.said.as_deref(), text.characters, before, content)
        });
        let Some(citations) = citation else { return lose_source(index, losses) };
        let number = self.citations;
        self.citations = number.saturating_add(1);
        write_delta("citation-start", number, MessageDelta::Citation { citations }, out);
        write(&Event { kind: "citation-end", index: Some(number), ..Event::default() }, out);
    }

    fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        self.start(out);
        for open in std::mem::take(&mut self.blocks) {
            self.complete(open, losses, out);
        }
        if self.contents == 0 && self.calls == 0 {
            self.grow(true, out);
        }
        self.close(out);
        if !self.logprobs.is_empty() {
            losses.add("answer.logprobs", "Cohere tells them of texts only");
        }
        let finish_reason = reason_of(&self.reason, losses);
        let delta = Some(Delta::End { finish_reason, usage: self.usage.into() });
        write(&Event { kind: "message-end", delta, ..Event::default() }, out);
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.is_closed = true;
    }

    fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        self.start(out);
        out.extend(API.error_event(error));
        self.is_closed = true;
    }
}

fn size_of(annotation: &Annotation) -> usize {
    let texts = [&annotation.url, &annotation.title, &annotation.cited_text];
    let raw = annotation.raw.as_ref().map_or(0, |raw| raw.json.len());
    texts.into_iter().flatten().map(String::len).fold(raw, usize::saturating_add)
}

fn size_of_tokens(tokens: &[TokenLogprob]) -> usize {
    let size = |(text, _): &(String, f64)| text.len().saturating_add(8);
    let sizes =
        tokens.iter().map(|token| token.top.iter().map(size).fold(token.token.len(), usize::saturating_add));
    sizes.fold(0, usize::saturating_add)
}

fn arguments(number: u32, arguments: &str, out: &mut Vec<u8>) {
    let tool_calls = CallPiece { function: Arguments { arguments } };
    write_delta("tool-call-delta", number, MessageDelta::Call { tool_calls }, out);
}

fn write_delta(kind: &'static str, index: u32, message: MessageDelta<'_>, out: &mut Vec<u8>) {
    let delta = Some(Delta::Message { message });
    write(&Event { kind, index: Some(index), delta, ..Event::default() }, out);
}

fn write(event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(event.kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    write_json(out, event);
    out.extend_from_slice(b"\n\n");
}
