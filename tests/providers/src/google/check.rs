//! What Gemini refuses. The names of fields are those of `google.genai.types`, as its SDK sends them to Vertex AI.

pub(super) mod shape;

use serde_json::{Map, Value};

use super::Refusal;
use super::gemini::signature;
use super::spelling::standard;
use shape::{COUNTED, REQUEST, shape};

/// Keywords of the schemas that models before 2.5 know.
const KEYWORDS: [&str; 22] = [
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

/// Major and minor version of a model.
fn version(model: &str) -> (u32, u32) {
    let number = model.strip_prefix("gemini-").and_then(|rest| rest.split('-').next()).unwrap_or_default();
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    (major.parse().unwrap_or(3), minor.parse().unwrap_or(0))
}

/// Whether it is of the generation that signs its calls.
pub(super) fn is_newest(model: &str) -> bool {
    version(model) >= (3, 0)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[][..], Vec::as_slice)
}

/// All functions that are declared.
pub(super) fn declarations(body: &Value) -> Vec<Value> {
    list(body, "/tools").iter().flat_map(|tool| list(tool, "/functionDeclarations").to_vec()).collect()
}

/// Checks a request the way the API does.
pub(super) fn check(body: &Value, model: &str) -> Result<(), Refusal> {
    shape("", body, REQUEST)?;
    contents(body, model)?;
    functions(body, model)?;
    generation(body, model)?;
    let labels = body.get("labels").and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        let is_label = |text: &str| {
            let is_allowed =
                |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "_-".contains(char);
            text.len() <= 63 && text.chars().all(is_allowed)
        };
        let is_key = is_label(key) && key.starts_with(|char: char| char.is_ascii_lowercase());
        if !is_key || !value.as_str().is_some_and(is_label) {
            return Err(Refusal::invalid(format!("Invalid label {key:?}: {value}.")));
        }
    }
    Ok(())
}

/// The same of `countTokens`.
pub(super) fn check_counted(body: &Value, model: &str) -> Result<(), Refusal> {
    shape("", body, COUNTED)?;
    contents(body, model)
}

fn contents(body: &Value, model: &str) -> Result<(), Refusal> {
    let contents = list(body, "/contents");
    if contents.is_empty() {
        return Err(Refusal::invalid("at least one contents field is required"));
    }
    let is_newest = is_newest(model);
    let role = |content: &Value| content.get("role").and_then(Value::as_str).unwrap_or("user").to_owned();
    // The names of the calls that the turn before made.
    let mut called: Vec<String> = Vec::new();
    let mut before = None;
    for (index, content) in contents.iter().enumerate() {
        let parts = list(content, "/parts");
        if parts.is_empty() {
            return Err(Refusal::invalid(
                "Unable to submit request because it must have at least one parts field",
            ));
        }
        for part in parts {
            data(part, index)?;
        }
        let names = |member: &str| -> Vec<String> {
            let parts = parts.iter().filter_map(|part| part.get(member)?.get("name")?.as_str());
            parts.map(str::to_owned).collect()
        };
        let (calls, results) = (names("functionCall"), names("functionResponse"));
        if calls.len() + results.len() > 0 {
            let bad_id = |part: &Value| {
                ["functionCall", "functionResponse"].iter().any(|member| {
                    part.get(member)
                        .is_some_and(|call| call.get("id").is_some() || call.get("parts").is_some())
                })
            };
            if !is_newest && parts.iter().any(bad_id) {
                return Err(Refusal::invalid(
                    "Invalid JSON payload received. Unknown name \"id\": Cannot find field.",
                ));
            }
        }
        // Google's SDKs keep a model's turn in the pieces of the stream that it came in.
        let goes_on = before.as_deref() == Some("model") && role(content) == "model";
        if !goes_on && results != called {
            return Err(Refusal::invalid(
                "Please ensure that the number of function response parts is equal to the number of function call parts of \
                 the function call turn.",
            ));
        }
        if !calls.is_empty() && !goes_on && before.as_deref() != Some("user") {
            return Err(Refusal::invalid(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
            ));
        }
        if is_newest {
            signatures(parts, index)?;
        }
        if goes_on {
            called.extend(calls);
        } else {
            called = calls;
        }
        before = Some(role(content));
    }
    if !called.is_empty() {
        return Err(Refusal::invalid(
            "Please ensure that multiturn requests end with a user role or a function response.",
        ));
    }
    Ok(())
}

