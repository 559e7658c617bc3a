//! What there is to tell of texts without saying anything: vectors, and how relevant documents are.

use serde_json::Value;

use crate::text;

/// A vector of a text of so many words. Its numbers are powers of two, so that they are the same as 32-bit floats and
/// in JSON.
pub(crate) fn vector(words: u64, dimensions: u64) -> Vec<f32> {
    (0..dimensions).map(|place| if (place + words).is_multiple_of(2) { 0.5 } else { -0.25 }).collect()
}

/// Which document it is, and how relevant.
pub(crate) type Ranked = (usize, f64);

/// Documents by how relevant they are, the longest most, as many as are wanted; and how many tokens they are with the
/// query.
pub(crate) fn rank(query: &str, documents: &[Value], wanted: Option<u64>) -> (Vec<Ranked>, u64) {
    let mut ranked: Vec<_> = documents.iter().map(text::content_words).enumerate().collect();
    let tokens = text::words(query) + ranked.iter().map(|(_, words)| words).sum::<u64>();
    ranked.sort_by_key(|(index, words)| (std::cmp::Reverse(*words), *index));
    let longest = ranked.first().map_or(1, |(_, words)| (*words).max(1));
    let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(usize::MAX);
    let scored = ranked.iter().take(wanted).map(|(index, words)| (*index, *words as f64 / longest as f64));
    (scored.collect(), tokens)
}

/// A list of texts, none of which is empty.
pub(crate) fn texts(list: Option<&Value>) -> Option<&[Value]> {
    let list = list?.as_array()?.as_slice();
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    (!list.is_empty() && list.iter().all(is_text)).then_some(list)
}
