//! The lists of models, answered from the configuration.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;

use crate::config::Model;
use crate::endpoint::ClientApi;
use crate::error::{Error, Kind, Result};
use crate::headers::Headers;
use crate::wire::api::ModelsList;

/// The paths of all lists. Below each are its models.
pub fn list_paths() -> impl Iterator<Item = &'static str> {
    ClientApi::ALL.iter().filter_map(|api| Some(api.api().models()?.path))
}

/// The body of an answer about all models, for a client with these headers.
#[must_use]
pub(super) fn all(list: &ModelsList, models: &[Model], client: &Headers) -> Vec<u8> {
    let models = listed(models, client).map(list.one).collect();
    (list.all)(models).to_string().into_bytes()
}

/// The body of an answer about the one model that a path names.
///
/// # Errors
/// 404 when it is not listed.
pub(super) fn one(list: &ModelsList, models: &[Model], client: &Headers, name: &str) -> Result<Vec<u8>> {
    // Clients encode slashes or do not, and a name may have a percent sign.
    let decoded = percent_decode_str(name).decode_utf8_lossy();
    let find = |name: &str| listed(models, client).find(|model| model.id == name);
    let model = find(name).or_else(|| find(&decoded)).ok_or_else(|| {
        let path = list.path;
        let message = format!("the model {decoded} does not exist. GET {path} lists those that do");
        Error::new(Kind::UnknownModel, message)
    })?;
    Ok((list.one)(model).to_string().into_bytes())
}

/// The models of the most specific host name that covers the client's: the exact name, else the longest wildcard, else
/// those of routes without a host name. Of these the ones that the client may use; each once, whatever the number of
/// its routes.
fn listed<'a>(models: &'a [Model], client: &'a Headers) -> impl Iterator<Item = &'a Model> {
    let mut seen = HashSet::new();
    let may_use = |model: &&Model| model.headers.iter().all(|header| header.selects(client));
    of_host(models, client.get(":authority").unwrap_or_default())
        .filter(may_use)
        .filter(move |model| seen.insert(&model.id))
}

fn of_host<'a>(models: &'a [Model], host: &str) -> impl Iterator<Item = &'a Model> {
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let wanted = models.iter().filter_map(|model| rank(model, &host)).max();
    models.iter().filter(move |model| match wanted {
        Some(_) => rank(model, &host) == wanted,
        None => model.hostnames.is_empty(),
    })
}

/// How specifically a model's host names cover `host`.
fn rank(model: &Model, host: &str) -> Option<usize> {
    let of_pattern = |pattern: &String| {
        if pattern == host {
            return Some(usize::MAX);
        }
        // `*.example.com` stands for one label more.
        let suffix = pattern.strip_prefix('*')?;
        let label = host.strip_suffix(suffix)?;
        (!label.is_empty() && !label.contains('.')).then_some(suffix.len())
    };
    model.hostnames.iter().filter_map(of_pattern).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Selector;
    use crate::endpoint::{Body, Endpoint};

    fn model(id: &str, hostnames: &[&str]) -> Model {
        Model {
            id: id.to_owned(),
            owned_by: "weir".to_owned(),
            created: 1_700_000_000,
            hostnames: hostnames.iter().map(ToString::to_string).collect(),
            headers: Vec::new(),
        }
    }

    fn ids(models: &[Model], host: &str) -> Vec<String> {
        listed(models, &Headers::from([(":authority", host)])).map(|model| model.id.clone()).collect()
    }

    #[test]
    fn a_client_sees_what_it_may_use() {
        let only =
            |exact: Option<&str>| Selector { header: "x-client".to_owned(), exact: exact.map(str::to_owned) };
        let for_some = |id, selector| Model { headers: vec![selector], ..model(id, &[]) };
        let models = [
            model("all", &[]),
            for_some("ann's", only(Some("ann"))),
            for_some("anybody's", only(None)),
            for_some("all", only(Some("ann"))),
        ];
        let ids = |headers: &[(&str, &str)]| -> Vec<String> {
            let headers: Headers = headers.iter().copied().collect();
            listed(&models, &headers).map(|model| model.id.clone()).collect()
        };
        assert_eq!(ids(&[]), ["all"]);
        assert_eq!(ids(&[("x-client", "ann")]), ["all", "ann's", "anybody's"]);
        assert_eq!(ids(&[("x-client", "bob")]), ["all", "anybody's"]);
    }

    #[test]
    fn every_list_has_its_path() {
        let paths: Vec<&str> = list_paths().collect();
        for endpoint in Endpoint::ALL.iter().filter(|endpoint| endpoint.operation().body == Body::None) {
            let path = endpoint.api().models().unwrap().path;
            assert!(paths.contains(&path), "{path}");
        }
    }

    #[test]
    fn the_most_specific_host_name_decides_the_list() {
        let models =
            [model("any", &[]), model("wild", &["*.example.com"]), model("exact", &["a.example.com"])];
        assert_eq!(ids(&models, "A.example.com:8080"), ["exact"]);
        assert_eq!(ids(&models, "b.example.com"), ["wild"]);
        assert_eq!(ids(&models, "b.c.example.com"), ["any"]);
        assert_eq!(ids(&models, "127.0.0.1:1975"), ["any"]);
    }

    #[test]
    fn both_shapes_are_whole() {
        let [openai, anthropic] = [ClientApi::OpenAi, ClientApi::Anthropic].map(|api| {
            let list = api.api().models().unwrap();
            move |models: &[Model]| String::from_utf8(all(list, models, &Headers::default())).unwrap()
        });
        let models = [model("a", &[]), model("b", &[])];
        insta::assert_snapshot!(openai(&models), @r#"{"object":"list","data":[{"id":"a","object":"model","created":1700000000,"owned_by":"weir"},{"id":"b","object":"model","created":1700000000,"owned_by":"weir"}]}"#);
        insta::assert_snapshot!(anthropic(&models), @r#"{"data":[{"type":"model","id":"a","display_name":"a","created_at":"2023-11-14T22:13:20Z","lifecycle":"active"},{"type":"model","id":"b","display_name":"b","created_at":"2023-11-14T22:13:20Z","lifecycle":"active"}],"has_more":false,"first_id":"a","last_id":"b"}"#);
        insta::assert_snapshot!(anthropic(&[]), @r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#);
    }
}
