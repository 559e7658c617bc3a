//! A shard of the ledger as it lies in shared data.
//!
//! Numbers have fixed places, so what a request used is added where it stands, and of the other entries nothing is read
//! but their names: a shard may hold many, and each request writes one. Layout, numbers in little endian:
//! [`VERSION`]; the evicted [`Totals`]; then for each entry when it was last used (8 bytes, seconds since 1970), its
//! [`Totals`], the lengths of its three names (2 bytes each), and these.

use super::{Key, Totals};

/// Tells this layout from others. Where those of earlier filters began with a number of entries, it was at most 64.
const VERSION: u8 = 0xf1;

/// How many keys one shard holds.
pub(super) const ENTRIES: usize = 64;

const NUMBER: usize = size_of::<u64>();
const TOTALS: usize = Totals::NUMBERS * NUMBER;
const LENGTH: usize = size_of::<u16>();
const NAMES: usize = 3;
const HEAD: usize = 1 + TOTALS;
/// What stands before an entry's names.
const FIXED: usize = NUMBER + TOTALS + NAMES * LENGTH;

/// More than most entries take, in bytes.
const ROOM: usize = 192;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard(Vec<u8>);

/// Where an entry lies, and what is in it.
pub(super) struct Entry<'a> {
    at: usize,
    end: usize,
    last_used: u64,
    names: [&'a [u8]; NAMES],
}

impl Shard {
    /// A copy to change. What another version of the filter wrote is not read: the shard starts anew.
    pub(super) fn of(bytes: Option<&[u8]>) -> Shard {
        let bytes = bytes.filter(|bytes| bytes.first() == Some(&VERSION) && bytes.len() >= HEAD);
        let mut copy = Vec::with_capacity(bytes.map_or(HEAD, <[u8]>::len).saturating_add(ROOM));
        match bytes {
            Some(bytes) => copy.extend_from_slice(bytes),
            None => {
                copy.push(VERSION);
                copy.resize(HEAD, 0);
            }
        }
        Shard(copy)
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(super) fn add(&mut self, key: &Key<'_>, totals: &Totals, now: u64) {
        let names = key.names();
        let mut oldest: Option<(u64, usize, usize)> = None;
        let mut count = 0_usize;
        let mut found = None;
        for entry in self.entries() {
            if entry.names == names {
                found = Some(entry.at);
                break;
            }
            count += 1;
            if oldest.is_none_or(|(last_used, ..)| entry.last_used < last_used) {
                oldest = Some((entry.last_used, entry.at, entry.end));
            }
        }
        if let Some(at) = found {
            self.write(at, now);
            self.add_at(at + NUMBER, totals);
            return;
        }
        if let Some((_, at, end)) = oldest.filter(|_| count >= ENTRIES) {
            let evicted = self.totals(at + NUMBER);
            self.add_at(1, &evicted);
            self.0.drain(at..end);
        }
        self.0.extend_from_slice(&now.to_le_bytes());
        totals.numbers().iter().for_each(|number| self.0.extend_from_slice(&number.to_le_bytes()));
        // Names are clipped to less than a length can say.
        let length = |name: &[u8]| u16::try_from(name.len()).unwrap_or(u16::MAX);
        names.iter().for_each(|name| self.0.extend_from_slice(&length(name).to_le_bytes()));
        names.iter().for_each(|name| self.0.extend_from_slice(name));
    }

    pub(super) fn evicted(&self) -> Totals {
        self.totals(1)
    }

    /// All entries, in no order.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Key<'_>, Totals)> {
        self.entries().map(|entry| {
            let [user, model, backend] = entry.names.map(String::from_utf8_lossy);
            (Key { user, model, backend }, self.totals(entry.at + NUMBER))
        })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut at = HEAD;
        std::iter::from_fn(move || {
            let entry = self.entry(at)?;
            at = entry.end;
            Some(entry)
        })
    }

