//! What is of one vendor: it means something to the vendor's own models, wherever they run, and to nobody else.

use std::borrow::Cow;
use std::fmt;

use memchr::memmem;
use serde_json::value::RawValue;

/// A vendor whose signatures, files, tools and fields are of use to its own models only. It is not a place: Claude's
/// signatures are good at Anthropic and in every cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// OpenAI.
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google.
    Google,
    /// Amazon.
    Amazon,
    /// Cohere.
    Cohere,
}

impl Family {
    /// All of them.
    pub const ALL: &[Family] =
        &[Family::OpenAi, Family::Anthropic, Family::Google, Family::Amazon, Family::Cohere];

    /// Stands before its seals where a client is to send them back: nothing else says whose they are. Conversations
    /// that have begun have it in them, so it stays as it is.
    fn prefix(self) -> &'static str {
        match self {
            Family::OpenAi => "openai:",
            Family::Anthropic => "claude:",
            Family::Google => "gemini:",
            Family::Amazon => "nova:",
            Family::Cohere => "cohere:",
        }
    }
}

/// A provider's mark on what its model made, to be sent back with it: of the thought, the call or the text that the
/// part is. A provider takes no other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Whose it is.
    pub by: Family,
    /// What it is, in its provider's words.
    pub data: String,
}

impl Seal {
    /// Stands between the name of a call and its seal. Conversations that have begun have it in them, so it stays as it
    /// is.
    pub(crate) const IN_ID: &str = "__sealed_";

    /// The seal with whose it is, as a client gets it.
    #[must_use]
    pub fn marked(&self) -> impl fmt::Display {
        fmt::from_fn(|f| write!(f, "{}{}", self.by.prefix(), self.data))
    }

    /// The seal that a client sends back; `None` where it does not say whose it is.
    #[must_use]
    pub fn of_marked(marked: String) -> Option<Seal> {
        Self::read(marked).ok()
    }

    /// The seal that a client sends back; one that does not say whose it is is `by`'s.
    #[must_use]
    pub fn of_marked_or(by: Family, marked: String) -> Seal {
        Self::read(marked).unwrap_or_else(|data| Seal { by, data })
    }

    fn read(mut marked: String) -> Result<Seal, String> {
        let Some(by) = Family::ALL.iter().find(|family| marked.starts_with(family.prefix())) else {
            return Err(marked);
        };
        let data = marked.split_off(by.prefix().len());
        Ok(Seal { by: *by, data })
    }

    /// The name `id` of a call with the seal in it: every client sends that back, also one whose API has no place for
    /// seals. It is of letters, digits, `_` and `-`, as far as `id` is. A seal that is no Base64 is not in it.
    #[must_use]
    pub fn in_id(&self, id: &str) -> String {
        let is_base64 = |char: char| char.is_ascii_alphanumeric() || "+/-_".contains(char);
        let data = self.data.trim_end_matches('=');
        if data.is_empty() || !data.chars().all(is_base64) {
            return id.to_owned();
        }
        let whose = self.by.prefix().trim_end_matches(':');
        format!("{id}{}{whose}_{}", Self::IN_ID, data.replace('+', "-").replace('/', "_"))
    }

    /// The name `id` of a call with its seal in it, and whether it is: `id` may have one already.
    pub(crate) fn in_id_of_call<'a>(id: &'a str, seal: Option<&Seal>) -> (Cow<'a, str>, bool) {
        let Some(seal) = seal.filter(|_| Seal::of_id(id).1.is_none()) else {
            return (Cow::Borrowed(id), true);
        };
        let sealed = seal.in_id(id);
        let is_in_it = sealed != id;
        (Cow::Owned(sealed), is_in_it)
    }

    /// The name of a call and the seal that was put in it.
    #[must_use]
    pub fn of_id(id: &str) -> (&str, Option<Seal>) {
        let sealed = || {
            // Most names are short and have none, which takes longer to prepare for in the standard library.
            let (name, marked) = id.split_at_checked(memmem::find(id.as_bytes(), Self::IN_ID.as_bytes())?)?;
            let marked = marked.strip_prefix(Self::IN_ID)?;
            let (whose, data) = marked.split_once('_')?;
            let by = *Family::ALL.iter().find(|family| family.prefix().trim_end_matches(':') == whose)?;
            let mut data = data.replace('-', "+").replace('_', "/");
            while !data.len().is_multiple_of(4) {
                data.push('=');
            }
            Some((name, Some(Seal { by, data })))
        };
        sealed().unwrap_or((id, None))
    }
}

