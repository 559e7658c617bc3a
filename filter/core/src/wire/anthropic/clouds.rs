//! What clients of Anthropic's own API send and a cloud refuses, Bedrock's InvokeModel or Vertex AI, taken out of a
//! body in place.

use std::borrow::Cow;

use memchr::memmem;

use crate::chat::Losses;
use crate::codec::json::{self, member};
use crate::codec::splice::{self, Edit};
use crate::wire::fields::Path;

/// Who serves Claude, other than Anthropic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Cloud {
    Bedrock,
    Vertex,
}

impl Cloud {
    /// Whether it knows the member `name` of a request.
    pub(in crate::wire) fn knows(self, name: &str) -> bool {
        names(self, Place::Body).all(|unknown| unknown != name)
    }

    /// Why a member is not sent on that it does not know.
    pub(in crate::wire) fn reason(self) -> &'static str {
        match self {
            Cloud::Bedrock => "not known to Bedrock",
            Cloud::Vertex => "not known to Vertex AI",
        }
    }
}

/// A member that a cloud does not know.
struct Unknown {
    name: &'static str,
    place: Place,
    to: Cloud,
    /// Who met the refusal: "Extra inputs are not permitted".
    #[cfg_attr(not(test), allow(dead_code, reason = "it is for readers, and a test wants it to be there"))]
    source: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    Tool,
    CacheControl,
}

/// What a cloud is known to refuse. Anything else stays: it says better than a gateway what it cannot do.
const UNKNOWN: &[Unknown] = &[
    Unknown {
        name: "eager_input_streaming",
        place: Place::Tool,
        to: Cloud::Bedrock,
        source: "https://github.com/anthropics/claude-code/issues/32820",
    },
    Unknown {
        name: "scope",
        place: Place::CacheControl,
        to: Cloud::Bedrock,
        source: "https://github.com/BerriAI/litellm/pull/22867",
    },
    Unknown {
        name: "scope",
        place: Place::CacheControl,
        to: Cloud::Vertex,
        source: "https://github.com/anthropics/claude-code/issues/21625",
    },
    Unknown { name: "mcp_servers", place: Place::Body, to: Cloud::Bedrock, source: MCP },
    Unknown { name: "mcp_servers", place: Place::Body, to: Cloud::Vertex, source: MCP },
    Unknown { name: "container", place: Place::Body, to: Cloud::Bedrock, source: CODE_EXECUTION },
    Unknown { name: "container", place: Place::Body, to: Cloud::Vertex, source: CODE_EXECUTION },
    Unknown { name: "speed", place: Place::Body, to: Cloud::Bedrock, source: FAST_MODE },
    Unknown { name: "inference_geo", place: Place::Body, to: Cloud::Bedrock, source: DATA_RESIDENCY },
    Unknown { name: "inference_geo", place: Place::Body, to: Cloud::Vertex, source: DATA_RESIDENCY },
    Unknown {
        name: "output_format",
        place: Place::Body,
        to: Cloud::Vertex,
        source: "https://github.com/vercel/ai/issues/10981",
    },
];
/// Among its platforms are neither Bedrock nor the models on Google Cloud that Google manages.
const MCP: &str = "https://platform.claude.com/docs/en/agents-and-tools/mcp-connector";
/// "Code execution is not currently available on Amazon Bedrock or Google Cloud", and containers are what it runs in.
const CODE_EXECUTION: &str =
    "https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool#platform-availability";
/// Among its platforms is Google Cloud, and not Bedrock.
const FAST_MODE: &str = "https://platform.claude.com/docs/en/build-with-claude/fast-mode";
/// "On third-party platforms (AWS Bedrock, Google Vertex AI) [..] `inference_geo` is not applicable."
const DATA_RESIDENCY: &str = "https://platform.claude.com/docs/en/build-with-claude/data-residency";

/// The changes to a body of `POST /v1/messages` that take out what Bedrock does not know.
#[must_use]
pub fn edits_for_bedrock(body: &[u8], losses: &mut Losses) -> Vec<Edit<'static>> {
    edits_for(Cloud::Bedrock, body, losses)
}

/// The changes to a body of `POST /v1/messages` that take out what `cloud` does not know. A body in which none of the
/// words stands is searched for them and not read.
pub(super) fn edits_for(cloud: Cloud, body: &[u8], losses: &mut Losses) -> Vec<Edit<'static>> {
    let mut edits = Vec::new();
    // In a text the quotes would be escaped.
    let stands = |name: &str| memmem::find(body, format!("\"{name}\"").as_bytes()).is_some();
    if !UNKNOWN.iter().any(|unknown| unknown.to == cloud && stands(unknown.name)) {
        return edits;
    }
    for name in names(cloud, Place::Body) {
        if has(body, name) {
            losses.add(name, cloud.reason());
            edits.push(Edit::Remove(name));
        }
    }
    // What is broken or there twice is left to be refused.
    let Ok(scan) = json::scan(body, ["tools", "system", "messages"]) else { return edits };
    let [tools, system, messages] = scan.members;
    let lists: [(_, _, Element); 3] =
        [("tools", tools, tool), ("system", system, block), ("messages", messages, block)];
    for (name, member, element) in lists {
        let raw = member.as_ref().map(|member| member.raw(body)).unwrap_or_default();
        if let Some(list) = list(cloud, raw, &Path::Key(&Path::Root, name), losses, element) {
            edits.push(Edit::Set(name, Cow::Owned(list)));
        }
    }
    if let Some(mark) = mark(cloud, body, &Path::Root, losses) {
        edits.push(mark);
    }
    edits
}

