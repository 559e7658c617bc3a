//! All resources of all files, by kind, in the order they were written in.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::ai::{AiGatewayRouteSpec, AiServiceBackendSpec};
use super::annotations::Settings;
use super::backend_security::BackendSecurityPolicySpec;
use super::client_traffic::ClientTrafficPolicySpec;
use super::decode::{MISSING, Mistake, decode};
use super::diagnostic::{Report, closest};
use super::envoy::BackendSpec;
use super::gateway::{
    BackendTlsPolicySpec, GatewayClassSpec, GatewaySpec, HttpRouteSpec, ReferenceGrantSpec,
};
use super::kinds::{Kind, Treatment, treatment};
use super::platform::Platform;
use super::secret::{self, KeyedValues, ServiceSpec};
use super::security::SecurityPolicySpec;
use super::source::Source;
use super::traffic::BackendTrafficPolicySpec;
use super::{exported, unsupported, yaml};

/// Which resource, and where it is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ResourceId {
    /// The file.
    pub file: Rc<str>,
    /// As in the field `kind`.
    pub kind: Rc<str>,
    /// `default` when not given; empty for what lives in none.
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
}

impl ResourceId {
    /// `namespace/name`
    #[must_use]
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.full_name())
    }
}

/// A resource.
#[derive(Debug, Clone)]
pub struct Resource<T> {
    /// Which.
    pub id: ResourceId,
    /// `metadata.creationTimestamp`, which exported resources have.
    pub created: Option<String>,
    /// What it says.
    pub spec: T,
}

/// The resources of one kind.
#[derive(Debug)]
pub struct Resources<T> {
    items: Vec<Resource<T>>,
    index: HashMap<(String, String), usize>,
    /// Those that are there and could not be read: references to them are not mistakes of their own.
    broken: Vec<(String, String)>,
}

impl<T> Default for Resources<T> {
    fn default() -> Self {
        Resources { items: Vec::new(), index: HashMap::new(), broken: Vec::new() }
    }
}

/// What a reference leads to.
#[derive(Debug)]
pub enum Found<'a, T> {
    /// A resource.
    One(&'a Resource<T>),
    /// A resource with mistakes that were reported already.
    Broken,
    /// Nothing; with the names that there are, most likely ones first.
    Nothing(String),
}

impl<T> Resources<T> {
    /// In the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Resource<T>> {
        self.items.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.broken.is_empty()
    }

    /// Follows a reference.
    #[must_use]
    pub fn find(&self, namespace: &str, name: &str) -> Found<'_, T> {
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(resource) = self.index.get(&key).and_then(|position| self.items.get(*position)) {
            return Found::One(resource);
        }
        if name == MISSING || self.broken.contains(&key) {
            return Found::Broken;
        }
        let near: Vec<&str> =
            self.items.iter().filter(|r| r.id.namespace == namespace).map(|r| r.id.name.as_str()).collect();
        if closest(name, &near).is_none()
            && let Some(elsewhere) = self.items.iter().find(|resource| resource.id.name == name)
        {
            return Found::Nothing(format!("there is one in the namespace `{}`", elsewhere.id.namespace));
        }
        Found::Nothing(super::diagnostic::hint(name, near))
    }

    fn add(&mut self, id: ResourceId, created: Option<String>, spec: Option<T>) {
        let key = (id.namespace.clone(), id.name.clone());
        match spec {
            Some(spec) => {
                self.index.insert(key, self.items.len());
                self.items.push(Resource { id, created, spec });
            }
            None => self.broken.push(key),
        }
    }
}

/// A resource that was left aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: String,
    /// `Kind namespace/name`
    pub resource: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: skipped, {}", self.file, self.resource, self.reason)
    }
}

/// All resources, by kind.
#[derive(Debug, Default)]
#[allow(missing_docs, reason = "the kinds' own names")]
pub struct Set {
    pub gateway_classes: Resources<GatewayClassSpec>,
    pub gateways: Resources<GatewaySpec>,
    pub http_routes: Resources<HttpRouteSpec>,
    pub backend_tls_policies: Resources<BackendTlsPolicySpec>,
    pub reference_grants: Resources<ReferenceGrantSpec>,
    pub ai_gateway_routes: Resources<AiGatewayRouteSpec>,
    pub ai_service_backends: Resources<AiServiceBackendSpec>,
    pub backend_security_policies: Resources<BackendSecurityPolicySpec>,
    pub backends: Resources<BackendSpec>,
    pub backend_traffic_policies: Resources<BackendTrafficPolicySpec>,
    pub client_traffic_policies: Resources<ClientTrafficPolicySpec>,
    pub security_policies: Resources<SecurityPolicySpec>,
    pub envoy_proxies: Resources<()>,
    pub secrets: Resources<KeyedValues>,
    pub config_maps: Resources<KeyedValues>,
    pub services: Resources<ServiceSpec>,
    /// `spec` of the BackendTrafficPolicies, by `namespace/name`.
    pub traffic_policies_as_written: BTreeMap<String, Value>,
    /// What annotations say.
    pub settings: Settings,
    /// What none of Weir's kinds is.
    pub skipped: Vec<Skipped>,
    /// Whether something could not be read that may be just what seems to be missing.
    pub incomplete: bool,
    /// Where they will be at work.
    pub platform: Platform,
}

