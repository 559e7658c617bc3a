//! Whether and how hard Claude is to think, from what a client asks and what its model and history allow.
//!
//! <https://platform.claude.com/docs/en/build-with-claude/thinking>

use super::models::{EFFORT_LEVELS, ModelNames};
use super::rules::Rule;
use super::types::{Block, Message, Own, Thinking};
use crate::chat::{Losses, Request, ThinkingMode};
use crate::error::Result;
use crate::wire::fields::{NOT_BETWEEN_TOOLS, Path};

/// `thinking`. What the model or the conversation does not allow is a 400 at Claude's, and a loss here.
pub(in crate::wire) fn thinking<'a>(
    request: &'a Request,
    names: ModelNames<'_>,
    messages: &[Message<'_>],
    max_tokens: u64,
    must_call: bool,
    losses: &mut Losses,
) -> Option<Thinking<'a>> {
    let thinking = &request.thinking;
    if thinking.include_thoughts.is_some() {
        losses.add("thinking.include_thoughts", "Anthropic always shows thoughts");
    }
    let Some(mode) = thinking.mode else {
        // A model that thinks unless it is told not to.
        let is_off = thinking.effort.as_deref() == Some("none") && names.takes_effort();
        return is_off.then(|| off(request, names, &mut Losses::default())).flatten();
    };
    let on = |kind, budget_tokens| {
        Some(Thinking { kind, budget_tokens, display: thinking.display.as_deref(), own: own(request) })
    };
    match mode {
        ThinkingMode::Disabled => off(request, names, losses),
        ThinkingMode::Adaptive if names.thinks_as_it_sees_fit() => {
            if thinking.budget_tokens.is_some() {
                losses.add("thinking.budget_tokens", "a model that thinks as it sees fit takes no budget");
            }
            on("adaptive", None)
        }
        ThinkingMode::Enabled if !names.thinks_within_budget() => {
            losses.add("thinking.budget_tokens", Rule::NoBudget);
            on("adaptive", None)
        }
        mode => {
            let refused = if must_call {
                Some(Rule::ForcedCallAndBudget)
            } else if is_thoughtless(messages) {
                Some(Rule::TurnWithoutThought)
            } else if max_tokens <= MIN_BUDGET {
                Some(Rule::NoRoomToThink)
            } else {
                None
            };
            if let Some(rule) = refused {
                losses.add("thinking", rule);
                return None;
            }
            let budget = budget(thinking.budget_tokens, max_tokens);
            if mode == ThinkingMode::Adaptive && thinking.budget_tokens.is_none() {
                losses.add("thinking", Rule::NoAdaptive);
            } else if Some(budget) != thinking.budget_tokens {
                losses.add("thinking.budget_tokens", Rule::Budget);
            }
            on("enabled", Some(budget))
        }
    }
}

/// The least `budget_tokens`, here and below by
/// <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>.
const MIN_BUDGET: u64 = 1024;

/// A budget that Claude takes beside this `max_tokens`, which is over [`MIN_BUDGET`] and counts thoughts, too: half of
/// it where the client's leaves no room for an answer, or there is none.
fn budget(asked: Option<u64>, max_tokens: u64) -> u64 {
    asked.filter(|budget| *budget < max_tokens).unwrap_or(max_tokens / 2).max(MIN_BUDGET)
}

fn off<'a>(request: &'a Request, names: ModelNames<'_>, losses: &mut Losses) -> Option<Thinking<'a>> {
    let has_high_effort = matches!(request.thinking.effort.as_deref(), Some("xhigh" | "max"));
    let refused = if names.always_thinks() {
        Some(Rule::AlwaysThinks)
    } else if has_high_effort && names.thinks_with_high_effort() {
        Some(Rule::HighEffortThinks)
    } else {
        None
    };
    if let Some(rule) = refused {
        losses.add("thinking", rule);
        return None;
    }
    let kind = if names.thinks_between_tools() { "between_tools" } else { "disabled" };
    if request.thinking.between_tools && kind == "disabled" {
        losses.add("thinking", NOT_BETWEEN_TOOLS);
    }
    Some(Thinking { kind, budget_tokens: None, display: None, own: own(request) })
}

/// What else of it only Anthropic knows.
fn own(request: &Request) -> Own<'_> {
    Own::below("thinking", request.extra.as_deref())
}

