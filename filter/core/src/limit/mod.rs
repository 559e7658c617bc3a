//! Budgets that the filter keeps itself, for deployments without Redis.
//!
//! They mean what the rules of `rateLimit.global` mean with Envoy's ratelimit service: fixed windows aligned to the
//! epoch; a request is looked at before it is sent ([`look`]) and charged when its answer is complete ([`charge`]).
//! A budget of 100 admits requests until more than 100 were charged.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable};
use sha2::{Digest, Sha256};

use crate::config::Budget;
use crate::store::{Store, update};

const SHARDS: u16 = 1024;

/// How many counts one shard holds.
const SHARD_COUNTS: usize = 256;

/// One count of one budget: of this route (unless shared) and this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of the budget, its route and the values that tell users apart. A hash keeps counts small whatever clients send.
    id: [u8; 16],
    /// What may be used in one window.
    pub limit: u64,
    /// Seconds.
    pub window: u64,
    /// What the request counts before it is sent.
    request_hits: u64,
    /// Whose value is charged when the answer is complete.
    response_cost: Option<String>,
}

/// Where a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What may be used in one window.
    pub limit: u64,
    /// Seconds.
    pub window: u64,
    /// What is left of it.
    pub remaining: u64,
    /// Seconds until the window ends.
    pub reset: u64,
    /// True when the request must be refused.
    pub over: bool,
}

impl Standing {
    /// The headers that say so: <https://datatracker.ietf.org/doc/draft-polli-ratelimit-headers/03/>, as Envoy's
    /// ratelimit filter writes them.
    #[must_use]
    pub fn headers(&self) -> [(&'static str, String); 3] {
        [
            ("x-ratelimit-limit", format!("{}, {};w={}", self.limit, self.limit, self.window)),
            ("x-ratelimit-remaining", self.remaining.to_string()),
            ("x-ratelimit-reset", self.reset.to_string()),
        ]
    }
}

/// What a request claims of `budget`; `None` when the budget does not apply to it. `header` gives the value of a
/// header, as Envoy's rate limit would find it.
pub fn claim<'a>(
    budget: &Budget,
    route: &str,
    header: impl Fn(&str) -> Option<Cow<'a, str>>,
) -> Option<Claim> {
    let mut id = Sha256::new();
    let mut part = |text: &str| {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        id.update((text.len() as u64).to_le_bytes());
        id.update(text);
    };
    part(&budget.name);
    part(if budget.shared { "" } else { route });
    for selector in &budget.selectors {
        let value = header(&selector.header)?;
        match &selector.exact {
            Some(exact) if *exact != value => return None,
            Some(_) => {}
            None => part(&value),
        }
    }
    let digest = id.finalize();
    Some(Claim {
        id: std::array::from_fn(|index| digest.get(index).copied().unwrap_or_default()),
        limit: budget.limit,
        window: budget.window.max(1),
        request_hits: budget.request_hits,
        response_cost: budget.response_cost.clone(),
    })
}

/// A count of a claim, in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
struct Count {
    id: [u8; 16],
    /// Seconds since 1970.
    window_end: u64,
    used: u64,
}

/// The counts of one shard. They lie in shared data as they lie here: every request reads a shard, which may hold many.
#[derive(Debug, Clone, Default)]
struct Shard(Vec<Count>);

impl Shard {
    fn read(bytes: Option<&[u8]>) -> Shard {
        Shard(bytemuck::allocation::pod_collect_to_vec(bytes.unwrap_or_default()))
    }

    fn bytes(&self) -> Vec<u8> {
        bytemuck::cast_slice(&self.0).to_vec()
    }

    fn used(&self, id: &[u8; 16], now: u64) -> u64 {
        self.0.iter().find(|count| count.id == *id && count.window_end > now).map_or(0, |count| count.used)
    }

