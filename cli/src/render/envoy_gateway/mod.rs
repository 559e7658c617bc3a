//! From resources of Envoy AI Gateway to plain ones of Gateway API and Envoy Gateway: no controller, no kinds of
//! others.
//!
//! A rule of an AIGatewayRoute becomes an HTTPRoute. Where it has one place to go to, that is all: the filter in the
//! listener's chain makes the backend's request, and the HTTPRoute takes what was made for that backend. Elsewhere the
//! filter also stands in the cluster's chain, which only an EnvoyPatchPolicy can say.
//!
//! What Envoy Gateway does is described by the version that it was tried with, 1.9.1; [`Release`] knows what older ones
//! do otherwise.

mod backends;
mod extension;
mod hosts;
mod others;
mod patches;
mod protocol;
mod proxy;
mod release;
mod routes;
mod rules;
#[cfg(test)]
mod tests;
mod traffic;
mod unknown;

use serde_json::Value;

pub use self::release::Release;
use super::kubernetes::{Input, Manifests, Names, kind_of, name_of, namespace_of, without_files};
use super::{Error, Files, Form, sockets};
use crate::resources::kinds::{AI_GATEWAY, ENVOY_GATEWAY, GATEWAY_API};
use crate::resources::{Report, ResourceId};

/// The files, each a concern.
const GATEWAY: &str = "gateway.yaml";
const BACKENDS: &str = "backends.yaml";
const ROUTES: &str = "routes.yaml";
const TRAFFIC: &str = "traffic.yaml";
const FILTER: &str = "filter.yaml";
const PATCHES: &str = "patches.yaml";
const OTHER: &str = "other.yaml";

/// Of Envoy Gateway's own kinds.
const ENVOY_GATEWAY_V1: &str = "gateway.envoyproxy.io/v1alpha1";
/// Of Gateway API's kinds.
const GATEWAY_API_V1: &str = "gateway.networking.k8s.io/v1";

/// What the module and the policies are called.
const WEIR: &str = "weir";

/// What rendering needs besides the resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The filter, and how it gets there.
    pub filter: Filter,
    /// The oldest Envoy Gateway that is to take the resources.
    pub release: Release,
}

/// The filter's form, and where its code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// The native module, in the proxy's file system. How it gets there need only be said for pods.
    Module(Option<InPod>),
    /// WebAssembly, which Envoy Gateway downloads and serves to its proxies. Clusters' chains take it from the proxy's
    /// file system alone.
    Wasm(Code, Option<InPod>),
}

impl Filter {
    fn form(&self) -> Form {
        match self {
            Filter::Module(_) => Form::Module,
            Filter::Wasm(..) => Form::Wasm,
        }
    }

    /// How its file gets into the pod.
    fn in_pod(&self) -> Option<&InPod> {
        match self {
            Filter::Module(in_pod) | Filter::Wasm(_, in_pod) => in_pod.as_ref(),
        }
    }

    /// Where its file is in the pod, as the image of the filter has it.
    fn path(&self) -> &'static str {
        match self {
            Filter::Module(_) => "/opt/weir/libweir.so",
            Filter::Wasm(..) => "/opt/weir/plugin.wasm",
        }
    }
}

/// How the filter's file gets into the proxy's pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InPod {
    /// The filter's image, mounted as a volume at [`FOLDER`]: Kubernetes 1.33 or later.
    Volume(String),
    /// An image of Envoy that has the file in [`FOLDER`].
    Envoy(String),
}

/// The folder of [`Filter::path`].
const FOLDER: &str = "/opt/weir";

/// Where Envoy Gateway gets the wasm filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// An OCI image, or a URL.
    pub source: Source,
    /// For an image the digest of its manifest, for a URL that of the file; 64 hexadecimal digits.
    pub sha256: Option<String>,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `REGISTRY/REPOSITORY:TAG`
    Image(String),
    /// `https://...`
    Url(String),
}

