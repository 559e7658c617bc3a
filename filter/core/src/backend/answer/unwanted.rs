//! Headers of a backend's answer that are not for the client.

use crate::backend::Attempt;
use crate::headers::{HeaderEdits, Headers, NO_RETRY_HEADER, Names, is_internal};

/// What a server says of itself or of the connection to it, and the client would take for the gateway's word: cookies
/// (which no attempt sends back), other addresses, and what a browser is to do with this host from now on.
static OF_THE_SERVER: Names = Names::new(&[
    "alt-svc",
    "clear-site-data",
    "keep-alive",
    "proxy-connection",
    "set-cookie",
    "strict-transport-security",
]);

/// Which pages may read what a host answers is for the one who runs it to say.
const CORS: &str = "access-control-";

/// What Envoy sets itself, whatever the backend says.
const OF_ENVOY: &[&str] = &["x-envoy-attempt-count", "x-envoy-upstream-service-time"];

fn is_unwanted(name: &str) -> bool {
    is_internal(name)
        || name.starts_with("x-envoy-") && !OF_ENVOY.contains(&name)
        || name.starts_with(CORS)
        || OF_THE_SERVER.has(name)
}

impl Attempt {
    /// What to change at once in the headers of an answer, whatever becomes of it.
    #[must_use]
    pub fn unwanted_headers(&self, status: u16, headers: &Headers) -> HeaderEdits {
        let mut edits = HeaderEdits::default();
        for (name, _) in headers.iter().filter(|(name, _)| is_unwanted(name)) {
            edits.remove(name.to_owned());
        }
        let is_success = self.is_success(status);
        if !is_success {
            self.ends_attempts(&mut edits);
        }
        // An answer of success may be an error all the same. It is looked at in the way that takes no time.
        let secrets = &self.answer.secrets;
        if !secrets.is_empty() {
            for (name, value) in headers.iter().filter(|(name, _)| !name.starts_with(':')) {
                if edits.get(name).is_none()
                    && (!is_success || secrets.are_in(value))
                    && let Some(blanked) = secrets.blanked_text(value)
                {
                    edits.set(name.to_owned(), blanked);
                }
            }
        }
        edits
    }

    /// Has Envoy give the client this answer, which is an error, where it could repeat the request once more for failed
    /// connections only.
    pub(super) fn ends_attempts(&self, edits: &mut HeaderEdits) {
        let exchange = self.exchange.borrow();
        if self.route.spare_attempts > 0 && !exchange.routed.direct && exchange.is_last(&self.route) {
            edits.set(NO_RETRY_HEADER, "true");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_gateways_to_say_no_backend_says() {
        for name in [
            "x-weir-cluster",
            "x-ai-eg-model",
            "x-aigw-role",
            "x-envoy-ratelimited",
            "x-envoy-immediate-health-check-fail",
            "set-cookie",
            "access-control-allow-origin",
            "strict-transport-security",
        ] {
            assert!(is_unwanted(name), "{name}");
        }
        for name in [
            "x-request-id",
            "x-ratelimit-limit-requests",
            "retry-after",
            "x-envoy-upstream-service-time",
            "via",
        ] {
            assert!(!is_unwanted(name), "{name}");
        }
    }
}
