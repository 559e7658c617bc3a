//! The headers of one attempt.
//!
//! Attempts share one header map: what one sets, the next finds. So each attempt first puts back what earlier ones
//! changed, by the snapshot of the client's own headers, then makes its changes, and what it touched is remembered.

use crate::auth::is_credential_header;
use crate::config::Config;
use crate::exchange::Exchange;
use crate::headers::{
    BACKEND_HEADER, FIRST_BACKEND_HEADER, HeaderEdits, MODEL_HEADER, PREFIX_KEY_HEADER, Text, is_internal,
};

/// The changes of one attempt, on top of the client's own headers.
pub(super) struct AttemptHeaders<'a> {
    exchange: &'a mut Exchange,
    edits: HeaderEdits,
}

impl<'a> AttemptHeaders<'a> {
    /// Begins with the client's own headers, without any credential and without what is the gateway's own.
    pub(super) fn new(config: &Config, exchange: &'a mut Exchange) -> Self {
        let mut edits = HeaderEdits::default();
        for name in &exchange.attempts.touched {
            edits.put(name.clone(), exchange.client.headers.joined(name).map(Text::Owned));
        }
        let mut headers = AttemptHeaders { exchange, edits };
        let unwanted: Vec<String> = headers
            .exchange
            .client
            .headers
            .iter()
            .filter(|(name, _)| {
                is_credential_header(name)
                    || config.brings_credentials(name)
                    || is_internal(name) && !headers.exchange.routed.direct
            })
            .map(|(name, _)| name.to_owned())
            .collect();
        for name in unwanted {
            headers.put(name.into(), None);
        }
        // It is not the client's but the edge role's. On a direct way the route is chosen by it only after this, and
        // removes it itself.
        if !headers.exchange.routed.direct {
            headers.put(MODEL_HEADER.into(), None);
            // The place was chosen by it. A later attempt, at which it is gone, is to go to another one.
            if config.prefix_key {
                headers.put(PREFIX_KEY_HEADER.into(), None);
            }
            if headers.exchange.client.kept.is_some() {
                headers.put(BACKEND_HEADER.into(), None);
            }
            if headers.exchange.client.names_items {
                headers.put(FIRST_BACKEND_HEADER.into(), None);
            }
        }
        headers
    }

    /// The value that the client sent.
    pub(super) fn original(&self, name: &str) -> Option<&str> {
        self.exchange.client.headers.get(name)
    }

    /// The value as it will be sent.
    pub(super) fn now(&self, name: &str) -> Option<&str> {
        self.edits.get(name).unwrap_or_else(|| self.exchange.client.headers.get(name))
    }

    /// Sets `name`, which is in lower case.
    pub(super) fn set(&mut self, name: impl Into<Text>, value: impl Into<Text>) {
        self.put(name.into(), Some(value.into()));
    }

    /// Removes `name`, which is in lower case.
    pub(super) fn remove(&mut self, name: impl Into<Text>) {
        self.put(name.into(), None);
    }

    /// Sets `name`, unless the client sent just that. For headers that nothing else between client and backend sets.
    pub(super) fn ensure(&mut self, name: &'static str, value: impl Into<Text>) {
        let value = value.into();
        if !self.is_as_sent(name, Some(&value)) {
            self.set(name, value);
        }
    }

    /// Removes `name`, if the client sent it. For headers that nothing else between client and backend sets.
    pub(super) fn ensure_none(&mut self, name: &'static str) {
        if !self.is_as_sent(name, None) {
            self.remove(name);
        }
    }

    /// Leaves of the list `name` what `keeps` says.
    pub(super) fn ensure_list(&mut self, name: &'static str, keeps: impl Fn(&str) -> bool) {
        let values =
            self.exchange.client.headers.all(name).flat_map(|values| values.split(',')).map(str::trim);
        let (kept, left): (Vec<&str>, Vec<&str>) =
            values.filter(|value| !value.is_empty()).partition(|value| keeps(value));
        if left.is_empty() {
            return;
        }
        match kept.join(",") {
            none if none.is_empty() => self.ensure_none(name),
            kept => self.ensure(name, kept),
        }
    }

    pub(super) fn into_edits(self) -> HeaderEdits {
        self.edits
    }

    /// Whether `name` has this one value, or none, with nobody having to do anything for it.
    fn is_as_sent(&self, name: &str, value: Option<&str>) -> bool {
        let mut values = self.exchange.client.headers.all(name);
        self.edits.get(name).is_none() && values.next() == value && values.next().is_none()
    }

    fn put(&mut self, name: Text, value: Option<Text>) {
        if self.exchange.routed.direct {
            // There is no other attempt, and nothing between the snapshot and this.
            if !self.is_as_sent(&name, value.as_deref()) {
                self.edits.put(name, value);
            }
            return;
        }
        if !self.exchange.attempts.touched.contains(&name) {
            self.exchange.attempts.touched.push(name.clone());
        }
        self.edits.put(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::Headers;

    #[test]
    fn of_a_list_some_values_stay() {
        let lists =
            [(vec!["a", "b, c"], Some("a,c")), (vec!["b"], None), (vec!["a,c"], Some("a,c")), (vec![], None)];
        for (sent, expected) in lists {
            let headers: Headers = sent.iter().map(|value| ("x".to_owned(), (*value).to_owned())).collect();
            let mut exchange = Exchange::new(headers, 0);
            let mut headers = AttemptHeaders::new(&Config::default(), &mut exchange);
            headers.ensure_list("x", |value| value != "b");
            assert_eq!(headers.now("x"), expected, "{sent:?}");
        }
    }

    #[test]
    fn the_next_attempt_finds_the_headers_of_the_client_and_no_other() {
        let mut exchange = Exchange::new(
            Headers::from([
                (":path", "/v1/chat/completions"),
                ("authorization", "Bearer client"),
                ("x-ai-eg-model", "forged"),
                ("x-team", "red"),
                ("x-team", "blue"),
            ]),
            0,
        );
        let mut first = AttemptHeaders::new(&Config::default(), &mut exchange);
        first.set(":path", "/model/m/invoke");
        first.set("authorization", "AWS4-HMAC-SHA256 ...");
        first.set("x-amz-date", "20260101T000000Z");
        first.remove("x-team");
        assert_eq!(first.now("x-team"), None);
        assert_eq!(first.original("x-team"), Some("red"));

        let second = AttemptHeaders::new(&Config::default(), &mut exchange).into_edits();
        assert_eq!(second.get(":path"), Some(Some("/v1/chat/completions")));
        assert_eq!(second.get("authorization"), Some(None), "neither the client's nor the first backend's");
        assert_eq!(second.get("x-amz-date"), Some(None));
        assert_eq!(second.get("x-ai-eg-model"), Some(None));
        assert_eq!(second.get("x-team"), Some(Some("red, blue")), "nothing of what the client sent is lost");
    }
}
