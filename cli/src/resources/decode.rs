//! JSON values to types, with every mistake in them and not only the first.
//!
//! Serde stops at a mistake. So the mistake is noted, the value is repaired at that place, by taking the
//! field out or by a stand-in of another type, and decoding begins anew, until it goes through. Places in
//! lists are never taken out, since that would shift the numbers of those behind.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::{Deserializer, Path, Segment, Track};

use super::diagnostic::closest;

/// Stands where a required text is missing, so that the checks that follow can tell it from what somebody wrote:
/// YAML has no way to write it by accident.
pub const MISSING: &str = "\u{0}";

/// Mistakes that are reported for one resource; more than anybody reads at a time.
const MOST_MISTAKES: usize = 100;

/// A mistake in a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Its path.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// Decodes what can be decoded and notes what cannot. `None` when nothing can be made of it.
pub fn decode<T: DeserializeOwned>(mut value: Value, mistakes: &mut Vec<Mistake>) -> Option<T> {
    // How often each place was repaired.
    let mut repairs: HashMap<Vec<Step>, usize> = HashMap::new();
    for _ in 0..MOST_MISTAKES * (STAND_INS + 1) {
        let mut track = Track::new();
        let error = match T::deserialize(Deserializer::new(&value, &mut track)) {
            Ok(decoded) => return Some(decoded),
            Err(error) => error.to_string(),
        };
        let mut place = steps(&track.path());
        let missing = quoted(&error, "missing field ");
        if let Some(field) = missing {
            place.push(Step::Member(field.to_owned()));
        }
        // For a choice, one of those there are is the best stand-in.
        let mut known_variant = quoted(&error, "unknown variant ")
            .and_then(|_| known_names(&error).first().map(|name| (*name).to_owned()));
        // A list's place that no stand-in fits falls back on what holds the list.
        loop {
            // What lies inside a stand-in was written by nobody.
            let inside =
                (1..place.len()).any(|length| place.get(..length).is_some_and(|p| repairs.contains_key(p)));
            let attempt = match repairs.entry(place.clone()) {
                Entry::Vacant(vacant) => {
                    if !inside {
                        mistakes.push(Mistake { field: show(&place), message: message(&error) });
                    }
                    vacant.insert(if missing.is_some() { 1 } else { 0 })
                }
                Entry::Occupied(occupied) => occupied.into_mut(),
            };
            let repaired = match known_variant.take() {
                Some(variant) => put(&mut value, &place, Some(json!(variant))),
                None => repair(&mut value, &place, *attempt),
            };
            *attempt += 1;
            if repaired {
                break;
            }
            place.pop()?;
            if place.is_empty() {
                return None;
            }
            repairs.entry(place.clone()).or_insert(0);
        }
        if mistakes.len() >= MOST_MISTAKES {
            return None;
        }
    }
    None
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    Member(String),
    Item(usize),
}

