//! What became of a request, at the backends and at the client.

use serde_json::Value;
use weir_core::codec::sse::SseDecoder;
use weir_core::endpoint::ClientApi;
use weir_core::exchange::Answer;
use weir_core::headers::Headers;
use weir_core::usage::record::Record;

/// What a backend got.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Sent {
    pub(crate) fn path(&self) -> &str {
        self.headers.get(":path").unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) record: Record,
    pub(crate) costs: Vec<(String, u64)>,
    pub(crate) answer: Answer,
    pub(crate) api: ClientApi,
}

impl Outcome {
    /// With the headers of requests sorted: what is set anew goes to the end here, and stays in its place in Envoy.
    pub(crate) fn in_order(mut self) -> Outcome {
        for sent in &mut self.sent {
            let mut headers: Vec<_> = sent.headers.iter().collect();
            headers.sort_unstable();
            sent.headers = headers.into_iter().collect();
        }
        self
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text()))
    }

    /// The data of all events.
    pub(crate) fn events(&self) -> Vec<String> {
        let mut decoder = SseDecoder::new(usize::MAX >> 1);
        let mut rest = self.body.as_slice();
        let mut events = Vec::new();
        while let Some(event) = decoder.next(&mut rest).unwrap() {
            if !event.data.is_empty() {
                events.push(String::from_utf8(event.data.to_vec()).unwrap());
            }
        }
        assert_eq!(decoder.finish(), Ok(None), "the stream ends within an event: {:?}", self.text());
        events
    }

    pub(crate) fn cost(&self, key: &str) -> Option<u64> {
        self.costs.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
    }

    /// The message of an error, which must be in the client's shape.
    pub(crate) fn error(&self) -> String {
        assert!(self.status >= 400, "{} {}", self.status, self.text());
        assert_eq!(self.headers.media_type(), "application/json", "{}", self.text());
        message_of(&self.json(), self.api)
    }
}

/// The message of an error in the shape of `api`.
pub(crate) fn message_of(json: &Value, api: ClientApi) -> String {
    let message = match api {
        ClientApi::OpenAi => {
            assert!(json["error"]["type"].is_string(), "{json}");
            &json["error"]["message"]
        }
        ClientApi::Anthropic => {
            assert_eq!(json["type"], "error", "{json}");
            assert!(json["error"]["type"].is_string(), "{json}");
            &json["error"]["message"]
        }
        ClientApi::Cohere => &json["message"],
        ClientApi::Gemini => {
            assert!(json["error"]["code"].is_u64() && json["error"]["status"].is_string(), "{json}");
            &json["error"]["message"]
        }
    };
    message.as_str().filter(|message| !message.is_empty()).unwrap_or_else(|| panic!("{json}")).to_owned()
}
