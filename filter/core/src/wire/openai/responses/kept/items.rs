//! Items in requests: what they are references to, and what a backend gets of them.

use memchr::memmem;
use serde_json::value::RawValue;

use super::{ENCRYPTED, ID};
use crate::chat::Losses;
use crate::codec::json;
use crate::codec::splice::{self, Edit};
use crate::kept::{Key, Need, Place, Reference, SEALED, marked, own, tag};
use crate::wire::openai::responses::raw_items::{self, Fate};

/// What an answer to a question for approval calls the question.
const APPROVED: &str = "approval_request_id";

const ELSEWHERE: &str = "only the backend that made it can read it";
const NOWHERE: &str = "it is of no backend that this gateway knows";

/// What the items of `input` refer to, those that have names of the gateway's.
pub(super) fn references(input: &[u8]) -> Vec<Reference> {
    // A text is no list.
    let items = serde_json::from_slice::<Vec<&RawValue>>(input).unwrap_or_default();
    let reference = |(index, raw): (usize, &RawValue)| {
        let Item { member, name, need, .. } = Item::of(raw)?;
        Some(Reference { place: Place::Item(index, member), name, need })
    };
    items.into_iter().enumerate().filter_map(reference).collect()
}

/// `body` as `backend` shall have it: items with its own names, and no thought of another backend. What else only
/// another has was refused before. `None`: there is nothing to change.
pub(crate) fn opened(key: &Key, backend: &str, body: &[u8], losses: &mut Losses) -> Option<Vec<u8>> {
    let edit = raw_items::edit(body, losses, |raw, _, _| {
        let Some(item) = Item::of(raw) else { return Fate::Stays };
        let maker = (item.need == Need::Thought).then(|| key.maker(&item.name));
        match maker {
            Some(None) => Fate::Goes(NOWHERE),
            Some(Some(maker)) if maker != tag(backend) => Fate::Goes(ELSEWHERE),
            Some(Some(_)) | None => item.opened(raw).map_or(Fate::Stays, Fate::Becomes),
        }
    })?;
    splice::edited(body, &[edit])
}

/// An item that has names of the gateway's.
struct Item {
    need: Need,
    /// Where the name stands that says whose it is, and this name.
    member: &'static str,
    name: String,
    /// The members that have such names, as the backend knows them.
    own: Vec<Edit<'static>>,
}

