//! Whose a thought is. A reasoning item has a place for its seal, a call has it in its id: that every client sends
//! back.

use std::borrow::Cow;

use crate::chat::{Content, Family, Losses, Part, Seal};
use crate::wire::fields::Path;

/// Stands before the seal of a thought that has no text because only its provider can read it. Conversations that have
/// begun have it in them, so it stays as it is.
pub(super) const REDACTED: &str = "redacted:";

/// `encrypted_content` as a client gets it: OpenAI's own as it is, others with whose they are.
pub(super) fn to_client(seal: &Seal, is_redacted: bool) -> Cow<'_, str> {
    match (seal.by, is_redacted) {
        (Family::OpenAi, false) => Cow::Borrowed(&seal.data),
        (_, false) => Cow::Owned(seal.marked().to_string()),
        (_, true) => Cow::Owned(format!("{REDACTED}{}", seal.marked())),
    }
}

/// The thought that a client sends back with `encrypted`, which is at `path`. `None` for one that is nothing to
/// anybody.
pub(super) fn of_client(
    path: &Path<'_>,
    text: String,
    encrypted: Option<String>,
    losses: &mut Losses,
) -> Option<Part> {
    let Some(encrypted) = encrypted.filter(|encrypted| !encrypted.is_empty()) else {
        return (!text.is_empty()).then(|| Part::thinking(text, None));
    };
    match encrypted.strip_prefix(REDACTED) {
        None => Some(Part::thinking(text, Some(Seal::of_marked_or(Family::OpenAi, encrypted)))),
        Some(marked) => {
            let seal = Seal::of_marked(marked.to_owned());
            if seal.is_none() {
                losses.add(path, "it does not say whose it is, and may be of another provider's model");
            }
            seal.map(|seal| Part { seal: Some(seal), ..Part::new(Content::RedactedThinking) })
        }
    }
}

/// Whether what a client sends back as `encrypted_content` is of a model that is not OpenAI's.
pub(super) fn is_of_others(encrypted: &str) -> bool {
    encrypted.starts_with(REDACTED)
        || Seal::of_marked(encrypted.to_owned()).is_some_and(|seal| seal.by != Family::OpenAi)
}
