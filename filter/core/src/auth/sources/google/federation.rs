//! Workload identity federation: the token of another provider in exchange for one of Google's, and, where it is said,
//! that for one of a service account. <https://cloud.google.com/iam/docs/workload-identity-federation>

use serde::{Deserialize, Serialize};

use super::SCOPE;
use super::impersonation::{Impersonation, SOURCE_SCOPE};
use crate::auth::credentials::{Fresh, Io};
use crate::auth::sources::hosts::Hosts;
use crate::auth::sources::oauth::{self, Token};
use crate::auth::sources::oidc::Oidc;
use crate::auth::{FetchError, Secret};

/// The token of an OpenID Connect provider, exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleFederation {
    /// Whose token is exchanged.
    pub oidc: Oidc,
    /// The pool's provider:
    /// `//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME`.
    pub audience: String,
    /// Where it is exchanged, such as `https://sts.googleapis.com/v1/token`.
    pub token_url: String,
    /// The `generateAccessToken` of the service account to act as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impersonation_url: Option<String>,
    /// How all of them are called.
    pub hosts: Hosts,
}

impl GoogleFederation {
    pub(in crate::auth::sources) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        let subject = self.oidc.token(&self.hosts, io).await?;
        let exchange = Exchange {
            url: self.token_url.clone(),
            audience: self.audience.clone(),
            subject_type: "urn:ietf:params:oauth:token-type:jwt".to_owned(),
            client: None,
            impersonation: self.impersonation_url.as_ref().map(|url| Impersonation {
                url: url.clone(),
                delegates: Vec::new(),
                lifetime: None,
            }),
        };
        Ok(exchange.token(&subject.value, &self.hosts, io).await?.into())
    }
}

/// An exchange at Google's Security Token Service.
/// <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) url: String,
    pub(super) audience: String,
    pub(super) subject_type: String,
    /// A client's name and secret, where the pool is for one.
    pub(super) client: Option<(String, Secret)>,
    pub(super) impersonation: Option<Impersonation>,
}

impl Exchange {
    pub(super) async fn token(&self, subject: &Secret, hosts: &Hosts, io: &Io) -> Result<Token, FetchError> {
        let mut call = hosts.call("POST", &self.url)?;
        if let Some((id, secret)) = &self.client {
            call.headers.push(oauth::basic(id, secret));
        }
        let call = oauth::post(
            call,
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
                ("audience", &self.audience),
                ("scope", if self.impersonation.is_some() { SOURCE_SCOPE } else { SCOPE }),
                ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
                ("subject_token", subject.expose()),
                ("subject_token_type", &self.subject_type),
            ],
        );
        let mut sent = vec![subject];
        sent.extend(self.client.iter().map(|(_, secret)| secret));
        let token = oauth::fetch(call, &self.url, &sent, io).await?;
        match &self.impersonation {
            Some(impersonation) => impersonation.token(&token, hosts, io).await,
            None => Ok(token),
        }
    }
}
