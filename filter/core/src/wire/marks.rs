//! Marks for prompt caches, where they are asked for and a client that knows nothing of them gave none.
//!
//! What stays the same is marked: the tools, the instructions, and the last turn of the user, up to which the next
//! request repeats this one. So three of the four marks that Claude takes.

use serde_json::value::RawValue;

use crate::chat::{CacheControl, Content, Message, Part, Request, Role, Tool};
use crate::codec::json::{self, member};
use crate::codec::splice::{self, Edit};

/// Where a backend takes marks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// At the last of the tools.
    pub tools: bool,
    /// At the end of the instructions.
    pub system: bool,
    /// At the end of the user's last turn.
    pub turn: bool,
}

impl Marks {
    /// Everywhere.
    pub const ALL: Marks = Marks { tools: true, system: true, turn: true };

    /// Sets them, unless the request has one.
    pub(super) fn set(self, request: &mut Request) {
        if is_marked(request) {
            return;
        }
        let functions = request.tools.iter_mut().filter_map(|tool| match tool {
            Tool::Function(function) => Some(&mut function.cache_control),
            Tool::Hosted(_) => None,
        });
        let tools = functions.last().filter(|_| self.tools);
        let is_instruction = |message: &Message| matches!(message.role, Role::System | Role::Developer);
        let begins = request.messages.iter().take_while(|message| is_instruction(message)).count();
        let (instructions, turns) = request.messages.split_at_mut(begins);
        let system = instructions.last_mut().filter(|_| self.system).and_then(end);
        let turn = turns.iter_mut().rev().find(|message| message.role == Role::User);
        let turn = turn.filter(|_| self.turn).and_then(end);
        for place in tools.into_iter().chain(system).chain(turn) {
            *place = Some(CacheControl::default());
        }
    }
}

fn is_marked(request: &Request) -> bool {
    let on_tool = |tool: &Tool| match tool {
        Tool::Function(function) => function.cache_control.is_some(),
        Tool::Hosted(_) => false,
    };
    let parts = || request.messages.iter().flat_map(|message| &message.content);
    request.cache.automatic.is_some() || request.tools.iter().any(on_tool) || parts().any(is_part_marked)
}

fn is_part_marked(part: &Part) -> bool {
    let within = match &part.content {
        Content::ToolResult { content, .. } => content.iter().any(is_part_marked),
        _ => false,
    };
    within || part.cache_control.is_some()
}

/// The last place in a message that may be marked: no thought, and no text without a letter.
fn end(message: &mut Message) -> Option<&mut Option<CacheControl>> {
    let takes_it = |part: &&mut Part| match &part.content {
        Content::Text { text, .. } => !text.is_empty(),
        Content::Media { .. } | Content::ToolCall { .. } | Content::ToolResult { .. } => true,
        Content::Thinking { .. } | Content::RedactedThinking | Content::Refusal(_) | Content::Foreign(_) => {
            false
        }
    };
    message.content.iter_mut().rev().find(takes_it).map(|part| &mut part.cache_control)
}

/// A mark in Anthropic's words.
const MARK: &str = r#"{"type":"ephemeral"}"#;

/// A body of `POST /v1/messages` with them; `None` where it has one, or no place for any.
#[must_use]
pub fn marked(body: &[u8]) -> Option<Vec<u8>> {
    // In a text the quotes would be escaped.
    if memchr::memmem::find(body, b"\"cache_control\"").is_some() {
        return None;
    }
    let [tools, system, messages] = json::scan(body, ["tools", "system", "messages"]).ok()?.members;
    let change = |member: Option<json::Member>, change: fn(&[u8]) -> Option<Vec<u8>>| {
        member.and_then(|member| change(member.raw(body)))
    };
    let changed = [
        ("tools", change(tools, |raw| last(raw, tool))),
        ("system", change(system, content)),
        ("messages", change(messages, |raw| last(raw, turn))),
    ];
    let edits = changed.into_iter().filter_map(|(name, value)| Some(Edit::Set(name, value?.into())));
    splice::edited(body, &edits.collect::<Vec<_>>())
}

/// The list `raw` with the last of its elements changed that `change` makes something of.
fn last(raw: &[u8], change: fn(&[u8]) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let elements: Vec<&RawValue> = serde_json::from_slice(raw).ok()?;
    let mut from_the_end = elements.iter().enumerate().rev();
    let changed = |(index, element): (usize, &&RawValue)| Some((index, change(element.get().as_bytes())?));
    let (index, mut changed) = from_the_end.find_map(changed)?;
    splice::elements(raw, |at, _| (at == index).then(|| std::mem::take(&mut changed)))
}

fn with_mark(object: &[u8]) -> Option<Vec<u8>> {
    splice::edited(object, &[Edit::Set("cache_control", MARK.as_bytes().into())])
}

