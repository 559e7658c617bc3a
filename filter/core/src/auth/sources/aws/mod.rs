//! AWS's credentials, in the ways and the order of its SDKs.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

mod container;
mod default;
mod environment;
mod file;
mod instance;
mod profile;
mod sts;
#[cfg(test)]
mod tests;
mod web_identity;
mod xml;

use serde::{Deserialize, Serialize};

pub use container::ContainerEndpoint;
pub use profile::AwsNeeds;
pub use sts::Sts;
pub use web_identity::{AwsWebIdentity, WebToken};

use super::{Hosts, SourceError};
use crate::auth::credentials::{Fresh, Io, Lasts};
use crate::auth::{AwsCredentials, Credential, FetchError, Secret};

/// What is called for AWS's credentials; what is not there is not called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsCalls {
    /// The endpoint of a container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerEndpoint>,
    /// The service that gives credentials of roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sts: Option<Sts>,
    /// The metadata of an EC2 instance: a URL without a path, such as `http://169.254.169.254`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The clusters for the two above.
    #[serde(default, skip_serializing_if = "Hosts::is_empty")]
    pub hosts: Hosts,
}

impl AwsCalls {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The first place that has credentials, in the order of the SDKs.
    pub(super) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        default::keys(self, io).await.map(Fresh::from)
    }

    fn sts(&self) -> Result<&Sts, SourceError> {
        self.sts.as_ref().ok_or(SourceError::NoCall("AWS STS"))
    }
}

/// A profile of an AWS credentials file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AwsProfile {
    /// The Secret, as `namespace/name`.
    pub name: String,
    /// The key in it.
    #[serde(default = "credentials_key")]
    pub key: String,
    /// The profile in the file.
    #[serde(default = "default_profile")]
    pub profile: String,
    /// What a profile with a role needs.
    #[serde(default, skip_serializing_if = "AwsCalls::is_empty")]
    pub calls: AwsCalls,
}

fn credentials_key() -> String {
    "credentials".to_owned()
}

fn default_profile() -> String {
    "default".to_owned()
}

impl AwsProfile {
    /// What the profile leads to.
    pub(super) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        let text = io.secret(&self.name, &self.key).await?;
        let profiles = file::Profiles::read(text.expose())?;
        profile::keys(&profiles, &self.profile, &self.calls, io).await.map(Fresh::from)
    }
}

/// Credentials, and how long they are to be used.
#[derive(Debug, PartialEq, Eq)]
struct Keys {
    credentials: AwsCredentials,
    lasts: Lasts,
}

impl From<Keys> for Fresh {
    fn from(keys: Keys) -> Self {
        Fresh { credential: Credential::Aws(keys.credentials), lasts: keys.lasts }
    }
}

impl AwsCredentials {
    /// Sees to it that every part can be in a header. `names` is what the source calls the parts.
    fn check(self, names: [&'static str; 3]) -> Result<Self, SourceError> {
        let [id, secret, token] = names;
        if !Secret::new(self.access_key_id.as_str()).is_header_value() {
            Err(SourceError::UnusableValue(id))
        } else if !self.secret_access_key.is_header_value() {
            Err(SourceError::UnusableValue(secret))
        } else if !self.session_token.as_ref().is_none_or(Secret::is_header_value) {
            Err(SourceError::UnusableValue(token))
        } else {
            Ok(self)
        }
    }
}
