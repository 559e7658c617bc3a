//! Instructions: those before a conversation, which Claude has in a place of their own, and those within.

use std::borrow::Cow;

use super::message::{cache_control, mark_on_nothing};
use super::rules::Rule;
use super::types::{Block, Message, Own};
use crate::chat::{self, Content, Losses};
use crate::wire::fields::Path;

/// Who gives instructions within a conversation.
pub(super) const SYSTEM: &str = "system";

/// The texts of a message become one block, but for a mark: with it a block ends, as what follows may change with every
/// request.
pub(super) fn blocks<'a>(
    path: &Path<'_>,
    message: &'a chat::Message,
    out: &mut Vec<Block<'a>>,
    losses: &mut Losses,
) {
    let mut is_open = false;
    for part in &message.content {
        let Content::Text { text: more, .. } = &part.content else {
            losses.add(Path::At(path, part.origin), "Anthropic takes only texts in a system prompt");
            continue;
        };
        let mark = cache_control(part.cache_control.as_ref());
        if more.is_empty() {
            mark_on_nothing(&Path::At(path, part.origin), part, losses);
            continue;
        }
        let ends = mark.is_some();
        match out.last_mut() {
            Some(Block::Text { text, cache_control, .. }) if is_open => {
                text.to_mut().push_str(more);
                *cache_control = mark;
            }
            _ => out.push(Block::Text {
                text: Cow::Borrowed(more),
                citations: Vec::new(),
                cache_control: mark,
                own: Own::of(part.extra.as_deref()),
            }),
        }
        is_open = !ends;
    }
}

/// Moves those to `system` that stand where Claude takes none: [`Rule::InstructionsPlace`]. Several one after the other
/// are one message. `asked` are the messages that `messages` were made of.
pub(super) fn place<'a>(
    system: &mut Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    asked: &[chat::Message],
    losses: &mut Losses,
) -> Vec<Message<'a>> {
    if messages.iter().all(|message| message.role != SYSTEM) {
        return messages;
    }
    let mut placed: Vec<Message<'a>> = Vec::with_capacity(messages.len());
    let mut rest = messages.into_iter().peekable();
    while let Some(mut message) = rest.next() {
        if message.role != SYSTEM {
            placed.push(message);
            continue;
        }
        let mut origins = vec![message.origin];
        while let Some(mut more) = rest.next_if(|next| next.role == SYSTEM) {
            origins.push(more.origin);
            message.content.append(&mut more.content);
        }
        let follows_user = placed.last().is_some_and(|last| last.role == "user");
        if follows_user && rest.peek().is_none_or(|next| next.role == "assistant") {
            placed.push(message);
            continue;
        }
        for message in origins.into_iter().filter_map(|origin| asked.get(origin)) {
            losses.add(Path::At(&Path::Root, message.origin), Rule::InstructionsPlace);
        }
        system.append(&mut message.content);
    }
    placed
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::chat::Losses;
    use crate::wire::anthropic::{BEDROCK_VERSION, Envelope, Params, VERTEX_VERSION, encode_request};
    use crate::wire::openai_chat::decode_request;

    /// A history in letters: `u`, `s` and `t` are what the user, the operator and the assistant say, `b` is blank, `c`
    /// calls a tool and `r` answers it. What is sent is told the same way, `system` in front, with the losses.
    fn sent(model: &str, envelope: Envelope<'_>, history: &str) -> (String, Vec<String>) {
        let message = |word: &str| match word.as_bytes()[0] {
            b'c' => json!({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}),
            b'r' => json!({"role": "tool", "tool_call_id": "c", "content": word}),
            b'u' => json!({"role": "user", "content": word}),
            b's' => json!({"role": "developer", "content": word}),
            b'b' => json!({"role": "developer", "content": " \n"}),
            _ => json!({"role": "assistant", "content": word}),
        };
        let messages: Vec<Value> = history.split(' ').map(message).collect();
        let body = json!({"model": model, "messages": messages}).to_string();
        let mut losses = Losses::default();
        let request = decode_request(body.as_bytes(), &mut losses).unwrap();
        let params = Params { envelope, model, default_max_tokens: 10 };
        let body = encode_request(&params, &request, &mut losses).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let told = |blocks: &Value| -> String {
            let words = blocks.as_array().into_iter().flatten().map(|block| match &block["type"] {
                kind if kind == "text" => block["text"].as_str().unwrap(),
                kind if kind == "tool_use" => "c",
                _ => "r",
            });
            words.collect::<Vec<_>>().join("+")
        };
        let mut all = vec![told(&body["system"])];
        for message in body["messages"].as_array().unwrap() {
            let word = told(&message["content"]);
            assert_eq!(word.starts_with('s'), message["role"] == "system", "{body}");
            all.push(word);
        }
        (all.join(" ").trim_start().to_owned(), losses.iter().map(|loss| loss.path.clone()).collect())
    }

    #[test]
    fn instructions_stay_where_claude_takes_them() {
        for (history, expected, lost) in [
            ("s1 u1 s2", "s1 u1 s2", vec![]),
            ("u1 s1 t1 u2 s2 s3 t2 u3", "u1 s1 t1 u2 s2+s3 t2 u3", vec![]),
            ("u1 c r s1 t1 u2", "u1 c r s1 t1 u2", vec![]),
            // Neither first, nor before the user, nor behind an answer.
            ("s1 s2 u1", "s1+s2 u1", vec![]),
            ("u1 s1 u2", "s1 u1 u2", vec!["messages[1]"]),
            ("u1 t1 s1 u2 s2", "s1 u1 t1 u2 s2", vec!["messages[2]"]),
            ("u1 t1 s1 s2", "s1+s2 u1 t1 Continue.", vec!["messages[2]", "messages[3]", "messages[3]"]),
            // Between a call and its result: behind the result.
            ("u1 c s1 r t1 u2", "u1 c r s1 t1 u2", vec!["messages[3]"]),
            // Nothing but white space.
            ("u1 b t1 u2 b", "u1 t1 u2", vec!["messages[1]", "messages[4]"]),
            // First, as what was before is left out.
            ("r s1 u1", "s1 u1", vec!["messages[0]", "messages[1]"]),
        ] {
            let lost: Vec<String> = lost.into_iter().map(str::to_owned).collect();
            assert_eq!(sent("claude-opus-4-8", Envelope::Native, history), (expected.to_owned(), lost));
        }
    }

    #[test]
    fn only_some_models_take_them_and_not_through_converse() {
        let bedrock = Envelope::Bedrock { version: BEDROCK_VERSION };
        for (model, envelope, is_in_place) in [
            ("claude-opus-4-7", Envelope::Native, false),
            ("claude-opus-4-8", Envelope::Native, true),
            ("claude-opus-5-5", Envelope::Native, true),
            ("claude-sonnet-5", Envelope::Native, false),
            ("claude-sonnet-5-5", Envelope::Native, true),
            ("claude-fable-5-1", Envelope::Vertex { version: VERTEX_VERSION }, true),
            ("us.anthropic.claude-opus-4-8", bedrock, true),
            ("fast", Envelope::Native, false),
        ] {
            let (told, losses) = sent(model, envelope, "u1 s1 t1 u2");
            let expected = if is_in_place { "u1 s1 t1 u2" } else { "s1 u1 t1 u2" };
            assert_eq!((told.as_str(), losses.is_empty()), (expected, is_in_place), "{model}");
        }
    }
}
