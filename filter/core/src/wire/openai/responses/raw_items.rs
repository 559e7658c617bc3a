//! The items of a conversation that passes as it is, one by one.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::chat::Losses;
use crate::codec::json::member;
use crate::codec::splice::Edit;
use crate::wire::fields::Path;
use crate::wire::to_json;

const INPUT: &str = "input";

/// What becomes of an item.
pub(super) enum Fate {
    Stays,
    Becomes(Box<RawValue>),
    /// It is left out, for this reason.
    Goes(&'static str),
}

/// The text that is the member `name` of `item`.
pub(super) fn text<'a>(item: &'a RawValue, name: &str) -> Option<Cow<'a, str>> {
    let item = item.get().as_bytes();
    member(item, name)?.as_str(item)
}

/// The change to `body` where each item meets its `fate`; those that are left out are losses. `None`: all of them stay.
pub(super) fn edit(
    body: &[u8],
    losses: &mut Losses,
    mut fate: impl FnMut(&RawValue, &Path<'_>, &mut Losses) -> Fate,
) -> Option<Edit<'static>> {
    let input = member(body, INPUT)?;
    let items = serde_json::from_slice::<Vec<&RawValue>>(input.raw(body)).ok()?;
    let list = Path::Key(&Path::Root, INPUT);
    let mut sent: Vec<Cow<'_, RawValue>> = Vec::with_capacity(items.len());
    let mut is_changed = false;
    for (index, item) in items.into_iter().enumerate() {
        let path = Path::Index(&list, index);
        match fate(item, &path, losses) {
            Fate::Stays => sent.push(Cow::Borrowed(item)),
            Fate::Becomes(item) => {
                is_changed = true;
                sent.push(Cow::Owned(item));
            }
            Fate::Goes(why) => {
                is_changed = true;
                losses.add(path, why);
            }
        }
    }
    is_changed.then(|| Edit::Set(INPUT, Cow::Owned(to_json(&sent))))
}
