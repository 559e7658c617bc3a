//! The beginning and the end of a conversation, as Claude wants them.

use super::models::ModelNames;
use super::rules::Rule;
use super::types::{Block, Message};
use crate::chat::{Losses, Origin, Request, Role};
use crate::error::Result;
use crate::wire::fields::Path;

/// Stands where a user said nothing.
const NOTHING_SAID: &str = "(no message)";

/// Asks for one more message of the assistant, which is what OpenAI's API means by an assistant's message at the end.
const CONTINUE: &str = "Continue.";

/// Gives the encoded conversation the form Claude takes.
///
/// # Errors
///
/// 422 for a request that says nothing at all.
pub(super) fn mend<'a>(
    system: &mut Vec<Block<'a>>,
    messages: &mut Vec<Message<'a>>,
    names: ModelNames<'_>,
    request: &Request,
    thinks: bool,
    losses: &mut Losses,
) -> Result<()> {
    let path = Path::Key(&Path::Root, "messages");
    if messages.is_empty() {
        let content = std::mem::take(system);
        if content.is_empty() {
            return Err(path.unprocessable("there is no message with content, and Anthropic wants one"));
        }
        losses.add(path, Rule::NoMessage);
        messages.push(Message { role: "user", content, origin: 0 });
    }
    if messages.first().is_some_and(|first| first.role == "assistant") {
        let first = request.messages.iter().find(|message| message.role == Role::Assistant);
        let origin = first.map_or_else(Origin::default, |message| message.origin);
        losses.add(Path::At(&Path::Root, origin), Rule::AssistantFirst);
        messages.insert(0, said_by_user(NOTHING_SAID));
    }
    end(messages, names, request, thinks, losses);
    Ok(())
}

fn said_by_user(text: &'static str) -> Message<'static> {
    let text = Block::text(text);
    Message { role: "user", content: vec![text], origin: 0 }
}

fn end(
    messages: &mut Vec<Message<'_>>,
    names: ModelNames<'_>,
    request: &Request,
    thinks: bool,
    losses: &mut Losses,
) {
    let last = request.messages.last();
    let path = Path::At(&Path::Root, last.map_or_else(Origin::default, |message| message.origin));
    let Some(message) = messages.last_mut().filter(|message| message.role == "assistant") else { return };
    // What the user said last was left out: the assistant is not to go on with its own words for that.
    let is_users_turn = last.is_some_and(|last| last.role == Role::User);
    match message.content.last_mut() {
        _ if is_users_turn => messages.push(said_by_user(NOTHING_SAID)),
        _ if thinks || !names.continues_assistant() => {
            losses.add(path, Rule::AssistantLast);
            messages.push(said_by_user(CONTINUE));
        }
        Some(Block::Text { text, .. }) if text.ends_with(char::is_whitespace) => {
            let part = last.and_then(|last| last.content.last());
            losses.add(Path::At(&path, part.map(|part| part.origin).unwrap_or_default()), Rule::EndsInSpace);
            let length = text.trim_end().len();
            text.to_mut().truncate(length);
        }
        _ => {}
    }
}
