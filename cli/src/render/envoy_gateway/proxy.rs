//! Gateways and the pods of their proxies: the module, the secrets it reads, and how much Envoy may hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use weir_core::config::Config;

use super::{ENVOY_GATEWAY_V1, FOLDER, Filter, GATEWAY, InPod, Renderer, WEIR, full_name_of, halves};
use crate::check::listeners::REQUEST_RECEIVED_TIMEOUT;
use crate::render::kubernetes::{
    Names, SecretKey, duration, name_of, namespace_of, resource, secret_keys, slug, targets,
};
use crate::resources::kinds::{ENVOY_GATEWAY, GATEWAY_API};

/// Where the secrets are in the pod, each in a folder of its name.
const SECRETS: &str = "/var/run/weir/secrets";

impl SecretKey<'_> {
    /// The variable that has it where there are no files.
    pub(super) fn variable(&self) -> String {
        let name = slug(self.name()).replace('-', "_").to_uppercase();
        let key = slug(self.key).replace('-', "_").to_uppercase();
        format!("WEIR_{name}_{key}")
    }

    /// Its file in the pod.
    pub(super) fn path(&self) -> String {
        format!("{SECRETS}/{}/{}", self.name(), self.key)
    }
}

impl<'a> Renderer<'a> {
    /// `namespace/name` of the Gateways with AIGatewayRoutes.
    pub(super) fn gateways(&self) -> BTreeSet<&'a str> {
        let with_rules = self.input.plan.listeners.iter().filter(|listener| {
            listener.virtual_hosts.iter().flat_map(|host| &host.rules).any(|matched| matched.rule.ai)
        });
        with_rules.filter_map(|listener| Some(listener.name.rsplit_once('/')?.0)).collect()
    }

    /// Gateways, GatewayClasses, EnvoyProxies and ClientTrafficPolicies.
    pub(super) fn proxies(&mut self, config: &Config) {
        self.check_secrets(config);
        let pod = self.pod(config);
        let mut own: BTreeMap<String, String> = BTreeMap::new();
        let mut used = BTreeSet::new();
        for gateway in self.gateways() {
            self.check_module(gateway);
            match self.proxy_of(gateway) {
                Some(proxy) => {
                    if self.document("EnvoyProxy", &proxy).is_none() {
                        let message = format!(
                            "takes EnvoyProxy {proxy}, to which the filter and its secrets must be added, and which is not among the \
                             files: give it, too"
                        );
                        self.refuse("Gateway", gateway, "", message);
                    }
                    used.insert(proxy);
                }
                None => {
                    let namespace = halves(gateway).0.to_owned();
                    own.entry(namespace)
                        .or_insert_with_key(|namespace| self.names.unique("EnvoyProxy", namespace, WEIR));
                }
            }
        }
        for document in self.documents("GatewayClass") {
            self.manifests.add(GATEWAY, document.clone());
        }
        for document in self.documents("EnvoyProxy") {
            let mut document = document.clone();
            let full_name = full_name_of(&document);
            if used.contains(&full_name) && pod.add_to(&mut document).is_none() {
                let message =
                    "is not as the schema of EnvoyProxy has it: an object or a list is something else";
                self.refuse("EnvoyProxy", &full_name, "spec", message);
            }
            self.manifests.add(GATEWAY, document);
        }
        for (namespace, name) in &own {
            let mut proxy = resource(ENVOY_GATEWAY_V1, "EnvoyProxy", namespace, name, json!({}));
            pod.add_to(&mut proxy);
            self.manifests.add(GATEWAY, proxy);
        }
        let ours = self.gateways();
        for document in self.documents("Gateway") {
            let mut document = document.clone();
            let full_name = full_name_of(&document);
            if ours.contains(&*full_name)
                && self.proxy_of(&full_name).is_none()
                && let Some(name) = own.get(namespace_of(&document))
                && let Some(Value::Object(spec)) = document.get_mut("spec")
                && let Value::Object(infrastructure) =
                    spec.entry("infrastructure").or_insert_with(|| json!({}))
            {
                let reference = json!({"group": ENVOY_GATEWAY, "kind": "EnvoyProxy", "name": name});
                infrastructure.insert("parametersRef".to_owned(), reference);
            }
            self.manifests.add(GATEWAY, document);
        }
        self.client_policies();
    }

    /// `namespace/name` of the EnvoyProxy of a Gateway: its own, or that of its class.
    pub(super) fn proxy_of(&self, gateway: &str) -> Option<String> {
        let document = self.document("Gateway", gateway)?;
        let is_proxy =
            |reference: &&Value| reference.get("kind").and_then(Value::as_str) == Some("EnvoyProxy");
        let text = |reference: &Value, field: &str| Some(reference.get(field)?.as_str()?.to_owned());
        if let Some(own) = document.pointer("/spec/infrastructure/parametersRef").filter(is_proxy) {
            return Some(format!("{}/{}", namespace_of(document), text(own, "name")?));
        }
        let class = document.pointer("/spec/gatewayClassName")?.as_str()?;
        let class = self.documents("GatewayClass").find(|document| name_of(document) == class)?;
        let reference = class.pointer("/spec/parametersRef").filter(is_proxy)?;
        let namespace = text(reference, "namespace").unwrap_or_else(|| "default".to_owned());
        Some(format!("{namespace}/{}", text(reference, "name")?))
    }

    /// Whether the proxies of a Gateway have the filter's file. Where they are processes of a host it lies there.
    pub(super) fn has_file(&self, gateway: &str) -> bool {
        let proxy = self.proxy_of(gateway).and_then(|name| self.document("EnvoyProxy", &name));
        let provider = proxy.and_then(|proxy| proxy.pointer("/spec/provider/type"));
        self.options.filter.in_pod().is_some() || provider.is_some_and(|provider| provider == "Host")
    }

    fn check_module(&mut self, gateway: &str) {
        if matches!(self.options.filter, Filter::Module(_)) && !self.has_file(gateway) {
            let message = format!(
                "the native module must get into the pods of its proxies: name an image with /libweir.so by --module-image, or an \
                 image of Envoy with {} by --envoy-image; or take --filter wasm",
                self.options.filter.path()
            );
            self.refuse("Gateway", gateway, "", message);
        }
    }

    /// All Secrets are those of the pod's namespace, and what is made of their names must tell them apart.
    fn check_secrets(&mut self, config: &Config) {
        let mut secrets: BTreeMap<String, &str> = BTreeMap::new();
        for key in secret_keys(config) {
            let place = match self.options.filter {
                Filter::Module(_) => key.name().to_owned(),
                Filter::Wasm(..) => key.variable(),
            };
            let other = *secrets.entry(place.clone()).or_insert(key.secret);
            if other == key.secret {
                continue;
            }
            let message = format!(
                "names Secret {}, and another names {other}: a pod has Secrets of its own namespace only, where both would be \
                 {place}; give them different names",
                key.secret
            );
            let mut policies = self.input.set.backend_security_policies.iter();
            if let Some(policy) = policies.find(|policy| policy.id.full_name() == key.credential) {
                self.report.error(&policy.id, "spec", message);
            }
        }
        let by_name: BTreeSet<&str> = secrets.into_values().map(|secret| halves(secret).1).collect();
        if !by_name.is_empty() {
            let names: Vec<&str> = by_name.into_iter().collect();
            self.notes.push(format!(
                "the proxies read these Secrets, which must be in the namespace they run in (envoy-gateway-system, unless Envoy \
                 Gateway is told otherwise): {}",
                names.join(", ")
            ));
        }
    }

    /// Sees to it that clients may do what they may with `weir run`.
    fn client_policies(&mut self) {
        let mut covered = BTreeSet::new();
        for document in self.documents("ClientTrafficPolicy") {
            let mut document = document.clone();
            let namespace = namespace_of(&document).to_owned();
            for target in targets(&document) {
                let text = |field: &str| target.get(field).and_then(Value::as_str);
                if let (Some("Gateway"), Some(name), None) = (text("kind"), text("name"), text("sectionName"))
                {
                    covered.insert(format!("{namespace}/{name}"));
                }
            }
            if let Some(Value::Object(spec)) = document.get_mut("spec") {
                add_missing(spec, &client_settings());
            }
            self.manifests.add(GATEWAY, document);
        }
        let mut open: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for gateway in self.gateways().into_iter().filter(|gateway| !covered.contains(*gateway)) {
            let (namespace, name) = halves(gateway);
            let target = json!({"group": GATEWAY_API, "kind": "Gateway", "name": name});
            open.entry(namespace).or_default().push(target);
        }
        for (namespace, targets) in open {
            let name = self.names.unique("ClientTrafficPolicy", namespace, WEIR);
            let mut spec = json!({"targetRefs": targets});
            if let Value::Object(spec) = &mut spec {
                add_missing(spec, &client_settings());
            }
            let policy = resource(ENVOY_GATEWAY_V1, "ClientTrafficPolicy", namespace, &name, spec);
            self.manifests.add(GATEWAY, policy);
        }
    }

    fn pod(&self, config: &Config) -> Pod {
        let mut pod = Pod::default();
        match self.options.filter.in_pod() {
            None => {}
            Some(InPod::Volume(image)) => {
                let volume = json!({"name": WEIR, "image": {"reference": image}});
                pod.mount(volume, FOLDER);
            }
            Some(InPod::Envoy(image)) => pod.image = Some(image.clone()),
        }
        if let Filter::Wasm(..) = self.options.filter {
            let keys: BTreeMap<String, SecretKey<'_>> =
                secret_keys(config).map(|key| (key.variable(), key)).collect();
            for (name, SecretKey { secret, key, .. }) in keys {
                let reference = json!({"name": halves(secret).1, "key": key, "optional": true});
                pod.variables.push(json!({"name": name, "valueFrom": {"secretKeyRef": reference}}));
            }
            return pod;
        }
        let local = json!({"type": "Local", "local": {"path": self.options.filter.path()}});
        // A thread of the module outlives every configuration, so its code must stay.
        pod.modules.push(json!({"name": WEIR, "source": local, "doNotClose": true}));
        let mut names = Names::default();
        let secrets: BTreeSet<&str> = secret_keys(config).map(|key| key.name()).collect();
        for secret in secrets {
            let volume = names.unique("", "", &format!("weir-{}", slug(secret)));
            // One that is missing keeps its own backend from being asked, and not the pod from starting.
            let source = json!({"secretName": secret, "optional": true});
            pod.mount(json!({"name": volume, "secret": source}), &format!("{SECRETS}/{secret}"));
        }
        pod
    }
}

