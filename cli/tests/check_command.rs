//! `weir check` as a person runs it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

const BASE: &str = include_str!("resources/base.yaml");

fn weir(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/resources"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn good_resources_end_with_0_and_a_line() {
    let output = weir(&["check", "-f", "base.yaml"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "ok: 1 route, 2 backends, 5 policies\n");
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn a_directory_and_several_files_are_read() {
    let output =
        weir(&["check", "-f", "blueprint/gateway.yaml", "blueprint/route.yaml", "-f", "blueprint"], "");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn what_a_controller_made_is_named_and_left_aside() {
    let exported = "
---
apiVersion: v1
kind: List
items:
- apiVersion: gateway.networking.k8s.io/v1
  kind: HTTPRoute
  metadata:
    name: chat
    ownerReferences:
    - {apiVersion: aigateway.envoyproxy.io/v1beta1, kind: AIGatewayRoute, name: chat, controller: true, uid: '1'}
  spec:
    rules: [{filters: [{type: ExtensionRef}]}]
";
    let output = weir(&["check", "-f", "-"], &format!("{BASE}{exported}"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "ok: 1 route, 2 backends, 5 policies\n");
    let note = "HTTPRoute default/chat: skipped, a controller made it from AIGatewayRoute chat";
    assert_eq!(text(&output.stderr), format!("note: <stdin>: {note}\n"));
}

#[test]
fn bad_resources_end_with_1_and_their_mistakes() {
    let output =
        weir(&["check", "-f", "-"], &BASE.replace("{name: bedrock, priority: 1}", "{name: bedrock-aws}"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "1 error\n");
    assert_eq!(
        text(&output.stderr),
        "error: <stdin>: AIGatewayRoute default/chat: spec.rules[1].backendRefs[1].name: AIServiceBackend \
         default/bedrock-aws does not exist, there is `openai`, `bedrock`\n"
    );
}

#[test]
fn a_missing_file_ends_with_2() {
    let output = weir(&["check", "-f", "base.yaml", "-f", "nowhere.yaml"], "");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr), "error: nowhere.yaml: No such file or directory (os error 2)\n");
}
