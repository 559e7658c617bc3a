//! Where the AWS SDKs look when they are told nothing.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

use super::{ContainerEndpoint, SourceError, aws_environment, container};
use crate::auth::credentials::{Fresh, Io, Lasts};
use crate::auth::{Credential, FetchError};

/// The first that has credentials: the environment, then the container's endpoint.
pub(super) async fn fetch(endpoint: Option<&ContainerEndpoint>, io: &Io) -> Result<Fresh, FetchError> {
    if let Some(credentials) = aws_environment::from_environment(&|name| io.variable(name))? {
        return Ok(Fresh { credential: Credential::Aws(credentials), lasts: Lasts::Forever });
    }
    match endpoint {
        Some(endpoint) => container::fetch(endpoint, io).await,
        None => Err(SourceError::NothingByDefault.into()),
    }
}
