//! The content of events and answers, measured as it is read.

use std::ops::Range;

use crate::codec::reader::{Reader, Text};

/// How deep the parts of a content may stand inside of each other.
const MAX_PARTS: u32 = 8;

/// Content, in bytes of UTF-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// What is new.
    pub(super) piece: u64,
    /// What says all of it, or all so far, beside its pieces.
    pub(super) whole: u64,
    /// There is some, though it may have no bytes that count: the name of a tool, a signature, sound.
    pub(super) is_some: bool,
    pub(super) told: Told,
}

/// Where an event tells the content of its pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Told {
    #[default]
    Nowhere,
    /// In one string, between these bytes.
    Once {
        start: usize,
        end: usize,
    },
    Otherwise,
}

impl Told {
    pub(super) fn and(self, other: Told) -> Told {
        match (self, other) {
            (told, Told::Nowhere) | (Told::Nowhere, told) => told,
            _ => Told::Otherwise,
        }
    }
}

impl Content {
    pub(super) fn add(&mut self, text: Option<Text<'_>>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.piece += text.length();
            self.is_some = true;
            let Range { start, end } = text.place();
            self.told = self.told.and(Told::Once { start, end });
        }
    }
}

type Read = fn(&mut Reader<'_>, &mut Content) -> Option<()>;

/// What `read` finds is not a piece, but all of it.
pub(super) fn whole(reader: &mut Reader<'_>, content: &mut Content, read: Read) -> Option<()> {
    let mut all = Content::default();
    let done = read(reader, &mut all);
    content.whole += all.piece;
    content.is_some |= all.is_some;
    done
}

/// A part of a candidate's content.
pub(super) fn part(reader: &mut Reader<'_>, content: &mut Content) -> Option<()> {
    reader.members(|reader, name| match name {
        b"text" => {
            content.add(reader.text()?);
            Some(())
        }
        b"functionCall" => {
            content.is_some = true;
            reader.members(|reader, name| match name {
                b"args" => arguments(reader, content),
                _ => reader.skip(),
            })
        }
        b"executableCode" => reader.members(|reader, name| match name {
            b"code" => {
                content.add(reader.text()?);
                Some(())
            }
            _ => reader.skip(),
        }),
        b"inlineData" | b"fileData" | b"thoughtSignature" => {
            content.is_some |= reader.raw()?.is_some();
            Some(())
        }
        _ => reader.skip(),
    })
}

/// A message of a chat completion or of Cohere's chat, or a piece of one.
pub(super) fn message(reader: &mut Reader<'_>, content: &mut Content) -> Option<()> {
    // The same thoughts under several names, since servers do not agree on one and some send two.
    let mut thoughts = 0;
    let done = reader.members(|reader, name| {
        let mut thought = Content::default();
        match name {
            b"content" | b"refusal" | b"tool_plan" => parts(reader, content, MAX_PARTS)?,
            b"reasoning_content" | b"reasoning" | b"reasoning_text" | b"reasoning_details"
            | b"thinking_blocks" => {
                parts(reader, &mut thought, MAX_PARTS)?;
            }
            // An event of Cohere's brings one.
            b"tool_calls" if reader.peek()? == b'{' => {
                content.is_some = true;
                call(reader, content)?;
            }
            b"tool_calls" => reader.elements(|reader| {
                content.is_some = true;
                call(reader, content)
            })?,
            b"function_call" => function(reader, content)?,
            b"audio" => reader.members(|reader, name| match name {
                b"transcript" => {
                    content.add(reader.text()?);
                    Some(())
                }
                b"data" => {
                    content.is_some |= reader.text()?.is_some_and(|data| !data.is_empty());
                    Some(())
                }
                _ => reader.skip(),
            })?,
            _ => reader.skip()?,
        }
        thoughts = thoughts.max(thought.piece);
        content.is_some |= thought.is_some;
        content.told = content.told.and(thought.told);
        Some(())
    });
    content.piece += thoughts;
    done
}

fn call(reader: &mut Reader<'_>, content: &mut Content) -> Option<()> {
    reader.members(|reader, name| match name {
        b"function" | b"custom" => function(reader, content),
        _ => reader.skip(),
    })
}

fn function(reader: &mut Reader<'_>, content: &mut Content) -> Option<()> {
    reader.members(|reader, name| match name {
        b"arguments" | b"input" => arguments(reader, content),
        b"name" => {
            content.is_some |= reader.text()?.is_some_and(|name| !name.is_empty());
            Some(())
        }
        _ => reader.skip(),
    })
}

/// Arguments as a text or, in some APIs, as what that text would say.
fn arguments(reader: &mut Reader<'_>, content: &mut Content) -> Option<()> {
    if reader.peek()? == b'{' {
        // `{}` announces that they follow.
        content.piece += Some(reader.compact_length()?).filter(|length| *length > 2).unwrap_or(0);
        content.is_some = true;
        content.told = Told::Otherwise;
        return Some(());
    }
    content.add(reader.text()?);
    Some(())
}

/// A text, or parts with texts in them.
pub(super) fn parts(reader: &mut Reader<'_>, content: &mut Content, depth: u32) -> Option<()> {
    let Some(deeper) = depth.checked_sub(1) else { return reader.skip() };
    match reader.peek()? {
        b'[' => reader.elements(|reader| parts(reader, content, deeper)),
        b'{' => reader.members(|reader, name| match name {
            b"text" | b"thinking" | b"refusal" | b"content" | b"summary" => parts(reader, content, deeper),
            b"transcript" => {
                content.add(reader.text()?);
                Some(())
            }
            _ => reader.skip(),
        }),
        _ => {
            content.add(reader.text()?);
            Some(())
        }
    }
}

/// The items of a response.
pub(super) fn items(reader: &mut Reader<'_>, content: &mut Content) -> Option<()> {
    reader.elements(|reader| {
        reader.members(|reader, name| match name {
            b"content" | b"summary" | b"code" => parts(reader, content, MAX_PARTS),
            b"arguments" | b"input" => arguments(reader, content),
            _ => reader.skip(),
        })
    })
}

/// The blocks of a message.
pub(super) fn blocks(reader: &mut Reader<'_>, content: &mut Content) -> Option<()> {
    reader.elements(|reader| block(reader, content))
}

/// A block of a message, or a piece of one.
pub(super) fn block(reader: &mut Reader<'_>, content: &mut Content) -> Option<()> {
    reader.members(|reader, name| match name {
        b"text" | b"thinking" | b"partial_json" => {
            content.add(reader.text()?);
            Some(())
        }
        b"input" => arguments(reader, content),
        b"signature" => {
            content.is_some |= reader.text()?.is_some_and(|signature| !signature.is_empty());
            Some(())
        }
        _ => reader.skip(),
    })
}
