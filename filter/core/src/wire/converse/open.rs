//! The blocks of a streamed answer that are open, and how they grow.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cited::Citation;
use crate::chat::{Delta, Event, Family};
use crate::error::Error;

/// The most of a text that is held until it is known whether it is the answer, in bytes. Answers are shorter.
const MAX_HELD: usize = 4 << 20;

/// The most of a picture or of a sealed thought that comes in pieces, in bytes.
const MAX_BLOB: usize = 32 << 20;

/// A block that is open.
#[derive(Debug)]
pub(super) struct Open {
    /// What Bedrock calls it.
    pub(super) wire_index: u32,
    /// What it is called here.
    pub(super) index: u32,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Thinking {
        is_sealed: bool,
    },
    ToolCall,
    /// The call whose arguments are the text of the answer.
    Answer {
        is_empty: bool,
    },
    /// Text that is held.
    Held,
    /// A thought that only its provider can read, in pieces.
    Redacted(Vec<u8>),
    /// A picture, in pieces.
    Image {
        format: String,
        bytes: Vec<u8>,
    },
    /// Of a kind that the neutral form has no word for.
    Skipped,
}

/// What one delta adds.
pub(super) enum Piece {
    Text(String),
    Annotation(Citation),
    Thinking(String),
    Signature(String),
    Redacted(String),
    Arguments(String),
    Image(String),
    Skipped,
}

impl Kind {
    /// Whether the piece is one of such a block.
    pub(super) fn takes(&self, piece: &Piece) -> bool {
        match self {
            Self::Text | Self::Held => matches!(piece, Piece::Text(_) | Piece::Annotation(_)),
            Self::Thinking { .. } => matches!(piece, Piece::Thinking(_) | Piece::Signature(_)),
            Self::ToolCall | Self::Answer { .. } => matches!(piece, Piece::Arguments(_)),
            Self::Redacted(_) => matches!(piece, Piece::Redacted(_)),
            Self::Image { .. } => matches!(piece, Piece::Image(_)),
            Self::Skipped => true,
        }
    }
}

impl Open {
    pub(super) fn grow(
        &mut self,
        piece: Piece,
        (family, seal_prefix): (Family, &str),
        held: &mut String,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let delta = match (piece, &mut self.kind) {
            (_, Kind::Skipped) => return Ok(()),
            (Piece::Text(text), Kind::Held) => {
                if held.len().saturating_add(text.len()) > MAX_HELD {
                    return Err(Error::bad_answer("the backend's answer is too long beside its JSON"));
                }
                held.push_str(&text);
                return Ok(());
            }
            (Piece::Annotation(_), Kind::Held) => return Ok(()),
            (Piece::Annotation(citation), _) => Delta::Annotation(Box::new(citation.annotation(family))),
            (Piece::Text(text), _) => Delta::Text(text),
            (Piece::Thinking(text), _) => Delta::Thinking(text),
            (Piece::Signature(more), Kind::Thinking { is_sealed }) if !more.is_empty() => {
                let is_first = !std::mem::replace(is_sealed, true);
                Delta::Seal(family, if is_first { format!("{seal_prefix}{more}") } else { more })
            }
            (Piece::Arguments(input), Kind::Answer { is_empty }) => {
                *is_empty &= input.is_empty();
                Delta::Text(input)
            }
            (Piece::Arguments(input), _) => Delta::Arguments(input),
            (Piece::Redacted(more), Kind::Redacted(bytes)) => return blob(bytes, &more),
            (Piece::Image(more), Kind::Image { bytes, .. }) => return blob(bytes, &more),
            (Piece::Signature(_) | Piece::Redacted(_) | Piece::Image(_) | Piece::Skipped, _) => return Ok(()),
        };
        let is_empty = match &delta {
            Delta::Text(text) | Delta::Thinking(text) | Delta::Seal(_, text) | Delta::Arguments(text) => {
                text.is_empty()
            }
            Delta::Annotation(_) => false,
        };
        if !is_empty {
            out.push(Event::BlockDelta { index: self.index, delta });
        }
        Ok(())
    }
}

/// Each piece is base64 by itself, so that they cannot be joined as text.
fn blob(bytes: &mut Vec<u8>, more: &str) -> Result<(), Error> {
    let more = STANDARD
        .decode(more)
        .map_err(|_| Error::bad_answer("the backend sent bytes that are not valid base64"))?;
    if bytes.len().saturating_add(more.len()) > MAX_BLOB {
        return Err(Error::bad_answer("the backend's answer has a block that is too large"));
    }
    bytes.extend_from_slice(&more);
    Ok(())
}
