//! Citations, and what a client says of its documents for their sake.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html>. They are Claude's, and
//! Anthropic's words under other names: so they go to Anthropic's clients and come back.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::rules::Rule;
use super::types::{Document, Media, Piece, SearchResult, Source};
use crate::chat::{Annotation, Extra, Family, Foreign, Losses};
use crate::wire::anthropic::client::SEARCH_RESULT;
use crate::wire::fields::Path;

/// What Claude takes of a document beside what all models do; of a search result as well.
pub(super) const OF_PARTS: &[&str] = &[CONTEXT, CITATIONS, SOURCE, SEARCH_RESULT];
const CONTEXT: &str = "context";
const CITATIONS: &str = "citations";
/// The source of a document that was given in blocks.
const SOURCE: &str = "source";

/// A document as `extra` wants it: in the blocks that can be cited, or as the search result that it was.
pub(super) fn document<'a>(
    path: &Path<'_>,
    mut document: Document<'a>,
    extra: Option<&'a Extra>,
    losses: &mut Losses,
) -> Media<'a> {
    let said = |name: &str| extra.and_then(|extra| extra.get(name));
    let citations = said(CITATIONS);
    if let Some(found) = said(SEARCH_RESULT).and_then(blocks) {
        return Media::SearchResult(SearchResult {
            source: found.source.unwrap_or_default(),
            title: found.title.unwrap_or_default(),
            content: pieces(path, found.content, losses),
            citations,
        });
    }
    if let Some(given) = said(SOURCE).and_then(blocks) {
        document.source = Source::Content(pieces(&Path::Key(path, SOURCE), given.content, losses));
    }
    Media::Document(Document { context: said(CONTEXT), citations, ..document })
}

/// What a document in blocks and a search result have in Anthropic's words.
#[derive(Deserialize)]
struct Blocks<'a> {
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow)]
    title: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

fn blocks(json: &RawValue) -> Option<Blocks<'_>> {
    serde_json::from_str(json.get()).ok()
}

/// The texts of a string or of a list of blocks.
fn pieces<'a>(path: &Path<'_>, content: Option<&'a RawValue>, losses: &mut Losses) -> Vec<Piece<'a>> {
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(borrow)]
        text: Option<Cow<'a, str>>,
    }
    let Some(content) = content else { return Vec::new() };
    if let Ok(text) = serde_json::from_str(content.get()) {
        return vec![Piece { text }];
    }
    let blocks: Vec<Block<'a>> = serde_json::from_str(content.get()).unwrap_or_default();
    let mut pieces = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.into_iter().enumerate() {
        match block.text {
            Some(text) => pieces.push(Piece { text }),
            None => losses.add(Path::Index(&Path::Key(path, "content"), index), Rule::TextsAlone),
        }
    }
    pieces
}

/// What a text rests on.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(in crate::wire) struct Citation {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_content: Option<Vec<Quoted>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Quoted {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

/// One of these.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    web: Option<Web>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_char: Option<InDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_page: Option<InDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_chunk: Option<InDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_result_location: Option<InResults>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Web {
    url: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InDocument {
    document_index: u64,
    start: u64,
    end: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct InResults {
    search_result_index: u64,
    start: u64,
    end: u64,
}

/// The same in Anthropic's words, as far as Converse has them:
/// <https://platform.claude.com/docs/en/build-with-claude/citations>.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum OfAnthropic {
    #[serde(rename = "char_location")]
    Char {
        cited_text: String,
        document_index: u64,
        document_title: Option<String>,
        start_char_index: u64,
        end_char_index: u64,
    },
    #[serde(rename = "page_location")]
    Page {
        cited_text: String,
        document_index: u64,
        document_title: Option<String>,
        start_page_number: u64,
        end_page_number: u64,
    },
    #[serde(rename = "content_block_location")]
    ContentBlock {
        cited_text: String,
        document_index: u64,
        document_title: Option<String>,
        start_block_index: u64,
        end_block_index: u64,
    },
    #[serde(rename = "search_result_location")]
    SearchResult {
        cited_text: String,
        source: String,
        title: Option<String>,
        search_result_index: u64,
        start_block_index: u64,
        end_block_index: u64,
    },
}

impl Citation {
    /// What a model of `family` says that its text rests on.
    pub(super) fn annotation(self, family: Family) -> Annotation {
        let quoted: String =
            self.source_content.iter().flatten().filter_map(|piece| piece.text.as_deref()).collect();
        let raw = (family == Family::Anthropic).then(|| self.of_anthropic(&quoted)).flatten();
        let url = self.location.and_then(|location| location.web).and_then(|web| web.url);
        Annotation {
            span: None,
            url: url.or_else(|| self.source.filter(|source| source.starts_with("http"))),
            title: self.title,
            cited_text: Some(quoted).filter(|quoted| !quoted.is_empty()),
            raw,
        }
    }