fn steps(path: &Path) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Member(key.clone())),
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn show(place: &[Step]) -> String {
    let mut text = String::new();
    for step in place {
        match step {
            Step::Member(name) if text.is_empty() => text.push_str(name),
            Step::Member(name) => text.push_str(&format!(".{name}")),
            Step::Item(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// The values tried at a place, after leaving it out.
const STAND_INS: usize = 5;

/// Changes the value at a place; false when everything was tried.
fn repair(value: &mut Value, place: &[Step], attempt: usize) -> bool {
    let stand_in = match attempt {
        0 => None,
        1 => Some(json!(MISSING)),
        2 => Some(json!(0)),
        3 => Some(json!({})),
        4 => Some(json!([])),
        5 => Some(json!(false)),
        _ => return false,
    };
    put(value, place, stand_in)
}

/// Puts a value at a place, or leaves it out; false when there is no such place.
fn put(value: &mut Value, place: &[Step], stand_in: Option<Value>) -> bool {
    let Some((last, parents)) = place.split_last() else { return false };
    let parent = parents.iter().try_fold(value, |value, step| match step {
        Step::Member(name) => value.get_mut(name),
        Step::Item(index) => value.get_mut(index),
    });
    match (parent, last) {
        (Some(Value::Object(members)), Step::Member(name)) => {
            match stand_in {
                Some(stand_in) => members.insert(name.clone(), stand_in),
                None => members.shift_remove(name),
            };
            true
        }
        (Some(Value::Array(items)), Step::Item(index)) => match items.get_mut(*index) {
            Some(item) => {
                *item = stand_in.unwrap_or(Value::Null);
                true
            }
            None => false,
        },
        _ => false,
    }
}

/// Serde's message in words for people, without the value it stumbled over, which may be a secret in a wrong place.
fn message(error: &str) -> String {
    if quoted(error, "missing field ").is_some() {
        return "is missing; it is required".to_owned();
    }
    if let Some(given) = quoted(error, "unknown field ") {
        return format!("there is no such field{}", suggestion(error, given));
    }
    if let Some(given) = quoted(error, "unknown variant ") {
        return format!("`{given}` is not one of the values it can have{}", suggestion(error, given));
    }
    if let Some((found, expected)) = error.split_once(", expected ")
        && let Some((_, found)) = found.split_once(": ")
    {
        return match found_type(found) {
            Some(found) => format!("must be {}, not {found}", expectation(expected)),
            None => format!("must be {}", expectation(expected)),
        };
    }
    error.to_owned()
}

/// The first word in backquotes after a beginning.
fn quoted<'a>(error: &'a str, beginning: &str) -> Option<&'a str> {
    error.strip_prefix(beginning)?.strip_prefix('`')?.split('`').next()
}

/// What serde says would have been right.
fn suggestion(error: &str, given: &str) -> String {
    let known = known_names(error);
    match closest(given, &known) {
        _ if known.is_empty() => String::new(),
        Some(best) => format!(", did you mean `{best}`?"),
        None => format!(
            "; known are {}",
            known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The names that serde lists at the end of a message.
fn known_names(error: &str) -> Vec<&str> {
    error
        .split_once(", expected ")
        .map(|(_, names)| names.split('`').skip(1).step_by(2).collect())
        .unwrap_or_default()
}

fn expectation(expected: &str) -> &str {
    match expected {
        "a string" | "str" => "a text (put it in quotes)",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "an object",
        "i64" | "u64" | "i32" | "u32" | "u16" | "u8" | "usize" => match expected {
            "i64" | "i32" => "a whole number",
            "u16" => "a whole number from 0 to 65535",
            _ => "a whole number, 0 or more",
        },
        other if other.starts_with("struct ") => "an object",
        other => other,
    }
}

/// What stood there; `None` for a number, which the expectation says enough about.
fn found_type(found: &str) -> Option<&'static str> {
    match found.split([' ', '`', '"']).next().unwrap_or_default() {
        "string" => Some("a text"),
        "integer" | "floating" => None,
        "boolean" => Some("a boolean"),
        "map" => Some("an object"),
        "sequence" => Some("a list"),
        _ => Some("nothing"),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Outer {
        rules: Vec<Inner>,
        #[serde(default)]
        names: Vec<String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Inner {
        name: String,
        #[serde(default)]
        weight: Option<u32>,
        #[serde(default)]
        kind: Option<Choice>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Choice {
        Exact,
        Distinct,
    }

    fn run(value: Value) -> (Option<Outer>, Vec<String>) {
        let mut mistakes = Vec::new();
        let decoded = decode(value, &mut mistakes);
        (decoded, mistakes.iter().map(|mistake| format!("{}: {}", mistake.field, mistake.message)).collect())
    }

    #[test]
    fn all_mistakes_are_found_and_the_rest_is_kept() {
        let (decoded, mistakes) = run(json!({
            "rules": [
                {"wieght": 1, "name": 3},
                {"weight": "a", "kind": "Exat"},
                7,
                {"name": "last", "weight": 2, "kind": "Distinct"},
            ],
            "names": ["a", {}, "c"],
            "zzz": 1,
        }));
        assert_eq!(
            mistakes,
            [
                "rules[0].wieght: there is no such field, did you mean `weight`?",
                "rules[0].name: must be a text (put it in quotes)",
                "rules[1].weight: must be a whole number, 0 or more, not a text",
                "rules[1].kind: `Exat` is not one of the values it can have, did you mean `Exact`?",
                "rules[1].name: is missing; it is required",
                "rules[2]: must be an object",
                "names[1]: must be a text (put it in quotes), not an object",
                "zzz: there is no such field; known are `rules`, `names`",
            ]
        );
        let decoded = decoded.unwrap();
        assert_eq!(decoded.rules.len(), 4);
        assert_eq!(decoded.rules[3].name, "last");
        assert_eq!(decoded.rules[1].name, MISSING);
        assert_eq!(decoded.names, ["a", MISSING, "c"]);
    }

    #[test]
    fn nothing_is_made_of_nothing() {
        assert_eq!(run(json!(3)).0, None);
        let (decoded, mistakes) = run(json!({}));
        assert_eq!(mistakes, ["rules: is missing; it is required"]);
        assert!(decoded.unwrap().rules.is_empty());
    }

    #[test]
    fn a_value_in_the_wrong_place_is_not_repeated() {
        let (_, mistakes) = run(json!({"rules": "sk-secret"}));
        assert_eq!(mistakes, ["rules: must be a list, not a text"]);
    }
}
