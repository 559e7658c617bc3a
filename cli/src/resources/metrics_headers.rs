//! The annotation that makes labels of metrics out of request headers.

use weir_core::metrics::HeaderLabels;

/// Reads `x-team:team, x-user-id:user`: headers, each with its label. Commas or line ends stand in between.
///
/// # Errors
///
/// What is wrong with it, and how to write it.
pub fn parse(text: &str) -> Result<HeaderLabels, String> {
    let mut labels = HeaderLabels::default();
    for entry in text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let (header, label) = entry
            .rsplit_once(':')
            .ok_or_else(|| format!("`{entry}` has no `:`; write it as `x-team:team, x-user-id:user`"))?;
        labels.add(header.trim(), label.trim())?;
    }
    if labels.is_empty() {
        return Err("is empty; write it as `x-team:team, x-user-id:user`".to_owned());
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_has_its_label() {
        let labels = parse("x-team:team,\n X-User-Id : user,").unwrap();
        let mut expected = HeaderLabels::default();
        expected.add("x-team", "team").unwrap();
        expected.add("x-user-id", "user").unwrap();
        assert_eq!(labels, expected);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, message) in [
            ("", "is empty"),
            (" , ", "is empty"),
            ("x-team", "`x-team` has no `:`"),
            ("x-team:", "`` is no label"),
            (":path:path", "`:path` is no name"),
            ("x-api-key:key", "may hold a credential"),
            ("x-team:team, x-group:team", "`team` is the label of `x-team` already"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }
}
