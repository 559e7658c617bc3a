//! The items of an answer, made of the blocks of the neutral form, with the events that tell of them.

use std::rc::Rc;

use serde_json::value::{RawValue, to_raw_value};

use super::events::{Detail, Events, OfItem};
use super::ids::Id;
use super::item::{Content, Open, Part, Text, UrlCitation};
use crate::chat::{Annotation, Losses, Request, Seal, TokenLogprob};
use crate::wire::openai::custom;
use crate::wire::openai_chat;

/// About what an item or a part has around its content, in bytes.
pub(super) const AROUND: usize = 256;

/// What there is of an answer.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) id: Id,
    pub(super) events: Events,
    /// There is a message or a call.
    pub(super) is_said: bool,
    /// Its tools tell which calls are of custom ones.
    asked: Rc<Request>,
    /// Items that are not complete, or may not be: what comes next says so.
    open: Vec<Open>,
    /// Items by their place in the answer, those that are complete.
    items: Vec<Option<Box<RawValue>>>,
    /// Log probabilities that came before the text they are of.
    logprobs: Vec<TokenLogprob>,
}

/// A block that has not ended.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) index: u32,
    pub(super) kind: Kind,
    pub(super) seal: Option<Seal>,
    /// Where its item is in the answer, once the client knows of it. Texts share theirs.
    pub(super) item: Option<usize>,
}

#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Refusal,
    Thinking,
    Redacted,
    Call { id: String, name: String },
}

impl Output {
    pub(super) fn new(id: Id, asked: Rc<Request>) -> Self {
        let events = Events::default();
        let (open, items, logprobs) = (Vec::new(), Vec::new(), Vec::new());
        Self { id, events, is_said: false, asked, open, items, logprobs }
    }

    /// The items that are complete, in their order.
    pub(super) fn complete_items(&self) -> Vec<&RawValue> {
        self.items.iter().filter_map(Option::as_deref).collect()
    }