/// Whether Claude is in the middle of a turn that it did not begin with a thought: "When `thinking` is enabled, a final
/// `assistant` message must start with a thinking block (preceding the lastmost set of `tool_use` and `tool_result`
/// blocks)". A turn is everything since the user last spoke, results of tools aside; Claude thinks at its beginning.
fn is_thoughtless(messages: &[Message<'_>]) -> bool {
    let mut is_in_turn = false;
    // The user said something since, and brought no results.
    let mut is_answered = false;
    for message in messages.iter().rev() {
        if message.role == "assistant" {
            if is_answered {
                break;
            }
            if message.content.first().is_some_and(Block::is_thought) {
                return false;
            }
            is_in_turn = true;
            is_answered = true;
        } else if message.content.iter().any(|block| matches!(block, Block::ToolResult { .. })) {
            is_answered = false;
        } else if !is_in_turn {
            // A word beside the results does not end the turn, but one without any does.
            is_answered = true;
        }
    }
    is_in_turn
}

/// `output_config.effort`: OpenAI's levels go from `none` to `xhigh`, Claude's from `low` to `max`. A level that the
/// model does not have becomes the next lower one that it has, or its lowest, and is a loss.
///
/// # Errors
///
/// 422 for a word that is no level of either.
pub(in crate::wire) fn effort<'a>(
    request: &'a Request,
    names: ModelNames<'_>,
    losses: &mut Losses,
) -> Result<Option<&'a str>> {
    let Some(effort) = request.thinking.effort.as_deref() else { return Ok(None) };
    if !names.takes_effort() {
        // These think only when they are told to, so that is what `none` asks for.
        if effort != "none" {
            losses.add("reasoning_effort", "this model has no effort levels");
        }
        return Ok(None);
    }
    Ok(match effort {
        "none" if names.always_thinks() => {
            losses.add("reasoning_effort", "this model always thinks; sent as low");
            Some("low")
        }
        "none" => None,
        "minimal" => {
            losses.add("reasoning_effort", "Claude has no minimal effort; sent as low");
            Some("low")
        }
        "xhigh" | "max" if !names.takes_level(effort) => {
            losses.add("reasoning_effort", "this model has no effort this high; sent as high");
            Some("high")
        }
        level if EFFORT_LEVELS.contains(&level) => Some(level),
        _ => {
            return Err(Path::Key(&Path::Root, "reasoning_effort").unprocessable(format_args!(
                "{effort:?} is not supported by Anthropic (must be one of none, minimal, {})",
                EFFORT_LEVELS.join(", ")
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::chat::Losses;
    use crate::wire::anthropic::{DEFAULT_MAX_TOKENS, Envelope, Params, encode_request};
    use crate::wire::openai_chat::decode_request;

    /// What Claude gets of `extra` and a history, and what is lost.
    fn sent(model: &str, extra: Value, history: &[Value]) -> (Value, Vec<String>) {
        let mut request = json!({"model": model, "messages": [{"role": "user", "content": "Hi"}]});
        request["messages"].as_array_mut().unwrap().extend_from_slice(history);
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let mut losses = Losses::default();
        let request = decode_request(request.to_string().as_bytes(), &mut losses).unwrap();
        let params = Params { envelope: Envelope::Native, model, default_max_tokens: DEFAULT_MAX_TOKENS };
        let body = encode_request(&params, &request, &mut losses).unwrap();
        (serde_json::from_slice(&body).unwrap(), losses.lines())
    }

    #[test]
    fn every_effort_becomes_one_that_the_model_has() {
        for (model, asked, effort, thinking, is_lost) in [
            ("claude-opus-4-7", "none", None, Some("disabled"), false),
            ("claude-opus-4-7", "minimal", Some("low"), None, true),
            ("claude-opus-4-7", "low", Some("low"), None, false),
            ("claude-opus-4-7", "xhigh", Some("xhigh"), None, false),
            ("claude-opus-4-7", "max", Some("max"), None, false),
            ("claude-opus-4-6", "xhigh", Some("high"), None, true),
            ("claude-opus-4-6", "max", Some("max"), None, false),
            ("claude-opus-4-5-20251101", "xhigh", Some("high"), None, true),
            ("claude-opus-4-5-20251101", "max", Some("high"), None, true),
            ("claude-opus-4-5-20251101", "medium", Some("medium"), None, false),
            ("claude-sonnet-4-5", "none", None, None, false),
            ("claude-sonnet-4-5", "minimal", None, None, true),
            ("claude-sonnet-4-5", "high", None, None, true),
            ("claude-opus-5-5", "none", Some("low"), None, true),
            ("claude-sonnet-5-5", "none", None, Some("between_tools"), false),
        ] {
            let (body, losses) = sent(model, json!({"reasoning_effort": asked}), &[]);
            let case = format!("{model} {asked}: {body} {losses:?}");
            assert_eq!(body.pointer("/output_config/effort").and_then(Value::as_str), effort, "{case}");
            assert_eq!(body.pointer("/thinking/type").and_then(Value::as_str), thinking, "{case}");
            assert_eq!(!losses.is_empty(), is_lost, "{case}");
        }
    }

    #[test]
    fn thinking_is_asked_for_as_the_model_takes_it() {
        for (model, asked, kind, is_lost) in [
            ("claude-sonnet-4-5", "enabled", Some("enabled"), false),
            ("claude-sonnet-4-6", "enabled", Some("enabled"), false),
            ("claude-opus-4-7", "enabled", Some("adaptive"), true),
            ("claude-opus-5-5", "enabled", Some("adaptive"), true),
            ("claude-opus-4-7", "adaptive", Some("adaptive"), false),
            ("some-alias", "adaptive", Some("adaptive"), false),
            ("some-alias", "enabled", Some("enabled"), false),
            ("claude-opus-5", "disabled", Some("disabled"), false),
            ("claude-opus-5-5", "disabled", None, true),
            ("claude-sonnet-5-5", "disabled", Some("between_tools"), false),
            ("claude-sonnet-5-5", "between_tools", Some("between_tools"), false),
            ("claude-opus-5", "between_tools", Some("disabled"), true),
            ("claude-opus-5-5", "between_tools", None, true),
        ] {
            let budget = (asked == "enabled").then_some(1024);
            let asked = json!({"thinking": {"type": asked, "budget_tokens": budget}, "max_tokens": 4000});
            let (body, losses) = sent(model, asked, &[]);
            assert_eq!(body.pointer("/thinking/type").and_then(Value::as_str), kind, "{model}: {body}");
            assert_eq!(body.pointer("/thinking/budget_tokens").is_some(), kind == Some("enabled"), "{body}");
            assert_eq!(!losses.is_empty(), is_lost, "{model}: {losses:?}");
        }
    }

    #[test]
    fn a_turn_that_began_without_a_thought_goes_on_without() {
        let call = json!({"role": "assistant", "content": null,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
        let mut thought = call.clone();
        thought["thinking_blocks"] = json!([{"type": "thinking", "thinking": "t", "signature": "claude:s"}]);
        // From before the gateway marked them, or of another provider: the conversation goes on without.
        let mut foreign = thought.clone();
        foreign["thinking_blocks"][0]["signature"] = json!("s");
        let mut of_gemini = thought.clone();
        of_gemini["thinking_blocks"][0]["signature"] = json!("gemini:s");
        let mut unsigned = call.clone();
        unsigned["reasoning_content"] = json!("t");
        let mut text = call.clone();
        text["content"] = json!("I look.");
        let result = json!({"role": "tool", "tool_call_id": "c", "content": "r"});
        let said = json!({"role": "assistant", "content": "Hello"});
        let user = json!({"role": "user", "content": "And?"});
        let list =
            |messages: &[&Value]| messages.iter().map(|message| (*message).clone()).collect::<Vec<_>>();
        for (history, thinks) in [
            (list(&[]), true),
            (list(&[&call, &result]), false),
            (list(&[&text, &result]), false),
            (list(&[&unsigned, &result]), false),
            (list(&[&foreign, &result]), false),
            (list(&[&of_gemini, &result]), false),
            (list(&[&call, &result, &user]), false),
            (list(&[&call, &result, &call, &result]), false),
            (list(&[&thought, &result]), true),
            (list(&[&thought, &result, &call, &result]), true),
            (list(&[&call, &result, &said, &user]), true),
            (list(&[&call, &result, &said, &user, &call, &result]), false),
            (list(&[&thought, &result, &said, &user, &call, &result]), false),
            (list(&[&said, &user]), true),
            (list(&[&said]), false),
        ] {
            let asked = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000});
            let (body, losses) = sent("claude-sonnet-4-5", asked, &history);
            assert_eq!(body.get("thinking").is_some(), thinks, "{history:?}");
            assert_eq!(losses.iter().any(|loss| loss.starts_with("thinking: ")), !thinks, "{losses:?}");
        }
        let forced = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000,
            "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"});
        let (body, losses) = sent("claude-sonnet-4-5", forced, &[]);
        assert_eq!((body.get("thinking"), losses.len()), (None, 1), "{losses:?}");
    }
}
