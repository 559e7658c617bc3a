//! How things stand at the moment: read from what all workers share, by whoever is asked.

use weir_core::auth::{Entry, Renewal};
use weir_core::metrics::{Credential, Gauges};
use weir_core::store::Store;

use crate::credentials::shared_key;
use crate::worker;

/// Those of the configuration at work, at `now` in seconds since 1970.
pub(crate) fn gauges(store: &dyn Store, now: u64) -> Gauges {
    let mut gauges = Gauges::default();
    let Some(config) = worker::last_good(store) else { return gauges };
    for (name, source) in &config.credentials {
        let entry = store.get(&shared_key(&Renewal::new(source.clone()), name));
        let entry = entry.and_then(|entry| Entry::decode(&entry.value).ok()).unwrap_or_default();
        let credential = Credential {
            is_available: entry.credential(now).is_ok(),
            failures: entry.failures(),
            expires_at: entry.expires_at(),
        };
        gauges.add(name, credential);
    }
    gauges
}

#[cfg(test)]
mod tests {
    use weir_core::config::Config;

    use super::*;
    use crate::memory::Memory;

    #[test]
    fn a_credential_that_nobody_has_fetched_is_there_and_not_available() {
        let store = Memory::default();
        assert_eq!(gauges(&store, 1).to_text().lines().filter(|line| !line.starts_with('#')).count(), 0);
        let json = serde_json::json!({"credentials": {"default/k@1": {"type": "secret", "name": "k", "key": "apiKey"}}});
        let config: Config = serde_json::from_value(json.clone()).unwrap();
        assert!(worker::config(json.to_string().as_bytes(), &store).is_some());
        assert!(
            gauges(&store, 1).to_text().contains("weir_credential_available{credential=\"default/k\"} 0\n")
        );

        let source = &config.credentials["default/k@1"];
        let key = shared_key(&Renewal::new(source.clone()), "default/k@1");
        let failed = serde_json::json!({"failure": "gone", "failures": 2, "renew_at": 9});
        store.swap(&key, failed.to_string().as_bytes(), None).unwrap();
        let text = gauges(&store, 1).to_text();
        assert!(text.contains("weir_credential_failures{credential=\"default/k\"} 2\n"), "{text}");
        assert!(!text.contains("expiry_timestamp_seconds{"), "{text}");
    }
}
