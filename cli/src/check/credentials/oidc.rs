//! Clients of OpenID Connect providers, whose tokens are exchanged for those of a cloud.

use weir_core::auth::Oidc;

use super::{api_key, secret_name, written};
use crate::plan::SecretValue;
use crate::resources::backend_security::OidcExchangeTokenSpec;
use crate::resources::{Report, ResourceId, Set};

/// The key of a Secret with a client's secret.
pub(super) const CLIENT_SECRET: &str = "client-secret";

/// A client, with its secret, and where it is known to ask for tokens: its URLs.
pub(super) struct Client {
    pub(super) oidc: Oidc,
    pub(super) secret: SecretValue,
    pub(super) urls: Vec<String>,
}

/// Reads the client that `field` of `id` is about.
pub(super) fn read(
    id: &ResourceId,
    field: &str,
    spec: &OidcExchangeTokenSpec,
    set: &Set,
    report: &mut Report,
) -> Option<Client> {
    for (name, value) in [("grantType", &spec.grant_type), ("aud", &spec.aud)] {
        if value.is_some() {
            let message = "has no effect, as with Envoy AI Gateway: client credentials are sent, and `scopes` ask for an audience";
            report.warning(id, format!("{field}.{name}"), message);
        }
    }
    let field = format!("{field}.oidc");
    let spec = &spec.oidc;
    let issuer = written(id, format!("{field}.provider.issuer"), &spec.provider.issuer, report);
    let client_id = written(id, format!("{field}.clientID"), &spec.client_id, report);
    let reference = &spec.client_secret;
    let secret = api_key(id, &format!("{field}.clientSecret"), reference, CLIENT_SECRET, set, report);
    let oidc = Oidc {
        issuer: issuer?.to_owned(),
        token_endpoint: spec.provider.token_endpoint.clone().filter(|endpoint| !endpoint.is_empty()),
        client_id: client_id?.to_owned(),
        name: secret_name(id, reference),
        key: CLIENT_SECRET.to_owned(),
        scopes: spec.scopes.clone(),
    };
    let urls = vec![oidc.token_endpoint.clone().unwrap_or_else(|| oidc.discovery_url())];
    Some(Client { oidc, secret: secret?, urls })
}
