//! A credential that comes with the request, in headers of the client's.

use super::Attempt;
use crate::auth::{AwsCredentials, Credential, Secret};
use crate::config::{Auth, CredentialOverride};
use crate::edge::Reply;
use crate::error::{Error, Kind, Result};
use crate::headers::Headers;

impl Attempt {
    /// The credential that the request brings for its backend; `None` where the configured one is to be used.
    ///
    /// # Errors
    /// The answer for the client when it brings half of one, or none and there is no other.
    pub fn brought(&self) -> std::result::Result<Option<Credential>, Reply> {
        self.read_brought().map_err(|error| super::refuse(&self.exchange, &error))
    }

    fn read_brought(&self) -> Result<Option<Credential>> {
        let (Some(wanted), Some(auth)) = (&self.backend.credential_override, &self.backend.auth) else {
            return Ok(None);
        };
        let exchange = self.exchange.borrow();
        let credential = match auth {
            Auth::AwsSigv4 { .. } => aws(&exchange.client.headers, wanted)?.map(Credential::Aws),
            Auth::Bearer { .. } | Auth::AnthropicKey { .. } | Auth::AzureKey { .. } | Auth::Gcp { .. } => {
                value(&exchange.client.headers, &wanted.header).map(Credential::ApiKey)
            }
        };
        if credential.is_none() && !wanted.falls_back {
            let name = wanted.headers(auth).swap_remove(0);
            let message = format!("missing upstream credential: the header {name} has none for this backend");
            return Err(Error::new(Kind::Unauthenticated, message));
        }
        Ok(credential)
    }
}

/// An empty one is none.
fn value(headers: &Headers, name: &str) -> Option<Secret> {
    let value = headers.get(name).map(str::trim).filter(|value| !value.is_empty())?;
    Some(Secret::new(value.to_owned()))
}

fn aws(headers: &Headers, wanted: &CredentialOverride) -> Result<Option<AwsCredentials>> {
    let [id, secret, token] = wanted.aws_headers();
    let missing = match (value(headers, &id), value(headers, &secret), value(headers, &token)) {
        (Some(access_key_id), Some(secret_access_key), session_token) => {
            let access_key_id = access_key_id.expose().to_owned();
            return Ok(Some(AwsCredentials { access_key_id, secret_access_key, session_token }));
        }
        (None, None, None) => return Ok(None),
        (None, _, _) => id,
        (Some(_), None, _) => secret,
    };
    Err(Error::bad_request(format!(
        "the header {missing} is missing: the others of this credential are there"
    )))
}
