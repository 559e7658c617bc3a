//! The lists of models, answered from the configuration.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::config::Model;
use crate::endpoint::ClientApi;
use crate::error::{Error, Kind, Result};

/// The body of `GET /v1/models` for a client that named `host`.
#[must_use]
pub(super) fn openai(models: &[Model], host: &str) -> Vec<u8> {
    let data: Vec<Value> = listed(models, host).map(openai_model).collect();
    json!({ "object": "list", "data": data }).to_string().into_bytes()
}

/// The body of `GET /anthropic/v1/models` for a client that named `host`.
#[must_use]
pub(super) fn anthropic(models: &[Model], host: &str) -> Vec<u8> {
    let data: Vec<Value> = listed(models, host).map(anthropic_model).collect();
    let id_of = |entry: Option<&Value>| entry.and_then(|entry| entry.get("id")).cloned().unwrap_or_default();
    let (first, last) = (id_of(data.first()), id_of(data.last()));
    json!({ "data": data, "has_more": false, "first_id": first, "last_id": last }).to_string().into_bytes()
}

/// The body of an answer about the one model that a path names.
///
/// # Errors
/// 404 when it is not listed.
pub(super) fn one(models: &[Model], host: &str, name: &str, api: ClientApi) -> Result<Vec<u8>> {
    // Clients encode slashes or do not, and a name may have a percent sign.
    let decoded = percent_decode_str(name).decode_utf8_lossy();
    let find = |name: &str| listed(models, host).find(|model| model.id == name);
    let model = find(name).or_else(|| find(&decoded)).ok_or_else(|| {
        let list = if api == ClientApi::Anthropic { "/anthropic/v1/models" } else { "/v1/models" };
        let message = format!("the model {decoded} does not exist. GET {list} lists those that do");
        Error::new(Kind::UnknownModel, message)
    })?;
    let model = if api == ClientApi::Anthropic { anthropic_model(model) } else { openai_model(model) };
    Ok(model.to_string().into_bytes())
}

/// <https://platform.openai.com/docs/api-reference/models/object>
fn openai_model(model: &Model) -> Value {
    json!({ "id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by })
}

/// <https://docs.anthropic.com/en/api/models>
fn anthropic_model(model: &Model) -> Value {
    let created_at = chrono::DateTime::from_timestamp(model.created, 0)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
    json!({
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": created_at.unwrap_or_default(),
        "lifecycle": "active",
    })
}

/// The models of the most specific host name that covers `host`: the exact name, else the longest wildcard, else
/// those of routes without a host name.
fn listed<'a>(models: &'a [Model], host: &str) -> impl Iterator<Item = &'a Model> {
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

    fn model(id: &str, hostnames: &[&str]) -> Model {
        Model {
            id: id.to_owned(),
            owned_by: "weir".to_owned(),
            created: 1_700_000_000,
            hostnames: hostnames.iter().map(ToString::to_string).collect(),
        }
    }

    fn ids(models: &[Model], host: &str) -> Vec<String> {
        listed(models, host).map(|model| model.id.clone()).collect()
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
        let models = [model("a", &[]), model("b", &[])];
        insta::assert_snapshot!(String::from_utf8(openai(&models, "")).unwrap(), @r#"{"object":"list","data":[{"id":"a","object":"model","created":1700000000,"owned_by":"weir"},{"id":"b","object":"model","created":1700000000,"owned_by":"weir"}]}"#);
        insta::assert_snapshot!(String::from_utf8(anthropic(&models, "")).unwrap(), @r#"{"data":[{"type":"model","id":"a","display_name":"a","created_at":"2023-11-14T22:13:20Z","lifecycle":"active"},{"type":"model","id":"b","display_name":"b","created_at":"2023-11-14T22:13:20Z","lifecycle":"active"}],"has_more":false,"first_id":"a","last_id":"b"}"#);
        insta::assert_snapshot!(String::from_utf8(anthropic(&[], "")).unwrap(), @r#"{"data":[],"has_more":false,"first_id":null,"last_id":null}"#);
    }
}
