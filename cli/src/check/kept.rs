//! The key that names of stored responses are sealed with.

use weir_core::kept::Key;

use super::credentials::secret_value;
use crate::resources::annotations::RESPONSE_KEY;
use crate::resources::gateway::ObjectRef;
use crate::resources::{Report, Set};

/// The key in the Secret.
const MEMBER: &str = "key";

/// What is shorter can be found by trying, in bytes.
const SHORTEST: usize = 16;

/// The key that a Gateway names, where it does.
pub fn key(set: &Set, report: &mut Report) -> Option<Key> {
    let (id, secret) = set.settings.response_key.as_ref()?;
    let field = format!("metadata.annotations[{RESPONSE_KEY}]");
    if set.platform.is_cluster() {
        report.warning(id, field, "has no effect there: clients get the backends' own names of responses");
        return None;
    }
    let reference = ObjectRef { group: None, kind: None, name: secret.clone(), namespace: None };
    let (secret, value) = secret_value(id, &field, &reference, MEMBER, set, report)?;
    let value = value.0.trim();
    if value.len() < SHORTEST {
        report.error(
            secret,
            MEMBER,
            format!("is shorter than {SHORTEST} bytes: `openssl rand -hex 32` makes one"),
        );
        return None;
    }
    Some(Key::derived(value.as_bytes()))
}
