//! What the tests of several decoders share.

use proptest::prelude::*;
use serde_json::Value;

/// Positions to cut an input at; [`chunks`] makes pieces of them.
pub(crate) fn cuts() -> impl Strategy<Value = Vec<proptest::sample::Index>> {
    proptest::collection::vec(any::<proptest::sample::Index>(), 0..12)
}

/// The input cut at `cuts`, in order; pieces may be empty.
pub(crate) fn chunks<'a>(input: &'a [u8], cuts: &[proptest::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    at.sort_unstable();
    at.push(input.len());
    let mut start = 0;
    at.into_iter().map(|end| &input[std::mem::replace(&mut start, end)..end]).collect()
}

/// Changes to an input that is nearly right, which reaches deeper than bytes at random.
#[derive(Debug, Clone)]
pub(crate) enum Mutation {
    Replace(proptest::sample::Index, u8),
    Insert(proptest::sample::Index, u8),
    Delete(proptest::sample::Index),
    Truncate(proptest::sample::Index),
}

/// One change, with bytes that mean something taken from `alphabet` half of the time.
pub(crate) fn mutation(alphabet: &'static [u8]) -> impl Strategy<Value = Mutation> {
    let byte = || prop_oneof![proptest::sample::select(alphabet), any::<u8>()];
    let index = any::<proptest::sample::Index>;
    prop_oneof![
        (index(), byte()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (index(), byte()).prop_map(|(at, byte)| Mutation::Insert(at, byte)),
        index().prop_map(Mutation::Delete),
        index().prop_map(Mutation::Truncate),
    ]
}

/// `input` after `mutations`.
pub(crate) fn mutate(mut input: Vec<u8>, mutations: &[Mutation]) -> Vec<u8> {
    for mutation in mutations {
        match mutation {
            Mutation::Insert(at, byte) => input.insert(at.index(input.len() + 1), *byte),
            _ if input.is_empty() => {}
            Mutation::Replace(at, byte) => {
                let at = at.index(input.len());
                input[at] = *byte;
            }
            Mutation::Delete(at) => {
                input.remove(at.index(input.len()));
            }
            Mutation::Truncate(at) => input.truncate(at.index(input.len())),
        }
    }
    input
}

/// Any JSON, with names that need escapes.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec(("\\PC{0,9}|[\"\\\\a-c\n]{0,9}", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A value in one of the ways to write it: spaces, escapes and the order of members as `seed` has it.
pub(crate) fn written(value: &Value, seed: u64) -> String {
    let mut writer = Writer { out: String::new(), state: seed };
    writer.value(value);
    writer.out
}

struct Writer {
    out: String,
    state: u64,
}

impl Writer {
    /// One of the first `of` numbers.
    fn pick(&mut self, of: u64) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % of
    }

    fn space(&mut self) {
        let spaces = ["", "", "", " ", "\n ", "\t\r\n"];
        let space = spaces[self.pick(spaces.len() as u64) as usize];
        self.out.push_str(space);
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(elements) => {
                self.out.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.space();
                    self.value(element);
                    self.space();
                }
                self.out.push(']');
            }
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                for at in (1..members.len()).rev() {
                    let other = self.pick(at as u64 + 1) as usize;
                    members.swap(at, other);
                }
                self.out.push('{');
                for (index, (name, member)) in members.into_iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.space();
                    self.text(name);
                    self.space();
                    self.out.push(':');
                    self.space();
                    self.value(member);
                    self.space();
                }
                self.out.push('}');
            }
            other => self.out.push_str(&other.to_string()),
        }
    }

    /// Each letter as it is, in its short escape, or in hexadecimal.
    fn text(&mut self, text: &str) {
        let escapes = self.pick(3);
        self.out.push('"');
        for letter in text.chars() {
            if escapes == 1 && self.pick(3) == 0 || escapes == 2 {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    self.out.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                let quoted = serde_json::to_string(&letter).unwrap();
                self.out.push_str(quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap());
            }
        }
        self.out.push('"');
    }
}
