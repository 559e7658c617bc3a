//! What one event of a stream, or a whole answer, says that matters to the gateway.
//!
//! Read in one pass without building anything, since a stream has thousands of events and most of them say nothing but
//! a word. The content is measured, not kept: some providers report no usage, and then its bytes are all there is to
//! count. So it must be found however it is written: any order, spaces and escapes.

use std::ops::Range;

use super::content::{Content, block, blocks, items, message, part, whole};
use super::watch::Shape;
use crate::codec::reader::Reader;

/// What an event says.
#[derive(Debug, Default)]
pub(super) struct Facts<'d> {
    pub(super) kind: Kind,
    /// As it is written, and not `null`; of the answer inside of an event where that has none itself.
    pub(super) model: Option<&'d [u8]>,
    /// As `model`.
    pub(super) usage: Option<&'d [u8]>,
    /// Of the answer inside of an event.
    pub(super) tool_usage: Option<&'d [u8]>,
    pub(super) may_be_error: bool,
    pub(super) content: Content,
    pub(super) choices: Choices,
    /// `choices` is there and empty.
    pub(super) has_no_choices: bool,
    pub(super) passed_over: PassedOver,
}

/// Where strings and whole numbers stand that say nothing here: some are others in each event, as ids and numbers are.
/// Of more than these the rest is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct PassedOver {
    places: [Range<usize>; PassedOver::MOST],
    count: usize,
}

impl PassedOver {
    const MOST: usize = 6;

    fn add(&mut self, place: Range<usize>) {
        if let Some(slot) = self.places.get_mut(self.count) {
            *slot = place;
            self.count += 1;
        }
    }

    /// In their order.
    pub(super) fn places(&self) -> &[Range<usize>] {
        self.places.get(..self.count).unwrap_or_default()
    }
}

/// What its `type` says of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// It has none, as in OpenAI's older APIs.
    #[default]
    None,
    /// Any other.
    Other,
    /// One of several answers begins.
    Created,
    MessageStart,
    MessageDelta,
    /// It brings a piece of content.
    Delta,
    /// It brings a piece of sound.
    SoundDelta,
    Error,
    /// The answer failed, which is its end too.
    Failed,
    /// It ends the answer.
    End,
}

impl Kind {
    fn of(kind: &[u8]) -> Kind {
        match kind {
            b"message_start" => Kind::MessageStart,
            b"message_delta" => Kind::MessageDelta,
            b"response.created" => Kind::Created,
            b"error" => Kind::Error,
            b"response.failed" => Kind::Failed,
            b"message_stop"
            | b"response.completed"
            | b"response.incomplete"
            // Of the Realtime API.
            | b"response.done"
            | b"image_edit.completed"
            | b"image_generation.completed"
            | b"transcript.text.done"
            | b"speech.audio.done" => Kind::End,
            b"response.audio.delta" | b"response.output_audio.delta" => Kind::SoundDelta,
            // What a user says in the Realtime API is part of the conversation, and of no answer.
            _ if kind.starts_with(b"conversation.") => Kind::Other,
            _ if kind.ends_with(b".delta") => Kind::Delta,
            _ => Kind::Other,
        }
    }

    /// The same of Cohere's, which ends no other stream.
    fn of_coheres(kind: &[u8]) -> Kind {
        match kind {
            b"content-start" | b"content-delta" | b"tool-plan-delta" | b"tool-call-start"
            | b"tool-call-delta" => Kind::Delta,
            b"message-end" => Kind::End,
            _ => Kind::Other,
        }
    }

    pub(super) fn ends(self) -> bool {
        matches!(self, Kind::End | Kind::Failed)
    }
}

/// Which choices of a chunk are there, and which say that they are finished: a bit for each index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Choices {
    pub(super) seen: u128,
    pub(super) finished: u128,
}

