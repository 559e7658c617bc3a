//! What is counted of a request.

/// Lists the counters: a new one is a line here, and where a provider's shape is read.
macro_rules! counters {
    ($($(#[$doc:meta])* $counter:ident = $name:literal,)*) => {
        /// A counter of [`Usage`](super::Usage). Tokens are part of the input or the output, not beside them.
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
    /// Those of the cache writes that are kept for five minutes.
    CacheCreation5mInput = "cache_creation_5m_input_tokens",
    /// Those of the cache writes that are kept for an hour.
    CacheCreation1hInput = "cache_creation_1h_input_tokens",
    /// Those of the input that tools of the provider brought.
    ToolUseInput = "tool_use_input_tokens",
    /// Those of the input that are sound.
    AudioInput = "audio_input_tokens",
    /// Those of the input that are pictures.
    ImageInput = "image_input_tokens",
    /// Those of the output that are sound.
    AudioOutput = "audio_output_tokens",
    /// Those of the output that are pictures.
    ImageOutput = "image_output_tokens",
    /// Searches of the web by a tool of the provider.
    WebSearches = "web_search_requests",
    /// Pages that a tool of the provider fetched.
    WebFetches = "web_fetch_requests",
    /// Runs of code by a tool of the provider.
    CodeExecutions = "code_execution_requests",
    /// What rerank is sold by.
    SearchUnits = "search_units",
    /// Pictures that were embedded.
    Images = "images",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_tells_each() {
        let documentation = include_str!("../../../../docs/operating.md");
        for counter in Counter::ALL {
            let row = format!("| `{}` |", counter.name());
            assert!(documentation.contains(&row), "docs/operating.md has no row of {}", counter.name());
        }
    }
}