/// A whole resource: what is beside `spec` is checked, too, since a slip there is easily overlooked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document<T> {
    spec: T,
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    #[serde(rename = "metadata")]
    _metadata: IgnoredAny,
    /// What a controller found; exported resources have it.
    #[serde(rename = "status")]
    _status: Option<IgnoredAny>,
}

/// `ObjectMeta` of Kubernetes, whole, so that a slip such as `namspace` is found.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "most of it is known only to be told from slips")]
struct Metadata {
    name: String,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<String>,
    generate_name: Option<IgnoredAny>,
    uid: Option<IgnoredAny>,
    resource_version: Option<IgnoredAny>,
    generation: Option<IgnoredAny>,
    deletion_timestamp: Option<IgnoredAny>,
    deletion_grace_period_seconds: Option<IgnoredAny>,
    owner_references: Option<IgnoredAny>,
    finalizers: Option<IgnoredAny>,
    managed_fields: Option<IgnoredAny>,
    self_link: Option<IgnoredAny>,
}

impl Set {
    /// Reads all resources of all files.
    #[must_use]
    pub fn read(sources: &[Source], platform: Platform, report: &mut Report) -> Set {
        let mut set = Set { platform, ..Set::default() };
        let mut seen = HashMap::new();
        for source in sources {
            let file: Rc<str> = Rc::from(source.name.as_str());
            for document in yaml::documents(&source.text) {
                match document {
                    Ok(value) => set.add(&file, value, &mut seen, report),
                    Err(mistake) => report.file_error(
                        format!("{file}:{}:{}", mistake.line, mistake.column),
                        format!("this is not YAML: {}", mistake.message),
                    ),
                }
            }
        }
        // Mistakes without a field are those of whole documents.
        set.incomplete = report.errors.iter().any(|error| error.field.is_empty());
        set
    }

