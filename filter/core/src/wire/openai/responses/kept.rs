//! Where requests and answers name what OpenAI keeps: <https://platform.openai.com/docs/guides/conversation-state>.

use memchr::memmem;

use crate::codec::json;
use crate::codec::splice::{self, Edit};
use crate::endpoint::Endpoint;
use crate::headers::Headers;
use crate::kept::{Place, Reference};
use crate::wire::to_json;

const PREVIOUS: &str = "previous_response_id";
const CONVERSATION: &str = "conversation";
const ID: &str = "id";
/// In an event, where all of the response is not.
const RESPONSE_ID: &str = "response_id";
/// What the member of an event is called that is a response.
const RESPONSE: &str = "response";

/// One of these is in every event with a name.
const NAMED: [&[u8]; 2] = [b"\"response\"", b"\"response_id\""];

/// What the body of a request refers to.
pub(in crate::wire) fn of_body(_: &Headers, body: &[u8]) -> Vec<Reference> {
    let Ok(scan) = json::scan(body, [PREVIOUS, CONVERSATION]) else { return Vec::new() };
    let [previous, conversation] = scan.members;
    let text = |member: &json::Member| member.as_str(body).map(|text| text.into_owned());
    let of = |place, name| Some(Reference { place, name });
    let previous = previous.and_then(|member| of(Place::Member(PREVIOUS), text(&member)?));
    let conversation = conversation.and_then(|member| match text(&member) {
        Some(name) => of(Place::Member(CONVERSATION), name),
        None => of(Place::Inside(CONVERSATION, ID), inside(member.raw(body), ID)?),
    });
    previous.into_iter().chain(conversation).collect()
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

/// A whole answer in which names are what `named` makes of them. `None`: there are none.
pub(crate) fn whole(answer: &[u8], named: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    response(answer, ID, &named)
}

/// The same of the data of an event. Most have nothing but a piece of text.
pub(crate) fn event(data: &[u8], named: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    NAMED.iter().find(|name| memmem::find(data, name).is_some())?;
    let [inner] = json::scan(data, [RESPONSE]).ok()?.members;
    if let Some(named) = inner.and_then(|inner| response(inner.raw(data), ID, &named)) {
        return splice::edited(data, &[Edit::Set(RESPONSE, named.into())]);
    }
    response(data, RESPONSE_ID, named)
}

/// An object whose own name is its member `id`.
fn response(object: &[u8], id: &'static str, named: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    let [own, previous, conversation] = json::scan(object, [id, PREVIOUS, CONVERSATION]).ok()?.members;
    let of = |name: &'static str, member: Option<json::Member>| {
        Some(Edit::set_string(name, &named(&member?.as_str(object)?)))
    };
    let of_conversation = conversation.and_then(|member| {
        let name = named(&inside(member.raw(object), ID)?);
        Some(Edit::SetInside(CONVERSATION, ID, to_json(&name).into()))
    });
    let edits: Vec<Edit<'_>> =
        of(id, own).into_iter().chain(of(PREVIOUS, previous)).chain(of_conversation).collect();
    splice::edited(object, &edits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> String {
        format!("{name}!")
    }

    fn text(made: Option<Vec<u8>>) -> Option<String> {
        made.map(|made| String::from_utf8(made).unwrap())
    }

    #[test]
    fn a_request_refers_to_what_was_before_it() {
        let of = |body: &str| of_body(&Headers::default(), body.as_bytes());
        let reference = |place, name: &str| Reference { place, name: name.to_owned() };
        let previous = reference(Place::Member(PREVIOUS), "r");
        assert_eq!(of(r#"{"previous_response_id": "r", "model": "m"}"#), std::slice::from_ref(&previous));
        assert_eq!(
            of(r#"{"conversation":"c","previous_response_id":"\u0072"}"#),
            [previous, reference(Place::Member(CONVERSATION), "c")]
        );
        let inside = reference(Place::Inside(CONVERSATION, ID), "c");
        assert_eq!(of(r#"{"conversation":{"x":1,"id":"c"}}"#), [inside]);
        for body in ["{}", r#"{"previous_response_id":null,"conversation":{}}"#, "[", r#"{"conversation":3}"#]
        {
            assert_eq!(of(body), []);
        }
    }

    #[test]
    fn names_change_and_every_other_byte_stays() {
        let answer = r#"{"id" : "r2","output":[{"id":"msg_1"}], "previous_response_id":"r1","conversation":{"id":"c"} }"#;
        let expected = r#"{"id" : "r2!","output":[{"id":"msg_1"}], "previous_response_id":"r1!","conversation":{"id":"c!"} }"#;
        assert_eq!(text(whole(answer.as_bytes(), named)).unwrap(), expected);
        let created =
            |response: &str| format!(r#"{{"type":"response.created", "response":{response},"x":1e0}}"#);
        let event = |data: &str| text(event(data.as_bytes(), named));
        assert_eq!(event(&created(answer)).unwrap(), created(expected));
        assert_eq!(
            event(r#"{"response_id":"r","delta":"x"}"#).unwrap(),
            r#"{"response_id":"r!","delta":"x"}"#
        );
        let null = r#"{"id":"r","previous_response_id":null,"conversation":null}"#;
        assert_eq!(text(whole(null.as_bytes(), named)).unwrap(), null.replace("\"r\"", "\"r!\""));
        for data in [
            r#"{"type":"response.output_text.delta","delta":"the \"response\" is","item_id":"msg_1"}"#,
            r#"{"type":"x","delta":"response"}"#,
            r#"{"response":3}"#,
            "[DONE]",
        ] {
            assert_eq!(event(data), None, "{data}");
        }
    }
}
