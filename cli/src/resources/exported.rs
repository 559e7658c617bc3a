//! What a controller made of other resources, and an export of a cluster has beside them.

use serde_json::Value;

use super::kinds::AI_GATEWAY;

/// The resource of Envoy AI Gateway that its controller made this one from, as `Kind name`.
///
/// Such a resource says nothing that its owner does not: the HTTPRoute of an AIGatewayRoute, for one, has its name and
/// its rules.
#[must_use]
pub fn made_from(document: &Value) -> Option<String> {
    let owners = document.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|owner| {
        let group =
            owner.get("apiVersion").and_then(Value::as_str).and_then(|version| version.split('/').next());
        group == Some(AI_GATEWAY) && owner.get("controller") == Some(&Value::Bool(true))
    })?;
    let text = |field: &str| owner.get(field).and_then(Value::as_str);
    Some(format!("{} {}", text("kind")?, text("name")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(api_version: &str, controller: bool) -> Value {
        let owner = json!({"apiVersion": api_version, "kind": "AIGatewayRoute", "name": "models", "controller": controller});
        json!({"metadata": {"name": "models", "ownerReferences": [owner]}})
    }

    #[test]
    fn only_what_the_controller_made_has_such_an_owner() {
        let ours = owned("aigateway.envoyproxy.io/v1alpha1", true);
        assert_eq!(made_from(&ours), Some("AIGatewayRoute models".to_owned()));
        assert_eq!(made_from(&owned("aigateway.envoyproxy.io/v1alpha1", false)), None);
        assert_eq!(made_from(&owned("argoproj.io/v1alpha1", true)), None);
        assert_eq!(made_from(&json!({"metadata": {"name": "models"}})), None);
        assert_eq!(made_from(&json!("text")), None);
    }
}
