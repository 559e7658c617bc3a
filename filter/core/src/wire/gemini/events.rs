//! A streamed answer, from Gemini's words: each event is a whole response with the next parts. Nothing says that it was
//! the last but the reason of every candidate, and what comes behind that, such as usage and sources, still counts.

use std::collections::BTreeSet;

use super::answer::{Answer, Candidate, FunctionCall, MAX_CANDIDATES, Piece, finish_reason, piece};
use super::reply::Names;
use super::rules::tool_name;
use super::usage::Counters;
use super::{format, sources};
use crate::chat::{
    BlockStart, Content, Delta, Event, Extra, Family, FinishReason, Losses, MAX_LOSSES, Request, Seal, Tool,
};
use crate::error::Error;
use crate::wire::error::event_error;
use crate::wire::fields::UNKNOWN;
use crate::wire::names::StandIns;
use crate::wire::{Asked, EventReader};

/// The most text that is kept, in bytes, to tell where in it its sources are, or what is in a JSON string.
const MAX_KEPT: usize = 1 << 20;

/// Reads the events of one answer.
#[derive(Debug)]
pub(super) struct Reader {
    asked: Asked,
    stand_ins: StandIns,
    /// The answer is a JSON string, of which the client wants what is in it.
    is_quoted: bool,
    /// The text may have sources.
    is_searched: bool,
    /// Begins with the answer.
    names: Option<Names>,
    is_closed: bool,
    is_blocked: bool,
    tier: Option<&'static str>,
    next_block: u32,
    candidates: Vec<State>,
    kept: usize,
    /// The members whose loss was told.
    lost: BTreeSet<String>,
}

/// One candidate so far.
#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    has_calls: bool,
    reason: Option<String>,
    /// All of its text, where that is kept.
    text: String,
    extra: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    index: u32,
    kind: Kind,
    /// Bytes of text before it.
    start: usize,
    /// Its signature came: what follows is another part.
    is_sealed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thought,
}

impl Reader {
    pub(super) fn new(asked: &Asked) -> Self {
        let request: &Request = &asked.request;
        Self {
            stand_ins: StandIns::by(&request.tools, tool_name),
            is_quoted: format::is_quoted(request),
            is_searched: request.tools.iter().any(|tool| matches!(tool, Tool::Hosted(_))),
            asked: asked.clone(),
            names: None,
            is_closed: false,
            is_blocked: false,
            tier: None,
            next_block: 0,
            candidates: Vec::new(),
            kept: 0,
            lost: BTreeSet::new(),
        }
    }
}

impl EventReader for Reader {
    fn event(&mut self, _: Option<&str>, data: &[u8], losses: &mut Losses, out: &mut Vec<Event>) {
        let data = data.trim_ascii();
        if self.is_closed || data.is_empty() || data == b"[DONE]" {
            return;
        }
        if let Some(error) = event_error(data) {
            return self.fail(error, out);
        }
        match serde_json::from_slice::<Answer<'_>>(data) {
            Ok(answer) => {
                self.lose(&answer, losses);
                self.answer(answer, out);
            }
            Err(error) => {
                let message = format!("the backend sent an event that is not Gemini's: {error}");
                self.fail(Error::bad_answer(message), out);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if self.is_closed {
            return;
        }
        let is_complete = match self.candidates.as_slice() {
            [] => self.is_blocked,
            candidates => candidates.iter().all(|candidate| candidate.reason.is_some()),
        };
        if !is_complete {
            let message = "the backend's stream ended before its answer was complete";
            return self.fail(Error::bad_answer(message), out);
        }
        if self.candidates.is_empty() {
            out.push(Event::Finish { choice: 0, reason: FinishReason::ContentFilter });
        }
        for (choice, mut state) in (0..).zip(std::mem::take(&mut self.candidates)) {
            if self.is_quoted && !state.text.is_empty() {
                let text = format::unquoted(std::mem::take(&mut state.text));
                self.say(choice, &mut state, Kind::Text, text, None, out);
            }
            close(&mut state, out);
            if !state.extra.is_empty() {
                let extra = Extra { family: Family::Google, members: state.extra };
                out.push(Event::Extra { choice, extra });
            }
            let reason = finish_reason(state.reason.as_deref(), state.has_calls);
            out.push(Event::Finish { choice, reason });
        }
        out.push(Event::End);
        self.is_closed = true;
    }
}

impl Reader {
    /// What all of the answer has beside its candidates is a loss, once: each piece may have it.
    fn lose(&mut self, answer: &Answer<'_>, losses: &mut Losses) {
        for (name, _) in answer.extra().into_iter().flat_map(|extra| extra.members) {
            if self.lost.len() < MAX_LOSSES && self.lost.insert(name.clone()) {
                losses.add(format_args!("answer.{name}"), UNKNOWN);
            }
        }
    }

