//! The order of a conversation, and what binds its calls to their results, as Claude wants them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use super::models::ModelNames;
use super::rules::{self, ASSISTANT_FIRST, ASSISTANT_LAST, ENDS_IN_SPACE, NO_MESSAGE};
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
        losses.add(path, NO_MESSAGE.reason);
        messages.push(Message { role: "user", content });
    }
    if messages.first().is_some_and(|first| first.role == "assistant") {
        let first = request.messages.iter().find(|message| message.role == Role::Assistant);
        let origin = first.map_or_else(Origin::default, |message| message.origin);
        losses.add(Path::At(&Path::Root, origin), ASSISTANT_FIRST.reason);
        messages.insert(0, said_by_user(NOTHING_SAID));
    }
    call_ids(messages);
    end(messages, names, request, thinks, losses);
    Ok(())
}

fn said_by_user(text: &'static str) -> Message<'static> {
    let text = Block::Text { text: Cow::Borrowed(text), cache_control: None };
    Message { role: "user", content: vec![text] }
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
        // Calls without results are refused by both APIs alike.
        Some(Block::ToolUse { .. }) => {}
        _ if is_users_turn => messages.push(said_by_user(NOTHING_SAID)),
        _ if thinks || !names.continues_assistant() => {
            losses.add(path, ASSISTANT_LAST.reason);
            messages.push(said_by_user(CONTINUE));
        }
        Some(Block::Text { text, .. }) if text.ends_with(char::is_whitespace) => {
            losses.add(path, ENDS_IN_SPACE.reason);
            let length = text.trim_end().len();
            text.to_mut().truncate(length);
        }
        _ => {}
    }
}

/// Gives each call an id that Claude takes and no other call has ([`rules::CALL_ID`]), and its result the same. Some
/// providers count their calls anew in each answer: a result answers the first call of its id that has none yet. An id
/// says nothing by itself, so that another is no loss.
fn call_ids(messages: &mut [Message<'_>]) {
    let mut used: HashSet<String> = HashSet::new();
    let mut waiting: HashMap<String, VecDeque<String>> = HashMap::new();
    for block in messages.iter_mut().flat_map(|message| &mut message.content) {
        match block {
            Block::ToolUse { id, .. } => {
                let mut allowed = rules::call_id(id).into_owned();
                // The calls before it number it, so that it has the same id in the next turn.
                while used.contains(&allowed) {
                    allowed = format!("{allowed}_{}", used.len());
                }
                used.insert(allowed.clone());
                waiting.entry(id.clone().into_owned()).or_default().push_back(allowed.clone());
                set(id, allowed);
            }
            Block::ToolResult { tool_use_id, .. } => {
                let answered = waiting.get_mut(&**tool_use_id).and_then(VecDeque::pop_front);
                let id = answered.unwrap_or_else(|| rules::call_id(tool_use_id).into_owned());
                set(tool_use_id, id);
            }
            _ => {}
        }
    }
}

fn set(id: &mut Cow<'_, str>, new: String) {
    if **id != *new {
        *id = Cow::Owned(new);
    }
}
