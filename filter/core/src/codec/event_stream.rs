//! AWS's binary event streams, `application/vnd.amazon.eventstream`.
//!
//! Frames are parsed and their checksums verified by AWS's own crate; here is only what it does not do: waiting for
//! a whole frame with a bound on its size, and reading headers liberally, since compatible servers leave some out.

use std::fmt;

use aws_smithy_eventstream::frame::read_message_from;
use aws_smithy_types::event_stream::Message;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::json;

/// The content type of such a stream.
pub const CONTENT_TYPE: &str = "application/vnd.amazon.eventstream";

/// Total length, length of the headers, and the checksum of both.
const PRELUDE: usize = 12;
/// A frame without headers and payload: the prelude and the checksum of it all.
const SMALLEST_FRAME: usize = PRELUDE + 4;

/// What a frame is, from its `:message-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// An event of the operation; also where the header is missing or empty.
    Event,
    /// An error that the operation's model knows; [`Frame::exception_type`] names it, the payload describes it.
    Exception,
    /// Any other error; [`Frame::error_code`] and [`Frame::error_message`] describe it.
    Error,
    /// None of these: to be skipped.
    Other,
}

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    message: Message,
}

impl Frame {
    /// What kind of message it is.
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        match self.header(":message-type") {
            None | Some("" | "event") => MessageType::Event,
            Some("exception") => MessageType::Exception,
            Some("error") => MessageType::Error,
            Some(_) => MessageType::Other,
        }
    }

    /// The event's name, such as `contentBlockDelta` or `chunk`.
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        self.header(":event-type")
    }

    /// The exception's name, such as `throttlingException`.
    #[must_use]
    pub fn exception_type(&self) -> Option<&str> {
        self.header(":exception-type")
    }

    /// The code of an error frame.
    #[must_use]
    pub fn error_code(&self) -> Option<&str> {
        self.header(":error-code")
    }

    /// The message of an error frame.
    #[must_use]
    pub fn error_message(&self) -> Option<&str> {
        self.header(":error-message")
    }

    /// The content, JSON for the operations used here.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.message.payload()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let header = self.message.headers().iter().find(|header| header.name().as_str() == name)?;
        header.value().as_string().ok().map(|value| value.as_str())
    }
}

/// Why a stream cannot be read on: after one bad frame nobody knows where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameError {
    /// A frame says it is longer than the decoder takes.
    TooLarge {
        /// Its length in bytes.
        length: u32,
        /// The limit in bytes.
        limit: usize,
    },
    /// A frame is not built as it should be, or a checksum is wrong.
    Malformed(String),
    /// The stream ended within a frame.
    Truncated {
        /// How many bytes of the frame came.
        buffered: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLarge { length, limit } => {
                write!(f, "a frame of the event stream has {length} bytes, more than {limit}")
            }
            FrameError::Malformed(problem) => {
                write!(f, "a frame of the event stream is malformed: {problem}")
            }
            FrameError::Truncated { buffered } => {
                write!(f, "the event stream ended within a frame, of which {buffered} bytes came")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// Takes an event stream apart.
#[derive(Debug)]
pub struct EventStreamDecoder {
    max_frame: usize,
    buffer: Vec<u8>,
    /// Where the next frame begins.
    frame: usize,
    /// The length of that frame, once its prelude was checked.
    length: Option<usize>,
    failed: Option<FrameError>,
}

impl EventStreamDecoder {
    /// So many bytes are held in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// A decoder of one stream, with frames of at most `max_frame` bytes.
    #[must_use]
    pub fn new(max_frame: usize) -> Self {
        Self { max_frame, buffer: Vec::new(), frame: 0, length: None, failed: None }
    }

    /// Takes the bytes that came next. Call [`next`](Self::next) until it has nothing before pushing more: then no
    /// more than a chunk and a frame are ever held.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.frame > 0 && self.frame >= self.buffer.len() / 2 {
            self.buffer.drain(..self.frame);
            self.frame = 0;
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole frame, or `None` until more is pushed.
    ///
    /// # Errors
    ///
    /// When a frame is too large, which is known from its first twelve bytes, or malformed. Every later call says
    /// so again.
    #[allow(clippy::should_implement_trait, reason = "the same shape as the other decoders")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.take().inspect_err(|error| {
            self.failed = Some(error.clone());
            self.buffer = Vec::new();
        })
    }

    /// Says whether the stream ended where a frame ends.
    ///
    /// # Errors
    ///
    /// [`FrameError::Truncated`] when part of a frame is left, or the error that ended the stream before.
    pub fn finish(&self) -> Result<(), FrameError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.frame < self.buffer.len() => {
                Err(FrameError::Truncated { buffered: self.buffer.len() - self.frame })
            }
            None => Ok(()),
        }
    }

    fn take(&mut self) -> Result<Option<Frame>, FrameError> {
        let rest = self.buffer.get(self.frame..).unwrap_or_default();
        let length = match self.length {
            Some(length) => length,
            None => match rest.first_chunk::<PRELUDE>() {
                Some(prelude) => *self.length.insert(frame_length(prelude, self.max_frame)?),
                None => return Ok(None),
            },
        };
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let message = read_message_from(frame).map_err(|error| FrameError::Malformed(error.to_string()))?;
        self.frame += length;
        self.length = None;
        Ok(Some(Frame { message }))
    }
}

