//! Tokens of an OpenID Connect provider for a client of its own (client credentials), which clouds take in exchange for
//! theirs. <https://openid.net/specs/openid-connect-discovery-1_0.html>,
//! <https://www.rfc-editor.org/rfc/rfc6749#section-4.4>

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SourceError;
use super::hosts::{Hosts, Url};
use super::oauth::{self, Token};
use crate::auth::credentials::{HttpAnswer, HttpCall, Io};
use crate::auth::{FetchError, Secret};

/// A client of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Oidc {
    /// The provider's own name, a URL.
    pub issuer: String,
    /// The provider's token endpoint; where it is not said, the provider's discovery document tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// The client's name.
    pub client_id: String,
    /// The Secret with the client's secret, as `namespace/name`.
    pub name: String,
    /// The key in it.
    pub key: String,
    /// What is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// How the client shows its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// In `authorization`, which every provider must take (RFC 6749, 2.3.1).
    Basic,
    /// In the body, which some clients are registered for.
    Body,
}

impl Oidc {
    /// Where the discovery document is (OpenID Connect Discovery 1.0, section 4).
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'))
    }

    /// Gets a token.
    pub(super) async fn token(&self, hosts: &Hosts, io: &Io) -> Result<Token, FetchError> {
        let secret = Secret::new(io.secret(&self.name, &self.key).await?.expose().trim());
        if secret.expose().is_empty() {
            return Err(SourceError::EmptySecret.into());
        }
        let (endpoint, proof) = match &self.token_endpoint {
            Some(endpoint) => (endpoint.clone(), None),
            None => {
                let mut call = hosts.call("GET", &self.discovery_url())?;
                call.headers.push(("accept".into(), "application/json".to_owned()));
                let answer = oauth::ask(call, &self.discovery_url(), io).await?;
                self.discovered(&answer).map_err(|error| error.of(&self.discovery_url()))?
            }
        };
        let call = |proof| self.call(hosts, &endpoint, &secret, proof);
        let answer = oauth::ask(call(proof.unwrap_or(Proof::Basic))?, &endpoint, io).await?;
        if proof.is_none() && [400, 401].contains(&answer.status) {
            return oauth::fetch(call(Proof::Body)?, &endpoint, &[&secret], io).await;
        }
        Ok(oauth::token(&answer, io.now(), &[&secret]).map_err(|error| error.of(&endpoint))?)
    }

    /// The token endpoint of a discovery document, and how a client shows its secret there, if that is said.
    fn discovered(&self, answer: &HttpAnswer) -> Result<(String, Option<Proof>), SourceError> {
        let json = oauth::json(answer, &[])?;
        // Otherwise whoever serves one provider's document could take the clients of another (section 4.3).
        if oauth::text(&json, "issuer")? != self.issuer {
            return Err(SourceError::BadAnswer("is of another issuer"));
        }
        let endpoint = oauth::text(&json, "token_endpoint")?.to_owned();
        let origin = |url: &str| Url::parse(url).map(|url| url.origin);
        if origin(&endpoint).is_none() || origin(&endpoint) != origin(&self.issuer) {
            return Err(SourceError::EndpointElsewhere(origin(&endpoint).unwrap_or_default()));
        }
        let has = |method: &str| {
            let methods = json.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
            methods.is_some_and(|methods| methods.iter().any(|one| one == method))
        };
        let takes_body_alone = has("client_secret_post") && !has("client_secret_basic");
        Ok((endpoint, takes_body_alone.then_some(Proof::Body)))
    }

    fn call(
        &self,
        hosts: &Hosts,
        endpoint: &str,
        secret: &Secret,
        proof: Proof,
    ) -> Result<HttpCall, SourceError> {
        let mut call = hosts.call("POST", endpoint)?;
        let scope = self.scopes.join(" ");
        let mut fields = vec![("grant_type", "client_credentials")];
        match proof {
            Proof::Basic => call.headers.push(oauth::basic(&self.client_id, secret)),
            Proof::Body => {
                fields.push(("client_id", &self.client_id));
                fields.push(("client_secret", secret.expose()));
            }
        }
        if !scope.is_empty() {
            fields.push(("scope", &scope));
        }
        Ok(oauth::post(call, &fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::script::{self, Run, answer, secret, token};
    use super::super::{AzureApp, AzureProof, Source};
    use super::*;
    use crate::auth::{Answer, Need};

    /// An application that proves itself by a client's token.
    fn source(token_endpoint: Option<&str>) -> Source {
        let oidc = Oidc {
            issuer: "https://idp.example/realms/a".to_owned(),
            token_endpoint: token_endpoint.map(str::to_owned),
            client_id: "weir:a".to_owned(),
            name: "default/idp".to_owned(),
            key: "client-secret".to_owned(),
            scopes: vec!["one".to_owned(), "two".to_owned()],
        };
        Source::AzureApp(AzureApp {
            token_url: "https://entra.example/t/token".to_owned(),
            client_id: "app".to_owned(),
            resource: "https://cognitiveservices.azure.com".to_owned(),
            proof: AzureProof::Oidc(oidc),
            hosts: Hosts::of(&["https://idp.example/", "https://entra.example"]).unwrap(),
        })
    }

    fn run(token_endpoint: Option<&str>, answers: Vec<Result<Answer, FetchError>>) -> Run {
        script::run(&source(token_endpoint), script::no_environment, answers)
    }

    const ENDPOINT: Option<&str> = Some("https://idp.example/token");

    #[test]
    fn a_token_endpoint_that_is_said_saves_the_discovery() {
        let run = run(ENDPOINT, vec![secret("hidden s\n"), token("hidden-subject", 60), token("t", 3600)]);
        assert_eq!(run.needs[0], Need::Secret { name: "default/idp".into(), key: "client-secret".into() });
        let call = run.call(1);
        assert_eq!(call.line(), "POST idp.example/token by weir_call_https_idp.example");
        assert_eq!(call.body(), "grant_type=client_credentials&scope=one+two");
        // weir%3Aa:hidden+s
        assert_eq!(call.header("authorization"), Some("Basic d2VpciUzQWE6aGlkZGVuK3M="));
        assert_eq!(call.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(run.call(2).field("client_assertion").as_deref(), Some("hidden-subject"));
        assert_eq!(run.token(), ("t", 3600));
    }

    #[test]
    fn a_client_that_is_registered_for_the_other_way_is_let_in() {
        let refusal = || answer(401, &json!({"error": "invalid_client", "error_description": "no hidden s"}));
        let good = run(ENDPOINT, vec![secret("hidden s"), refusal(), token("s", 60), token("t", 60)]);
        assert_eq!(good.call(2).header("authorization"), None);
        assert_eq!(
            good.call(2).body(),
            "grant_type=client_credentials&client_id=weir%3Aa&client_secret=hidden+s&scope=one+two"
        );
        // And only once.
        let bad = run(ENDPOINT, vec![secret("hidden s"), refusal(), refusal()]);
        assert_eq!(
            bad.failure(),
            "https://idp.example: the credentials endpoint answered 401: invalid_client: no ***"
        );
        // What is no matter of the client is not asked again.
        let silent = run(ENDPOINT, vec![secret("hidden s"), Err(FetchError::NoAnswer)]);
        assert_eq!(silent.failure(), "https://idp.example: no answer");
        let down = run(ENDPOINT, vec![secret("hidden s"), answer(503, &json!("busy"))]);
        assert_eq!(down.failure(), "https://idp.example: the credentials endpoint answered 503");
    }

    #[test]
    fn the_discovery_document_tells_the_endpoint_and_the_way() {
        let mut document = json!({
            "issuer": "https://idp.example/realms/a",
            "token_endpoint": "https://idp.example/realms/a/token?x=y",
            "scopes_supported": ["openid", "offline_access"],
        });
        let with = |document: &Value| {
            run(None, vec![secret("hidden"), answer(200, document), token("s", 60), token("t", 60)])
        };
        let found = with(&document);
        assert_eq!(
            found.call(1).line(),
            "GET idp.example/realms/a/.well-known/openid-configuration by weir_call_https_idp.example"
        );
        assert_eq!(
            found.call(2).line(),
            "POST idp.example/realms/a/token?x=y by weir_call_https_idp.example"
        );
        assert_eq!(found.call(2).field("scope").as_deref(), Some("one two"), "and no scope of the issuer's");
        document["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        assert_eq!(with(&document).call(2).header("authorization"), None);
    }

    #[test]
    fn a_document_leads_nowhere_else() {
        let document = |issuer: &str, endpoint: &str| json!({"issuer": issuer, "token_endpoint": endpoint});
        let (issuer, endpoint) = ("https://idp.example/realms/a", "https://idp.example/t");
        for (document, why) in [
            (document("https://idp.example/realms/b", endpoint), "is of another issuer"),
            (document("https://idp.example/realms/a/", endpoint), "is of another issuer"),
            (
                document(issuer, "https://evil.example/t"),
                "its token endpoint at https://evil.example and not",
            ),
            (document(issuer, "http://idp.example/t"), "its token endpoint at http://idp.example and not"),
            (document(issuer, "https://idp.example@evil.example/"), "and not at the issuer's"),
            (document(issuer, ""), "has no token_endpoint"),
            (json!([]), "has no issuer"),
            (json!("hidden"), "has no issuer"),
        ] {
            let run = run(None, vec![secret("hidden"), answer(200, &document)]);
            assert!(run.failure().contains(why), "{}", run.failure());
        }
    }

    #[test]
    fn an_empty_secret_is_no_secret() {
        assert_eq!(run(ENDPOINT, vec![secret(" \n")]).failure(), "the secret is empty");
    }
}
