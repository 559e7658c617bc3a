//! What an event is about, told from its data without building a tree.

use crate::codec::json;

/// False for what cannot be an event of any API. Only the ends are looked at: most events pass unread.
pub(super) fn may_be_json(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    data.starts_with(b"{") && data.ends_with(b"}")
}

/// The event's own `type`, which is also its name as a server-sent event.
pub(super) fn name(data: &[u8]) -> Option<String> {
    let [name] = json::scan(data, ["type"]).ok()?.members;
    name?.as_str(data).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_the_name() {
        assert_eq!(name(br#"{"index":0,"type":"ping"}"#).as_deref(), Some("ping"));
        assert_eq!(name(br#"{"index":0}"#), None);
    }
}
