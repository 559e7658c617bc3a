//! An answer that must follow a JSON Schema: as Converse's own format where the model has that, else as the arguments
//! of a tool that the model is made to call, which come back to the client as the text of the answer.

use super::models::Model;
use super::rules::Rule;
use crate::chat::{Losses, Request, ResponseFormat};
use crate::wire::anthropic::tools::must_call;
use crate::wire::names::functions;
use crate::wire::raw::Members;

/// How the format is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Format<'a> {
    /// There is none.
    None,
    /// `outputConfig.textFormat`
    Text { name: Option<&'a str>, schema: &'a str },
    /// By this tool.
    Tool { name: String, schema: &'a str },
}

/// What the tool is called where the client has no name for its schema.
const TOOL: &str = "answer";

impl<'a> Format<'a> {
    /// How `request` can have its format from `model`. The answer is read by the same.
    pub(super) fn of(model: &Model<'_>, request: &'a Request, losses: &mut Losses) -> Self {
        let Some(format) = &request.response_format else { return Self::None };
        let ResponseFormat::JsonSchema { name, schema, .. } = format else {
            losses.add("response_format", Rule::NoJsonMode);
            return Self::None;
        };
        let name = name.as_deref().filter(|name| !name.is_empty());
        if model.takes_json_schema() {
            return Self::Text { name, schema };
        }
        // A call is the answer, and its arguments have a schema of their own.
        if must_call(request) {
            return Self::None;
        }
        let kind = Members::of(schema).get("type").map(|kind| kind.get() == r#""object""#);
        if kind == Some(false) {
            losses.add("response_format", Rule::FormatOfObjects);
            return Self::None;
        }
        if !model.can_be_made_to_call() {
            losses.add("response_format", Rule::NoFormat);
            return Self::None;
        }
        let mut name = model.tool_name(name.unwrap_or(TOOL)).into_owned();
        while functions(&request.tools).any(|tool| model.tool_name(&tool.name) == name) {
            name = model.tool_name(&format!("{name}_")).into_owned();
        }
        Self::Tool { name, schema }
    }

    /// The tool that stands for the text of the answer.
    pub(super) fn tool(&self) -> Option<&str> {
        match self {
            Self::Tool { name, .. } => Some(name),
            Self::None | Self::Text { .. } => None,
        }
    }
}
