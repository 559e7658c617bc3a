//! Where a text comes from, in Anthropic's words and in nobody's.
//!
//! <https://platform.claude.com/docs/en/build-with-claude/citations>. A citation is of the whole block that has it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::chat::{Annotation, Family, Foreign};

/// The members of a citation of any type that others have a word for.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Citation {
    #[serde(rename = "type")]
    kind: String,
    url: Option<String>,
    source: Option<String>,
    title: Option<String>,
    document_title: Option<String>,
    cited_text: Option<String>,
    encrypted_index: Option<String>,
}

/// A page of the web.
const WEB: &str = "web_search_result_location";

/// What a citation says.
pub(super) fn annotation(json: &str) -> Annotation {
    let said: Citation = serde_json::from_str(json).unwrap_or_default();
    // What is not from a search of Anthropic's own has none, see `citation`: it would be refused there.
    let is_own = said.kind != WEB || said.encrypted_index.is_some_and(|index| !index.is_empty());
    let raw = is_own.then(|| Foreign { family: Family::Anthropic, kind: said.kind, json: json.to_owned() });
    Annotation {
        span: None,
        url: said.url.or(said.source),
        title: said.title.or(said.document_title),
        cited_text: said.cited_text,
        raw,
    }
}

/// The citation that Anthropic itself made.
pub(super) fn own(annotation: &Annotation) -> Option<&RawValue> {
    let raw = annotation.raw.as_ref().filter(|raw| raw.family == Family::Anthropic)?;
    serde_json::from_str(&raw.json).ok()
}

/// A citation for a client. Those of others are pages of the web, or cannot be told.
pub(super) fn citation(annotation: &Annotation) -> Option<Cow<'_, RawValue>> {
    #[derive(Serialize)]
    struct Page<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        url: &'a str,
        title: Option<&'a str>,
        cited_text: &'a str,
        encrypted_index: &'static str,
    }
    if let Some(own) = own(annotation) {
        return Some(Cow::Borrowed(own));
    }
    let page = Page {
        kind: WEB,
        url: annotation.url.as_deref()?,
        title: annotation.title.as_deref(),
        cited_text: annotation.cited_text.as_deref().unwrap_or_default(),
        encrypted_index: "",
    };
    to_raw_value(&page).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropics_own_stay_and_those_of_others_are_pages_until_they_come_back() {
        let json = r#"{"type":"char_location","cited_text":"c","document_index":0,"document_title":"d","start_char_index":0,"end_char_index":1}"#;
        let page = annotation(json);
        assert_eq!((page.title.as_deref(), page.cited_text.as_deref()), (Some("d"), Some("c")));
        assert_eq!(citation(&page).unwrap().get(), json);

        let url = Annotation { url: Some("https://a".to_owned()), ..Annotation::default() };
        let told = citation(&url).unwrap().into_owned();
        assert_eq!(
            told.get(),
            r#"{"type":"web_search_result_location","url":"https://a","title":null,"cited_text":"","encrypted_index":""}"#
        );
        let back = annotation(told.get());
        assert_eq!((back.url.as_deref(), own(&back).is_none()), (Some("https://a"), true));
        assert!(citation(&Annotation::default()).is_none());
    }
}
