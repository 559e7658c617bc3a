//! Gauges: how things stand when somebody asks.

use std::collections::BTreeMap;

use super::text::{Family, label};

/// How credentials stand, by their name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gauges(BTreeMap<String, Credential>);

/// How a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credential {
    /// There is one, and it has not expired.
    pub is_available: bool,
    /// How often in a row it could not be had.
    pub failures: u32,
    /// When the one that there is expires, in seconds since 1970; `None`: never, as far as anybody knows.
    pub expires_at: Option<u64>,
}

impl Gauges {
    /// Adds a credential by its name in [`crate::config::Config::credentials`]. Of several versions the worst counts.
    pub fn add(&mut self, name: &str, credential: Credential) {
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        let known = self.0.entry(name.to_owned()).or_insert(credential);
        *known = Credential {
            is_available: known.is_available && credential.is_available,
            failures: known.failures.max(credential.failures),
            expires_at: known.expires_at.into_iter().chain(credential.expires_at).min(),
        };
    }

    /// All of them as text, to stand behind that of [`super::Metrics::to_text`].
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut family = |name, help, value: fn(&Credential) -> Option<u64>| {
            let mut family = Family::begin(&mut text, name, help, "gauge");
            for (name, credential) in &self.0 {
                if let Some(value) = value(credential) {
                    family.gauge(&label("credential", name), value);
                }
            }
        };
        family("weir_credential_available", "1 where there is a credential that has not expired.", |it| {
            Some(it.is_available.into())
        });
        family("weir_credential_failures", "How often in a row a credential could not be had.", |it| {
            Some(it.failures.into())
        });
        family(
            "weir_credential_expiry_timestamp_seconds",
            "When a credential expires, in seconds since 1970.",
            |it| it.expires_at,
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_shown_by_name_and_the_worst_version_of_each() {
        let mut gauges = Gauges::default();
        let good = Credential { is_available: true, failures: 0, expires_at: None };
        gauges.add("default/\"k\"", good);
        gauges.add("default/aws@new", Credential { expires_at: Some(1_900_000_000), ..good });
        gauges.add(
            "default/aws@old",
            Credential { is_available: false, failures: 3, expires_at: Some(1_800_000_000) },
        );
        insta::assert_snapshot!(gauges.to_text(), @r#"
        # HELP weir_credential_available 1 where there is a credential that has not expired.
        # TYPE weir_credential_available gauge
        weir_credential_available{credential="default/\"k\""} 1
        weir_credential_available{credential="default/aws"} 0
        # HELP weir_credential_failures How often in a row a credential could not be had.
        # TYPE weir_credential_failures gauge
        weir_credential_failures{credential="default/\"k\""} 0
        weir_credential_failures{credential="default/aws"} 3
        # HELP weir_credential_expiry_timestamp_seconds When a credential expires, in seconds since 1970.
        # TYPE weir_credential_expiry_timestamp_seconds gauge
        weir_credential_expiry_timestamp_seconds{credential="default/aws"} 1800000000
        "#);
    }
}
