//! TLS with clients, and who they are by it. Certificates and CAs come by SDS, from files that Envoy watches: one that
//! is renewed is for whoever connects from then on, and connections that are open stay as they are.

use serde_json::{Map, Value, json};

use super::{Files, Options, discovery, listener, proto, secrets};
use crate::plan::{
    Certificate, ClientCertificates, ClientHeaders, HeaderChange, Listener, NameCondition, Plan, SecretValue,
    ServerTls, TlsParameters,
};

/// Adds the files of all certificates.
pub(super) fn insert(plan: &Plan, files: &mut Files) {
    for certificate in
        plan.listeners.iter().filter_map(|one| one.tls.as_ref()).flat_map(|tls| &tls.certificates)
    {
        let SecretValue(key) = &certificate.key;
        let secret = proto::any(
            "envoy.extensions.transport_sockets.tls.v3.Secret",
            json!({
                "name": name(certificate),
                "tls_certificate": {
                    "certificate_chain": {"inline_string": certificate.chain},
                    "private_key": {"inline_string": key},
                },
            }),
        );
        files.insert_secret(secrets::sds_path(&name(certificate)), &discovery(vec![secret]));
    }
    for clients in plan.listeners.iter().filter_map(|one| one.tls.as_ref()?.clients.as_ref()) {
        if let Some(name) = name_of_cas(clients) {
            let context = json!({
                "name": name,
                "validation_context": trusted(clients),
            });
            let secret = proto::any("envoy.extensions.transport_sockets.tls.v3.Secret", context);
            files.insert_secret(secrets::sds_path(&name), &discovery(vec![secret]));
        }
    }
}

/// The name of the CAs of clients. `None`: there are none.
fn name_of_cas(clients: &ClientCertificates) -> Option<String> {
    (!clients.ca_pem.is_empty()).then(|| format!("clients/{}", clients.policy))
}

fn trusted(clients: &ClientCertificates) -> Value {
    let mut context = json!({"trusted_ca": {"inline_string": clients.ca_pem}});
    if let Value::Object(fields) = &mut context
        && !clients.crl_pem.is_empty()
    {
        fields.insert("crl".to_owned(), json!({"inline_string": clients.crl_pem}));
        fields.insert("only_verify_leaf_cert_crl".to_owned(), clients.crl_of_leaf_only.into());
    }
    context
}

/// The name of a certificate, which no credential has.
fn name(certificate: &Certificate) -> String {
    format!("certificate/{}", certificate.secret)
}

/// Whether Envoy must read whom a client asks for to choose among the listeners of a port.
pub(super) fn is_chosen_by_name(listeners: &[&Listener]) -> bool {
    listeners.iter().any(|listener| listener.tls.is_some() && listener.hostname.is_some())
}

/// What reads whom a client asks for.
pub(super) fn inspector() -> Value {
    proto::extension(
        "envoy.filters.listener.tls_inspector",
        "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        json!({}),
    )
}

/// Adds to a filter chain what makes it one of TLS, where it is.
pub(super) fn add_to_chain(chain: &mut Map<String, Value>, listener: &Listener, options: &Options) {
    let Some(tls) = &listener.tls else { return };
    chain.insert("name".to_owned(), listener.name.clone().into());
    if let Some(hostname) = &listener.hostname {
        chain.insert("filter_chain_match".to_owned(), json!({"server_names": [hostname]}));
    }
    chain.insert("transport_socket".to_owned(), socket(tls, options));
    let timeout = proto::duration(listener::HEADERS_TIMEOUT);
    chain.insert("transport_socket_connect_timeout".to_owned(), timeout.into());
}

