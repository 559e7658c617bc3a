//! Whether and how hard to think: within a budget or by levels, as the model takes it.

use super::model::{Generation, Level, Model};
use super::rules::Rule;
use super::types::ThinkingConfig;
use crate::chat::{Losses, Request, Thinking, ThinkingMode};
use crate::error::Result;
use crate::wire::fields::Path;

/// Tokens to think with for an effort, as Google's own translation of OpenAI's API has them, at which levels begin as
/// well:
/// <https://ai.google.dev/gemini-api/docs/openai>.
const LOW: u64 = 1024;
const MEDIUM: u64 = 8192;
const HIGH: u64 = 24_576;

/// The efforts of OpenAI's API.
const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/// What is asked for. `None` leaves it to the model. `own` is whether thoughts are shown, in Gemini's words.
///
/// # Errors
///
/// 422 for a word that is no effort.
pub(super) fn thinking(
    request: &Request,
    model: Model,
    own: Option<bool>,
    losses: &mut Losses,
) -> Result<Option<ThinkingConfig>> {
    let asked = &request.thinking;
    if let Some(effort) = asked.effort.as_deref().filter(|effort| !EFFORTS.contains(effort)) {
        return Err(Path::Key(&Path::Root, "reasoning_effort").unprocessable(format_args!(
            "{effort:?} is not supported by Gemini (must be one of {})",
            EFFORTS.join(", ")
        )));
    }
    let is_off = asked.mode == Some(ThinkingMode::Disabled)
        || asked.mode.is_none() && asked.effort.as_deref() == Some("none");
    let shown = match asked.display.as_deref() {
        Some("omitted") => Some(false),
        _ => asked.include_thoughts.or(own),
    };
    // Who asks for thoughts in Anthropic's words is shown them.
    let is_on = matches!(asked.mode, Some(ThinkingMode::Enabled | ThinkingMode::Adaptive));
    let include_thoughts =
        if is_off { shown.filter(|shown| *shown) } else { shown.or(is_on.then_some(true)) };
    let mut config = ThinkingConfig { include_thoughts, thinking_budget: None, thinking_level: None };
    match model.generation {
        Generation::Thoughtless => {
            if !is_off && (is_on || asked.effort.is_some() || asked.budget_tokens.is_some()) {
                losses.add(word(asked), Rule::NoThinking);
            }
            return Ok(None);
        }
        Generation::Budget => config.thinking_budget = budget(asked, is_off, model, losses),
        Generation::Levels => config.thinking_level = level(asked, is_off, model, losses).map(Level::word),
    }
    let is_nothing = config.include_thoughts.is_none()
        && config.thinking_budget.is_none()
        && config.thinking_level.is_none();
    Ok((!is_nothing).then_some(config))
}

/// Which member asks for it.
fn word(asked: &Thinking) -> &'static str {
    if asked.mode.is_some() || asked.budget_tokens.is_some() { "thinking" } else { "reasoning_effort" }
}

fn budget(asked: &Thinking, is_off: bool, model: Model, losses: &mut Losses) -> Option<i64> {
    let (least, most, may_be_off) = model.budget();
    let wanted = if is_off {
        if may_be_off {
            return Some(0);
        }
        losses.add(word(asked), Rule::AlwaysThinks);
        return i64::try_from(least).ok();
    } else if let Some(budget) = asked.budget_tokens {
        if asked.effort.is_some() {
            losses.add("reasoning_effort", Rule::BudgetCounts);
        }
        budget
    } else {
        match asked.effort.as_deref() {
            None if asked.mode.is_some() => return Some(-1),
            None => return None,
            Some("none" | "minimal" | "low") => LOW,
            Some("medium") => MEDIUM,
            Some("high") => HIGH,
            Some(_) => most,
        }
    };
    if asked.budget_tokens == Some(0) && may_be_off {
        return Some(0);
    }
    let taken = wanted.clamp(least, most);
    if taken != wanted {
        losses.add("thinking.budget_tokens", Rule::Budget);
    }
    i64::try_from(taken).ok()
}

