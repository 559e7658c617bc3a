//! What an answer and its items are called. Nothing is kept under these names, so they only have to be of the form that
//! OpenAI takes back, and unique: clients tell items apart by them, in later turns as well.

use crate::wire::Asked;
use crate::wire::names::allowed;

/// The longest name of an answer, in bytes: OpenAI takes 64 for that of an item, which has more around it.
const LONGEST: usize = 40;

/// What the name of a thought begins with that is not OpenAI's: where the conversation passes to OpenAI later, it is
/// left out. Conversations that have begun have it in them, so it stays as it is.
pub(super) const TRANSLATED_THOUGHT: &str = "rs_translated";

/// The name of an answer.
#[derive(Debug)]
pub(super) struct Id(String);

impl Id {
    /// Of the answer that its provider calls `given`.
    pub(super) fn new(asked: &Asked, given: Option<&str>) -> Self {
        let unique = given.unwrap_or(&asked.id);
        let unique = unique.strip_prefix("resp_").or(unique.strip_prefix("chatcmpl-")).unwrap_or(unique);
        Self(allowed(unique, LONGEST, "").into_owned())
    }

    pub(super) fn of_response(&self) -> String {
        format!("resp_{}", self.0)
    }

    /// `prefix` says what the item is, and `index` where it is in the answer.
    pub(super) fn of_item(&self, prefix: &str, index: usize) -> String {
        format!("{prefix}_{}_{index}", self.0)
    }

    /// The name of a call that its provider gave none: its result must say which it is of.
    pub(super) fn of_call(&self, index: usize) -> String {
        crate::wire::openai::chat::call_id(&self.0, index)
    }
}
