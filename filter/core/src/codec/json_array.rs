//! A stream of events as one JSON array, for clients that ask for that: each event's data is an element.

use super::sse::SseDecoder;

/// Server-sent events on their way into an array.
#[derive(Debug, Default)]
pub struct JsonArray {
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Empty,
    Open,
    Closed,
}

impl JsonArray {
    /// Appends the data of `events` to `out`. They must be whole; comments have no place in an array.
    pub fn events(&mut self, events: &[u8], out: &mut Vec<u8>) {
        let mut decoder = SseDecoder::new(usize::MAX);
        let mut rest = events;
        while let Ok(Some(event)) = decoder.next(&mut rest) {
            // OpenAI's last word is no JSON.
            if event.data.is_empty() || event.data.trim_ascii() == b"[DONE]" {
                continue;
            }
            let separator: &[u8] = match self.state {
                State::Empty => b"[",
                // As Google has it, whose older clients look for it.
                State::Open => b",\r\n",
                State::Closed => return,
            };
            self.state = State::Open;
            out.extend_from_slice(separator);
            out.extend_from_slice(event.data);
        }
    }

    /// Appends the end of the array to `out`, once.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        let end: &[u8] = match std::mem::replace(&mut self.state, State::Closed) {
            State::Empty => b"[]",
            State::Open => b"]",
            State::Closed => b"",
        };
        out.extend_from_slice(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_elements() {
        let (mut array, mut out) = (JsonArray::default(), Vec::new());
        array.events(b": keepalive\n\ndata: {\"a\":1}\r\n\r\n", &mut out);
        array.events(b"", &mut out);
        array.events(b"event: x\ndata: {\"b\":\ndata: 2}\n\ndata: {}\n\ndata: [DONE]\n\n", &mut out);
        array.close(&mut out);
        array.events(b"data: {}\n\n", &mut out);
        array.close(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "[{\"a\":1},\r\n{\"b\":\n2},\r\n{}]");
        let mut out = Vec::new();
        JsonArray::default().close(&mut out);
        assert_eq!(out, b"[]");
    }
}
