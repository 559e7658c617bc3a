//! Where requests and answers name what OpenAI keeps: <https://platform.openai.com/docs/guides/conversation-state>.

mod answers;
mod items;

use memchr::memmem;

use crate::codec::json;
use crate::endpoint::Endpoint;
use crate::headers::Headers;
use crate::kept::{Place, Reference, SEALED};

pub(crate) use answers::{event, whole};
pub(crate) use items::opened;

const PREVIOUS: &str = "previous_response_id";
const CONVERSATION: &str = "conversation";
const INPUT: &str = "input";
const ID: &str = "id";
/// What only the backend can read that made it.
const ENCRYPTED: &str = "encrypted_content";

/// What the body of a request refers to.
pub(in crate::wire) fn of_body(_: &Headers, body: &[u8]) -> Vec<Reference> {
    // Names without a seal lead nowhere, and most requests have no others.
    if memmem::find(body, SEALED.as_bytes()).is_none() {
        return Vec::new();
    }
    let Ok(scan) = json::scan(body, [PREVIOUS, CONVERSATION, INPUT]) else { return Vec::new() };
    let [previous, conversation, input] = scan.members;
    let text = |member: &json::Member| member.as_str(body).map(|text| text.into_owned());
    let previous = previous.and_then(|member| Some(Reference::to(Place::Member(PREVIOUS), text(&member)?)));
    let conversation = conversation.and_then(|member| match text(&member) {
        Some(name) => Some(Reference::to(Place::Member(CONVERSATION), name)),
        None => Some(Reference::to(Place::Inside(CONVERSATION, ID), inside(member.raw(body), ID)?)),
    });
    let items = input.map(|input| items::references(input.raw(body))).unwrap_or_default();
    previous.into_iter().chain(conversation).chain(items).collect()
}

/// What the path of a request refers to.
pub(in crate::wire) fn of_path(headers: &Headers, _: &[u8]) -> Vec<Reference> {
    let (path, _) = headers.path_and_query();
    let name = Endpoint::of_path(path).and_then(|endpoint| endpoint.name_in_path(path));
    name.map(Reference::of_path).into_iter().collect()
}

/// The text that is the member `name` of the object `raw`.
fn inside(raw: &[u8], name: &str) -> Option<String> {
    let [member] = json::scan(raw, [name]).ok()?.members;
    Some(member?.as_str(raw)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_refers_to_what_was_before_it() {
        let of = |body: &str| of_body(&Headers::default(), body.as_bytes());
        let previous = Reference::to(Place::Member(PREVIOUS), "r__kept_1".to_owned());
        assert_eq!(
            of(r#"{"previous_response_id": "r__kept_1", "model": "m"}"#),
            std::slice::from_ref(&previous)
        );
        let conversation = |place| Reference::to(place, "c__kept_2".to_owned());
        assert_eq!(
            of(r#"{"conversation":"c__kept_2","previous_response_id":"\u0072__kept_1"}"#),
            [previous, conversation(Place::Member(CONVERSATION))]
        );
        let inside = conversation(Place::Inside(CONVERSATION, ID));
        assert_eq!(of(r#"{"conversation":{"x":1,"id":"c__kept_2"}}"#), [inside]);
        for body in [
            "{}",
            r#"{"previous_response_id":"r"}"#,
            r#"{"previous_response_id":null,"conversation":{},"input":"__kept_"}"#,
            r#"["__kept_""#,
            r#"{"conversation":3,"input":"a__kept_b"}"#,
        ] {
            assert_eq!(of(body), [], "{body}");
        }
    }
}
