//! What binds calls to their results, as Claude wants it: each call has an id of its own and one result, which stands
//! in the message behind it.
//!
//! OpenAI refuses a call without results and a result without a call, too, but servers that speak its API do not, and
//! agents leave such histories behind: an interrupted tool, a user who typed meanwhile, a history cut to fit.
//!
//! * A result that comes later is moved behind its call.
//! * A call that has none gets one that says so, as an error: the conversation has gone on without, and Claude can,
//!   too. Where nothing follows the call, its tool was forgotten: that is the client's to hear.
//! * A result that no call waits for is left out. As a user's text it would be more than it was: tools are trusted
//!   less.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Envelope;
use super::rules::{self, Rule};
use super::types::{Block, Message, Own};
use crate::chat::{self, Content, Losses, Origin};
use crate::error::Result;
use crate::wire::fields::Path;

/// What a call without a result gets.
pub(in crate::wire) const NO_RESULT: &str = "(no result)";

/// A call and what became of it.
struct Call<'a> {
    /// Its message, among the encoded ones.
    message: usize,
    /// Which of the message's calls it is.
    number: usize,
    /// The id that Claude gets.
    id: Cow<'a, str>,
    is_answered: bool,
}

/// Calls of one id that wait for results: those of each message, the latest message last. Some providers count their
/// calls anew in each answer.
type Waiting<'a> = BTreeMap<Cow<'a, str>, Vec<VecDeque<usize>>>;

/// Puts each result behind its call. `asked` are the messages that `messages` were made of.
///
/// # Errors
///
/// 422 for a conversation that ends with a call.
pub(in crate::wire) fn pair<'a>(
    mut messages: Vec<Message<'a>>,
    asked: &[chat::Message],
    envelope: Envelope<'_>,
    losses: &mut Losses,
) -> Result<Vec<Message<'a>>> {
    let place = |index: usize| asked.get(index).map(|message| message.origin).unwrap_or_default();
    let longest = envelope.longest_call_id();
    let mut calls: Vec<Call<'a>> = Vec::new();
    let mut used = BTreeSet::new();
    let mut waiting = Waiting::new();
    let mut results: Vec<Vec<Block<'a>>> = Vec::with_capacity(messages.len());
    // The last message that was more than results.
    let mut spoke = None;
    for (index, message) in messages.iter_mut().enumerate() {
        results.push(Vec::new());
        register(index, message, longest, &mut calls, &mut used, &mut waiting);
        let found = message.content.extract_if(.., |block| block.is_result());
        for (number, result) in found.enumerate() {
            let path = Path::At(&Path::Root, place(message.origin));
            let path = Path::At(&path, place_of(asked.get(message.origin), is_result, number));
            let Some((call, result)) = answered(result, &mut calls, &mut waiting) else {
                losses.add(path, Rule::ResultUnasked);
                continue;
            };
            if spoke != Some(call) {
                losses.add(path, Rule::ResultMoved);
            }
            if let Some(results) = results.get_mut(call) {
                results.push(result);
            }
        }
        if !message.content.is_empty() {
            spoke = Some(index);
        }
    }
    for call in calls.iter().filter(|call| !call.is_answered) {
        let origin = messages.get(call.message).map_or(0, |message| message.origin);
        let path = Path::At(&Path::Root, place(origin));
        let path = Path::At(&path, place_of(asked.get(origin), is_call, call.number));
        if origin.saturating_add(1) == asked.len() {
            return Err(path.unprocessable("there is no result of this call, and Anthropic wants one"));
        }
        losses.add(path, Rule::ResultMissing);
        if let Some(results) = results.get_mut(call.message) {
            results.push(no_result(call.id.clone()));
        }
    }
    let mut out = Vec::with_capacity(messages.len());
    for (message, results) in messages.into_iter().zip(results) {
        let origin = message.origin;
        if !message.content.is_empty() {
            out.push(message);
        }
        if !results.is_empty() {
            out.push(Message { role: "user", content: results, origin });
        }
    }
    Ok(out)
}

