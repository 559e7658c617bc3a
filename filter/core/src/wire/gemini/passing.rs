//! Requests of Gemini's own API on their way to Vertex AI, which speaks the same language, but for a few words.
//!
//! What has to change changes in place: all else stays as the client wrote it. Answers pass as they are. Those of Vertex AI have members that
//! the other API has not (`createTime`), which its clients pass over.

use std::borrow::Cow;

use serde_json::value::{RawValue, to_raw_value};

use super::client::signatures::of_client;
use super::differences::{COUNTED, Rule, UNKNOWN};
use super::model::Model;
use super::rules::{self, NO_SIGNATURE};
use super::types::Object;
use crate::chat::{Family, Losses};
use crate::codec::splice::{self, Edit};
use crate::codec::text::without_mark;
use crate::error::{Error, Result};
use crate::wire::error::malformed;
use crate::wire::fields::Path;
use crate::wire::names::camel;
use crate::wire::raw::Members;
use crate::wire::schema::To;

/// The body for Vertex AI.
///
/// # Errors
///
/// 400 for a body that cannot be edited.
pub(super) fn envelope(to: &To<'_>, body: &[u8], losses: &mut Losses) -> Result<Vec<u8>> {
    let body = without_mark(body);
    let text =
        std::str::from_utf8(body).map_err(|_| Error::bad_request("malformed request: it is no UTF-8"))?;
    let mut passing = Passing { model: Model::named(to.model), losses };
    let root = Path::Root;
    if to.counts()
        && let Some((name, asked)) = member(&Members::of(text), "generateContentRequest")
    {
        return passing.counted(&Path::Key(&root, &name), asked);
    }
    let members = Members::of(text);
    let edits: Vec<Edit<'_>> =
        members.0.iter().filter_map(|(name, value)| passing.member(&root, name, value)).collect();
    if edits.is_empty() {
        return Ok(body.to_vec());
    }
    splice::edit(body, &edits).map_err(malformed)
}

/// The member of this name, however it is spelled, with its spelling.
fn member<'a>(members: &Members<'a>, name: &str) -> Option<(String, &'a RawValue)> {
    let found = members.0.iter().find(|(known, _)| camel(known) == name);
    found
        .map(|(known, value)| (known.clone().into_owned(), *value))
        .filter(|(_, value)| value.get().starts_with('{'))
}

/// `raw`, or what it has become.
type Passed<'a> = Cow<'a, RawValue>;

struct Passing<'l> {
    model: Model,
    losses: &'l mut Losses,
}

