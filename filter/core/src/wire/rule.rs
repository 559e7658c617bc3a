//! Tables of what a provider is known to refuse.

/// The rows: a rule, the reason of its loss, and where it is documented, or who met the refusal where it is not.
macro_rules! rules {
    ($(#[$doc:meta])* $($rule:ident: $reason:expr, $source:expr;)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::wire) enum Rule { $($rule),* }

        impl Rule {
            #[cfg(test)]
            pub(in crate::wire) const ALL: &[Self] = &[$(Self::$rule),*];

            /// The reason of the loss.
            pub(in crate::wire) const fn reason(self) -> &'static str {
                match self { $(Self::$rule => $reason),* }
            }

            /// Where it is documented.
            #[cfg_attr(not(test), allow(dead_code, reason = "it is for readers, and a test wants it to be there"))]
            pub(in crate::wire) const fn source(self) -> &'static str {
                match self { $(Self::$rule => $source),* }
            }
        }

        impl From<Rule> for std::borrow::Cow<'static, str> {
            fn from(rule: Rule) -> Self {
                std::borrow::Cow::Borrowed(rule.reason())
            }
        }
    };
}

pub(crate) use rules;