    fn add(
        &mut self,
        file: &Rc<str>,
        mut value: Value,
        seen: &mut HashMap<(Kind, String, String), Rc<str>>,
        report: &mut Report,
    ) {
        yaml::drop_nulls(&mut value);
        let text = |member: &str| value.get(member).and_then(Value::as_str).map(str::to_owned);
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            let message = "a document is no resource: it needs `apiVersion`, `kind` and `metadata.name`";
            return report.file_error(file.to_string(), message);
        };
        let mut id = ResourceId {
            file: Rc::clone(file),
            kind: Rc::from(kind.as_str()),
            namespace: pointer(&value, "/metadata/namespace").unwrap_or("default").to_owned(),
            name: pointer(&value, "/metadata/name").unwrap_or("(without a name)").to_owned(),
        };
        if let Some(owner) = exported::made_from(&value) {
            let reason = format!("a controller made it from {owner}");
            return self.skipped.push(Skipped { file: file.to_string(), resource: id.to_string(), reason });
        }
        let skip = |reason: String| Skipped { file: file.to_string(), resource: id.to_string(), reason };
        let kind = match treatment(&api_version, &kind, self.platform) {
            Treatment::Read(kind) => kind,
            Treatment::Harmless(reason) => return self.skipped.push(skip(reason.to_owned())),
            Treatment::Foreign => {
                return self.skipped.push(skip("weir reads no such kind".to_owned()));
            }
            Treatment::Refused(message) => return report.error(&id, "", message),
        };
        if kind.is_cluster_scoped() {
            id.namespace = String::new();
        }
        let mut mistakes = Vec::new();
        let metadata: Option<Metadata> =
            value.get("metadata").and_then(|metadata| decode(metadata.clone(), &mut mistakes));
        for mistake in mistakes {
            report.error(&id, format!("metadata.{}", mistake.field), mistake.message);
        }
        let created = match metadata {
            Some(Metadata { name, namespace, creation_timestamp, annotations, .. }) if name != MISSING => {
                if !is_name(&name) || namespace.as_deref().is_some_and(|namespace| !is_name(namespace)) {
                    let message = "names are lower case letters, digits, `-` and `.`";
                    return report.error(&id, "metadata", message);
                }
                self.settings.read(kind, &id, &annotations.unwrap_or_default(), report);
                creation_timestamp
            }
            Some(_) => return,
            None => return report.error(&id, "metadata.name", "is missing; it is required"),
        };
        let key = (kind, id.namespace.clone(), id.name.clone());
        if let Some(first) = seen.get(&key) {
            let message = format!("is defined twice, first in {first}; remove one of the two");
            return report.error(&id, "", message);
        }
        seen.insert(key, Rc::clone(file));
        self.sort_in(kind, id, created, value, report);
    }

    fn sort_in(
        &mut self,
        kind: Kind,
        id: ResourceId,
        created: Option<String>,
        value: Value,
        report: &mut Report,
    ) {
        let platform = self.platform;
        match kind {
            Kind::GatewayClass => read(&mut self.gateway_classes, kind, id, created, value, platform, report),
            Kind::Gateway => read(&mut self.gateways, kind, id, created, value, platform, report),
            Kind::HTTPRoute => read(&mut self.http_routes, kind, id, created, value, platform, report),
            Kind::BackendTLSPolicy => {
                read(&mut self.backend_tls_policies, kind, id, created, value, platform, report)
            }
            // One that is being deleted is none any more.
            Kind::ReferenceGrant if value.pointer("/metadata/deletionTimestamp").is_some() => {}
            Kind::ReferenceGrant => {
                read(&mut self.reference_grants, kind, id, created, value, platform, report)
            }
            Kind::AIGatewayRoute => {
                read(&mut self.ai_gateway_routes, kind, id, created, value, platform, report)
            }
            Kind::AIServiceBackend => {
                read(&mut self.ai_service_backends, kind, id, created, value, platform, report)
            }
            Kind::BackendSecurityPolicy => {
                read(&mut self.backend_security_policies, kind, id, created, value, platform, report);
            }
            Kind::Backend => read(&mut self.backends, kind, id, created, value, platform, report),
            Kind::BackendTrafficPolicy => {
                let spec = value.get("spec").cloned().unwrap_or_default();
                self.traffic_policies_as_written.insert(id.full_name(), spec);
                read(&mut self.backend_traffic_policies, kind, id, created, value, platform, report);
            }
            Kind::ClientTrafficPolicy => {
                read(&mut self.client_traffic_policies, kind, id, created, value, platform, report);
            }
            Kind::SecurityPolicy => {
                read(&mut self.security_policies, kind, id, created, value, platform, report);
            }
            Kind::EnvoyProxy => self.envoy_proxies.add(id, created, Some(())),
            Kind::Service => self.services.add(id, created, Some(secret::service(&value))),
            Kind::Secret | Kind::ConfigMap => {
                let mut mistakes = Vec::new();
                if kind == Kind::Secret {
                    let values = secret::secret(&value, &mut mistakes);
                    note(&id, mistakes, report);
                    self.secrets.add(id, created, Some(values));
                } else {
                    let values = secret::config_map(&value, &mut mistakes);
                    note(&id, mistakes, report);
                    self.config_maps.add(id, created, Some(values));
                }
            }
        }
    }
}

fn pointer<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

/// A subdomain as RFC 1123 has it, the rule of Kubernetes for names.
fn is_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.starts_with(edge)
        && name.ends_with(edge)
        && name.chars().all(|c| edge(c) || c == '-' || c == '.')
}

fn read<T: DeserializeOwned>(
    resources: &mut Resources<T>,
    kind: Kind,
    id: ResourceId,
    created: Option<String>,
    mut value: Value,
    platform: Platform,
    report: &mut Report,
) {
    let (refused, without_effect) = unsupported::remove(kind, &mut value, platform);
    note(&id, refused, report);
    for mistake in without_effect {
        report.warning(&id, mistake.field, mistake.message);
    }
    let mut mistakes = Vec::new();
    let document: Option<Document<T>> = decode(value, &mut mistakes);
    note(&id, mistakes, report);
    resources.add(id, created, document.map(|document| document.spec));
}

fn note(id: &ResourceId, mistakes: Vec<Mistake>, report: &mut Report) {
    for mistake in mistakes {
        report.error(id, mistake.field, mistake.message);
    }
}