/// What clients may do where a ClientTrafficPolicy does not say it. Envoy's default of 32 KiB held would be a 413 for a
/// long prompt; a request may take as long as with `weir run`, and be of HTTP/1.0 as nginx sends it.
fn client_settings() -> Value {
    json!({
        "connection": {"bufferLimit": "32Mi"},
        "timeout": {"http": {"requestReceivedTimeout": duration(REQUEST_RECEIVED_TIMEOUT)}},
        "http1": {"http10": {}},
    })
}

/// Adds what is not there, at all depths.
fn add_missing(fields: &mut Map<String, Value>, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        match (fields.get_mut(name), value) {
            (Some(Value::Object(known)), Value::Object(_)) => add_missing(known, value),
            (Some(_), _) => {}
            (None, value) => {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

/// What an EnvoyProxy gets.
#[derive(Default)]
struct Pod {
    modules: Vec<Value>,
    volumes: Vec<Value>,
    mounts: Vec<Value>,
    variables: Vec<Value>,
    image: Option<String>,
}

impl Pod {
    fn mount(&mut self, volume: Value, path: &str) {
        let name = volume.get("name").cloned();
        self.volumes.push(volume);
        self.mounts.push(json!({"name": name, "mountPath": path, "readOnly": true}));
    }

    /// `None` where the EnvoyProxy is not as one should be, which its schema does not let be.
    fn add_to(&self, proxy: &mut Value) -> Option<()> {
        let spec = object(proxy.as_object_mut()?, "spec")?;
        append(spec, "dynamicModules", &self.modules)?;
        let provider = spec.get("provider").and_then(|provider| provider.get("type"));
        let is_elsewhere = provider.is_some_and(|kind| kind != "Kubernetes");
        if is_elsewhere || self.volumes.is_empty() && self.image.is_none() && self.variables.is_empty() {
            return Some(());
        }
        let provider = object(spec, "provider")?;
        provider.entry("type").or_insert_with(|| "Kubernetes".into());
        let kubernetes = object(provider, "kubernetes")?;
        let kind =
            if kubernetes.contains_key("envoyDaemonSet") { "envoyDaemonSet" } else { "envoyDeployment" };
        let workload = object(kubernetes, kind)?;
        if !self.volumes.is_empty() {
            append(object(workload, "pod")?, "volumes", &self.volumes)?;
        }
        let container = object(workload, "container")?;
        append(container, "volumeMounts", &self.mounts)?;
        append(container, "env", &self.variables)?;
        if let Some(image) = &self.image {
            container.insert("image".to_owned(), image.clone().into());
        }
        Some(())
    }
}

/// The object at a field, which is made if it is not there.
fn object<'f>(fields: &'f mut Map<String, Value>, name: &str) -> Option<&'f mut Map<String, Value>> {
    fields.entry(name).or_insert_with(|| json!({})).as_object_mut()
}

/// Adds to the list at a field, which is made if it is not there.
fn append(fields: &mut Map<String, Value>, name: &str, values: &[Value]) -> Option<()> {
    if !values.is_empty() {
        let list = fields.entry(name).or_insert_with(|| json!([])).as_array_mut()?;
        list.extend_from_slice(values);
    }
    Some(())
}
