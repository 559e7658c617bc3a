//! Where requests go: routes, and the backends that each has.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Cost;

/// What one of Envoy's routes means to the filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The rule's backendRefs, in their order: an endpoint's metadata `weir.target` is
    /// `<index here>/<index in hosts>/<backend>`, see [`super::Backend::address`].
    pub targets: Vec<Arc<Target>>,
    /// The costs to compute when the answer is complete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<Cost>,
    /// The budgets that apply, as indices into [`super::Config::budgets`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<usize>,
    /// Request headers that together name the user in the ledger. Empty: `x-user-id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub user_headers: Vec<String>,
    /// Requests without one of [`Route::user_headers`] are refused: no budget would count them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requires_identity: bool,
    /// Requests are refused for what would otherwise be on record as a loss.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// A stream that breaks before its first content is a failed attempt, as one is that breaks before its first event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat_until_content: bool,
    /// The route takes all below a path and passes it to its backend as it is. `None`: it takes models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_through: Option<PassThrough>,
    /// Request headers that Envoy's rate limit reads once more when it charges: what attempts made of them is undone
    /// before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limit_headers: Vec<String>,
    /// Envoy's rate limit counts requests before an attempt is made: what cannot be sent is to be refused before that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub counted_ahead: bool,
    /// The most attempts that Envoy makes where a backend's answer is an error: the last of them has nothing to hold
    /// its headers back for. `None`: there may always be another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// So many more attempts Envoy may make, where connections failed before an answer: of those that were kept, any
    /// number may be stale. It has one number for all that it repeats, so the filter ends it where [`Route::attempts`]
    /// were answered or took too long.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spare_attempts: u32,
    /// Envoy's `per_try_timeout`, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_ms: Option<u64>,
    /// How long an attempt may be without a byte of its backend, in milliseconds; 0 for ever. `None`: as
    /// [`super::Config::silence_ms`], or as long as an attempt may take where that is longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence_ms: Option<u64>,
    /// Envoy's `timeout` of the whole request, streams included, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_ms: Option<u64>,
    /// On a direct way: milliseconds for an answer that comes whole, over all attempts, which Envoy keeps there, and
    /// for a stream to begin. With it Envoy may repeat a request whose connection was reset, for that is then no
    /// timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_timeout_ms: Option<u64>,
}

/// A part of the gateway's paths that is a backend's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassThrough {
    /// What such paths begin with at the gateway, which the backend does not see: whole segments, without a slash at
    /// the end.
    pub prefix: String,
    /// What stands in its place at the backend; nothing where this is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The models that the route is for, where another one takes the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
}

/// The one place that a model's requests go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Direct {
    /// Key into [`super::Config::routes`].
    pub route: String,
    /// What the metadata `weir.target` of the endpoint says: `<index of the target>/<index of the host>/<backend>`, see
    /// [`super::Backend::address`].
    pub target: String,
    /// The cluster. Its name is never that of one with the backend role: only what this filter has made a request of
    /// that backend gets there.
    pub cluster: String,
    /// There is no other way: clients of every API go this one. Where the proxy breaks off an answer itself, they get
    /// its words and not those of their API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only: bool,
}

/// One backendRef of a route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Key into [`super::Config::backends`].
    pub backend: String,
    /// The model's name at this backend (`modelNameOverride`). `None`: the one the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Header changes for this backend; the route's over the backend's, already merged.
    #[serde(default, skip_serializing_if = "HeaderMutation::is_empty")]
    pub headers: HeaderMutation,
    /// Body changes for this backend, on the translated JSON, already merged.
    #[serde(default, skip_serializing_if = "BodyMutation::is_empty")]
    pub body: BodyMutation,
}

/// Header changes, made after translation and before authentication. Names are lower case.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderMutation {
    /// Headers to set.
    pub set: Vec<(String, String)>,
    /// Headers to remove.
    pub remove: Vec<String>,
}

impl HeaderMutation {
    /// True when there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

/// Changes to the top-level members of the translated body.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BodyMutation {
    /// Members to set: name and value.
    pub set: Vec<(String, serde_json::Value)>,
    /// Members to remove.
    pub remove: Vec<String>,
}

impl BodyMutation {
    /// True when there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.remove.is_empty()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(it: &u32) -> bool {
    *it == 0
}
