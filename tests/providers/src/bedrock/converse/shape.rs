//! The shapes of a Converse request, as botocore's service model of `bedrock-runtime` has them. The end-to-end tests
//! hold what arrives against the service model itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What a value must be.
pub(super) enum Shape {
    /// A text of so many characters, all of them allowed.
    Text(usize, usize, fn(char) -> bool),
    OneOf(&'static [&'static str]),
    /// A whole number from here on.
    Integer(u64),
    /// A number from 0 to 1.
    Fraction,
    Boolean,
    /// Base64 of at least one byte.
    Blob,
    /// Anything.
    Document,
    /// A list of at least so many.
    List(usize, &'static Shape),
    /// An object of up to so many texts.
    Labels(usize, &'static Shape),
    /// An object of these members, some of which must be there.
    Structure(&'static [Member]),
    /// An object of exactly one of these.
    Union(&'static [Member]),
}

pub(super) struct Member(&'static str, Presence, &'static Shape);

enum Presence {
    Required,
    Optional,
}
use Presence::{Optional, Required};

use Shape::{Blob, Boolean, Document, Fraction, Integer, Labels, List, OneOf, Structure, Text, Union};

fn any(_: char) -> bool {
    true
}

fn name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-')
}

fn id(char: char) -> bool {
    name(char) || matches!(char, '.' | ':')
}

fn label(char: char) -> bool {
    char.is_ascii_alphanumeric() || char.is_ascii_whitespace() || ":_@$#=/+,-.".contains(char)
}

const STRING: Shape = Text(0, usize::MAX, any);
const SOME_STRING: Shape = Text(1, usize::MAX, any);
const TOOL_NAME: Shape = Text(1, 64, name);

pub(super) const REQUEST: Shape = Structure(&[
    Member("messages", Optional, &MESSAGES),
    Member("system", Optional, &SYSTEM),
    Member("inferenceConfig", Optional, &INFERENCE_CONFIG),
    Member("toolConfig", Optional, &TOOL_CONFIG),
    Member("guardrailConfig", Optional, &GUARDRAIL),
    Member("projectIdentifier", Optional, &SOME_STRING),
    Member("additionalModelRequestFields", Optional, &Document),
    Member("promptVariables", Optional, &Document),
    Member("additionalModelResponseFieldPaths", Optional, &List(0, &Text(1, 256, any))),
    Member("requestMetadata", Optional, &Labels(16, &Text(0, 256, label))),
    Member(
        "performanceConfig",
        Optional,
        &Structure(&[Member("latency", Optional, &OneOf(&["standard", "optimized"]))]),
    ),
    Member(
        "serviceTier",
        Optional,
        &Structure(&[Member("type", Required, &OneOf(&["priority", "default", "flex", "reserved"]))]),
    ),
    Member("outputConfig", Optional, &OUTPUT_CONFIG),
]);

/// What CountTokens takes of it.
pub(super) const COUNTED: Shape = Structure(&[
    Member("messages", Optional, &MESSAGES),
    Member("system", Optional, &SYSTEM),
    Member("toolConfig", Optional, &TOOL_CONFIG),
    Member("additionalModelRequestFields", Optional, &Document),
]);

const MESSAGES: Shape = List(
    0,
    &Structure(&[
        Member("role", Required, &OneOf(&["user", "assistant", "system"])),
        Member("content", Required, &List(0, &BLOCK)),
    ]),
);

const BLOCK: Shape = Union(&[
    Member("text", Optional, &STRING),
    Member("image", Optional, &IMAGE),
    Member("document", Optional, &DOCUMENT),
    Member("video", Optional, &VIDEO),
    Member("audio", Optional, &AUDIO),
    Member(
        "toolUse",
        Optional,
        &Structure(&[
            Member("toolUseId", Required, &Text(1, 64, id)),
            Member("name", Required, &TOOL_NAME),
            Member("input", Required, &Document),
            Member("type", Optional, &OneOf(&["server_tool_use"])),
        ]),
    ),
    Member(
        "toolResult",
        Optional,
        &Structure(&[
            Member("toolUseId", Required, &Text(1, 64, id)),
            Member("content", Required, &List(0, &RESULT)),
            Member("status", Optional, &OneOf(&["success", "error"])),
            Member("type", Optional, &STRING),
        ]),
    ),
    Member("guardContent", Optional, &Document),
    Member("cachePoint", Optional, &CACHE_POINT),
    Member(
        "citationsContent",
        Optional,
        &Structure(&[
            Member("content", Optional, &TEXTS),
            Member("citations", Optional, &List(0, &CITATION)),
        ]),
    ),
    Member("searchResult", Optional, &SEARCH_RESULT),
    Member(
        "reasoningContent",
        Optional,
        &Union(&[
            Member(
                "reasoningText",
                Optional,
                &Structure(&[Member("text", Required, &STRING), Member("signature", Optional, &STRING)]),
            ),
            Member("redactedContent", Optional, &Blob),
        ]),
    ),
]);

const RESULT: Shape = Union(&[
    Member("json", Optional, &Document),
    Member("text", Optional, &STRING),
    Member("image", Optional, &IMAGE),
    Member("document", Optional, &DOCUMENT),
    Member("video", Optional, &VIDEO),
    Member("searchResult", Optional, &SEARCH_RESULT),
]);

const TEXTS: Shape = List(0, &Union(&[Member("text", Optional, &STRING)]));
const CITED: Member = Member("citations", Optional, &Structure(&[Member("enabled", Required, &Boolean)]));

const SEARCH_RESULT: Shape = Structure(&[
    Member("source", Required, &STRING),
    Member("title", Required, &STRING),
    Member("content", Required, &List(0, &Structure(&[Member("text", Required, &STRING)]))),
    CITED,
]);

const IN_DOCUMENT: Shape = Structure(&[
    Member("documentIndex", Optional, &Integer(0)),
    Member("start", Optional, &Integer(0)),
    Member("end", Optional, &Integer(0)),
]);

const CITATION: Shape = Structure(&[
    Member("title", Optional, &STRING),
    Member("source", Optional, &STRING),
    Member("sourceContent", Optional, &TEXTS),
    Member(
        "location",
        Optional,
        &Union(&[
            Member("web", Optional, &Document),
            Member("documentChar", Optional, &IN_DOCUMENT),
            Member("documentPage", Optional, &IN_DOCUMENT),
            Member("documentChunk", Optional, &IN_DOCUMENT),
            Member(
                "searchResultLocation",
                Optional,
                &Structure(&[
                    Member("searchResultIndex", Optional, &Integer(0)),
                    Member("start", Optional, &Integer(0)),
                    Member("end", Optional, &Integer(0)),
                ]),
            ),
        ]),
    ),
]);

const S3: Member = Member("s3Location", Optional, &Structure(&[Member("uri", Required, &SOME_STRING)]));
const SOURCE: Shape = Union(&[Member("bytes", Optional, &Blob), S3]);

const IMAGE: Shape = Structure(&[
    Member("format", Required, &OneOf(&["png", "jpeg", "gif", "webp"])),
    Member("source", Required, &SOURCE),
]);

const DOCUMENT: Shape = Structure(&[
    Member("format", Optional, &OneOf(&["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"])),
    Member("name", Required, &Text(1, 200, any)),
    Member(
        "source",
        Required,
        &Union(&[
            Member("bytes", Optional, &Blob),
            S3,
            Member("text", Optional, &STRING),
            Member("content", Optional, &TEXTS),
        ]),
    ),
    Member("context", Optional, &STRING),
    CITED,
]);

const VIDEO: Shape = Structure(&[
    Member(
        "format",
        Required,
        &OneOf(&["mkv", "mov", "mp4", "webm", "flv", "mpeg", "mpg", "wmv", "three_gp"]),
    ),
    Member("source", Required, &SOURCE),
]);

const AUDIO: Shape = Structure(&[
    Member(
        "format",
        Required,
        &OneOf(&[
            "mp3", "opus", "wav", "aac", "flac", "mp4", "ogg", "mkv", "mka", "x-aac", "m4a", "mpeg", "mpga",
            "pcm", "webm",
        ]),
    ),
    Member("source", Required, &SOURCE),
]);

const CACHE_POINT: Shape = Structure(&[
    Member("type", Required, &OneOf(&["default"])),
    Member("ttl", Optional, &OneOf(&["5m", "1h"])),
]);

const SYSTEM: Shape = List(
    0,
    &Union(&[
        Member("text", Optional, &SOME_STRING),
        Member("guardContent", Optional, &Document),
        Member("cachePoint", Optional, &CACHE_POINT),
    ]),
);

const INFERENCE_CONFIG: Shape = Structure(&[
    Member("maxTokens", Optional, &Integer(1)),
    Member("temperature", Optional, &Fraction),
    Member("topP", Optional, &Fraction),
    Member("stopSequences", Optional, &List(0, &SOME_STRING)),
]);

const TOOL_CONFIG: Shape = Structure(&[
    Member("tools", Required, &List(1, &TOOL)),
    Member(
        "toolChoice",
        Optional,
        &Union(&[
            Member("auto", Optional, &Structure(&[])),
            Member("any", Optional, &Structure(&[])),
            Member("tool", Optional, &Structure(&[Member("name", Required, &TOOL_NAME)])),
        ]),
    ),
]);

const TOOL: Shape = Union(&[
    Member(
        "toolSpec",
        Optional,
        &Structure(&[
            Member("name", Required, &TOOL_NAME),
            Member("description", Optional, &SOME_STRING),
            Member("inputSchema", Required, &Union(&[Member("json", Optional, &Document)])),
            Member("strict", Optional, &Boolean),
        ]),
    ),
    Member("systemTool", Optional, &Structure(&[Member("name", Required, &TOOL_NAME)])),
    Member("cachePoint", Optional, &CACHE_POINT),
]);

const GUARDRAIL: Shape = Structure(&[
    Member("guardrailIdentifier", Optional, &STRING),
    Member("guardrailVersion", Optional, &STRING),
    Member("trace", Optional, &OneOf(&["enabled", "disabled", "enabled_full"])),
    Member("streamProcessingMode", Optional, &OneOf(&["sync", "async"])),
]);

const OUTPUT_CONFIG: Shape = Structure(&[
    Member(
        "textFormat",
        Optional,
        &Structure(&[
            Member("type", Required, &OneOf(&["json_schema"])),
            Member(
                "structure",
                Required,
                &Union(&[Member(
                    "jsonSchema",
                    Optional,
                    &Structure(&[
                        Member("schema", Required, &STRING),
                        Member("name", Optional, &STRING),
                        Member("description", Optional, &STRING),
                    ]),
                )]),
            ),
        ]),
    ),
    Member("effort", Optional, &Text(0, 16, any)),
]);

/// Checks `value` against `shape`.
///
/// # Errors
/// What is wrong, and where.
pub(super) fn check(shape: &Shape, value: &Value) -> Result<(), String> {
    at("", shape, value)
}

fn at(path: &str, shape: &Shape, value: &Value) -> Result<(), String> {
    let wrong = |what: &str| {
        Err(format!("1 validation error detected: Value at '{path}' failed to satisfy constraint: {what}"))
    };
    match (shape, value) {
        (Text(least, most, allowed), Value::String(text)) => {
            let length = text.chars().count();
            if !(*least..=*most).contains(&length) {
                return wrong("Member must have another length");
            }
            if !text.chars().all(allowed) {
                return wrong("Member must satisfy regular expression pattern");
            }
        }
        (OneOf(words), Value::String(word)) if words.contains(&word.as_str()) => {}
        (Integer(least), Value::Number(number)) if number.as_u64().is_some_and(|number| number >= *least) => {
        }
        (Fraction, Value::Number(number))
            if number.as_f64().is_some_and(|number| (0.0..=1.0).contains(&number)) => {}
        (Boolean, Value::Bool(_)) | (Document, _) => {}
        (Blob, Value::String(text)) if STANDARD.decode(text).is_ok_and(|bytes| !bytes.is_empty()) => {}
        (List(least, element), Value::Array(list)) => {
            if list.len() < *least {
                return wrong("Member must have another length");
            }
            for (index, value) in list.iter().enumerate() {
                at(&format!("{path}.{index}"), element, value)?;
            }
        }
        (Labels(most, element), Value::Object(map)) => {
            if map.is_empty() || map.len() > *most {
                return wrong("Member must have another length");
            }
            for (key, value) in map {
                at(&format!("{path}.{key}"), element, &Value::from(key.as_str()))?;
                at(&format!("{path}.{key}"), element, value)?;
            }
        }
        (Structure(members) | Union(members), Value::Object(map)) => {
            if matches!(shape, Union(_)) && map.len() != 1 {
                return wrong("exactly one member of a union");
            }
            for Member(name, presence, _) in *members {
                if matches!(presence, Required) && !map.contains_key(*name) {
                    return wrong(&format!("Member {name} must not be null"));
                }
            }
            for (key, value) in map {
                let Some(Member(.., shape)) = members.iter().find(|member| member.0 == key) else {
                    return wrong(&format!("extraneous key [{key}] is not permitted"));
                };
                at(&format!("{path}.{key}"), shape, value)?;
            }
        }
        _ => return wrong("Member is of another type or not one of the enum"),
    }
    Ok(())
}
