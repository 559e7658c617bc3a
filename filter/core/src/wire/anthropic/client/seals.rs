//! Whose a signature is. A thought has a place for its own, a call has it in its id: that every client sends back.

use std::borrow::Cow;

use super::super::{Envelope, rules};
use crate::chat::{Family, Seal};
use crate::wire::Asked;

/// A thought's seal, as a client gets it: Claude's own as it is, others with whose they are.
pub(super) fn to_client(seal: &Seal) -> Cow<'_, str> {
    match seal.by {
        Family::Anthropic => Cow::Borrowed(&seal.data),
        _ => Cow::Owned(seal.marked().to_string()),
    }
}

/// The seal that a client sends back: Claude's own, where it does not say whose.
pub(super) fn of_client(marked: Option<String>) -> Option<Seal> {
    let marked = marked.filter(|marked| !marked.is_empty())?;
    Some(Seal::of_marked_or(Family::Anthropic, marked))
}

/// A call's id as a client gets it, of which Anthropic takes every character, with the seal in it; and whether it is.
/// One that its provider gave no id has one all the same: its result must say which it is of. `index` is the block's.
pub(super) fn id_of_call<'a>(
    id: &'a str,
    seal: Option<&Seal>,
    asked: &Asked,
    index: usize,
) -> (Cow<'a, str>, bool) {
    let (name, sealed) = Seal::of_id(id);
    let name = if name.is_empty() {
        Cow::Owned(format!("toolu_{}_{index}", asked.id))
    } else {
        rules::call_id(name, Envelope::Native.longest_call_id())
    };
    match sealed.as_ref().or(seal) {
        None => (name, true),
        Some(seal) => {
            let id = seal.in_id(&name);
            let is_in_it = *id != *name;
            (Cow::Owned(id), is_in_it)
        }
    }
}