fn tool(raw: &[u8]) -> Option<Vec<u8>> {
    // What is loaded later is not at the beginning of a prompt.
    let is_deferred =
        member(raw, "defer_loading").is_some_and(|deferred| deferred.as_bool(raw) == Some(true));
    if is_deferred { None } else { with_mark(raw) }
}

fn turn(raw: &[u8]) -> Option<Vec<u8>> {
    let is_users = member(raw, "role").is_some_and(|role| role.raw(raw) == b"\"user\"");
    let content = member(raw, "content").filter(|_| is_users).and_then(|said| content(said.raw(raw)))?;
    splice::edited(raw, &[Edit::Set("content", content.into())])
}

/// A text becomes a block, since only that can be marked.
fn content(raw: &[u8]) -> Option<Vec<u8>> {
    match raw {
        b"\"\"" => None,
        [b'"', ..] => Some(
            [br#"[{"type":"text","text":"#, raw, br#","cache_control":"#, MARK.as_bytes(), b"}]"].concat(),
        ),
        _ => last(raw, block),
    }
}

fn block(raw: &[u8]) -> Option<Vec<u8>> {
    let is_it = |name: &str, value: &[u8]| member(raw, name).is_some_and(|member| member.raw(raw) == value);
    let is_thought = is_it("type", b"\"thinking\"") || is_it("type", b"\"redacted_thinking\"");
    if is_thought || is_it("text", b"\"\"") { None } else { with_mark(raw) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::chat::Losses;
    use crate::endpoint::Endpoint;

    fn request(body: &Value) -> Request {
        let client = Endpoint::ChatCompletions.operation().conversation().unwrap();
        client.decode(body.to_string().as_bytes(), &mut Losses::default()).unwrap()
    }

    /// Which parts are marked, by message and part, and which tools.
    fn places(request: &Request) -> (Vec<(usize, usize)>, Vec<usize>) {
        let parts = request.messages.iter().enumerate().flat_map(|(message, content)| {
            let marked = content.content.iter().enumerate().filter(|(_, part)| part.cache_control.is_some());
            marked.map(move |(part, _)| (message, part))
        });
        let tools = request.tools.iter().enumerate();
        let tools =
            tools.filter(|(_, tool)| matches!(tool, Tool::Function(tool) if tool.cache_control.is_some()));
        (parts.collect(), tools.map(|(index, _)| index).collect())
    }

    fn asked() -> Value {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
        json!({
            "model": "m",
            "tools": [tool("f"), tool("g")],
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "user", "content": "c"},
                {"role": "assistant", "content": "d"},
                {"role": "user", "content": [{"type": "text", "text": "e"}, {"type": "text", "text": ""}]},
            ],
        })
    }

    #[test]
    fn what_stays_the_same_is_marked() {
        let mut all = request(&asked());
        Marks::ALL.set(&mut all);
        assert_eq!(places(&all), (vec![(0, 1), (3, 0)], vec![1]));
        let mut some = request(&asked());
        Marks { system: true, ..Marks::default() }.set(&mut some);
        assert_eq!(places(&some), (vec![(0, 1)], vec![]));
    }

    #[test]
    fn who_marks_has_the_say() {
        let mut body = asked();
        body["messages"][0]["content"][0]["cache_control"] = json!({"type": "ephemeral"});
        let mut marked_already = request(&body);
        Marks::ALL.set(&mut marked_already);
        assert_eq!(places(&marked_already), (vec![(0, 0)], vec![]));
        assert_eq!(marked(br#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","cache_control":null}]}]}"#), None);
    }

    #[test]
    fn a_body_of_messages_keeps_every_other_byte() {
        let body = r#"{"model": "m","system":"s","tools":[{"name":"f"}, {"name":"g","defer_loading":true}],
            "messages": [{"role":"user","content":"a \"cache_control\" b"},{"role":"assistant","content":"c"}, {"role":"user","content":[{"type":"tool_result","tool_use_id":"t"},{"type":"text","text":""}]}], "n":1}"#;
        let expected = r#"{"model": "m","system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"f","cache_control":{"type":"ephemeral"}},{"name":"g","defer_loading":true}],
            "messages": [{"role":"user","content":"a \"cache_control\" b"},{"role":"assistant","content":"c"},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","cache_control":{"type":"ephemeral"}},{"type":"text","text":""}]}], "n":1}"#;
        assert_eq!(String::from_utf8(marked(body.as_bytes()).unwrap()).unwrap(), expected);
    }

    #[test]
    fn what_has_no_place_for_a_mark_stays() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"messages":[]}"#,
            r#"{"messages":[{"role":"user","content":""}],"system":[]}"#,
            r#"{"messages":[{"role":"assistant","content":"a"}]}"#,
            r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"t"}]}]}"#,
            r#"{"messages":"x","system":7,"tools":{}}"#,
        ] {
            assert_eq!(marked(body.as_bytes()), None, "{body}");
        }
    }
}
