//! What a request used, in tokens, and the books it is entered in.

pub mod cost;
pub mod ledger;
pub mod record;

use serde::{Deserialize, Serialize};

/// Token counters of one request. `None` means that the provider did not report the counter, which is not the same
/// as zero.
///
/// One meaning for every provider: `input` contains the cached tokens (OpenAI's convention; Anthropic and Bedrock
/// report cache reads and writes beside the input, so their decoders add them), and `output` contains the
/// reasoning tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the prompt, cache reads and cache writes included.
    pub input: Option<u64>,
    /// Those of `input` that were read from a prompt cache.
    pub cached_input: Option<u64>,
    /// Those of `input` that were written to a prompt cache.
    pub cache_creation_input: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub output: Option<u64>,
    /// Those of `output` that were spent on reasoning.
    pub reasoning: Option<u64>,
    /// `input + output`, or what the provider calls the total.
    pub total: Option<u64>,
}

impl Usage {
    /// Takes over every counter that `later` reports; providers repeat cumulative counters during a stream.
    pub fn merge(&mut self, later: Usage) {
        let pick = |now: &mut Option<u64>, new: Option<u64>| *now = new.or(*now);
        pick(&mut self.input, later.input);
        pick(&mut self.cached_input, later.cached_input);
        pick(&mut self.cache_creation_input, later.cache_creation_input);
        pick(&mut self.output, later.output);
        pick(&mut self.reasoning, later.reasoning);
        pick(&mut self.total, later.total);
    }

    /// True while no counter was reported.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Usage::default()
    }

    /// The total as reported, else the sum of input and output, else `None` when neither is known.
    #[must_use]
    pub fn total_or_sum(&self) -> Option<u64> {
        self.total.or_else(|| match (self.input, self.output) {
            (None, None) => None,
            (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
        })
    }
}
