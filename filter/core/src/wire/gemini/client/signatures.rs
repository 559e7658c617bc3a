//! Whose a `thoughtSignature` is. It is bytes, which JSON has in Base64, and clients check that it is.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::{GeneralPurposeConfig, STANDARD};
use base64::{alphabet, engine::DecodePaddingMode};

use super::super::rules::NO_SIGNATURE;
use crate::chat::{Family, Seal};

/// With padding or without.
const ANY: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The bytes of Base64 in either alphabet: Python's SDK writes the one for URLs.
pub(in crate::wire::gemini) fn bytes(base64: &str) -> Option<Vec<u8>> {
    ANY.decode(&*standard(base64)).ok()
}

/// The same in the alphabet that every other provider takes.
pub(super) fn standard(base64: &str) -> Cow<'_, str> {
    if !base64.contains(['-', '_']) {
        return Cow::Borrowed(base64);
    }
    let mut standard = base64.replace('-', "+").replace('_', "/");
    while !standard.len().is_multiple_of(4) {
        standard.push('=');
    }
    Cow::Owned(standard)
}

/// A seal as a client gets it: Google's own as it is, others with whose they are.
pub(super) fn to_client(seal: &Seal) -> Cow<'_, str> {
    match seal.by {
        Family::Google => Cow::Borrowed(&seal.data),
        Family::OpenAi | Family::Anthropic | Family::Amazon | Family::Cohere => {
            Cow::Owned(STANDARD.encode(seal.marked().to_string()))
        }
    }
}

/// The seal that a client sends back: Google's own, where it does not say whose. What stands for one that nobody has is
/// none.
pub(in crate::wire::gemini) fn of_client(told: String) -> Option<Seal> {
    if told.is_empty() {
        return None;
    }
    let text = bytes(&told).and_then(|bytes| String::from_utf8(bytes).ok());
    if told == NO_SIGNATURE || text.as_deref() == Some(NO_SIGNATURE) {
        return None;
    }
    let marked = text.and_then(Seal::of_marked).filter(|seal| seal.by != Family::Google);
    Some(marked.unwrap_or(Seal { by: Family::Google, data: told }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_comes_back_as_whose_it_was() {
        for by in Family::ALL {
            for data in ["EqoB+/==", "x", "claude:y", "\u{e9}\u{1f600}??>>"] {
                let seal = Seal { by: *by, data: data.to_owned() };
                let told = to_client(&seal).into_owned();
                if *by != Family::Google {
                    assert!(bytes(&told).is_some(), "{told}");
                    // As Python's SDK sends it back.
                    let urls = told.replace('+', "-").replace('/', "_");
                    assert_eq!(of_client(urls), Some(seal.clone()));
                }
                assert_eq!(of_client(told), Some(seal));
            }
        }
        for none in ["", NO_SIGNATURE, &STANDARD.encode(NO_SIGNATURE)] {
            assert_eq!(of_client(none.to_owned()), None, "{none}");
        }
    }

    #[test]
    fn base64_is_read_in_either_alphabet() {
        assert_eq!(standard("-_8"), "+/8=");
        assert_eq!(standard("+/8="), "+/8=");
        assert_eq!(bytes("-_8"), bytes("+/8="));
        assert_eq!(bytes("a b"), None);
    }
}
