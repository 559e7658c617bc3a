//! Which Gemini models take which of the newer fields, by their names.

/// What a model is, as far as requests depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) generation: Generation,
    size: Size,
    /// Major and minor version, where the name has one.
    version: Option<(u32, u32)>,
}

/// How it thinks, with which came how it takes JSON Schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    /// 2.0 and older: not at all.
    Thoughtless,
    /// 2.5: within a budget.
    Budget,
    /// 3 and newer: by levels.
    Levels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Pro,
    Flash,
    FlashLite,
}

impl Model {
    /// A name without a version, such as `gemini-flash-latest`, is that of the newest; one that is not Gemini's, such
    /// as that of a tuned model, is taken for one of 2.5.
    pub(super) fn named(name: &str) -> Model {
        let gemini = name.find("gemini-").map(|start| name.get(start..).unwrap_or_default());
        let version = gemini.and_then(version);
        let generation = match (gemini, version) {
            (None, _) => Generation::Budget,
            (_, Some(version)) if version < (2, 5) => Generation::Thoughtless,
            (_, Some(version)) if version < (3, 0) => Generation::Budget,
            _ => Generation::Levels,
        };
        let size = if name.contains("flash-lite") {
            Size::FlashLite
        } else if name.contains("flash") {
            Size::Flash
        } else {
            Size::Pro
        };
        Model { generation, size, version }
    }

    /// The least and the most tokens to think with, and whether it can be asked not to:
    /// <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking#budget>.
    pub(super) fn budget(self) -> (u64, u64, bool) {
        match self.size {
            Size::Pro => (128, 32_768, false),
            Size::Flash => (1, 24_576, true),
            Size::FlashLite => (512, 24_576, true),
        }
    }

    /// Its levels, the lowest first: <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking>. Flash took
    /// MINIMAL until 3.6; a later one refuses it: <https://github.com/simonw/llm-gemini/releases/tag/0.34>.
    pub(super) fn levels(self) -> &'static [Level] {
        match (self.size, self.version) {
            (Size::Pro, Some((3, 0))) => &[Level::Low, Level::High],
            (Size::Pro, _) => &[Level::Low, Level::Medium, Level::High],
            (Size::Flash, None | Some((3, 7..) | (4.., _))) => &[Level::Low, Level::Medium, Level::High],
            (Size::Flash | Size::FlashLite, _) => &[Level::Minimal, Level::Low, Level::Medium, Level::High],
        }
    }

    /// Whether a schema may be JSON Schema as it is.
    pub(super) fn takes_json_schema(self) -> bool {
        self.generation != Generation::Thoughtless
    }

    /// Whether calls have names, results have pictures in them, pictures have levels of detail, and the answer may be
    /// JSON beside functions.
    pub(super) fn is_newest(self) -> bool {
        self.generation == Generation::Levels
    }
}

/// `thinkingLevel`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Minimal,
    Low,
    Medium,
    High,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Level::Minimal => "MINIMAL",
            Level::Low => "LOW",
            Level::Medium => "MEDIUM",
            Level::High => "HIGH",
        }
    }
}

/// `gemini-2.5-flash` has 2.5, `gemini-3-pro-preview` 3.0.
fn version(name: &str) -> Option<(u32, u32)> {
    let number = name.strip_prefix("gemini-")?.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_a_model_thinks() {
        use Generation::{Budget, Levels, Thoughtless};
        for (name, generation, size) in [
            ("gemini-1.5-pro-002", Thoughtless, Size::Pro),
            ("gemini-2.0-flash-001", Thoughtless, Size::Flash),
            ("gemini-2.5-pro", Budget, Size::Pro),
            ("google/gemini-2.5-flash-lite-preview-09-2025", Budget, Size::FlashLite),
            ("gemini-3-pro-preview", Levels, Size::Pro),
            ("gemini-3.8-flash", Levels, Size::Flash),
            ("gemini-4-argon", Levels, Size::Pro),
            ("gemini-flash-latest", Levels, Size::Flash),
            ("1234567890", Budget, Size::Pro),
        ] {
            let model = Model::named(name);
            assert_eq!((model.generation, model.size), (generation, size), "{name}");
        }
        assert_eq!(Model::named("gemini-3-pro-preview").levels(), [Level::Low, Level::High]);
        assert_eq!(Model::named("gemini-3.1-pro").levels().len(), 3);
        for (name, lowest) in [
            ("gemini-3-flash-preview", Level::Minimal),
            ("gemini-3.5-flash-lite", Level::Minimal),
            ("gemini-3.8-flash", Level::Low),
            ("gemini-flash-latest", Level::Low),
        ] {
            assert_eq!(Model::named(name).levels().first(), Some(&lowest), "{name}");
        }
    }
}
