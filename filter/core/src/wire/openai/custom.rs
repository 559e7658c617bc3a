//! Custom tools: what the model gives them is a text. Other APIs have functions only, so such a tool is a function with
//! a text as its one argument, and its calls are told as what they are for.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;

use crate::chat::{Function, Losses, Tool, Verbatim};
use crate::error::Result;
use crate::wire::fields::Fields;
use crate::wire::names::functions;

/// The name of the argument.
const INPUT: &str = "input";

/// The arguments that say a text which comes in pieces: before it, and behind.
pub(in crate::wire) const BEFORE: &str = "{\"input\":\"";
pub(in crate::wire) const BEHIND: &str = "\"}";

/// The function that stands for the custom tool in `fields`. `grammar_in`: the member of its format that has the
/// grammar, where that is not the format itself.
pub(in crate::wire) fn function(
    fields: &mut Fields<'_>,
    grammar_in: Option<&str>,
    losses: &mut Losses,
) -> Result<Function> {
    let name = fields.required_string("name")?;
    let mut description = fields.string("description")?;
    if let Some(format) = fields.take("format") {
        let path = fields.path("format");
        let mut format = Fields::new(&path, format)?;
        if format.required_text("type")? == "grammar" {
            let before = description.map(|description| format!("{description}\n\n")).unwrap_or_default();
            let told = match grammar_in {
                None => grammar(&mut format)?,
                Some(member) => {
                    let grammar = format.take(member).ok_or_else(|| format.missing(member))?;
                    let path = format.path(member);
                    let mut fields = Fields::new(&path, grammar)?;
                    let told = self::grammar(&mut fields)?;
                    fields.finish(losses);
                    told
                }
            };
            description = Some(format!("{before}{told}"));
            losses.add(path, "the model is told the grammar and may stray from it");
        }
        format.finish(losses);
    }
    let members = json!({ INPUT: { "type": "string" } });
    let parameters =
        json!({"type": "object", "properties": members, "required": [INPUT], "additionalProperties": false});
    let parameters = Some(Verbatim::new(parameters.to_string()));
    Ok(Function { name, description, parameters, is_custom: true, ..Function::default() })
}

/// What the model is told of a grammar.
fn grammar(fields: &mut Fields<'_>) -> Result<String> {
    let (syntax, grammar) = (fields.required_string("syntax")?, fields.required_string("definition")?);
    Ok(format!("The input follows this grammar ({syntax}):\n{grammar}"))
}

/// The arguments that say `input`.
pub(in crate::wire) fn arguments(input: &str) -> String {
    json!({ INPUT: input }).to_string()
}

/// A piece of the text as it stands between [`BEFORE`] and [`BEHIND`].
pub(in crate::wire) fn piece(text: &str) -> String {
    let mut quoted = json!(text).to_string();
    quoted.pop();
    quoted.split_off(1)
}

/// What the arguments say: the text, or what the model wrote in its place.
pub(in crate::wire) fn input(arguments: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow)]
        input: Cow<'a, str>,
    }
    serde_json::from_str(arguments).map_or(Cow::Borrowed(arguments), |Arguments { input }| input)
}

/// Whether the tool of this name is a custom one.
pub(in crate::wire) fn is_custom(tools: &[Tool], name: &str) -> bool {
    functions(tools).any(|function| function.is_custom && function.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for text in ["", "*** Begin Patch\n\"x\"\n", "{\"input\": 1}", "é\u{1f600}\\"] {
            assert_eq!(input(&arguments(text)), text);
            let pieces: String = text.chars().map(|char| piece(&char.to_string())).collect();
            assert_eq!(format!("{BEFORE}{pieces}{BEHIND}"), arguments(text));
        }
        for other in ["", "plain", "{\"inp", "{\"input\": 1}", "{\"text\": \"x\"}"] {
            assert_eq!(input(other), other);
        }
    }
}
