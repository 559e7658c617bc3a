//! Whose a signature is, and how those of calls and texts reach a client that knows them of thoughts only.
//!
//! Clients send thoughts back as they got them, and nothing else that they do not know. So the seal of a call comes to them as
//! a thought without words before it, the seal of a text as one behind it or in its place.

use std::borrow::Cow;

use crate::chat::{Content, Family, Part, Seal};

/// What a seal is of that is no thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The call behind it.
    Call,
    /// The text before it.
    Text,
    /// A text without words, in its own place.
    Nothing,
}

impl Of {
    /// Stands before the seal's data. No provider's has a colon in it. Conversations that have begun have it in them, so it
    /// stays as it is.
    fn prefix(self) -> &'static str {
        match self {
            Of::Call => "call:",
            Of::Text => "text:",
            Of::Nothing => "nothing:",
        }
    }
}

/// A thought's seal, as a client gets it: Claude's own as it is, others with whose they are.
pub(super) fn to_client(seal: &Seal) -> Cow<'_, str> {
    match seal.by {
        Family::Anthropic => Cow::Borrowed(&seal.data),
        _ => Cow::Owned(seal.marked().to_string()),
    }
}

/// The seal of what is no thought, as the signature of one.
pub(super) fn carried(of: Of, seal: &Seal) -> String {
    let data = format!("{}{}", of.prefix(), seal.data);
    to_client(&Seal { by: seal.by, data }).into_owned()
}

/// The seal that a client sends back: Claude's own, where it does not say whose.
pub(super) fn of_client(marked: Option<String>) -> Option<Seal> {
    let marked = marked.filter(|marked| !marked.is_empty())?;
    Some(Seal::of_marked_or(Family::Anthropic, marked))
}

/// The parts of a message without the thoughts that were none, whose seals are back where they were.
pub(super) fn give_back(parts: Vec<Part>) -> Vec<Part> {
    let mut given: Vec<Part> = Vec::with_capacity(parts.len());
    let mut of_next_call = None;
    for mut part in parts {
        match (carried_by(&part), &part.content) {
            (Some((Of::Call, seal)), _) => of_next_call = Some(seal),
            (Some((of, seal)), _) => match given.last_mut() {
                Some(last)
                    if of == Of::Text
                        && matches!(last.content, Content::Text { .. })
                        && last.seal.is_none() =>
                {
                    last.seal = Some(seal);
                }
                _ => given.push(Part { seal: Some(seal), ..Part { content: Content::text(""), ..part } }),
            },
            (None, Content::ToolCall { .. }) => {
                part.seal = of_next_call.take();
                given.push(part);
            }
            (None, _) => given.push(part),
        }
    }
    given
}

fn carried_by(part: &Part) -> Option<(Of, Seal)> {
    let (Content::Thinking { text }, Some(Seal { by, data })) = (&part.content, &part.seal) else {
        return None;
    };
    if !text.is_empty() {
        return None;
    }
    [Of::Call, Of::Text, Of::Nothing].into_iter().find_map(|of| {
        let data = data.strip_prefix(of.prefix())?;
        Some((of, Seal { by: *by, data: data.to_owned() }))
    })
}
