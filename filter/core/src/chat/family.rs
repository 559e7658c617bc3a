//! What is of one vendor: it means something to the vendor's own models, wherever they run, and to nobody else.

use std::fmt;

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

    /// Its name, as it stands in what clients are to send back.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::OpenAi => "openai",
            Family::Anthropic => "anthropic",
            Family::Google => "google",
            Family::Amazon => "amazon",
            Family::Cohere => "cohere",
        }
    }

    /// The family of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Family> {
        Family::ALL.iter().find(|family| family.name() == name).copied()
    }
}

/// A provider's mark on what its model made, to be sent back with it: of the thought, the call or the text that the part is.
/// A provider takes no other's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Whose it is.
    pub by: Family,
    /// What it is, in its provider's words.
    pub data: String,
}

/// Members of an object for which the neutral form has no word. The codec of the same family may know them; what no codec
/// takes is a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// In whose words they are.
    pub family: Family,
    /// Name and JSON.
    pub members: Vec<(String, String)>,
}

impl Extra {
    /// The JSON of the member `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        let (_, json) = self.members.iter().find(|(member, _)| member == name)?;
        serde_json::from_str(json).ok()
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
    /// The piece of the text that it is about, from and to, in Unicode characters: APIs count bytes, characters or units of
    /// UTF-16, so codecs convert. `None`: all of it.
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

/// Where a client has a message or a part: as `content[2]`, or `tool_calls[0]`, inside of what it belongs to. It is told of a loss in
/// these words. A default one is of what no client wrote.
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
