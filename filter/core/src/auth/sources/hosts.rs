//! Which servers a source calls. The proxy knows a cluster for each of them and no others, so that what a file or an
//! answer names leads nowhere else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SourceError;
use crate::auth::credentials::HttpCall;

/// Clusters of the proxy by the origin they are for, such as `https://oauth2.googleapis.com`: scheme and host in lower
/// case, the port unless it is the scheme's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hosts(pub BTreeMap<String, String>);

impl Hosts {
    /// The servers of `urls`, each with a cluster that is named after it. `None` when one of them is no URL.
    #[must_use]
    pub fn of(urls: &[&str]) -> Option<Self> {
        let host = |url: &&str| {
            let origin = Url::parse(url)?.origin;
            let cluster = format!("weir_call_{}", origin.replace("://", "_"));
            Some((origin, cluster))
        };
        urls.iter().map(host).collect::<Option<_>>().map(Self)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A call of `url` without headers and body.
    ///
    /// # Errors
    /// When it is no URL, or there is no cluster for its origin.
    pub(crate) fn call(&self, method: &'static str, url: &str) -> Result<HttpCall, SourceError> {
        let url = Url::parse(url).ok_or(SourceError::NoUrl)?;
        let Some(cluster) = self.0.get(&url.origin) else {
            return Err(SourceError::UnknownHost(url.origin));
        };
        Ok(HttpCall {
            cluster: cluster.clone(),
            method,
            authority: url.authority,
            path: url.path,
            headers: Vec::new(),
            body: Vec::new(),
        })
    }
}

/// The parts of an `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// As [`Hosts`] has it.
    pub origin: String,
    /// Host and port, the port unless it is the scheme's.
    pub authority: String,
    /// The host's name or address, IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it is `https`.
    pub is_tls: bool,
    /// Path and query.
    pub path: String,
}

impl Url {
    /// Takes a URL apart. `None` when it is none, or names a user or a fragment, which no such URL has.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let (is_tls, default_port) = match scheme.as_str() {
            "https" => (true, 443),
            "http" => (false, 80),
            _ => return None,
        };
        if rest.contains('#') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let (authority, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        let authority = authority.to_ascii_lowercase();
        let is_address = authority.starts_with('[');
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']')?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
                (host, port)
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority.as_str(), None),
            },
        };
        let is_of_host =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || is_address && byte == b':';
        if host.is_empty() || !host.bytes().all(is_of_host) {
            return None;
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None => default_port,
        };
        let bracketed = if is_address { format!("[{host}]") } else { host.to_owned() };
        let authority = if port == default_port { bracketed } else { format!("{bracketed}:{port}") };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let (origin, host) = (format!("{scheme}://{authority}"), host.to_owned());
        Some(Self { origin, authority, host, port, is_tls, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, origin, host, port, path) in [
            (
                "https://sts.googleapis.com/v1/token",
                "https://sts.googleapis.com",
                "sts.googleapis.com",
                443,
                "/v1/token",
            ),
            ("HTTPS://Login.Example:443", "https://login.example", "login.example", 443, "/"),
            ("https://a.b:8443?x=/y", "https://a.b:8443", "a.b", 8443, "/?x=/y"),
            ("http://169.254.169.254/x", "http://169.254.169.254", "169.254.169.254", 80, "/x"),
            ("http://[fd00::1]:8080/", "http://[fd00::1]:8080", "fd00::1", 8080, "/"),
            ("http://[fd00::1]", "http://[fd00::1]", "fd00::1", 80, "/"),
        ] {
            let got = Url::parse(url).unwrap();
            assert_eq!((&*got.origin, &*got.host, got.port, &*got.path), (origin, host, port, path), "{url}");
            assert_eq!(got.origin.split_once("://").unwrap().1, got.authority);
        }
        for bad in [
            "",
            "a.b/c",
            "ftp://a.b",
            "https://",
            "https:///x",
            "https://a:b@c/",
            "https://a.b:0/",
            "https://a.b:x/",
            "https://a.b/#c",
            "https://a b/",
            "https://a.b/\r\nx: y",
            "https://a.b/ü",
            "http://[::1]x/",
            "https://a:1:2/",
        ] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_known_hosts_are_called() {
        let hosts = Hosts([("https://a.b".to_owned(), "weir_a".to_owned())].into());
        let call = hosts.call("GET", "https://A.B/c?d").unwrap();
        assert_eq!((&*call.cluster, &*call.authority, &*call.path), ("weir_a", "a.b", "/c?d"));
        for url in ["https://a.b:8443/", "http://a.b/", "https://a.b.c/", "https://a.b@c/"] {
            assert!(hosts.call("GET", url).is_err(), "{url}");
        }
        assert_eq!(
            hosts.call("GET", "https://evil.example/x").unwrap_err(),
            SourceError::UnknownHost("https://evil.example".to_owned())
        );
    }
}
