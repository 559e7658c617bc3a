//! The events of a stream: <https://platform.openai.com/docs/api-reference/responses-streaming>.

use serde::Serialize;

use super::item::{Item, Part, UrlCitation};
use super::types::Response;
use crate::error::Error;
use crate::wire::openai::{error_code, own_type};
use crate::wire::openai_chat::TokenLogprob;
use crate::wire::write_json;

/// Writes events, numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Events {
    next: u64,
    /// Nobody reads them.
    pub(super) is_mute: bool,
}

#[derive(Serialize)]
struct Event<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    body: &'a T,
}

/// What went wrong, as event `number` of a stream that somebody else has written.
pub(in crate::wire::openai) fn error_event(error: &Error, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Events { next: number, is_mute: false }.write("error", &OfError::from(error), &mut out);
    out
}

impl Events {
    /// The number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Appends an event. `body` is an object.
    pub(super) fn write(&mut self, kind: &str, body: &impl Serialize, out: &mut Vec<u8>) {
        if self.is_mute {
            return;
        }
        let sequence_number = self.next;
        self.next = sequence_number.saturating_add(1);
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        write_json(out, &Event { kind, sequence_number, body });
        out.extend_from_slice(b"\n\n");
    }
}

/// How far the answer is.
#[derive(Serialize)]
pub(super) struct OfResponse<'a> {
    pub(super) response: Response<'a>,
}

/// An item begins, or is complete.
#[derive(Serialize)]
pub(super) struct OfItem<'a> {
    pub(super) output_index: usize,
    pub(super) item: Item<'a>,
}

/// Something of an item. Each event has some of these.
#[derive(Default, Serialize)]
pub(super) struct Detail<'a> {
    pub(super) item_id: &'a str,
    pub(super) output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<Part<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotation_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotation: Option<UrlCitation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<Vec<TokenLogprob<'a>>>,
}

/// What went wrong, once as it is documented and once as OpenAI sends it, which makes SDKs raise it.
#[derive(Serialize)]
pub(super) struct OfError<'a> {
    code: String,
    message: &'a str,
    param: (),
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    code: String,
    message: &'a str,
    param: (),
}

impl<'a> From<&'a Error> for OfError<'a> {
    fn from(error: &'a Error) -> Self {
        let (code, message) = (error_code(error), error.message());
        let kind = own_type(error);
        OfError { code: code.clone(), message, param: (), error: Inner { kind, code, message, param: () } }
    }
}
