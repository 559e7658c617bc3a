//! Replies that Envoy itself makes: what they mean to a client.

use super::refused::Refusal;
use crate::error::{Error, Kind};
use crate::exchange::Exchange;

/// What the filter says for the details of its own replies, where its host lets it say any.
pub const OWN_DETAILS: &str = "weir";

/// `response.code_details` of an answer that is over the limit of what Envoy holds.
pub const ANSWER_TOO_LARGE: &str = "response_payload_too_large";

/// `response.code_details` of an answer that breaks off begin with this.
pub const ANSWER_BROKEN: &str = "upstream_reset_after_response_started";

/// `response.code_details` of a limit that each proxy counts for itself.
const LOCALLY_LIMITED: &str = "local_rate_limited";

/// `response.code_details` where a route gives the answer itself: so platforms say 404 that need a route for the filter
/// to be asked at all.
const NO_RULE: &str = "direct_response";

/// The same where a route takes what no rule does, so that what belongs to all routes is there, and goes nowhere.
pub(super) const NOWHERE: &str = "cluster_not_found";

/// `response.code_details` of the filters between this one and the router that refuse what is over a limit.
const LIMITED: [&str; 3] = ["request_rate_limited", LOCALLY_LIMITED, "rate_limiter_error"];

/// `response.code_details` of the router where it had no endpoint for a request.
const NO_PLACE: [&str; 3] = ["no_healthy_upstream", "cluster_not_found", "route_not_found"];

/// A reply of Envoy's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalReply<'a> {
    /// Its status.
    pub status: u16,
    /// `response.code_details`:
    /// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/response_code_details>
    pub details: &'a str,
}

impl LocalReply<'_> {
    /// Whether the request never came to the router.
    pub(super) fn is_limited(&self) -> bool {
        LIMITED.contains(&self.details)
    }

    /// Whether the router found nowhere to send the request to.
    pub(super) fn has_no_place(&self) -> bool {
        NO_PLACE.contains(&self.details)
    }

    /// Whether there was no room for the request where it was to go.
    pub(super) fn has_no_room(&self) -> bool {
        self.details.contains("{overflow")
    }

    /// The error to tell the client.
    #[must_use]
    pub fn error(&self, exchange: &Exchange) -> Error {
        let model = &exchange.client.model;
        if let Some(refusal) = Refusal::of(self.status, self.details) {
            return Error::provider(self.status, None, refusal.told(self.details));
        }
        match (self.status, self.details) {
            (404, "route_not_found" | NO_RULE | NOWHERE)
                if exchange.client.endpoint.is_none() || model.is_empty() =>
            {
                let (path, _) = exchange.client.headers.path_and_query();
                Error::new(Kind::UnknownPath, format!("unknown path {path}: no route takes it"))
            }
            (404, "route_not_found" | NO_RULE | NOWHERE) => Error::new(
                Kind::UnknownModel,
                format!(
                    "the model {model} does not exist: no route takes it. GET /v1/models lists those that do"
                ),
            ),
            (413, _) => Error::new(Kind::TooLarge, "the request body is over the limit of this gateway"),
            (429, LOCALLY_LIMITED) => Error::new(
                Kind::RateLimited,
                format!("rate limit reached for the model {model}: too many requests at this gateway"),
            ),
            (429, _) => Error::new(
                Kind::RateLimited,
                format!("rate limit reached for the model {model}: the budget of this window is used up"),
            ),
            (503, "no_healthy_upstream") => {
                Error::new(Kind::Unavailable, format!("no backend of the model {model} is reachable"))
            }
            (503, details) if details.starts_with("upstream_reset_before_response_started") => Error::new(
                Kind::Unavailable,
                format!("no backend of the model {model} answered: the connection failed"),
            ),
            // Nothing else of the filter's own comes here: a panic was caught.
            (500, OWN_DETAILS) => Error::new(Kind::Internal, "the gateway failed; its log says where"),
            (_, ANSWER_TOO_LARGE) => {
                Error::bad_answer("the backend's answer is over the limit of this gateway")
            }
            (502, _) => Error::bad_answer("the backend broke off or does not speak HTTP"),
            (503, _) => Error::new(Kind::Unavailable, "the gateway cannot reach a backend for this request"),
            // Envoy's word for a request that is not whole yet: the backend has no part in it.
            (408, _) => Error::provider(408, None, "the request did not come in time"),
            (504, _) => Error::new(Kind::Timeout, "the backend did not answer in time"),
            (status @ 400..=499, details) => {
                Error::provider(status, None, format!("the request was refused: {}", words(details)))
            }
            (status, details) => {
                Error::provider(status, None, format!("the gateway failed: {}", words(details)))
            }
        }
    }
}

/// Envoy's details are words joined by underscores, some with an address in braces, which is nobody's business.
fn words(details: &str) -> String {
    details.split('{').next().unwrap_or_default().replace('_', " ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Headers;

    fn error(path: &str, model: &str, status: u16, details: &str) -> Error {
        let mut exchange = Exchange::new(Headers::from([(":path", path)]), 0);
        exchange.client.model = model.to_owned();
        LocalReply { status, details }.error(&exchange)
    }

    #[test]
    fn an_unknown_model_is_named_and_an_unknown_path_too() {
        let model = error("/v1/chat/completions", "gpt-9", 404, "route_not_found");
        assert_eq!((model.kind(), model.message().contains("gpt-9")), (Kind::UnknownModel, true));
        for details in [NO_RULE, NOWHERE] {
            let model = error("/v1/chat/completions", "gpt-9", 404, details);
            assert_eq!((model.kind(), model.message().contains("gpt-9")), (Kind::UnknownModel, true));
        }
        let path = error("/nope?x=1", "", 404, "route_not_found");
        assert_eq!(path.message(), "unknown path /nope: no route takes it");
    }

    #[test]
    fn a_limit_of_requests_is_no_used_up_budget() {
        let said = |details| error("/v1/chat/completions", "m", 429, details).message().to_owned();
        assert!(said("local_rate_limited").ends_with("too many requests at this gateway"));
        assert!(said("request_rate_limited").ends_with("the budget of this window is used up"));
    }

    #[test]
    fn addresses_in_details_stay_inside() {
        let failed = error("/v1/chat/completions", "m", 500, "filter_chain{10.0.0.1:80}");
        assert_eq!(failed.message(), "the gateway failed: filter chain");
    }

    #[test]
    fn a_fault_of_the_backend_is_not_called_one_of_the_gateway() {
        for (status, details) in
            [(502, "upstream_reset_before_response_started{protocol_error}"), (502, ANSWER_TOO_LARGE)]
        {
            let failed = error("/v1/chat/completions", "m", status, details);
            assert_eq!(failed.kind(), Kind::BadAnswer, "{details}");
            assert!(failed.message().starts_with("the backend"));
        }
    }

    #[test]
    fn a_slow_client_and_a_slow_backend_are_told_apart() {
        let client = error("/v1/chat/completions", "m", 408, "request_overall_timeout");
        assert_eq!((client.status(), client.message()), (408, "the request did not come in time"));
        let backend = error("/v1/chat/completions", "m", 504, "response_timeout");
        assert_eq!((backend.status(), backend.message()), (504, "the backend did not answer in time"));
    }
}
