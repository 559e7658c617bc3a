//! `apiKeyAuth` and `basicAuth`: what clients must know.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::credentials::{secret_of, secret_value};
use super::Reader;
use crate::plan::{ApiKeyAuth, BasicAuth, KeySource, SecretValue};
use crate::resources::ResourceId;
use crate::resources::security::{ApiKeyAuthSpec, BasicAuthSpec, ExtractFrom};

/// The key of the Secret of `basicAuth`.
const USERS: &str = ".htpasswd";
/// Bytes of a SHA-1.
const SHA_1: usize = 20;

impl Reader<'_> {
    pub(super) fn api_key(&mut self, spec: &ApiKeyAuthSpec) -> ApiKeyAuth {
        let field = "spec.apiKeyAuth";
        self.must_have(&format!("{field}.credentialRefs"), &spec.credential_refs, "name a Secret with keys");
        self.must_have(
            &format!("{field}.extractFrom"),
            &spec.extract_from,
            "say where requests have their key",
        );
        let mut clients: Vec<(String, SecretValue)> = Vec::new();
        // Whose a key is.
        let mut owners: BTreeMap<String, String> = BTreeMap::new();
        for (i, reference) in spec.credential_refs.iter().enumerate() {
            let field = format!("{field}.credentialRefs[{i}]");
            let Some(secret) = secret_of(self.id, &field, reference, self.set, self.report) else { continue };
            for name in secret.spec.keys() {
                let Some(value) = secret.spec.get(name) else { continue };
                if clients.iter().any(|(known, _)| known == name) {
                    let message =
                        format!("has a key for `{name}`, who has one in a Secret before it; that one counts");
                    self.report.warning(self.id, &field, message);
                    continue;
                }
                self.check_key(&secret.id, name, &value.0);
                if let Some(owner) = owners.insert(value.0.clone(), name.to_owned()) {
                    let message = format!("is also the key of `{owner}`; give each client its own");
                    self.report.error(&secret.id, name, message);
                    continue;
                }
                clients.push((name.to_owned(), value.clone()));
            }
        }
        if clients.is_empty() && !self.report.has_error(self.id, field) {
            self.report.warning(self.id, format!("{field}.credentialRefs"), "has no key: nobody gets in");
        }
        let sources = spec.extract_from.iter().enumerate();
        let sources =
            sources.flat_map(|(i, from)| self.sources(&format!("{field}.extractFrom[{i}]"), from)).collect();
        let header = spec.forward_client_id_header.as_deref();
        ApiKeyAuth {
            clients,
            sources,
            client_header: header
                .map(|name| self.identity_header(&format!("{field}.forwardClientIDHeader"), name)),
            sanitize: spec.sanitize,
        }
    }

    fn check_key(&mut self, secret: &ResourceId, name: &str, key: &str) {
        if key.is_empty() {
            self.report.error(secret, name, "is empty, which would let everybody in; put a key there");
        } else if key.chars().any(|c| c.is_control()) || key.trim() != key {
            let message = "has a line break or a space at its end, which no header has; write it without";
            self.report.error(secret, name, message);
        }
    }

    fn sources(&mut self, field: &str, from: &ExtractFrom) -> Vec<KeySource> {
        let given = [&from.headers, &from.params, &from.cookies];
        if given.iter().filter(|names| !names.is_empty()).count() != 1
            && !self.report.has_error(self.id, field)
        {
            self.error(field, "must have exactly one of `headers`, `params` and `cookies`");
        }
        let headers: Vec<String> = from.headers.iter().map(|name| self.header(field, name)).collect();
        let headers = headers.into_iter().map(KeySource::Header);
        let parameters = from.params.iter().cloned().map(KeySource::Parameter);
        headers.chain(parameters).chain(from.cookies.iter().cloned().map(KeySource::Cookie)).collect()
    }

    pub(super) fn basic(&mut self, spec: &BasicAuthSpec) -> Option<BasicAuth> {
        let field = "spec.basicAuth";
        let header = spec.forward_username_header.as_deref();
        let user_header =
            header.map(|name| self.identity_header(&format!("{field}.forwardUsernameHeader"), name));
        let (secret, users) =
            secret_value(self.id, &format!("{field}.users"), &spec.users, USERS, self.set, self.report)?;
        // Envoy takes the end of a line as editors on Windows write it for a part of the hash.
        let users = users.0.replace("\r\n", "\n");
        if let Some(mistake) = mistake_in_users(&users) {
            self.report.error(secret, USERS, mistake);
        }
        Some(BasicAuth { users: SecretValue(users), user_header })
    }
}

/// What Envoy would refuse: it takes nothing but `{SHA}`.
fn mistake_in_users(users: &str) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    for (number, line) in (1..).zip(users.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let Some((name, hash)) = line.trim().split_once(':').filter(|(name, _)| !name.is_empty()) else {
            return Some(format!("line {number} is not `name:{{SHA}}hash`"));
        };
        let digest = hash.strip_prefix("{SHA}").and_then(|digest| STANDARD.decode(digest).ok());
        if digest.is_none_or(|digest| digest.len() != SHA_1) {
            return Some(format!("line {number}: Envoy reads {{SHA}} only; make it with `htpasswd -nbs`"));
        }
        if names.contains(&name) {
            return Some(format!("line {number}: `{name}` is there twice"));
        }
        names.push(name);
    }
    names.is_empty().then(|| "has no user; make one with `htpasswd -nbs`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_checked_as_envoy_reads_them() {
        let good = "ann:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=\n\nbob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n";
        assert_eq!(mistake_in_users(good), None);
        let bad = [
            ("", "has no user"),
            ("ann", "line 1 is not"),
            (":{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=", "line 1 is not"),
            ("\nann:$apr1$x$y", "line 2: Envoy reads {SHA} only"),
            ("ann:{SHA}AAAA", "Envoy reads {SHA} only"),
            (
                "ann:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=\nann:{SHA}tESsBmE/yNY3lb6a0L6vVQEZNqw=",
                "line 2: `ann` is there twice",
            ),
        ];
        for (users, part) in bad {
            let mistake = mistake_in_users(users).unwrap_or_default();
            assert!(mistake.contains(part), "{users}: {mistake}");
        }
    }
}