    fn add(&mut self, id: [u8; 16], window_end: u64, hits: u64, now: u64) {
        if let Some(count) = self.0.iter_mut().find(|count| count.id == id) {
            count.used = if count.window_end > now { count.used.saturating_add(hits) } else { hits };
            count.window_end = window_end;
            return;
        }
        if self.0.len() >= SHARD_COUNTS {
            self.0.retain(|count| count.window_end > now);
        }
        if self.0.len() >= SHARD_COUNTS {
            // Whoever used least is forgotten: inventing users must not free one that is near its limit.
            let least = self.0.iter().enumerate().min_by_key(|(_, count)| count.used).map(|(index, _)| index);
            if let Some(index) = least {
                self.0.swap_remove(index);
            }
        }
        self.0.push(Count { id, window_end, used: hits });
    }
}

fn shard_key(id: &[u8; 16]) -> String {
    let [first, second, ..] = *id;
    // By another name than that of shards in another layout, which an earlier filter may have left.
    format!("weir.counts.{}", u16::from_le_bytes([first, second]) % SHARDS)
}

/// Whether a request may be sent, and what its claims stand at afterwards. A request that is refused by one budget
/// counts in none.
pub fn look(store: &dyn Store, claims: &[Claim], now: u64) -> Vec<Standing> {
    let standing = |claim: &Claim, used: u64, hits: u64| {
        let after = used.saturating_add(hits);
        let over = after > claim.limit;
        let counted = if over { used } else { after };
        Standing {
            limit: claim.limit,
            window: claim.window,
            remaining: claim.limit.saturating_sub(counted),
            reset: claim.window - now % claim.window,
            over,
        }
    };
    let mut standings: Vec<Standing> = claims
        .iter()
        .map(|claim| {
            let now_stored = store.get(&shard_key(&claim.id));
            let used = Shard::read(now_stored.as_ref().map(|now| now.value.as_slice())).used(&claim.id, now);
            standing(claim, used, claim.request_hits)
        })
        .collect();
    if standings.iter().any(|standing| standing.over) {
        return standings;
    }
    for (claim, slot) in claims.iter().zip(&mut standings) {
        if claim.request_hits == 0 {
            continue;
        }
        let counted = update(store, &shard_key(&claim.id), |bytes| {
            let mut shard = Shard::read(bytes);
            let found = standing(claim, shard.used(&claim.id, now), claim.request_hits);
            if found.over {
                return (None, found);
            }
            shard.add(claim.id, now - now % claim.window + claim.window, claim.request_hits, now);
            (Some(shard.bytes()), found)
        });
        if let Some(found) = counted {
            *slot = found;
        }
    }
    standings
}

/// Gives back what [`look`] counted at `then`, of a request that was refused after all. False when a count could not be
/// written.
pub fn give_back(store: &dyn Store, claims: &[Claim], then: u64) -> bool {
    let mut written = true;
    for claim in claims.iter().filter(|claim| claim.request_hits > 0) {
        let window_end = then - then % claim.window + claim.window;
        let mut is_over = false;
        let given = update(store, &shard_key(&claim.id), |bytes| {
            let mut shard = Shard::read(bytes);
            let is_it = |count: &&mut Count| count.id == claim.id && count.window_end == window_end;
            match shard.0.iter_mut().find(is_it) {
                Some(count) => count.used = count.used.saturating_sub(claim.request_hits),
                None => {
                    // Its window is over, and with it the count.
                    is_over = true;
                    return (None, ());
                }
            }
            (Some(shard.bytes()), ())
        });
        written &= is_over || given.is_some();
    }
    written
}

