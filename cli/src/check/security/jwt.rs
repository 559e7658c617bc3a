//! `jwt`: whose tokens are taken.

use std::time::Duration;

use serde_json::Value;

use super::Reader;
use crate::plan::{ClaimHeader, Endpoint, Jwks, Jwt, JwtProvider, Member, Service, Tls, WithoutToken};
use crate::resources::decode::MISSING;
use crate::resources::security::{
    JwtExtractor, JwtProviderSpec, JwtSpec, LocalJwks, LocalJwksKind, RemoteJwks,
};
use crate::resources::set::Found;

/// How long keys are used unless the policy says otherwise, as Envoy Gateway has it.
const CACHE: Duration = Duration::from_secs(300);

impl Reader<'_> {
    pub(super) fn jwt(&mut self, spec: &JwtSpec) -> Jwt {
        let field = "spec.jwt.providers";
        self.must_have(field, &spec.providers, "say whose tokens are taken");
        if spec.optional && spec.fail_open {
            self.error("spec.jwt.failOpen", "takes requests without a token, too; leave `optional` out");
        }
        let mut providers: Vec<JwtProvider> = Vec::new();
        for (i, provider) in spec.providers.iter().enumerate() {
            let field = format!("{field}[{i}]");
            if providers.iter().any(|other| other.name == provider.name) && provider.name != MISSING {
                let message =
                    format!("another provider is called `{}`; give this one its own name", provider.name);
                self.error(format!("{field}.name"), message);
            }
            providers.extend(self.provider(&field, i, provider));
        }
        let without = match (spec.optional, spec.fail_open) {
            (_, true) => WithoutToken::AnyPasses,
            (true, false) => WithoutToken::Passes,
            (false, false) => WithoutToken::Refused,
        };
        Jwt { providers, without }
    }

    fn provider(&mut self, field: &str, index: usize, spec: &JwtProviderSpec) -> Option<JwtProvider> {
        if spec.name.is_empty() {
            self.error(format!("{field}.name"), "is empty; give it a name");
        }
        if spec.recompute_route && spec.claim_to_headers.is_empty() {
            let message = "has no effect without `claimToHeaders`: nothing that a route could match changes";
            self.error(format!("{field}.recomputeRoute"), message);
        }
        let mut claim_headers = Vec::new();
        for (i, claim) in spec.claim_to_headers.iter().enumerate() {
            let place = format!("{field}.claimToHeaders[{i}]");
            if claim.claim.is_empty() {
                self.error(format!("{place}.claim"), "is empty; name a claim");
            }
            let header = self.identity_header(&format!("{place}.header"), &claim.header);
            claim_headers.push(ClaimHeader { header, claim: claim.claim.clone() });
        }
        let no_places = JwtExtractor { headers: Vec::new(), cookies: Vec::new(), params: Vec::new() };
        let places = spec.extract_from.as_ref().unwrap_or(&no_places);
        let headers = places.headers.iter().enumerate().map(|(i, header)| {
            let name = self.header(&format!("{field}.extractFrom.headers[{i}].name"), &header.name);
            (name, header.value_prefix.clone())
        });
        let headers = headers.collect();
        let keys = match (&spec.remote_jwks, &spec.local_jwks) {
            (Some(remote), None) => self.remote(&format!("{field}.remoteJWKS"), index, remote)?,
            (None, Some(local)) => Jwks::Here(self.local(&format!("{field}.localJWKS"), local)?),
            (None, None) | (Some(_), Some(_)) => {
                if !self.report.has_error(self.id, field) {
                    self.error(field, "must have exactly one of `remoteJWKS` and `localJWKS`");
                }
                return None;
            }
        };
        Some(JwtProvider {
            name: spec.name.clone(),
            issuer: spec.issuer.clone().filter(|issuer| !issuer.is_empty()),
            audiences: spec.audiences.clone(),
            keys,
            claim_headers,
            recompute_route: spec.recompute_route,
            headers,
            cookies: places.cookies.clone(),
            parameters: places.params.clone(),
        })
    }

    fn remote(&mut self, field: &str, index: usize, spec: &RemoteJwks) -> Option<Jwks> {
        let place = format!("{field}.uri");
        let Some(server) = Server::of(&spec.uri) else {
            if spec.uri != MISSING {
                self.error(place, "must be an address such as `https://issuer.example/keys`");
            }
            return None;
        };
        let service = if spec.backend_refs.is_empty() {
            server.service()
        } else {
            let members = self.members(&format!("{field}.backendRefs"), &spec.backend_refs)?;
            let cluster = format!("security/{}/jwks/{index}", self.id.full_name());
            Service { cluster, members, is_grpc: false }
        };
        Some(Jwks::Remote {
            uri: spec.uri.clone(),
            service,
            cache: spec.cache_duration.map_or(CACHE, |duration| duration.0),
            pause: spec.failed_refetch_duration.map(|duration| duration.0),
        })
    }

    fn local(&mut self, field: &str, spec: &LocalJwks) -> Option<String> {
        let (place, text) = match (spec.kind, &spec.inline, &spec.value_ref) {
            (LocalJwksKind::Inline, Some(text), None) => (format!("{field}.inline"), text.clone()),
            (LocalJwksKind::ValueRef, None, Some(reference)) => {
                let place = format!("{field}.valueRef");
                if reference.kind.as_deref() != Some("ConfigMap") {
                    self.error(format!("{place}.kind"), "must be `ConfigMap`");
                    return None;
                }
                let namespace = &self.id.namespace;
                let map = match self.set.config_maps.find(namespace, &reference.name) {
                    Found::Broken => return None,
                    Found::Nothing(others) => {
                        let message =
                            format!("ConfigMap {namespace}/{} does not exist, {others}", reference.name);
                        self.error(format!("{place}.name"), message);
                        return None;
                    }
                    Found::One(map) => map,
                };
                let first = || map.spec.keys().next().and_then(|key| map.spec.get(key));
                let Some(value) = map.spec.get("jwks").or_else(first) else {
                    self.error(place, format!("{} is empty; it needs the key `jwks`", map.id));
                    return None;
                };
                (place, value.0.clone())
            }
            _ => {
                if !self.report.has_error(self.id, field) {
                    self.error(field, "must have `inline`, or `type: ValueRef` with `valueRef`");
                }
                return None;
            }
        };
        if !is_key_set(&text) {
            self.error(
                place,
                "is not a JSON Web Key Set: it must be `{\"keys\": [...]}` with at least one key",
            );
        }
        Some(text)
    }
}

