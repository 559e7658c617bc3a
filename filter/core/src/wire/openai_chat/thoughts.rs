//! Thoughts that a client sends back, gathered as clients gather them, and put where the model had them.
//!
//! Claude takes a thought only as it was: its own text with its own signature, in its own place. Clients of streams
//! hand back what their SDK made of the deltas: whole blocks, blocks merged by `index`, pieces one after the other, a
//! signature whose text went into `reasoning_content`. What leads to a thought becomes one; what does not is a loss.

use super::content::{cache_control, first_of, redacted, thought};
use crate::chat::{CacheControl, Content, Losses, Origin, Part};
use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;

/// A thought and where it was in the message.
pub(super) struct Thought {
    part: Part,
    /// Bytes of the message's text that came before it.
    after_text: usize,
    /// Calls that came before it.
    after_calls: usize,
}

/// An element of `thinking_blocks`, or several that are one block.
struct Block {
    /// Where its first element is in `thinking_blocks`.
    position: usize,
    origin: Origin,
    /// Which block it is a part of, where the client still knows.
    index: Option<u64>,
    kind: Kind,
    cache_control: Option<CacheControl>,
    after_text: usize,
    after_calls: usize,
}

enum Kind {
    Thinking { text: String, signature: String },
    Redacted { data: String },
}

/// Takes an assistant message's `thinking_blocks` and `reasoning_content`. The latter holds the same text without the
/// signatures, and counts where there is nothing else.
pub(super) fn take_thoughts(fields: &mut Fields<'_>, losses: &mut Losses) -> Result<Vec<Thought>> {
    let list = fields.list("thinking_blocks")?;
    let reasoning = match fields.take("reasoning_content") {
        Some(Json::String(text)) => text.into_owned(),
        None => String::new(),
        Some(_) => {
            losses.add(fields.path("reasoning_content"), "not a text");
            String::new()
        }
    };
    let path = fields.path("thinking_blocks");
    let mut blocks: Vec<Block> = Vec::with_capacity(list.len());
    for (position, block) in list.into_iter().enumerate() {
        if let Some(block) = decode_block(&path, position, block, losses)? {
            gather(&mut blocks, block);
        }
    }
    if blocks.is_empty() && !reasoning.is_empty() {
        blocks.push(Block::unsigned(reasoning));
    } else {
        give_text_back(&mut blocks, &reasoning, &path, losses);
    }
    let mut thoughts = Vec::with_capacity(blocks.len());
    for block in blocks {
        thoughts.extend(block.thought(&path, losses));
    }
    Ok(thoughts)
}

fn decode_block(
    path: &Path<'_>,
    position: usize,
    block: Json<'_>,
    losses: &mut Losses,
) -> Result<Option<Block>> {
    let path = Path::Index(path, position);
    let mut fields = Fields::new(&path, block)?;
    let kind = fields.text("type")?;
    let text = first_of(&mut fields, ["thinking", "text"], losses)?;
    let data = first_of(&mut fields, ["data", "redactedContent"], losses)?;
    let signature = fields.string("signature")?.unwrap_or_default();
    let kind = match kind.as_deref() {
        Some("redacted_thinking") | None if data.is_some() => {
            Kind::Redacted { data: data.unwrap_or_default() }
        }
        Some("redacted_thinking") => return Err(fields.missing("data")),
        Some("thinking") | None => Kind::Thinking { text: text.unwrap_or_default(), signature },
        Some(_) => {
            losses.add(path, "a thinking block of an unknown type");
            return Ok(None);
        }
    };
    let cache_control = cache_control(&mut fields, losses)?;
    let place = |count: Option<u64>| count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let block = Block {
        position,
        origin: Origin::new("thinking_blocks", position),
        index: fields.u64("index")?,
        kind,
        cache_control,
        after_text: place(fields.u64("after_text")?),
        after_calls: place(fields.u64("after_calls")?),
    };
    fields.finish(losses);
    Ok(Some(block))
}

