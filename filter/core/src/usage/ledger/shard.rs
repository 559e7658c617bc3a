//! A shard of the ledger as it lies in shared data.
//!
//! Numbers have fixed places, so what a request used is added where it stands, and of the other entries nothing is read
//! but their names: a shard may hold many, and each request writes one. Layout: [`VERSION`]; the evicted [`Totals`];
//! then for each entry its [`Fixed`] part and its names.

use bytemuck::{Pod, Zeroable, bytes_of, try_pod_read_unaligned};

use super::{Key, Totals};

/// Tells this layout from others. Where those of earlier filters began with a number of entries, it was at most 64.
const VERSION: u8 = 0xf1;

/// How many keys one shard holds.
const ENTRIES: usize = 64;

/// Where the evicted totals lie.
const EVICTED: usize = 1;
const HEAD: usize = EVICTED + size_of::<Totals>();

/// More than most entries take, in bytes.
const ROOM: usize = 192;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shard(Vec<u8>);

/// What stands before an entry's names.
#[derive(Debug, Clone, Copy, Zeroable, Pod)]
#[repr(C)]
struct Fixed {
    /// Seconds since 1970.
    last_used: u64,
    totals: Totals,
    /// Of the names, in bytes. The last is 0: with it there is no gap in this.
    lengths: [u16; 4],
}

/// Where an entry lies, and what is in it.
struct Entry<'a> {
    at: usize,
    end: usize,
    fixed: Fixed,
    names: [&'a [u8]; 3],
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
        let (mut count, mut end) = (0_usize, HEAD);
        let mut oldest: Option<(Fixed, usize, usize)> = None;
        let mut found = None;
        for entry in self.entries() {
            if entry.names == names {
                found = Some((entry.at, entry.fixed));
                break;
            }
            (count, end) = (count + 1, entry.end);
            if oldest.is_none_or(|(fixed, ..)| entry.fixed.last_used < fixed.last_used) {
                oldest = Some((entry.fixed, entry.at, entry.end));
            }
        }
        if let Some((at, mut fixed)) = found {
            fixed.last_used = now;
            fixed.totals.add(totals);
            self.write(at, &fixed);
            return;
        }
        // What can no longer be read would hide what is added behind it.
        self.0.truncate(end);
        if let Some((fixed, at, end)) = oldest.filter(|_| count >= ENTRIES) {
            let mut evicted = self.evicted();
            evicted.add(&fixed.totals);
            self.write(EVICTED, &evicted);
            self.0.drain(at..end);
        }
        let [user, model, backend] = names;
        // Names are clipped to less than a length can say.
        let lengths = [user, model, backend, b""].map(|name| u16::try_from(name.len()).unwrap_or(u16::MAX));
        self.0.extend_from_slice(bytes_of(&Fixed { last_used: now, totals: *totals, lengths }));
        names.iter().for_each(|name| self.0.extend_from_slice(name));
    }

    pub(super) fn evicted(&self) -> Totals {
        self.read(EVICTED).unwrap_or_default()
    }

    /// All entries, in no order.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Key<'_>, Totals)> {
        self.entries().map(|entry| {
            let [user, model, backend] = entry.names.map(String::from_utf8_lossy);
            (Key { user, model, backend }, entry.fixed.totals)
        })
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut at = HEAD;
        std::iter::from_fn(move || {
            let entry = self.entry(at)?;
            at = entry.end;
            Some(entry)
        })
    }

    fn entry(&self, at: usize) -> Option<Entry<'_>> {
        let fixed: Fixed = self.read(at)?;
        let mut end = at.checked_add(size_of::<Fixed>())?;
        let mut names: [&[u8]; 3] = [b""; 3];
        for (name, length) in names.iter_mut().zip(fixed.lengths) {
            let next = end.checked_add(length.into())?;
            *name = self.0.get(end..next)?;
            end = next;
        }
        Some(Entry { at, end, fixed, names })
    }

    fn read<T: Pod>(&self, at: usize) -> Option<T> {
        let end = at.checked_add(size_of::<T>())?;
        try_pod_read_unaligned(self.0.get(at..end)?).ok()
    }

    fn write<T: Pod>(&mut self, at: usize, value: &T) {
        let place = self.0.iter_mut().skip(at);
        place.zip(bytes_of(value)).for_each(|(place, byte)| *place = *byte);
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
        let mut last_used: Vec<u64> = shard.entries().map(|entry| entry.fixed.last_used).collect();
        last_used.sort_unstable();
        assert_eq!(last_used, (36..100).collect::<Vec<u64>>(), "the oldest go first");
        let kept: u64 = shard.lines().map(|(_, totals)| totals.input_tokens).sum();
        assert_eq!(kept + shard.evicted().input_tokens, (0..100).sum::<u64>());
        assert_eq!(shard.evicted().requests, 36);
    }

    #[test]
    fn what_is_added_to_an_entry_changes_no_other() {
        let mut shard = Shard::of(None);
        let numbers = |numbers: [u64; 8]| -> Totals { bytemuck::must_cast(numbers) };
        let one = numbers([1, 2, 3, 4, 5, 6, 7, 8]);
        for user in ["ann", "", "bob"] {
            shard.add(&key(user), &one, 7);
        }
        let before = shard.clone().into_bytes();
        let mut shard = Shard::of(Some(&before));
        shard.add(&key(""), &Totals { total_tokens: u64::MAX, ..one }, 9);
        let lines: Vec<(Key<'_>, Totals)> = shard.lines().collect();
        let doubled = Totals { total_tokens: u64::MAX, ..numbers([2, 4, 6, 8, 10, 12, 14, 0]) };
        assert_eq!(lines, [(key("ann"), one), (key(""), doubled), (key("bob"), one)]);
        let times: Vec<u64> = shard.entries().map(|entry| entry.fixed.last_used).collect();
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
            let mut shard = Shard::of(whole.get(..length));
            let lines = shard.lines().count();
            assert!(lines < 2, "{length}");
            shard.add(&key("eve"), &Totals::default(), 1);
            assert_eq!(shard.lines().count(), lines + 1, "{length}");
        }
    }
}