impl<'d> Facts<'d> {
    /// What `data` says up to where it stops being JSON.
    pub(super) fn of(shape: Shape, data: &'d [u8]) -> Self {
        let mut facts = Self::default();
        let mut delta = Content::default();
        let mut inner = Inner::default();
        let mut reader = Reader::new(data);
        let _ = reader.members(|reader, name| match name {
            b"type" => {
                if let Some(kind) = reader.text()? {
                    let buffer = &mut [0; 64];
                    let kind = kind.as_name(buffer);
                    facts.kind = if shape == Shape::Cohere { Kind::of_coheres(kind) } else { Kind::of(kind) };
                }
                Some(())
            }
            b"object" => {
                let object = reader.text()?;
                facts.may_be_error |= object.is_some_and(|object| object.as_name(&mut [0; 64]) == b"error");
                Some(())
            }
            b"error" => {
                facts.may_be_error |= reader.raw()?.is_some();
                Some(())
            }
            b"model" => {
                facts.model = reader.raw()?;
                Some(())
            }
            b"usage" => {
                facts.usage = reader.raw()?;
                Some(())
            }
            b"modelVersion" if shape == Shape::Gemini => {
                facts.model = reader.raw()?;
                Some(())
            }
            b"usageMetadata" if shape == Shape::Gemini => {
                facts.usage = reader.raw()?;
                Some(())
            }
            b"promptFeedback" if shape == Shape::Gemini => blocked(reader, &mut facts.choices),
            b"candidates" if shape == Shape::Gemini => {
                reader.elements(|reader| candidate(reader, &mut facts))
            }
            b"choices"
                if !matches!(shape, Shape::Responses | Shape::Messages | Shape::Gemini | Shape::Cohere) =>
            {
                let mut index = 0;
                let is_array = reader.peek()? == b'[';
                reader.elements(|reader| {
                    choice(reader, shape, index, &mut facts)?;
                    index += 1;
                    Some(())
                })?;
                facts.has_no_choices = is_array && index == 0;
                Some(())
            }
            b"delta" if shape == Shape::Responses => {
                delta.add(reader.text()?);
                Some(())
            }
            b"delta" if shape == Shape::Cohere => {
                facts.may_be_error |= cohere_delta(reader, &mut delta, &mut inner)?;
                Some(())
            }
            b"message" if shape == Shape::Cohere && reader.peek()? == b'"' => {
                facts.may_be_error |= reader.text()?.is_some();
                Some(())
            }
            b"message" if shape == Shape::Cohere => whole(reader, &mut facts.content, message),
            b"delta" | b"content_block" if shape == Shape::Messages => block(reader, &mut delta),
            b"content" if shape == Shape::Messages => whole(reader, &mut facts.content, blocks),
            b"output" if shape == Shape::Responses => whole(reader, &mut facts.content, items),
            b"response" | b"message" => inner.read(reader, shape),
            _ => {
                if let Some(place) = reader.skip_scalar()? {
                    facts.passed_over.add(place);
                }
                Some(())
            }
        });
        facts.model = facts.model.or(inner.model);
        facts.usage = facts.usage.or(inner.usage);
        facts.tool_usage = inner.tool_usage;
        facts.may_be_error |= matches!(facts.kind, Kind::Error | Kind::Failed);
        if facts.kind == Kind::SoundDelta {
            delta.piece = 0;
        }
        if shape == Shape::Messages || matches!(facts.kind, Kind::None | Kind::Delta | Kind::SoundDelta) {
            facts.content.piece += delta.piece;
            facts.content.is_some |= delta.is_some;
            facts.content.told = facts.content.told.and(delta.told);
        }
        facts.content.whole += inner.content;
        facts
    }

    pub(super) fn is_usage_only(&self) -> bool {
        self.has_no_choices && self.usage.is_some()
    }
}

/// The answer inside of an event of Responses or Messages.
#[derive(Default)]
struct Inner<'d> {
    model: Option<&'d [u8]>,
    usage: Option<&'d [u8]>,
    tool_usage: Option<&'d [u8]>,
    content: u64,
}