/// Adds `block`, or makes it part of the one that it is a piece of: that of its index, or, where there is none, the
/// last one while that waits for its signature.
fn gather(blocks: &mut Vec<Block>, block: Block) {
    let Kind::Thinking { text: more_text, signature: more_signature } = &block.kind else {
        return blocks.push(block);
    };
    let place = blocks.last().map(|last| (last.after_text, last.after_calls)).unwrap_or_default();
    let open = blocks.last_mut().and_then(|last| match &mut last.kind {
        Kind::Thinking { text, signature } => {
            let is_same = last.index.is_some() && last.index == block.index;
            // A signature that brings text of its own is a block of its own.
            let waits = signature.is_empty() && (more_signature.is_empty() || more_text.is_empty());
            // Pieces of one block are in one place.
            let is_elsewhere = place != (block.after_text, block.after_calls);
            let knows_better = last.index.is_some() && block.index.is_some();
            (is_same || waits && !knows_better && !is_elsewhere).then_some((text, signature))
        }
        Kind::Redacted { .. } => None,
    });
    match open {
        Some((text, signature)) => {
            text.push_str(more_text);
            signature.push_str(more_signature);
        }
        None => blocks.push(block),
    }
}

/// A signed block without text is whole where the provider left the text out. Where the message's reasoning has more
/// text than the other blocks, that is the missing one; whose it is can be told for one block only.
fn give_text_back(blocks: &mut Vec<Block>, reasoning: &str, path: &Path<'_>, losses: &mut Losses) {
    let mut before = String::new();
    let mut after = String::new();
    let mut empty = 0_usize;
    for block in blocks.iter() {
        match &block.kind {
            Kind::Thinking { text, signature } if text.is_empty() && !signature.is_empty() => {
                empty = empty.saturating_add(1);
            }
            Kind::Thinking { text, .. } if empty == 0 => before.push_str(text),
            Kind::Thinking { text, .. } => after.push_str(text),
            Kind::Redacted { .. } => {}
        }
    }
    let known = before.len().saturating_add(after.len());
    if empty == 0 || reasoning.is_empty() || known == reasoning.len() && reasoning.starts_with(&before) {
        return;
    }
    let missing = reasoning.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
    let missing = missing.filter(|_| empty == 1);
    blocks.retain_mut(|block| match &mut block.kind {
        Kind::Thinking { text, signature } if text.is_empty() && !signature.is_empty() => match missing {
            Some(missing) => {
                missing.clone_into(text);
                true
            }
            None => {
                losses.add(Path::Index(path, block.position), "a signature whose text is not there");
                false
            }
        },
        _ => true,
    });
}

/// The message's parts in the model's order: thoughts stand where they say, and cut the text in two for it.
pub(super) fn put_together(thoughts: Vec<Thought>, mut content: Vec<Part>, calls: Vec<Part>) -> Vec<Part> {
    if thoughts.is_empty() {
        content.extend(calls);
        return content;
    }
    let mut parts =
        Vec::with_capacity(thoughts.len().saturating_add(content.len()).saturating_add(calls.len()));
    let mut thoughts = thoughts.into_iter().peekable();
    let mut written = 0_usize;
    for part in content {
        let Part { content: Content::Text { mut text, annotations }, .. } = part else {
            parts.push(part);
            continue;
        };
        let part = Part { content: Content::text(""), ..part };
        while let Some(thought) = thoughts.next_if(|thought| {
            let is_inside =
                thought.after_text <= written || thought.after_text < written.saturating_add(text.len());
            thought.after_calls == 0 && is_inside
        }) {
            let cut = text.floor_char_boundary(thought.after_text.saturating_sub(written));
            if cut > 0 {
                let rest = text.split_off(cut);
                written = written.saturating_add(cut);
                let before = Content::text(std::mem::replace(&mut text, rest));
                parts.push(Part { origin: part.origin, ..Part::new(before) });
            }
            parts.push(thought.part);
        }
        written = written.saturating_add(text.len());
        parts.push(Part { content: Content::Text { text, annotations }, ..part });
    }
    while let Some(thought) = thoughts.next_if(|thought| thought.after_calls == 0) {
        parts.push(thought.part);
    }
    for (number, call) in (1..).zip(calls) {
        parts.push(call);
        while let Some(thought) = thoughts.next_if(|thought| thought.after_calls <= number) {
            parts.push(thought.part);
        }
    }
    parts.extend(thoughts.map(|thought| thought.part));
    parts
}

