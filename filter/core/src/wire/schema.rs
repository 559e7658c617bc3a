//! A schema: the API that a backend speaks, and how requests come to it.
//!
//! A schema says which endpoints its servers take as they are, and may have a codec: through that and the neutral
//! conversation it serves the clients of every API that has one, and so with each other kind of job
//! ([`super::job`]). What it says neither of cannot be sent to it.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::{ErrorAnswer, decode_error};
use super::job::{BackendJob, Translation};
use super::marks::Marks;
use super::{Asked, ClientCodec, SchemaName};
use crate::chat::{Event, Losses, Reply, Request};
use crate::codec::splice::Edit;
use crate::config;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Result};
use crate::headers::Headers;
use crate::job::embeddings::Embeddings;
use crate::job::rerank::Rerank;

/// The changes to a client's body, and what is lost by them.
pub(crate) type Mend = fn(&[u8], &mut Losses) -> Vec<Edit<'static>>;

/// The API of a backend. Its values are static, see [`SchemaName::schema`].
pub trait Schema: fmt::Debug + Sync {
    /// Whose API it is: `gen_ai.provider.name` of OpenTelemetry, by the names that Envoy AI Gateway gives it.
    fn provider(&self) -> &'static str;

    /// The endpoints whose requests its servers take without a translation.
    fn natives(&self) -> &'static [Native];

    /// Its side of the translation of a conversation. `None`: it takes none but its natives.
    fn codec(&self) -> Option<&'static dyn BackendCodec>;

    /// The same for requests that only ask how many tokens a conversation has; its answers have nothing but the usage's
    /// input. `None`: it cannot tell.
    fn counter(&self) -> Option<&'static dyn BackendCodec> {
        None
    }

    /// The same for embeddings.
    fn embedder(&self) -> Option<&'static dyn BackendJob<Embeddings>> {
        None
    }

    /// The same for documents that are to be ranked.
    fn reranker(&self) -> Option<&'static dyn BackendJob<Rerank>> {
        None
    }

    /// The `:path` of a native and of a conversation, without what the client put behind its own. A job has its own,
    /// see [`BackendJob::path`].
    fn path(&self, to: &To<'_>) -> String;

    /// What requests have in their headers for the sake of this API.
    fn headers(&self) -> &'static [ApiHeader] {
        &[]
    }

    /// The body of a request in the envelope of this schema, where [`Native::reach`] says that there is one.
    ///
    /// # Errors
    ///
    /// 400 for a body that cannot be edited.
    fn envelope(&self, to: &To<'_>, body: &[u8], losses: &mut Losses) -> Result<Vec<u8>> {
        let _ = (body, losses);
        Err(no_way(to.endpoint, to.schema.name))
    }

    /// What is to be done to a request that passes as it is, where the server refuses what other models leave in a
    /// conversation.
    fn mend(&self, to: &To<'_>) -> Option<Mend> {
        let _ = to;
        None
    }

    /// How its streams are framed.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// The error type of an answer that is no error of this API: from a proxy or a load balancer on the way.
    fn type_of_foreign_errors(&self) -> &'static str;

    /// Reads an error answer. It cannot fail: what is not understood is the message.
    fn error(&self, answer: &ErrorAnswer<'_>) -> Error {
        decode_error(self.type_of_foreign_errors(), answer)
    }

    /// What its backends may be configured with.
    fn fits(&self) -> &'static Fits;
}

/// The backend's side of a translation.
pub trait BackendCodec: fmt::Debug + Sync {
    /// Writes a request. What the API cannot express is recorded in `losses`.
    ///
    /// # Errors
    ///
    /// 422 for a value that the backend is known to reject.
    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>>;

    /// Where it takes marks for its prompt cache; nowhere, if it caches without, or not at all.
    fn marks(&self, to: &To<'_>) -> Marks {
        let _ = to;
        Marks::default()
    }

    /// Reads a whole answer to a request that was accepted. What the neutral form cannot hold is recorded in `losses`.
    ///
    /// # Errors
    ///
    /// 502 for a body that is not the API's; the provider's own error if the body is one, whatever its status said.
    fn reply(&self, asked: &Asked, body: &[u8], losses: &mut Losses) -> Result<Reply>;

    /// A reader for one streamed answer.
    fn events(&self, asked: &Asked) -> Box<dyn EventReader>;
}

/// Reads the events of one streamed answer.
pub trait EventReader: fmt::Debug {
    /// Appends what one event says to `out`. `name` is what its frame calls it; most APIs say it in the data as well. A
    /// broken event becomes [`Event::Error`].
    fn event(&mut self, name: Option<&str>, data: &[u8], losses: &mut Losses, out: &mut Vec<Event>);