/// Charges what an answer cost: `cost` gives the value of a cost key, `None` when it was not computed. False when a
/// count could not be written: the caller logs that.
pub fn charge(store: &dyn Store, claims: &[Claim], now: u64, cost: impl Fn(&str) -> Option<u64>) -> bool {
    let mut written = true;
    for claim in claims {
        let hits = claim.response_cost.as_deref().and_then(&cost).unwrap_or(0);
        if hits == 0 {
            continue;
        }
        let window_end = now - now % claim.window + claim.window;
        written &= update(store, &shard_key(&claim.id), |bytes| {
            let mut shard = Shard::read(bytes);
            shard.add(claim.id, window_end, hits, now);
            (Some(shard.bytes()), ())
        })
        .is_some();
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Selector;
    use crate::headers::Headers;
    use crate::store::memory::Memory;

    fn tokens(limit: u64) -> Budget {
        Budget {
            name: "default/p/rule/0".to_owned(),
            shared: false,
            selectors: vec![Selector { header: "x-user-id".to_owned(), exact: None }],
            limit,
            window: 3600,
            request_hits: 0,
            response_cost: Some("llm_total_token".to_owned()),
        }
    }

    fn of(budget: &Budget, user: &str) -> Claim {
        claim(budget, "r", |name| (name == "x-user-id").then_some(user.into())).unwrap()
    }

    #[test]
    fn a_budget_of_100_takes_three_requests_of_40() {
        let store = Memory::default();
        let claims = [of(&tokens(100), "ann")];
        let mut answers = Vec::new();
        for _ in 0..5 {
            let over = look(&store, &claims, 7200)[0].over;
            answers.push(over);
            if !over {
                charge(&store, &claims, 7201, |key| (key == "llm_total_token").then_some(40));
            }
        }
        assert_eq!(answers, [false, false, false, true, true]);
        assert!(
            !look(&store, &[of(&tokens(100), "bob")], 7200)[0].over,
            "another user has a budget of their own"
        );
        let next = look(&store, &claims, 10_800)[0];
        assert_eq!(
            (next.over, next.remaining, next.reset),
            (false, 100, 3600),
            "the next window starts afresh"
        );
    }

    #[test]
    fn exactly_used_up_still_admits_a_look_as_the_ratelimit_service_does() {
        let store = Memory::default();
        let claims = [of(&tokens(40), "ann")];
        charge(&store, &claims, 0, |_| Some(40));
        assert!(!look(&store, &claims, 1)[0].over);
        charge(&store, &claims, 2, |_| Some(1));
        assert!(look(&store, &claims, 3)[0].over);
    }

    #[test]
    fn requests_are_counted_at_once_and_a_refused_one_counts_nowhere() {
        let store = Memory::default();
        let requests = Budget { request_hits: 1, response_cost: None, name: "n".to_owned(), ..tokens(2) };
        let wide = Budget { limit: 10, name: "w".to_owned(), ..requests.clone() };
        let claims = [of(&requests, "ann"), of(&wide, "ann")];
        let outcomes: Vec<Vec<(bool, u64)>> = (0..4)
            .map(|_| look(&store, &claims, 0).iter().map(|s| (s.over, s.remaining)).collect())
            .collect();
        assert_eq!(outcomes[1], [(false, 0), (false, 8)]);
        assert_eq!(outcomes[2], [(true, 0), (false, 7)]);
        assert_eq!(outcomes[3], [(true, 0), (false, 7)], "the third did not count in the wide budget");
    }

    #[test]
    fn selectors_decide_who_is_counted_and_shared_joins_routes() {
        let headers = Headers::from([("x-user-id", "ann"), ("x-team", "red")]);
        let mut budget = tokens(1);
        assert_ne!(
            claim(&budget, "a", |name| headers.get(name).map(Into::into)),
            claim(&budget, "b", |name| headers.get(name).map(Into::into))
        );
        budget.shared = true;
        assert_eq!(
            claim(&budget, "a", |name| headers.get(name).map(Into::into)),
            claim(&budget, "b", |name| headers.get(name).map(Into::into))
        );
        budget.selectors.push(Selector { header: "x-team".to_owned(), exact: Some("blue".to_owned()) });
        assert_eq!(claim(&budget, "a", |name| headers.get(name).map(Into::into)), None);
        assert_eq!(claim(&tokens(1), "a", |_| None), None, "a Distinct header must be there");
    }

    #[test]
    fn a_full_shard_forgets_the_smallest_count() {
        let mut shard = Shard::default();
        for n in 0..600_u16 {
            let mut id = [0; 16];
            id[..2].copy_from_slice(&n.to_le_bytes());
            shard.add(id, 100, u64::from(n), 1);
        }
        assert_eq!(shard.0.len(), SHARD_COUNTS);
        let mut last = [0; 16];
        last[..2].copy_from_slice(&599_u16.to_le_bytes());
        assert_eq!(shard.used(&last, 1), 599);
        assert!(shard.0.iter().all(|count| count.used > 300));
    }
}
