//! Credentials and signatures.

use serde::{Deserialize, Serialize};

/// Where a credential comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// A value of a Secret, as an API key.
    Secret,
    /// The `credentials` file of a Secret, in AWS's INI form.
    AwsFile {
        /// The profile to take.
        profile: String,
    },
    /// AWS's default chain: environment, else the container endpoint.
    AwsDefault {
        /// The container endpoint, where the environment names one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<ContainerEndpoint>,
    },
}

/// The endpoint of `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerEndpoint {
    /// Envoy's cluster for it, which also injects the token.
    pub cluster: String,
    /// `:authority` of the request.
    pub authority: String,
    /// `:path` of the request.
    pub path: String,
}