/// Where the client has the call, or the result, `number` of its message.
fn place_of(message: Option<&chat::Message>, is_one: fn(&Content) -> bool, number: usize) -> Origin {
    let parts = message.into_iter().flat_map(|message| &message.content);
    let mut found = parts.filter(|part| is_one(&part.content));
    found.nth(number).map(|part| part.origin).unwrap_or_default()
}

fn is_call(content: &Content) -> bool {
    matches!(content, Content::ToolCall { .. })
}

fn is_result(content: &Content) -> bool {
    matches!(content, Content::ToolResult { .. })
}

/// Notes the calls of a message, and gives each an id that Claude takes and no other call has. An id says nothing by
/// itself, so that another is no loss.
fn register<'a>(
    index: usize,
    message: &mut Message<'a>,
    longest: usize,
    calls: &mut Vec<Call<'a>>,
    used: &mut BTreeSet<Cow<'a, str>>,
    waiting: &mut Waiting<'a>,
) {
    let mut number = 0;
    for block in &mut message.content {
        let Block::ToolUse { id, .. } = block else { continue };
        let mut allowed = match id {
            Cow::Borrowed(id) => rules::call_id(id, longest),
            Cow::Owned(id) => Cow::Owned(rules::call_id(id, longest).into_owned()),
        };
        // The calls before it number it, so that it has the same id in the next turn.
        while used.contains(&allowed) {
            let numbered = format!("{allowed}_{}", used.len());
            allowed = Cow::Owned(rules::call_id(&numbered, longest).into_owned());
        }
        used.insert(allowed.clone());
        let queues = waiting.entry(std::mem::replace(id, allowed.clone())).or_default();
        let is_of_this = |queue: &VecDeque<usize>| {
            queue.front().and_then(|call| calls.get(*call)).is_some_and(|call| call.message == index)
        };
        match queues.last_mut().filter(|queue| is_of_this(queue)) {
            Some(queue) => queue.push_back(calls.len()),
            None => queues.push(VecDeque::from([calls.len()])),
        }
        calls.push(Call { message: index, number, id: allowed, is_answered: false });
        number = number.saturating_add(1);
    }
}

/// The message of the call that `result` answers, and the result with the call's id: the latest message that has a call
/// of this id without a result, and the first such in it.
fn answered<'a>(
    mut result: Block<'a>,
    calls: &mut [Call<'a>],
    waiting: &mut Waiting<'a>,
) -> Option<(usize, Block<'a>)> {
    let Block::ToolResult { tool_use_id, .. } = &mut result else { return None };
    let queues = waiting.get_mut(&**tool_use_id)?;
    let queue = queues.last_mut()?;
    let call = queue.pop_front()?;
    if queue.is_empty() {
        queues.pop();
    }
    let call = calls.get_mut(call)?;
    call.is_answered = true;
    *tool_use_id = call.id.clone();
    Some((call.message, result))
}

