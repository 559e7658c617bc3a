//! The end of a request: its record, and what is charged for it.

use std::iter;

use super::Edge;
use crate::cel::Fault;
use crate::config::Cost;
use crate::limit;
use crate::store::Store;
use crate::usage::cost::{self, Spent};
use crate::usage::record::Record;
use crate::usage::{Usage, ledger};

/// What is left to do when a request is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Closing {
    /// The record, entered in the ledger already.
    pub record: Record,
    /// The costs to publish under their keys, for limits that charge outside of the filter. Empty when nothing was
    /// used, so that nothing is charged.
    pub costs: Vec<(String, u64)>,
    /// Keys of the costs that could not be computed, and why.
    pub faults: Vec<(String, Fault)>,
    /// The ledger or a budget could not be written.
    pub books_failed: bool,
}

impl Edge {
    /// How often the proxy has tried, where no filter sees each attempt.
    pub fn count_attempts(&mut self, attempts: impl FnOnce() -> Option<u32>) {
        let mut exchange = self.exchange.borrow_mut();
        if exchange.routed.direct
            && exchange.attempts.sent > 0
            && let Some(attempts) = attempts()
        {
            exchange.attempts.sent = attempts.max(1);
        }
    }

    /// Closes the books of the request, which ended at `now_ms` with `status` (0: the client left before any).
    pub fn close(&mut self, status: u16, now_ms: u64, store: &dyn Store) -> Closing {
        let mut exchange = self.exchange.borrow_mut();
        exchange.count_abandoned(status);
        let (usage, _) = exchange.settle();
        let mut record = exchange.take_record(status, now_ms);
        record.labels = self
            .config
            .metrics_headers
            .of(|name| exchange.header(name).filter(|_| !self.config.brings_credentials(name)));
        let used = || {
            let abandoned = record.abandoned.iter();
            let abandoned = abandoned.map(|one| (&one.request_model, &one.backend, one.usage()));
            iter::once((&record.request_model, &record.backend, usage)).chain(abandoned)
        };
        let mut faults = Vec::new();
        let mut sum = |cost: &Cost| {
            let of = |(model, backend, usage): (&String, &String, Usage)| {
                let spent = Spent { model, backend, rule: &record.route, usage: &usage };
                cost::value(cost, &spent).unwrap_or_else(|fault| {
                    faults.push((cost.key.clone(), fault));
                    cost::instead(&usage)
                })
            };
            (cost.key.clone(), used().map(of).fold(0, u64::saturating_add))
        };
        let costs: Vec<(String, u64)> = match &exchange.routed.route {
            Some(route) if used().any(|(.., usage)| !usage.is_empty()) => {
                route.costs.iter().map(&mut sum).collect()
            }
            _ => Vec::new(),
        };
        let now = now_ms / 1000;
        let charged = limit::charge(store, &exchange.books.claims, now, |key| {
            costs.iter().find(|(name, _)| name == key).map(|(_, value)| *value)
        });
        // What is refused costs nothing, wherever it is refused.
        let refused = exchange.books.counted_at.filter(|_| exchange.attempts.sent == 0);
        let given_back = refused.is_none_or(|then| limit::give_back(store, &exchange.books.claims, then));
        let entered = ledger::enter(store, &record, now);
        let costs = costs.into_iter().map(|(key, value)| (key, cost::charge(value))).collect();
        Closing { record, costs, faults, books_failed: !(charged && given_back && entered) }
    }
}
