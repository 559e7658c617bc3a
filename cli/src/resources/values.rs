//! Values with a notation of their own: durations of Gateway API, quantities of Kubernetes.

use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

/// A duration of Gateway API (GEP-2257): `1h`, `500ms`, `1m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayDuration(pub Duration);

impl GatewayDuration {
    /// The duration, where 0 is Gateway API's word for "none".
    #[must_use]
    pub fn unless_zero(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl<'de> Deserialize<'de> for GatewayDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Number(number) => {
                return Err(D::Error::custom(format!("a duration needs a unit: write `{number}s`")));
            }
            _ => return Err(D::Error::custom("must be a duration such as `30s` or `1m30s`")),
        };
        parse_duration(&text).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a duration: write up to four numbers with the units h, m, s, ms, such as `1m30s`"
            ))
        })
    }
}

pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    const PARTS: usize = 4;
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..PARTS {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = rest.split_at_checked(digits)?;
        if number.is_empty() || number.len() > 5 {
            return None;
        }
        let number: u64 = number.parse().ok()?;
        let (milliseconds, after) = match unit.strip_prefix("ms") {
            Some(after) => (1, after),
            None => match unit.split_at_checked(1)? {
                ("h", after) => (3_600_000, after),
                ("m", after) => (60_000, after),
                ("s", after) => (1_000, after),
                _ => return None,
            },
        };
        total += Duration::from_millis(number * milliseconds);
        if after.is_empty() {
            return Some(total);
        }
        rest = after;
    }
    None
}

/// A number of bytes, as a quantity of Kubernetes: `50Mi`, `32768`, `1.5G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(D::Error::custom("must be a number of bytes such as `50Mi`")),
        };
        parse_bytes(&text).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is not a number of bytes: write it as `50Mi`, `1Gi` or `52428800`"
            ))
        })
    }
}

pub(super) fn parse_bytes(text: &str) -> Option<u64> {
    /// Beyond this a product of two doubles is no longer exact, and nobody has such a buffer.
    const LARGEST: f64 = (1_u64 << 53) as f64;
    let suffixes = [
        ("Ki", 1024.0),
        ("Mi", 1024.0 * 1024.0),
        ("Gi", 1024.0 * 1024.0 * 1024.0),
        ("Ti", 1024.0 * 1024.0 * 1024.0 * 1024.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
    ];
    let (number, factor) = suffixes
        .iter()
        .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor)))
        .unwrap_or((text, 1.0));
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let bytes = number.parse::<f64>().ok()? * factor;
    (bytes.fract() == 0.0 && bytes <= LARGEST).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            ("0s", Some(0)),
            ("500ms", Some(500)),
            ("1h", Some(3_600_000)),
            ("1m30s", Some(90_000)),
            ("1h2m3s4ms", Some(3_723_004)),
            ("", None),
            ("10", None),
            ("s", None),
            ("1.5s", None),
            ("100000s", None),
            ("1d", None),
            ("1s1s1s1s1s", None),
            ("-1s", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn quantities() {
        let cases = [
            ("50Mi", Some(50 << 20)),
            ("32768", Some(32768)),
            ("1.5Gi", Some(3 << 29)),
            ("1k", Some(1000)),
            ("1e3", Some(1000)),
            ("1.5", None),
            ("-1", None),
            ("Mi", None),
            ("inf", None),
            ("lots", None),
            ("9999999Ti", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
    }
}