fn socket(tls: &ServerTls, options: &Options) -> Value {
    let certificates: Vec<Value> = tls
        .certificates
        .iter()
        .map(name)
        .map(|name| json!({"name": name, "sds_config": proto::config_source(options, &secrets::sds_path(&name))}))
        .collect();
    let mut context = json!({
        "common_tls_context": {
            "tls_params": parameters(&tls.parameters),
            "alpn_protocols": tls.parameters.alpn,
            "tls_certificate_sds_secret_configs": certificates,
        },
        "disable_stateful_session_resumption": !tls.parameters.session_ids,
    });
    if let Value::Object(fields) = &mut context {
        if !tls.parameters.tickets {
            fields.insert("disable_stateless_session_resumption".to_owned(), true.into());
        }
        if let Some(clients) = &tls.clients {
            fields.insert("require_client_certificate".to_owned(), clients.required.into());
            if let Some(Value::Object(common)) = fields.get_mut("common_tls_context") {
                let (field, value) = validation(clients, options);
                common.insert(field.to_owned(), value);
            }
        }
    }
    proto::extension(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        context,
    )
}

fn parameters(parameters: &TlsParameters) -> Value {
    let lists = [
        ("cipher_suites", &parameters.ciphers),
        ("ecdh_curves", &parameters.curves),
        ("signature_algorithms", &parameters.signature_algorithms),
    ];
    let versions = [
        ("tls_minimum_protocol_version", parameters.min_version),
        ("tls_maximum_protocol_version", parameters.max_version),
    ];
    let versions = versions.into_iter().filter_map(|(field, version)| Some((field, json!(version?))));
    let lists =
        lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(field, list)| (field, json!(list)));
    versions.chain(lists).map(|(field, value)| (field.to_owned(), value)).collect::<Map<_, _>>().into()
}

/// What the certificates of clients are verified by.
fn validation(clients: &ClientCertificates, options: &Options) -> (&'static str, Value) {
    let names: Vec<Value> = clients.names.iter().map(name_condition).collect();
    let mut own = Map::new();
    if clients.accept_untrusted {
        own.insert("trust_chain_verification".to_owned(), "ACCEPT_UNTRUSTED".into());
    }
    if clients.accept_expired {
        own.insert("allow_expired_certificate".to_owned(), true.into());
    }
    let lists = [
        ("verify_certificate_spki", json!(clients.key_hashes)),
        ("verify_certificate_hash", json!(clients.hashes)),
        ("match_typed_subject_alt_names", json!(names)),
    ];
    let given = lists.into_iter().filter(|(_, list)| list.as_array().is_some_and(|list| !list.is_empty()));
    own.extend(given.map(|(field, list)| (field.to_owned(), list)));
    let Some(name) = name_of_cas(clients) else { return ("validation_context", own.into()) };
    let source = proto::config_source(options, &secrets::sds_path(&name));
    let context = json!({
        "default_validation_context": own,
        "validation_context_sds_secret_config": {"name": name, "sds_config": source},
    });
    ("combined_validation_context", context)
}

fn name_condition(NameCondition { kind, comparison, value }: &NameCondition) -> Value {
    let value = if *comparison == "safe_regex" { json!({"regex": value}) } else { json!(value) };
    json!({"san_type": kind, "matcher": {*comparison: value}})
}

/// What a connection manager does with the headers of requests before anything reads them.
pub(super) fn add_headers(manager: &mut Map<String, Value>, headers: &ClientHeaders) {
    if let Some(certificate) = &headers.certificate {
        manager.insert("forward_client_cert_details".to_owned(), certificate.mode.into());
        let details: Map<String, Value> =
            certificate.details.iter().map(|detail| ((*detail).to_owned(), true.into())).collect();
        if !details.is_empty() {
            manager.insert("set_current_client_cert_details".to_owned(), details.into());
        }
    }
    if !headers.changes.is_empty() {
        let changes: Vec<Value> = headers.changes.iter().map(change).collect();
        let extension = proto::extension(
            "envoy.http.early_header_mutation.header_mutation",
            "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            json!({"mutations": changes}),
        );
        manager.insert("early_header_mutation_extensions".to_owned(), json!([extension]));
    }
}

fn change(change: &HeaderChange) -> Value {
    match change {
        HeaderChange::Remove(name) => json!({"remove": name}),
        HeaderChange::Write { name, value, action } => {
            json!({"append": {"header": {"key": name, "value": value}, "append_action": action}})
        }
    }
}
