//! Names that a provider does not take, and those that stand for them.

use std::borrow::Cow;

use memchr::memchr2_iter;
use sha2::{Digest as _, Sha256};

use crate::chat::{Content, Function, Reply, Tool};

/// What is kept of a name that is not taken, in characters. The model reads it; the digest behind it tells it apart.
const KEPT: usize = 64;

/// What stands for the rest of it: `_` and the beginning of the digest.
const DIGEST: usize = 16;

/// What most providers take in a name.
fn is_allowed(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-')
}

/// The name itself, or what [stands for it](stand_in) if it is longer than `longest` or has anything but ASCII letters,
/// digits, `_` and `-`.
pub(crate) fn allowed<'a>(name: &'a str, longest: usize, replacement: &str) -> Cow<'a, str> {
    if (1..=longest).contains(&name.len()) && name.chars().all(is_allowed) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(stand_in(name, longest, replacement))
}

/// What stands for `name`: its ASCII letters, digits, `_` and `-`, with `replacement` for the rest, and its digest. The
/// same always becomes the same, with no state to keep, and two never become one. `longest` is in characters.
pub(crate) fn stand_in(name: &str, longest: usize, replacement: &str) -> String {
    let most = KEPT.min(longest.saturating_sub(DIGEST).saturating_sub(1));
    let mut kept = String::new();
    for char in name.chars() {
        if is_allowed(char) {
            kept.push(char)
        } else {
            kept.push_str(replacement)
        }
        if kept.len() >= most {
            break;
        }
    }
    let digest = digest(name);
    format!("{kept}_{}", digest.get(..DIGEST).unwrap_or(&digest))
}

/// 64 characters that tell texts apart.
pub(crate) fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

/// The functions among `tools`: those that run at the client.
pub(crate) fn functions(tools: &[Tool]) -> impl Iterator<Item = &Function> {
    tools.iter().filter_map(|tool| match tool {
        Tool::Function(function) => Some(function),
        Tool::Hosted(_) => None,
    })
}

/// Whether two functions are one, but for a cache mark, which says nothing of the function.
pub(crate) fn is_same_function(one: &Function, other: &Function) -> bool {
    let said = |function: &Function| Function { cache_control: None, ..function.clone() };
    said(one) == said(other)
}

/// The names that stand for those of a request's tools, with the way back. Most requests have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StandIns(Vec<(String, String)>);

impl StandIns {
    /// Those of `tools` at a server that takes names as `rename` makes them.
    pub(crate) fn by(tools: &[Tool], rename: impl Fn(&str) -> Cow<'_, str>) -> Self {
        let renamed = functions(tools).filter_map(|tool| match rename(&tool.name) {
            Cow::Owned(stand_in) => Some((stand_in, tool.name.clone())),
            Cow::Borrowed(_) => None,
        });
        Self(renamed.collect())
    }

    /// The client's name of the tool that the model calls by `name`.
    pub(crate) fn resolve(&self, name: String) -> String {
        self.0.iter().find(|(stand_in, _)| *stand_in == name).map_or(name, |(_, name)| name.clone())
    }

    /// Gives the calls of a whole answer the client's names.
    pub fn resolve_in(&self, reply: &mut Reply) {
        for part in reply.choices.iter_mut().flat_map(|choice| &mut choice.content) {
            if let Content::ToolCall { name, .. } = &mut part.content {
                *name = self.resolve(std::mem::take(name));
            }
        }
    }
}

/// Where `word`, which is ASCII in lower case, stands in the name of a model, in any case.
pub(crate) fn find_word(name: &str, word: &str) -> Option<usize> {
    let (name, word) = (name.as_bytes(), word.as_bytes());
    let first = *word.first()?;
    memchr2_iter(first, first.to_ascii_uppercase(), name).find(|at| {
        let end = at.saturating_add(word.len());
        name.get(*at..end).is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}

/// `googleSearch` of `google_search`.
pub(crate) fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_first = false;
    for char in name.chars() {
        if char == '_' {
            is_first = true;
        } else if std::mem::take(&mut is_first) {
            camel.push(char.to_ascii_uppercase());
        } else {
            camel.push(char);
        }
    }
    camel
}