/// Renders the resources.
///
/// Beside the files there are notes: what else must be there for them to work.
///
/// # Errors
///
/// All that they ask for and Envoy Gateway cannot do, in [`Error::Platform`].
pub fn envoy_gateway(input: &Input, options: &Options) -> Result<(Files, Vec<String>), Error> {
    let mut renderer = Renderer {
        input,
        options,
        names: names(&input.documents),
        report: Report::default(),
        notes: Vec::new(),
        manifests: Manifests::default(),
    };
    renderer.render()?;
    if !renderer.report.errors.is_empty() {
        return Err(Error::Platform(renderer.report.errors));
    }
    Ok((renderer.manifests.into_files()?, renderer.notes))
}

/// Envoy decides whether a request may become a WebSocket by the route that it has before any filter is asked, and the
/// one that takes all is none to a backend.
const NO_SOCKETS: &str = "WebSockets (GET /v1/realtime, GET /v1/responses) get a 403 from Envoy Gateway's \
                          listeners, which allow upgrades on routes alone: the model is not known yet when Envoy \
                          looks for one";

/// The work on one set of resources. Mistakes are collected, so that one run shows all of them.
struct Renderer<'a> {
    input: &'a Input,
    options: &'a Options,
    names: Names,
    report: Report,
    /// What is to be said besides: a line each.
    notes: Vec<String>,
    manifests: Manifests,
}

impl<'a> Renderer<'a> {
    fn render(&mut self) -> Result<(), Error> {
        self.notes.extend(self.options.release.note());
        let rules = self.rules();
        let backends = self.backends(&rules);
        let routes = self.routes(&rules, &backends);
        self.unknown_models();
        let credentials = self.credentials_route(&rules);
        let hosts = self.hosts_route(&rules);
        if let Filter::Wasm(..) = self.options.filter {
            for (policy, message) in without_files(&self.input.plan) {
                self.refuse("BackendSecurityPolicy", policy, "spec", message);
            }
        }
        self.traffic(&rules, &routes);
        let config = self.configuration(&rules, &routes, credentials.as_deref(), &hosts);
        self.options.filter.form().check(&config)?;
        self.proxies(&config);
        let extensions = self.extension(&config)?;
        let has_route = credentials.is_some() || !hosts.is_empty();
        self.patches(&rules, &routes, &config, &extensions, has_route)?;
        self.pass_on();
        let mut members = rules.iter().flat_map(|rule| rule.members());
        if members.any(|(_, member)| sockets::opens(&self.input.plan, &member.backend)) {
            self.notes.push(NO_SOCKETS.to_owned());
        }
        Ok(())
    }

    /// The resources of a kind of the platform as they were written.
    fn documents(&self, kind: &'static str) -> impl Iterator<Item = &'a Value> + use<'a> {
        let input = self.input;
        input
            .documents
            .iter()
            .filter(move |document| kind_of(document) == kind && group_of(document) != Group::Other)
    }

    /// A resource as it was written.
    fn document(&self, kind: &'static str, full_name: &str) -> Option<&'a Value> {
        self.documents(kind).find(|document| full_name_of(document) == full_name)
    }

    /// A mistake in a resource that is only passed on.
    fn refuse(&mut self, kind: &str, full_name: &str, field: &str, message: impl Into<String>) {
        let (namespace, name) = halves(full_name);
        let id = ResourceId {
            file: "".into(),
            kind: kind.into(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.report.error(&id, field, message);
    }
}

/// Who understands a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Weir alone: it is compiled.
    Weirs,
    /// Envoy Gateway.
    Platform,
    /// Somebody else.
    Other,
}

fn group_of(document: &Value) -> Group {
    let api_version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    match api_version.split_once('/') {
        Some((AI_GATEWAY, _)) => Group::Weirs,
        Some((GATEWAY_API | ENVOY_GATEWAY, _)) => Group::Platform,
        _ => Group::Other,
    }
}

/// `namespace/name` of a resource that lives in a namespace.
fn full_name_of(document: &Value) -> String {
    format!("{}/{}", namespace_of(document), name_of(document))
}

fn names(documents: &[Value]) -> Names {
    let mut names = Names::default();
    for document in documents {
        names.take(kind_of(document), namespace_of(document), name_of(document));
    }
    names
}

/// The two halves of `namespace/name`.
fn halves(full_name: &str) -> (&str, &str) {
    full_name.split_once('/').unwrap_or(("default", full_name))
}
