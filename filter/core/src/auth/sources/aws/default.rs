//! Where the AWS SDKs look when they are told nothing: the order is that of botocore.

use super::environment::from_environment;
use super::file::Profiles;
use super::web_identity::{self, Role};
use super::{AwsCalls, Keys, container, instance, profile};
use crate::auth::credentials::{Io, Lasts};
use crate::auth::{FetchError, Secret, SourceError};

const PROFILE: &str = "AWS_PROFILE";
/// The variables that name the files, and the files below the home directory where they do not.
const FILES: [(&str, &str); 2] =
    [("AWS_CONFIG_FILE", ".aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")];
/// Without one of these a container has no endpoint.
const CONTAINER: [&str; 2] = ["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
const INSTANCE_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

/// Keys in the environment; a profile with a role; a token of the pod's (IRSA); keys in a profile; the container's
/// endpoint (EKS Pod Identity, ECS); the metadata of the instance.
pub(super) async fn keys(calls: &AwsCalls, io: &Io) -> Result<Keys, FetchError> {
    if let Some(credentials) = from_environment(&|name| io.variable(name))? {
        return Ok(Keys { credentials, lasts: Lasts::Forever });
    }
    let name = io.variable(PROFILE).unwrap_or_else(|| "default".to_owned());
    let text = files(io).await?;
    let profiles = Profiles::read(text.expose())?;
    let known = profiles.find(&name);
    if known.is_some_and(|profile| profile.has_role()) {
        return profile::keys(&profiles, &name, calls, io).await;
    }
    if let Some(path) = io.variable(web_identity::TOKEN_FILE) {
        let role = Role::of_environment(&|name| io.variable(name))?;
        return web_identity::keys(&path, &role, calls.sts()?, &calls.hosts, io).await;
    }
    if known.is_some_and(|profile| profile.leads_somewhere()) {
        return profile::keys(&profiles, &name, calls, io).await;
    }
    let is_announced = || CONTAINER.iter().any(|name| io.variable(name).is_some());
    if let Some(endpoint) = &calls.container
        && (!endpoint.if_announced || is_announced())
    {
        return container::keys(endpoint, io).await;
    }
    let is_disabled =
        io.variable(INSTANCE_DISABLED).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
    match &calls.instance {
        Some(url) if !is_disabled => instance::keys(url, &calls.hosts, io).await,
        _ => Err(SourceError::NothingByDefault.into()),
    }
}

/// The files of profiles, one behind the other: what both say counts as the latter says it. One that is not there has
/// nothing to say.
async fn files(io: &Io) -> Result<Secret, FetchError> {
    let mut text = String::new();
    let home = io.variable("HOME");
    let below_home = |path: &str| home.as_ref().map(|home| format!("{home}/{path}"));
    for (variable, usual) in FILES {
        let path = match io.variable(variable) {
            Some(path) => path.strip_prefix("~/").and_then(below_home).or(Some(path)),
            None => below_home(usual),
        };
        let Some(path) = path else { continue };
        match io.file(&path).await {
            Ok(file) => {
                text.push_str(file.expose());
                text.push('\n');
            }
            Err(FetchError::NoFile(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Secret::new(text))
}
