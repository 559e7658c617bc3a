//! Request headers whose values are labels of metrics, where somebody asks for that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::labels::{clipped, is_own};
use crate::auth::is_credential_header;
use crate::headers::{is_internal, is_name};

/// The header of each label. Names of headers are lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct HeaderLabels(BTreeMap<String, String>);

impl HeaderLabels {
    /// Adds a label for the values of `header`.
    ///
    /// # Errors
    /// What is wrong with one of the names.
    pub fn add(&mut self, header: &str, label: &str) -> Result<(), String> {
        let header = header.to_ascii_lowercase();
        if !is_name(&header) {
            return Err(format!("`{header}` is no name of a header"));
        }
        if is_credential_header(&header) {
            return Err(format!("`{header}` may hold a credential, which is for no metric"));
        }
        if is_internal(&header) {
            return Err(format!("`{header}` is one of the gateway's own headers"));
        }
        let is_label = label.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_label {
            return Err(format!("`{label}` is no label: letters, digits and `_`, and no digit first"));
        }
        if label.starts_with("__") || is_own(label) {
            return Err(format!("the label `{label}` is taken: choose another"));
        }
        match self.0.insert(label.to_owned(), header) {
            None => Ok(()),
            Some(other) => Err(format!("`{label}` is the label of `{other}` already")),
        }
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The headers.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }

    /// The labels of a request that has what `value` says for each header. Where it has none, so is the label.
    pub(crate) fn of<V: AsRef<str>>(&self, value: impl Fn(&str) -> Option<V>) -> Vec<(String, String)> {
        let label = |(label, header): (&String, &String)| {
            let value = value(header)?;
            let value = clipped(value.as_ref());
            (!value.is_empty()).then(|| (label.clone(), value.to_owned()))
        };
        self.0.iter().filter_map(label).collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for HeaderLabels {
    type Error = String;

    fn try_from(headers: BTreeMap<String, String>) -> Result<HeaderLabels, String> {
        let mut labels = HeaderLabels::default();
        headers.iter().try_for_each(|(label, header)| labels.add(header, label))?;
        Ok(labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_is_told() {
        for (header, label, message) in [
            ("", "team", "no name of a header"),
            (":path", "path", "`:path` is no name"),
            ("x team", "team", "no name of a header"),
            ("Authorization", "who", "`authorization` may hold a credential"),
            ("x-weir-secret-key", "who", "credential"),
            ("x-ai-eg-model", "model", "gateway's own"),
            ("x-team", "", "no label"),
            ("x-team", "1st", "no digit first"),
            ("x-team", "the-team", "letters, digits"),
            ("x-team", "__team", "`__team` is taken"),
            ("x-team", "gen_ai_backend", "taken"),
            ("x-team", "error_type", "taken"),
            ("x-team", "le", "taken"),
            ("x-team", "cost", "taken"),
        ] {
            let error = HeaderLabels::default().add(header, label).unwrap_err();
            assert!(error.contains(message), "{header}:{label}: {error}");
            let json = serde_json::json!({label: header});
            assert!(serde_json::from_value::<HeaderLabels>(json).is_err(), "{header}:{label}");
        }
        let mut labels = HeaderLabels::default();
        labels.add("X-Team", "team").unwrap();
        assert_eq!(labels.add("x-group", "team").unwrap_err(), "`team` is the label of `x-team` already");
    }

    #[test]
    fn a_label_is_there_where_its_header_is() {
        let labels: HeaderLabels =
            serde_json::from_str(r#"{"who": "x-user-id", "team": "X-Team", "_": "x-empty"}"#).unwrap();
        let long = "ä".repeat(200);
        let value = |header: &str| match header {
            "x-team" => Some(long.as_str()),
            "x-empty" => Some(""),
            _ => None,
        };
        assert_eq!(labels.of(value), [("team".to_owned(), "ä".repeat(100))]);
        assert_eq!(labels.headers().collect::<Vec<_>>(), ["x-empty", "x-team", "x-user-id"]);
        assert_eq!(
            serde_json::to_value(&labels).unwrap(),
            serde_json::json!({"_": "x-empty", "team": "x-team", "who": "x-user-id"})
        );
    }
}