/// A part is one thing.
fn data(part: &Value, index: usize) -> Result<(), Refusal> {
    const DATA: [&str; 7] = [
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
    ];
    let found = DATA.iter().filter(|name| part.get(**name).is_some()).count();
    if found != 1 {
        return Err(Refusal::invalid(format!(
            "contents[{index}].parts: required oneof field 'data' must have one initialized field"
        )));
    }
    let needs = |name: &str, members: &[&str]| {
        part.get(name).is_none_or(|value| members.iter().all(|member| value.get(*member).is_some()))
    };
    let is_object = |pointer: &str| part.pointer(pointer).is_none_or(Value::is_object);
    let is_whole = needs("inlineData", &["mimeType", "data"])
        && needs("fileData", &["mimeType", "fileUri"])
        && needs("functionCall", &["name"])
        && needs("functionResponse", &["name", "response"])
        && is_object("/functionCall/args")
        && is_object("/functionResponse/response");
    if is_whole {
        Ok(())
    } else {
        Err(Refusal::invalid(format!("contents[{index}].parts: {part} is not whole")))
    }
}

/// The first call of a turn has a signature, and each is the stand-in's own, or what stands for one that is not.
fn signatures(parts: &[Value], index: usize) -> Result<(), Refusal> {
    let told = |part: &Value| part.get("thoughtSignature").and_then(Value::as_str).map(str::to_owned);
    let first = parts.iter().find(|part| part.get("functionCall").is_some());
    if let Some(name) =
        first.filter(|first| told(first).is_none()).and_then(|first| first.pointer("/functionCall/name"))
    {
        return Err(Refusal::invalid(format!(
            "Unable to submit request because function call {name} in the {index}. content block is missing a \
             `thought_signature`."
        )));
    }
    for part in parts {
        let Some(told) = told(part) else { continue };
        let name = part.pointer("/functionCall/name").and_then(Value::as_str).unwrap_or_default();
        if standard(&told) != signature(name) && told != "skip_thought_signature_validator" {
            return Err(Refusal::invalid("Corrupted thought signature."));
        }
    }
    Ok(())
}

fn functions(body: &Value, model: &str) -> Result<(), Refusal> {
    let functions = declarations(body);
    let mut names = Vec::new();
    for function in &functions {
        let name = function.get("name").and_then(Value::as_str).unwrap_or_default();
        let is_first = |char: char| char.is_ascii_alphabetic() || char == '_';
        let is_allowed = |char: char| char.is_ascii_alphanumeric() || "_-.:".contains(char);
        if !name.starts_with(is_first) || !name.chars().all(is_allowed) || name.len() > 128 {
            return Err(Refusal::invalid(format!(
                "Invalid function name {name:?}. Must start with a letter or an underscore."
            )));
        }
        if names.contains(&name) {
            return Err(Refusal::invalid(format!("Duplicate function declaration found: {name}")));
        }
        names.push(name);
        if let Some(schema) = function.get("parameters") {
            older_schema(schema)?;
        }
        if version(model) < (2, 5) && function.get("parametersJsonSchema").is_some() {
            return Err(Refusal::invalid("parametersJsonSchema is not supported by this model"));
        }
    }
    let mode = body.pointer("/toolConfig/functionCallingConfig/mode").and_then(Value::as_str);
    if functions.is_empty() && mode.is_some() {
        return Err(Refusal::invalid("Function calling config is set without function_declarations."));
    }
    let allowed = list(body, "/toolConfig/functionCallingConfig/allowedFunctionNames");
    if !allowed.is_empty() && mode != Some("ANY") {
        return Err(Refusal::invalid("allowed_function_names should only be set when the mode is ANY."));
    }
    if allowed.iter().filter_map(Value::as_str).any(|name| !names.contains(&name)) {
        return Err(Refusal::invalid("allowed_function_names has names of no functions."));
    }
    Ok(())
}

fn older_schema(schema: &Value) -> Result<(), Refusal> {
    let Some(members) = schema.as_object() else { return Err(Refusal::invalid("a schema is no object")) };
    if let Some(unknown) = members.keys().find(|name| !KEYWORDS.contains(&name.as_str())) {
        return Err(Refusal::invalid(format!(
            "Unknown name \"{unknown}\" at 'parameters': Cannot find field."
        )));
    }
    let kinds = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT"];
    if members.get("type").is_some_and(|kind| !kind.as_str().is_some_and(|kind| kinds.contains(&kind))) {
        return Err(Refusal::invalid("Invalid value at 'parameters.type'"));
    }
    let none = Map::new();
    let properties = members.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for inner in properties.values().chain(members.get("items")).chain(list(schema, "/anyOf")) {
        older_schema(inner)?;
    }
    Ok(())
}

