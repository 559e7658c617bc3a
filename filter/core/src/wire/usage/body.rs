//! Whole answers.

use std::borrow::Cow;

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::shapes::{CohereMeta, OpenAiUsage};
use super::{Count, Observed};
use crate::endpoint::Endpoint;
use crate::usage::Usage;
use crate::wire::anthropic::usage::{Counters, Totals};
use crate::wire::error::event_error;

/// The members that matter. Each is taken as it stands and read on its own, so that an odd one does not cost the others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    input_tokens: Count,
    count: Count,
}

/// Reads what a 200's whole body tells, decompressed. A body that is not JSON (speech, subtitles) tells nothing.
#[must_use]
pub fn observe_body(endpoint: Endpoint, body: &[u8]) -> Observed {
    let mut observed = Observed { error: event_error(body), ..Observed::default() };
    let words: [&[u8]; 4] = [b"\"usage\"", b"\"model\"", b"\"meta\"", b"\"input_tokens\""];
    let is_worth_parsing =
        endpoint == Endpoint::Tokenize || words.iter().any(|word| memmem::find(body, word).is_some());
    if !is_worth_parsing {
        return observed;
    }
    let Ok(answer) = serde_json::from_slice::<Answer<'_>>(body) else { return observed };
    observed.model = answer.model.and_then(model);
    observed.usage = match endpoint {
        Endpoint::Messages => answer.usage.map(anthropic).unwrap_or_default(),
        Endpoint::Rerank => answer.meta.and_then(read::<CohereMeta>).map(Usage::from).unwrap_or_default(),
        Endpoint::CountTokens | Endpoint::ResponsesInputTokens => counted(answer.input_tokens),
        Endpoint::Tokenize => counted(answer.count),
        _ => answer.usage.map(openai).unwrap_or_default(),
    };
    observed
}

/// A count answers how long an input is: that is all it used.
fn counted(Count(input): Count) -> Usage {
    Usage { input, ..Usage::default() }
}

pub(super) fn openai(usage: &RawValue) -> Usage {
    read::<OpenAiUsage>(usage).map(Usage::from).unwrap_or_default()
}

fn anthropic(usage: &RawValue) -> Usage {
    read::<Counters>(usage).map(|counters| Totals::of_answer(&counters).usage()).unwrap_or_default()
}

pub(super) fn model(model: &RawValue) -> Option<String> {
    read::<Cow<'_, str>>(model).map(Cow::into_owned).filter(|model| !model.is_empty())
}

pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a RawValue) -> Option<T> {
    serde_json::from_str(json.get()).ok()
}
