//! Gemini's schemas, a part of OpenAPI's, as the JSON Schema that all others take: the way back of `gemini/schema.rs`.

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::wire::fields::Path;
use crate::wire::json::Json;
use crate::wire::names::camel;

/// How deep schemas may stand inside of each other.
const MAX_DEPTH: usize = 100;

/// The schema at `path` as the text of a JSON Schema.
///
/// # Errors
///
/// 400 for what is no object, 422 for a schema that is too deep.
pub(super) fn to_json_schema(path: &Path<'_>, schema: Json<'_>) -> Result<String> {
    let schema = object(path, schema.into())?;
    Ok(Value::Object(converted(path, schema, 0)?).to_string())
}

fn object(path: &Path<'_>, value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(path.malformed("expected an object")),
    }
}

fn converted(path: &Path<'_>, schema: Map<String, Value>, depth: usize) -> Result<Map<String, Value>> {
    if depth > MAX_DEPTH {
        return Err(path.unprocessable("the schema is too deep"));
    }
    let mut made = Map::new();
    let mut is_nullable = false;
    let mut order: Vec<String> = Vec::new();
    for (name, value) in schema {
        let name = if name.starts_with('_') { name } else { camel(&name) };
        let at = Path::Key(path, &name);
        let value = match (name.as_str(), value) {
            ("type", Value::String(kind)) if kind == "TYPE_UNSPECIFIED" => continue,
            ("type", Value::String(kind)) => Value::String(kind.to_ascii_lowercase()),
            ("nullable", Value::Bool(nullable)) => {
                is_nullable = nullable;
                continue;
            }
            ("propertyOrdering", Value::Array(names)) => {
                order = names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
                continue;
            }
            ("example", value) => {
                made.insert("examples".to_owned(), json!([value]));
                continue;
            }
            ("items" | "additionalProperties", Value::Object(inner)) => {
                Value::Object(converted(&at, inner, depth.saturating_add(1))?)
            }
            ("properties" | "defs" | "$defs", Value::Object(properties)) => {
                let mut all = Map::new();
                for (property, value) in properties {
                    let inner = object(&Path::Key(&at, &property), value)?;
                    let inner = converted(&Path::Key(&at, &property), inner, depth.saturating_add(1))?;
                    all.insert(property, Value::Object(inner));
                }
                Value::Object(all)
            }
            ("anyOf", Value::Array(list)) => {
                let schemas = list.into_iter().enumerate().map(|(index, value)| {
                    let at = Path::Index(&at, index);
                    let inner = object(&at, value)?;
                    Ok(Value::Object(converted(&at, inner, depth.saturating_add(1))?))
                });
                Value::Array(schemas.collect::<Result<_>>()?)
            }
            (
                "minItems" | "maxItems" | "minLength" | "maxLength" | "minProperties" | "maxProperties",
                Value::String(count),
            ) => count.parse::<u64>().map_or(Value::String(count), Value::from),
            (_, Value::Null) => continue,
            (_, value) => value,
        };
        made.insert(
            if name == "ref" {
                "$ref".to_owned()
            } else if name == "defs" {
                "$defs".to_owned()
            } else {
                name
            },
            value,
        );
    }
    if is_nullable {
        nullable(&mut made);
    }
    if let Some(Value::Object(properties)) = made.get_mut("properties") {
        ordered(properties, &order);
    }
    Ok(made)
}

/// Null is as good as what the schema says.
fn nullable(schema: &mut Map<String, Value>) {
    if let Some(kind @ Value::String(_)) = schema.get_mut("type") {
        *kind = json!([kind, "null"]);
    } else if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.push(json!({"type": "null"}));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// JSON Schema has no word for the order: models follow that of the text.
fn ordered(properties: &mut Map<String, Value>, order: &[String]) {
    if order.is_empty() {
        return;
    }
    let mut rest = std::mem::take(properties);
    let first = order.iter().filter_map(|name| rest.shift_remove_entry(name));
    properties.extend(first.collect::<Vec<_>>());
    properties.extend(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::parse;
    use crate::wire::json::Shape;

    #[test]
    fn a_schema_of_geminis_is_one_that_others_read() {
        let schema = json!({
            "type": "OBJECT",
            "title": "T",
            "properties": {
                "b": {"type": "STRING", "nullable": true, "enum": ["x"], "example": "x"},
                "a": {"type": "ARRAY", "minItems": "1", "items": {"type": "integer", "format": "int32"}},
                "type": {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": true},
            },
            "propertyOrdering": ["a", "b"],
            "required": ["a"],
            "unknown": 1,
        });
        let made = |schema: &Value| {
            let text = schema.to_string();
            to_json_schema(&Path::Root, parse("", &Shape::Tree, text.as_bytes()).unwrap())
        };
        let expected = concat!(
            r#"{"type":"object","title":"T","properties":{"a":{"type":"array","minItems":1,"items":{"type":"integer","format":"int32"}},"#,
            r#""b":{"type":["string","null"],"enum":["x",null],"examples":["x"]},"#,
            r#""type":{"anyOf":[{"type":"number"},{"type":"boolean"},{"type":"null"}]}},"required":["a"],"unknown":1}"#,
        );
        assert_eq!(made(&schema).unwrap(), expected);
        assert_eq!(made(&json!([])).unwrap_err().status(), 400);
        let mut deep = json!({"type": "STRING"});
        for _ in 0..120 {
            deep = json!({"type": "ARRAY", "items": deep});
        }
        assert_eq!(made(&deep).unwrap_err().status(), 422);
    }
}
