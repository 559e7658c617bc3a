//! The headers by which budgets, limits and the ledger tell requests apart.

use std::borrow::Cow;

use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::headers::{HeaderEdits, USER_HEADER};

/// The longest value that is kept as it is, in bytes: it is a key in Redis, and a name in the ledger and in each line
/// of the access log.
const MAX_VALUE: usize = 256;

/// A value as it is kept: itself, or the digest of a long one.
pub(crate) fn bounded(value: &str) -> Cow<'_, str> {
    if value.len() > MAX_VALUE {
        return Cow::Owned(format!("sha256:{}", hex::encode(Sha256::digest(value))));
    }
    Cow::Borrowed(value)
}

/// Refuses a request that says twice who it is from, and puts digests in the place of long values, also in what is
/// remembered of the request.
///
/// Two values would be joined, and so each pair be somebody new with a budget of their own. One value may hold commas:
/// some names do.
pub(super) fn check(config: &Config, exchange: &mut Exchange, edits: &mut HeaderEdits) -> Result<(), Error> {
    if exchange.client.endpoint.is_none() {
        return Ok(());
    }
    let headers = &exchange.client.headers;
    let mut long = Vec::new();
    for name in config.told_apart_by() {
        let mut values = headers.all(name);
        let Some(value) = values.next() else { continue };
        if values.next().is_some() {
            return Err(Error::bad_request(format!(
                "the header {name} is there twice: by it requests are told apart"
            )));
        }
        if let Cow::Owned(digest) = bounded(value) {
            long.push((name.to_owned(), digest));
        }
    }
    for (name, digest) in long {
        exchange.client.headers.replace(&name, &digest);
        if name == USER_HEADER {
            exchange.routed.user.clone_from(&digest);
        }
        edits.set(name, digest);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::config::{Budget, Route, Selector};
    use crate::headers::Headers;

    fn config() -> Config {
        let selector = |header: &str| Selector { header: header.to_owned(), exact: None };
        let budget = Budget {
            name: "b".to_owned(),
            shared: false,
            selectors: vec![selector("x-team"), selector("x-ai-eg-model")],
            limit: 1,
            window: 1,
            request_hits: 0,
            response_cost: None,
        };
        let route = Route {
            user_headers: vec!["x-tenant".to_owned()],
            limit_headers: vec!["authorization".to_owned()],
            ..Route::default()
        };
        Config {
            budgets: vec![budget],
            routes: BTreeMap::from([("r".to_owned(), Arc::new(route))]),
            ..Config::default()
        }
    }

    fn checked(headers: &[(&str, &str)]) -> Result<(Exchange, HeaderEdits), Error> {
        let path = [(":path", "/v1/chat/completions")];
        let mut exchange = Exchange::new(path.iter().chain(headers).copied().collect::<Headers>(), 0);
        let mut edits = HeaderEdits::default();
        check(&config(), &mut exchange, &mut edits).map(|()| (exchange, edits))
    }

    #[test]
    fn who_a_request_is_from_is_said_once() {
        for name in ["x-user-id", "x-team", "x-tenant", "authorization"] {
            let error = checked(&[(name, "ann"), ("accept", "*/*"), (name, "ann")]).unwrap_err();
            assert_eq!((error.status(), error.message().contains(name)), (400, true));
            assert!(checked(&[(name, "ann, bob")]).is_ok(), "one value, whatever is in it");
        }
        assert!(
            checked(&[("accept", "a"), ("accept", "b"), ("x-ai-eg-model", "m"), ("x-ai-eg-model", "n")])
                .is_ok()
        );
        let mut many = vec![("x", "y"); 200];
        many.extend([("x-team", "red"), ("x-team", "blue")]);
        assert!(checked(&many).is_err());
    }

    #[test]
    fn a_long_value_becomes_a_digest_everywhere() {
        let short = "u".repeat(MAX_VALUE);
        let (exchange, edits) = checked(&[("x-user-id", &short), ("accept", &"a".repeat(9_999))]).unwrap();
        assert_eq!((exchange.routed.user, edits.is_empty()), (short.clone(), true));

        let long = short + "v";
        let (exchange, edits) = checked(&[("x-user-id", &long), ("x-team", &long)]).unwrap();
        assert!(
            exchange.routed.user.starts_with("sha256:") && exchange.routed.user.len() == 71,
            "{}",
            exchange.routed.user
        );
        for name in ["x-user-id", "x-team"] {
            assert_eq!(edits.get(name), Some(Some(exchange.routed.user.as_str())));
            assert_eq!(exchange.header(name).as_deref(), Some(exchange.routed.user.as_str()));
        }
        let (other, _) = checked(&[("x-user-id", &(long + "w"))]).unwrap();
        assert_ne!(exchange.routed.user, other.routed.user);
    }
}