/// Whether a stream begins with a frame; `None` until there is enough to tell.
pub(crate) fn begins_with_frame(bytes: &[u8]) -> Option<bool> {
    bytes.first_chunk().map(|prelude| frame_length(prelude, usize::MAX).is_ok())
}

/// The length of a frame from its prelude. The checksum is looked at right away: nothing else tells a length that
/// is wrong from one that is worth waiting for.
fn frame_length(prelude: &[u8; PRELUDE], max_frame: usize) -> Result<usize, FrameError> {
    let [a, b, c, d, e, f, g, h, checksum @ ..] = *prelude;
    let mut crc = flate2::Crc::new();
    crc.update(&[a, b, c, d, e, f, g, h]);
    if crc.sum() != u32::from_be_bytes(checksum) {
        return Err(FrameError::Malformed("the checksum of the prelude is wrong".to_owned()));
    }
    let total = u32::from_be_bytes([a, b, c, d]);
    let headers = u32::from_be_bytes([e, f, g, h]);
    let length = usize::try_from(total).unwrap_or(usize::MAX);
    if length > max_frame {
        return Err(FrameError::TooLarge { length: total, limit: max_frame });
    }
    let room = length.checked_sub(SMALLEST_FRAME);
    if room.is_none_or(|room| usize::try_from(headers).is_ok_and(|headers| headers > room)) {
        return Err(FrameError::Malformed(format!("{headers} bytes of headers in a frame of {total}")));
    }
    Ok(length)
}

/// The model's own event in a payload of Bedrock's InvokeModelWithResponseStream, `{"bytes": "<base64>"}`. `None`
/// for a payload of another shape, which is to be skipped.
#[must_use]
pub fn invoke_payload(payload: &[u8]) -> Option<Vec<u8>> {
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let [bytes] = json::scan(payload, ["bytes"]).ok()?.members;
    BASE64.decode(bytes?.as_str(payload)?.as_bytes()).ok()
}

