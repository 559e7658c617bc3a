//! Frames of AWS event streams, good ones and broken ones.

use std::collections::BTreeMap;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::object::with;

/// A frame as a script writes it down.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frame {
    /// Headers, all of type string.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The payload: text as it stands, anything else as JSON.
    #[serde(default)]
    payload: Value,
    /// Whether the checksum over the message is wrong.
    #[serde(default)]
    corrupt_crc: bool,
}

impl Frame {
    /// The bytes of the frame.
    ///
    /// # Errors
    /// What cannot be put into a frame, as text for the one who wrote the script.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, String> {
        let payload = match &self.payload {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let mut message = Message::new(payload.into_bytes());
        for (name, value) in &self.headers {
            message =
                message.add_header(Header::new(name.clone(), HeaderValue::String(value.clone().into())));
        }
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).map_err(|error| error.to_string())?;
        if self.corrupt_crc
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 0xff;
        }
        Ok(bytes)
    }
}

/// The frame in which InvokeModelWithResponseStream carries one event of the model. The padding `p` is Bedrock's: it
/// keeps the length of a frame from giving away the length of a token.
///
/// # Errors
/// What cannot be put into a frame.
pub(crate) fn chunk(event: &Value) -> Result<Vec<u8>, String> {
    let text = event.to_string();
    named("chunk", json!({"bytes": STANDARD.encode(&text), "p": padding(&text)}))
}

/// The frame of one event of ConverseStream, with the same padding.
///
/// # Errors
/// What cannot be put into a frame.
pub(crate) fn event(name: &str, payload: &Value) -> Result<Vec<u8>, String> {
    let padding = padding(&payload.to_string());
    named(name, with(payload.clone(), json!({ "p": padding })))
}

fn padding(text: &str) -> String {
    "abcdefghijklmnopqrstuvwxyz".repeat(2).chars().take(text.len() % 50).collect()
}

fn named(name: &str, payload: Value) -> Result<Vec<u8>, String> {
    let headers = [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")];
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Frame { headers, payload, corrupt_crc: false }.encode()
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::read_message_from;

    use super::*;

    #[test]
    fn a_chunk_carries_its_event() {
        let event = json!({"type": "ping"});
        let message = read_message_from(chunk(&event).unwrap().as_slice()).unwrap();
        let payload: Value = serde_json::from_slice(message.payload()).unwrap();
        let inner = STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&inner).unwrap(), event);
    }

    #[test]
    fn a_corrupt_frame_is_one() {
        let frame: Frame = serde_json::from_value(json!({"payload": {"a": 1}, "corrupt_crc": true})).unwrap();
        assert!(read_message_from(frame.encode().unwrap().as_slice()).is_err());
    }
}
