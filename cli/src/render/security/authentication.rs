//! Who a request is from: `ext_authz`, `api_key_auth`, `basic_auth` and `jwt_authn`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::proto;
use crate::plan::{
    ApiKeyAuth, Authentication, BasicAuth, ExtAuth, Jwks, Jwt, JwtProvider, KeySource, SecretValue,
    WithoutToken,
};

/// How long Envoy waits for the keys of a provider, as Envoy Gateway has it.
const JWKS_TIMEOUT: Duration = Duration::from_secs(10);

/// A filter that finds out who a request is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    ExtAuth,
    ApiKey,
    Basic,
    Jwt,
}

impl Kind {
    /// What its places in the chain are called.
    pub(super) fn place(self) -> &'static str {
        match self {
            Kind::ExtAuth => "ext-auth",
            Kind::ApiKey => "api-key",
            Kind::Basic => "basic",
            Kind::Jwt => "jwt",
        }
    }

    /// The filter, if it is asked for. `hides` keeps what a client proves itself with to the gateway.
    pub(super) fn filter(self, asked: &Authentication, hides: bool) -> Option<Value> {
        match self {
            Kind::ExtAuth => asked.ext_auth.as_ref().map(ext_auth),
            Kind::ApiKey => asked.api_key.as_ref().map(|it| api_key(it, hides)),
            Kind::Basic => asked.basic.as_ref().map(basic),
            Kind::Jwt => asked.jwt.as_ref().map(|it| jwt(it, hides)),
        }
    }
}

fn ext_auth(asked: &ExtAuth) -> Value {
    let patterns = |names: &[String]| -> Value {
        let pattern = |name| json!({"exact": name, "ignore_case": true});
        json!({"patterns": names.iter().map(pattern).collect::<Vec<_>>()})
    };
    let mut fields = Map::new();
    fields.insert("transport_api_version".to_owned(), "V3".into());
    fields.insert("failure_mode_allow".to_owned(), asked.fail_open.into());
    fields.insert("clear_route_cache".to_owned(), asked.recompute_route.into());
    if !asked.headers_to_service.is_empty() {
        fields.insert("allowed_headers".to_owned(), patterns(&asked.headers_to_service));
    }
    if let Some(most) = asked.body {
        fields.insert("with_request_body".to_owned(), json!({"max_request_bytes": most}));
    }
    if let Some(status) = asked.status_on_error {
        fields.insert("status_on_error".to_owned(), json!({"code": status}));
    }
    let timeout = proto::duration(asked.timeout);
    if asked.service.is_grpc {
        let service = json!({
            "envoy_grpc": {"cluster_name": asked.service.cluster, "authority": asked.authority},
            "timeout": timeout,
        });
        fields.insert("grpc_service".to_owned(), service);
    } else {
        let uri = format!("http://{}{}", asked.authority, asked.path);
        let mut service = json!({
            "server_uri": {"uri": uri, "cluster": asked.service.cluster, "timeout": timeout},
            "path_prefix": asked.path,
        });
        if !asked.headers_to_backend.is_empty()
            && let Value::Object(service) = &mut service
        {
            let allowed = json!({"allowed_upstream_headers": patterns(&asked.headers_to_backend)});
            service.insert("authorization_response".to_owned(), allowed);
        }
        fields.insert("http_service".to_owned(), service);
    }
    proto::any("envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", fields.into())
}

fn api_key(asked: &ApiKeyAuth, hides: bool) -> Value {
    let credential =
        |(client, SecretValue(key)): &(String, SecretValue)| json!({"client": client, "key": key});
    let source = |source: &KeySource| match source {
        KeySource::Header(name) => json!({"header": name}),
        KeySource::Parameter(name) => json!({"query": name}),
        KeySource::Cookie(name) => json!({"cookie": name}),
    };
    let mut forwarding = json!({"hide_credentials": hides || asked.sanitize});
    if let (Some(header), Value::Object(forwarding)) = (&asked.client_header, &mut forwarding) {
        forwarding.insert("header".to_owned(), header.clone().into());
    }
    proto::any(
        "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth",
        json!({
            "credentials": asked.clients.iter().map(credential).collect::<Vec<_>>(),
            "key_sources": asked.sources.iter().map(source).collect::<Vec<_>>(),
            "forwarding": forwarding,
        }),
    )
}

fn basic(asked: &BasicAuth) -> Value {
    let SecretValue(users) = &asked.users;
    let mut fields = json!({"users": {"inline_string": users}});
    if let (Some(header), Value::Object(fields)) = (&asked.user_header, &mut fields) {
        fields.insert("forward_username_header".to_owned(), header.clone().into());
    }
    proto::any("envoy.extensions.filters.http.basic_auth.v3.BasicAuth", fields)
}

fn jwt(asked: &Jwt, hides: bool) -> Value {
    let providers = asked.providers.iter().map(|it| (it.name.clone(), provider(it, hides)));
    let providers: Map<String, Value> = providers.collect();
    let mut enough: Vec<Value> =
        asked.providers.iter().map(|provider| json!({"provider_name": provider.name})).collect();
    enough.extend(match asked.without {
        WithoutToken::Refused => None,
        WithoutToken::Passes => Some(json!({"allow_missing": {}})),
        WithoutToken::AnyPasses => Some(json!({"allow_missing_or_failed": {}})),
    });
    let requirement = match enough.as_slice() {
        [only] => only.clone(),
        _ => json!({"requires_any": {"requirements": enough}}),
    };
    proto::any(
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        json!({"providers": providers, "rules": [{"match": {"prefix": "/"}, "requires": requirement}]}),
    )
}

fn provider(provider: &JwtProvider, hides: bool) -> Value {
    let claim = |it: &crate::plan::ClaimHeader| json!({"header_name": it.header, "claim_name": it.claim});
    let header = |(name, prefix): &(String, String)| json!({"name": name, "value_prefix": prefix});
    let mut fields = json!({
        // Where rules of an authorization look for it.
        "payload_in_metadata": provider.name,
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "scp"]},
        "forward": !hides,
        "clear_route_cache": provider.recompute_route,
        "audiences": provider.audiences,
        "claim_to_headers": provider.claim_headers.iter().map(claim).collect::<Vec<_>>(),
        "from_headers": provider.headers.iter().map(header).collect::<Vec<_>>(),
        "from_cookies": provider.cookies,
        "from_params": provider.parameters,
    });
    if let Value::Object(fields) = &mut fields {
        if let Some(issuer) = &provider.issuer {
            fields.insert("issuer".to_owned(), issuer.clone().into());
        }
        let (key, keys) = match &provider.keys {
            Jwks::Here(keys) => ("local_jwks", json!({"inline_string": keys})),
            Jwks::Remote { uri, service, cache, pause } => {
                // Nothing else waits for the keys: a token that needs them before they are there has them fetched.
                let mut fetch = json!({"fast_listener": true});
                if let (Some(pause), Value::Object(fetch)) = (pause, &mut fetch) {
                    fetch.insert("failed_refetch_duration".to_owned(), proto::duration(*pause).into());
                }
                let timeout = proto::duration(JWKS_TIMEOUT);
                let remote = json!({
                    "http_uri": {"uri": uri, "cluster": service.cluster, "timeout": timeout},
                    "cache_duration": proto::duration(*cache),
                    "async_fetch": fetch,
                });
                ("remote_jwks", remote)
            }
        };
        fields.insert(key.to_owned(), keys);
    }
    fields
}
