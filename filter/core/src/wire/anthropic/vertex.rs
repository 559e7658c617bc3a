//! Claude on Vertex AI: Anthropic's messages through `rawPredict` and `streamRawPredict`.
//!
//! <https://platform.claude.com/docs/en/api/claude-on-vertex-ai>. The model is in the path and the version in the body;
//! all else is as at Anthropic itself, beta features in their header included.

use super::clouds::{Cloud, edits_for};
use super::passing::without_foreign_thoughts;
use super::places::params;
use super::{Envelope, SCHEMA, VERTEX_VERSION, beta, encode_request};
use crate::chat::{Losses, Reply, Request};
use crate::codec::splice::{self, Edit};
use crate::config::AuthKind;
use crate::endpoint::Endpoint;
use crate::error::Result;
use crate::headers::BETA_HEADER;
use crate::wire::Asked;
use crate::wire::counting::Counter;
use crate::wire::error::malformed;
use crate::wire::marks::Marks;
use crate::wire::schema::{ApiHeader, BackendCodec, EventReader, Fits, Native, Schema, To, WITHOUT_GCP};

pub(crate) static VERTEX: Vertex = Vertex;

#[derive(Debug)]
pub(crate) struct Vertex;

/// The publisher of the models.
const PUBLISHER: &str = "anthropic";

/// What counts tokens is a model of its own; the one that is asked of is in the body.
const COUNT_TOKENS: &str = "count-tokens";

/// Beta features that Vertex AI refuses a request for, and who met that. Others pass: it has most of them.
const REFUSED: &[(&str, &str)] = &[
    ("adaptive-thinking-2026-01-28", "https://github.com/anthropics/claude-code/issues/34802"),
    ("effort-2025-11-24", "https://github.com/anthropics/claude-code/issues/34802"),
    ("prompt-caching-2024-07-31", "https://github.com/vercel/ai/pull/4431"),
    ("prompt-caching-scope-2026-01-05", "https://github.com/anthropics/claude-code/issues/21625"),
    ("structured-outputs-2025-11-13", "https://github.com/vercel/ai/issues/10981"),
    ("structured-outputs-2025-12-15", "https://github.com/QuantumNous/new-api/issues/2975"),
];

/// Where tokens are counted none is known: <https://github.com/anthropics/claude-code/issues/11154>.
fn takes_beta(endpoint: Endpoint, beta: &str) -> bool {
    let counts = matches!(endpoint, Endpoint::CountTokens | Endpoint::Tokenize);
    !counts && !REFUSED.iter().any(|(refused, _)| *refused == beta)
}

impl Schema for Vertex {
    fn provider(&self) -> &'static str {
        "gcp.anthropic"
    }

    fn natives(&self) -> &'static [Native] {
        const NATIVES: &[Native] = &[
            Native::envelope(Endpoint::Messages, "rawPredict"),
            Native::envelope(Endpoint::CountTokens, "rawPredict"),
        ];
        NATIVES
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&VERTEX)
    }

    fn counter(&self) -> Option<&'static dyn BackendCodec> {
        Some(&COUNTER)
    }

    fn path(&self, to: &To<'_>) -> String {
        if to.counts() {
            return to.path_at_google(PUBLISHER, COUNT_TOKENS, "rawPredict");
        }
        let method = if to.stream { "streamRawPredict" } else { "rawPredict" };
        to.path_at_google(PUBLISHER, to.model, method)
    }

    /// The version is in the body.
    fn headers(&self) -> &'static [ApiHeader] {
        &[ApiHeader::Remove("anthropic-version"), ApiHeader::Keep(BETA_HEADER, takes_beta)]
    }

    fn envelope(&self, to: &To<'_>, body: &[u8], losses: &mut Losses) -> Result<Vec<u8>> {
        lose_betas(to, losses);
        let body = &*without_foreign_thoughts(body, losses)?;
        let model = if to.endpoint == Endpoint::CountTokens {
            Edit::set_string("model", unversioned(to.model))
        } else {
            Edit::Remove("model")
        };
        let mut edits = vec![model, Edit::set_string("anthropic_version", version(to))];
        edits.extend(edits_for(Cloud::Vertex, body, losses));
        splice::edit(body, &edits).map_err(malformed)
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "GCPBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            auth: &[AuthKind::Gcp],
            unusual: &[],
            without_auth: Some(WITHOUT_GCP),
            prefix: false,
            version: true,
            filtered: true,
            marked: true,
        }
    }
}

impl BackendCodec for Vertex {
    fn marks(&self, _: &To<'_>) -> Marks {
        Marks::ALL
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        lose_betas(to, losses);
        encode_request(&params(to, Envelope::Vertex { version: version(to) }), request, losses)
    }

