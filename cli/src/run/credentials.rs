//! AWS's container credentials endpoint, as the environment names it.

use std::path::PathBuf;

use super::locate::Environment;
use crate::plan::SecretValue;
use crate::render::{ContainerCredentials, ContainerToken};

/// The endpoint of `AWS_CONTAINER_CREDENTIALS_FULL_URI` with its token (AWS SDK reference guide, "Container credential provider"); `None` where there
/// is none.
pub(super) fn container(environment: &Environment<'_>) -> Result<Option<ContainerCredentials>, String> {
    let text = |name: &str| {
        let value = environment(name).filter(|value| !value.is_empty())?;
        Some(value.to_string_lossy().into_owned())
    };
    let Some(uri) = text("AWS_CONTAINER_CREDENTIALS_FULL_URI") else { return Ok(None) };
    let wrong = || {
        format!(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is {uri:?}; it must be http://HOST[:PORT]/PATH (https is not supported)"
        )
    };
    let rest = uri.strip_prefix("http://").ok_or_else(wrong)?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (host, port) = host_and_port(authority).ok_or_else(wrong)?;
    let token = text("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        .map(|file| ContainerToken::File(PathBuf::from(file)))
        .or_else(|| Some(ContainerToken::Value(SecretValue(text("AWS_CONTAINER_AUTHORIZATION_TOKEN")?))));
    Ok(Some(ContainerCredentials { host, port, token }))
}

fn host_and_port(authority: &str) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        (host, port.strip_prefix(':'))
    } else {
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    let port = port.map_or(Ok(80), str::parse).ok()?;
    (!host.is_empty() && !host.contains('@')).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<ContainerCredentials>, String> {
        container(&|name: &str| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into())
        })
    }

    const URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

    #[test]
    fn pod_identity() {
        let file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/var/run/secrets/token");
        let found = of(&[(URI, "http://169.254.170.23/v1/credentials"), file]).unwrap().unwrap();
        let token = Some(ContainerToken::File("/var/run/secrets/token".into()));
        assert_eq!(found, ContainerCredentials { host: "169.254.170.23".into(), port: 80, token });
        let found = of(&[(URI, "http://[fd00:ec2::23]:8080/v1/credentials")]).unwrap().unwrap();
        assert_eq!((found.host.as_str(), found.port, found.token), ("fd00:ec2::23", 8080, None));
    }

    #[test]
    fn nothing_and_nonsense() {
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[(URI, "")]).unwrap(), None);
        for wrong in
            ["https://169.254.170.23/", "http:///x", "http://h:port/", "http://user@h/", "169.254.170.23"]
        {
            assert!(of(&[(URI, wrong)]).unwrap_err().contains(wrong));
        }
    }
}
