//! How the gateway proves to a backend who it is: credentials, where they come from, and the headers they become.
//!
//! A [`Source`] says where a credential is to be had, [`Renewal`] gets it and keeps it fresh, [`Entry`] is what
//! all workers share of it. A [`KeyHeader`] or [`sigv4`] then turns the [`Credential`] into headers of one attempt.

mod credentials;
mod secret;
pub mod sigv4;
mod sources;

pub use credentials::{
    Answer, Entry, EntryError, Environment, FetchError, Fetching, Header, HttpAnswer, HttpCall, Need,
    Renewal, Step, Unavailable,
};
pub use secret::Secret;
pub use sources::{
    AwsCalls, AwsNeeds, AwsProfile, AwsWebIdentity, AzureApp, AzureDefault, AzureManaged, AzureProof,
    ContainerEndpoint, GoogleFederation, GoogleFile, GoogleFileNeeds, GoogleMetadata, Hosts, ManagedServer,
    Oidc, SECRET_HEADER_PREFIX, Source, SourceError, Sts, Url, WebToken, decode_secret_header, secret_header,
};

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::headers::Names;

/// What a backend is shown as proof.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Credential {
    /// A key, or a token, that goes into a header as it is, see [`KeyHeader`]. When a token expires is known to its
    /// [`Entry`].
    ApiKey(Secret),
    /// Keys that sign requests, see [`sigv4`].
    Aws(AwsCredentials),
}

/// AWS credentials, long-lived or temporary.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AwsCredentials {
    /// The public half: it is part of every signature.
    pub access_key_id: String,
    /// The secret half. It never leaves the gateway.
    pub secret_access_key: Secret,
    /// Present with temporary credentials, and sent along with each request.
    pub session_token: Option<Secret>,
}

/// The header that a plain key goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyHeader {
    /// `authorization: Bearer KEY`: OpenAI and what speaks its API, and OAuth tokens.
    BearerToken,
    /// `x-api-key: KEY`: Anthropic.
    AnthropicKey,
    /// `api-key: KEY`: Azure OpenAI.
    AzureKey,
}

impl KeyHeader {
    /// The header to set: its name, and its value, which is as secret as the key.
    #[must_use]
    pub fn header(self, key: &Secret) -> (&'static str, Secret) {
        match self {
            KeyHeader::BearerToken => ("authorization", Secret::new(format!("Bearer {}", key.expose()))),
            KeyHeader::AnthropicKey => ("x-api-key", key.clone()),
            KeyHeader::AzureKey => ("api-key", key.clone()),
        }
    }
}

/// Every header that may carry a credential, or say whose account a credential is used for: those the gateway sets for
/// some kind of backend, and those a client may send for the gateway itself. An attempt removes each of them that it
/// does not set, since a backend must see neither the client's credential nor the one of another backend, and a client
/// must not steer the gateway's account.
static CREDENTIAL_HEADERS: Names = Names::new(&[
    "api-key",
    "apikey",
    "authorization",
    "cf-access-client-id",
    "cf-access-client-secret",
    "cf-access-jwt-assertion",
    "cf-access-token",
    "cf-aig-authorization",
    "cookie",
    "dpop",
    "helicone-auth",
    // Azure API Management: https://learn.microsoft.com/en-us/azure/api-management/api-management-subscriptions
    "ocp-apim-subscription-key",
    // Which organization and project pay: https://platform.openai.com/docs/api-reference/authentication
    "openai-organization",
    "openai-project",
    "private-token",
    "proxy-authorization",
    "subscription-key",
    "x-access-token",
    // By which a client may bring its own credential, unless the policy names others.
    "x-aigw-anthropic-api-key",
    "x-aigw-api-key",
    "x-aigw-aws-access-key-id",
    "x-aigw-aws-secret-access-key",
    "x-aigw-aws-session-token",
    "x-aigw-azure-access-token",
    "x-aigw-azure-api-key",
    "x-aigw-gcp-access-token",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-security-token",
    // Of load balancers and proxies that sign users in.
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-api-key",
    "x-api-token",
    "x-apikey",
    "x-auth-key",
    "x-auth-token",
    "x-forwarded-access-token",
    "x-forwarded-authorization",
    // Who a client is, by its certificate.
    "x-forwarded-client-cert",
    "x-functions-key",
    "x-goog-api-key",
    "x-goog-iam-authority-selector",
    "x-goog-iam-authorization-token",
    "x-goog-iap-jwt-assertion",
    // Which project pays: https://cloud.google.com/apis/docs/system-parameters
    "x-goog-user-project",
    "x-litellm-api-key",
    "x-ms-client-principal",
    "x-ms-token-aad-access-token",
    "x-ms-token-aad-id-token",
    "x-ms-token-aad-refresh-token",
    "x-original-authorization",
    "x-portkey-api-key",
    "x-portkey-config",
    "x-portkey-virtual-key",
    "x-vault-token",
]);