impl Item {
    /// `None`: it has no such name.
    fn of(raw: &RawValue) -> Option<Item> {
        let raw = raw.get().as_bytes();
        memmem::find(raw, SEALED.as_bytes())?;
        let [kind, role, result, id, encrypted, approved] =
            json::scan(raw, ["type", "role", "result", ID, ENCRYPTED, APPROVED]).ok()?.members;
        let text = |member: Option<json::Member>| Some(member?.as_str(raw)?.into_owned());
        let is_missing = |member: Option<json::Member>| member.is_none_or(|member| member.is_null(raw));
        let (id, approved) = (text(id), text(approved));
        let encrypted = text(encrypted).filter(|encrypted| !encrypted.is_empty());
        let (mark, sealed) = encrypted.as_deref().and_then(marked).unzip();

        let names = [
            (ENCRYPTED, sealed),
            (ID, id.as_deref().and_then(own)),
            (APPROVED, approved.as_deref().and_then(own)),
        ];
        let named = |(member, name): (&'static str, Option<&str>)| Some(Edit::set_string(member, name?));
        let edits: Vec<_> = names.into_iter().filter_map(named).collect();
        if edits.is_empty() {
            return None;
        }
        let by_mark = (ENCRYPTED, mark.map(str::to_owned));
        let by_id = (ID, id.filter(|id| own(id).is_some()));
        let (need, (member, name)) = match text(kind).as_deref() {
            Some("reasoning") if encrypted.is_some() => (Need::Thought, by_mark),
            // One that is stored may be there by its name alone.
            Some("reasoning") => (Need::Thought, by_id),
            Some("compaction") if encrypted.is_some() => (Need::Backend, by_mark),
            Some("item_reference") => (Need::Backend, by_id),
            None if is_missing(role) => (Need::Backend, by_id),
            // The picture itself may be left out.
            Some("image_generation_call") if is_missing(result) => (Need::Backend, by_id),
            _ => (Need::Nothing, by_id),
        };
        let need = if name.is_some() { need } else { Need::Nothing };
        Some(Item { need, member, name: name.unwrap_or_default(), own: edits })
    }

    fn opened(&self, raw: &RawValue) -> Option<Box<RawValue>> {
        let opened = splice::edited(raw.get().as_bytes(), &self.own)?;
        serde_json::from_slice(&opened).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kept::{Items, Naming};

    fn naming(backend: &str) -> Naming {
        Naming::new(Key::derived(b"k"), backend.to_owned(), "gpt".to_owned(), Items::All)
    }

    fn item(backend: &str, mut item: Value) -> Value {
        let naming = naming(backend);
        for member in [ID, APPROVED] {
            if let Some(Value::String(name)) = item.get_mut(member) {
                *name = naming.item(name);
            }
        }
        if let Some(Value::String(sealed)) = item.get_mut(ENCRYPTED) {
            *sealed = naming.marked(sealed);
        }
        item
    }

    /// Items, with where the name is that says whose each is, and what for.
    fn samples() -> [(Value, &'static str, Need); 10] {
        [
            (json!({"type": "item_reference", "id": "msg_1"}), ID, Need::Backend),
            (json!({"id": "msg_1"}), ID, Need::Backend),
            (
                json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "gA"}),
                ENCRYPTED,
                Need::Backend,
            ),
            (json!({"type": "image_generation_call", "id": "ig_1"}), ID, Need::Backend),
            (
                json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"}),
                ENCRYPTED,
                Need::Thought,
            ),
            (json!({"type": "reasoning", "id": "rs_1", "summary": []}), ID, Need::Thought),
            (json!({"type": "image_generation_call", "id": "ig_1", "result": "iVBO"}), ID, Need::Nothing),
            (json!({"id": "msg_1", "role": "assistant", "content": "hi"}), ID, Need::Nothing),
            (
                json!({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}),
                ID,
                Need::Nothing,
            ),
            (
                json!({"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": true}),
                ID,
                Need::Nothing,
            ),
        ]
    }

    #[test]
    fn an_item_refers_to_what_it_does_not_say() {
        let named: Vec<Value> = samples().iter().map(|(plain, ..)| item("a", plain.clone())).collect();
        let found = references(json!(named).to_string().as_bytes());
        assert_eq!(found.len(), named.len());
        for (index, (reference, (plain, member, need))) in found.iter().zip(samples()).enumerate() {
            assert_eq!((reference.place, reference.need), (Place::Item(index, member), need), "{plain}");
            let maker = Key::derived(b"k").maker(&reference.name);
            assert_eq!(
                maker,
                (need != Need::Nothing || plain.get(ID).is_some()).then(|| tag("a")),
                "{plain}"
            );
        }
        let plain: Vec<Value> = samples().into_iter().map(|(plain, ..)| plain).collect();
        for input in
            [json!(plain), json!("__kept_"), json!([1, "a__kept_b", {"content": "a__kept_b", "id": "m"}])]
        {
            assert_eq!(references(input.to_string().as_bytes()), [], "{input}");
        }
    }

    #[test]
    fn a_backend_gets_its_own_names_and_no_thought_of_another() {
        for (plain, _, need) in samples() {
            let body =
                |item: &Value| format!(r#"{{"model":"gpt", "input":[{{"role" : "user"}},{item}],"x":1e0}}"#);
            let named = body(&item("a", plain.clone()));
            let sent = |backend: &str, secret: &[u8]| {
                let mut losses = Losses::of_request();
                let sent = opened(&Key::derived(secret), backend, named.as_bytes(), &mut losses).unwrap();
                (String::from_utf8(sent).unwrap(), losses.lines())
            };
            let whole = (body(&plain), Vec::<String>::new());
            assert_eq!(sent("a", b"k"), whole);
            let without = |why| {
                let body = r#"{"model":"gpt", "input":[{"role" : "user"}],"x":1e0}"#.to_owned();
                (body, vec![format!("input[1]: {why}")])
            };
            let is_thought = need == Need::Thought;
            assert_eq!(sent("b", b"k"), if is_thought { without(ELSEWHERE) } else { whole.clone() });
            assert_eq!(sent("a", b"other"), if is_thought { without(NOWHERE) } else { whole });
        }
        assert_eq!(
            opened(&Key::derived(b"k"), "a", br#"{"input":[{"id":"m"}]}"#, &mut Losses::default()),
            None
        );
    }

    #[test]
    fn what_has_no_mark_is_anybodys() {
        let mut thought = json!({"type": "reasoning", "id": "rs_1", "encrypted_content": "gA"});
        thought["id"] = naming("a").item("rs_1").into();
        let found = references(json!([thought]).to_string().as_bytes());
        assert_eq!(found.iter().map(|reference| reference.need).collect::<Vec<_>>(), [Need::Nothing]);
    }
}