/// What an element becomes, if it changes.
type Element = fn(Cloud, &[u8], &Path<'_>, &mut Losses) -> Option<Vec<u8>>;

fn names(cloud: Cloud, place: Place) -> impl Iterator<Item = &'static str> {
    UNKNOWN
        .iter()
        .filter(move |unknown| unknown.to == cloud && unknown.place == place)
        .map(|unknown| unknown.name)
}

fn has(object: &[u8], name: &str) -> bool {
    member(object, name).is_some()
}

fn list(cloud: Cloud, raw: &[u8], path: &Path<'_>, losses: &mut Losses, element: Element) -> Option<Vec<u8>> {
    splice::elements(raw, |index, raw| element(cloud, raw, &Path::Index(path, index), losses))
}

fn tool(cloud: Cloud, raw: &[u8], path: &Path<'_>, losses: &mut Losses) -> Option<Vec<u8>> {
    let mut edits = Vec::new();
    for name in names(cloud, Place::Tool) {
        if has(raw, name) {
            losses.add(Path::Key(path, name), cloud.reason());
            edits.push(Edit::Remove(name));
        }
    }
    edits.extend(mark(cloud, raw, path, losses));
    splice::edited(raw, &edits)
}

/// A message, or a block of one or of the system prompt: what may have a cache mark, and a list of what may have one.
fn block(cloud: Cloud, raw: &[u8], path: &Path<'_>, losses: &mut Losses) -> Option<Vec<u8>> {
    let mut edits: Vec<Edit<'_>> = mark(cloud, raw, path, losses).into_iter().collect();
    if let Some(content) = member(raw, "content")
        && let Some(list) = list(cloud, content.raw(raw), &Path::Key(path, "content"), losses, block)
    {
        edits.push(Edit::Set("content", Cow::Owned(list)));
    }
    splice::edited(raw, &edits)
}

fn mark(cloud: Cloud, object: &[u8], path: &Path<'_>, losses: &mut Losses) -> Option<Edit<'static>> {
    let mark = member(object, "cache_control")?;
    let mark = mark.raw(object);
    let path = Path::Key(path, "cache_control");
    let mut edits = Vec::new();
    for name in names(cloud, Place::CacheControl) {
        if has(mark, name) {
            losses.add(Path::Key(&path, name), cloud.reason());
            edits.push(Edit::Remove(name));
        }
    }
    Some(Edit::Set("cache_control", Cow::Owned(splice::edited(mark, &edits)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(body: &str) -> (String, Vec<String>) {
        let mut losses = Losses::default();
        let edits = edits_for_bedrock(body.as_bytes(), &mut losses);
        let body = splice::edit(body.as_bytes(), &edits).unwrap();
        (String::from_utf8(body).unwrap(), losses.iter().map(|loss| loss.path.clone()).collect())
    }

    #[test]
    fn what_bedrock_does_not_know_goes_and_every_other_byte_stays() {
        for unknown in UNKNOWN {
            assert!(unknown.source.starts_with("https://"), "{}", unknown.name);
        }
        let (body, losses) = stripped(
            r#"{"speed":"fast","mcp_servers":[{"type":"url"}],"container":"c","tools":[{"name":"f", "eager_input_streaming":true,"input_schema":{"type":"object","properties":{"scope":{"minimum":1.00}}}},{"name":"g","cache_control":{"type":"ephemeral","scope":"global"}}],"system":[{"type":"text","text":"say \"scope\"","cache_control":{"scope":"global","type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"tool_use","input":{"scope":1,"cache_control":{"scope":2}}},{"type":"tool_result","content":[{"type":"text","cache_control":{"type":"ephemeral","scope":"x"}}]}]},{"role":"user","content":"hi"}]}"#,
        );
        assert_eq!(
            body,
            r#"{"tools":[{"name":"f" ,"input_schema":{"type":"object","properties":{"scope":{"minimum":1.00}}}},{"name":"g","cache_control":{"type":"ephemeral"}}],"system":[{"type":"text","text":"say \"scope\"","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"tool_use","input":{"scope":1,"cache_control":{"scope":2}}},{"type":"tool_result","content":[{"type":"text","cache_control":{"type":"ephemeral"}}]}]},{"role":"user","content":"hi"}]}"#
        );
        assert_eq!(
            losses,
            [
                "mcp_servers",
                "container",
                "speed",
                "tools[0].eager_input_streaming",
                "tools[1].cache_control.scope",
                "system[0].cache_control.scope",
                "messages[0].content[1].content[0].cache_control.scope"
            ]
        );
    }

    #[test]
    fn vertex_refuses_other_things() {
        let body = br#"{"mcp_servers":[{"name":"m"}],"container":{"id":"c"},"speed":"fast","inference_geo":"us","output_format":{},"tools":[{"eager_input_streaming":true}],"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral","scope":"global"}}]}]}"#;
        let mut losses = Losses::default();
        let edits = edits_for(Cloud::Vertex, body, &mut losses);
        let body = splice::edit(body, &edits).unwrap();
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"speed":"fast","tools":[{"eager_input_streaming":true}],"messages":[{"role":"user","content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}]}"#
        );
        assert_eq!(losses.count(), 5);
        assert!(losses.iter().all(|loss| loss.reason == "not known to Vertex AI"));
    }

    #[test]
    fn a_body_without_them_has_no_edits() {
        let mut losses = Losses::default();
        let body = br#"{"tools": [{"name": "scope"}], "messages": [{"content": "\"scope\" eager_input_streaming"}]}"#;
        assert_eq!(edits_for_bedrock(body, &mut losses), []);
        assert!(losses.is_empty());
    }
}
