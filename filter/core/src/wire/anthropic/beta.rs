//! Which of Anthropic's beta features AWS Bedrock knows.
//!
//! Anthropic takes them from the header `anthropic-beta`; Bedrock takes them from the body's `anthropic_beta`, and
//! rejects the whole request for one it does not know.

use crate::chat::Losses;

/// The features Bedrock takes:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>.
const KNOWN_TO_BEDROCK: &[&str] = &[
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dev-full-thinking-2025-05-14",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "mcp-client-2025-04-04",
    "mcp-client-2025-11-20",
    "model-context-window-exceeded-2025-08-26",
    "output-128k-2025-02-19",
    "pdfs-2024-09-25",
    "search-results-2025-06-09",
    "token-counting-2024-11-01",
    "token-efficient-tools-2025-02-19",
    "tool-search-tool-2025-10-19",
    "web-search-2025-03-05",
];

/// Features that Bedrock calls something else: Anthropic's name, Bedrock's name.
const RENAMED: &[(&str, &str)] = &[("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19")];

/// The body's `anthropic_beta` for Bedrock, from the values of the client's `anthropic-beta` headers, each of which
/// may be a list. The order is kept, a repeated feature is not; one that Bedrock does not know is a loss.
#[must_use]
pub fn for_bedrock<'a>(headers: impl IntoIterator<Item = &'a str>, losses: &mut Losses) -> Vec<&'static str> {
    let mut features = Vec::new();
    for feature in named(headers) {
        let renamed = RENAMED.iter().find(|(from, _)| *from == feature).map_or(feature, |(_, to)| to);
        match KNOWN_TO_BEDROCK.iter().find(|known| **known == renamed) {
            Some(known) if features.contains(known) => {}
            Some(known) => features.push(*known),
            None => losses.add(format_args!("anthropic-beta.{feature}"), "not known to AWS Bedrock"),
        }
    }
    features
}

/// Each feature that the values of the headers name.
pub(crate) fn named<'a>(headers: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let named = headers.into_iter().flat_map(|value| value.split(',')).map(str::trim);
    named.filter(|feature| !feature.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_bedrock_knows_under_its_own_name_once() {
        let headers = [
            "context-1m-2025-08-07, files-api-2025-04-14,",
            "advanced-tool-use-2025-11-20,context-1m-2025-08-07",
            "tool-search-tool-2025-10-19",
        ];
        let mut losses = Losses::default();
        let features = for_bedrock(headers, &mut losses);
        assert_eq!(features, ["context-1m-2025-08-07", "tool-search-tool-2025-10-19"]);
        assert_eq!(losses.lines(), ["anthropic-beta.files-api-2025-04-14: not known to AWS Bedrock"]);

        let mut losses = Losses::default();
        assert!(for_bedrock(["", "CONTEXT-1M-2025-08-07"], &mut losses).is_empty());
        assert_eq!(losses.count(), 1);
    }
}
