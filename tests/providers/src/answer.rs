//! What a provider answers, as a list of steps, and how it is played onto the wire.
//!
//! The providers' own answers and the scripted ones take the same form, so every fault a test can ask for goes
//! through the code that plays the good answers.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use serde_json::Value;

use crate::record::Watch;
use crate::server::Reset;

/// One thing that happens while an answer is sent.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Bytes of the body, sent as one chunk.
    Data(Bytes),
    /// Nothing is sent for this long.
    Delay(Duration),
    /// The connection is reset (TCP RST).
    Reset,
    /// Nothing is sent any more, until the client gives up.
    Hang,
}

/// A whole answer: head and steps of the body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Header names and values; a name may occur more than once.
    pub(crate) headers: Vec<(String, String)>,
    /// What is sent. Steps that stand before the first data happen before the head is sent.
    pub(crate) steps: Vec<Step>,
}

impl Answer {
    /// A body of one piece.
    pub(crate) fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            steps: vec![Step::Data(body.into())],
        }
    }

    /// A JSON document.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", body.to_string())
    }

    /// A stream of chunks with `pace` between two of them.
    pub(crate) fn stream(content_type: &str, chunks: Vec<Bytes>, pace: Duration) -> Self {
        let mut steps = Vec::with_capacity(chunks.len());
        for (index, chunk) in chunks.into_iter().enumerate() {
            if index > 0 && !pace.is_zero() {
                steps.push(Step::Delay(pace));
            }
            steps.push(Step::Data(chunk));
        }
        Self { status: 200, headers: vec![("content-type".to_owned(), content_type.to_owned())], steps }
    }

    /// A stream of server-sent events, each already in its text form (see [`event`]).
    pub(crate) fn events(events: Vec<String>, pace: Duration) -> Self {
        Self::stream("text/event-stream; charset=utf-8", events.into_iter().map(Bytes::from).collect(), pace)
            .header("cache-control", "no-cache")
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Compresses the body as one gzip stream that is flushed after every chunk, the way a streaming server does it.
    ///
    /// # Errors
    /// What the encoder reports.
    pub(crate) fn gzip(mut self) -> std::io::Result<Self> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        for step in &mut self.steps {
            if let Step::Data(data) = step {
                encoder.write_all(data)?;
                encoder.flush()?;
                *data = std::mem::take(encoder.get_mut()).into();
            }
        }
        let end: Bytes = encoder.finish()?.into();
        // A body of one piece stays one, so that it keeps its content-length.
        match self.steps.as_mut_slice() {
            [Step::Data(only)] => *only = [only.as_ref(), end.as_ref()].concat().into(),
            _ => self.steps.push(Step::Data(end)),
        }
        Ok(self.header("content-encoding", "gzip"))
    }

    /// Cuts the data into pieces of `size` bytes.
    pub(crate) fn cut(&mut self, size: usize) {
        let steps = std::mem::take(&mut self.steps);
        for step in steps {
            match step {
                Step::Data(data) => self
                    .steps
                    .extend(data.chunks(size.max(1)).map(|piece| Step::Data(Bytes::copy_from_slice(piece)))),
                other => self.steps.push(other),
            }
        }
    }

    /// Sends the answer. `watch` learns how it ended.
    pub(crate) async fn play(self, reset: Reset, watch: Watch) -> Response<Body> {
        let mut steps = self.steps.into_iter().peekable();
        while let Some(step) = steps.next_if(|step| !matches!(step, Step::Data(_))) {
            match step {
                Step::Delay(time) => tokio::time::sleep(time).await,
                Step::Hang => std::future::pending().await,
                Step::Reset => {
                    watch.end("reset");
                    reset.arm();
                    return Response::new(Body::empty());
                }
                Step::Data(_) => {}
            }
        }
        let body = if steps.len() <= 1 {
            watch.end("complete");
            match steps.next() {
                Some(Step::Data(data)) => Body::from(data),
                _ => Body::empty(),
            }
        } else {
            Body::from_stream(stream::unfold((steps, watch), move |(mut steps, watch)| {
                let reset = reset.clone();
                async move {
                    loop {
                        match steps.next() {
                            None => {
                                watch.end("complete");
                                return None;
                            }
                            Some(Step::Data(data)) => return Some((Ok(data), (steps, watch))),
                            Some(Step::Delay(time)) => tokio::time::sleep(time).await,
                            Some(Step::Hang) => std::future::pending().await,
                            Some(Step::Reset) => {
                                watch.end("reset");
                                reset.arm();
                                let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                                return Some((Err(error), (steps, watch)));
                            }
                        }
                    }
                }
            }))
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

/// A server-sent event with an optional name and JSON data.
pub(crate) fn event(name: Option<&str>, data: &Value) -> String {
    match name {
        Some(name) => format!("event: {name}\ndata: {data}\n\n"),
        None => format!("data: {data}\n\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn data(answer: &Answer) -> Vec<u8> {
        answer
            .steps
            .iter()
            .filter_map(|step| if let Step::Data(data) = step { Some(data.to_vec()) } else { None })
            .flatten()
            .collect()
    }

    #[test]
    fn gzip_is_one_stream_flushed_at_every_chunk() {
        let plain = Answer::stream("text/plain", vec!["one ".into(), "two".into()], Duration::from_millis(1));
        let packed = plain.gzip().unwrap();
        assert_eq!(packed.steps.len(), 4, "chunk, delay, chunk, trailer");
        let Some(Step::Data(first)) = packed.steps.first() else { panic!("a chunk") };
        let mut start = [0; 4];
        flate2::read::GzDecoder::new(first.as_ref()).read_exact(&mut start).unwrap();
        assert_eq!(&start, b"one ");
        let mut all = String::new();
        flate2::read::GzDecoder::new(data(&packed).as_slice()).read_to_string(&mut all).unwrap();
        assert_eq!(all, "one two");
    }

    #[test]
    fn a_cut_answer_has_the_same_bytes() {
        let mut answer =
            Answer::stream("text/plain", vec!["one".into(), "two".into()], Duration::from_millis(1));
        answer.cut(2);
        assert_eq!(answer.steps.len(), 5, "two pieces of each chunk and the delay");
        assert_eq!(data(&answer), b"onetwo");
    }

    #[test]
    fn a_body_of_one_piece_stays_one_piece_when_compressed() {
        let packed = Answer::json(200, &serde_json::json!({"a": 1})).gzip().unwrap();
        assert_eq!(packed.steps.len(), 1);
    }
}