    /// The connection ended: appends [`Event::Error`] if the answer had not.
    fn finish(&mut self, out: &mut Vec<Event>);
}

/// An endpoint that a schema serves without a translation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Native {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// [`Reach::Same`] or [`Reach::Envelope`].
    pub reach: Reach,
    /// Where it is at the backend: the last segments of the path, with `STORED` for the name of a response.
    pub path: &'static str,
}

impl Native {
    /// `endpoint` is the backend's own API, under `path`.
    #[must_use]
    pub const fn same(endpoint: Endpoint, path: &'static str) -> Native {
        Native { endpoint, reach: Reach::Same, path }
    }

    /// Requests of `endpoint` are taken in another envelope.
    #[must_use]
    pub const fn envelope(endpoint: Endpoint, path: &'static str) -> Native {
        Native { endpoint, reach: Reach::Envelope, path }
    }
}

/// How a request reaches a backend's API, and its answer the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Client and backend speak the same API: the bytes pass, but for the model's name.
    Same,
    /// The same language in another envelope, as Anthropic's messages through Bedrock's InvokeModel.
    Envelope,
    /// Through the neutral form of what is asked for.
    Translate,
    /// Whatever the client asks goes to the backend, which is all that is known of it.
    Raw,
}

/// How requests of `endpoint` reach backends of `schema`.
///
/// # Errors
///
/// 422 where there is no way.
pub fn reach(endpoint: Endpoint, schema: SchemaName) -> Result<Reach> {
    if endpoint == Endpoint::PassThrough {
        return Ok(Reach::Raw);
    }
    let served = schema.schema();
    if let Some(native) = native(served, endpoint) {
        return Ok(native.reach);
    }
    translation(endpoint, served).map(|_| Reach::Translate).ok_or_else(|| no_way(endpoint, schema))
}

/// Both sides of a translation of `endpoint` for `schema`, where there is one.
#[must_use]
pub fn translation(endpoint: Endpoint, schema: &dyn Schema) -> Option<Translation> {
    endpoint.operation().asks?.translation(schema)
}

/// The same where it is a conversation's.
#[must_use]
pub fn codecs(
    endpoint: Endpoint,
    schema: &dyn Schema,
) -> Option<(&'static dyn ClientCodec, &'static dyn BackendCodec)> {
    match translation(endpoint, schema)? {
        Translation::Conversation(client, backend) => Some((client, backend)),
        Translation::Job(_) => None,
    }
}

/// The `:path` of a request to `to` that it can be reached with, without what the client put behind its own.
#[must_use]
pub fn path(to: &To<'_>) -> String {
    let schema = to.schema.name.schema();
    let is_native = native(schema, to.endpoint).is_some();
    match translation(to.endpoint, schema).filter(|_| !is_native) {
        Some(Translation::Job(sides)) => sides.path(to),
        Some(Translation::Conversation(..)) | None => schema.path(to),
    }
}

/// What `schema` says of `endpoint`.
pub(super) fn native(schema: &dyn Schema, endpoint: Endpoint) -> Option<&'static Native> {
    schema.natives().iter().find(|native| native.endpoint == endpoint)
}

fn no_way(endpoint: Endpoint, schema: SchemaName) -> Error {
    let message = format!(
        "requests of the kind {} cannot be sent to a backend of schema {schema:?}",
        endpoint.operation().name
    );
    Error::new(Kind::Unsupported, message)
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub struct To<'a> {
    /// What the client asks.
    pub endpoint: Endpoint,
    /// What the configuration says of the API.
    pub schema: &'a config::Schema,
    /// The model that is asked, after any override.
    pub model: &'a str,
    /// The answer is to be streamed.
    pub stream: bool,
    /// The most tokens of the answer for APIs that must be told, when the client does not say.
    pub default_max_tokens: u64,
    /// The client's headers.
    pub headers: &'a Headers,
    /// How requests are authenticated, which for some clouds says where the model is.
    pub auth: Option<&'a config::Auth>,
    /// What has no mark for a prompt cache gets some: [`BackendCodec::marks`].
    pub cache_marks: bool,
}

