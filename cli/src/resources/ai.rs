//! Kinds of Envoy AI Gateway, as far as Weir does what they ask for; BackendSecurityPolicy is in
//! [`super::backend_security`]. The rest of their fields is in [`super::unsupported`]. Source: that project's API
//! reference, v1beta1 and v1alpha1.

use serde::Deserialize;
use serde::de::{Deserializer, IntoDeserializer as _};
use weir_core::config::SchemaName;

use super::gateway::{NameMatch, ParentRef, Timeouts, one};
use super::kinds::Kind;
use super::unsupported;
use super::values::GatewayDuration;

/// AIGatewayRoute
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiGatewayRouteSpec {
    /// The Gateways it attaches to.
    #[serde(default)]
    pub parent_refs: Vec<ParentRef>,
    /// The host names it is for; all when empty.
    #[serde(default)]
    pub hostnames: Vec<String>,
    /// Its rules.
    pub rules: Vec<AiRule>,
    /// What to compute for rate limits and logs.
    #[serde(default, rename = "llmRequestCosts")]
    pub llm_request_costs: Vec<LlmRequestCost>,
}

/// A rule of an AIGatewayRoute.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiRule {
    /// For `sectionName` of policies.
    pub name: Option<String>,
    /// One of these must match; all requests when empty.
    #[serde(default)]
    pub matches: Vec<AiMatch>,
    /// Where requests go.
    #[serde(default)]
    pub backend_refs: Vec<AiBackendRef>,
    /// How long it may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How long an attempt may be silent.
    pub stream_idle_timeout: Option<GatewayDuration>,
    /// For the models list.
    pub models_owned_by: Option<String>,
    /// For the models list, RFC 3339.
    pub models_created_at: Option<String>,
    /// Its models are not in the list.
    #[serde(default)]
    pub exclude_from_models_endpoint: bool,
}

/// What a request must have.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiMatch {
    /// All of them; `x-ai-eg-model` is the model of the request's body.
    #[serde(default)]
    pub headers: Vec<NameMatch>,
}

/// A backend of a rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiBackendRef {
    /// That of AIServiceBackend by default.
    pub group: Option<String>,
    /// `AIServiceBackend` by default.
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// The route's own by default.
    pub namespace: Option<String>,
    /// The model's name there.
    pub model_name_override: Option<String>,
    /// Header changes, over those of the AIServiceBackend.
    pub header_mutation: Option<HeaderMutationSpec>,
    /// Body changes, over those of the AIServiceBackend.
    pub body_mutation: Option<BodyMutationSpec>,
    /// Its share among those of its priority.
    #[serde(default = "one")]
    pub weight: u32,
    /// 0 is tried first.
    #[serde(default)]
    pub priority: u32,
}

/// Header changes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMutationSpec {
    /// Headers to set.
    #[serde(default)]
    pub set: Vec<HeaderValue>,
    /// Headers to remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValue {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// Changes to the members of a JSON body.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyMutationSpec {
    /// Members to set.
    #[serde(default)]
    pub set: Vec<BodyField>,
    /// Members to remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A member of a JSON body.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BodyField {
    /// Its name, at the top level.
    pub path: String,
    /// Its value, as JSON in a string.
    pub value: String,
}

/// A cost of a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LlmRequestCost {
    /// The name policies use.
    pub metadata_key: String,
    /// Which number it is.
    #[serde(rename = "type")]
    pub kind: CostKind,
    /// The expression of a [`CostKind::Cel`].
    pub cel: Option<String>,
}

/// Which number a cost is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the resource's own words")]
pub enum CostKind {
    InputToken,
    CachedInputToken,
    CacheCreationInputToken,
    OutputToken,
    ReasoningToken,
    TotalToken,
    /// The value of an expression.
    #[serde(rename = "CEL")]
    Cel,
}

/// AIServiceBackend
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AiServiceBackendSpec {
    /// The API it speaks.
    pub schema: SchemaSpec,
    /// A Backend.
    pub backend_ref: BackendObjectRef,
    /// Header changes.
    pub header_mutation: Option<HeaderMutationSpec>,
    /// Body changes.
    pub body_mutation: Option<BodyMutationSpec>,
    /// Values of headers that are left out.
    #[serde(default)]
    pub header_value_filters: Vec<HeaderValueFilter>,
}

/// Which values of a header reach the backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderValueFilter {
    /// The header, which is a list with commas.
    pub name: String,
    /// What the values are.
    #[serde(default)]
    pub mode: FilterMode,
    /// As they are in the list.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What the values of a [`HeaderValueFilter`] are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum FilterMode {
    /// Those that do not reach it.
    #[default]
    Denylist,
    /// Those that do.
    Allowlist,
}

/// A reference to a Backend.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendObjectRef {
    /// That of Envoy Gateway.
    pub group: Option<String>,
    /// `Backend`
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
    /// The AIServiceBackend's own by default.
    pub namespace: Option<String>,
    /// Means nothing for a Backend, whose endpoints have ports.
    #[serde(rename = "port")]
    _port: Option<u16>,
}

/// The API a backend speaks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaSpec {
    /// Which one.
    pub name: SchemaKind,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// The first segments of its paths.
    pub prefix: Option<String>,
}

/// The APIs that the resource knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// The filter can talk to it.
    Known(SchemaName),
    /// It cannot yet, which is reported by the table of what is not supported.
    Unsupported,
}

impl SchemaKind {
    /// The one that the filter can talk to.
    #[must_use]
    pub fn known(self) -> Option<SchemaName> {
        match self {
            SchemaKind::Known(name) => Some(name),
            SchemaKind::Unsupported => None,
        }
    }
}

impl<'de> Deserialize<'de> for SchemaKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if unsupported::is_refused(Kind::AIServiceBackend, "spec.schema.name", &name) {
            return Ok(SchemaKind::Unsupported);
        }
        let known = SchemaName::deserialize(name.clone().into_deserializer())?;
        // An annotation of weir's makes it from OpenAI. The resource has no such word.
        if known == SchemaName::OpenAIChat {
            let message =
                format!("unknown schema `{name}`: it is OpenAI with the annotation weir.dev/chat-only");
            return Err(serde::de::Error::custom(message));
        }
        Ok(SchemaKind::Known(known))
    }
}
