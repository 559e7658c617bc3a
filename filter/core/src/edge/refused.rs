//! What Envoy's filters that ask who a request is from say when they refuse it.
//!
//! Those in front of the edge are answered past it, those behind it through it: the words are the same.

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// How `response.code_details` begin.
    pub begins: &'static str,
    /// How they end.
    pub ends: &'static str,
    /// What to tell the client.
    pub message: &'static str,
    /// Whether Envoy's own words say more, in its body and in braces in the details: they are of a fixed list.
    pub has_reason: bool,
}

const fn refusal(status: u16, begins: &'static str, ends: &'static str, message: &'static str) -> Refusal {
    Refusal { status, begins, ends, message, has_reason: false }
}

/// All of them. Sources: `source/extensions/filters/http/*` of Envoy 1.36 to 1.40.
pub const REFUSALS: [Refusal; 9] = [
    refusal(401, "missing_api_key", "", "the API key of the gateway is missing"),
    // 1.36 has it as `unkonwn_api_key`.
    refusal(401, "unk", "_api_key", "the API key is not one that this gateway knows"),
    refusal(401, "", "_for_basic_auth", "the user name and password of the gateway are missing or wrong"),
    Refusal {
        has_reason: true,
        ..refusal(401, TOKEN, "", "the token of the gateway is missing or not accepted")
    },
    Refusal { has_reason: true, ..refusal(403, TOKEN, "", "the token is not one for this gateway") },
    refusal(403, "rbac_access_denied", "", "the policy of this gateway does not allow the request"),
    refusal(401, "ext_authz_denied", "", "the authorization service of this gateway refused the request"),
    refusal(403, "ext_authz_denied", "", "the authorization service of this gateway refused the request"),
    refusal(403, "ext_authz_error", "", "the authorization service of this gateway could not be asked"),
];

const TOKEN: &str = "jwt_authn_access_denied";

impl Refusal {
    /// What is meant by a reply of Envoy's.
    pub(super) fn of(status: u16, details: &str) -> Option<&'static Refusal> {
        let is_it = |refusal: &&Refusal| {
            refusal.status == status && details.starts_with(refusal.begins) && details.ends_with(refusal.ends)
        };
        REFUSALS.iter().find(is_it)
    }

    /// What to tell the client of a reply with these details.
    pub(super) fn told(&self, details: &str) -> String {
        let reason =
            details.split_once('{').map(|(_, reason)| reason.trim_end_matches('}').replace('_', " "));
        match reason.filter(|_| self.has_reason) {
            Some(reason) => format!("{}: {reason}", self.message),
            None => self.message.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_details_of_envoy_are_known() {
        let told = |status, details| Refusal::of(status, details).map(|refusal| refusal.told(details));
        assert_eq!(told(401, "missing_api_key").as_deref(), Some(REFUSALS[0].message));
        for details in ["unknown_api_key", "unkonwn_api_key"] {
            assert_eq!(told(401, details).as_deref(), Some(REFUSALS[1].message));
        }
        for details in ["no_credential_for_basic_auth", "invalid_format_for_basic_auth"] {
            assert_eq!(told(401, details).as_deref(), Some(REFUSALS[2].message));
        }
        let expired = told(401, "jwt_authn_access_denied{Jwt_is_expired}").unwrap();
        assert!(expired.ends_with("not accepted: Jwt is expired"), "{expired}");
        assert_eq!(
            told(403, "rbac_access_denied_matched_policy[office]").as_deref(),
            Some(REFUSALS[5].message)
        );
        assert_eq!(told(404, "route_not_found"), None);
        assert_eq!(told(403, "missing_api_key"), None);
    }
}
