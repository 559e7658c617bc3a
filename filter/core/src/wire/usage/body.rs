//! Whole answers.

use std::borrow::Cow;

use serde::Deserialize;

use super::facts::Facts;
use super::shapes::{CohereMeta, OpenAiTools, OpenAiUsage};
use super::{Count, Counters, Observed};
use crate::codec::json::{self, Member, ScanError};
use crate::endpoint::Endpoint;
use crate::usage::{Counter, Usage};
use crate::wire::anthropic::usage::{Counters as AnthropicCounters, Totals};
use crate::wire::error::event_error;
use crate::wire::gemini;

/// The members that matter.
const MEMBERS: [&str; 9] = [
    "model",
    "usage",
    "tool_usage",
    "meta",
    "input_tokens",
    "count",
    "modelVersion",
    "usageMetadata",
    "totalTokens",
];

/// The largest answer that is read from end to end, in bytes. Of a larger one, which is vectors or images, only
/// its ends are: it takes longer to read than to pass on.
pub const MAX_READ: usize = 64 << 10;

/// How much of each end of a larger answer is looked at, in bytes.
pub const END: usize = 4 << 10;

/// Reads what a 200's whole body tells, decompressed.
///
/// # Errors
/// When the body is no JSON object.
pub fn observe_body(endpoint: Endpoint, body: &[u8]) -> Result<Observed, ScanError> {
    let members = match json::scan_answer(body, MEMBERS) {
        Ok(scan) => scan.members,
        // Which of them counts is anyone's guess, but it is JSON.
        Err(ScanError::Duplicate { .. }) => {
            json::scan_answer(body, []).map(|_| [const { None }; MEMBERS.len()])?
        }
        Err(error) => return Err(error),
    };
    let mut observed = of_members(endpoint, body, members);
    // What is told of may have failed, and the answer is none the less one.
    if endpoint.watch().counters != Counters::Nothing {
        observed.error = event_error(body);
    }
    Ok(observed)
}

/// Reads what the two ends of a large answer tell. `None`: all of it must be read.
///
/// Nothing that stands inside of the answer's data is taken for a member of its own. What follows the data must be the
/// rest of an object up to its end, and what comes before it the beginning of one.
#[must_use]
pub fn observe_ends(endpoint: Endpoint, head: &[u8], tail: &[u8]) -> Option<Observed> {
    let rest = ends_of_objects(tail, &KEYS).filter_map(|rest| {
        let members = json::scan(&rest, MEMBERS).ok()?.members;
        Some((rest, members))
    });
    // The one with the most in it is the one that begins first.
    let (rest, members) = rest.max_by_key(|(rest, _)| rest.len())?;
    let mut observed = of_members(endpoint, &rest, members);
    if observed.usage.is_empty() {
        return None;
    }
    observed.model = observed.model.or_else(|| model_of_head(head));
    Some(observed)
}

/// What begins with the last of one of `keys` in `tail`, as an object, where it is one.
pub(super) fn ends_of_objects(tail: &[u8], keys: &[&[u8]]) -> impl Iterator<Item = Vec<u8>> {
    keys.iter().filter_map(|key| memrmem(tail, key)).filter_map(|at| {
        let rest = [b"{", tail.get(at..)?].concat();
        json::scan(&rest, []).is_ok().then_some(rest)
    })
}

const KEYS: [&[u8]; 4] = [b"\"usage\"", b"\"tool_usage\"", b"\"model\"", b"\"meta\""];

fn memrmem(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::rfind(haystack, needle)
}

/// The model, if it stands before anything large.
fn model_of_head(head: &[u8]) -> Option<String> {
    let at = memchr::memmem::find(head, b"\"model\"")?;
    let value = memchr::memmem::find_iter(head.get(at..)?, b"\"").nth(3)?;
    let beginning = [head.get(..=at.checked_add(value)?)?, b"}"].concat();
    let [model] = json::scan(&beginning, ["model"]).ok()?.members;
    model?.as_str(&beginning).map(Cow::into_owned).filter(|model| !model.is_empty())
}

fn of_members(endpoint: Endpoint, body: &[u8], members: [Option<Member>; MEMBERS.len()]) -> Observed {
    let [named, usage, tools, meta, input_tokens, count, version, usage_metadata, total_tokens] = members;
    let usage = match endpoint.watch().counters {
        Counters::Anthropic => {
            value::<AnthropicCounters>(usage, body).map(|counters| Totals::of_answer(&counters).usage())
        }
        Counters::Cohere => value::<CohereMeta>(usage.or(meta), body).map(Usage::from),
        Counters::InputTokens => value(input_tokens, body).map(counted),
        Counters::Count => value(count, body).map(counted),
        Counters::TotalTokens => value(total_tokens, body).map(counted),
        Counters::Gemini => usage_metadata.map(|usage| gemini::usage::read(usage.raw(body))),
        Counters::Nothing => None,
        Counters::OpenAi => usage.map(|usage| openai(usage.raw(body), tools.map(|tools| tools.raw(body)))),
    };
    let named = if endpoint.watch().counters == Counters::Gemini { version } else { named };
    let model = named.and_then(|named| named.as_str(body).map(Cow::into_owned));
    Observed { usage: usage.unwrap_or_default(), model: model.filter(|model| !model.is_empty()), error: None }
}

fn value<'a, T: Deserialize<'a>>(member: Option<Member>, body: &'a [u8]) -> Option<T> {
    serde_json::from_slice(member?.raw(body)).ok()
}

/// A count answers how long an input is: that is all it used.
fn counted(count: Count) -> Usage {
    Usage::of([(Counter::Input, count.get())])
}

/// How many bytes of content a whole answer has, for one that does not report its usage: texts, thoughts and arguments
/// of calls.
#[must_use]
pub fn content_of_body(endpoint: Endpoint, body: &[u8]) -> u64 {
    let content = Facts::of(endpoint.watch().shape, body).content;
    content.piece.max(content.whole)
}

/// `usage` of OpenAI's APIs, and `tool_usage`.
pub(super) fn openai(usage: &[u8], tools: Option<&[u8]>) -> Usage {
    let mut used = openai_usage(usage);
    if let Some(tools) = tools.and_then(read::<OpenAiTools>) {
        used.merge(tools.into());
    }
    used
}

/// `usage` of OpenAI's APIs.
pub(in crate::wire) fn openai_usage(usage: &[u8]) -> Usage {
    read::<OpenAiUsage>(usage).map(Usage::from).unwrap_or_default()
}

/// `usage` of Cohere's chat, or `meta` of its other answers.
pub(in crate::wire) fn cohere(usage: &[u8]) -> Usage {
    read::<CohereMeta>(usage).map(Usage::from).unwrap_or_default()
}

pub(super) fn model(model: &[u8]) -> Option<String> {
    read::<Cow<'_, str>>(model).map(Cow::into_owned).filter(|model| !model.is_empty())
}

pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}