/// A frame with these headers, all strings.
#[cfg(test)]
pub(crate) fn encode(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    use aws_smithy_types::event_stream::{Header, HeaderValue};

    let headers = headers
        .iter()
        .map(|(name, value)| Header::new((*name).to_owned(), HeaderValue::String((*value).to_owned().into())))
        .collect();
    let mut out = Vec::new();
    let message = Message::new_from_parts(headers, payload.to_vec());
    aws_smithy_eventstream::frame::write_message_to(&message, &mut out).unwrap();
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::testing::{chunks, cuts, mutate, mutation};

    fn decode(chunks: &[&[u8]], max_frame: usize) -> (Vec<Frame>, Result<(), FrameError>) {
        let mut decoder = EventStreamDecoder::new(max_frame);
        let mut frames = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Err(error)),
                }
            }
        }
        (frames, decoder.finish())
    }

    fn one(frame: &[u8]) -> Result<Frame, FrameError> {
        let (mut frames, result) = decode(&[frame], 1 << 20);
        result.map(|()| frames.pop().unwrap())
    }

    /// A frame with true checksums around whatever headers and payload.
    fn checksummed(total: u32, headers_length: u32, rest: &[u8]) -> Vec<u8> {
        let sum = |bytes: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(bytes);
            crc.sum().to_be_bytes()
        };
        let mut frame = [total.to_be_bytes(), headers_length.to_be_bytes()].concat();
        frame.extend(sum(&frame));
        frame.extend(rest);
        frame.extend(sum(&frame));
        frame
    }

    #[test]
    fn an_event_has_its_name_and_payload() {
        let headers =
            [(":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event")];
        let frame = one(&encode(&headers, b"{}")).unwrap();
        assert_eq!(frame.message_type(), MessageType::Event);
        assert_eq!(frame.event_type(), Some("chunk"));
        assert_eq!(frame.payload(), b"{}");
        assert_eq!(frame.exception_type(), None);
    }

    #[test]
    fn exceptions_and_errors_are_told_apart() {
        let frame = one(&encode(
            &[(":message-type", "exception"), (":exception-type", "throttlingException")],
            br#"{"message":"slow down"}"#,
        ))
        .unwrap();
        assert_eq!(frame.message_type(), MessageType::Exception);
        assert_eq!(frame.exception_type(), Some("throttlingException"));
        let frame = one(&encode(
            &[(":message-type", "error"), (":error-code", "500"), (":error-message", "oh")],
            b"",
        ))
        .unwrap();
        assert_eq!(frame.message_type(), MessageType::Error);
        assert_eq!((frame.error_code(), frame.error_message()), (Some("500"), Some("oh")));
    }

    #[test]
    fn a_frame_without_a_type_is_an_event() {
        assert_eq!(one(&encode(&[], b"{}")).unwrap().message_type(), MessageType::Event);
        let empty = one(&encode(&[(":message-type", "")], b"{}")).unwrap();
        assert_eq!(empty.message_type(), MessageType::Event);
        let other = one(&encode(&[(":message-type", "initial-response")], b"{}")).unwrap();
        assert_eq!(other.message_type(), MessageType::Other);
        // A header that should be text and is not counts as missing: here, a true.
        let headers = b"\x0d:message-type\x00";
        let frame = checksummed(16 + headers.len() as u32, headers.len() as u32, headers);
        assert_eq!(one(&frame).unwrap().message_type(), MessageType::Event);
    }

    #[test]
    fn bad_checksums_are_errors() {
        let frame = encode(&[(":event-type", "chunk")], b"payload");
        for at in 0..frame.len() {
            let mut bad = frame.clone();
            bad[at] ^= 1;
            assert!(matches!(one(&bad), Err(FrameError::Malformed(_))), "byte {at}: {:?}", one(&bad));
        }
    }

    #[test]
    fn lengths_are_checked_before_more_is_buffered() {
        let prelude = &checksummed(1 << 30, 0, b"")[..12];
        let (_, result) = decode(&[prelude], 1 << 20);
        assert_eq!(result, Err(FrameError::TooLarge { length: 1 << 30, limit: 1 << 20 }));
        for (total, headers) in [(0, 0), (15, 0), (16, 1), (100, 85), (100, u32::MAX)] {
            let prelude = &checksummed(total, headers, b"")[..12];
            assert!(
                matches!(decode(&[prelude], 1 << 20).1, Err(FrameError::Malformed(_))),
                "{total} {headers}"
            );
        }
        let exact = encode(&[], &[b'x'; 84]);
        assert_eq!(decode(&[&exact], 100).1, Ok(()));
        assert!(matches!(decode(&[&exact], 99).1, Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn an_error_stays() {
        let mut decoder = EventStreamDecoder::new(1000);
        decoder.push(&[0; 12]);
        let error = decoder.next().unwrap_err();
        decoder.push(&encode(&[], b""));
        assert_eq!(decoder.next(), Err(error.clone()));
        assert_eq!(decoder.finish(), Err(error));
        assert!(decoder.buffer.is_empty());
    }

    #[test]
    fn a_partial_frame_is_noticed() {
        let frame = encode(&[], b"{}");
        let (frames, result) = decode(&[&frame, &frame[..5]], 1000);
        assert_eq!(frames.len(), 1);
        assert_eq!(result, Err(FrameError::Truncated { buffered: 5 }));
        assert_eq!(decode(&[], 1000).1, Ok(()));
    }

    #[test]
    fn invoke_payloads_are_unpacked() {
        assert_eq!(invoke_payload(br#"{"bytes":"eyJhIjoxfQ==","p":"abc"}"#).unwrap(), br#"{"a":1}"#);
        assert_eq!(invoke_payload(br#"{"bytes":"eyJhIjoxfQ"}"#).unwrap(), br#"{"a":1}"#);
        for other in
            [r#"{"bytes":1}"#, r#"{"bytes":"?"}"#, "{}", "[]", "x", r#"{"bytes":"YQ==","bytes":"Yg=="}"#]
        {
            assert_eq!(invoke_payload(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
            mutations in proptest::collection::vec(mutation(b"\x00\x01\xff"), 0..2),
            cuts in cuts(),
            max_frame in 16..100_usize,
        ) {
            let stream: Vec<u8> = payloads.iter().flat_map(|payload| encode(&[(":event-type", "chunk")], payload)).collect();
            let stream = mutate(stream, &mutations);
            let whole = decode(&[&stream], max_frame);
            prop_assert_eq!(&decode(&chunks(&stream, &cuts), max_frame), &whole);
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            prop_assert_eq!(&decode(&bytes, max_frame), &whole);
            if mutations.is_empty() && max_frame > 80 {
                let found: Vec<&[u8]> = whole.0.iter().map(Frame::payload).collect();
                prop_assert_eq!(found, payloads);
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&[&bytes], 1000);
            let _ = invoke_payload(&bytes);
        }

        /// Garbage behind true checksums, which gets as far as the parser of the headers.
        #[test]
        fn never_panics_within_a_frame(
            rest in proptest::collection::vec(prop_oneof![0..12_u8, any::<u8>()], 0..60),
            headers in 0..70_u32,
        ) {
            let frame = checksummed(16 + rest.len() as u32, headers, &rest);
            if let Ok(frame) = one(&frame) {
                prop_assert_eq!(frame.payload(), &rest[headers as usize..]);
                let _ = frame.message_type();
            }
        }
    }
}
