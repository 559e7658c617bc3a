use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::*;
use crate::codec::scanner::COMMA_OR_BRACKET;
use crate::codec::testing::{mutate, mutation};
use crate::codec::vector::{plain_words, simple_prefix};

fn model(body: &str) -> Result<Option<String>, ScanError> {
    let scan = scan(body.as_bytes(), ["model"])?;
    let [member] = scan.members;
    Ok(member.and_then(|member| member.as_str(body.as_bytes()).map(Cow::into_owned)))
}

fn syntax(body: &str) -> (usize, &'static str) {
    match scan(body.as_bytes(), []) {
        Err(ScanError::Syntax { at, problem }) => (at, problem),
        other => panic!("{body:?} gave {other:?}"),
    }
}

#[test]
fn members_stand_where_they_are_found() {
    let body = br#" { "stream" : true,"model":"m", "n": [1, {"model": 2}] } "#;
    let scan = scan(body, ["model", "stream", "n", "absent"]).unwrap();
    let [model, stream, n, absent] = scan.members;
    let (model, stream, n) = (model.unwrap(), stream.unwrap(), n.unwrap());
    assert_eq!(&body[model.entry.clone()], br#""model":"m""#);
    assert_eq!(model.raw(body), br#""m""#);
    assert_eq!(model.as_str(body).unwrap(), "m");
    assert_eq!(&body[stream.entry.clone()], br#""stream" : true"#);
    assert_eq!(stream.as_bool(body), Some(true));
    assert_eq!(stream.as_str(body), None);
    assert_eq!(n.raw(body), br#"[1, {"model": 2}]"#);
    assert_eq!(n.as_bool(body), None);
    assert_eq!(absent, None);
    assert_eq!(&body[scan.object], body.trim_ascii());
}

#[test]
fn only_the_top_level_counts() {
    assert_eq!(model(r#"{"a":{"model":"inner"},"b":[{"model":"inner"}]}"#), Ok(None));
    assert_eq!(model(r#"{"a":{"model":"inner"},"model":"m"}"#), Ok(Some("m".into())));
}

#[test]
fn escapes_in_keys_and_values_are_resolved() {
    assert_eq!(model(r#"{"mod\u0065l":"a\/\u00e9\ud83d\ude00"}"#), Ok(Some("a/é😀".into())));
    assert_eq!(model(r#"{"model":"é"}"#), Ok(Some("é".into())));
    // A name with an escape in it is compared to the text, not to the letters of the escape.
    let body = br#"{"a\\nb":1,"a\nb":2}"#;
    let [member] = scan(body, ["a\nb"]).unwrap().members;
    assert_eq!(member.unwrap().raw(body), b"2");
}

#[test]
fn half_a_surrogate_pair_is_json_but_no_text() {
    assert_eq!(model(r#"{"model":"\ud800"}"#), Ok(None));
    assert_eq!(model(r#"{"\ud800":1,"model":"m"}"#), Ok(Some("m".into())));
}

#[test]
fn a_second_key_of_the_same_name_is_refused() {
    for (second, at) in [
        (r#"{"model":"a","model":"b"}"#, 13),
        (r#"{"model":"a","MODEL":"b"}"#, 13),
        (r#"{"MODEL":"a","model":"b"}"#, 13),
        (r#"{"Model":"a","MODEL":"b"}"#, 13),
        (r#"{"model":"a","mod\u0065l":"b"}"#, 13),
        (r#"{"model":"a","x":1,"\u004dODEL":"b"}"#, 19),
    ] {
        let expected = Err(ScanError::Duplicate { at, name: "model".into() });
        assert_eq!(model(second), expected, "{second}");
    }
    // Go folds the long s, in the letter and in its escape.
    for second in ["{\"stream\":true,\"\u{17f}tream\":false}", r#"{"stream":true,"\u017Ftream":false}"#] {
        let scan = scan(second.as_bytes(), ["stream"]);
        assert!(matches!(scan, Err(ScanError::Duplicate { at: 15, .. })), "{second}");
    }
}

#[test]
fn a_single_key_in_the_wrong_case_is_not_the_member() {
    assert_eq!(model(r#"{"MODEL":"a"}"#), Ok(None));
}

#[test]
fn a_byte_order_mark_is_passed_over_once() {
    assert_eq!(model("\u{feff} {\"model\":\"m\"}"), Ok(Some("m".into())));
    assert!(model("\u{feff}\u{feff}{}").is_err());
    assert!(model("{\u{feff}}").is_err());
}

#[test]
fn other_keys_may_repeat() {
    assert_eq!(model(r#"{"x":1,"x":2,"model":"m","models":1}"#), Ok(Some("m".into())));
}

#[test]
fn errors_say_where_and_what() {
    assert_eq!(syntax(""), (0, "the body is empty"));
    assert_eq!(syntax("x"), (0, "a JSON object must begin with {"));
    assert_eq!(syntax("\u{feff}x").0, 3);
    assert_eq!(syntax("{} x"), (3, "something follows the JSON object"));
    assert_eq!(syntax(r#"{"a":1,}"#), (7, "a key in double quotes is expected"));
    assert_eq!(syntax(r#"{"a" 1}"#), (5, "a colon is expected after a key"));
    assert_eq!(syntax(r#"{"a":1 "b"}"#), (7, COMMA_OR_BRACE));
    assert_eq!(syntax(r#"{"a":[1 2]}"#), (8, COMMA_OR_BRACKET));
    assert_eq!(syntax(r#"{"a":01}"#), (6, "a number must not begin with 0"));
    assert_eq!(syntax(r#"{"a":1.}"#), (7, "a digit is expected"));
    assert_eq!(syntax(r#"{"a":nul}"#), (8, "a value is expected"));
    assert_eq!(syntax(r#"{"a":"\x"}"#), (7, "no such escape"));
    assert_eq!(syntax(r#"{"a":"\u12g4"}"#), (10, "\\u needs four hexadecimal digits"));
    assert_eq!(syntax("{\"a\":\"\n\"}"), (6, "a control character in a string must be escaped"));
    assert_eq!(syntax("{\"a\":\"é\n\"}"), (8, "a control character in a string must be escaped"));
    assert_eq!(syntax(r#"{"a":"b"#), (7, "it ends too early"));
    assert_eq!(scan(b"[1]", []), Err(ScanError::NotAnObject { at: 0 }));
    assert_eq!(scan(b" 12", []), Err(ScanError::NotAnObject { at: 1 }));
    assert_eq!(scan(b"{\"a\":\"b\xff\"}", []), Err(ScanError::NotUtf8 { at: 7 }));
    assert_eq!(
        ScanError::Duplicate { at: 13, name: "model".into() }.to_string(),
        r#"the member "model" appears again at byte 13"#
    );
}

#[test]
fn depth_ends_where_serde_json_ends() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let deepest = nested(MAX_DEPTH as usize);
    assert!(serde_json::from_str::<Value>(&deepest).is_ok());
    assert!(scan(deepest.as_bytes(), []).is_ok());
    let deeper = nested(MAX_DEPTH as usize + 1);
    assert!(serde_json::from_str::<Value>(&deeper).is_err());
    assert_eq!(scan(deeper.as_bytes(), []), Err(ScanError::TooDeep { at: 5 + 126 }));
    let huge = "{\"a\":".repeat(1_000_000);
    assert!(matches!(scan(huge.as_bytes(), []), Err(ScanError::TooDeep { .. })));
}

#[test]
fn levels_close_in_the_order_they_opened() {
    let body = r#"{"a":[{"b":[[],{}]},[{"c":{}}]]}"#;
    assert!(scan(body.as_bytes(), []).is_ok());
    for wrong in [r#"{"a":[{"b":1]}}"#, r#"{"a":{"b":[1}]}"#, r#"{"a":[}"#, r#"{"a":{]"#] {
        assert!(scan(wrong.as_bytes(), []).is_err(), "{wrong}");
    }
}

/// Every position of every special byte in words of eight, in blocks, and in their tails.
#[test]
fn simple_prefix_is_exact() {
    for length in 0..72 {
        for at in 0..length {
            for special in (0..0x20).chain([b'"', b'\\', 0x7f, 0x80, 0x81, 0xa2, 0xdc, 0xff]) {
                for filler in [b' ', b'!', b'#', b'[', b']', 0x7f] {
                    let mut bytes = vec![filler; length];
                    bytes[at] = special;
                    let expected = if special == 0x7f { length } else { at };
                    assert_eq!(plain_words(&bytes), expected, "{special:#x} at {at} of {length}");
                    let mut escaped = false;
                    assert_eq!(
                        (simple_prefix(&bytes, &mut escaped), escaped),
                        (expected, false),
                        "{special:#x} at {at} of {length}"
                    );
                }
            }
        }
    }
}

/// What the scanner must accept, said with other means.
fn acceptable(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok()
        && serde_json::from_slice::<IgnoredAny>(body).is_ok()
        && body.trim_ascii_start().first() == Some(&b'{')
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z \"\\\\\n\u{e9}]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec(("[a-c\"\n]{0,3}", inner), 0..5)
                .prop_map(|entries| Value::from(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

pub(crate) fn any_object() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::vec(("[a-d]{1,2}|\\PC{0,3}", any_json()), 0..6)
        .prop_map(|entries| entries.into_iter().collect())
}

fn text(value: &Value, pretty: bool) -> Vec<u8> {
    if pretty { serde_json::to_vec_pretty(value).unwrap() } else { serde_json::to_vec(value).unwrap() }
}

/// Many bytes are looked at at once; where a string has its one odd byte among them must not matter.
#[test]
fn every_byte_is_judged_the_same_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        for before in 0..70 {
            for odd in [&[byte][..], &[b'\\', byte], &[b'\\', b'\\', byte]] {
                let contents = [&[b'x'; 70][..before], odd, &[b'x'; 35]].concat();
                let body = [b"{\"a\":\"".as_slice(), &contents, b"\",\"model\":1}"].concat();
                let found = scan(&body, ["model"]);
                let shown = || body.escape_ascii().to_string();
                assert_eq!(found.is_ok(), acceptable(&body), "{}", shown());
                if let Ok(found) = found {
                    assert_eq!(found.members[0].as_ref().unwrap().raw(&body), b"1", "{}", shown());
                }
            }
        }
    }
}

#[test]
fn escapes_in_a_key_are_resolved_in_front_of_a_long_body() {
    let tail = "x".repeat(100);
    for key in [r"a\/b", r"\u0061/b", "a/b"] {
        let body = format!(r#"{{"{key}":1,"tail":"{tail}"}}"#);
        assert!(scan(body.as_bytes(), ["a/b"]).unwrap().members[0].is_some(), "{key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn finds_what_serde_json_finds(object in any_object(), pretty: bool) {
        let body = text(&Value::from(object.clone()), pretty);
        let names = ["a", "b", "ab", "model"];
        // Keys are letters in lower case or rare ones, so a clash in another case is possible but rare.
        if let Ok(scan) = scan(&body, names) {
            prop_assert_eq!(&body[scan.object], body.as_slice());
            for (name, member) in names.iter().zip(scan.members) {
                let found = member.map(|m| serde_json::from_slice::<Value>(m.raw(&body)).unwrap());
                let expected = object.get(*name)
                    .map(|v| serde_json::from_slice::<Value>(&serde_json::to_vec(v).unwrap()).unwrap());
                prop_assert_eq!(found, expected);
            }
        } else {
            let folded: Vec<String> = object.keys().map(|key| key.to_lowercase()).collect();
            let twice = names.iter().any(|name| folded.iter().filter(|key| key == name).count() > 1);
            prop_assert!(twice, "refused {:?}", String::from_utf8_lossy(&body));
        }
    }

    #[test]
    fn takes_exactly_what_serde_json_takes(
        object in any_object(),
        pretty: bool,
        mutations in proptest::collection::vec(mutation(b"{}[]:,\"\\ \n\x00eE+-.0123u9\x7f\xc3\xa9truefalsn"), 0..4),
    ) {
        let body = mutate(text(&Value::from(object), pretty), &mutations);
        prop_assert_eq!(scan(&body, []).is_ok(), acceptable(&body), "{:?}", String::from_utf8_lossy(&body));
    }

    #[test]
    fn takes_exactly_the_numbers_serde_json_takes(number in "[-+0-9.eE]{1,8}|-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9]{1,3})?") {
        let body = format!("{{\"a\":{number}}}");
        prop_assert_eq!(scan(body.as_bytes(), []).is_ok(), acceptable(body.as_bytes()));
    }

    #[test]
    fn takes_exactly_the_strings_serde_json_takes(
        contents in proptest::collection::vec(prop_oneof![
            proptest::sample::select(b"\\\\\\\"uu/bfnrtD8dC0 a\x1f\x80\xed\xa0\xf0\x9f\x98\x80".as_slice()),
            any::<u8>(),
        ], 0..24),
    ) {
        let body = [b"{\"a\":\"".as_slice(), &contents, b"\"}"].concat();
        prop_assert_eq!(scan(&body, []).is_ok(), acceptable(&body));
    }

    #[test]
    fn never_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let body = [b"{".as_slice(), &body].concat();
        prop_assert_eq!(scan(&body, ["model"]).is_ok(), acceptable(&body));
    }
}

#[test]
fn only_an_answer_may_have_numbers_that_json_does_not_have() {
    for value in ["NaN", "Infinity", "-Infinity", "[NaN]", r#"{"a":-Infinity}"#] {
        let body = format!(r#"{{"a":{value},"model":"m"}}"#);
        assert!(scan(body.as_bytes(), ["model"]).is_err(), "{value}");
        let [model] = scan_answer(body.as_bytes(), ["model"]).unwrap().members;
        assert_eq!(model.unwrap().raw(body.as_bytes()), br#""m""#, "{value}");
    }
    for value in ["nan", "Nan", "NaNs", "+Infinity", "Inf", "-NaN", "--Infinity"] {
        assert!(scan_answer(format!(r#"{{"a":{value}}}"#).as_bytes(), []).is_err(), "{value}");
    }
}
