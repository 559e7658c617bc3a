//! A request from one API to another.

use super::api::ClientCodec;
use super::schema::{BackendCodec, To};
use crate::chat::{Losses, Request};
use crate::error::Result;

/// A request in the backend's words.
#[derive(Debug)]
pub struct Translated {
    /// The body to send.
    pub body: Vec<u8>,
    /// The same in the neutral form.
    pub request: Request,
    /// What is not in it, with the client's own names for it.
    pub losses: Losses,
}

/// Translates the body of a request.
///
/// # Errors
///
/// Those of [`ClientCodec::decode`] and [`BackendCodec::encode`], which name fields as the client does.
pub fn translate(
    client: &dyn ClientCodec,
    backend: &dyn BackendCodec,
    to: &To<'_>,
    body: &[u8],
) -> Result<Translated> {
    let (mut losses, mut of_backend) = (Losses::of_request(), Losses::of_request());
    let mut request = client.decode(body, &mut losses)?;
    to.model.clone_into(&mut request.model);
    if to.cache_marks {
        backend.marks(to).set(&mut request);
    }
    let body = backend
        .encode(to, &request, &mut of_backend)
        .map_err(|error| error.map_place(|path| client.place(&request, path)))?;
    losses.append(of_backend, |path| client.place(&request, path));
    Ok(Translated { body, request, losses })
}

/// A path of the neutral form in the client's words, see [`ClientCodec::words`].
pub(super) fn reworded(path: &str, words: &[(&str, &str)]) -> Option<String> {
    words.iter().find_map(|(ours, theirs)| {
        if ours.starts_with('.') {
            return Some(format!("{}{theirs}", path.strip_suffix(ours)?));
        }
        if let Some((list, member)) = ours.split_once('[') {
            let member = member.strip_prefix(']')?;
            let (index, rest) = path.strip_prefix(list)?.strip_prefix('[')?.split_once(']')?;
            let rest = rest.strip_prefix(member)?;
            return Some(format!("{}{rest}", theirs.replacen("[]", &format!("[{index}]"), 1)));
        }
        let rest = path.strip_prefix(ours)?;
        (rest.is_empty() || rest.starts_with(['.', '['])).then(|| format!("{theirs}{rest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_in_the_clients_words() {
        let words = [
            ("stop", "stop_sequences"),
            ("user", "metadata.user_id"),
            (".arguments", ".input"),
            ("tools[].", "tools[].function."),
        ];
        for (path, expected) in [
            ("stop[1]", Some("stop_sequences[1]")),
            ("stop", Some("stop_sequences")),
            ("stopped", None),
            ("user", Some("metadata.user_id")),
            ("messages[0].content[1].arguments", Some("messages[0].content[1].input")),
            ("messages[0].arguments.x", None),
            ("tools[12].name", Some("tools[12].function.name")),
            ("tools[0].parameters.type", Some("tools[0].function.parameters.type")),
            ("tools[0]", None),
            ("tools", None),
        ] {
            assert_eq!(reworded(path, &words).as_deref(), expected, "{path}");
        }
    }
}
