//! What is wrong, where, and what to do about it.

use std::fmt;

use super::decode::MISSING;
use super::set::ResourceId;

/// One mistake or warning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// The file, with `:line:column` where the mistake is one of YAML; empty when it concerns all files together.
    pub file: String,
    /// `Kind namespace/name`; empty when there is no single resource.
    pub resource: String,
    /// Path of the field, such as `spec.rules[0].backendRefs[1].name`; empty when it is the resource as a whole.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in [&self.file, &self.resource, &self.field] {
            if !place.is_empty() {
                write!(f, "{place}: ")?;
            }
        }
        f.write_str(&self.message)
    }
}

/// The mistakes and warnings found so far, in the order of their discovery.
#[derive(Debug, Default)]
pub struct Report {
    /// These make the resources unusable.
    pub errors: Vec<Diagnostic>,
    /// These do not.
    pub warnings: Vec<Diagnostic>,
}

impl Report {
    /// Records a mistake in a field of a resource. The same mistake is recorded once.
    pub fn error(&mut self, id: &ResourceId, field: impl Into<String>, message: impl Into<String>) {
        push(&mut self.errors, at(id, field, message));
    }

    /// Records something that is suspicious but can be run.
    pub fn warning(&mut self, id: &ResourceId, field: impl Into<String>, message: impl Into<String>) {
        push(&mut self.warnings, at(id, field, message));
    }

    /// Whether a mistake was recorded in a field or below it, so that what follows from it need not be.
    #[must_use]
    pub fn has_error(&self, id: &ResourceId, field: &str) -> bool {
        let resource = id.to_string();
        self.errors.iter().any(|error| {
            error.resource == resource
                && error.file == *id.file
                && error
                    .field
                    .strip_prefix(field)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Records a mistake that belongs to a file, or to no place in particular.
    pub fn file_error(&mut self, file: impl Into<String>, message: impl Into<String>) {
        let diagnostic = Diagnostic {
            file: file.into(),
            resource: String::new(),
            field: String::new(),
            message: message.into(),
        };
        push(&mut self.errors, diagnostic);
    }
}

fn at(id: &ResourceId, field: impl Into<String>, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        file: id.file.to_string(),
        resource: id.to_string(),
        field: field.into(),
        message: message.into().replace(MISSING, "(missing)"),
    }
}

/// A rule that is compiled for several listeners finds its mistakes as often; they are said once.
fn push(list: &mut Vec<Diagnostic>, diagnostic: Diagnostic) {
    if !list.contains(&diagnostic) {
        list.push(diagnostic);
    }
}

/// `, did you mean "x"?` when one of the candidates is close, else the candidates themselves.
#[must_use]
pub fn hint<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    const LISTED: usize = 12;
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(best) = closest(given, &candidates) {
        return format!("did you mean `{best}`?");
    }
    if candidates.is_empty() {
        return "there is none".to_owned();
    }
    let mut listed =
        candidates.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if candidates.len() > LISTED {
        listed.push_str(&format!(" and {} more", candidates.len() - LISTED));
    }
    format!("there is {listed}")
}

/// The candidate nearest to what was written, if it is near enough to be a slip of the pen.
#[must_use]
pub fn closest<'a>(given: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let lower = given.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(given.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_or_all() {
        assert_eq!(hint("qwen", ["qwen3", "gpt-oss"]), "did you mean `qwen3`?");
        assert_eq!(hint("bedrock-aws", ["qwen3", "gpt-oss"]), "there is `qwen3`, `gpt-oss`");
        assert_eq!(hint("x", []), "there is none");
    }

    #[test]
    fn a_place_that_is_unknown_is_left_out() {
        let mut report = Report::default();
        report.file_error("", "there is no Gateway");
        report.file_error("a.yaml:3:1", "broken");
        let lines: Vec<_> = report.errors.iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["there is no Gateway", "a.yaml:3:1: broken"]);
    }
}
