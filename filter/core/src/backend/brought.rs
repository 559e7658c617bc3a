//! A credential that comes with the request, in headers of the client's or in metadata that another filter has set.

use super::Attempt;
use crate::auth::{AwsCredentials, Credential, Secret};
use crate::config::{Auth, CredentialOverride, ValuePlace};
use crate::edge::Reply;
use crate::error::{Error, Kind, Result};

/// Gives what the request's dynamic metadata has in a namespace under a key, or further inside of what is there.
pub trait Metadata: Fn(&str, &[String]) -> Option<Vec<u8>> {}

impl<F: Fn(&str, &[String]) -> Option<Vec<u8>>> Metadata for F {}

impl Attempt {
    /// The credential that the request brings for its backend; `None` where the configured one is to be used.
    ///
    /// # Errors
    /// The answer for the client when it brings half of one, or none and there is no other.
    pub fn brought(&self, metadata: impl Metadata) -> std::result::Result<Option<Credential>, Reply> {
        self.read_brought(metadata).map_err(|error| super::refuse(&self.exchange, &error))
    }

    fn read_brought(&self, metadata: impl Metadata) -> Result<Option<Credential>> {
        let (Some(wanted), Some(auth)) = (&self.backend.credential_override, &self.backend.auth) else {
            return Ok(None);
        };
        let exchange = self.exchange.borrow();
        let read = |place: &ValuePlace| match place {
            ValuePlace::Header(name) => {
                exchange.client.headers.get(name).and_then(|value| of_header(name, value))
            }
            ValuePlace::Metadata { namespace, path } => of_metadata(metadata(namespace, path)?),
        };
        let credential = match auth {
            Auth::AwsSigv4 { .. } => aws(wanted, read)?.map(Credential::Aws),
            Auth::Bearer { .. } | Auth::AnthropicKey { .. } | Auth::AzureKey { .. } | Auth::Gcp { .. } => {
                read(&wanted.key_place()).map(Credential::ApiKey)
            }
        };
        if credential.is_none() && !wanted.falls_back {
            let place = wanted.places(auth).swap_remove(0);
            let message = format!("missing upstream credential: {place} has none for this backend");
            return Err(Error::new(Kind::Unauthenticated, message));
        }
        Ok(credential)
    }
}

/// An empty one is none. Whoever sends it where clients have their own sends it as they do, with the scheme in front,
/// which its backend may have no place for.
fn of_header(name: &str, value: &str) -> Option<Secret> {
    let value = value.trim();
    let key = match value.split_once(' ') {
        Some((scheme, key)) if name == "authorization" && scheme.eq_ignore_ascii_case("bearer") => key.trim(),
        Some(_) | None => value,
    };
    let is_scheme = name == "authorization" && key.eq_ignore_ascii_case("bearer");
    (!key.is_empty() && !is_scheme).then(|| Secret::new(key.to_owned()))
}

/// What is no text is none, nor is a text that no header could carry: a host may show numbers and structs as bytes.
fn of_metadata(value: Vec<u8>) -> Option<Secret> {
    let value = String::from_utf8(value).ok()?;
    let value = value.trim();
    (!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic()))
        .then(|| Secret::new(value.to_owned()))
}

fn aws(
    wanted: &CredentialOverride,
    read: impl Fn(&ValuePlace) -> Option<Secret>,
) -> Result<Option<AwsCredentials>> {
    let [id, secret, token] = wanted.aws_places();
    let missing = match (read(&id), read(&secret), read(&token)) {
        (Some(access_key_id), Some(secret_access_key), session_token) => {
            let access_key_id = access_key_id.expose().to_owned();
            return Ok(Some(AwsCredentials { access_key_id, secret_access_key, session_token }));
        }
        (None, None, None) => return Ok(None),
        (None, _, _) => id,
        (Some(_), None, _) => secret,
    };
    let message = format!("{missing} is missing: the others of this credential are there");
    Err(match missing {
        ValuePlace::Header(_) => Error::bad_request(message),
        // The client has not set it, and can do nothing about it.
        ValuePlace::Metadata { .. } => Error::new(Kind::Internal, message),
    })
}
