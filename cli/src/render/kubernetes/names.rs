//! Names and values as Kubernetes and Gateway API have them.

use std::collections::BTreeSet;
use std::time::Duration;

/// The longest name that is made, in bytes: as a label's value it must not be longer.
const LONGEST: usize = 63;

/// A text as part of a name: lower case letters, digits and `-`.
pub(in crate::render) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

/// The names that are taken, by kind and namespace.
#[derive(Debug, Default)]
pub(in crate::render) struct Names(BTreeSet<(String, String, String)>);

impl Names {
    /// Marks a name as taken.
    pub(in crate::render) fn take(&mut self, kind: &str, namespace: &str, name: &str) -> bool {
        self.0.insert((kind.to_owned(), namespace.to_owned(), name.to_owned()))
    }

    /// Gives a name back.
    pub(in crate::render) fn free(&mut self, kind: &str, namespace: &str, name: &str) {
        self.0.remove(&(kind.to_owned(), namespace.to_owned(), name.to_owned()));
    }

    /// A name that begins with `wanted`: cut where it is too long, and numbered where it is taken.
    pub(in crate::render) fn unique(&mut self, kind: &str, namespace: &str, wanted: &str) -> String {
        let cut = |length: usize| wanted.chars().take(length).collect::<String>();
        let first = cut(LONGEST).trim_end_matches(['-', '.']).to_owned();
        if self.take(kind, namespace, &first) {
            return first;
        }
        let mut number = 2_usize;
        loop {
            let end = format!("-{number}");
            let name =
                format!("{}{end}", cut(LONGEST.saturating_sub(end.len())).trim_end_matches(['-', '.']));
            if self.take(kind, namespace, &name) {
                return name;
            }
            number = number.saturating_add(1);
        }
    }
}

/// A duration of Gateway API (GEP-2257).
pub(in crate::render) fn duration(duration: Duration) -> String {
    let mut milliseconds = duration.as_millis();
    let mut text = String::new();
    for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = milliseconds / length;
        milliseconds %= length;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for (text, expected) in [
            ("Qwen/Qwen3-1.7B", "qwen-qwen3-1-7b"),
            ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic-claude-3-haiku-20240307-v1-0"),
            ("//é", ""),
        ] {
            assert_eq!(slug(text), expected);
        }
    }

    #[test]
    fn a_name_is_given_once() {
        let mut names = Names::default();
        assert_eq!(names.unique("HTTPRoute", "default", "a"), "a");
        assert_eq!(names.unique("HTTPRoute", "default", "a"), "a-2");
        assert_eq!(names.unique("HTTPRoute", "other", "a"), "a");
        let long = "x".repeat(100);
        assert_eq!(names.unique("HTTPRoute", "default", &long).len(), LONGEST);
        let second = names.unique("HTTPRoute", "default", &long);
        assert!(second.len() == LONGEST && second.ends_with("-2"), "{second}");
    }

    #[test]
    fn durations() {
        for (seconds, expected) in [(0.0, "0s"), (120.0, "2m"), (0.5, "500ms"), (3601.25, "1h1s250ms")] {
            assert_eq!(duration(Duration::from_secs_f64(seconds)), expected);
        }
    }
}
