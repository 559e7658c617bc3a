//! What is counted of a request.

/// Lists the counters: a new one is a line here, and where a provider's shape is read.
macro_rules! counters {
    ($($(#[$doc:meta])* $counter:ident = $name:literal,)*) => {
        /// A counter of [`Usage`](super::Usage). Those of tokens are parts of `Input` or `Output`, and not beside them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Counter {
            $($(#[$doc])* $counter,)*
        }

        impl Counter {
            /// All of them, in their order.
            pub const ALL: &'static [Counter] = &[$(Counter::$counter,)*];

            /// Its name in records.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Counter::$counter => $name,)*
                }
            }
        }
    };
}

impl Counter {
    /// True of those that every record has and the ledger adds up; `weir check` has a type of cost for each.
    #[must_use]
    pub fn is_basic(self) -> bool {
        self <= Counter::Total
    }
}

counters! {
    /// Tokens of the prompt, cache reads and cache writes included.
    Input = "input_tokens",
    /// Those of the input that were read from a prompt cache.
    CachedInput = "cached_input_tokens",
    /// Those of the input that were written to a prompt cache.
    CacheCreationInput = "cache_creation_input_tokens",
    /// Tokens of the answer, reasoning included.
    Output = "output_tokens",
    /// Those of the output that were spent on reasoning.
    Reasoning = "reasoning_tokens",
    /// Input and output, or what the provider calls the total.
    Total = "total_tokens",
}