    fn answer(&mut self, answer: Answer<'_>, out: &mut Vec<Event>) {
        let block = answer.block();
        let named = |name: Option<String>| name.filter(|name| !name.is_empty());
        if self.names.is_none() {
            self.names = Some(Names::new(&self.asked, answer.response_id.as_deref()));
            out.push(Event::Start { id: named(answer.response_id), model: named(answer.model_version) });
        }
        let tier = answer.usage_metadata.as_ref().and_then(Counters::service_tier);
        if tier.is_some() && self.tier != tier {
            self.tier = tier;
            out.extend(tier.map(|tier| Event::ServiceTier(tier.to_owned())));
        }
        for candidate in answer.candidates.unwrap_or_default() {
            let choice = candidate.index.unwrap_or_default();
            if choice >= MAX_CANDIDATES {
                return self.fail(Error::bad_answer("the backend has too many candidates"), out);
            }
            let position = usize::try_from(choice).unwrap_or_default();
            if self.candidates.len() <= position {
                self.candidates.resize_with(position.saturating_add(1), State::default);
            }
            // It is put back when all of it is said.
            let mut state = self.candidates.get_mut(position).map(std::mem::take).unwrap_or_default();
            self.candidate(choice, &mut state, candidate, out);
            if let Some(place) = self.candidates.get_mut(position) {
                *place = state;
            }
        }
        if let Some(block) = block
            && !self.is_blocked
        {
            self.is_blocked = true;
            out.push(Event::Extra { choice: 0, extra: block.extra });
        }
        if let Some(counters) = answer.usage_metadata {
            let usage = counters.usage();
            if !usage.is_empty() {
                out.push(Event::Usage(usage));
            }
        }
    }

    fn candidate(
        &mut self,
        choice: u32,
        state: &mut State,
        mut candidate: Candidate<'_>,
        out: &mut Vec<Event>,
    ) {
        if let Some(result) = candidate.logprobs_result.take() {
            let tokens = result.tokens();
            if !tokens.is_empty() {
                out.push(Event::Logprobs { choice, tokens });
            }
        }
        for raw in candidate.content.take().and_then(|turn| turn.parts).unwrap_or_default() {
            let (piece, seal) = piece(raw);
            match piece {
                Piece::Text(text) if self.is_quoted && self.keeps(text.len()) => state.text.push_str(&text),
                Piece::Text(text) => self.say(choice, state, Kind::Text, text, seal, out),
                Piece::Thought(text) => self.say(choice, state, Kind::Thought, text, seal, out),
                Piece::Call(call) => self.call(choice, state, call, seal, out),
                Piece::Other(content) => self.other(choice, state, content, out),
                Piece::Nothing => {}
            }
        }
        if candidate.grounding_metadata.is_some() || candidate.citation_metadata.is_some() {
            annotate(state, &candidate, out);
        }
        for (name, json) in candidate.extra().into_iter().flat_map(|extra| extra.members) {
            // Older models rate the safety of each piece; the last counts.
            state.extra.retain(|(known, _)| *known != name);
            state.extra.push((name, json));
        }
        if let Some(reason) = candidate.finish_reason.filter(|reason| *reason != "FINISH_REASON_UNSPECIFIED")
        {
            state.reason = Some(reason.into_owned());
        }
    }

