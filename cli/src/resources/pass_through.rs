//! The annotation that gives a part of the gateway's paths to a backend.

use weir_core::endpoint::{Endpoint, behind};

/// A prefix of paths, and where requests below it go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassThrough {
    /// `/bedrock`: whole segments, without a slash at the end.
    pub prefix: String,
    /// An AIServiceBackend of the route's namespace.
    pub backend: String,
    /// What stands in the place of the prefix there; may be empty.
    pub path: String,
}

/// Reads `/bedrock=bedrock, /v1/files=openai/v1/files`: prefixes, each with its backend and a path there. Commas or
/// line ends stand in between. A prefix may have several backends: all but the first are for the models whose rules
/// name them.
///
/// # Errors
///
/// What is wrong with it, and how to write it.
pub fn parse(text: &str) -> Result<Vec<PassThrough>, String> {
    let mut list: Vec<PassThrough> = Vec::new();
    for entry in text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let passed = one(entry)?;
        let PassThrough { prefix, .. } = &passed;
        if list.iter().any(|other| (&other.prefix, &other.backend) == (prefix, &passed.backend)) {
            return Err(format!("`{prefix}={}` is there twice; remove one of the two", passed.backend));
        }
        let overlaps = |other: &&PassThrough| {
            let meets = behind(prefix, &other.prefix).or_else(|| behind(&other.prefix, prefix)).is_some();
            meets && other.prefix != *prefix
        };
        if let Some(other) = list.iter().find(overlaps) {
            return Err(format!("`{prefix}` and `{}` overlap; give each its own path", other.prefix));
        }
        if let Some((endpoint, path)) = Endpoint::hidden_by(prefix) {
            let name = endpoint.operation().name;
            return Err(format!(
                "`{prefix}` would hide {path} ({name}), which the gateway serves itself; choose another path"
            ));
        }
        list.push(passed);
    }
    if list.is_empty() {
        return Err("is empty; write it as `/prefix=backend`".to_owned());
    }
    Ok(list)
}

fn one(entry: &str) -> Result<PassThrough, String> {
    let (prefix, target) = entry.split_once('=').ok_or_else(|| {
        format!("`{entry}` has no `=`; write it as `/prefix=backend` or `/prefix=backend/path`")
    })?;
    let (prefix, target) = (prefix.trim(), target.trim());
    let (backend, path) = match target.find('/') {
        Some(at) => target.split_at(at),
        None => (target, ""),
    };
    if backend.is_empty() {
        return Err(format!(
            "`{entry}` names no backend; write the name of an AIServiceBackend behind the `=`"
        ));
    }
    if !is_path(prefix) {
        return Err(path_mistake(prefix));
    }
    let path = path.trim_end_matches('/');
    if !path.is_empty() && !is_path(path) {
        return Err(path_mistake(path));
    }
    Ok(PassThrough { prefix: prefix.to_owned(), backend: backend.to_owned(), path: path.to_owned() })
}

fn path_mistake(path: &str) -> String {
    format!(
        "`{path}` is not a path of whole segments; it begins with a slash and ends without one, with letters, digits, \
         `-`, `.`, `_` and `~` in between"
    )
}

fn is_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._~".contains(letter))
    };
    path.strip_prefix('/').is_some_and(|segments| segments.split('/').all(is_segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(prefix: &str, backend: &str, path: &str) -> PassThrough {
        PassThrough { prefix: prefix.to_owned(), backend: backend.to_owned(), path: path.to_owned() }
    }

    #[test]
    fn prefixes_have_backends_and_paths_there() {
        assert_eq!(
            parse("/bedrock=bedrock, /v1/files = openai/v1/files\n/v1/batches=openai/v1/batches/,").unwrap(),
            [
                passed("/bedrock", "bedrock", ""),
                passed("/v1/files", "openai", "/v1/files"),
                passed("/v1/batches", "openai", "/v1/batches"),
            ]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (text, told) in [
            ("", "is empty"),
            ("/bedrock", "no `=`"),
            ("/bedrock=", "names no backend"),
            ("/bedrock=/v1", "names no backend"),
            ("bedrock=b", "whole segments"),
            ("/=b", "whole segments"),
            ("/a/=b", "whole segments"),
            ("/a//b=b", "whole segments"),
            ("/a/../b=b", "whole segments"),
            ("/a%2Fb=b", "whole segments"),
            ("/a=b/x?y", "whole segments"),
            ("/a=b, /a=b/x", "twice"),
            ("/a=b, /a/c=c", "overlap"),
            ("/a/c=b, /a=c", "overlap"),
            ("/v1=b", "would hide /v1/chat/completions"),
            ("/anthropic=b", "would hide /anthropic/v1/messages"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        assert!(parse("/a=b, /ab=c").is_ok());
        assert_eq!(parse("/a=b, /a=c").unwrap(), [passed("/a", "b", ""), passed("/a", "c", "")]);
    }
}