fn no_result(id: Cow<'_, str>) -> Block<'_> {
    Block::ToolResult {
        tool_use_id: id,
        content: vec![Block::text(NO_RESULT)],
        is_error: true,
        cache_control: None,
        own: Own::default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::chat::Losses;
    use crate::error::Error;
    use crate::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params, encode_request};
    use crate::wire::openai_chat::decode_request;

    /// A history in letters: `a(x,y)` calls x and y, `r(x)` is x's result, `u` and `t` are texts of the user and the
    /// assistant. What is sent is told the same way, with results as `r(x,y)`, in capitals where they are errors.
    fn sent(history: &str) -> Result<(String, Vec<String>), Error> {
        let named = |word: &str| -> Vec<String> {
            let names = word.split_once('(').unwrap().1.trim_end_matches(')').split(',');
            names.map(str::to_owned).collect()
        };
        let message = |word: &str| match word.as_bytes()[0] {
            b'a' => {
                let calls = named(word).into_iter().map(|id| json!({"id": id, "function": {"name": "f"}}));
                json!({"role": "assistant", "tool_calls": calls.collect::<Vec<_>>()})
            }
            b'r' => json!({"role": "tool", "tool_call_id": named(word)[0], "content": "done"}),
            b'u' => json!({"role": "user", "content": word}),
            _ => json!({"role": "assistant", "content": word}),
        };
        let messages: Vec<Value> = history.split(' ').map(message).collect();
        let asked = json!({"model": "claude-sonnet-4-5", "messages": messages}).to_string();
        let mut losses = Losses::default();
        let request = decode_request(asked.as_bytes(), &mut losses)?;
        let params = Params {
            envelope: Envelope::Native,
            model: &request.model,
            default_max_tokens: DEFAULT_MAX_TOKENS,
        };
        let body = encode_request(&params, &request, &mut losses)?;
        let body: Value = serde_json::from_slice(&body).unwrap();
        let told = body["messages"].as_array().unwrap().iter().map(|message| {
            let blocks = message["content"].as_array().unwrap();
            let of = |kind: &str, key: &str| -> String {
                let found = blocks.iter().filter(|block| block["type"] == kind).map(|block| {
                    let name = block[key].as_str().unwrap();
                    if block["is_error"] == true { name.to_uppercase() } else { name.to_owned() }
                });
                found.collect::<Vec<_>>().join(",")
            };
            match blocks[0]["type"].as_str().unwrap() {
                "tool_use" => format!("a({})", of("tool_use", "id")),
                "tool_result" => format!("r({})", of("tool_result", "tool_use_id")),
                _ => blocks[0]["text"].as_str().unwrap().to_owned(),
            }
        });
        let told = told.collect::<Vec<_>>().join(" ");
        let paths = losses.iter().map(|loss| loss.path.clone()).collect();
        Ok((told, paths))
    }

    #[test]
    fn each_result_stands_behind_its_call() {
        for (history, expected, lost) in [
            ("u a(x,y) r(x) r(y) u", "u a(x,y) r(x,y) u", vec![]),
            ("u a(x,y) r(y) r(x) u", "u a(x,y) r(y,x) u", vec![]),
            // The user typed meanwhile, and a tool was slow.
            ("u a(x) u2 r(x)", "u a(x) r(x) u2", vec!["messages[3]"]),
            ("u a(x,y) r(x) u2 r(y) u3", "u a(x,y) r(x,y) u2 u3", vec!["messages[4]"]),
            ("u a(x) a(y) r(x) r(y) u", "u a(x) r(x) a(y) r(y) u", vec!["messages[3]"]),
            ("u a(x) t r(x) u", "u a(x) r(x) t u", vec!["messages[3]"]),
            // Interrupted.
            ("u a(x) u2", "u a(x) r(X) u2", vec!["messages[1].tool_calls[0]"]),
            ("u a(x,y) r(x)", "u a(x,y) r(x,Y)", vec!["messages[1].tool_calls[1]"]),
            ("u a(x) u2 a(x) r(x) u3", "u a(x) r(X) u2 a(x_1) r(x_1) u3", vec!["messages[1].tool_calls[0]"]),
            // Cut to fit, or sent twice.
            ("r(x) u", "u", vec!["messages[0]"]),
            ("u r(x) a(x) r(x) u", "u a(x) r(x) u", vec!["messages[1]"]),
            ("u a(x) r(x) r(x) u", "u a(x) r(x) u", vec!["messages[3]"]),
            // Counted anew in each answer, and twice in one.
            ("u a(x) r(x) a(x) r(x) u", "u a(x) r(x) a(x_1) r(x_1) u", vec![]),
            ("u a(x,x) r(x) r(x) u", "u a(x,x_1) r(x,x_1) u", vec![]),
        ] {
            assert_eq!(
                sent(history).unwrap(),
                (expected.to_owned(), lost.iter().map(|path| (*path).to_owned()).collect()),
                "{history}"
            );
        }
    }

    #[test]
    fn a_conversation_does_not_end_with_a_call() {
        for (history, path) in
            [("u a(x)", "messages[1].tool_calls[0]"), ("u a(x) r(x) a(y,z)", "messages[3].tool_calls[0]")]
        {
            let error = sent(history).unwrap_err();
            assert_eq!(error.status(), 422);
            assert!(error.message().contains(path), "{}", error.message());
        }
    }
}