    /// Adds `text`: gives how many more bytes are held.
    pub(super) fn text(
        &mut self,
        block: &mut Block,
        text: &str,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> usize {
        if text.is_empty() {
            return 0;
        }
        let around = if growing(&mut self.open, block.index).is_some() { 0 } else { AROUND };
        self.begin(block, losses, out);
        let Some((item, part, at)) = growing(&mut self.open, block.index) else { return 0 };
        part.text.push_str(text);
        part.characters = part.characters.saturating_add(text.chars().count());
        // A refusal has no place for them.
        let tokens = if part.is_refusal { Vec::new() } else { std::mem::take(&mut self.logprobs) };
        let detail = Detail {
            delta: Some(text),
            content_index: Some(at),
            logprobs: (!part.is_refusal).then(|| openai_chat::TokenLogprob::list(&tokens)),
            ..of(&item)
        };
        let kind = if part.is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        self.events.write(kind, &detail, out);
        part.logprobs.extend(tokens);
        around.saturating_add(text.len())
    }

    /// Adds a source: gives how many more bytes are held.
    pub(super) fn annotation(
        &mut self,
        block: &mut Block,
        annotation: &Annotation,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) -> usize {
        // One that comes before its text has nothing to stand on.
        let Some((item, part, at)) = growing(&mut self.open, block.index) else {
            lose_source(block.index, losses);
            return 0;
        };
        let span = annotation.span.unwrap_or((0, part.characters));
        let annotation = Annotation { span: Some(span), ..annotation.clone() };
        let Some(told) = UrlCitation::of(&annotation, part.characters) else {
            lose_source(block.index, losses);
            return 0;
        };
        let detail = Detail {
            content_index: Some(at),
            annotation_index: Some(part.annotations.len()),
            annotation: Some(told),
            ..of(&item)
        };
        self.events.write("response.output_text.annotation.added", &detail, out);
        let size = annotation.size();
        part.annotations.push(annotation);
        size
    }

    pub(super) fn thinking(&mut self, block: &mut Block, more: &str, losses: &mut Losses, out: &mut Vec<u8>) {
        if more.is_empty() {
            return;
        }
        self.begin(block, losses, out);
        let Some(Open { index, id, content: Content::Reasoning { text, .. }, .. }) =
            item_of(&mut self.open, block)
        else {
            return;
        };
        let item = Place { id, index: *index };
        let summary_index = Some(0);
        if text.is_empty() {
            let part = Some(Part::SummaryText { text: "" });
            let detail = Detail { summary_index, part, ..of(&item) };
            self.events.write("response.reasoning_summary_part.added", &detail, out);
        }
        let detail = Detail { summary_index, delta: Some(more), ..of(&item) };
        self.events.write("response.reasoning_summary_text.delta", &detail, out);
        text.push_str(more);
    }

    pub(super) fn arguments(
        &mut self,
        block: &mut Block,
        more: &str,
        losses: &mut Losses,
        out: &mut Vec<u8>,
    ) {
        if more.is_empty() {
            return;
        }
        self.begin(block, losses, out);
        let Some(Open { index, id, content: Content::Call { given, is_custom, .. }, .. }) =
            item_of(&mut self.open, block)
        else {
            return;
        };
        given.push_str(more);
        // What a custom tool is given is within these, and told once it is whole.
        if !*is_custom {
            let detail = Detail { delta: Some(more), ..of(&Place { id, index: *index }) };
            self.events.write("response.function_call_arguments.delta", &detail, out);
        }
    }

    /// The block has ended.
    pub(super) fn stop(&mut self, mut block: Block, losses: &mut Losses, out: &mut Vec<u8>) {
        match block.kind {
            Kind::Text | Kind::Refusal => {
                self.end_part(Some(block.index), out);
                // Texts have no place for a seal: it stands behind as that of a thought that says nothing.
                if let Some(seal) = block.seal.take() {
                    self.item(
                        Content::Reasoning { text: String::new(), seal: Some(seal), is_redacted: false },
                        out,
                    );
                    self.stop_last();
                }
                return;
            }
            Kind::Thinking if block.item.is_none() && block.seal.is_none() => return,
            Kind::Thinking | Kind::Redacted | Kind::Call { .. } => {}
        }
        self.begin(&mut block, losses, out);
        if let Some(item) = item_of(&mut self.open, &block) {
            item.is_stopped = true;
            if let Content::Reasoning { seal, .. } = &mut item.content {
                *seal = block.seal;
            }
        }
    }

    /// Makes sure that the client knows of the block.
    pub(super) fn begin(&mut self, block: &mut Block, losses: &mut Losses, out: &mut Vec<u8>) {
        match &block.kind {
            Kind::Text | Kind::Refusal => {
                let is_refusal = matches!(block.kind, Kind::Refusal);
                self.begin_part(block.index, is_refusal, out);
            }
            _ if block.item.is_some() => {}
            Kind::Thinking => {
                let content = Content::Reasoning { text: String::new(), seal: None, is_redacted: false };
                block.item = Some(self.item(content, out));
            }
            Kind::Redacted => {
                let content = Content::Reasoning { text: String::new(), seal: None, is_redacted: true };
                block.item = Some(self.item(content, out));
            }
            Kind::Call { id, name } => {
                let own = || self.id.of_call(self.items.len());
                let call_id = if id.is_empty() { own() } else { id.clone() };
                let (sealed, is_sealed) = Seal::in_id_of_call(&call_id, block.seal.as_ref());
                if !is_sealed {
                    lose_signature(block.index, losses);
                }
                let content = Content::Call {
                    call_id: sealed.into_owned(),
                    name: name.clone(),
                    given: String::new(),
                    is_custom: custom::is_custom(&self.asked.tools, name),
                };
                block.item = Some(self.item(content, out));
            }
        }
    }

    /// Makes sure that the last part of the message is of the block `index`. A text that is still open beside it is
    /// complete as far as it came; what comes later is another one.
    fn begin_part(&mut self, index: u32, is_refusal: bool, out: &mut Vec<u8>) {
        let last = self.open.last().filter(|item| !item.is_stopped);
        match last.map(|item| &item.content) {
            Some(Content::Message { growing, .. }) if *growing == Some(index) => return,
            Some(Content::Message { .. }) => self.end_part(None, out),
            _ => {
                self.item(Content::Message { parts: Vec::new(), growing: None }, out);
            }
        }
        let Some(Open { index: output_index, id, content: Content::Message { parts, growing }, .. }) =
            self.open.last_mut()
        else {
            return;
        };
        *growing = Some(index);
        parts.push(Text { is_refusal, ..Text::default() });
        let part = parts.last().map(Text::part);
        let content_index = Some(parts.len().saturating_sub(1));
        let detail = Detail { content_index, part, ..of(&Place { id, index: *output_index }) };
        self.events.write("response.content_part.added", &detail, out);
    }

    /// The part of the message that is growing, or only one of the block `of_block`, is complete.
    fn end_part(&mut self, of_block: Option<u32>, out: &mut Vec<u8>) {
        let messages = self.open.iter_mut().filter_map(|item| match &mut item.content {
            Content::Message { parts, growing } => {
                Some((Place { id: &item.id, index: item.index }, parts, growing))
            }
            _ => None,
        });
        for (item, parts, growing) in messages {
            if growing.is_none() || of_block.is_some() && *growing != of_block {
                continue;
            }
            *growing = None;
            let content_index = Some(parts.len().saturating_sub(1));
            let Some(last) = parts.last_mut() else { continue };
            let detail = Detail { content_index, ..of(&item) };
            if last.is_refusal {
                let detail = Detail { refusal: Some(&last.text), ..detail };
                self.events.write("response.refusal.done", &detail, out);
            } else {
                last.logprobs.append(&mut self.logprobs);
                let logprobs = Some(openai_chat::TokenLogprob::list(&last.logprobs));
                let detail = Detail { text: Some(&last.text), logprobs, ..detail };
                self.events.write("response.output_text.done", &detail, out);
            }
            let detail = Detail { content_index, part: Some(last.part()), ..of(&item) };
            self.events.write("response.content_part.done", &detail, out);
        }
    }

    /// A new item, behind all others: gives its place in the answer. Those that have stopped are complete now.
    fn item(&mut self, content: Content, out: &mut Vec<u8>) -> usize {
        self.end_message(out);
        self.complete("completed", out);
        self.is_said |= !matches!(content, Content::Reasoning { .. });
        let index = self.items.len();
        self.items.push(None);
        let item = Open { index, id: self.id.of_item(content.prefix(), index), content, is_stopped: false };
        let told = OfItem { output_index: index, item: item.beginning() };
        self.events.write("response.output_item.added", &told, out);
        self.open.push(item);
        index
    }

    fn stop_last(&mut self) {
        if let Some(last) = self.open.last_mut() {
            last.is_stopped = true;
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self, losses: &mut Losses, out: &mut Vec<u8>) {
        self.end_message(out);
        if !self.logprobs.is_empty() {
            losses.add("answer.logprobs", "they came behind the text that they are of");
        }
    }

    /// Nothing more comes to the message that is open.
    fn end_message(&mut self, out: &mut Vec<u8>) {
        self.end_part(None, out);
        for item in &mut self.open {
            item.is_stopped |= matches!(item.content, Content::Message { .. });
        }
    }

    /// Items that have stopped are complete; `status` is that of the last one of the answer.
    pub(super) fn complete(&mut self, status: &'static str, out: &mut Vec<u8>) {
        let last = self.items.len().saturating_sub(1);
        for mut item in self.open.extract_if(.., |item| item.is_stopped) {
            end_of(&mut item, &mut self.events, out);
            let status = if item.index == last { status } else { "completed" };
            let whole = item.whole(status);
            if let Some(place) = self.items.get_mut(item.index) {
                *place = to_raw_value(&whole).ok();
            }
            let told = OfItem { output_index: item.index, item: whole };
            self.events.write("response.output_item.done", &told, out);
        }
    }

    /// Log probabilities belong to the text that comes next, or to the end of the one that is growing.
    pub(super) fn told(&mut self, tokens: &[TokenLogprob]) {
        self.logprobs.extend_from_slice(tokens);
    }
}

/// What stands at the end of an item.
fn end_of(item: &mut Open, events: &mut Events, out: &mut Vec<u8>) {
    let place = Place { id: &item.id, index: item.index };
    match &mut item.content {
        Content::Message { .. } => {}
        Content::Reasoning { text, .. } if text.is_empty() => {}
        Content::Reasoning { text, .. } => {
            let summary_index = Some(0);
            let detail = Detail { summary_index, text: Some(text), ..of(&place) };
            events.write("response.reasoning_summary_text.done", &detail, out);
            let part = Some(Part::SummaryText { text });
            let detail = Detail { summary_index, part, ..of(&place) };
            events.write("response.reasoning_summary_part.done", &detail, out);
        }
        Content::Call { name, given, is_custom: false, .. } => {
            // Clients parse the arguments, and nothing is not JSON.
            if given.is_empty() {
                given.push_str("{}");
                let detail = Detail { delta: Some(given), ..of(&place) };
                events.write("response.function_call_arguments.delta", &detail, out);
            }
            let detail = Detail { name: Some(name), arguments: Some(given), ..of(&place) };
            events.write("response.function_call_arguments.done", &detail, out);
        }
        Content::Call { given, is_custom: true, .. } => {
            *given = custom::input(given).into_owned();
            let detail = Detail { delta: Some(given), ..of(&place) };
            events.write("response.custom_tool_call_input.delta", &detail, out);
            let detail = Detail { input: Some(given), ..of(&place) };
            events.write("response.custom_tool_call_input.done", &detail, out);
        }
    }
}

/// Which item it is of.
struct Place<'a> {
    id: &'a str,
    index: usize,
}

fn of<'a>(item: &Place<'a>) -> Detail<'a> {
    Detail { item_id: item.id, output_index: item.index, ..Detail::default() }
}

/// The part of a message that is of the block `index`, and its place there.
fn growing(open: &mut [Open], index: u32) -> Option<(Place<'_>, &mut Text, usize)> {
    open.iter_mut().rev().find_map(|item| match &mut item.content {
        Content::Message { parts, growing } if *growing == Some(index) => {
            let at = parts.len().saturating_sub(1);
            Some((Place { id: &item.id, index: item.index }, parts.last_mut()?, at))
        }
        _ => None,
    })
}

fn item_of<'o>(open: &'o mut [Open], block: &Block) -> Option<&'o mut Open> {
    open.iter_mut().find(|item| Some(item.index) == block.item)
}

pub(super) fn lose_source(index: u32, losses: &mut Losses) {
    losses.add(format_args!("answer.content[{index}].citations"), "the text comes without this source");
}

pub(super) fn lose_signature(index: u32, losses: &mut Losses) {
    let path = format_args!("answer.content[{index}].signature");
    losses.add(path, "of the items of Responses only thoughts have signatures");
}