impl<'d> Inner<'d> {
    fn read(&mut self, reader: &mut Reader<'d>, shape: Shape) -> Option<()> {
        reader.members(|reader, name| {
            let mut content = Content::default();
            match name {
                b"model" => self.model = reader.raw()?,
                b"usage" => self.usage = reader.raw()?,
                b"tool_usage" => self.tool_usage = reader.raw()?,
                b"output" if shape == Shape::Responses => items(reader, &mut content)?,
                b"content" if shape == Shape::Messages => blocks(reader, &mut content)?,
                _ => reader.skip()?,
            }
            self.content += content.piece;
            Some(())
        })
    }
}

/// A choice of a chat completion or a completion. Some servers send what has been said so far beside each piece.
fn choice(reader: &mut Reader<'_>, shape: Shape, position: u32, facts: &mut Facts<'_>) -> Option<()> {
    let content = &mut facts.content;
    let (mut index, mut is_finished) = (u64::from(position), false);
    let done = reader.members(|reader, name| match name {
        b"delta" => message(reader, content),
        b"message" => whole(reader, content, message),
        b"text" if shape == Shape::Completions => {
            content.add(reader.text()?);
            Some(())
        }
        b"index" => {
            index = reader.number()?.unwrap_or(index);
            Some(())
        }
        // An empty one is no reason: some servers have it in every chunk.
        b"finish_reason" => {
            is_finished = reader.text()?.is_some_and(|reason| !reason.is_empty());
            Some(())
        }
        _ => reader.skip(),
    });
    facts.choices.see(index, is_finished);
    done
}

impl Choices {
    fn see(&mut self, index: u64, is_finished: bool) {
        let bit = u32::try_from(index).ok().and_then(|index| 1_u128.checked_shl(index)).unwrap_or(0);
        self.seen |= bit;
        if is_finished {
            self.finished |= bit;
        }
    }
}

/// A candidate of Gemini's. One of index 0 may leave it out.
fn candidate(reader: &mut Reader<'_>, facts: &mut Facts<'_>) -> Option<()> {
    let content = &mut facts.content;
    let (mut index, mut is_finished) = (0, false);
    let done = reader.members(|reader, name| match name {
        b"content" => reader.members(|reader, name| match name {
            b"parts" => reader.elements(|reader| part(reader, content)),
            _ => reader.skip(),
        }),
        b"index" => {
            index = reader.number()?.unwrap_or(index);
            Some(())
        }
        b"finishReason" => {
            let reason = reader.text()?;
            is_finished = reason.is_some_and(|reason| {
                !reason.is_empty() && reason.as_name(&mut [0; 64]) != b"FINISH_REASON_UNSPECIFIED"
            });
            Some(())
        }
        _ => reader.skip(),
    });
    facts.choices.see(index, is_finished);
    done
}

/// A prompt that is blocked has no other answer.
fn blocked(reader: &mut Reader<'_>, choices: &mut Choices) -> Option<()> {
    reader.members(|reader, name| match name {
        b"blockReason" => {
            if reader.text()?.is_some_and(|reason| !reason.is_empty()) {
                choices.see(0, true);
            }
            Some(())
        }
        _ => reader.skip(),
    })
}

/// What an event of Cohere's brings, or says of the end. True where that may be an error.
fn cohere_delta<'d>(reader: &mut Reader<'d>, content: &mut Content, inner: &mut Inner<'d>) -> Option<bool> {
    let mut may_be_error = false;
    reader.members(|reader, name| {
        match name {
            b"message" => message(reader, content)?,
            b"usage" => inner.usage = reader.raw()?,
            b"finish_reason" => {
                let reason = reader.text()?;
                may_be_error |= reason.is_some_and(|reason| reason.as_name(&mut [0; 64]) == b"ERROR");
            }
            b"error" => may_be_error |= reader.text()?.is_some_and(|error| !error.is_empty()),
            _ => reader.skip()?,
        }
        Some(())
    })?;
    Some(may_be_error)
}
