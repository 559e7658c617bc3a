//! As much of XML as STS answers in: elements, texts and the references that stand for characters. What has more to it
//! (a document type, sections, processing instructions but for the declaration) is none of STS's, and is not read.

use std::collections::BTreeMap;

/// How deep elements are read, and how many texts.
const DEEPEST: usize = 16;
const MOST: usize = 256;

/// The texts of a document by the names of the elements around them, of which the first counts. `Debug` is left out:
/// they may be secrets.
pub(super) struct Document(BTreeMap<Vec<String>, String>);

impl Document {
    /// Reads a document. `None` where it is none.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut texts = BTreeMap::new();
        let mut open: Vec<String> = Vec::new();
        let mut rest = text.trim_start_matches('\u{feff}').trim();
        if let Some(declaration) = rest.strip_prefix("<?xml") {
            rest = declaration.split_once("?>")?.1.trim_start();
        }
        let mut has_root = false;
        while !rest.is_empty() {
            let (before, tag) = rest.split_once('<')?;
            let (tag, after) = tag.split_once('>')?;
            rest = after;
            if !before.trim().is_empty() && !open.is_empty() {
                texts.entry(open.clone()).or_insert(unescaped(before)?);
            } else if !before.trim().is_empty() {
                return None;
            }
            if let Some(name) = tag.strip_prefix('/') {
                (open.pop()?.as_str() == name.trim_end()).then_some(())?;
                continue;
            }
            if open.is_empty() && std::mem::replace(&mut has_root, true) {
                return None;
            }
            let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let name = tag.split(|char: char| char.is_ascii_whitespace()).next()?;
            is_name(name).then_some(())?;
            if !is_empty {
                open.push(name.to_owned());
            }
            (open.len() <= DEEPEST && texts.len() <= MOST).then_some(())?;
        }
        (has_root && open.is_empty()).then_some(Self(texts))
    }

    /// The text within these elements.
    pub(super) fn text(&self, path: &[&str]) -> Option<&str> {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        self.0.get(&path).map(String::as_str)
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|char| char.is_ascii_alphanumeric() || "-_.:".contains(char))
}

/// A text with the characters that its references stand for.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut unescaped = parts.next()?.to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';')?;
        unescaped.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)?
            }
        });
        unescaped.push_str(rest);
    }
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_by_the_elements_around_them() {
        let text = "<?xml version=\"1.0\"?>\n<A xmlns=\"https://a\">\n <B>x &lt;&amp;&#62;&#x3e; y</B>\n <B>2</B><C/><D>\
                    <B a='1' >z</B ></D>\n</A>\n";
        let document = Document::read(text).unwrap();
        assert_eq!(document.text(&["A", "B"]), Some("x <&>> y"));
        assert_eq!(document.text(&["A", "D", "B"]), Some("z"));
        for missing in [&["A"][..], &["A", "C"], &["B"], &["A", "D"], &[]] {
            assert_eq!(document.text(missing), None, "{missing:?}");
        }
    }

    #[test]
    fn what_is_no_document_is_not_read() {
        let deep = format!("{}{}", "<a>".repeat(DEEPEST + 1), "</a>".repeat(DEEPEST + 1));
        for bad in [
            "",
            "text",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a></a>x",
            "x<a></a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
            "<a>&b;</a>",
            "<a>&#0;&#xd800;</a>",
            "<a>&amp</a>",
            "<a><![CDATA[x]]></a>",
            "<a><!-- x --></a>",
            "<a><?x?></a>",
            "< a></a>",
            "<a",
            "{\"a\": 1}",
            &deep,
        ] {
            assert!(Document::read(bad).is_none(), "{bad}");
        }
    }
}
