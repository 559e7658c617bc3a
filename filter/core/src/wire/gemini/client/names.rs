//! Members as Google takes them from JSON: by either spelling of their names, numbers also as text
//! (<https://protobuf.dev/programming-guides/json/>).

use std::borrow::Cow;

use crate::error::Result;
use crate::wire::fields::{Fields, Path};
use crate::wire::json::Json;
use crate::wire::names::camel;

/// The object `value` at `path`, its members by the names that the reference has for them.
pub(super) fn fields<'p>(path: &'p Path<'p>, value: Json<'p>) -> Result<Fields<'p>> {
    Fields::new(path, in_camel_case(value))
}

fn in_camel_case(value: Json<'_>) -> Json<'_> {
    let is_other = |name: &str| name.get(1..).is_some_and(|rest| rest.contains('_'));
    match value {
        Json::Object(mut members) => {
            for (name, _) in members.iter_mut().filter(|(name, _)| is_other(name)) {
                *name = Cow::Owned(camel(name));
            }
            Json::Object(members)
        }
        other => other,
    }
}

/// A whole number: `40`, `40.0`, which Python's SDK sends for some, or `"40"`.
pub(super) fn whole(fields: &mut Fields<'_>, name: &str) -> Result<Option<i64>> {
    let Some(value) = fields.take(name) else { return Ok(None) };
    let number = match &value {
        Json::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(exact)),
        Json::String(text) => text.parse().ok(),
        _ => None,
    };
    let Some(number) = number else { return Err(fields.path(name).malformed("expected a whole number")) };
    Ok(Some(number))
}

/// A whole number of 0 or more.
pub(super) fn count(fields: &mut Fields<'_>, name: &str) -> Result<Option<u64>> {
    let Some(number) = whole(fields, name)? else { return Ok(None) };
    let count = u64::try_from(number);
    count.map(Some).map_err(|_| fields.path(name).malformed("expected a whole number of 0 or more"))
}

#[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number in range")]
fn exact(number: f64) -> Option<i64> {
    /// Below it every whole number has an exact `f64`.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64)
}

/// The name of a value of an enumeration, which Google takes in any case.
pub(super) fn word(fields: &mut Fields<'_>, name: &str) -> Result<Option<String>> {
    Ok(fields.string(name)?.map(|word| word.to_ascii_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields::parse;
    use crate::wire::json::Shape;

    fn tree(json: &str) -> Json<'_> {
        parse("", &Shape::Tree, json.as_bytes()).unwrap()
    }

    #[test]
    fn a_member_may_be_spelled_either_way_and_a_number_be_written_in_any() {
        let value = tree(r#"{"top_k": 40.0, "maxOutputTokens": "7", "seed": -3, "_own": 1, "mode": "any"}"#);
        let mut members = fields(&Path::Root, value).unwrap();
        assert_eq!(whole(&mut members, "topK").unwrap(), Some(40));
        assert_eq!(count(&mut members, "maxOutputTokens").unwrap(), Some(7));
        assert!(members.take("_own").is_some());
        assert_eq!(word(&mut members, "mode").unwrap().as_deref(), Some("ANY"));
        assert_eq!(count(&mut members, "seed").unwrap_err().status(), 400);
        for wrong in ["1.5", "1e300", "\"x\"", "[1]"] {
            let json = format!(r#"{{"top_k": {wrong}}}"#);
            let mut members = fields(&Path::Root, tree(&json)).unwrap();
            assert_eq!(whole(&mut members, "topK").unwrap_err().status(), 400, "{wrong}");
        }
    }
}