impl Passing<'_> {
    /// The request that a count is asked for, in the place of the body.
    fn counted(&mut self, path: &Path<'_>, asked: &RawValue) -> Result<Vec<u8>> {
        let mut body = Object::default();
        for (name, value) in Members::of(asked.get()).0 {
            if !COUNTED.contains(&camel(&name).as_str()) {
                continue;
            }
            let value = match self.member(path, &name, value) {
                Some(Edit::Set(_, changed)) => serde_json::from_slice::<Box<RawValue>>(&changed)
                    .map(Cow::Owned)
                    .unwrap_or(Cow::Borrowed(value)),
                Some(Edit::Remove(_) | Edit::SetInside(..)) => continue,
                None => Cow::Borrowed(value),
            };
            body.put_raw(name, value);
        }
        Ok(crate::wire::to_json(&body))
    }

    /// What becomes of a member of the request; `None` if it stays.
    fn member<'n>(&mut self, path: &Path<'_>, name: &'n str, value: &RawValue) -> Option<Edit<'n>> {
        let at = Path::Key(path, name);
        let passed = match camel(name).as_str() {
            // It is in the path.
            "model" => return Some(Edit::Remove(name)),
            known if UNKNOWN.request.contains(&known) => {
                self.losses.add(at, Rule::NotAtVertex);
                return Some(Edit::Remove(name));
            }
            "contents" => self.contents(&at, value),
            "tools" => self.list(&at, value, |this, at, tool| Some(this.without(at, tool, UNKNOWN.tool))),
            "toolConfig" => self.without(&at, value, UNKNOWN.tool_config),
            "generationConfig" => self.without(&at, value, UNKNOWN.generation_config),
            _ => return None,
        };
        match passed {
            Cow::Borrowed(_) => None,
            Cow::Owned(changed) => Some(Edit::Set(name, Cow::Owned(changed.get().as_bytes().to_vec()))),
        }
    }

    /// The elements that `pass` lets pass, as it does.
    fn list<'a>(
        &mut self,
        path: &Path<'_>,
        list: &'a RawValue,
        mut pass: impl FnMut(&mut Self, &Path<'_>, &'a RawValue) -> Option<Passed<'a>>,
    ) -> Passed<'a> {
        let elements: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
        let count = elements.len();
        let passed = elements.into_iter().enumerate();
        let passed: Vec<Passed<'a>> =
            passed.filter_map(|(index, element)| pass(self, &Path::Index(path, index), element)).collect();
        let is_same = passed.iter().all(|element| matches!(element, Cow::Borrowed(_)));
        if is_same && passed.len() == count {
            return Cow::Borrowed(list);
        }
        to_raw_value(&passed).map_or(Cow::Borrowed(list), Cow::Owned)
    }

    /// An object without `members`, which are losses.
    fn without<'a>(&mut self, path: &Path<'_>, object: &'a RawValue, members: &[&str]) -> Passed<'a> {
        let all = Members::of(object.get());
        if !all.0.iter().any(|(name, _)| members.contains(&camel(name).as_str())) {
            return Cow::Borrowed(object);
        }
        let mut kept = Object::default();
        for (name, value) in all.0 {
            if members.contains(&camel(&name).as_str()) {
                self.losses.add(Path::Key(path, &name), Rule::NotAtVertex);
            } else {
                kept.put_raw(name, Cow::Borrowed(value));
            }
        }
        made(object, &kept)
    }

    fn contents<'a>(&mut self, path: &Path<'_>, contents: &'a RawValue) -> Passed<'a> {
        let mut foreign = turns_of_others(contents).into_iter();
        let mut turn = Turn::default();
        self.list(path, contents, |this, at, content| {
            let members = Members::of(content.get());
            let role = role(&members);
            turn.is_models = role.as_deref() == Some(MODEL);
            turn.is_signed &= turn.is_models;
            turn.is_foreign = foreign.next().unwrap_or_default();
            let (mut is_changed, mut is_emptied) = (false, false);
            let mut kept = Object::default();
            // The other API takes a content of nobody for the user's.
            let is_nobodys = role.is_none_or(|role| role.is_empty());
            if is_nobodys {
                is_changed = true;
                kept.put("role", "user");
            }
            for (name, value) in members.0 {
                let value = match &*name {
                    "parts" => this.list(&Path::Key(at, "parts"), value, |this, at, part| {
                        this.part(at, part, &mut turn)
                    }),
                    "role" if is_nobodys => continue,
                    _ => Cow::Borrowed(value),
                };
                if matches!(value, Cow::Owned(_)) {
                    is_changed = true;
                    is_emptied |= value.get() == "[]";
                }
                kept.put_raw(name, value);
            }
            // Vertex AI takes no content without parts.
            if is_emptied {
                return None;
            }
            Some(if is_changed { made(content, &kept) } else { Cow::Borrowed(content) })
        })
    }

    /// `None`: it is of no use there.
    fn part<'a>(&mut self, path: &Path<'_>, part: &'a RawValue, turn: &mut Turn) -> Option<Passed<'a>> {
        let members = Members::of(part.get());
        let named = |name: &str| members.0.iter().find(|(known, _)| camel(known) == name);
        if let Some((name, _)) = UNKNOWN.parts.iter().find_map(|kind| named(kind)) {
            self.losses.add(Path::Key(path, name), Rule::NotAtVertex);
            return None;
        }
        let is_call = named("functionCall").is_some();
        let signature = signature(&members);
        let is_foreign = signature.clone().is_some_and(is_of_another);
        let is_unsigned = signature.is_none_or(|told| told.is_empty()) || is_foreign;
        if turn.is_foreign && is_unsigned && is_thought(&members) {
            self.losses.add(path, Rule::ForeignThought);
            return None;
        }
        if is_foreign {
            self.losses.add(Path::Key(path, "thoughtSignature"), rules::Rule::ForeignSeal);
        }
        // The first call of a turn must have one.
        let wants_one = turn.is_models
            && is_call
            && self.model.is_newest()
            && !std::mem::replace(&mut turn.is_signed, true);
        let mut is_changed = false;
        let mut kept = Object::default();
        for (name, value) in members.0 {
            let at = Path::Key(path, &name);
            let value = match camel(&name).as_str() {
                "thoughtSignature" if is_unsigned => {
                    is_changed = true;
                    continue;
                }
                "functionCall" => self.with_or_without_id(&at, value, &[]),
                "functionResponse" => self.with_or_without_id(&at, value, UNKNOWN.response),
                known if UNKNOWN.part.contains(&known) => {
                    self.losses.add(at, Rule::NotAtVertex);
                    is_changed = true;
                    continue;
                }
                _ => Cow::Borrowed(value),
            };
            is_changed |= matches!(value, Cow::Owned(_));
            kept.put_raw(name, value);
        }
        if is_unsigned && wants_one {
            is_changed = true;
            kept.put("thoughtSignature", NO_SIGNATURE);
        }
        // Nothing was in it but what another model signed.
        if kept.is_empty() && is_changed {
            return None;
        }
        Some(if is_changed { made(part, &kept) } else { Cow::Borrowed(part) })
    }

    /// A call or a result without `members`. To older models it has no name: they pair both by their order.
    fn with_or_without_id<'a>(
        &mut self,
        path: &Path<'_>,
        call: &'a RawValue,
        members: &[&str],
    ) -> Passed<'a> {
        let without = self.without(path, call, members);
        let all = Members::of(without.get());
        if self.model.is_newest() || all.get("id").is_none() {
            return without;
        }
        let mut kept = Object::default();
        for (name, value) in all.0.into_iter().filter(|(name, _)| name != "id") {
            kept.put_raw(name, Cow::Borrowed(value));
        }
        let kept = to_raw_value(&kept);
        kept.map_or(without, Cow::Owned)
    }
}

