//! The hooks, called as Envoy calls them, with an Envoy of the test's own.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ptr;
use std::rc::Rc;

use super::config::Answer;
use super::fake::{Asked, FakeEnvoy};
use super::ffi::{BodyType, Buffer, Header, Ours};
use super::hooks::*;
use super::instance::Instance;
use super::stream::{cut, join, look_at_joined};
use super::*;

type Seen = Rc<RefCell<Vec<String>>>;
type Act = Box<dyn FnMut(&str, &mut Stream<'_>) -> Next>;

/// A filter that writes down what it is asked, and when it goes.
struct Script {
    seen: Seen,
    act: Act,
}

impl Script {
    fn on(&mut self, hook: &str, stream: &mut Stream<'_>) -> Next {
        self.seen.borrow_mut().push(hook.to_owned());
        (self.act)(hook, stream)
    }
}

impl HttpFilter for Script {
    fn request_headers(&mut self, stream: &mut Stream<'_>, _end: bool) -> Next {
        self.on("request_headers", stream)
    }
    fn request_body(&mut self, stream: &mut Stream<'_>, _end: bool) -> Next {
        self.on("request_body", stream)
    }
    fn request_trailers(&mut self, stream: &mut Stream<'_>) -> Next {
        self.on("request_trailers", stream)
    }
    fn response_headers(&mut self, stream: &mut Stream<'_>, _end: bool) -> Next {
        self.on("response_headers", stream)
    }
    fn response_body(&mut self, stream: &mut Stream<'_>, _end: bool) -> Next {
        self.on("response_body", stream)
    }
    fn response_trailers(&mut self, stream: &mut Stream<'_>) -> Next {
        self.on("response_trailers", stream)
    }
    fn stream_complete(&mut self, stream: &mut Stream<'_>) {
        self.on("stream_complete", stream);
    }
    fn scheduled(&mut self, stream: &mut Stream<'_>, _event: u64) -> Next {
        self.on("scheduled", stream)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.seen.borrow_mut().push("dropped".to_owned());
    }
}

fn filter(act: impl FnMut(&str, &mut Stream<'_>) -> Next + 'static) -> (Ours, Seen) {
    let seen = Seen::default();
    let script = Script { seen: Rc::clone(&seen), act: Box::new(act) };
    let instance = Instance::new(Some(Box::new(script)), Some(Counter(5)));
    (Rc::into_raw(Rc::new(instance)).cast(), seen)
}

fn call(hook: &str, envoy: &FakeEnvoy, ours: Ours) -> u32 {
    let envoy = envoy.pointer();
    // SAFETY: both live until the test ends.
    unsafe {
        match hook {
            "request_headers" => envoy_dynamic_module_on_http_filter_request_headers(envoy, ours, false),
            "request_body" => envoy_dynamic_module_on_http_filter_request_body(envoy, ours, true),
            "request_trailers" => envoy_dynamic_module_on_http_filter_request_trailers(envoy, ours),
            "response_headers" => envoy_dynamic_module_on_http_filter_response_headers(envoy, ours, false),
            "response_body" => envoy_dynamic_module_on_http_filter_response_body(envoy, ours, true),
            "response_trailers" => envoy_dynamic_module_on_http_filter_response_trailers(envoy, ours),
            "scheduled" => {
                envoy_dynamic_module_on_http_filter_scheduled(envoy, ours, 1);
                0
            }
            "stream_complete" => {
                envoy_dynamic_module_on_http_filter_stream_complete(envoy, ours);
                0
            }
            other => panic!("no hook {other}"),
        }
    }
}

fn destroy(ours: Ours) {
    // SAFETY: from `filter`, once.
    unsafe { envoy_dynamic_module_on_http_filter_destroy(ours) }
}

fn reply() -> Next {
    Next::Reply(Reply { status: 418, headers: vec![("a".into(), "b".into())], body: b"tea".to_vec() })
}

#[test]
fn one_piece_is_borrowed_and_several_are_copied_in_order() {
    assert!(matches!(join([].into_iter()), Cow::Borrowed(b"")));
    assert!(matches!(join([&b""[..], b"one", b""].into_iter()), Cow::Borrowed(b"one")));
    let joined = join([&b"one, "[..], b"", b"two, ", b"three"].into_iter());
    assert!(matches!(&joined, Cow::Owned(whole) if whole == b"one, two, three"));
    let pieces = [&b"one, "[..], b"", b"two, ", b"three"];
    for _ in 0..2 {
        assert_eq!(look_at_joined(pieces.into_iter(), <[u8]>::to_vec), b"one, two, three");
    }
    let alone = [&b""[..], b"one"];
    assert!(look_at_joined(alone.into_iter(), |whole| std::ptr::eq(whole, alone[1])), "copied for nothing");
    assert_eq!(look_at_joined([].into_iter(), <[u8]>::len), 0);
    for part in [0..0, 0..3, 2..7, 4..11, 5..10, 9..15, 9..99, 20..30] {
        let (from, to) = (part.start.min(15), part.end.min(15));
        assert_eq!(cut(pieces.into_iter(), part.clone()), joined.get(from..to).unwrap(), "{part:?}");
    }
    assert!(matches!(cut(pieces.into_iter(), 11..99), Cow::Borrowed(b"hree")));
}

#[test]
fn a_filter_may_be_asked_and_destroyed_inside_of_its_own_answer() {
    let (ours, seen) = filter(|hook, _| if hook == "request_body" { reply() } else { Next::Continue });
    let envoy = FakeEnvoy::default();
    let seen_inside = Rc::clone(&seen);
    envoy.inside_send.replace(Some(Box::new(move |envoy| {
        // SAFETY: both live, and this is what Envoy does.
        let status = unsafe { envoy_dynamic_module_on_http_filter_response_headers(envoy, ours, true) };
        assert_eq!(status, 0);
        destroy(ours);
        seen_inside.borrow_mut().push("send returns".to_owned());
    })));
    assert_eq!(call("request_body", &envoy, ours), 3);
    assert_eq!(*seen.borrow(), ["request_body", "response_headers", "dropped", "send returns"]);
    assert_eq!(envoy.asked(), [Asked::Send(418, "tea".into())]);
}

#[test]
fn a_filter_may_be_destroyed_while_its_request_goes_on() {
    let (ours, seen) = filter(|_, stream| {
        stream.replace_request_body(b"new".to_vec());
        Next::Continue
    });
    let envoy = FakeEnvoy { bodies: [vec![], vec!["held"], vec![], vec![]], ..FakeEnvoy::default() };
    envoy.inside_continue.replace(Some(Box::new(move |_| destroy(ours))));
    call("scheduled", &envoy, ours);
    assert_eq!(*seen.borrow(), ["scheduled", "dropped"]);
    let buffered = BodyType::BufferedRequest;
    assert_eq!(
        envoy.asked(),
        [Asked::Drain(buffered, 4), Asked::Append(buffered, "new".into()), Asked::ContinueDecoding]
    );
}

#[test]
fn a_panic_answers_500_ends_the_filter_and_is_counted() {
    for (hook, stopped) in [
        ("request_headers", 1),
        ("request_body", 3),
        ("request_trailers", 1),
        ("response_headers", 1),
        ("response_body", 3),
        ("response_trailers", 1),
        ("scheduled", 0),
    ] {
        let (ours, seen) = filter(|_, _| panic!("on purpose"));
        let envoy = FakeEnvoy::default();
        assert_eq!(call(hook, &envoy, ours), stopped, "{hook}");
        let [Asked::Increment(5, 1), Asked::Send(500, body)] = &envoy.asked()[..] else {
            panic!("{hook}: {:?}", envoy.asked());
        };
        assert!(body.contains("\"server_error\"") && !body.contains("on purpose"), "{body}");
        assert_eq!(*seen.borrow(), [hook, "dropped"]);
        assert_eq!(call("request_body", &envoy, ours), 3, "what follows is not let through");
        assert_eq!(call("response_body", &envoy, ours), 0);
        call("stream_complete", &envoy, ours);
        assert_eq!((seen.borrow().len(), envoy.asked().len()), (2, 2), "{hook}");
        destroy(ours);
    }
    assert!(caught_panics() >= 7);
}

#[test]
fn a_panic_at_the_end_answers_nothing() {
    let (ours, seen) = filter(|_, _| panic!("on purpose"));
    let envoy = FakeEnvoy::default();
    call("stream_complete", &envoy, ours);
    assert_eq!(envoy.asked(), [Asked::Increment(5, 1)]);
    destroy(ours);
    assert_eq!(*seen.borrow(), ["stream_complete", "dropped"]);
}

#[test]
fn a_filter_that_could_not_be_made_answers_500_once() {
    let ours = Rc::into_raw(Rc::new(Instance::new(None, None))).cast();
    let envoy = FakeEnvoy::default();
    assert_eq!(call("request_headers", &envoy, ours), 1);
    assert_eq!(call("request_body", &envoy, ours), 3);
    assert!(matches!(&envoy.asked()[..], [Asked::Send(500, _)]));
    destroy(ours);
    let envoy = FakeEnvoy::default();
    assert_eq!(call("request_headers", &envoy, ptr::null()), 1);
    assert!(matches!(&envoy.asked()[..], [Asked::Send(500, _)]));
}

#[test]
fn a_body_is_what_was_held_and_what_has_come() {
    let (ours, _) = filter(|_, stream| {
        let body = stream.look_at_request_body(|body| String::from_utf8(body.to_vec()).unwrap());
        assert_eq!(body.len(), stream.request_body_size());
        stream.replace_request_body(format!("<{body}>").into_bytes());
        Next::Continue
    });
    let (received, buffered) = (BodyType::ReceivedRequest, BodyType::BufferedRequest);
    let mut envoy = FakeEnvoy { bodies: [vec!["c"], vec!["a", "b"], vec![], vec![]], ..FakeEnvoy::default() };
    assert_eq!(call("request_body", &envoy, ours), 0);
    assert_eq!(
        envoy.asked(),
        [Asked::Drain(buffered, 2), Asked::Drain(received, 1), Asked::Append(received, "<abc>".into())]
    );
    // Another filter held it, so that the same bytes are in both places.
    envoy.received_is_buffered = true;
    envoy.bodies = [vec!["abc"], vec!["abc"], vec![], vec![]];
    envoy.asked.take();
    call("request_body", &envoy, ours);
    assert_eq!(envoy.asked(), [Asked::Drain(received, 3), Asked::Append(received, "<abc>".into())]);
    destroy(ours);
}

#[test]
fn a_held_piece_can_be_swallowed() {
    let (ours, _) = filter(|_, stream| {
        stream.replace_response_body(Vec::new());
        Next::Hold
    });
    let envoy = FakeEnvoy { bodies: [vec![], vec![], vec!["piece"], vec![]], ..FakeEnvoy::default() };
    assert_eq!(call("response_body", &envoy, ours), 1);
    assert_eq!(envoy.asked(), [Asked::Drain(BodyType::ReceivedResponse, 5)]);
    destroy(ours);
}

#[test]
fn headers_are_read_and_those_that_break_a_message_are_not_written() {
    let (ours, _) = filter(|_, stream| {
        let all: Vec<_> = stream.headers(Headers::Request).collect();
        assert_eq!(all, [(&b"a"[..], &b"1"[..]), (b"b", b""), (b"a", b"2")]);
        assert_eq!(stream.header(Headers::Request, "a"), Some(&b"1"[..]));
        assert_eq!(stream.header(Headers::Request, "b"), Some(&b""[..]));
        assert_eq!(stream.header(Headers::Request, "c"), None);
        assert_eq!(stream.headers(Headers::Response).len(), 0);
        for (name, value) in [("", "x"), ("a", "x\r\ny: z"), ("a", "x\0"), ("a\n", "x")] {
            assert!(!stream.set_header(Headers::Request, name, value.as_bytes()), "{name:?}: {value:?}");
        }
        assert!(stream.set_header(Headers::Request, "empty", b""));
        assert!(stream.remove_header(Headers::Request, "gone"));
        Next::Continue
    });
    let request_headers = vec![("a", "1"), ("b", ""), ("a", "2")];
    let envoy = FakeEnvoy { request_headers, ..FakeEnvoy::default() };
    call("request_headers", &envoy, ours);
    assert_eq!(
        envoy.asked(),
        [Asked::SetHeader("empty".into(), Some(String::new())), Asked::SetHeader("gone".into(), None)]
    );
    destroy(ours);
}

#[test]
fn the_route_is_not_picked_anew_behind_an_endpoint() {
    let (ours, _) = filter(|_, stream| {
        stream.clear_route_cache();
        Next::Continue
    });
    let mut envoy = FakeEnvoy::default();
    call("request_headers", &envoy, ours);
    assert_eq!(envoy.asked(), [Asked::ClearRouteCache]);
    envoy.upstream_address = Some("10.0.0.1:443");
    call("request_headers", &envoy, ours);
    assert_eq!(envoy.asked().len(), 1);
    destroy(ours);
}

#[test]
fn metadata_is_read_where_it_is() {
    let found: Rc<RefCell<Vec<Option<String>>>> = Rc::default();
    let keep = Rc::clone(&found);
    let (ours, _) = filter(move |_, stream| {
        for (source, namespace, key) in [
            (Metadata::Dynamic, "tenants", "key"),
            (Metadata::Host, "tenants", "key"),
            (Metadata::Host, "weir", "target"),
            (Metadata::Dynamic, "weir", "target"),
        ] {
            let value = stream.metadata(source, namespace, key);
            keep.borrow_mut().push(value.map(|value| String::from_utf8(value).unwrap()));
        }
        Next::Continue
    });
    let metadata = vec![(0, "tenants", "key", "of the request"), (3, "weir", "target", "0/0/a")];
    let envoy = FakeEnvoy { metadata, ..FakeEnvoy::default() };
    call("request_headers", &envoy, ours);
    let expected = [Some("of the request".to_owned()), None, Some("0/0/a".to_owned()), None];
    assert_eq!(*found.borrow(), expected);
    destroy(ours);
}

#[test]
fn a_scheduler_wakes_from_any_thread_until_its_filter_is_gone() {
    let kept: Rc<RefCell<Option<Scheduler>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let (ours, _) = filter(move |_, stream| {
        keep.replace(Some(stream.scheduler()));
        Next::Hold
    });
    let envoy = FakeEnvoy::default();
    call("request_headers", &envoy, ours);
    call("request_headers", &envoy, ours);
    let scheduler = kept.take().unwrap();
    let elsewhere = scheduler.clone();
    assert!(std::thread::spawn(move || elsewhere.wake(7)).join().unwrap());
    destroy(ours);
    assert!(!scheduler.wake(8));
    drop(scheduler);
    assert_eq!(envoy.asked(), [Asked::Commit(7), Asked::DeleteScheduler]);
}

#[test]
fn a_local_reply_is_known_by_its_details() {
    let (ours, seen) = filter(|_, stream| {
        assert_eq!(stream.local_reply(), Some(&b"route_not_found"[..]));
        Next::Continue
    });
    let envoy = FakeEnvoy::default();
    for details in [&b"route_not_found"[..], b"a second one, which is not sent"] {
        let details = Buffer::of(details);
        // SAFETY: both live.
        unsafe {
            envoy_dynamic_module_on_http_filter_local_reply(envoy.pointer(), ours, 404, details, false);
        }
    }
    call("response_headers", &envoy, ours);
    assert_eq!(*seen.borrow(), ["response_headers"], "it panics if the details are others");
    assert!(envoy.asked().is_empty());
    destroy(ours);
}

#[test]
fn a_callout_answers_with_its_status_and_whole_body() {
    let header = |name: &'static str, value: &'static str| Header {
        name: Buffer::of(name.as_bytes()),
        value: Buffer::of(value.as_bytes()),
    };
    let headers = [header("server", "x"), header(":status", "201")];
    let chunks = [Buffer::of(b"one "), Buffer::of(b"two")];
    // SAFETY: both arrays outlive the answer.
    let answer = unsafe { Answer::new(headers.as_ptr(), 2, chunks.as_ptr(), 2) };
    assert_eq!((answer.status(), &*answer.body), (201, &b"one two"[..]));
    // SAFETY: null, and so no array.
    let empty = unsafe { Answer::new(ptr::null(), 0, ptr::null(), 0) };
    assert_eq!((empty.status(), &*empty.body), (0, &b""[..]));
}

#[test]
fn an_unknown_filter_is_refused() {
    let envoy = FakeEnvoy::default();
    let (name, config) = (Buffer::of(b"egde"), Buffer::of(b"{}"));
    // SAFETY: all live for the call.
    let ours = unsafe { envoy_dynamic_module_on_http_filter_config_new(envoy.pointer(), name, config) };
    assert!(ours.is_null());
}
