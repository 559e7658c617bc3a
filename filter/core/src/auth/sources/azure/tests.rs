//! Azure's sources, from what they need to the token. That of an OpenID Connect provider is in `oidc`.

use serde_json::json;

use super::super::script::{Run, answer, file, no_environment, run, secret, token};
use super::*;
use crate::auth::sources::{Hosts, Source};
use crate::auth::{Answer, FetchError, Need};

const RESOURCE: &str = "https://cognitiveservices.azure.com";

fn app(proof: AzureProof, answers: Vec<Result<Answer, FetchError>>) -> Run {
    let token_url = "https://login.microsoftonline.com/tenant/oauth2/v2.0/token".to_owned();
    let hosts = Hosts::of(&[&token_url]).unwrap();
    let (client_id, resource) = ("app".to_owned(), RESOURCE.to_owned());
    run(&Source::AzureApp(AzureApp { token_url, client_id, resource, proof, hosts }), no_environment, answers)
}

fn client_secret() -> AzureProof {
    AzureProof::Secret { name: "default/azure".to_owned(), key: "client-secret".to_owned() }
}

#[test]
fn an_application_shows_its_secret() {
    let run = app(client_secret(), vec![secret("hidden~s+\n"), token("t", 3599)]);
    let call = run.call(1);
    assert_eq!(
        call.line(),
        "POST login.microsoftonline.com/tenant/oauth2/v2.0/token by weir_call_https_login.microsoftonline.com"
    );
    assert_eq!(
        call.body(),
        "grant_type=client_credentials&client_id=app&\
         scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default&client_secret=hidden~s%2B"
    );
    assert_eq!(run.token(), ("t", 3599));
    assert_eq!(app(client_secret(), vec![secret("\n")]).failure(), "the secret is empty");
}

#[test]
fn what_entra_refuses_is_told_without_the_secret() {
    let refused = json!({
        "error": "invalid_client",
        "error_description": "AADSTS7000215: Invalid client secret hidden-s provided.\r\nTrace ID: 1",
    });
    assert_eq!(
        app(client_secret(), vec![secret("hidden-s"), answer(401, &refused)]).failure(),
        "https://login.microsoftonline.com: the credentials endpoint answered 401: invalid_client: AADSTS7000215: \
         Invalid client secret *** provided.Trace ID: 1"
    );
}

