//! `cors`: which pages may have a browser send requests.

use super::Reader;
use crate::plan::{Cors, ValueMatch};
use crate::resources::decode::MISSING;
use crate::resources::security::CorsSpec;

impl Reader<'_> {
    pub(super) fn cors(&mut self, spec: &CorsSpec) -> Cors {
        let field = "spec.cors.allowOrigins";
        self.must_have(field, &spec.allow_origins, "write `*`, or origins such as `https://app.example.com`");
        let mut origins = Vec::new();
        for (i, text) in spec.allow_origins.iter().enumerate() {
            match origin(text) {
                Some(origin) => origins.push(origin),
                None if text == MISSING => {}
                None => {
                    let message = format!(
                        "`{text}` is not an origin; write `*`, or one such as `https://*.example.com`"
                    );
                    self.error(format!("{field}[{i}]"), message);
                }
            }
        }
        Cors {
            origins,
            methods: spec.allow_methods.clone(),
            headers: spec.allow_headers.clone(),
            exposed: spec.expose_headers.clone(),
            max_age: spec.max_age.map(|age| age.0),
            credentials: spec.allow_credentials,
        }
    }
}

/// As Envoy Gateway reads it: `*` stands for anything, and all else for itself.
fn origin(text: &str) -> Option<ValueMatch> {
    if text != "*" {
        let (scheme, host) = text.split_once("://")?;
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
        let is_host = |c: char| c.is_ascii_alphanumeric() || "_-.:[]*".contains(c);
        if scheme.is_empty()
            || !scheme.chars().all(is_scheme)
            || host.is_empty()
            || !host.chars().all(is_host)
        {
            return None;
        }
    }
    if !text.contains('*') {
        return Some(ValueMatch::Exact(text.to_owned()));
    }
    let parts: Vec<String> = text.split('*').map(regex::escape).collect();
    Some(ValueMatch::Regex(parts.join(".*")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let exact = "http://a.test:8080";
        assert_eq!(origin(exact), Some(ValueMatch::Exact(exact.to_owned())));
        assert_eq!(origin("*"), Some(ValueMatch::Regex(".*".to_owned())));
        assert_eq!(origin("https://*.b.test"), Some(ValueMatch::Regex(r"https://.*\.b\.test".to_owned())));
        for bad in ["", "a.test", "https://", "https://a.test/", "://a", "https://a b"] {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }
}
