//! What a wasm filter cannot do in a pod: it reads no files there.

use weir_core::auth::{AwsNeeds, GoogleFile, Source};

use crate::plan::Plan;

/// The policies, by `namespace/name`, whose credentials take a file of the pod, and why that is none.
pub(in crate::render) fn without_files(plan: &Plan) -> Vec<(&str, String)> {
    let refused = plan.filter.credentials.iter().filter_map(|(policy, source)| {
        let message = match source {
            Source::AzureDefault(identity) if identity.client_id.is_none() => {
                "a wasm filter cannot read the token of a pod's workload identity: take the module where there is one, \
                 `clientSecretRef`, or the identity of the node, whose ID `managedIdentity.clientID` says"
                    .to_owned()
            }
            Source::GoogleFile(_) => {
                let needs = plan.secrets.get(policy).and_then(|text| GoogleFile::needs(&text.0).ok());
                let file = needs.and_then(|needs| needs.file)?;
                format!("its credentials file names {file}, and a wasm filter reads no files: take the module where there is one")
            }
            Source::AwsFile(profile) => {
                let text = plan.secrets.get(policy)?;
                let file = AwsNeeds::of(&text.0, &profile.profile).ok()?.token_file?;
                format!("its credentials file names {file}, and a wasm filter reads no files: take the module where there is one")
            }
            Source::Secret { .. }
            | Source::AwsDefault(_)
            | Source::AwsWebIdentity(_)
            | Source::GoogleFederation(_)
            | Source::GoogleMetadata(_)
            | Source::AzureApp(_)
            | Source::AzureManaged(_)
            | Source::AzureDefault(_) => return None,
        };
        Some((policy.as_str(), message))
    });
    refused.collect()
}
