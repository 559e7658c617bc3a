//! Where an answer's text comes from: grounding and citations as annotations.
//!
//! Gemini counts bytes, within one part where it says which one, else within all of the text.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::{Annotation, Family, Foreign};
use crate::wire::raw::compact;

/// The most annotations of one answer.
const MAX_ANNOTATIONS: usize = 1000;

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Grounding<'a> {
    grounding_chunks: Vec<Chunk>,
    #[serde(borrow)]
    grounding_supports: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Chunk {
    web: Option<Place>,
    retrieved_context: Option<Place>,
    maps: Option<Place>,
}

impl Chunk {
    fn place(&self) -> Option<&Place> {
        self.web.as_ref().or(self.retrieved_context.as_ref()).or(self.maps.as_ref())
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    uri: Option<String>,
    title: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Support {
    segment: Segment,
    grounding_chunk_indices: Vec<usize>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Segment {
    part_index: usize,
    start_index: usize,
    end_index: usize,
    text: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Citations<'a> {
    #[serde(borrow)]
    citations: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Citation {
    start_index: usize,
    end_index: usize,
    uri: Option<String>,
    title: Option<String>,
}

/// What is said of the texts of a candidate: which text, and what. `texts` are its texts with the index of each among
/// its parts. What is said of something else is left to the raw metadata.
pub(super) fn annotations(
    grounding: Option<&RawValue>,
    citations: Option<&RawValue>,
    texts: &[(usize, &str)],
) -> Vec<(usize, Annotation)> {
    let mut found = Vec::new();
    let grounding: Grounding<'_> =
        grounding.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    for raw in grounding.grounding_supports {
        let Ok(Support { segment, grounding_chunk_indices }) = serde_json::from_str(raw.get()) else {
            continue;
        };
        let text = texts.iter().position(|(part, _)| *part == segment.part_index);
        // A stream's parts have no index that anybody knows.
        let Some(text) = text.or((texts.len() == 1).then_some(0)) else { continue };
        let span = texts.get(text).and_then(|(_, text)| span(text, segment.start_index, segment.end_index));
        for index in grounding_chunk_indices {
            let Some(place) = grounding.grounding_chunks.get(index).and_then(Chunk::place) else { continue };
            let annotation = Annotation {
                span,
                url: place.uri.clone(),
                title: place.title.clone(),
                cited_text: segment.text.clone(),
                raw: Some(foreign("groundingSupport", raw)),
            };
            found.push((text, annotation));
        }
        if found.len() >= MAX_ANNOTATIONS {
            break;
        }
    }
    let citations: Citations<'_> =
        citations.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    for raw in citations.citations.into_iter().take(MAX_ANNOTATIONS) {
        let Ok(Citation { start_index, end_index, uri, title }) = serde_json::from_str(raw.get()) else {
            continue;
        };
        let Some((text, start, end)) = within(texts, start_index, end_index) else { continue };
        let span = texts.get(text).and_then(|(_, text)| span(text, start, end));
        let raw = Some(foreign("citation", raw));
        found.push((text, Annotation { span, url: uri, title, cited_text: None, raw }));
    }
    found
}

fn foreign(kind: &str, raw: &RawValue) -> Foreign {
    Foreign { family: Family::Google, kind: kind.to_owned(), json: compact(raw) }
}

/// Which text the bytes from `start` to `end` of all of them are in, and where in it.
fn within(texts: &[(usize, &str)], start: usize, end: usize) -> Option<(usize, usize, usize)> {
    let mut before = 0_usize;
    for (index, (_, text)) in texts.iter().enumerate() {
        let next = before.saturating_add(text.len());
        if start < next || index.saturating_add(1) == texts.len() {
            return Some((index, start.saturating_sub(before), end.saturating_sub(before).min(text.len())));
        }
        before = next;
    }
    None
}

/// Bytes as characters; `None` for what is not in the text.
fn span(text: &str, start: usize, end: usize) -> Option<(usize, usize)> {
    let count = |end: usize| text.get(..end).map(|text| text.chars().count());
    (start < end).then_some(())?;
    Some((count(start)?, count(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn bytes_become_characters() {
        let grounding = raw(
            r#"{"groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}, {"maps": {"uri": "m"}}],
                "groundingSupports": [{"segment": {"partIndex": 1, "startIndex": 3, "endIndex": 5, "text": "de"},
                                       "groundingChunkIndices": [0, 1, 7]},
                                      {"segment": {"partIndex": 1, "startIndex": 1, "endIndex": 2}, "groundingChunkIndices": [0]},
                                      {"segment": {"partIndex": 9}, "groundingChunkIndices": [0]}]}"#,
        );
        let texts = [(0, "x"), (1, "éüde")];
        let found = annotations(Some(&grounding), None, &texts);
        let shown: Vec<_> =
            found.iter().map(|(text, said)| (*text, said.span, said.url.as_deref())).collect();
        // The first ends inside of a character.
        assert_eq!(
            shown,
            [
                (1, None, Some("https://a.example")),
                (1, None, Some("m")),
                (1, None, Some("https://a.example"))
            ]
        );
        let citations =
            raw(r#"{"citations": [{"startIndex": 1, "endIndex": 5, "uri": "u"}, {"endIndex": 1}]}"#);
        let found = annotations(None, Some(&citations), &texts);
        let shown: Vec<_> = found.iter().map(|(text, said)| (*text, said.span)).collect();
        assert_eq!(shown, [(1, Some((0, 2))), (0, Some((0, 1)))]);
    }
}