impl Block {
    fn unsigned(text: String) -> Self {
        Self {
            position: 0,
            origin: Origin { member: "reasoning_content", index: None },
            index: None,
            kind: Kind::Thinking { text, signature: String::new() },
            cache_control: None,
            after_text: 0,
            after_calls: 0,
        }
    }

    /// The thought that the block is. Without a signature that counts there is the text.
    fn thought(self, list: &Path<'_>, losses: &mut Losses) -> Option<Thought> {
        let path = Path::Index(list, self.position);
        let part = match self.kind {
            Kind::Redacted { data } => redacted(&Path::Key(&path, "data"), data, losses)?,
            Kind::Thinking { text, signature } => {
                thought(text, &Path::Key(&path, "signature"), signature, losses)
            }
        };
        Some(Thought {
            part: Part { cache_control: self.cache_control, origin: self.origin, ..part },
            after_text: self.after_text,
            after_calls: self.after_calls,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::fields::parse;
    use crate::wire::json::Shape;

    /// Thoughts as `text/signature`, redacted ones as `[data]`, and how many losses there were.
    fn thoughts(message: &Value) -> (Vec<String>, usize) {
        let mut losses = Losses::default();
        let message = serde_json::to_vec(message).unwrap();
        let message = parse("/", &Shape::Tree, &message).unwrap();
        let mut fields = Fields::new(&Path::Root, message).unwrap();
        let thoughts = take_thoughts(&mut fields, &mut losses).unwrap();
        let shown = thoughts.into_iter().map(|thought| {
            let seal = thought.part.seal.map(|seal| seal.data).unwrap_or_default();
            match thought.part.content {
                Content::Thinking { text } => format!("{text}/{seal}"),
                Content::RedactedThinking => format!("[{seal}]"),
                other => format!("{other:?}"),
            }
        });
        (shown.collect(), losses.count())
    }

    fn of(blocks: Value, reasoning: &str) -> Vec<String> {
        let (thoughts, losses) =
            thoughts(&json!({"thinking_blocks": blocks, "reasoning_content": reasoning}));
        assert_eq!(losses, 0, "{thoughts:?}");
        thoughts
    }

    fn text(text: &str) -> Value {
        json!({"type": "thinking", "thinking": text})
    }

    fn signed(text: &str, signature: &str) -> Value {
        json!({"type": "thinking", "thinking": text, "signature": format!("claude:{signature}")})
    }

    fn redacted(data: &str) -> Value {
        json!({"type": "redacted_thinking", "data": format!("claude:{data}")})
    }

    #[test]
    fn a_proof_that_does_not_say_whose_it_is_does_not_count() {
        let foreign = json!({"type": "thinking", "thinking": "a", "signature": "EtYCCkYIBxgC"});
        let other = json!({"type": "redacted_thinking", "data": "gAAAAABo"});
        let unknown = json!({"type": "thinking", "thinking": "c", "signature": "someone:CpQB"});
        let blocks = json!({"thinking_blocks": [foreign, other, signed("b", "s"), unknown]});
        assert_eq!(thoughts(&blocks), (["a/", "b/s", "c/"].map(str::to_owned).to_vec(), 3));
        // That of another provider stays with its name on it, and counts there.
        assert_eq!(of(json!([{"type": "thinking", "thinking": "a", "signature": "gemini:s"}]), ""), ["a/s"]);
    }

    #[test]
    fn whole_blocks_stay_as_they_are() {
        assert_eq!(
            of(json!([signed("a", "s"), redacted("d"), signed("b", "t")]), "ab"),
            ["a/s", "[d]", "b/t"]
        );
        assert_eq!(
            of(json!([signed("", "s"), signed("", "t")]), ""),
            ["/s", "/t"],
            "thoughts that are not shown"
        );
        assert_eq!(of(json!([signed("", "s"), signed("b", "t")]), "b"), ["/s", "b/t"]);
        assert_eq!(of(json!([signed("a", "s"), signed("b", "t")]), "anything"), ["a/s", "b/t"]);
    }

    #[test]
    fn pieces_are_put_together() {
        let pieces = json!([text("a"), text("b"), signed("", "s"), text("c"), signed("", "t")]);
        assert_eq!(of(pieces, "abc"), ["ab/s", "c/t"]);
        let unsigned = json!({"type": "thinking", "thinking": "a", "signature": null});
        assert_eq!(of(json!([unsigned, {"type": "thinking", "signature": "claude:s"}]), ""), ["a/s"]);
        let numbered = |index: u64, text: &str, signature: &str| json!({"type": "thinking", "index": index, "thinking": text, "signature": signature});
        let pieces = json!([
            numbered(0, "a", ""),
            numbered(0, "b", "claude:s"),
            numbered(0, "", "+"),
            numbered(1, "", "claude:t")
        ]);
        assert_eq!(of(pieces, "ab"), ["ab/s+", "/t"]);
    }

    #[test]
    fn a_signature_finds_its_text_in_the_reasoning() {
        assert_eq!(of(json!([signed("", "s")]), "all of it"), ["all of it/s"]);
        assert_eq!(
            of(json!([signed("a", "s"), signed("", "t"), signed("c", "u")]), "abc"),
            ["a/s", "b/t", "c/u"]
        );
        assert_eq!(of(json!([redacted("d"), signed("", "t")]), "b"), ["[d]", "b/t"]);
    }

    #[test]
    fn what_cannot_be_a_thought_of_claude_is_left_out() {
        let two = json!({"thinking_blocks": [signed("", "s"), signed("", "t")], "reasoning_content": "ab"});
        assert_eq!(thoughts(&two), (vec![], 2));
        let other =
            json!({"thinking_blocks": [signed("a", "s"), signed("", "t")], "reasoning_content": "xyz"});
        assert_eq!(thoughts(&other), (vec!["a/s".to_owned()], 1));
        let new = json!({"thinking_blocks": [{"type": "new"}], "reasoning_content": {"a": 1}});
        assert_eq!(thoughts(&new), (vec![], 2));
        // The encoder leaves it out, and says so.
        assert_eq!(thoughts(&json!({"reasoning_content": "a"})), (vec!["a/".to_owned()], 0));
    }

    #[test]
    fn thoughts_stand_where_they_were() {
        let thought = |name: &str, after_text, after_calls| Thought {
            part: Part::thinking(name, None),
            after_text,
            after_calls,
        };
        let call = |id: &str| {
            Part::new(Content::ToolCall { id: id.to_owned(), name: String::new(), arguments: String::new() })
        };
        let order = |thoughts, content, calls| -> String {
            let parts = put_together(thoughts, content, calls);
            let shown = parts.into_iter().map(|part| match part.content {
                Content::Text { text, .. } => text,
                Content::Thinking { text } => format!("<{text}>"),
                Content::ToolCall { id, .. } => format!("({id})"),
                _ => "?".to_owned(),
            });
            shown.collect::<Vec<_>>().join(" ")
        };
        let all = vec![thought("a", 0, 0), thought("b", 2, 0), thought("c", 5, 0), thought("d", 5, 1)];
        let content = vec![Part::text("füxyz")];
        assert_eq!(order(all, content, vec![call("1"), call("2")]), "<a> f <b> üxy <c> z (1) <d> (2)");
        let late = vec![thought("a", 0, 0), thought("b", 99, 0), thought("c", 0, 99)];
        assert_eq!(
            order(late, vec![Part::text("x"), Part::text("y")], vec![call("1")]),
            "<a> x y <b> (1) <c>"
        );
        assert_eq!(order(vec![thought("a", 3, 0)], vec![], vec![call("1")]), "<a> (1)");
        let two = vec![thought("a", 1, 0), thought("b", 1, 0)];
        assert_eq!(order(two, vec![Part::text("xy")], vec![]), "x <a> <b> y");
    }
}
