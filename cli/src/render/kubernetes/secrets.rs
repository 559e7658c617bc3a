//! Secrets by name: a pod has those of its own namespace only.

use std::collections::BTreeMap;

use weir_core::config::Config;

use crate::resources::Diagnostic;

/// Where a credential comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::render) struct SecretKey<'a> {
    /// The credential, by its name in the filter's configuration: that of its BackendSecurityPolicy.
    pub(in crate::render) credential: &'a str,
    /// `namespace/name` of the Secret.
    pub(in crate::render) secret: &'a str,
    /// The key in it.
    pub(in crate::render) key: &'a str,
}

impl<'a> SecretKey<'a> {
    /// The Secret's name in the namespace of the pods.
    pub(in crate::render) fn name(&self) -> &'a str {
        self.secret.split_once('/').map_or(self.secret, |(_, name)| name)
    }
}

/// The Secrets that credentials come from.
pub(in crate::render) fn secret_keys(config: &Config) -> impl Iterator<Item = SecretKey<'_>> {
    config.credentials.iter().filter_map(|(credential, source)| {
        let (secret, key) = source.secret()?;
        Some(SecretKey { credential, secret, key })
    })
}

/// Secrets that differ by their namespace only: the pods would have one of them, and the key of one team would go to
/// the backend of another.
pub(in crate::render) fn ambiguous_secrets<'a>(config: &'a Config) -> Vec<Diagnostic> {
    let mut secrets: BTreeMap<&'a str, &'a str> = BTreeMap::new();
    let mistake = |key: SecretKey<'a>| {
        let other = *secrets.entry(key.name()).or_insert(key.secret);
        (other != key.secret).then(|| Diagnostic {
            file: String::new(),
            resource: format!("BackendSecurityPolicy {}", key.credential),
            field: "spec".to_owned(),
            message: format!(
                "names Secret {}, and another names {other}: a pod has Secrets of its own namespace only, where both would be {}; \
                 give them different names",
                key.secret,
                key.name()
            ),
        })
    };
    secret_keys(config).filter_map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use weir_core::auth::Source;

    use super::*;

    #[test]
    fn one_name_in_two_namespaces_is_ambiguous() {
        let of = |secrets: &[(&str, &str)]| {
            let source = |name: &str| Source::Secret { name: name.to_owned(), key: "apiKey".to_owned() };
            let credentials =
                secrets.iter().map(|(credential, secret)| ((*credential).to_owned(), source(secret)));
            let config = Config { credentials: credentials.collect(), ..Config::default() };
            let mistakes = ambiguous_secrets(&config);
            mistakes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(of(&[("team-a/one", "team-a/openai"), ("team-a/two", "team-a/openai")]).is_empty());
        assert!(of(&[("team-a/one", "team-a/openai"), ("team-b/one", "team-b/claude")]).is_empty());
        let [mistake] = &of(&[("team-a/one", "team-a/openai"), ("team-b/one", "team-b/openai")])[..] else {
            panic!()
        };
        assert!(
            mistake.starts_with(
                "BackendSecurityPolicy team-b/one: spec: names Secret team-b/openai, and another names team-a/openai: "
            ),
            "{mistake}"
        );
    }
}