const MODEL: &str = "model";

/// A turn of the conversation, of which a client that keeps a stream as it came has pieces.
#[derive(Default)]
struct Turn {
    is_models: bool,
    /// It has a call, the first of which is signed.
    is_signed: bool,
    /// Another model thought in it.
    is_foreign: bool,
}

/// Of each content, whether it is of a turn in which another model thought.
fn turns_of_others(contents: &RawValue) -> Vec<bool> {
    let contents: Vec<Members<'_>> = serde_json::from_str(contents.get()).unwrap_or_default();
    let mut foreign = Vec::with_capacity(contents.len());
    // Where the turn begins, and whether it is known to be one.
    let (mut start, mut is_foreign) = (0, false);
    for content in &contents {
        if role(content).as_deref() != Some(MODEL) {
            foreign.push(false);
            (start, is_foreign) = (foreign.len(), false);
            continue;
        }
        foreign.push(is_foreign);
        if is_foreign {
            continue;
        }
        let parts =
            content.get("parts").and_then(|parts| serde_json::from_str::<Vec<Members<'_>>>(parts.get()).ok());
        let is_others = |part: &Members<'_>| is_thought(part) && signature(part).is_some_and(is_of_another);
        if parts.is_some_and(|parts| parts.iter().any(is_others)) {
            is_foreign = true;
            foreign.iter_mut().skip(start).for_each(|turn| *turn = true);
        }
    }
    foreign
}

fn role(content: &Members<'_>) -> Option<String> {
    content.get("role").and_then(|role| serde_json::from_str(role.get()).ok())
}

fn is_thought(part: &Members<'_>) -> bool {
    part.get("thought").is_some_and(|thought| thought.get() == "true")
}

fn signature(part: &Members<'_>) -> Option<String> {
    let (_, raw) = part.0.iter().find(|(name, _)| camel(name) == "thoughtSignature")?;
    serde_json::from_str(raw.get()).ok()
}

fn is_of_another(signature: String) -> bool {
    of_client(signature).is_some_and(|seal| seal.by != Family::Google)
}

fn made<'a>(object: &'a RawValue, kept: &Object<'_>) -> Passed<'a> {
    to_raw_value(kept).map_or(Cow::Borrowed(object), Cow::Owned)
}

#[cfg(test)]
mod tests;
