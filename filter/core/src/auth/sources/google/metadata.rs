//! The metadata server of Compute Engine, Cloud Run and GKE, where it knows the workload's identity.
//! <https://cloud.google.com/compute/docs/access/authenticate-workloads#applications>

use serde::{Deserialize, Serialize};

use super::SCOPE;
use crate::auth::FetchError;
use crate::auth::credentials::{Fresh, Io};
use crate::auth::sources::hosts::Hosts;
use crate::auth::sources::oauth;

/// The metadata server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoogleMetadata {
    /// Where it is, such as `http://metadata.google.internal`.
    pub server: String,
    /// How it is called.
    pub hosts: Hosts,
}

impl GoogleMetadata {
    pub(in crate::auth::sources) async fn fetch(&self, io: &Io) -> Result<Fresh, FetchError> {
        let query = oauth::form(&[("scopes", SCOPE)]);
        let url =
            format!("{}/computeMetadata/v1/instance/service-accounts/default/token?{query}", self.server);
        let mut call = self.hosts.call("GET", &url)?;
        // Without it the server refuses: no page in a browser can have it set.
        call.headers.push(("metadata-flavor".into(), "Google".to_owned()));
        Ok(oauth::fetch(call, &self.server, &[], io).await?.into())
    }
}