fn generation(body: &Value, model: &str) -> Result<(), Refusal> {
    let config = |name: &str| body.pointer(&format!("/generationConfig/{name}"));
    let out_of = |name: &str, low: f64, high: f64| {
        config(name).and_then(Value::as_f64).is_some_and(|value| !(low..=high).contains(&value))
    };
    let ranges = [
        ("temperature", 0.0, 2.0),
        ("topP", 0.0, 1.0),
        ("candidateCount", 1.0, 8.0),
        ("logprobs", 0.0, 20.0),
        ("presencePenalty", -2.0, 2.0),
        ("frequencyPenalty", -2.0, 2.0),
        ("seed", f64::from(i32::MIN), f64::from(i32::MAX)),
    ];
    if let Some((name, ..)) = ranges.iter().find(|(name, low, high)| out_of(name, *low, *high)) {
        return Err(Refusal::invalid(format!("{name} is out of range")));
    }
    let media_type = config("responseMimeType").and_then(Value::as_str);
    if media_type == Some("application/json") && !is_newest(model) && !declarations(body).is_empty() {
        return Err(Refusal::invalid(
            "Function calling with a response mime type: 'application/json' is unsupported",
        ));
    }
    if config("responseSchema").is_some() && config("responseJsonSchema").is_some() {
        return Err(Refusal::invalid("responseSchema and responseJsonSchema cannot both be set"));
    }
    if (config("responseSchema").is_some() || config("responseJsonSchema").is_some()) && media_type.is_none()
    {
        return Err(Refusal::invalid("a response schema needs a response mime type"));
    }
    if let Some(schema) = config("responseSchema") {
        older_schema(schema)?;
    }
    let budget = config("thinkingConfig/thinkingBudget").and_then(Value::as_i64);
    let level = config("thinkingConfig/thinkingLevel").and_then(Value::as_str);
    let is_pro = !model.contains("flash");
    let refused = match version(model) {
        version if version < (2, 5) => config("thinkingConfig").is_some(),
        version if version < (3, 0) => {
            let range = if is_pro { 128..=32_768 } else { 0..=24_576 };
            level.is_some() || budget.is_some_and(|budget| budget != -1 && !range.contains(&budget))
        }
        _ => budget.is_some() && level.is_some() || is_pro && level == Some("MINIMAL"),
    };
    if refused {
        return Err(Refusal::invalid(
            "Unable to submit request because thinking is not configured as this model takes it.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(model: &str, members: Value) -> bool {
        let mut body = json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]});
        assert!(check(&body, model).is_ok());
        for (name, value) in members.as_object().unwrap() {
            body[name] = value.clone();
        }
        check(&body, model).is_err()
    }

    #[test]
    fn what_gemini_refuses() {
        let user = json!({"role": "user", "parts": [{"text": "Hi"}]});
        let call = |part: Value| json!({"role": "model", "parts": [part]});
        let bare = json!({"functionCall": {"name": "f", "args": {}}});
        let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]});
        for (model, members) in [
            ("gemini-2.5-pro", json!({"contents": []})),
            ("gemini-2.5-pro", json!({"messages": []})),
            ("gemini-2.5-pro", json!({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]})),
            ("gemini-2.5-pro", json!({"contents": [user, call(bare.clone())]})),
            ("gemini-2.5-pro", json!({"contents": [user, call(bare.clone()), user]})),
            ("gemini-2.5-pro", json!({"contents": [user, result]})),
            ("gemini-3-pro", json!({"contents": [user, call(bare.clone()), result]})),
            ("gemini-2.5-pro", json!({"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}})),
            ("gemini-2.5-pro", json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}})),
            ("gemini-3-pro", json!({"generationConfig": {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}})),
            ("gemini-2.0-flash", json!({"generationConfig": {"thinkingConfig": {}}})),
            ("gemini-2.5-pro", json!({"labels": {"Team": "a"}})),
            ("gemini-2.5-pro", json!({"tools": [{"functionDeclarations": [{"name": "1"}]}]})),
            ("gemini-2.5-pro", json!({"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}})),
        ] {
            assert!(refused(model, members.clone()), "{model} {members}");
        }
        let signed = with_signature(bare.clone(), &signature("f"));
        let other = with_signature(bare.clone(), "QUJD");
        assert!(!refused("gemini-3-pro", json!({"contents": [user, call(signed), result]})));
        assert!(refused("gemini-3-pro", json!({"contents": [user, call(other), result]})));
        assert!(!refused("gemini-2.5-pro", json!({"contents": [user, call(bare), result]})));
    }

    fn with_signature(mut part: Value, signature: &str) -> Value {
        part["thoughtSignature"] = json!(signature);
        part
    }
}
