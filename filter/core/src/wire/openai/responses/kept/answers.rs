//! The names in answers.

use memchr::memmem;

use super::{CONVERSATION, ENCRYPTED, ID, PREVIOUS, inside};
use crate::codec::json;
use crate::codec::splice::{self, Edit};
use crate::kept::{Items, Naming, SEALED};
use crate::wire::to_json;

/// What the member of an event is called that is a response.
const RESPONSE: &str = "response";
/// In an event, where all of the response is not.
const RESPONSE_ID: &str = "response_id";
/// What the member of an event is called that is an item.
const ITEM: &str = "item";
/// In an event, where all of the item is not.
const ITEM_ID: &str = "item_id";
/// What the items of a response are called.
const OUTPUT: &str = "output";

/// One of these is in every event with the name of a response.
const NAMED: [&[u8]; 2] = [b"\"response\"", b"\"response_id\""];

/// A whole answer in which names are the client's. `None`: there are none.
pub(crate) fn whole(answer: &[u8], naming: &Naming) -> Option<Vec<u8>> {
    response(answer, naming)
}

/// The same of the data of an event. Most have nothing but a piece of text.
pub(crate) fn event(data: &[u8], naming: &Naming) -> Option<Vec<u8>> {
    let has = |text: &[u8]| memmem::find(data, text).is_some();
    let has_item = match naming.items() {
        Items::All => true,
        Items::Sealed => has(ENCRYPTED.as_bytes()) || has(SEALED.as_bytes()),
        Items::None => has(SEALED.as_bytes()),
    };
    if !has_item && !NAMED.into_iter().any(has) {
        return None;
    }
    let [whole, response_id, of_item, item_id] =
        json::scan(data, [RESPONSE, RESPONSE_ID, ITEM, ITEM_ID]).ok()?.members;
    let whole = whole.and_then(|whole| Some(Edit::Set(RESPONSE, response(whole.raw(data), naming)?.into())));
    let response_id = response_id.and_then(|id| id.as_str(data)).map(|id| naming.name(&id));
    let of_item = of_item.and_then(|of_item| Some(Edit::Set(ITEM, item(of_item.raw(data), naming)?.into())));
    let item_id = item_id.and_then(|id| id.as_str(data)).filter(|id| naming.names_item(id));
    let item_id = item_id.map(|id| naming.item(&id));
    let edits: Vec<Edit<'_>> = whole
        .into_iter()
        .chain(response_id.map(|name| Edit::set_string(RESPONSE_ID, &name)))
        .chain(of_item)
        .chain(item_id.map(|name| Edit::set_string(ITEM_ID, &name)))
        .collect();
    splice::edited(data, &edits)
}

/// A response with its own name, those of what was before it, and those of its items.
fn response(object: &[u8], naming: &Naming) -> Option<Vec<u8>> {
    let [own, previous, conversation, output] =
        json::scan(object, [ID, PREVIOUS, CONVERSATION, OUTPUT]).ok()?.members;
    let of = |name: &'static str, member: Option<json::Member>| {
        Some(Edit::set_string(name, &naming.name(&member?.as_str(object)?)))
    };
    let of_conversation = conversation.and_then(|member| {
        let name = naming.name(&inside(member.raw(object), ID)?);
        Some(Edit::SetInside(CONVERSATION, ID, to_json(&name).into()))
    });
    let of_items = output.and_then(|output| {
        let raw = output.raw(object);
        let is_named = naming.items() != Items::None || memmem::find(raw, SEALED.as_bytes()).is_some();
        let named = is_named.then(|| splice::elements(raw, |_, raw| item(raw, naming)))??;
        Some(Edit::Set(OUTPUT, named.into()))
    });
    let edits: Vec<Edit<'_>> = of(ID, own)
        .into_iter()
        .chain(of(PREVIOUS, previous))
        .chain(of_conversation)
        .chain(of_items)
        .collect();
    splice::edited(object, &edits)
}

