//! The calls of a streamed choice, put together from their pieces.
//!
//! Pieces say by an index which call they belong to, and usually one call follows the other. But servers that
//! decode calls in parallel mix them, some give all calls one index, or none, and some announce all names before
//! the arguments. The neutral form has one block after the other: the first call that is not complete is told as it
//! comes, and what belongs to later ones waits for it.

use super::answer::Call;
use crate::chat::{BlockStart, Delta, Event, Seal};
use crate::error::{Error, Result};
use crate::wire::openai::custom;

/// Calls of one choice. A server that goes beyond does not follow its API.
const MAX_CALLS: usize = 256;

/// What may wait for the calls before it, in bytes.
const MAX_WAITING: usize = 4 << 20;

/// The id of a call that has none, from what is unique among the gateway's answers.
pub(in crate::wire) fn call_id(answer: &str, number: usize) -> String {
    format!("call_{answer}_{number}")
}

/// What tells blocks and calls of an answer apart.
#[derive(Debug)]
pub(super) struct Numbers {
    /// What the answer is called.
    pub(super) answer: String,
    blocks: u32,
    calls: usize,
    /// The calls that ended without naming a tool, by their place among those of their choice; they are told as losses.
    pub(super) nameless: Vec<usize>,
}

impl Numbers {
    pub(super) fn new(answer: &str) -> Self {
        Self { answer: answer.to_owned(), blocks: 0, calls: 0, nameless: Vec::new() }
    }

    pub(super) fn block(&mut self) -> u32 {
        let block = self.blocks;
        self.blocks = block.saturating_add(1);
        block
    }
}

/// The calls of a choice, in their order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<OneCall>,
    /// Those before are complete, and their blocks stopped.
    first_open: usize,
    /// Bytes that wait.
    waiting: usize,
}

#[derive(Debug, Default)]
struct OneCall {
    index: Option<u64>,
    id: Option<String>,
    name: Option<String>,
    seal: Option<Seal>,
    /// Its block, once that was started.
    block: Option<u32>,
    /// Arguments that were not told yet.
    arguments: String,
    /// They say the text that a custom tool is given, which has no end of its own.
    is_custom: bool,
    json: Json,
}

impl Calls {
    /// Whether there is none that names its tool.
    pub(super) fn is_empty(&self) -> bool {
        !self.calls.iter().any(|call| call.name.is_some())
    }

    /// Takes a piece, and tells what can be told.
    ///
    /// # Errors
    ///
    /// 502 for more than any answer has.
    pub(super) fn piece(
        &mut self,
        choice: u32,
        piece: Call<'_>,
        numbers: &mut Numbers,
        name_of: impl Fn(String) -> String,
        out: &mut Vec<Event>,
    ) -> Result<()> {
        let seal = piece.seal();
        let Call { index, id, function, custom, .. } = piece;
        let is_custom = function.is_none() && custom.is_some();
        let (mut arguments, name) = match (function, custom) {
            (Some(function), _) => (function.arguments(), function.name.said()),
            (None, Some(custom)) => (custom::piece(custom.input.as_str()), custom.name.said()),
            (None, None) => (String::new(), None),
        };
        let id = id.said();
        let position = self.position(index.get(), id.as_deref(), name.is_some());
        let position = match position {
            Some(position) => position,
            None if self.calls.len() >= MAX_CALLS => {
                return Err(Error::bad_answer("the backend calls more tools at once than there are"));
            }
            None => {
                self.calls.push(OneCall { index: index.get(), ..OneCall::default() });
                self.calls.len().saturating_sub(1)
            }
        };
        let is_late = position < self.first_open;
        let Some(call) = self.calls.get_mut(position) else { return Ok(()) };
        if is_late {
            // Its block has stopped, at its end or because something else began.
            let is_nothing = if call.is_custom { arguments.is_empty() } else { arguments.trim().is_empty() };
            return if call.json.is_complete() || is_nothing {
                Ok(())
            } else {
                Err(Error::bad_answer(
                    "the backend went on with a call of a tool after it had said something else",
                ))
            };
        }
        call.id = call.id.take().or(id);
        call.name = call.name.take().or_else(|| name.map(name_of));
        call.seal = call.seal.take().or(seal);
        if is_custom && !std::mem::replace(&mut call.is_custom, true) {
            arguments.insert_str(0, custom::BEFORE);
        }
        call.json.read(&arguments);
        call.arguments.push_str(&arguments);
        self.waiting = self.waiting.saturating_add(arguments.len());
        self.tell(choice, numbers, out);
        if self.waiting > MAX_WAITING {
            return Err(Error::bad_answer("the backend mixes calls of tools that are too large"));
        }
        Ok(())
    }

    /// Which call a piece belongs to; `None`: a new one.
    fn position(&self, index: Option<u64>, id: Option<&str>, is_named: bool) -> Option<usize> {
        if let Some(id) = id
            && let Some(position) = self.calls.iter().rposition(|call| call.id.as_deref() == Some(id))
        {
            return Some(position);
        }
        let position = match index {
            Some(index) => self.calls.iter().rposition(|call| call.index == Some(index))?,
            None => self.calls.len().checked_sub(1)?,
        };
        let call = self.calls.get(position)?;
        // Another id says that it is another call, unless the one before still has something to come: some servers
        // make a new id for every piece.
        let may_be_whole = call.is_custom || call.json.is_complete();
        let is_other = is_named && id.is_some() && call.id.is_some() && may_be_whole;
        (!is_other).then_some(position)
    }

