//! JSON Schema as models before 2.5 take it: a part of OpenAPI's, without references.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::rules::Rule;
use crate::chat::Losses;
use crate::error::Result;
use crate::wire::fields::Path;

/// How deep schemas and their references may go, and how many of them there may be: references can make a short text
/// endless.
const MAX_DEPTH: usize = 100;
const MAX_SCHEMAS: usize = 50_000;

/// What these models know: `google.genai.types.Schema`. What else a schema says is a loss.
const KEYWORDS: &[&str] = &[
    "anyOf",
    "default",
    "description",
    "enum",
    "example",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "properties",
    "propertyOrdering",
    "required",
    "title",
    "type",
];

/// The schema `text` at `path` for a model before 2.5.
///
/// # Errors
///
/// 422 for references that lead nowhere or in a circle, and for a schema that is too large.
pub(super) fn for_older(path: &Path<'_>, text: &str, losses: &mut Losses) -> Result<Value> {
    let root: Value = serde_json::from_str(text).unwrap_or_default();
    let mut conversion = Conversion { root: &root, count: 0, lost: Vec::new(), seen: HashSet::new() };
    let converted = conversion.schema(path, &root, 0)?;
    for keyword in conversion.lost {
        losses.add(Path::Key(path, keyword), Rule::SchemaKeyword);
    }
    Ok(converted)
}

struct Conversion<'a> {
    root: &'a Value,
    count: usize,
    /// Each keyword once.
    /// Keywords that are no part of it, each once.
    lost: Vec<&'a str>,
    seen: HashSet<&'a str>,
}