    fn keeps(&mut self, more: usize) -> bool {
        self.kept = self.kept.saturating_add(more);
        self.kept <= MAX_KEPT
    }

    fn say(
        &mut self,
        choice: u32,
        state: &mut State,
        kind: Kind,
        text: String,
        seal: Option<Seal>,
        out: &mut Vec<Event>,
    ) {
        if text.is_empty() && seal.is_none() {
            return;
        }
        let open = state.open.filter(|open| open.kind == kind && !open.is_sealed);
        let mut open = match open {
            Some(open) => open,
            None => {
                close(state, out);
                let index = self.block();
                let block = match kind {
                    Kind::Text => BlockStart::Text,
                    Kind::Thought => BlockStart::Thinking,
                };
                out.push(Event::BlockStart { index, choice, id: None, block });
                Open { index, kind, start: state.text.len(), is_sealed: false }
            }
        };
        if kind == Kind::Text && self.is_searched && self.keeps(text.len()) {
            state.text.push_str(&text);
        }
        if !text.is_empty() {
            let delta = match kind {
                Kind::Text => Delta::Text(text),
                Kind::Thought => Delta::Thinking(text),
            };
            out.push(Event::BlockDelta { index: open.index, delta });
        }
        if let Some(Seal { by, data }) = seal {
            open.is_sealed = true;
            out.push(Event::BlockDelta { index: open.index, delta: Delta::Seal(by, data) });
        }
        state.open = Some(open);
    }

    /// Calls come whole.
    fn call(
        &mut self,
        choice: u32,
        state: &mut State,
        call: FunctionCall<'_>,
        seal: Option<Seal>,
        out: &mut Vec<Event>,
    ) {
        close(state, out);
        state.has_calls = true;
        let arguments = call.arguments();
        let name = self.stand_ins.resolve(call.name.unwrap_or_default());
        let id = self.names.as_mut().map(|names| names.of_call(call.id, seal.as_ref())).unwrap_or_default();
        let index = self.block();
        out.push(Event::BlockStart { index, choice, id: None, block: BlockStart::ToolCall { id, name } });
        if let Some(Seal { by, data }) = seal {
            out.push(Event::BlockDelta { index, delta: Delta::Seal(by, data) });
        }
        out.push(Event::BlockDelta { index, delta: Delta::Arguments(arguments) });
        out.push(Event::BlockStop { index });
    }

    fn other(&mut self, choice: u32, state: &mut State, content: Content, out: &mut Vec<Event>) {
        let block = match content {
            Content::Media { kind, source, .. } => BlockStart::Media { kind, source },
            Content::Foreign(foreign) => BlockStart::Foreign(foreign),
            _ => return,
        };
        close(state, out);
        let index = self.block();
        out.extend([Event::BlockStart { index, choice, id: None, block }, Event::BlockStop { index }]);
    }

    fn block(&mut self) -> u32 {
        let index = self.next_block;
        self.next_block = index.saturating_add(1);
        index
    }

    fn fail(&mut self, error: Error, out: &mut Vec<Event>) {
        self.is_closed = true;
        out.push(Event::Error(error));
    }
}

fn close(state: &mut State, out: &mut Vec<Event>) {
    out.extend(state.open.take().map(|open| Event::BlockStop { index: open.index }));
}

/// Says the sources of the text that is open, which come behind it. Gemini counts from the beginning of all text.
fn annotate(state: &State, candidate: &Candidate<'_>, out: &mut Vec<Event>) {
    let Some(open) = state.open.filter(|open| open.kind == Kind::Text) else { return };
    let before = state.text.get(..open.start).map_or(0, |text| text.chars().count());
    let texts = [(0, state.text.as_str())];
    let found = sources::annotations(candidate.grounding_metadata, candidate.citation_metadata, &texts);
    for (_, mut annotation) in found {
        annotation.span = annotation
            .span
            .and_then(|(start, end)| Some((start.checked_sub(before)?, end.checked_sub(before)?)));
        let delta = Delta::Annotation(Box::new(annotation));
        out.push(Event::BlockDelta { index: open.index, delta });
    }
}