    /// Tells all that has its turn.
    fn tell(&mut self, choice: u32, numbers: &mut Numbers, out: &mut Vec<Event>) {
        let count = self.calls.len();
        while let Some(call) = self.calls.get_mut(self.first_open) {
            if !call.start(choice, numbers, out) {
                return;
            }
            self.waiting = self.waiting.saturating_sub(call.arguments.len());
            call.flush(out);
            let is_last = self.first_open.saturating_add(1) >= count;
            if is_last || !call.json.is_complete() {
                return;
            }
            call.stop(out);
            self.first_open = self.first_open.saturating_add(1);
        }
    }

    /// Nothing follows: tells the rest.
    pub(super) fn finish(&mut self, choice: u32, numbers: &mut Numbers, out: &mut Vec<Event>) {
        for (position, call) in self.calls.iter_mut().enumerate().skip(self.first_open) {
            if call.is_custom {
                call.arguments.push_str(custom::BEHIND);
            }
            if call.start(choice, numbers, out) {
                call.flush(out);
                call.stop(out);
            } else {
                numbers.nameless.push(position);
            }
        }
        self.first_open = self.calls.len();
        self.waiting = 0;
    }
}

impl OneCall {
    /// Starts its block, if it is known of which tool. False: it is not.
    fn start(&mut self, choice: u32, numbers: &mut Numbers, out: &mut Vec<Event>) -> bool {
        if self.block.is_some() {
            return true;
        }
        let Some(name) = self.name.clone() else { return false };
        let index = numbers.block();
        let id = self.id.clone().unwrap_or_else(|| call_id(&numbers.answer, numbers.calls));
        numbers.calls = numbers.calls.saturating_add(1);
        self.block = Some(index);
        out.push(Event::BlockStart { index, choice, id: None, block: BlockStart::ToolCall { id, name } });
        if let Some(Seal { by, data }) = self.seal.take() {
            out.push(Event::BlockDelta { index, delta: Delta::Seal(by, data) });
        }
        true
    }

    fn flush(&mut self, out: &mut Vec<Event>) {
        if let Some(index) = self.block.filter(|_| !self.arguments.is_empty()) {
            let delta = Delta::Arguments(std::mem::take(&mut self.arguments));
            out.push(Event::BlockDelta { index, delta });
        }
    }

    fn stop(&mut self, out: &mut Vec<Event>) {
        out.extend(self.block.map(|index| Event::BlockStop { index }));
    }
}

/// How far the text of an object has come.
#[derive(Debug, Default)]
struct Json {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    has_begun: bool,
}

impl Json {
    fn read(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.in_string {
                self.in_string = self.is_escaped || byte != b'"';
                self.is_escaped = byte == b'\\' && !self.is_escaped;
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    self.has_begun = true;
                    self.depth = self.depth.saturating_add(1);
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.has_begun && self.depth == 0 && !self.in_string
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::CODEC;
    use super::super::tests::asked;
    use super::*;
    use crate::chat::{Content, Losses};
    use crate::wire::BackendCodec as _;

    #[test]
    fn an_object_is_complete_at_its_last_brace() {
        let complete = |pieces: &[&str]| {
            let mut json = Json::default();
            pieces.iter().for_each(|piece| json.read(piece));
            json.is_complete()
        };
        for pieces in [&["{}"][..], &["{\"a\\", "\"}\":", "[{}]}"], &["{\"", "{", "\":1", "} "]] {
            assert!(complete(pieces), "{pieces:?}");
        }
        for pieces in [&[""][..], &["{"], &["{\"a\":\"}"], &["{\"a\\\"}"], &["7"]] {
            assert!(!complete(pieces), "{pieces:?}");
        }
    }

    /// The text that a server's own tool is given is read as the argument of a function, whole and streamed.
    #[test]
    fn a_custom_call_says_its_text() {
        let piece = |index: Value, id: Option<&str>, input: &str| {
            let name = id.map(|_| "x");
            json!({"index": index, "id": id, "type": "custom", "custom": {"name": name, "input": input}})
        };
        let indices: [fn(usize) -> Value; 2] = [|number| json!(number), |_| Value::Null];
        for index in indices {
            let pieces = json!([
                piece(index(0), Some("c1"), ""),
                piece(index(0), None, "a\"}"),
                piece(index(0), None, "\n\\"),
                piece(index(1), Some("c2"), "b"),
            ]);
            let whole = json!([piece(index(0), Some("c1"), "a\"}\n\\"), piece(index(1), Some("c2"), "b")]);
            let answer = json!({"choices": [{"message": {"tool_calls": whole}}]}).to_string();
            let mut losses = Losses::default();
            let reply = CODEC.reply(&asked(), answer.as_bytes(), &mut losses).unwrap();
            let (mut reader, mut events) = (CODEC.events(&asked()), Vec::new());
            for piece in pieces.as_array().unwrap() {
                let chunk = json!({"id": "c", "choices": [{"delta": {"tool_calls": [piece]}}]}).to_string();
                reader.event(None, chunk.as_bytes(), &mut losses, &mut events);
            }
            reader.event(None, b"[DONE]", &mut losses, &mut events);
            assert!(losses.is_empty());
            let mut arguments = vec![String::new(); 2];
            for event in &events {
                if let Event::BlockDelta { index, delta: Delta::Arguments(more) } = event {
                    arguments[usize::try_from(*index).unwrap()].push_str(more);
                }
            }
            let [one, other] = [r#"{"input":"a\"}\n\\"}"#, r#"{"input":"b"}"#];
            assert_eq!(arguments, [one, other]);
            let told = reply.choices[0].content.iter().map(|part| match &part.content {
                Content::ToolCall { arguments, .. } => arguments.as_str(),
                _ => "",
            });
            assert_eq!(told.collect::<Vec<_>>(), [one, other]);
        }
    }
}
