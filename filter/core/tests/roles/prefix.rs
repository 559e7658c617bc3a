//! The key of a prompt's beginning, by which a load balancer chooses.

use weir_core::config::SchemaName::OpenAI;

use crate::answer::Answer;
use crate::gateway::Gateway;

const KEY: &str = "x-weir-prefix-key";
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#;

#[test]
fn no_backend_sees_the_key() {
    let mut gateway = Gateway::new().backend("one", OpenAI).backend("two", OpenAI);
    gateway.config.prefix_key = true;
    for of_the_client in [None, Some("theirs")] {
        let call = gateway.post("/v1/chat/completions", BODY);
        let call = of_the_client.into_iter().fold(call, |call, key| call.header(KEY, key));
        let outcome =
            call.answered_by(Answer::headers_only(500)).answered_by(Answer::headers_only(500)).send();
        assert!(outcome.sent.iter().all(|sent| sent.headers.get(KEY).is_none()));
        assert_eq!(outcome.sent.len(), 2);
    }
}

#[test]
fn where_nobody_asks_there_is_none() {
    let gateway = Gateway::new().backend("one", OpenAI);
    let call = gateway.post("/v1/chat/completions", BODY).header(KEY, "theirs");
    let outcome = call.answered_by(Answer::headers_only(500)).send();
    assert_eq!(outcome.sent[0].headers.get(KEY), None);
}
