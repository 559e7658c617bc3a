//! A role for whoever has a token of another provider: that of a pod's service account (IRSA), or that of an OpenID
//! Connect provider. <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>

use serde::{Deserialize, Serialize};

use super::sts::{Call, Sts};
use super::{Keys, SourceError};
use crate::auth::credentials::{Fresh, Io};
use crate::auth::sources::{Hosts, Oidc};
use crate::auth::{FetchError, Secret};

pub(super) const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE_ARN: &str = "AWS_ROLE_ARN";
const SESSION_NAME: &str = "AWS_ROLE_SESSION_NAME";

/// A role, and the token that it is given for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsWebIdentity {
    /// Where the token comes from.
    pub token: WebToken,
    /// The role.
    pub role_arn: String,
    /// What AWS's logs call the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// Who gives the role.
    pub sts: Sts,
    /// The clusters of all that is called.
    pub hosts: Hosts,
}

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebToken {
    /// A file that somebody renews.
    File(String),
    /// A provider.
    Oidc(Oidc),
}

/// A role that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: Option<String>,
}

impl Role {
    /// The one that the environment names.
    pub(super) fn of_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, SourceError> {
        let arn = variable(ROLE_ARN).ok_or(SourceError::NoRoleInEnvironment)?;
        Ok(Self { arn: arn.trim().to_owned(), session_name: variable(SESSION_NAME) })
    }
}

impl AwsWebIdentity {
    /// Gets the token, and the credentials for it.
    pub(in crate::auth::sources) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        let role = Role { arn: self.role_arn.clone(), session_name: self.session_name.clone() };
        let keys = match &self.token {
            WebToken::File(path) => keys(path, &role, &self.sts, &self.hosts, io).await?,
            WebToken::Oidc(oidc) => {
                let token = oidc.token(&self.hosts, io).await?.value;
                assume(&token, &role, &self.sts, &self.hosts, io).await?
            }
        };
        Ok(keys.into())
    }
}

/// The credentials for the token in a file, which is read each time.
pub(super) async fn keys(
    path: &str,
    role: &Role,
    sts: &Sts,
    hosts: &Hosts,
    io: &Io,
) -> Result<Keys, FetchError> {
    let token = Secret::new(io.file(path).await?.expose().trim());
    if !token.is_header_value() {
        let reason = if token.expose().is_empty() { "it is empty" } else { "what it holds is no token" };
        return Err(FetchError::Unreadable { path: path.to_owned(), reason: reason.to_owned() });
    }
    assume(&token, role, sts, hosts, io).await
}

async fn assume(token: &Secret, role: &Role, sts: &Sts, hosts: &Hosts, io: &Io) -> Result<Keys, FetchError> {
    let mut call = Call::new("AssumeRoleWithWebIdentity", &role.arn, role.session_name.as_deref());
    call.add("WebIdentityToken", token.expose());
    sts.call(&call, None, hosts, &[token], io).await
}
