//! What the tests of several decoders share.

use proptest::prelude::*;

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