impl<'a> Conversion<'a> {
    fn schema(&mut self, path: &Path<'_>, schema: &'a Value, depth: usize) -> Result<Value> {
        self.count = self.count.saturating_add(1);
        if depth > MAX_DEPTH || self.count > MAX_SCHEMAS {
            return Err(path.unprocessable("the schema is too large for this model, or refers to itself"));
        }
        let depth = depth.saturating_add(1);
        // `true` is any value.
        let Value::Object(members) = schema else { return Ok(json!({})) };
        if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
            let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            let Some(target) = target else {
                return Err(path.unprocessable(format_args!("the reference {reference:?} leads nowhere")));
            };
            return self.schema(path, target, depth);
        }
        if let Some(Value::Array(all)) = members.get("allOf")
            && let [only] = all.as_slice()
        {
            return self.schema(path, only, depth);
        }
        let mut out = Map::new();
        for (keyword, value) in members {
            match (keyword.as_str(), value) {
                ("$defs" | "definitions" | "$schema" | "$id" | "$comment", _) => {}
                ("type", value) => self.kind(&mut out, value),
                ("items", Value::Object(_)) => {
                    out.insert("items".to_owned(), self.schema(path, value, depth)?);
                }
                ("properties", Value::Object(properties)) => {
                    let mut converted = Map::new();
                    for (name, property) in properties {
                        converted.insert(name.clone(), self.schema(path, property, depth)?);
                    }
                    out.insert("properties".to_owned(), Value::Object(converted));
                }
                ("anyOf" | "oneOf", Value::Array(branches)) => {
                    self.any_of(path, &mut out, branches, depth)?
                }
                ("const", Value::String(only)) => {
                    out.insert("enum".to_owned(), json!([only]));
                    out.entry("type").or_insert(json!("STRING"));
                }
                // An enumeration is of texts here.
                ("enum", Value::Array(values)) if !values.iter().all(Value::is_string) => self.lose(keyword),
                (known, value) if KEYWORDS.contains(&known) => {
                    out.insert(keyword.clone(), value.clone());
                }
                _ => self.lose(keyword),
            }
        }
        Ok(Value::Object(out))
    }

    fn lose(&mut self, keyword: &'a str) {
        if self.seen.insert(keyword) {
            self.lost.push(keyword);
        }
    }

    /// A type that may be null is nullable; one of several is any of them.
    fn kind(&mut self, out: &mut Map<String, Value>, kind: &Value) {
        let upper = |kind: &str| Value::String(kind.to_ascii_uppercase());
        match kind {
            Value::String(kind) => {
                out.insert("type".to_owned(), upper(kind));
            }
            Value::Array(kinds) => {
                let named: Vec<&str> =
                    kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
                if named.len() < kinds.len() {
                    out.insert("nullable".to_owned(), Value::Bool(true));
                }
                match named.as_slice() {
                    [] => {}
                    [only] => {
                        out.insert("type".to_owned(), upper(only));
                    }
                    several => {
                        let any: Vec<Value> =
                            several.iter().map(|kind| json!({ "type": upper(kind) })).collect();
                        out.insert("anyOf".to_owned(), Value::Array(any));
                    }
                }
            }
            _ => self.lose("type"),
        }
    }

    fn any_of(
        &mut self,
        path: &Path<'_>,
        out: &mut Map<String, Value>,
        branches: &'a [Value],
        depth: usize,
    ) -> Result<()> {
        let mut converted = Vec::with_capacity(branches.len());
        for branch in branches {
            if branch.get("type").and_then(Value::as_str) == Some("null") {
                out.insert("nullable".to_owned(), Value::Bool(true));
            } else {
                converted.push(self.schema(path, branch, depth)?);
            }
        }
        match converted.len() {
            0 => {}
            // One that may be null.
            1 => {
                for (keyword, value) in converted.pop().into_iter().filter_map(into_object).flatten() {
                    out.entry(keyword).or_insert(value);
                }
            }
            _ => {
                out.insert("anyOf".to_owned(), Value::Array(converted));
            }
        }
        Ok(())
    }
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(schema: &Value) -> (Value, Vec<String>) {
        let mut losses = Losses::default();
        let schema = for_older(&Path::Key(&Path::Root, "s"), &schema.to_string(), &mut losses).unwrap();
        (schema, losses.iter().map(|loss| loss.path.clone()).collect())
    }

    #[test]
    fn what_an_older_model_knows_stays() {
        let (schema, lost) = converted(&json!({
            "$schema": "x", "type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {
                "a": {"$ref": "#/$defs/A"},
                "b": {"type": ["string", "null"], "additionalProperties": false},
                "c": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
                "d": {"oneOf": [{"type": "string"}, {"type": "number"}]},
                "e": {"type": ["string", "number"]},
                "f": {"const": "x"},
                "g": {"enum": [1, 2], "type": "integer"},
                "h": {"allOf": [{"type": "boolean"}], "description": "d"},
                "i": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}},
                "j": true,
                "required": {"type": "string"}
            },
            "$defs": {"A": {"type": "string", "description": "An A."}}
        }));
        assert_eq!(
            schema,
            json!({"type": "OBJECT", "required": ["a"], "properties": {
                "a": {"type": "STRING", "description": "An A."},
                "b": {"type": "STRING", "nullable": true},
                "c": {"type": "INTEGER", "minimum": 1, "nullable": true},
                "d": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]},
                "e": {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}]},
                "f": {"type": "STRING", "enum": ["x"]},
                "g": {"type": "INTEGER"},
                "h": {"type": "BOOLEAN"},
                "i": {"type": "ARRAY", "items": {"type": "STRING", "enum": ["x", "y"]}},
                "j": {},
                "required": {"type": "STRING"}
            }})
        );
        assert_eq!(lost, ["s.additionalProperties", "s.enum"]);
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let circle =
            json!({"$ref": "#/$defs/A", "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}});
        // Each level has ten of the next.
        let mut wide = json!({"$defs": {"L0": {"type": "string"}}, "$ref": "#/$defs/L9"});
        for level in 1..10 {
            let below = json!({ "$ref": format!("#/$defs/L{}", level - 1) });
            let properties: Map<String, Value> =
                (0..10).map(|name| (name.to_string(), below.clone())).collect();
            wide["$defs"][format!("L{level}")] = json!({ "properties": properties });
        }
        for schema in [circle, wide, json!({"$ref": "#/nowhere"}), json!({"$ref": "https://x.example/s"})] {
            let error = for_older(&Path::Root, &schema.to_string(), &mut Losses::default()).unwrap_err();
            assert_eq!(error.status(), 422);
        }
    }
}
