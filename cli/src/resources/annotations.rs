//! Annotations of Weir's own: what the resources have no field for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_core::metrics::HeaderLabels;

use super::Report;
use super::diagnostic::hint;
use super::kinds::Kind;
use super::metrics_headers;
use super::pass_through::{self, PassThrough};
use super::set::ResourceId;
use super::values::{parse_bytes, parse_duration};

/// What the names of all of them begin with.
const PREFIX: &str = "weir.dev/";
const CACHE_MARKS: &str = "weir.dev/cache-marks";
const CHAT_ONLY: &str = "weir.dev/chat-only";
const HELD_LIMIT: &str = "weir.dev/held-limit";
const KEEPALIVE: &str = "weir.dev/keepalive";
/// Of Gateways: see [`metrics_headers`].
pub const METRICS_HEADERS: &str = "weir.dev/metrics-headers";
/// Names a Secret.
pub const RESPONSE_KEY: &str = "weir.dev/response-key";
/// Of AIGatewayRoutes: see [`pass_through`].
pub const PASS_THROUGH: &str = "weir.dev/pass-through";
/// Of AIGatewayRoutes.
pub const REPEAT_UNTIL_CONTENT: &str = "weir.dev/repeat-until-content";
const REQUIRE_IDENTITY: &str = "weir.dev/require-identity";
const STRICT: &str = "weir.dev/strict";

/// What the annotations of all resources say.
#[derive(Debug, Default)]
pub struct Settings {
    /// Of Gateways: what requests, answers and events that are not whole may hold in one worker, in bytes.
    pub held_limit: Option<u32>,
    /// Of Gateways: how long a client hears nothing of a stream before the gateway speaks; zero: it never does.
    pub keepalive: Option<Duration>,
    /// Of Gateways: the request headers that are labels of metrics.
    pub metrics_headers: Option<(ResourceId, HeaderLabels)>,
    /// Of Gateways: the Secret, in the namespace of the Gateway, with the key that names of responses are sealed with.
    pub response_key: Option<(ResourceId, String)>,
    /// `namespace/name` of the BackendTrafficPolicies that refuse requests without one of their Distinct headers.
    pub require_identity: BTreeSet<String>,
    /// `namespace/name` of the AIServiceBackends whose prompts get marks for a cache where they have none.
    pub cache_marks: BTreeSet<String>,
    /// `namespace/name` of the AIServiceBackends that speak OpenAI's API but for Responses.
    pub chat_only: BTreeSet<String>,
    /// `namespace/name` of the AIGatewayRoutes whose requests lose nothing, or are refused.
    pub strict: BTreeSet<String>,
    /// `namespace/name` of the AIGatewayRoutes whose streams are said anew where they break before their first content.
    pub repeat_until_content: BTreeSet<String>,
    /// What AIGatewayRoutes pass to backends as it is, by their `namespace/name`.
    pub pass_through: BTreeMap<String, Vec<PassThrough>>,
    /// The Gateway that said each of the above first, with its words.
    said: BTreeMap<&'static str, (String, String)>,
}

impl Settings {
    /// Reads the annotations of one resource; those of others are nobody's business here.
    pub fn read(
        &mut self,
        kind: Kind,
        id: &ResourceId,
        annotations: &BTreeMap<String, String>,
        report: &mut Report,
    ) {
        for (name, value) in annotations.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            if let Err(message) = self.one(kind, id, name, value) {
                report.error(id, format!("metadata.annotations[{name}]"), message);
            }
        }
    }

    fn one(&mut self, kind: Kind, id: &ResourceId, name: &str, value: &str) -> Result<(), String> {
        let known: &[&'static str] = match kind {
            Kind::Gateway => &[HELD_LIMIT, KEEPALIVE, METRICS_HEADERS, RESPONSE_KEY],
            Kind::BackendTrafficPolicy => &[REQUIRE_IDENTITY],
            Kind::AIGatewayRoute => &[PASS_THROUGH, REPEAT_UNTIL_CONTENT, STRICT],
            Kind::AIServiceBackend => &[CACHE_MARKS, CHAT_ONLY],
            _ => &[],
        };
        let Some(name) = known.iter().find(|known| **known == name) else {
            let others = hint(name, known.iter().copied());
            return Err(format!("is no annotation of this kind that weir knows, {others}"));
        };
        if kind == Kind::Gateway {
            let first = self.said.entry(name).or_insert_with(|| (id.full_name(), value.to_owned()));
            if first.1 != value {
                let (gateway, other) = first;
                return Err(format!(
                    "is `{value}`, and `{other}` in Gateway {gateway}; one filter serves all Gateways, so they must say the same"
                ));
            }
        }
        match *name {
            HELD_LIMIT => {
                // A VM of wasm counts in 32 bits.
                let bytes = parse_bytes(value).and_then(|bytes| u32::try_from(bytes).ok());
                self.held_limit = Some(bytes.filter(|bytes| *bytes > 0).ok_or_else(|| {
                    format!("`{value}` is not a number of bytes between 1 and 4Gi: write it as `256Mi` or `268435456`")
                })?);
            }
            KEEPALIVE => {
                self.keepalive = Some(parse_duration(value).ok_or_else(|| {
                    format!("`{value}` is not a duration: write it as `15s`, or `0s` for never")
                })?);
            }
            METRICS_HEADERS => {
                self.metrics_headers = Some((id.clone(), metrics_headers::parse(value)?));
            }
            RESPONSE_KEY => self.response_key = Some((id.clone(), value.to_owned())),
            PASS_THROUGH => {
                self.pass_through.insert(id.full_name(), pass_through::parse(value)?);
            }
            CACHE_MARKS => name_if(&mut self.cache_marks, id, value)?,
            CHAT_ONLY => name_if(&mut self.chat_only, id, value)?,
            REPEAT_UNTIL_CONTENT => name_if(&mut self.repeat_until_content, id, value)?,
            REQUIRE_IDENTITY => name_if(&mut self.require_identity, id, value)?,
            _ => name_if(&mut self.strict, id, value)?,
        }
        Ok(())
    }
}

/// Adds the resource to those that say `true`.
fn name_if(named: &mut BTreeSet<String>, id: &ResourceId, value: &str) -> Result<(), String> {
    match value {
        "true" => {
            named.insert(id.full_name());
            Ok(())
        }
        "false" => Ok(()),
        _ => Err(format!("`{value}` is neither `true` nor `false`")),
    }
}