/// An item with its name, and with a mark before what only its backend can read.
fn item(object: &[u8], naming: &Naming) -> Option<Vec<u8>> {
    let [id, encrypted] = json::scan(object, [ID, ENCRYPTED]).ok()?.members;
    let id = id.and_then(|id| id.as_str(object)).filter(|id| naming.names_item(id));
    let encrypted = encrypted.and_then(|encrypted| encrypted.as_str(object));
    let encrypted = encrypted.filter(|encrypted| naming.marks(encrypted));
    let edits: Vec<Edit<'_>> = id
        .map(|id| Edit::set_string(ID, &naming.item(&id)))
        .into_iter()
        .chain(encrypted.map(|encrypted| Edit::set_string(ENCRYPTED, &naming.marked(&encrypted))))
        .collect();
    splice::edited(object, &edits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kept::Key;

    fn naming(items: Items) -> Naming {
        Naming::new(Key::derived(b"k"), "default/a".to_owned(), "gpt".to_owned(), items)
    }

    fn text(made: Option<Vec<u8>>) -> Option<String> {
        made.map(|made| String::from_utf8(made).unwrap())
    }

    /// `text` with the names in it: `<r>` of a response, `[i]` of an item, `{e}` what has a mark before it.
    fn expected(text: &str, naming: &Naming) -> String {
        let mut text = text.to_owned();
        for id in ["r1", "r2", "c"] {
            text = text.replace(&format!("<{id}>"), &naming.name(id));
        }
        for id in ["msg_1", "rs_1"] {
            text = text.replace(&format!("[{id}]"), &naming.item(id));
        }
        text.replace("{gA}", &naming.marked("gA"))
    }

    fn plain(text: &str) -> String {
        text.replace("{gA}", "gA")
            .replace(['<', '>'], "")
            .replace("[msg_1]", "msg_1")
            .replace("[rs_1]", "rs_1")
    }

    #[test]
    fn names_change_and_every_other_byte_stays() {
        let answer = r#"{"id" : "<r2>","output":[{"id":"msg_1"}], "previous_response_id":"<r1>","conversation":{"id":"<c>"} }"#;
        let created =
            |response: &str| format!(r#"{{"type":"response.created", "response":{response},"x":1e0}}"#);
        let naming = naming(Items::None);
        let named = expected(answer, &naming);
        assert_eq!(text(whole(plain(answer).as_bytes(), &naming)), Some(named.clone()));
        let event = |data: &str| text(event(data.as_bytes(), &naming));
        assert_eq!(event(&created(&plain(answer))), Some(created(&named)));
        let delta = r#"{"response_id":"<r1>","delta":"x"}"#;
        assert_eq!(event(&plain(delta)), Some(expected(delta, &naming)));
        let null = r#"{"id":"<r1>","previous_response_id":null,"conversation":null}"#;
        assert_eq!(text(whole(plain(null).as_bytes(), &naming)), Some(expected(null, &naming)));
        for data in [
            r#"{"type":"response.output_text.delta","delta":"the \"response\" is","item_id":"msg_1"}"#,
            r#"{"type":"x","delta":"response"}"#,
            r#"{"item":{"id":"rs_1","encrypted_content":"gA"}}"#,
            r#"{"response":3}"#,
            "[DONE]",
        ] {
            assert_eq!(event(data), None, "{data}");
        }
    }

    #[test]
    fn items_have_names_where_there_are_several_backends() {
        let delta = r#"{"type":"response.output_text.delta", "item_id" : "[msg_1]","delta":"x"}"#;
        let thought =
            r#"{"item":{"type":"reasoning","id":"[rs_1]" ,"summary":[],"encrypted_content":"{gA}"}}"#;
        let answer = r#"{"id":"<r1>","output":[ {"id":"[rs_1]","encrypted_content": "{gA}"}, {"id":"[msg_1]","encrypted_content":null} ]}"#;
        let all = naming(Items::All);
        for data in [delta, thought] {
            assert_eq!(text(event(plain(data).as_bytes(), &all)), Some(expected(data, &all)));
        }
        let named = text(whole(plain(answer).as_bytes(), &all)).unwrap();
        // What stands between the items goes.
        assert_eq!(
            named,
            expected(answer, &all).replace("[ {", "[{").replace(", {", ",{").replace("} ]", "}]")
        );

        let sealed = naming(Items::Sealed);
        let ids_stay = |text: &str| text.replace("[msg_1]", "msg_1").replace("[rs_1]", "rs_1");
        assert_eq!(event(plain(delta).as_bytes(), &sealed), None);
        let thought_alone = expected(&ids_stay(thought), &sealed);
        assert_eq!(text(event(plain(thought).as_bytes(), &sealed)), Some(thought_alone));
        for data in
            [r#"{"item":{"id":"rs_1","encrypted_content":""}}"#, r#"{"item":3,"item_id":4}"#, "[DONE]"]
        {
            assert_eq!(event(data.as_bytes(), &sealed), None, "{data}");
        }
    }
    #[test]
    fn what_a_gateway_behind_this_one_has_named_gets_another_name() {
        let inner = Naming::new(Key::derived(b"inner"), "default/b".to_owned(), String::new(), Items::All);
        let (id, encrypted) = (inner.item("rs_1"), inner.marked("gA"));
        let item =
            |id: &str, encrypted: &str| format!(r#"{{"id":"{id}","encrypted_content":"{encrypted}"}}"#);
        for items in [Items::None, Items::Sealed] {
            let outer = naming(items);
            let told = item(&outer.item(&id), &outer.marked(&encrypted));
            for (before, after) in [(r#"{"item":"#, "}"), (r#"{"response":{"output":["#, "]}}")] {
                let data = format!("{before}{}{after}", item(&id, &encrypted));
                assert_eq!(text(event(data.as_bytes(), &outer)), Some(format!("{before}{told}{after}")));
            }
            let delta = |id: &str| format!(r#"{{"item_id":"{id}","delta":"x"}}"#);
            assert_eq!(text(event(delta(&id).as_bytes(), &outer)), Some(delta(&outer.item(&id))));
            assert_eq!(text(event(delta("rs_1").as_bytes(), &outer)), None);
        }
    }
}