/// Whether Envoy may find a key in it.
fn is_key_set(text: &str) -> bool {
    const KINDS: [&str; 4] = ["RSA", "EC", "OKP", "oct"];
    let Ok(value) = serde_json::from_str::<Value>(text) else { return false };
    let keys = value.get("keys").and_then(Value::as_array);
    let is_key =
        |key: &Value| key.get("kty").and_then(Value::as_str).is_some_and(|kind| KINDS.contains(&kind));
    keys.is_some_and(|keys| keys.iter().any(is_key))
}

/// What an `http` or `https` URI says of its server.
#[derive(Debug, PartialEq, Eq)]
struct Server<'u> {
    host: &'u str,
    port: u16,
    is_tls: bool,
}

impl<'u> Server<'u> {
    fn of(uri: &'u str) -> Option<Server<'u>> {
        let (is_tls, rest) = match uri.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let default_port = if is_tls { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, default_port),
            Some((host, port)) => (host, port.strip_prefix(':')?.parse().ok()?),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (authority, default_port),
            },
        };
        (!host.is_empty() && !host.contains('@') && port != 0).then_some(Server { host, port, is_tls })
    }

    /// Policies that ask the same server share it.
    fn service(&self) -> Service {
        let Server { host, port, is_tls } = *self;
        let scheme = if is_tls { "https" } else { "http" };
        let name = format!("{scheme}:{host}:{port}");
        let endpoints = vec![Endpoint { host: host.to_owned(), port }];
        let tls = is_tls.then(|| Tls { hostname: host.to_owned(), ca_pem: None });
        let member = Member { backend: name.clone(), priority: 0, weight: 1, endpoints, tls };
        Service { cluster: format!("security/jwks/{name}"), members: vec![member], is_grpc: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_addresses() {
        let of = |uri| Server::of(uri).map(|server| (server.host, server.port, server.is_tls));
        assert_eq!(of("https://issuer.example/keys"), Some(("issuer.example", 443, true)));
        assert_eq!(of("http://127.0.0.1:8080"), Some(("127.0.0.1", 8080, false)));
        assert_eq!(of("https://[fd00::1]:8443/x?y"), Some(("fd00::1", 8443, true)));
        for bad in
            ["", "issuer.example", "ftp://a/", "https://", "http://a:b/", "http://a:0/", "https://a@b/"]
        {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_set_has_a_key_that_envoy_knows() {
        assert!(is_key_set(r#"{"keys": [{"kty": "x"}, {"kty": "RSA"}]}"#));
        for bad in
            ["", "{}", "[]", r#"{"keys": []}"#, r#"{"keys": [{"kty": "x"}]}"#, r#"{"keys": {"kty": "RSA"}}"#]
        {
            assert!(!is_key_set(bad), "{bad}");
        }
    }
}