#[test]
fn a_token_in_a_file_is_shown_in_place_of_a_secret() {
    let run = app(AzureProof::File("/token".to_owned()), vec![file("hidden.jwt\n"), token("t", 60)]);
    assert_eq!(run.needs[0], Need::File("/token".into()));
    let call = run.call(1);
    assert_eq!(call.field("client_assertion").as_deref(), Some("hidden.jwt"));
    assert_eq!(
        call.field("client_assertion_type").as_deref(),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
    assert_eq!(call.field("client_secret"), None);
}

fn managed(server: ManagedServer, client_id: Option<&str>, answers: Vec<Result<Answer, FetchError>>) -> Run {
    let url = match &server {
        ManagedServer::Imds(url) | ManagedServer::AppService { endpoint: url, .. } => url.as_str(),
    };
    let hosts = Hosts::of(&[url]).unwrap();
    let (client_id, resource) = (client_id.map(str::to_owned), RESOURCE.to_owned());
    run(&Source::AzureManaged(AzureManaged { server, client_id, resource, hosts }), no_environment, answers)
}

#[test]
fn virtual_machines_ask_for_their_identity() {
    let imds = || ManagedServer::Imds("http://169.254.169.254".to_owned());
    let given = || {
        let body = json!({
            "access_token": "t", "client_id": "c", "expires_in": "86399", "expires_on": "1440941760",
            "ext_expires_in": "86399", "not_before": "1", "resource": RESOURCE, "token_type": "Bearer",
        });
        answer(200, &body)
    };
    let run = managed(imds(), None, vec![given()]);
    assert_eq!(
        run.call(0).line(),
        "GET 169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&\
         resource=https%3A%2F%2Fcognitiveservices.azure.com by weir_call_http_169.254.169.254"
    );
    assert_eq!(run.call(0).header("metadata"), Some("true"));
    assert_eq!(run.token(), ("t", 3600));
    let assigned = managed(imds(), Some("one"), vec![given()]);
    assert!(assigned.call(0).line().contains(".com&client_id=one by "), "{}", assigned.call(0).line());
    let none = json!({"error": "invalid_request", "error_description": "Identity not found"});
    assert_eq!(
        managed(imds(), None, vec![answer(400, &none)]).failure(),
        "http://169.254.169.254: the credentials endpoint answered 400: invalid_request: Identity not found"
    );
}

#[test]
fn app_service_has_a_server_of_its_own() {
    let endpoint = "http://127.0.0.1:41741/msi/token".to_owned();
    let (name, key) = ("of this environment".to_owned(), "IDENTITY_HEADER".to_owned());
    let server = ManagedServer::AppService { endpoint, name, key };
    let body = json!({"access_token": "t", "expires_on": "1440941760", "token_type": "Bearer"});
    let run = managed(server.clone(), None, vec![secret("hidden-header"), answer(200, &body)]);
    assert_eq!(
        run.call(1).line(),
        "GET 127.0.0.1:41741/msi/token?api-version=2019-08-01&\
         resource=https%3A%2F%2Fcognitiveservices.azure.com by weir_call_http_127.0.0.1:41741"
    );
    assert_eq!(run.call(1).header("x-identity-header"), Some("hidden-header"));
    assert_eq!(run.token(), ("t", 3600));
    let bad = managed(server, None, vec![secret("hidden\nx: y")]);
    assert!(bad.failure().contains("IDENTITY_HEADER"), "{}", bad.failure());
}

#[test]
fn a_pod_has_its_own_identity_before_that_of_its_node() {
    let source = |client_id: Option<&str>| {
        let (entra, imds) = ("https://login.microsoftonline.com", "http://169.254.169.254");
        Source::AzureDefault(AzureDefault {
            entra: entra.to_owned(),
            imds: imds.to_owned(),
            client_id: client_id.map(str::to_owned),
            resource: RESOURCE.to_owned(),
            hosts: Hosts::of(&[entra, imds]).unwrap(),
        })
    };
    let of_aks = |name: &str| {
        let value = match name {
            "AZURE_AUTHORITY_HOST" => "https://login.microsoftonline.com/",
            "AZURE_CLIENT_ID" => "of-aks",
            "AZURE_TENANT_ID" => "tenant",
            "AZURE_FEDERATED_TOKEN_FILE" => "/var/run/secrets/azure/tokens/azure-identity-token",
            _ => return None,
        };
        Some(value.to_owned())
    };
    for (client_id, expected) in [(None, "of-aks"), (Some("said"), "said")] {
        let run = run(&source(client_id), of_aks, vec![file("hidden.jwt"), token("t", 60)]);
        assert!(matches!(&run.needs[0], Need::File(path) if path.ends_with("azure-identity-token")));
        assert!(run.call(1).line().starts_with("POST login.microsoftonline.com/tenant/oauth2/v2.0/token "));
        assert_eq!(run.call(1).field("client_id").as_deref(), Some(expected));
    }
    let of_node = run(&source(None), no_environment, vec![token("t", 60)]);
    assert!(of_node.call(0).line().starts_with("GET 169.254.169.254/metadata/identity/oauth2/token?"));
    let elsewhere = |name: &str| match name {
        "AZURE_AUTHORITY_HOST" => Some("https://evil.example".to_owned()),
        "AZURE_FEDERATED_TOKEN_FILE" | "AZURE_CLIENT_ID" | "AZURE_TENANT_ID" => Some("x".to_owned()),
        _ => None,
    };
    let run = run(&source(None), elsewhere, vec![file("hidden.jwt")]);
    assert!(run.failure().starts_with("https://evil.example is to be called"), "{}", run.failure());
}