    fn reply(&self, asked: &Asked, body: &[u8], losses: &mut Losses) -> Result<Reply> {
        SCHEMA.reply(asked, body, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventReader> {
        SCHEMA.events(asked)
    }
}

/// Where a client of another API asks how many tokens its conversation has.
static COUNTER: Counter = Counter { encode: encode_counted, member: "input_tokens", schema: &VERTEX };

/// What an answer depends on and a count does not, which is refused there.
const UNCOUNTED: &[&str] =
    &["max_tokens", "metadata", "service_tier", "stop_sequences", "stream", "temperature", "top_k", "top_p"];

fn encode_counted(to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    let body = VERTEX.encode(to, request, losses)?;
    let mut edits: Vec<Edit<'_>> = UNCOUNTED.iter().map(|name| Edit::Remove(name)).collect();
    edits.push(Edit::set_string("model", unversioned(to.model)));
    splice::edit(&body, &edits).map_err(malformed)
}

/// `anthropic_version`
fn version<'a>(to: &To<'a>) -> &'a str {
    to.schema.version.as_deref().unwrap_or(VERTEX_VERSION)
}

/// What counts tokens knows models without the word for their newest version.
fn unversioned(model: &str) -> &str {
    model.strip_suffix("@default").or_else(|| model.strip_suffix("@latest")).unwrap_or(model)
}

/// What [`Schema::headers`] leaves out.
fn lose_betas(to: &To<'_>, losses: &mut Losses) {
    let betas = beta::named(to.headers.all(BETA_HEADER));
    for beta in betas.filter(|beta| !takes_beta(to.endpoint, beta)) {
        losses.add(format_args!("{BETA_HEADER}.{beta}"), Cloud::Vertex.reason());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Auth};
    use crate::headers::Headers;
    use crate::wire::SchemaName;

    fn sent(
        endpoint: Endpoint,
        stream: bool,
        model: &str,
        headers: &Headers,
        body: &str,
    ) -> (String, String, Vec<String>) {
        let schema = config::Schema { name: SchemaName::GCPAnthropic, prefix: None, version: None };
        let auth = Auth::Gcp {
            credential: "c".to_owned(),
            project: "my project".to_owned(),
            region: "us-east5".to_owned(),
        };
        let to = To {
            endpoint,
            schema: &schema,
            model,
            stream,
            default_max_tokens: 4096,
            headers,
            auth: Some(&auth),
            cache_marks: false,
        };
        let mut losses = Losses::default();
        let body = VERTEX.envelope(&to, body.as_bytes(), &mut losses).unwrap();
        (VERTEX.path(&to), String::from_utf8(body).unwrap(), losses.lines())
    }

    #[test]
    fn the_envelope_of_messages() {
        let body = r#"{"model":"claude", "max_tokens":5,"stream":true,"messages":[{"role":"user","content":"H\u0069"}]}"#;
        let betas = Headers::from([("anthropic-beta", "context-1m-2025-08-07, effort-2025-11-24")]);
        let (path, body, losses) = sent(Endpoint::Messages, true, "claude-sonnet-4-5@20250929", &betas, body);
        assert_eq!(
            path,
            "/v1/projects/my%20project/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
        );
        assert_eq!(
            body,
            r#"{ "max_tokens":5,"stream":true,"messages":[{"role":"user","content":"H\u0069"}],"anthropic_version":"vertex-2023-10-16"}"#
        );
        assert_eq!(losses, ["anthropic-beta.effort-2025-11-24: not known to Vertex AI"]);
        let (path, ..) = sent(Endpoint::Messages, false, "../claude", &Headers::default(), "{}");
        assert_eq!(
            path,
            "/v1/projects/my%20project/locations/us-east5/publishers/anthropic/models/..%2Fclaude:rawPredict"
        );
    }

    #[test]
    fn thoughts_of_other_models_stay_behind() {
        let body = r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"Hm.","signature":"gemini:AbC="},{"type":"text","text":"Hello"}]},{"role":"user","content":"So?"}]}"#;
        let (_, body, losses) = sent(Endpoint::Messages, false, "claude-opus-4-6", &Headers::default(), body);
        assert_eq!(
            body,
            r#"{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"text","text":"Hello"}]},{"role":"user","content":"So?"}],"anthropic_version":"vertex-2023-10-16"}"#
        );
        assert_eq!(losses, ["messages[1].content[0]: Anthropic takes no thought without its signature"]);
    }

    #[test]
    fn the_envelope_of_count_tokens() {
        let betas = Headers::from([("anthropic-beta", "context-1m-2025-08-07")]);
        let body = r#"{"model":"claude","messages":[]}"#;
        let (path, body, losses) =
            sent(Endpoint::CountTokens, false, "claude-opus-4-6@default", &betas, body);
        assert_eq!(
            path,
            "/v1/projects/my%20project/locations/us-east5/publishers/anthropic/models/count-tokens:rawPredict"
        );
        assert_eq!(
            body,
            r#"{"model":"claude-opus-4-6","messages":[],"anthropic_version":"vertex-2023-10-16"}"#
        );
        assert_eq!(losses.len(), 1);
    }

    #[test]
    fn each_refusal_was_met() {
        assert!(REFUSED.iter().all(|(_, source)| source.starts_with("https://")));
    }
}
