//! What a translation could not carry over. Nothing is dropped without an entry here.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

/// The most losses that are kept of one request and its answer; further ones are only counted. A client decides how
/// many fields it sends, and a backend what is in each event, so the list must not grow with them.
pub const MAX_LOSSES: usize = 32;

/// The most that are listed to who asked that a request lose nothing. They are kept only until it is refused or sent.
const MAX_OF_REQUEST: usize = 1000;

/// The longest path that is kept, in bytes: a field's name is the client's to choose as well.
const MAX_PATH: usize = 200;

/// The most of them that fits in a header, in bytes: proxies on the way take 8 KiB for all headers together.
const MAX_HEADER: usize = 4 << 10;

/// One field that does not reach the backend, or one of an answer that does not reach the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Where the field was, as in `messages[2].content[0].image_url.detail`.
    pub path: String,
    /// Why it is not sent on.
    pub reason: Cow<'static, str>,
}

impl Loss {
    /// A loss of the field at `path`.
    pub fn new(path: impl fmt::Display, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut path = path.to_string();
        if path.len() > MAX_PATH {
            path.truncate(path.floor_char_boundary(MAX_PATH));
            path.push('…');
        }
        Self { path, reason: reason.into() }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.reason)
    }
}

/// The losses of one request and its answer, at most [`MAX_LOSSES`] of them in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Losses {
    kept: Vec<Loss>,
    more: usize,
    #[serde(skip)]
    most: usize,
}

impl Default for Losses {
    fn default() -> Self {
        Self { kept: Vec::new(), more: 0, most: MAX_LOSSES }
    }
}

impl Losses {
    /// For the losses of a request that is being made: more of them are in full.
    #[must_use]
    pub fn of_request() -> Self {
        Self { most: MAX_OF_REQUEST, ..Self::default() }
    }

    /// The same, with no more in full than is kept.
    #[must_use]
    pub fn to_keep(mut self) -> Self {
        self.most = MAX_LOSSES;
        self.more = self.count().saturating_sub(MAX_LOSSES);
        self.kept.truncate(MAX_LOSSES);
        self
    }

    /// Records that the field at `path` is not sent on.
    pub fn add(&mut self, path: impl fmt::Display, reason: impl Into<Cow<'static, str>>) {
        if self.kept.len() >= self.most {
            self.more = self.more.saturating_add(1);
            return;
        }
        self.kept.push(Loss::new(path, reason));
    }

    /// Adds those of `others`, at other paths where there is one.
    pub fn append(&mut self, others: Losses, path: impl Fn(&str) -> Option<String>) {
        for loss in others.kept {
            let path = path(&loss.path).unwrap_or(loss.path);
            self.add(path, loss.reason);
        }
        self.more = self.more.saturating_add(others.more);
    }

    /// The same for other reasons, where `words` has another for one.
    #[must_use]
    pub fn map_reasons(mut self, words: impl Fn(&str) -> Option<String>) -> Self {
        for loss in &mut self.kept {
            if let Some(reason) = words(&loss.reason) {
                loss.reason = Cow::Owned(reason);
            }
        }
        self
    }

    /// The losses kept in full, in the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Loss> {
        self.kept.iter()
    }

    /// All losses, those that are only counted included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.kept.len().saturating_add(self.more)
    }

    /// One line per loss that is in full, and one that counts the others.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        self.kept.iter().map(ToString::to_string).chain(more).collect()
    }

    /// The lines in one value of a header: `; ` between them, and of what a client may have put into a path only what a
    /// header may hold.
    #[must_use]
    pub fn header(&self) -> String {
        let mut header = String::new();
        for (index, loss) in self.kept.iter().enumerate() {
            let line = loss.to_string();
            if header.len() + line.len() > MAX_HEADER {
                let more = self.count() - index;
                header.push_str(&format!("and {more} more"));
                return header;
            }
            header.extend(line.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }));
            header.push_str("; ");
        }
        if self.more > 0 {
            header.push_str(&format!("and {} more", self.more));
        } else {
            header.truncate(header.len().saturating_sub(2));
        }
        header
    }

    /// True when everything was carried over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl<'a> IntoIterator for &'a Losses {
    type Item = &'a Loss;
    type IntoIter = std::slice::Iter<'a, Loss>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_what_a_header_may_hold() {
        let mut losses = Losses::default();
        assert_eq!(losses.header(), "");
        losses.add("seed", "not known");
        losses.add("a\r\nset-cookie: é", "not known");
        assert_eq!(losses.header(), "seed: not known; a??set-cookie: ?: not known");
        for _ in 0..MAX_LOSSES {
            losses.add("x".repeat(MAX_PATH), "not known");
        }
        let header = losses.header();
        assert!(header.len() <= MAX_HEADER + "and 34 more".len(), "{}", header.len());
        let listed = header.matches(": not known").count();
        assert!(header.ends_with(&format!("; and {} more", losses.count() - listed)), "{header}");
    }

    #[test]
    fn neither_many_nor_long_losses_grow_without_bound() {
        let mut losses = Losses::default();
        for _ in 0..MAX_LOSSES + 5 {
            losses.add("é".repeat(MAX_PATH), "not known");
        }
        assert_eq!(losses.iter().count(), MAX_LOSSES);
        assert_eq!(losses.count(), MAX_LOSSES + 5);
        assert_eq!(losses.lines().len(), MAX_LOSSES + 1);
        assert_eq!(losses.lines().last().map(String::as_str), Some("and 5 more"));
        assert!(losses.iter().all(|loss| loss.path.len() <= MAX_PATH + '…'.len_utf8()));
    }

    #[test]
    fn a_request_tells_more_than_is_kept() {
        let mut losses = Losses::of_request();
        for number in 0..MAX_OF_REQUEST + 5 {
            losses.add(number, "not known");
        }
        assert_eq!((losses.iter().count(), losses.lines().len()), (MAX_OF_REQUEST, MAX_OF_REQUEST + 1));
        let mut kept = losses.to_keep();
        assert_eq!((kept.iter().count(), kept.count()), (MAX_LOSSES, MAX_OF_REQUEST + 5));
        kept.add("answer.a", "not known");
        assert_eq!((kept.iter().count(), kept.count()), (MAX_LOSSES, MAX_OF_REQUEST + 6));

        let mut few = Losses::of_request();
        few.add("a", "not known");
        assert_eq!(
            (few.clone().to_keep().lines(), few.to_keep().count()),
            (vec!["a: not known".to_owned()], 1)
        );
    }
}
