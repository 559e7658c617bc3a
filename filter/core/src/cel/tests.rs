use proptest::prelude::*;

use super::*;

const USAGE: [(Counter, Option<u64>); 3] =
    [(Counter::Input, Some(1000)), (Counter::CachedInput, Some(400)), (Counter::Output, Some(50))];

fn value_of(text: &str) -> Result<u64, Fault> {
    let usage = Usage::of(USAGE);
    let variables =
        Variables { model: "gpt-5", backend: "azure.default", route_name: "default/ai", usage: &usage };
    Expression::new(text).unwrap_or_else(|mistake| panic!("{text}: {mistake}")).value(&variables)
}

fn mistake(text: &str) -> String {
    Expression::new(text).map(|_| text).unwrap_err().to_string()
}

#[test]
fn numbers_are_computed_as_in_cel() {
    for (text, value) in [
        ("input_tokens + output_tokens", 1050),
        ("total_tokens", 1050),
        ("input_tokens - cached_input_tokens + cached_input_tokens / 10u", 640),
        ("uint(double(input_tokens) * 0.1)", 100),
        ("uint(double(output_tokens) * 1.5e-1)", 7),
        ("reasoning_tokens", 0),
        ("images + search_units * 1000u", 0),
        ("1 + 2 * 3 - 4", 3),
        ("(1 + 2) * 3", 9),
        ("7 % 4 + 10 / 3", 6),
        ("- -3", 3),
        ("18446744073709551615u", u64::MAX),
        ("uint(0.5 + 1.5e+0 + -1.0)", 1),
        ("int(2u) + int(2.9)", 4),
    ] {
        assert_eq!(value_of(text), Ok(value), "{text}");
    }
}

#[test]
fn it_may_depend_on_the_model_and_on_what_is_true() {
    for (text, value) in [
        ("model == 'gpt-5' ? 2u : 1u", 2),
        ("model != 'gpt-5' ? 2u : 1u", 1),
        ("model == 'a' ? 1 : model == 'gpt-5' ? 2 : 3", 2),
        ("model.startsWith('gpt-') && backend.endsWith('.default') ? 1 : 0", 1),
        ("route_name.contains('/') || false ? 1 : 0", 1),
        ("model in ['gpt-4', \"gpt-5\"] ? 1 : 0", 1),
        ("model in [] ? 1 : 0", 0),
        ("!(1 < 2) ? 1 : 0", 0),
        ("true == (2 >= 2) ? 1 : 0", 1),
        ("1.5 <= 1.5 && 'a' < 'b' && 1u > 0u ? 1 : 0", 1),
        ("0.0 / 0.0 == 0.0 / 0.0 ? 1 : 0", 0),
        ("0.0 / 0.0 != 0.0 / 0.0 ? 1 : 0", 1),
        ("'it' == \"it\" ? 1 : 0", 1),
    ] {
        assert_eq!(value_of(text), Ok(value), "{text}");
    }
}

#[test]
fn integers_do_not_wrap() {
    for (text, fault) in [
        ("cached_input_tokens - input_tokens", Fault::Overflow),
        ("18446744073709551615u + 1u", Fault::Overflow),
        ("18446744073709551615u * 2u", Fault::Overflow),
        ("9223372036854775807 + 1", Fault::Overflow),
        ("(-9223372036854775807 - 1) / -1", Fault::Overflow),
        ("-(-9223372036854775807 - 1)", Fault::Overflow),
        ("int(18446744073709551615u)", Fault::Overflow),
        ("uint(-1)", Fault::Overflow),
        ("uint(-0.5)", Fault::Overflow),
        ("uint(18446744073709551616.0)", Fault::Overflow),
        ("int(9223372036854775808.0)", Fault::Overflow),
        ("uint(0.0 / 0.0)", Fault::Overflow),
        ("1u / reasoning_tokens", Fault::DivisionByZero),
        ("1 % 0", Fault::DivisionByZero),
        ("int(-9223372036854775808.0)", Fault::Overflow),
        ("1 - 2", Fault::Overflow),
    ] {
        assert_eq!(value_of(text), Err(fault), "{text}");
    }
}

/// <https://github.com/google/cel-spec/blob/master/doc/langdef.md#logical-operators>
#[test]
fn a_fault_does_not_matter_where_the_other_side_decides() {
    for (text, value) in [
        ("1 / 0 == 1 || true ? 1 : 0", Ok(1)),
        ("true || 1 / 0 == 1 ? 1 : 0", Ok(1)),
        ("1 / 0 == 1 && false ? 1 : 0", Ok(0)),
        ("1 / 0 == 1 && true ? 1 : 0", Err(Fault::DivisionByZero)),
        ("false || 1 / 0 == 1 ? 1 : 0", Err(Fault::DivisionByZero)),
        ("true ? 1 : 1 / 0", Ok(1)),
    ] {
        assert_eq!(value_of(text), value, "{text}");
    }
}