fn level(asked: &Thinking, is_off: bool, model: Model, losses: &mut Losses) -> Option<Level> {
    let levels = model.levels();
    let least = levels.first().copied();
    if is_off {
        losses.add(word(asked), Rule::AlwaysThinks);
        return least;
    }
    let wanted = match (asked.effort.as_deref(), asked.budget_tokens) {
        (None, None) => return None,
        (Some(effort), budget) => {
            if budget.is_some() {
                losses.add(
                    "thinking.budget_tokens",
                    "this model thinks by levels, and reasoning_effort says which",
                );
            }
            let level = match effort {
                "none" | "minimal" => Level::Minimal,
                "low" => Level::Low,
                "medium" => Level::Medium,
                _ => Level::High,
            };
            if matches!(effort, "xhigh" | "max") {
                losses.add("reasoning_effort", Rule::Level);
            }
            level
        }
        (None, Some(budget)) => {
            losses.add("thinking.budget_tokens", Rule::LevelNotBudget);
            match budget {
                0 => Level::Minimal,
                1..=LOW => Level::Low,
                budget if budget <= MEDIUM => Level::Medium,
                _ => Level::High,
            }
        }
    };
    // The next higher one, as Gemini 3 Pro does with what it does not have between LOW and HIGH.
    let taken = levels.iter().copied().find(|level| *level >= wanted).or(levels.last().copied());
    if taken != Some(wanted) && asked.effort.is_some() {
        losses.add("reasoning_effort", Rule::Level);
    }
    taken
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sent(model: &str, thinking: Thinking) -> (Value, usize) {
        let mut losses = Losses::default();
        let request = Request { thinking, ..Request::default() };
        let config = super::thinking(&request, Model::named(model), None, &mut losses).unwrap();
        (config.map(|config| serde_json::to_value(config).unwrap()).unwrap_or_default(), losses.count())
    }

    #[test]
    fn every_effort_becomes_what_the_model_takes() {
        for (model, effort, expected, losses) in [
            ("gemini-2.5-pro", "none", json!({"thinkingBudget": 128}), 1),
            ("gemini-2.5-flash", "none", json!({"thinkingBudget": 0}), 0),
            ("gemini-2.5-flash", "minimal", json!({"thinkingBudget": 1024}), 0),
            ("gemini-2.5-flash", "medium", json!({"thinkingBudget": 8192}), 0),
            ("gemini-2.5-flash", "max", json!({"thinkingBudget": 24_576}), 0),
            ("gemini-2.5-pro", "max", json!({"thinkingBudget": 32_768}), 0),
            ("gemini-3-pro-preview", "none", json!({"thinkingLevel": "LOW"}), 1),
            ("gemini-3-pro-preview", "minimal", json!({"thinkingLevel": "LOW"}), 1),
            ("gemini-3-pro-preview", "medium", json!({"thinkingLevel": "HIGH"}), 1),
            ("gemini-3-pro-preview", "high", json!({"thinkingLevel": "HIGH"}), 0),
            ("gemini-3.1-pro", "medium", json!({"thinkingLevel": "MEDIUM"}), 0),
            ("gemini-3-flash", "none", json!({"thinkingLevel": "MINIMAL"}), 1),
            ("gemini-3-flash", "minimal", json!({"thinkingLevel": "MINIMAL"}), 0),
            ("gemini-3-flash", "xhigh", json!({"thinkingLevel": "HIGH"}), 1),
            ("gemini-2.0-flash", "none", Value::Null, 0),
            ("gemini-2.0-flash", "low", Value::Null, 1),
        ] {
            let asked = Thinking { effort: Some(effort.to_owned()), ..Thinking::default() };
            assert_eq!(sent(model, asked), (expected, losses), "{model} {effort}");
        }
    }

    #[test]
    fn every_budget_and_mode_becomes_what_the_model_takes() {
        use ThinkingMode::{Adaptive, Disabled, Enabled};
        for (model, mode, budget, expected, losses) in [
            ("gemini-2.5-flash", Enabled, Some(5), json!({"includeThoughts": true, "thinkingBudget": 5}), 0),
            (
                "gemini-2.5-flash-lite",
                Enabled,
                Some(5),
                json!({"includeThoughts": true, "thinkingBudget": 512}),
                1,
            ),
            (
                "gemini-2.5-pro",
                Enabled,
                Some(64_000),
                json!({"includeThoughts": true, "thinkingBudget": 32_768}),
                1,
            ),
            ("gemini-2.5-pro", Adaptive, None, json!({"includeThoughts": true, "thinkingBudget": -1}), 0),
            ("gemini-2.5-flash", Disabled, None, json!({"thinkingBudget": 0}), 0),
            ("gemini-2.5-pro", Disabled, None, json!({"thinkingBudget": 128}), 1),
            (
                "gemini-3-pro-preview",
                Enabled,
                Some(2000),
                json!({"includeThoughts": true, "thinkingLevel": "HIGH"}),
                1,
            ),
            (
                "gemini-3-flash",
                Enabled,
                Some(2000),
                json!({"includeThoughts": true, "thinkingLevel": "MEDIUM"}),
                1,
            ),
            ("gemini-3-flash", Adaptive, None, json!({"includeThoughts": true}), 0),
            ("gemini-3-flash", Disabled, None, json!({"thinkingLevel": "MINIMAL"}), 1),
            ("gemini-2.0-flash", Disabled, None, Value::Null, 0),
            ("gemini-2.0-flash", Enabled, Some(2000), Value::Null, 1),
        ] {
            let asked = Thinking { mode: Some(mode), budget_tokens: budget, ..Thinking::default() };
            assert_eq!(sent(model, asked), (expected, losses), "{model} {mode:?} {budget:?}");
        }
        let hidden =
            Thinking { mode: Some(Enabled), display: Some("omitted".to_owned()), ..Thinking::default() };
        assert_eq!(sent("gemini-3-flash", hidden).0, json!({"includeThoughts": false}));
        let shown = Thinking { include_thoughts: Some(true), ..Thinking::default() };
        assert_eq!(sent("gemini-2.5-flash", shown).0, json!({"includeThoughts": true}));
    }
}