impl To<'_> {
    /// `/<prefix>/<operation>`, where the configuration's prefix stands for the usual one.
    #[must_use]
    pub fn path_below(&self, usual: &str, operation: &str) -> String {
        let prefix = self.schema.prefix.as_deref().unwrap_or(usual).trim_matches('/');
        if prefix.is_empty() { format!("/{operation}") } else { format!("/{prefix}/{operation}") }
    }

    /// The model as one segment of a path.
    #[must_use]
    pub fn model_segment(&self) -> String {
        segment(self.model)
    }

    /// Whether it is only asked how many tokens the conversation has.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.endpoint.operation().conversation().is_some_and(ClientCodec::counts)
    }

    /// The project at Google Cloud, as one segment of a path.
    #[must_use]
    pub fn project_segment(&self) -> Option<String> {
        match self.auth {
            Some(config::Auth::Gcp { project, .. }) => {
                Some(utf8_percent_encode(project, SEGMENT).to_string())
            }
            _ => None,
        }
    }

    /// `/v1/projects/<project>/locations/<region>/publishers/<publisher>/models/<model>:<method>` at Google Cloud.
    /// Without a project it begins with the publisher, as in Vertex AI's express mode.
    #[must_use]
    pub fn path_at_google(&self, publisher: &str, model: &str, method: &str) -> String {
        let segment = |text| utf8_percent_encode(text, SEGMENT);
        let parent = match self.auth {
            Some(config::Auth::Gcp { project, region, .. }) => {
                format!("/projects/{}/locations/{}", segment(project), segment(region))
            }
            _ => String::new(),
        };
        format!("/v1{parent}/publishers/{publisher}/models/{}:{method}", segment(model))
    }
}

/// In a path, for the name of the response that it is about.
pub(crate) const STORED: &str = "{response}";

/// `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What a model name keeps as one path segment: RFC 3986 `pchar`, so that neither a slash nor a dot segment can lead
/// to another path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'=')
    .remove(b'&')
    .remove(b'+')
    .remove(b'$');

/// What a value in a query does not keep: all but what RFC 3986 has as unreserved.
pub(crate) const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A header that an API wants, or wants not.
#[derive(Debug, Clone, Copy)]
pub enum ApiHeader {
    /// Has this value where the client sent none.
    Default(&'static str, &'static str),
    /// Has this value whatever the client sent.
    Set(&'static str, &'static str),
    /// Is not sent.
    Remove(&'static str),
    /// Is a list, of which the values are sent that this is true for at the endpoint.
    Keep(&'static str, fn(Endpoint, &str) -> bool),
}

impl ApiHeader {
    /// Its name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ApiHeader::Default(name, _)
            | ApiHeader::Set(name, _)
            | ApiHeader::Remove(name)
            | ApiHeader::Keep(name, _) => name,
        }
    }
}

/// How the events of a stream are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// AWS's binary frames, each with an event of another API in its member `bytes`, as of InvokeModel.
    AwsWrapped,
    /// AWS's binary frames, each an event that its header `:event-type` names, as of Converse.
    AwsNamed,
}

/// What a backend of a schema may be configured with.
#[derive(Debug, Clone, Copy)]
pub struct Fits {
    /// The ways to authenticate that its servers understand, the usual one first.
    pub auth: &'static [config::AuthKind],
    /// Those that servers of others than the provider may understand, and what to say of that.
    pub unusual: &'static [(config::AuthKind, &'static str)],
    /// What happens without any, where that never goes well.
    pub without_auth: Option<&'static str>,
    /// The beta features that it is asked for may be filtered ([`config::Betas`]).
    pub filtered: bool,
    /// Prompts for some of its models want marks to be cached, and may be given some
    /// ([`config::Backend::cache_marks`]).
    pub marked: bool,
    /// Its paths begin with a prefix.
    pub prefix: bool,
    /// It has a version.
    pub version: bool,
}

/// [`Fits::without_auth`] at Google Cloud.
pub(super) const WITHOUT_GCP: &str = "Google will refuse its requests, whose path then names no project";

/// A body that passes to `model` with what is done to it there, and the places of its losses.
#[cfg(test)]
pub(in crate::wire) fn mended(
    endpoint: Endpoint,
    name: SchemaName,
    model: &str,
    body: &str,
) -> (String, Vec<String>) {
    let to = To {
        endpoint,
        schema: &config::Schema { name, prefix: None, version: None },
        model,
        stream: false,
        default_max_tokens: 1,
        headers: &Headers::default(),
        auth: None,
        cache_marks: false,
    };
    let mut losses = Losses::default();
    let mend = name.schema().mend(&to);
    let edits = mend.map(|mend| mend(body.as_bytes(), &mut losses)).unwrap_or_default();
    let body = crate::codec::splice::edit(body.as_bytes(), &edits).unwrap();
    (String::from_utf8(body).unwrap(), losses.iter().map(|loss| loss.path.clone()).collect())
}

#[cfg(test)]
mod tests;