    fn entry(&self, at: usize) -> Option<Entry<'_>> {
        let names_at = at.checked_add(FIXED)?;
        let lengths = self.0.get(names_at.checked_sub(NAMES * LENGTH)?..names_at)?;
        let mut end = names_at;
        let mut names: [&[u8]; NAMES] = [b""; NAMES];
        for (name, length) in names.iter_mut().zip(lengths.as_chunks::<LENGTH>().0) {
            let next = end.checked_add(u16::from_le_bytes(*length).into())?;
            *name = self.0.get(end..next)?;
            end = next;
        }
        Some(Entry { at, end, last_used: self.read(at), names })
    }

    fn totals(&self, at: usize) -> Totals {
        Totals::of_numbers(std::array::from_fn(|index| self.read(at + index * NUMBER)))
    }

    fn add_at(&mut self, at: usize, more: &Totals) {
        let mut totals = self.totals(at);
        totals.add(more);
        for (index, number) in totals.numbers().into_iter().enumerate() {
            self.write(at + index * NUMBER, number);
        }
    }

    fn read(&self, at: usize) -> u64 {
        self.0.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    fn write(&mut self, at: usize, number: u64) {
        if let Some(place) = self.0.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *place = number.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(user: &str) -> Key<'_> {
        Key { user: user.into(), model: "m".into(), backend: "b".into() }
    }

    #[test]
    fn a_full_shard_forgets_users_but_no_tokens() {
        let mut shard = Shard::of(None);
        for user in 0..100_u64 {
            let totals = Totals { requests: 1, input_tokens: user, ..Totals::default() };
            shard.add(&key(&user.to_string()), &totals, user);
        }
        let mut last_used: Vec<u64> = shard.entries().map(|entry| entry.last_used).collect();
        last_used.sort_unstable();
        assert_eq!(last_used, (36..100).collect::<Vec<u64>>(), "the oldest go first");
        let kept: u64 = shard.lines().map(|(_, totals)| totals.input_tokens).sum();
        assert_eq!(kept + shard.evicted().input_tokens, (0..100).sum::<u64>());
        assert_eq!(shard.evicted().requests, 36);
    }

    #[test]
    fn what_is_added_to_an_entry_changes_no_other() {
        let mut shard = Shard::of(None);
        let one = Totals::of_numbers([1, 2, 3, 4, 5, 6, 7, 8]);
        for user in ["ann", "", "bob"] {
            shard.add(&key(user), &one, 7);
        }
        let before = shard.clone().into_bytes();
        let mut shard = Shard::of(Some(&before));
        shard.add(&key(""), &Totals { total_tokens: u64::MAX, ..one }, 9);
        let lines: Vec<(Key<'_>, Totals)> = shard.lines().collect();
        let doubled = Totals { total_tokens: u64::MAX, ..Totals::of_numbers([2, 4, 6, 8, 10, 12, 14, 0]) };
        assert_eq!(lines, [(key("ann"), one), (key(""), doubled), (key("bob"), one)]);
        let times: Vec<u64> = shard.entries().map(|entry| entry.last_used).collect();
        assert_eq!(times, [7, 9, 7]);
        assert_eq!(shard.0.len(), before.len());
    }

    #[test]
    fn names_that_join_to_the_same_text_are_apart() {
        let mut shard = Shard::of(None);
        let of = |user: &'static str, model: &'static str| Key {
            user: user.into(),
            model: model.into(),
            backend: "b".into(),
        };
        shard.add(&of("ab", "c"), &Totals::default(), 1);
        shard.add(&of("a", "bc"), &Totals::default(), 1);
        assert_eq!(shard.lines().count(), 2);
    }

    #[test]
    fn what_is_no_shard_starts_anew_and_what_is_cut_ends_there() {
        for bytes in [&b""[..], b"\xff\xff\xff\xff", b"\x00\x00", &[VERSION; 3]] {
            let mut shard = Shard::of(Some(bytes));
            assert_eq!((shard.lines().count(), shard.evicted()), (0, Totals::default()), "{bytes:?}");
            shard.add(&key("ann"), &Totals::default(), 1);
            assert_eq!(shard.lines().count(), 1);
        }
        let mut shard = Shard::of(None);
        ["ann", "bob"].iter().for_each(|user| shard.add(&key(user), &Totals::default(), 1));
        let whole = shard.into_bytes();
        for length in 0..whole.len() {
            let lines = Shard::of(whole.get(..length)).lines().count();
            assert!(lines < 2, "{length}");
        }
    }
}
