use proptest::prelude::*;

use super::*;
use crate::codec::testing::{mutate, mutation};

const TYPE: &str = "multipart/form-data; boundary=XX";

fn part(disposition: &str, value: &str) -> String {
    format!("--XX\r\nContent-Disposition: {disposition}\r\n\r\n{value}\r\n")
}

fn form(parts: &[&str]) -> Vec<u8> {
    format!("{}--XX--\r\n", parts.concat()).into_bytes()
}

fn refused(disposition: &str) -> &'static str {
    match scan(TYPE, &form(&[&part(disposition, "v")])) {
        Err(MultipartError::Malformed { problem, .. }) => problem,
        other => panic!("{disposition} gave {other:?}"),
    }
}

#[test]
fn parts_have_names_and_values() {
    let body = form(&[
        &part(r#"form-data; name="model""#, "whisper-1"),
        "--XX\r\ncontent-type: audio/wav\r\nCONTENT-DISPOSITION: form-data;name=file ; filename=\"a \\\"b\\\";c.wav\"\r\n\r\nRI\r\n--X\r\n\r\n",
        &part(r#"form-data; name="prompt""#, ""),
    ]);
    let form = scan(TYPE, &body).unwrap();
    let names: Vec<&str> = form.parts().iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["model", "file", "prompt"]);
    assert_eq!(form.value("model").unwrap(), Some(b"whisper-1".as_slice()));
    assert_eq!(form.value("file").unwrap(), Some(b"RI\r\n--X\r\n".as_slice()));
    assert_eq!(form.value("prompt").unwrap(), Some(b"".as_slice()));
    assert_eq!(form.value("absent").unwrap(), None);
    assert_eq!(form.parts()[1].filename.as_deref(), Some("a \"b\";c.wav"));
    assert_eq!(form.parts()[0].filename, None);
}

#[test]
fn the_boundary_comes_from_the_content_type() {
    let body = form(&[&part("form-data; name=a", "1")]);
    for good in [
        "multipart/form-data;boundary=XX",
        "Multipart/Form-Data; charset=utf-8; Boundary=\"XX\"",
        "multipart/form-data; boundary=XX ; x=y;",
    ] {
        assert_eq!(scan(good, &body).unwrap().value("a").unwrap(), Some(b"1".as_slice()), "{good}");
    }
    for bad in [
        "application/json",
        "multipart/mixed; boundary=XX",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=XX; boundary=YY",
        "multipart/form-data; boundary=\"XX",
        "multipart/form-data; boundary=\"X\" X",
        "multipart/form-data; boundary=X*X",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=XX; boundary*=UTF-8''YY",
        "multipart/form-data; boundary*0=YY; boundary=XX",
        "multipart/form-data; boundary=XX; x*=y",
        "multipart/form-data; boundary=XX;; x=y",
        "multipart/form-data; boundary =XX",
        "multipart/form-data; boundary= XX",
        "multipart/form-data; boundary=XX; charset=utf-16",
        "multipart/form-data; boundary=XX; x=\"\u{e9}\"",
        &format!("multipart/form-data; boundary={}", "X".repeat(71)),
    ] {
        assert!(matches!(scan(bad, &body), Err(MultipartError::ContentType(_))), "{bad}");
    }
}

#[test]
fn text_around_the_parts_is_left_out() {
    let inner = part("form-data; name=a", "1");
    let body = format!("preamble --XX\r\n\r\n{inner}--XX--\r\nepilogue --XX\r\n");
    assert_eq!(scan(TYPE, body.as_bytes()).unwrap().value("a").unwrap(), Some(b"1".as_slice()));
    assert_eq!(scan(TYPE, b"--XX--").unwrap().parts(), []);
}

#[test]
fn only_a_whole_line_is_a_boundary() {
    let value = "x--XX\r\n \n--X\r\n--X\r\n --XX";
    let body = form(&[&part("form-data; name=a", value)]);
    assert_eq!(scan(TYPE, &body).unwrap().value("a").unwrap(), Some(value.as_bytes()));
}

#[test]
fn a_line_that_is_nearly_a_boundary_is_refused() {
    let goes_on = "a line begins with the boundary and goes on";
    let line_end = "a line end before the boundary is not CRLF";
    for (value, problem) in [
        ("\r\n--XXX", goes_on),
        ("\r\n--XX--x", goes_on),
        ("\r\n--XX \n", goes_on),
        ("\r\n--XX \t\r\n", goes_on),
        ("\n--XX\r\n", line_end),
        ("\r--XX\r\n", line_end),
        ("\r\n--XX--\r\n", "the form goes on after its closing boundary"),
    ] {
        let body = form(&[&part("form-data; name=a", value)]);
        let found = scan(TYPE, &body);
        assert!(
            matches!(found, Err(MultipartError::Malformed { problem: p, .. }) if p == problem),
            "{value:?}: {found:?}"
        );
    }
}

#[test]
fn a_field_that_is_there_twice_is_seen() {
    let one = part("form-data; name=model", "a");
    let two = part("form-data; name=\"model\"", "b");
    let body = form(&[&one, &two]);
    let form = scan(TYPE, &body).unwrap();
    assert_eq!(form.named("model").count(), 2);
    assert_eq!(form.value("model"), Err(MultipartError::Duplicate("model".into())));
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    assert_eq!(refused("form-data; name=a; name=b"), "a parameter appears twice");
    let extended = "a parameter has a * in its name, an extended form that not all servers read";
    for disposition in [
        "form-data; name=a; name*=UTF-8''b",
        "form-data; name*0=b; name=a",
        "form-data; name=a; NAME*1*=b",
        "form-data; name=a; filename*=UTF-8''b",
    ] {
        assert_eq!(refused(disposition), extended);
    }
    let odd_name = "the name of a part has other characters than letters, digits and _-.[]:/";
    for name in ["\"\"", "\" a\"", "\"a%62\"", "\"a\\b\"", "\"a;b\"", "\"=?utf-8?q?a?=\"", "\"\u{430}\""] {
        assert_eq!(refused(&format!("form-data; name={name}")), odd_name);
    }
    assert_eq!(
        refused("form-data; name=a;; x=y"),
        "the name of a parameter has characters that none may have"
    );
    assert_eq!(refused("form-data; name =a"), "the name of a parameter has characters that none may have");
    assert_eq!(refused("form-data; name=(a)"), "a value that must be quoted is not");
    assert_eq!(refused("form-data; name=<a>"), "a value that must be quoted is not");
    assert_eq!(refused("form-data; name=a;"), "the content-disposition of a part ends with a semicolon");
    assert_eq!(
        refused(r#"form-data; filename="a\\"; name="b""#),
        "a quoted value has two backslashes before a quote"
    );
    assert_eq!(
        refused("form-data; name=a\r\nContent-Type: Multipart/mixed; boundary=b"),
        "a part is a form itself"
    );
    assert_eq!(refused("form-data; name=a\r\nX: 1\r\nx: 2"), "a part has a header twice");
    assert_eq!(refused("form-data; name=a\r\nX: \0"), "a header of a part has characters that none may have");
    assert_eq!(refused("form-data"), "a part has no name");
    assert_eq!(refused("attachment; name=a"), "the content-disposition of a part is not form-data");
    assert_eq!(refused("form-data; name=\"a"), "a quoted value does not end");
    assert_eq!(
        refused("form-data; name=a\r\nX: y\nz"),
        "a header of a part is folded or has a stray line end"
    );
    assert_eq!(refused("form-data;\r\n name=a"), "a header of a part is folded or has a stray line end");
    assert_eq!(refused("form-data; name=a\r\n b: c"), "a header of a part is folded or has a stray line end");
    assert_eq!(
        refused("form-data; name=a\r\ncontent-disposition: form-data; name=b"),
        "a part has two content-disposition headers"
    );
    assert_eq!(
        refused("form-data; name=a\r\nContent-Transfer-Encoding: base64"),
        "a part has a content-transfer-encoding"
    );
    let binary = "form-data; name=a\r\nContent-Transfer-Encoding: binary";
    assert!(scan(TYPE, &form(&[&part(binary, "v")])).is_ok());
}

#[test]
fn a_broken_body_is_refused() {
    let problem = |body: &[u8]| match scan(TYPE, body) {
        Err(MultipartError::Malformed { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(b""), "the boundary does not appear");
    assert_eq!(problem(b"--XX\r\n"), "the form does not end with its closing boundary");
    let body = form(&[&part("form-data; name=a", "1")]);
    assert_eq!(problem(&body[..body.len() - 4]), "the form does not end with its closing boundary");
    assert_eq!(problem(b"--XX\r\nx: y\r\n--XX--"), "the headers of a part do not end, or are too long");
    assert_eq!(problem(b"--XX\r\n\r\n1\r\n--XX--"), "a part has no content-disposition header");
    assert_eq!(problem(b"--XX\r\n\xff: y\r\n\r\n\r\n--XX--"), "the headers of a part are not UTF-8");
    let long = form(&[&part(&format!("form-data; name=a; x={}", "y".repeat(MAX_HEADERS)), "1")]);
    assert_eq!(problem(&long), "the headers of a part do not end, or are too long");
}

#[test]
fn the_number_of_parts_is_bounded() {
    let one = part("form-data; name=a", "1");
    assert!(scan(TYPE, &form(&vec![one.as_str(); MAX_PARTS])).is_ok());
    let many = form(&vec![one.as_str(); MAX_PARTS + 1]);
    assert_eq!(scan(TYPE, &many), Err(MultipartError::TooManyParts));
}

#[test]
fn a_value_is_replaced_and_nothing_else() {
    let file = part("form-data; name=file; filename=a", "\0\u{1}");
    let body = form(&[&part("form-data; name=model", "a"), &file]);
    let form_ = scan(TYPE, &body).unwrap();
    let model = form_.single("model").unwrap().unwrap();
    let replaced = form_.replace(model, b"longer").unwrap();
    assert_eq!(replaced, form(&[&part("form-data; name=model", "longer"), &file]));
    assert_eq!(form_.replace(model, b"x\r\n--XX--"), Err(MultipartError::Boundary));
}

#[test]
fn a_field_that_some_servers_take_for_another_is_seen() {
    for name in ["Model", "model[]", "MODEL[0]"] {
        let one = part(&format!("form-data; name=\"{name}\""), "a");
        let body = form(&[&one, &part("form-data; name=model", "b")]);
        let form = scan(TYPE, &body).unwrap();
        assert_eq!(form.text("model"), Err(MultipartError::Lookalike(name.to_owned(), "model".to_owned())));
        assert_eq!(form.text("mode"), Ok(None));
    }
}

#[test]
fn only_what_is_text_to_all_is_text() {
    let read = |rest: &str, value: &str| {
        let body = form(&[&part(&format!("form-data; name=model{rest}"), value)]);
        scan(TYPE, &body).unwrap().text("model").map(|value| value.map(str::to_owned))
    };
    for (rest, value) in [
        ("", "\u{e9}"),
        ("\r\nContent-Type: text/plain", "a"),
        ("\r\nContent-Type: Text/Plain; charset=\"UTF-8\"", "\u{e9}"),
        ("\r\nContent-Type: text/plain;charset=ISO-8859-1", "a"),
    ] {
        assert_eq!(read(rest, value), Ok(Some(value.to_owned())), "{rest}");
    }
    for (rest, value) in [
        ("; filename=\"\"", "a"),
        ("; filename=a", "a"),
        ("\r\nContent-Type: application/octet-stream", "a"),
        ("\r\nContent-Type: text/plain; charset=utf-16", "a"),
        ("\r\nContent-Type: text/plain; charset*=utf-8", "a"),
        ("\r\nContent-Type: text/plain; charset=iso-8859-1", "\u{e9}"),
    ] {
        assert!(matches!(read(rest, value), Err(MultipartError::NotText { .. })), "{rest}");
    }
    let charset = |name| scan(TYPE, &form(&[&part("form-data; name=_charset_", name)])).is_ok();
    assert_eq!((charset("UTF-8"), charset("utf-16")), (true, false));
}

proptest! {
    #[test]
    fn finds_what_was_written(
        fields in proptest::collection::vec(("[a-z_.]{1,8}\\[?\\]?", "[-X\r\na]{0,12}"), 0..6),
        pick: proptest::sample::Index,
    ) {
        let values: Vec<String> = fields.iter().map(|(_, value)| value.replace("--XX", "")).collect();
        prop_assume!(values.iter().all(|value| !value.contains("--XX")));
        let parts: Vec<String> = fields.iter().zip(&values).map(|((name, _), value)| {
            part(&format!("form-data; name=\"{name}\""), value)
        }).collect();
        let body = form(&parts.iter().map(String::as_str).collect::<Vec<_>>());
        let form = scan(TYPE, &body).unwrap();
        let found: Vec<(&str, &[u8])> =
            form.parts().iter().map(|part| (part.name.as_str(), &body[part.value.clone()])).collect();
        let expected: Vec<(&str, &[u8])> =
            fields.iter().zip(&values).map(|((name, _), value)| (name.as_str(), value.as_bytes())).collect();
        prop_assert_eq!(found, expected);
        if !form.parts().is_empty() {
            let index = pick.index(form.parts().len());
            let replaced = form.replace(&form.parts()[index], b"new").unwrap();
            let again = scan(TYPE, &replaced).unwrap();
            prop_assert_eq!(&replaced[again.parts()[index].value.clone()], b"new");
            prop_assert_eq!(again.parts().len(), form.parts().len());
        }
    }

    #[test]
    fn never_panics(
        mutations in proptest::collection::vec(mutation(b"-X\r\n;=\"\\: "), 0..6),
        noise in proptest::collection::vec(any::<u8>(), 0..60),
        content_type in "multipart/form-data; boundary=XX|\\PC{0,40}|multipart/form-data;[ a-z=;\"\\\\]{0,20}",
    ) {
        let body = form(&[&part("form-data; name=\"a\"; filename=b", "1"), &part("form-data; name=c", "\r\n2")]);
        for body in [mutate(body, &mutations), noise] {
            let _ = scan(&content_type, &body);
            if let Ok(form) = scan(TYPE, &body) {
                for part in form.parts() {
                    prop_assert!(body.get(part.value.clone()).is_some());
                }
            }
        }
    }
}