/// The parameters of a query that may carry a credential, beside the names in `CREDENTIAL_HEADERS`: of Azure, Google,
/// OAuth (RFC 6750, 2.3) and signed URLs.
static CREDENTIAL_PARAMETERS: Names = Names::new(&[
    "access-token",
    "access_token",
    "api_key",
    "auth",
    "auth_token",
    "code",
    "id_token",
    "key",
    "sig",
    "signature",
    "subscription_key",
    "token",
]);

/// Whether a header, its name in any case, may carry a credential: one of `CREDENTIAL_HEADERS`, or one of those
/// that bring secrets into the filter.
#[must_use]
pub fn is_credential_header(name: &str) -> bool {
    CREDENTIAL_HEADERS.has(name)
        || name
            .get(..SECRET_HEADER_PREFIX.len())
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case(SECRET_HEADER_PREFIX))
}

/// A query without the parameters that may carry a credential; all others stay as they are.
#[must_use]
pub fn query_without_credentials(query: &str) -> Cow<'_, str> {
    let names_one = |parameter: &str| {
        // Some servers take a semicolon for an ampersand.
        parameter.split(';').any(|parameter| {
            let name = parameter.split('=').next().unwrap_or_default();
            let name = percent_decode_str(name).decode_utf8_lossy();
            let name = name.trim();
            let is_of_signed_url = ["x-amz-", "x-goog-"].iter().any(|prefix| {
                name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            });
            is_of_signed_url || CREDENTIAL_PARAMETERS.has(name) || CREDENTIAL_HEADERS.has(name)
        })
    };
    if !query.split('&').any(names_one) {
        return query.into();
    }
    let kept: Vec<&str> = query.split('&').filter(|parameter| !names_one(parameter)).collect();
    kept.join("&").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_into_the_header_of_its_kind() {
        let key = Secret::new("the-key");
        for (kind, name, value) in [
            (KeyHeader::BearerToken, "authorization", "Bearer the-key"),
            (KeyHeader::AnthropicKey, "x-api-key", "the-key"),
            (KeyHeader::AzureKey, "api-key", "the-key"),
        ] {
            let header = kind.header(&key);
            assert_eq!((header.0, header.1.expose()), (name, value));
            assert!(is_credential_header(name));
            assert!(!format!("{header:?}").contains("the-key"));
        }
    }

    #[test]
    fn every_header_of_a_signature_is_a_credential_header() {
        let credentials = AwsCredentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: Secret::new("secret"),
            session_token: Some(Secret::new("token")),
        };
        let signing = sigv4::Signing {
            method: "GET",
            target: "/",
            host: "localhost",
            headers: &[],
            body: b"",
            credentials: &credentials,
            region: "us-east-1",
            service: "bedrock",
            now: 0,
        };
        let signed = sigv4::sign(&signing, &mut sigv4::SigningKeys::default());
        assert_eq!(signed.iter().count(), 3);
        assert!(signed.iter().all(|(name, _)| is_credential_header(name)));
    }

    #[test]
    fn credential_headers_are_known_in_any_case() {
        for name in
            ["Authorization", "X-Api-Key", "X-AIGW-AWS-Session-Token", "x-weir-secret-0", "X-Weir-Secret-"]
        {
            assert!(is_credential_header(name), "{name}");
        }
        for name in ["", "content-type", "x-weir", "x-amzn-trace-id", "authorization2", "é-weir-secret-1"] {
            assert!(!is_credential_header(name), "{name}");
        }
    }

    #[test]
    fn a_query_keeps_what_is_no_credential() {
        for (query, kept) in [
            ("", ""),
            ("api-version=1&beta=true&monkey=1", "api-version=1&beta=true&monkey=1"),
            ("api-version=1&api-key=k&x=%20y", "api-version=1&x=%20y"),
            ("KEY=k", ""),
            ("api%2Dkey=k&a", "a"),
            ("access_token&a&", "a&"),
            ("a=b;subscription-key=k&c", "c"),
            ("X-Amz-Signature=s&x-amz-anything=t&a=key", "a=key"),
            ("Ocp-Apim-Subscription-Key=k", ""),
        ] {
            assert_eq!(query_without_credentials(query), kept, "{query}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let aws = Credential::Aws(AwsCredentials {
            access_key_id: "AKID".to_owned(),
            secret_access_key: Secret::new("hidden-1"),
            session_token: Some(Secret::new("hidden-2")),
        });
        let shown = format!("{aws:?} {:#?} {:?}", aws, Credential::ApiKey(Secret::new("hidden-3")));
        assert!(shown.contains("AKID") && !shown.contains("hidden"), "{shown}");
    }
}