    fn of_anthropic(&self, quoted: &str) -> Option<Foreign> {
        let location = self.location.as_ref()?;
        let (cited_text, title) = (quoted.to_owned(), self.title.clone());
        let (kind, said) = if let Some(InDocument { document_index, start, end }) = location.document_char {
            let said = OfAnthropic::Char {
                cited_text,
                document_index,
                document_title: title,
                start_char_index: start,
                end_char_index: end,
            };
            ("char_location", said)
        } else if let Some(InDocument { document_index, start, end }) = location.document_page {
            let said = OfAnthropic::Page {
                cited_text,
                document_index,
                document_title: title,
                start_page_number: start,
                end_page_number: end,
            };
            ("page_location", said)
        } else if let Some(InDocument { document_index, start, end }) = location.document_chunk {
            let said = OfAnthropic::ContentBlock {
                cited_text,
                document_index,
                document_title: title,
                start_block_index: start,
                end_block_index: end,
            };
            ("content_block_location", said)
        } else {
            let InResults { search_result_index, start, end } = location.search_result_location?;
            let said = OfAnthropic::SearchResult {
                cited_text,
                source: self.source.clone().unwrap_or_default(),
                title,
                search_result_index,
                start_block_index: start,
                end_block_index: end,
            };
            ("search_result_location", said)
        };
        let json = serde_json::to_string(&said).ok()?;
        Some(Foreign { family: Family::Anthropic, kind: kind.to_owned(), json })
    }
}

/// A citation of Anthropic's, as a client sends it back; `None` where Converse has no word for it.
pub(in crate::wire) fn citation(json: &RawValue) -> Option<Citation> {
    let (quoted, title, source, location) = match serde_json::from_str(json.get()).ok()? {
        OfAnthropic::Char {
            cited_text,
            document_index,
            document_title,
            start_char_index: start,
            end_char_index: end,
        } => {
            let place = Some(InDocument { document_index, start, end });
            (cited_text, document_title, None, Location { document_char: place, ..Location::default() })
        }
        OfAnthropic::Page {
            cited_text,
            document_index,
            document_title,
            start_page_number: start,
            end_page_number: end,
        } => {
            let place = Some(InDocument { document_index, start, end });
            (cited_text, document_title, None, Location { document_page: place, ..Location::default() })
        }
        OfAnthropic::ContentBlock {
            cited_text,
            document_index,
            document_title,
            start_block_index: start,
            end_block_index: end,
        } => {
            let place = Some(InDocument { document_index, start, end });
            (cited_text, document_title, None, Location { document_chunk: place, ..Location::default() })
        }
        OfAnthropic::SearchResult {
            cited_text,
            source,
            title,
            search_result_index,
            start_block_index: start,
            end_block_index: end,
        } => {
            let search_result_location = Some(InResults { search_result_index, start, end });
            (cited_text, title, Some(source), Location { search_result_location, ..Location::default() })
        }
    };
    let source_content = Some(vec![Quoted { text: Some(quoted) }]);
    Some(Citation { title, source, source_content, location: Some(location) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_citation_comes_back_as_it_was() {
        for json in [
            r#"{"type":"char_location","cited_text":"c","document_index":1,"document_title":"d","start_char_index":2,"end_char_index":3}"#,
            r#"{"type":"page_location","cited_text":"c","document_index":1,"document_title":null,"start_page_number":2,"end_page_number":3}"#,
            r#"{"type":"content_block_location","cited_text":"c","document_index":1,"document_title":"d","start_block_index":2,"end_block_index":3}"#,
            r#"{"type":"search_result_location","cited_text":"c","source":"https://a","title":"t","search_result_index":1,"start_block_index":2,"end_block_index":3}"#,
        ] {
            let converses = citation(serde_json::from_str(json).unwrap()).unwrap();
            let converses = serde_json::to_string(&converses).unwrap();
            let read: Citation = serde_json::from_str(&converses).unwrap();
            let annotation = read.annotation(Family::Anthropic);
            assert_eq!(annotation.raw.map(|raw| raw.json).as_deref(), Some(json), "{converses}");
            let of_another = serde_json::from_str::<Citation>(&converses).unwrap().annotation(Family::Amazon);
            assert_eq!((of_another.cited_text.as_deref(), of_another.raw), (Some("c"), None));
        }
        let web = r#"{"type":"web_search_result_location","url":"https://a","cited_text":"","encrypted_index":"E"}"#;
        assert!(citation(serde_json::from_str(web).unwrap()).is_none());
    }
}
