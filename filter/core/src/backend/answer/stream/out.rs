//! What the client gets of one chunk.

use std::ops::Range;

/// Bytes for the client. Those that stand in the chunk one after the other are not copied: usually that is all of it.
#[derive(Debug)]
pub(super) struct Out<'c> {
    chunk: &'c [u8],
    made: Vec<u8>,
    /// The part of the chunk that follows what was made.
    passed: Range<usize>,
}

/// What became of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// It goes on as it is.
    Whole,
    /// This part of it goes on.
    Part(Range<usize>),
    /// This goes on in its place.
    Made(Vec<u8>),
}

impl<'c> Out<'c> {
    /// Nothing yet of this chunk.
    pub(super) fn new(chunk: &'c [u8]) -> Self {
        Self { chunk, made: Vec::new(), passed: 0..0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.made.is_empty() && self.passed.is_empty()
    }

    /// Lets a part of the chunk go on.
    pub(super) fn pass(&mut self, part: Range<usize>) {
        if self.passed.end == part.start {
            self.passed.end = part.end;
        } else {
            if !self.passed.is_empty() {
                self.bytes();
            }
            self.passed = part;
        }
    }

    /// The end of all that goes on, to add bytes of another origin.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        let passed = std::mem::take(&mut self.passed);
        self.made.extend_from_slice(self.chunk.get(passed).unwrap_or_default());
        &mut self.made
    }

    pub(super) fn end(mut self) -> Passed {
        if !self.made.is_empty() {
            self.made.reserve_exact(self.passed.len());
            self.bytes();
            return Passed::Made(self.made);
        }
        if self.passed == (0..self.chunk.len()) { Passed::Whole } else { Passed::Part(self.passed) }
    }
}

impl Passed {
    /// Adds what goes on of a chunk of these `bytes`.
    pub(super) fn add_to(self, bytes: &[u8], all: &mut Vec<u8>) {
        match self {
            Passed::Whole => all.extend_from_slice(bytes),
            Passed::Part(part) => all.extend_from_slice(bytes.get(part).unwrap_or_default()),
            Passed::Made(made) => all.extend(made),
        }
    }

    /// The same behind what was there before.
    pub(super) fn behind(self, mut before: Vec<u8>, bytes: &[u8]) -> Passed {
        if before.is_empty() {
            return self;
        }
        self.add_to(bytes, &mut before);
        Passed::Made(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: &[u8] = b"0123456789";

    fn out(parts: &[Range<usize>]) -> Passed {
        let mut out = Out::new(CHUNK);
        parts.iter().for_each(|part| out.pass(part.clone()));
        out.end()
    }

    #[test]
    fn what_stands_together_is_not_copied() {
        assert_eq!(out(&[0..3, 3..4, 4..10]), Passed::Whole);
        assert_eq!(out(&[0..3, 3..9]), Passed::Part(0..9));
        assert_eq!(out(&[2..3, 3..10]), Passed::Part(2..10));
        assert_eq!(out(&[]), Passed::Part(0..0));
        assert_eq!(out(&[0..3, 5..7, 7..8, 9..10]), Passed::Made(b"0125679".to_vec()));
        assert_eq!(Out::new(b"").end(), Passed::Whole);
    }

    #[test]
    fn what_was_there_before_stands_before_it() {
        let behind = |before: &str, passed: Passed| passed.behind(before.into(), CHUNK);
        assert_eq!(behind("", Passed::Whole), Passed::Whole, "and nothing is copied");
        assert_eq!(behind("a", Passed::Whole), Passed::Made(b"a0123456789".to_vec()));
        assert_eq!(behind("a", Passed::Part(2..4)), Passed::Made(b"a23".to_vec()));
        assert_eq!(behind("a", Passed::Made(b"b".to_vec())), Passed::Made(b"ab".to_vec()));
    }

    #[test]
    fn what_is_added_stands_where_it_was_added() {
        let mut out = Out::new(CHUNK);
        assert!(out.is_empty());
        out.bytes().extend_from_slice(b"a");
        out.pass(1..3);
        out.pass(3..5);
        out.bytes().extend_from_slice(b"b");
        out.pass(5..6);
        assert!(!out.is_empty());
        assert_eq!(out.end(), Passed::Made(b"a1234b5".to_vec()));
    }
}
