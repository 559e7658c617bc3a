//! The frames of a WebSocket (RFC 6455), read as they pass.
//!
//! Nothing is held here but the head of a frame: what a payload needs is for who reads it to say.

use std::fmt;

/// The longest head of a frame, in bytes (RFC 6455, 5.2).
const MAX_HEAD: usize = 14;

/// The most that a control frame carries, in bytes (RFC 6455, 5.5).
pub const MAX_CONTROL: usize = 125;

/// What a frame says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// It ends its message.
    pub is_final: bool,
    /// What it carries.
    pub opcode: Opcode,
    /// What its payload is masked with: always there from a client, never from a server.
    pub mask: Option<[u8; 4]>,
    /// How many bytes of payload follow.
    pub length: u64,
}

/// What a frame carries, by the bits that say so (RFC 6455, 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message before.
    Continuation = 0x0,
    /// A message of text, or its beginning.
    Text = 0x1,
    /// The same of bytes.
    Binary = 0x2,
    /// The end of what its sender has to say.
    Close = 0x8,
    /// A question whether the peer is there.
    Ping = 0x9,
    /// The answer to it.
    Pong = 0xa,
}

impl Opcode {
    const ALL: [Opcode; 6] =
        [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];

    fn of(bits: u8) -> Option<Opcode> {
        Opcode::ALL.into_iter().find(|opcode| opcode.bits() == bits)
    }

    fn bits(self) -> u8 {
        self as u8
    }