/// Members of an object for which the neutral form has no word. The codec of the same family may know them; what no
/// codec takes is a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// In whose words they are.
    pub family: Family,
    /// Name and JSON.
    pub members: Vec<(String, String)>,
}

impl Extra {
    /// About how many bytes it takes to keep it.
    pub(crate) fn size(&self) -> usize {
        let members = self.members.iter().flat_map(|(name, json)| [name, json]);
        members.map(String::len).fold(size_of::<Self>(), usize::saturating_add)
    }

    /// The JSON of the member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        let (_, json) = self.members.iter().find(|(member, _)| member == name)?;
        serde_json::from_str(json).ok()
    }
}

/// JSON that was read as such, as it was written: to be sent on without another look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verbatim(String);

impl Verbatim {
    /// `json` must have been read, or written here.
    pub(crate) fn new(json: String) -> Self {
        Self(json)
    }

    /// The JSON.
    #[must_use]
    pub fn get(&self) -> &str {
        &self.0
    }
}

/// What only its provider understands, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Whose it is.
    pub family: Family,
    /// What it is called there.
    pub kind: String,
    /// All of it, as JSON.
    pub json: String,
}

/// Something that is said of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotation {
    /// The piece of the text that it is about, from and to, in Unicode characters: APIs count bytes, characters or
    /// units of UTF-16, so codecs convert. `None`: all of it.
    pub span: Option<(usize, usize)>,
    /// Where the source is.
    pub url: Option<String>,
    /// What it is called.
    pub title: Option<String>,
    /// What it says.
    pub cited_text: Option<String>,
    /// The same and more, in the provider's own words.
    pub raw: Option<Foreign>,
}

impl Annotation {
    /// About how many bytes it takes to keep it.
    pub(crate) fn size(&self) -> usize {
        let texts = [&self.url, &self.title, &self.cited_text].into_iter().flatten();
        let raw = self.raw.iter().map(|raw| &raw.json);
        texts.chain(raw).map(String::len).fold(size_of::<Self>(), usize::saturating_add)
    }
}

/// Where a client has a message or a part: as `content[2]`, or `tool_calls[0]`, inside of what it belongs to. It is
/// told of a loss in these words. A default one is of what no client wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    /// The member.
    pub member: &'static str,
    /// Which element of it, if it is a list.
    pub index: Option<usize>,
}

impl Origin {
    /// The element `index` of the list `member`.
    #[must_use]
    pub fn new(member: &'static str, index: usize) -> Origin {
        Origin { member, index: Some(index) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.member)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_comes_back_as_whose_it_was() {
        for by in Family::ALL {
            let seal = Seal { by: *by, data: "claude:x".to_owned() };
            let marked = seal.marked().to_string();
            assert_eq!(Seal::of_marked(marked.clone()), Some(seal.clone()));
            assert_eq!(Seal::of_marked_or(Family::Anthropic, marked), seal);
        }
        let bare = Seal { by: Family::Anthropic, data: "EqoB".to_owned() };
        assert_eq!(Seal::of_marked_or(Family::Anthropic, "EqoB".to_owned()), bare);
        for data in ["AAAA", "+/+/", "QQ==", "QUI=", "__sealed_gemini_x"] {
            let seal = Seal { by: Family::Google, data: data.to_owned() };
            let id = seal.in_id("call_1");
            assert!(id.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char)), "{id}");
            let (name, back) = Seal::of_id(&id);
            assert_eq!(name, "call_1");
            // The URL-safe alphabet says the same bytes.
            let bytes =
                |data: &str| data.replace('-', "+").replace('_', "/").trim_end_matches('=').to_owned();
            assert_eq!(back.map(|seal| bytes(&seal.data)), Some(bytes(data)));
        }
        let odd = Seal { by: Family::Google, data: "no base 64".to_owned() };
        assert_eq!(odd.in_id("call_1"), "call_1");
        for id in ["", "call_1", "a__sealed_", "a__sealed_gemini", "a__sealed_someone_AAAA"] {
            assert_eq!(Seal::of_id(id), (id, None));
        }
        for marked in ["", "x", "claude", "Claude:x", " claude:x", "someone:x"] {
            assert_eq!(Seal::of_marked(marked.to_owned()), None, "{marked}");
        }
    }
}