#[test]
fn a_mistake_says_where_it_is() {
    for (text, said) in [
        ("", "column 1: the expression ends too soon"),
        ("input_tokens +", "column 15: the expression ends too soon"),
        (
            "input_tokens * 2",
            "column 14: uint and int do not go together: 2u is a uint, and uint(double(x) * 0.5) one of a fraction",
        ),
        ("double(input_tokens)", "column 1: a cost is int or uint, and this is double"),
        ("model", "column 1: a cost is int or uint, and this is string"),
        ("'größe' == model ? tokens : 1u", "column 20: a cost knows no tokens"),
        ("input_tokens ? 1 : 2", "column 1: this is of type uint, and must be of type bool"),
        ("true ? 1 : 2u", "column 8: this is of type int, and must be of type uint"),
        ("model in ['a', 1] ? 1 : 2", "column 16: this is of type int, and must be of type string"),
        ("model + 'a' == 'b' ? 1 : 2", "column 7: a string cannot stand here"),
        ("-input_tokens", "column 1: there is no -uint"),
        ("1.0 % 2.0 > 0.0 ? 1 : 2", "column 5: a double cannot stand here"),
        ("uint(model)", "column 6: a string cannot stand here"),
        ("string(1)", "column 1: a cost knows no string"),
        ("model.matches('a') ? 1 : 2", "column 7: this cannot stand here"),
        ("[1].exists(x, x > 0) ? 1 : 2", "column 1: this cannot stand here"),
        ("(1", "column 3: ) is missing here"),
        ("1 2", "column 3: this cannot stand here"),
        ("9223372036854775808", "column 1: this is no number, or too large for one"),
        ("18446744073709551616u", "column 1: this is no number, or too large for one"),
        ("1x", "column 1: this is no number, or too large for one"),
        ("1e", "column 1: this is no number, or too large for one"),
        ("1e999 > 0.0 ? 1 : 2", "column 1: this is no number, or too large for one"),
        ("1 # 2", "column 3: this cannot stand here"),
        ("model == 'a", "column 10: this string has no end"),
        ("model == '\\n' ? 1 : 2", "column 10: a string has no escapes here, and one line"),
    ] {
        assert_eq!(mistake(text), said, "{text}");
    }
}

#[test]
fn what_takes_much_room_is_refused() {
    let of = |text: &str| Expression::new(text).is_ok();
    let inside = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(of(&inside(60)) && !of(&inside(70)) && !of(&inside(4000)));
    let negated = |times: usize| format!("{}1", "-".repeat(times));
    assert!(of(&negated(60)) && !of(&negated(8000)));
    let sum = |terms: usize| vec!["1u"; terms].join("+");
    assert!(of(&sum(251)) && !of(&sum(252)));
    let choices = |models: usize| format!("{}0", "model == 'a' ? 1 : ".repeat(models));
    assert!(of(&choices(250)) && !of(&choices(251)));
    assert_eq!(value_of(&choices(250)), Ok(0));
    assert!(!of(&" ".repeat(9000)));
}

#[test]
fn an_expression_is_tried_out_with_nothing_used() {
    let fault = |text: &str| Expression::new(text).unwrap().try_out();
    assert_eq!(fault("total_tokens + 1u"), Ok(()));
    assert_eq!(fault("1u / input_tokens"), Err(Fault::DivisionByZero));
    assert_eq!(fault("total_tokens - 100u"), Err(Fault::Overflow));
}

#[test]
fn it_is_written_as_it_was_read() {
    let expression = Expression::new(" input_tokens*2u ").unwrap();
    let json = serde_json::to_string(&expression).unwrap();
    assert_eq!(json, r#"" input_tokens*2u ""#);
    assert_eq!(serde_json::from_str::<Expression>(&json).unwrap(), expression);
    let error = serde_json::from_str::<Expression>(r#""input_tokens*2""#).unwrap_err();
    assert!(error.to_string().contains("column 13: uint and int"), "{error}");
}

/// A text of an expression of uints, and what it is worth; `None` where it has no value.
fn sum() -> impl Strategy<Value = (String, Option<u64>)> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(|value| (format!("{value}u"), Some(value))),
        (0..9_u64).prop_map(|value| (format!("{value}u"), Some(value))),
        Just(("input_tokens".to_owned(), Some(1000))),
    ];
    leaf.prop_recursive(5, 40, 2, |inner| {
        (inner.clone(), 0..5_usize, inner).prop_map(|((left, a), operator, (right, b))| {
            let sign = ["+", "-", "*", "/", "%"][operator];
            let value = a.zip(b).and_then(|(a, b)| match sign {
                "+" => a.checked_add(b),
                "-" => a.checked_sub(b),
                "*" => a.checked_mul(b),
                "/" => a.checked_div(b),
                _ => a.checked_rem(b),
            });
            (format!("({left} {sign}{right})"), value)
        })
    })
}

proptest! {
    #[test]
    fn arithmetic_is_that_of_numbers((text, value) in sum()) {
        prop_assert_eq!(value_of(&text).ok(), value, "{}", text);
    }

    #[test]
    fn no_text_is_too_much(text in r#"(\PC{0,3}|[0-9a-z_.'"]{1,4}|input_tokens|model|double\(|uint\(|[-+*/%<>=!&|?:()\[\], ]){0,20}"#) {
        if let Ok(expression) = Expression::new(&text) {
            let _ = expression.try_out();
            prop_assert_eq!(Expression::new(&String::from(expression.clone())), Ok(expression));
        }
    }
}
