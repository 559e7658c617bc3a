//! Requests of Gemini's own API on their way to Vertex AI, which speaks the same language, but for a few words.
//!
//! What has to change changes in place: all else stays as the client wrote it. Answers pass as they are. Those of
//! Vertex AI have members that the other API has not (`createTime`), which its clients pass over.

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
            match camel(&name).as_str() {
                // It is in the path.
                "model" => continue,
                known if COUNTED.contains(&known) => {}
                _ => {
                    self.losses.add(Path::Key(path, &name), Rule::NotCounted);
                    continue;
                }
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
            "systemInstruction" => {
                let passed = self.inside(&at, value, "parts", |this, at, parts| {
                    this.list(at, parts, |this, at, part| this.part(at, part, &mut Turn::default()))
                });
                if Members::of(passed.get()).get("parts").is_some_and(|parts| parts.get() == "[]") {
                    return Some(Edit::Remove(name));
                }
                passed
            }
            "tools" => self.list(&at, value, |this, at, tool| {
                let tool = this.without(at, tool, UNKNOWN.tool);
                // Vertex AI takes no tool of which nothing is left.
                Some(tool).filter(|tool| !matches!(tool, Cow::Owned(left) if left.get() == "{}"))
            }),
            "toolConfig" => self.without(&at, value, UNKNOWN.tool_config),
            "generationConfig" => self.generation_config(&at, value),
            _ => return None,
        };
        match passed {
            Cow::Borrowed(_) => None,
            Cow::Owned(changed) if changed.get() == "[]" => Some(Edit::Remove(name)),
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

    /// An object of the members that `pass` lets pass, as it does. It is told their names as the reference spells them.
    fn members<'a>(
        &mut self,
        path: &Path<'_>,
        object: &'a RawValue,
        mut pass: impl FnMut(&mut Self, &Path<'_>, &str, &'a RawValue) -> Option<Passed<'a>>,
    ) -> Passed<'a> {
        let mut kept = Object::default();
        let mut is_changed = false;
        for (name, value) in Members::of(object.get()).0 {
            let passed = pass(self, &Path::Key(path, &name), &camel(&name), value);
            is_changed |= !matches!(passed, Some(Cow::Borrowed(_)));
            if let Some(passed) = passed {
                kept.put_raw(name, passed);
            }
        }
        if is_changed { made(object, &kept) } else { Cow::Borrowed(object) }
    }

    /// An object in which the member `name` is as `pass` lets it pass.
    fn inside<'a>(
        &mut self,
        path: &Path<'_>,
        object: &'a RawValue,
        name: &str,
        mut pass: impl FnMut(&mut Self, &Path<'_>, &'a RawValue) -> Passed<'a>,
    ) -> Passed<'a> {
        self.members(path, object, |this, at, known, value| {
            Some(if known == name { pass(this, at, value) } else { Cow::Borrowed(value) })
        })
    }

    /// An object without `members`, which are losses.
    fn without<'a>(&mut self, path: &Path<'_>, object: &'a RawValue, members: &[&str]) -> Passed<'a> {
        self.members(path, object, |this, at, name, value| {
            if members.contains(&name) {
                this.losses.add(at, Rule::NotAtVertex);
                return None;
            }
            Some(Cow::Borrowed(value))
        })
    }

    fn generation_config<'a>(&mut self, path: &Path<'_>, config: &'a RawValue) -> Passed<'a> {
        self.members(path, config, |this, at, name, value| match name {
            known if UNKNOWN.generation_config.contains(&known) => {
                this.losses.add(at, Rule::NotAtVertex);
                None
            }
            "speechConfig" => Some(this.speech(at, value)),
            _ => Some(Cow::Borrowed(value)),
        })
    }

    /// Who speaks: one voice, or one of each speaker.
    fn speech<'a>(&mut self, path: &Path<'_>, speech: &'a RawValue) -> Passed<'a> {
        self.members(path, speech, |this, at, name, value| {
            Some(match name {
                "voiceConfig" => this.voice(at, value),
                "multiSpeakerVoiceConfig" => {
                    this.inside(at, value, "speakerVoiceConfigs", |this, at, speakers| {
                        this.list(at, speakers, |this, at, speaker| {
                            Some(this.inside(at, speaker, "voiceConfig", Self::voice))
                        })
                    })
                }
                _ => Cow::Borrowed(value),
            })
        })
    }

    fn voice<'a>(&mut self, path: &Path<'_>, voice: &'a RawValue) -> Passed<'a> {
        self.inside(path, voice, "replicatedVoiceConfig", |this, at, replicated| {
            this.without(at, replicated, UNKNOWN.replicated_voice)
        })
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
        let (mut is_changed, mut says_something) = (false, false);
        let mut kept = Object::default();
        for (name, value) in members.0 {
            let at = Path::Key(path, &name);
            let known = camel(&name);
            let value = match known.as_str() {
                "thoughtSignature" if is_unsigned => {
                    is_changed = true;
                    continue;
                }
                "functionCall" => self.call(&at, value),
                "functionResponse" => self.response(&at, value),
                known if UNKNOWN.part.contains(&known) => {
                    self.losses.add(at, Rule::NotAtVertex);
                    is_changed = true;
                    continue;
                }
                _ => Cow::Borrowed(value),
            };
            is_changed |= matches!(value, Cow::Owned(_));
            says_something |= known != "thought" && !(known == "text" && value.get() == "\"\"");
            kept.put_raw(name, value);
        }
        if is_unsigned && wants_one {
            is_changed = true;
            kept.put("thoughtSignature", NO_SIGNATURE);
        }
        // Nothing was in it but what another model signed, or an empty text, as is the last of a stream: Vertex AI
        // takes no such part.
        if !says_something {
            return None;
        }
        Some(if is_changed { made(part, &kept) } else { Cow::Borrowed(part) })
    }

    /// To older models a call has no name: they pair it and its result by their order.
    fn call<'a>(&mut self, path: &Path<'_>, call: &'a RawValue) -> Passed<'a> {
        self.members(path, call, |this, _, name, value| {
            (name != "id" || this.model.is_newest()).then_some(Cow::Borrowed(value))
        })
    }

    fn response<'a>(&mut self, path: &Path<'_>, response: &'a RawValue) -> Passed<'a> {
        self.members(path, response, |this, at, name, value| match name {
            "id" if !this.model.is_newest() => None,
            known if UNKNOWN.response.contains(&known) => {
                this.losses.add(at, Rule::NotAtVertex);
                None
            }
            "parts" => Some(
                this.list(at, value, |this, at, part| Some(this.without(at, part, UNKNOWN.response_part))),
            ),
            _ => Some(Cow::Borrowed(value)),
        })
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