    /// Whether it may stand between the frames of a message, and is no part of it.
    #[must_use]
    pub fn is_control(self) -> bool {
        match self {
            Opcode::Continuation | Opcode::Text | Opcode::Binary => false,
            Opcode::Close | Opcode::Ping | Opcode::Pong => true,
        }
    }
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Head {
    /// The head that `bytes` begin with, and its own length; `None` where they are too few.
    fn read(bytes: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        if first & 0x70 != 0 {
            return Err(Malformed("a frame has reserved bits, as of an extension that was not agreed on"));
        }
        let opcode = Opcode::of(first & 0x0f).ok_or(Malformed("a frame has an unknown opcode"))?;
        let is_final = first & 0x80 != 0;
        let (length, rest) = match second & 0x7f {
            126 => {
                let Some((length, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let Some((length, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
                (u64::from_be_bytes(*length), rest)
            }
            length => (u64::from(length), rest),
        };
        // The shortest form is the only one, so what is written anew is what was read.
        let is_shortest = match second & 0x7f {
            126 => length > MAX_CONTROL as u64,
            127 => length > u64::from(u16::MAX) && length <= i64::MAX as u64,
            _ => true,
        };
        if !is_shortest {
            return Err(Malformed("a frame has an impossible length"));
        }
        if opcode.is_control() && (!is_final || length > MAX_CONTROL as u64) {
            return Err(Malformed("a control frame is in pieces, or too long"));
        }
        let (mask, rest) = if second & 0x80 == 0 {
            (None, rest)
        } else {
            let Some((mask, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
            (Some(*mask), rest)
        };
        Ok(Some((Head { is_final, opcode, mask, length }, bytes.len().saturating_sub(rest.len()))))
    }

    /// Appends the head to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let masked = if self.mask.is_some() { 0x80 } else { 0 };
        out.push(if self.is_final { 0x80 } else { 0 } | self.opcode.bits());
        match (u8::try_from(self.length), u16::try_from(self.length)) {
            (Ok(length), _) if usize::from(length) <= MAX_CONTROL => out.push(masked | length),
            (_, Ok(length)) => {
                out.push(masked | 126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                out.push(masked | 127);
                out.extend_from_slice(&self.length.to_be_bytes());
            }
        }
        out.extend(self.mask.iter().flatten());
    }
}

/// Appends a frame that is a whole message, or a control frame of at most [`MAX_CONTROL`] bytes, to `out`.
pub fn write(opcode: Opcode, mask: Option<[u8; 4]>, payload: &[u8], out: &mut Vec<u8>) {
    Head { is_final: true, opcode, mask, length: payload.len() as u64 }.write(out);
    unmask(mask, 0, payload, out);
}

/// Appends `payload`, which begins so many bytes into that of its frame, to `out`, with a mask put on or taken off.
pub fn unmask(mask: Option<[u8; 4]>, at: u64, payload: &[u8], out: &mut Vec<u8>) {
    let Some(mask) = mask else { return out.extend_from_slice(payload) };
    // Four bytes are over after so many again.
    let begins = (at % 4) as usize;
    let keys = mask.iter().cycle().skip(begins);
    out.extend(payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
}

/// A part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Of the frame.
    pub head: Head,
    /// How much of the payload has come before.
    pub at: u64,
    /// The payload, as it is masked.
    pub payload: &'a [u8],
}

impl Piece<'_> {
    /// Whether the frame begins with it.
    #[must_use]
    pub fn begins(&self) -> bool {
        self.at == 0
    }

    /// Whether it is a whole message.
    #[must_use]
    pub fn is_message(&self) -> bool {
        let Head { is_final, opcode, .. } = self.head;
        is_final && matches!(opcode, Opcode::Text | Opcode::Binary) && self.begins() && self.ends()
    }

    /// Whether the frame ends with it.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.at.saturating_add(self.payload.len() as u64) == self.head.length
    }
}

/// Takes one direction of a WebSocket apart.
#[derive(Debug, Default)]
pub struct Frames {
    /// The beginning of a head that is not whole.
    begun: Vec<u8>,
    /// The frame whose payload comes, and how much of that has come.
    current: Option<(Head, u64)>,
    /// A message is in pieces, of which more must come.
    in_message: bool,
}

impl Frames {
    /// The next piece of what is left of a chunk. `None`: it is used up. A frame that has a payload has no piece
    /// without any of it, so that only the first is at 0.
    ///
    /// # Errors
    ///
    /// For what is no frame, or none that may come here. What follows is of no use.
    pub fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Malformed> {
        let (head, at) = match self.current {
            Some(current) => current,
            None => {
                let Some(head) = self.head(rest)? else { return Ok(None) };
                self.current = Some((head, 0));
                (head, 0)
            }
        };
        let missing = head.length.saturating_sub(at);
        if missing > 0 && rest.is_empty() {
            return Ok(None);
        }
        let (payload, after) = usize::try_from(missing)
            .ok()
            .and_then(|missing| rest.split_at_checked(missing))
            .unwrap_or((rest, &[]));
        *rest = after;
        let piece = Piece { head, at, payload };
        self.current = (!piece.ends()).then_some((head, at.saturating_add(payload.len() as u64)));
        Ok(Some(piece))
    }

    /// Takes a head off `rest`, or remembers its beginning.
    fn head(&mut self, rest: &mut &[u8]) -> Result<Option<Head>, Malformed> {
        let before = self.begun.len();
        let room = MAX_HEAD.saturating_sub(before);
        self.begun.extend(rest.iter().take(room));
        let Some((head, length)) = Head::read(&self.begun)? else {
            *rest = &[];
            return Ok(None);
        };
        self.begun.clear();
        *rest = rest.get(length.saturating_sub(before)..).unwrap_or_default();
        if !head.opcode.is_control() {
            if self.in_message != (head.opcode == Opcode::Continuation) {
                return Err(Malformed("the frames of two messages are mixed"));
            }
            self.in_message = !head.is_final;
        }
        Ok(Some(head))
    }

    /// Whether the next byte begins a frame.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.current.is_none() && self.begun.is_empty()
    }

    /// Whether more frames of a message must come.
    #[must_use]
    pub fn is_in_message(&self) -> bool {
        self.in_message
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// All frames of `bytes` with their payloads, whatever the chunks.
    fn read(bytes: &[u8], chunk: usize) -> Result<Vec<(Head, Vec<u8>)>, Malformed> {
        let (mut frames, mut read) = (Frames::default(), Vec::new());
        for mut rest in bytes.chunks(chunk.max(1)) {
            while let Some(piece) = frames.next(&mut rest)? {
                if piece.begins() {
                    read.push((piece.head, Vec::new()));
                }
                let (_, payload) = read.last_mut().unwrap();
                unmask(piece.head.mask, piece.at, piece.payload, payload);
                assert_eq!(piece.ends(), payload.len() as u64 == piece.head.length);
            }
        }
        Ok(read)
    }

    /// RFC 6455, 5.7.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let hello = |mask, bytes: &[u8]| {
            let head = Head { is_final: true, opcode: Opcode::Text, mask, length: 5 };
            assert_eq!(read(bytes, 1), Ok(vec![(head, b"Hello".to_vec())]));
            let mut out = Vec::new();
            write(Opcode::Text, mask, b"Hello", &mut out);
            assert_eq!(out, bytes);
        };
        hello(None, &[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        hello(Some(MASK), &[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);

        let pieces = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x89, 0x00, 0x80, 0x02, 0x6c, 0x6f];
        let read: Vec<_> =
            read(&pieces, 2).unwrap().into_iter().map(|(head, text)| (head.opcode, text)).collect();
        let expected = [(Opcode::Text, "Hel"), (Opcode::Ping, ""), (Opcode::Continuation, "lo")];
        assert_eq!(read, expected.map(|(opcode, text)| (opcode, text.as_bytes().to_vec())));
    }

    #[test]
    fn what_is_no_frame_is_told() {
        for bytes in [
            &[0xc1, 0x00][..],
            &[0x83, 0x00],
            &[0x8b, 0x00],
            &[0x09, 0x00],
            &[0x89, 126, 0, 126],
            &[0x81, 126, 0, 125],
            &[0x81, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            &[0x81, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x80, 0x00],
            &[0x01, 0x00, 0x81, 0x00],
        ] {
            for chunk in [1, bytes.len()] {
                assert!(read(bytes, chunk).is_err(), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn a_length_that_no_memory_has_takes_none() {
        let mut bytes = vec![0x82, 127];
        bytes.extend(i64::MAX.to_be_bytes());
        let mut frames = Frames::default();
        let mut rest = bytes.as_slice();
        assert_eq!(frames.next(&mut rest), Ok(None));
        for _ in 0..1000 {
            let mut rest = [7; 1000].as_slice();
            let piece = frames.next(&mut rest).unwrap().unwrap();
            assert!(rest.is_empty() && !piece.ends() && piece.head.length == i64::MAX as u64);
        }
        assert!(!frames.is_between_frames() && frames.begun.capacity() <= 2 * MAX_HEAD);
    }

    fn messages() -> impl Strategy<Value = Vec<(usize, bool, [u8; 4], u8)>> {
        let length = prop_oneof![0_usize..=130, 65_530_usize..=65_540];
        prop::collection::vec((length, any::<bool>(), any::<[u8; 4]>(), any::<u8>()), 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn frames_are_the_same_whatever_the_chunks(messages in messages(), chunk in 1_usize..70_000) {
            let (mut bytes, mut expected) = (Vec::new(), Vec::new());
            for (length, masked, mask, byte) in messages {
                let (mask, payload) = (masked.then_some(mask), vec![byte; length]);
                write(Opcode::Binary, mask, &payload, &mut bytes);
                let head = Head { is_final: true, opcode: Opcode::Binary, mask, length: length as u64 };
                expected.push((head, payload));
            }
            prop_assert_eq!(read(&bytes, chunk), Ok(expected));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), chunk in 1_usize..20) {
            let _ = read(&bytes, chunk);
        }
    }
}
