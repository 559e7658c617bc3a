//! Jobs that are no conversation: embeddings and documents to rank, translated; pictures and moderations, as they are.

use serde_json::json;
use weir_core::config::SchemaName::{AWSBedrock, Anthropic, AzureOpenAI, Cohere, GCPVertexAI, OpenAI};
use weir_core::usage::Counter;
use weir_core::usage::record::UsageStatus;

use crate::answer::Answer;
use crate::gateway::{Gateway, REGION};

const EMBEDDINGS: &str = "/v1/embeddings";
const TITAN: &str = "amazon.titan-embed-text-v2:0";
const VECTOR: &str = r#"{"embedding":[0.5,-0.25],"inputTextTokenCount":4}"#;

#[test]
fn vectors_are_on_the_books_of_their_model() {
    let gateway = Gateway::new().backend("aws", AWSBedrock).model(TITAN);
    let body = r#"{"model":"m","input":"Some text."}"#;
    let outcome = gateway.post(EMBEDDINGS, body).answered_by(Answer::json(200, VECTOR)).send();
    let sent = &outcome.sent[0];
    assert_eq!(sent.path(), format!("/model/{TITAN}/invoke"));
    assert_eq!(sent.text(), r#"{"inputText":"Some text."}"#);
    let authorization = sent.headers.get("authorization").unwrap();
    assert!(authorization.contains(&format!("/{REGION}/bedrock/aws4_request")), "{authorization}");
    assert_eq!(outcome.json()["data"][0]["embedding"], json!([0.5, -0.25]));
    let record = &outcome.record;
    assert_eq!((record.usage.input(), record.usage.output(), record.usage.total()), (Some(4), None, Some(4)));
    assert_eq!((record.usage_status, record.endpoint), (UsageStatus::Complete, "embeddings"));
    assert_eq!(record.request_model, TITAN);
}

#[test]
fn what_bedrock_says_in_headers_only_is_counted_too() {
    let gateway = Gateway::new().backend("aws", AWSBedrock).model("cohere.embed-v4:0");
    let body = r#"{"model":"m","input":"Some text.","encoding_format":"base64"}"#;
    let vectors = r#"{"embeddings":{"float":[[0.5]]}}"#;
    let answer = || Answer::json(200, vectors);
    let count = "x-amzn-bedrock-input-token-count";
    let outcome = gateway.post(EMBEDDINGS, body).answered_by(answer().header(count, "7")).send();
    assert_eq!(outcome.json()["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}));
    assert_eq!(outcome.json()["data"][0]["embedding"], "AAAAPw==");
    assert_eq!((outcome.record.usage.input(), outcome.record.usage_status), (Some(7), UsageStatus::Complete));

    let outcome = gateway.post(EMBEDDINGS, body).answered_by(answer()).send();
    assert_eq!(outcome.json()["usage"], json!({"prompt_tokens": 0, "total_tokens": 0}));
    assert_eq!(outcome.record.usage_status, UsageStatus::Estimated);
}

#[test]
fn each_attempt_makes_the_request_anew() {
    let gateway = Gateway::new()
        .backend("aws", AWSBedrock)
        .model(TITAN)
        .backend("google", GCPVertexAI)
        .model("text-embedding-005")
        .backend("gpt", OpenAI);
    let body = r#"{"model":"m","input":["Some text."],"user":"ann"}"#;
    let own = r#"{"object":"list","data":[],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
    let outcome = gateway
        .post(EMBEDDINGS, body)
        .header("x-weir-report-losses", "true")
        .answered_by(Answer::json(500, r#"{"message":"x"}"#))
        .answered_by(Answer::json(503, r#"{"error":{"message":"x"}}"#))
        .answered_by(Answer::json(200, own))
        .send();
    let paths: Vec<&str> = outcome.sent.iter().map(|sent| sent.path()).collect();
    let google = format!(
        "/v1/projects/project/locations/{REGION}/publishers/google/models/text-embedding-005:predict"
    );
    assert_eq!(paths, [format!("/model/{TITAN}/invoke").as_str(), &google, "/v1/embeddings"]);
    assert_eq!((outcome.sent[2].text(), outcome.text()), (body, own));
    assert_eq!(outcome.headers.get("x-weir-losses"), None);
}

#[test]
fn losses_are_told_or_refused() {
    let gateway = Gateway::new().backend("google", GCPVertexAI).model("text-embedding-005");
    let body = r#"{"model":"m","input":["a","b"],"user":"ann"}"#;
    let answer = r#"{"predictions":[{"embeddings":{"values":[1]}},
        {"embeddings":{"values":[2],"statistics":{"token_count":9,"truncated":true}}}]}"#;
    let outcome = gateway
        .post(EMBEDDINGS, body)
        .header("x-weir-report-losses", "true")
        .answered_by(Answer::json(200, answer))
        .send();
    let lost = [
        "user: the backend's API has no word for it",
        "input[1]: it is longer than the model takes: the backend cut it off",
    ];
    assert_eq!(outcome.record.losses, lost);
    assert_eq!(outcome.headers.get("x-weir-losses"), Some(lost.join("; ").as_str()));

    let outcome = gateway
        .post(EMBEDDINGS, body)
        .header("x-weir-strict", "true")
        .answered_by(Answer::headers_only(500))
        .send();
    assert_eq!((outcome.status, outcome.sent.len()), (400, 0));
    assert!(outcome.error().contains("user: "), "{}", outcome.error());
}

#[test]
fn an_error_is_the_clients() {
    let refused = r#"{"message":"Malformed input request"}"#;
    let answer = || Answer::json(400, refused).header("x-amzn-errortype", "ValidationException");
    let gateway = Gateway::new().backend("aws", AWSBedrock).model(TITAN);
    let outcome = gateway.post(EMBEDDINGS, r#"{"model":"m","input":"a"}"#).answered_by(answer()).send();
    assert_eq!(outcome.status, 400);
    assert_eq!(outcome.json()["error"]["type"], "ValidationException");

    let gateway = Gateway::new().backend("aws", AWSBedrock).model("cohere.rerank-v3-5:0");
    let body = r#"{"model":"m","query":"q","documents":["a"]}"#;
    for path in ["/cohere/v2/rerank", "/v2/rerank", "/v1/rerank", "/rerank"] {
        let outcome = gateway.post(path, body).answered_by(answer()).send();
        assert_eq!((outcome.status, outcome.json()), (400, json!({"message": "Malformed input request"})));
    }
}

#[test]
fn a_stream_is_no_answer_to_a_job() {
    let gateway = Gateway::new().backend("cohere", Cohere);
    let body = r#"{"model":"m","input":"a","stream":true}"#;
    let stream = Answer::sse("data: {\"embeddings\":{\"float\":[[1]]}}\n\n");
    let outcome = gateway.post(EMBEDDINGS, body).answered_by(stream).send();
    assert_eq!(outcome.status, 502);
    let whole = Answer::json(200, r#"{"embeddings":{"float":[[1]]}}"#);
    let outcome = gateway.post(EMBEDDINGS, body).answered_by(whole).send();
    assert_eq!((outcome.status, &outcome.json()["data"][0]["embedding"]), (200, &json!([1])));
}

#[test]
fn what_has_no_way_names_both() {
    for (path, schema, names) in [
        (EMBEDDINGS, Anthropic, ["embeddings", "Anthropic"]),
        ("/v2/rerank", AzureOpenAI, ["rerank", "AzureOpenAI"]),
        ("/v1/moderations", AzureOpenAI, ["moderation", "AzureOpenAI"]),
    ] {
        let outcome = Gateway::new()
            .backend("b", schema)
            .post(path, r#"{"model":"m","input":"a"}"#)
            .answered_by(Answer::headers_only(500))
            .send();
        assert_eq!((outcome.status, outcome.sent.len()), (422, 0));
        assert!(names.iter().all(|name| outcome.error().contains(name)), "{}", outcome.error());
    }
}

#[test]
fn documents_are_ranked_by_servers_of_openais_api() {
    let mut gateway = Gateway::new().backend("vllm", OpenAI).model("bge");
    gateway.backend_mut("vllm").schema.prefix = Some(String::new());
    let body = r#"{"model":"m","query":"q","documents":["a",{"text":"b"},"c"],"top_n":2}"#;
    let answer = r#"{"id":"r-1","model":"bge-v2","usage":{"total_tokens":12},"results":[
        {"index":0,"relevance_score":0.10},{"index":2,"relevance_score":0.90},{"index":1,"relevance_score":1e-9}]}"#;
    let outcome = gateway.post("/v2/rerank", body).answered_by(Answer::json(200, answer)).send();
    assert_eq!(outcome.sent[0].path(), "/rerank");
    assert_eq!(outcome.sent[0].text(), r#"{"model":"bge","query":"q","documents":["a","b","c"],"top_n":2}"#);
    assert_eq!(
        outcome.text(),
        r#"{"id":"r-1","results":[{"index":2,"relevance_score":0.90},{"index":0,"relevance_score":0.10}],"meta":{"api_version":{"version":"2"},"tokens":{"input_tokens":12}}}"#
    );
    let record = &outcome.record;
    assert_eq!((record.usage.input(), record.usage_status), (Some(12), UsageStatus::Complete));
    assert_eq!(record.response_model, "bge-v2");
}

#[test]
fn servers_with_other_words_rank_too() {
    let gateway = Gateway::new().backend("sglang", OpenAI);
    let body = r#"{"model":"m","query":"q","documents":["a","b"],"top_n":0}"#;
    for answer in [
        r#"[{"score":0.1,"document":"a","index":0,"meta_info":{}},{"score":0.9,"document":"b","index":1}]"#,
        r#"{"object":"list","data":[{"relevance_score":0.1,"index":0},{"relevance_score":0.9,"index":1}]}"#,
    ] {
        let outcome = gateway.post("/rerank", body).answered_by(Answer::json(200, answer)).send();
        assert_eq!(outcome.sent[0].text(), r#"{"model":"m","query":"q","documents":["a","b"]}"#);
        assert_eq!(
            outcome.json()["results"],
            json!([{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}])
        );
    }
    let outcome = gateway.post("/rerank", body).answered_by(Answer::json(200, "[1")).send();
    assert!(outcome.error().contains("not valid JSON"), "{}", outcome.error());
    let outcome = gateway.post("/rerank", body).answered_by(Answer::json(200, "[1]")).send();
    assert_eq!(outcome.status, 502);
    assert!(!outcome.error().contains("not valid JSON"), "{}", outcome.error());
}

#[test]
fn cohere_gets_the_second_version_of_what_the_first_one_says() {
    let gateway = Gateway::new().backend("cohere", Cohere);
    let body = r#"{"model":"m","query":"q","documents":["a",{"text":"b"},{"title":"c","text":"d"}],"return_documents":true,"rank_fields":["title"],"top_n":2}"#;
    let answer = r#"{"id":"r","results":[{"index":1,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":1}}}"#;
    let outcome = gateway.post("/v1/rerank", body).answered_by(Answer::json(200, answer)).send();
    assert_eq!(outcome.sent[0].path(), "/v2/rerank");
    assert_eq!(
        outcome.sent[0].text(),
        r#"{"model":"m","query":"q","documents":["a","b","{\"title\":\"c\",\"text\":\"d\"}"],"top_n":2}"#
    );
    assert_eq!(outcome.text(), answer);
    assert_eq!(
        outcome.record.losses,
        [
            "rank_fields: the backend's API has no word for it",
            "return_documents: an answer of version 2 has no documents in it",
            "documents[2]: the backend takes texts only: the JSON of the document is sent as one",
        ]
    );
    let plain = r#"{"model":"m","query":"q", "documents":["a"]}"#;
    let outcome = gateway.post("/v2/rerank", plain).answered_by(Answer::json(200, answer)).send();
    assert_eq!(outcome.sent[0].text(), plain);
    let record = outcome.record;
    assert_eq!((record.usage.total(), record.usage.get(Counter::SearchUnits)), (None, Some(1)));
    assert_eq!(record.usage_status, UsageStatus::Complete);
}

#[test]
fn a_moderation_without_a_model_has_openais_own() {
    let gateway = Gateway::new().backend("gpt", OpenAI);
    let answer = r#"{"id":"modr-1","model":"omni-moderation-2024-09-26","results":[]}"#;
    for body in [r#"{"input":"a"}"#, r#"{"model":null,"input":"a"}"#] {
        let outcome = gateway.post("/v1/moderations", body).answered_by(Answer::json(200, answer)).send();
        assert_eq!((outcome.sent[0].path(), outcome.sent[0].text()), ("/v1/moderations", body));
        assert_eq!(outcome.text(), answer);
        let record = &outcome.record;
        assert_eq!(record.original_model, "omni-moderation-latest");
        assert_eq!(record.response_model, "omni-moderation-2024-09-26");
        assert_eq!((record.usage.total(), record.usage_status), (None, UsageStatus::None));
    }
    let gateway = gateway.model("other");
    let outcome =
        gateway.post("/v1/moderations", r#"{"input":"a"}"#).answered_by(Answer::json(200, answer)).send();
    assert_eq!(outcome.sent[0].json(), json!({"input": "a", "model": "other"}));
}

#[test]
fn pictures_go_as_the_form_that_they_are() {
    let part = |head: &str, content: &str| {
        format!("--X\r\ncontent-disposition: form-data; name=\"{head}\r\n\r\n{content}\r\n")
    };
    let form = |model: &str, name: &str| {
        let picture = part(&format!("{name}\"; filename=\"a.png\""), "\u{89}PNG\r\n");
        picture + &part("model\"", model) + &part("prompt\"", "A cat") + "--X--\r\n"
    };
    let media = "multipart/form-data; boundary=X";
    let gateway = Gateway::new().backend("gpt", OpenAI).model("gpt-image-1.5");
    let used = r#"{"created":1,"data":[],"usage":{"input_tokens":9,"output_tokens":272,"total_tokens":281}}"#;
    for path in ["/v1/images/edits", "/v1/images/variations"] {
        for name in ["image", "image[]"] {
            let call = gateway.post(path, form("pictures", name)).header("content-type", media);
            let outcome = call.answered_by(Answer::json(200, used)).send();
            assert_eq!(outcome.sent[0].path(), path);
            assert_eq!(outcome.sent[0].text(), form("gpt-image-1.5", name));
            assert_eq!(outcome.text(), used);
            let record = &outcome.record;
            assert_eq!((record.usage.input(), record.usage.output()), (Some(9), Some(272)));
            assert_eq!(record.usage_status, UsageStatus::Complete);
        }
        let call = gateway.post(path, form("pictures", "file")).header("content-type", media);
        let outcome = call.send();
        assert_eq!(outcome.status, 400);
        assert!(outcome.error().contains("no part named image or image[]"), "{}", outcome.error());
    }
    let json =
        |model: &str| format!(r#"{{"model":"{model}","prompt":"A cat","images":[{{"file_id":"f-1"}}]}}"#);
    let call =
        gateway.post("/v1/images/edits", json("pictures")).header("content-type", "application/json; a=b");
    let outcome = call.answered_by(Answer::json(200, used)).send();
    assert_eq!(outcome.sent[0].text(), json("gpt-image-1.5"));
    assert_eq!(outcome.record.usage.input(), Some(9));
    let call = gateway.post("/v1/images/variations", json("m")).header("content-type", "application/json");
    assert_eq!(call.send().status, 400, "variations have no JSON");
    let call = gateway.post("/v1/images/variations", form("m", "image")).header("content-type", media);
    let outcome = call.answered_by(Answer::json(200, r#"{"created":1,"data":[]}"#)).send();
    assert_eq!((outcome.record.usage.total(), outcome.record.usage_status), (None, UsageStatus::None));
}
