//! Clusters for the servers that credentials are asked for.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use weir_core::auth::{Source, Url};

use super::{clusters, proto};
use crate::plan::Tls;

/// The servers that `sources` call: the names of their clusters, by origin.
pub(super) fn of<'s>(sources: impl Iterator<Item = &'s Source>) -> BTreeMap<&'s str, &'s str> {
    let hosts = sources.filter_map(Source::hosts).flat_map(|hosts| &hosts.0);
    hosts.map(|(origin, cluster)| (origin.as_str(), cluster.as_str())).collect()
}

/// The clusters of those servers. TLS is verified with the system's CAs.
pub(super) fn clusters<'s>(sources: impl Iterator<Item = &'s Source>, system_ca: &Path) -> Vec<Value> {
    of(sources)
        .into_iter()
        .filter_map(|(origin, name)| Some(cluster(name, &Url::parse(origin)?, system_ca)))
        .collect()
}

fn cluster(name: &str, url: &Url, system_ca: &Path) -> Value {
    let kind = proto::discovery_type([url.host.as_str()].into_iter());
    let mut cluster = clusters::service(name, &proto::socket(&url.host, url.port), kind, clusters::Http::One);
    if let Value::Object(fields) = &mut cluster {
        // These names have addresses of both kinds, and many machines have no way to those of IPv6.
        if kind != "STATIC" {
            fields.insert("dns_lookup_family".to_owned(), "V4_PREFERRED".into());
        }
        if url.is_tls {
            let tls = Tls { hostname: url.host.clone(), ca_pem: None };
            fields.insert("transport_socket".to_owned(), clusters::tls(&tls, system_ca));
        }
    }
    cluster
}

#[cfg(test)]
mod tests {
    use weir_core::auth::{GoogleMetadata, Hosts};

    use super::*;

    #[test]
    fn a_server_has_one_cluster_however_many_ask_it() {
        let source = |urls: &[&str]| {
            let server = "http://169.254.169.254".to_owned();
            Source::GoogleMetadata(GoogleMetadata { server, hosts: Hosts::of(urls).unwrap() })
        };
        let sources = [
            source(&["http://169.254.169.254", "https://sts.googleapis.com/v1/token"]),
            source(&["https://sts.googleapis.com/other"]),
        ];
        let made = clusters(sources.iter(), Path::new("/ca.pem"));
        let [metadata, sts] = made.as_slice() else { panic!("{made:#?}") };
        assert_eq!(metadata["name"], "weir_call_http_169.254.169.254");
        assert_eq!(metadata["type"], "STATIC");
        assert!(metadata.get("transport_socket").is_none());
        assert_eq!(sts["name"], "weir_call_https_sts.googleapis.com");
        let tls = &sts["transport_socket"]["typed_config"];
        assert_eq!(tls["sni"], "sts.googleapis.com");
        assert_eq!(tls["common_tls_context"]["validation_context"]["trusted_ca"]["filename"], "/ca.pem");
    }
}
