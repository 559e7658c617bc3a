//! Each rule of the table, and what every pair of sides holds.

use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::endpoint::Endpoint;
use crate::headers::Headers;
use crate::wire::SchemaName;

/// A pair of sides, and what a client asks of a model.
struct Case {
    endpoint: Endpoint,
    schema: SchemaName,
    model: &'static str,
    asked: Value,
}

impl Case {
    fn run<T>(&self, then: impl FnOnce(Result<Sent>, Losses) -> T) -> T {
        let schema = config::Schema { name: self.schema, prefix: None, version: None };
        let headers = Headers::default();
        let to = To {
            endpoint: self.endpoint,
            schema: &schema,
            model: self.model,
            stream: false,
            default_max_tokens: 1,
            headers: &headers,
            auth: None,
            cache_marks: false,
        };
        let mut body = match self.endpoint {
            Endpoint::Rerank => json!({"model": "m", "query": "q", "documents": ["a", "b"]}),
            _ => json!({"model": "m", "input": "a"}),
        };
        body.as_object_mut().unwrap().extend(self.asked.as_object().unwrap().clone());
        let Some(Translation::Job(sides)) = crate::wire::translation(self.endpoint, self.schema.schema())
        else {
            panic!("there is no such pair");
        };
        let mut losses = Losses::default();
        let sent = sides.ask(&to, body.to_string().as_bytes(), &mut losses);
        then(sent, losses)
    }
}

const TITAN: &str = "amazon.titan-embed-text-v2:0";
const NOVA: &str = "amazon.nova-2-multimodal-embeddings-v1:0";

fn embed(schema: SchemaName, model: &'static str, asked: Value) -> Case {
    Case { endpoint: Endpoint::Embeddings, schema, model, asked }
}

fn rank(schema: SchemaName, model: &'static str, asked: Value) -> Case {
    Case { endpoint: Endpoint::Rerank, schema, model, asked }
}

#[test]
fn each_rule_has_a_case_and_a_source() {
    use SchemaName::{AWSBedrock, Cohere, GCPVertexAI, OpenAI};
    for rule in Rule::ALL {
        // One without a case does not compile. The second value is where the loss is, or what its answer says.
        let (case, place, answer) = match rule {
            Rule::Word => (rank(OpenAI, "m", json!({"priority": 1})), "priority", None),
            Rule::OneLength => (
                embed(AWSBedrock, "amazon.titan-embed-text-v1", json!({"dimensions": 8})),
                "dimensions",
                None,
            ),
            Rule::TitanPurpose => {
                (embed(AWSBedrock, TITAN, json!({"input_type": "query"})), "input_type", None)
            }
            Rule::TitanCut => (embed(AWSBedrock, TITAN, json!({"truncate": "END"})), "truncate", None),
            Rule::NovaQuery => {
                (embed(AWSBedrock, NOVA, json!({"task_type": "FACT_VERIFICATION"})), "task_type", None)
            }
            Rule::NovaDocument => {
                (embed(AWSBedrock, NOVA, json!({"task_type": "SEMANTIC_SIMILARITY"})), "task_type", None)
            }
            Rule::CohereQuery => {
                let input = json!([{"content": "a", "task_type": "QUESTION_ANSWERING"}]);
                (embed(Cohere, "embed-v4.0", json!({"input": input})), "input[0].task_type", None)
            }
            Rule::CohereDocument => {
                let input = json!({"content": "a", "task_type": "SEMANTIC_SIMILARITY"});
                (embed(Cohere, "embed-v4.0", json!({"input": input})), "input.task_type", None)
            }
            Rule::GoogleTitle => {
                (embed(GCPVertexAI, "text-embedding-005", json!({"title": "t"})), "title", None)
            }
            Rule::GoogleStart => {
                (embed(GCPVertexAI, "text-embedding-005", json!({"truncate": "START"})), "truncate", None)
            }
            Rule::WasCut => {
                let answer = r#"{"embeddings": [{"embedding": [1], "truncatedCharLength": 9}]}"#;
                (embed(AWSBedrock, NOVA, json!({})), "input", Some(answer))
            }
            Rule::Texts => (rank(OpenAI, "m", json!({"documents": ["a", {"b": 1}]})), "documents[1]", None),
            Rule::NoDocuments => {
                (rank(OpenAI, "m", json!({"return_documents": true})), "return_documents", None)
            }
        };
        let found = case.run(|sent, mut losses| {
            let sent = match sent {
                Ok(sent) => sent,
                Err(error) => return vec![error.message().to_owned()],
            };
            if let Some(answer) = answer {
                let seen = Seen { id: "own", model: case.model, input_tokens: None };
                sent.question.answered(&seen, answer.as_bytes(), &mut losses).unwrap();
            }
            losses.lines()
        });
        let is_told = |line: &String| line.ends_with(&format!("{place}: {}", rule.reason()));
        assert!(found.iter().any(is_told), "{rule:?}: {found:?}");
        assert!(rule.source().starts_with("https://"), "{rule:?}");
    }
}

#[test]
fn what_no_backend_can_do_is_refused_by_name() {
    use SchemaName::{AWSBedrock, Cohere, GCPVertexAI};
    for (case, status, place) in [
        (embed(AWSBedrock, TITAN, json!({"input": [1, 2]})), 422, "input: the backend takes texts"),
        (embed(Cohere, "m", json!({"input": ["a", [1, 2]]})), 422, "input[1]: the backend takes texts"),
        (embed(AWSBedrock, TITAN, json!({"input": ["a", "b"]})), 422, "input: the model takes one input"),
        (embed(GCPVertexAI, "gemini-embedding-2", json!({"input": ["a", "b"]})), 422, "and these are 2"),
        (embed(AWSBedrock, "meta.llama3", json!({})), 422, "meta.llama3"),
        (embed(AWSBedrock, "amazon.titan-embed-text-v1", json!({"dimensions": 512})), 422, "dimensions: "),
        (embed(AWSBedrock, "cohere.embed-english-v3", json!({"dimensions": 1536})), 422, "dimensions: "),
        (rank(AWSBedrock, "amazon.nova-pro-v1:0", json!({})), 422, "amazon.nova-pro-v1:0"),
        (embed(Cohere, "m", json!({"input": []})), 400, "input: "),
        (embed(Cohere, "m", json!({"input": 7})), 400, "input: expected a string"),
        (embed(Cohere, "m", json!({"input": [1.5]})), 400, "input: tokens are whole numbers"),
        (embed(Cohere, "m", json!({"messages": []})), 422, "messages: "),
        (embed(Cohere, "m", json!({"encoding_format": "int8"})), 422, "encoding_format: "),
        (embed(Cohere, "m", json!({"input_type": "image"})), 422, "input_type: it is one of"),
        (
            embed(Cohere, "m", json!({"input_type": "query", "task_type": "CLUSTERING"})),
            422,
            "task_type: input_type says something else",
        ),
        (
            embed(Cohere, "m", json!({"input": ["a", {"content": "b", "task_type": "CLUSTERING"}]})),
            422,
            "input[1].task_type: the backend takes one purpose",
        ),
        (rank(AWSBedrock, "cohere.rerank-v3-5:0", json!({"documents": [7]})), 400, "documents[0]: "),
    ] {
        let error = case.run(|sent, _| sent.unwrap_err());
        assert_eq!(error.status(), status, "{}", error.message());
        assert!(error.message().contains(place), "{}", error.message());
    }
}

#[test]
fn the_one_length_of_a_model_may_be_asked_for() {
    for (model, length) in [("amazon.titan-embed-text-v1", 1536), ("cohere.embed-multilingual-v3", 1024)] {
        let plain = embed(SchemaName::AWSBedrock, model, json!({}));
        let asked = embed(SchemaName::AWSBedrock, model, json!({"dimensions": length}));
        let [plain, asked] = [plain, asked].map(|case| case.run(|sent, _| sent.unwrap().body));
        assert_eq!(asked, plain, "{model}");
    }
}

#[test]
fn an_answer_to_something_else_is_the_backends_fault() {
    use SchemaName::{AWSBedrock, Cohere, OpenAI};
    let seen = |model| Seen { id: "own", model, input_tokens: None };
    for (case, answer, status, says) in [
        (
            embed(Cohere, "m", json!({})),
            r#"{"embeddings": {"float": [[1], [2]]}}"#,
            502,
            "1 inputs with 2 vectors",
        ),
        (embed(Cohere, "m", json!({})), r#"{"embeddings": {"float": [["1"]]}}"#, 502, "list of numbers"),
        (embed(AWSBedrock, TITAN, json!({})), r#"{"inputTextTokenCount": 1}"#, 502, "embedding"),
        (
            rank(OpenAI, "m", json!({})),
            r#"{"results": [{"index": 2, "relevance_score": 1}]}"#,
            502,
            "document 2, and there are 2",
        ),
        (
            rank(OpenAI, "m", json!({})),
            r#"{"results": [{"index": 0, "relevance_score": "1"}]}"#,
            502,
            "number",
        ),
        (
            rank(OpenAI, "m", json!({})),
            r#"[{"index": 1, "score": 1}, {"index": 1, "score": 0.5}]"#,
            502,
            "document 1 twice",
        ),
        (rank(OpenAI, "m", json!({})), r#"{"error": {"message": "Too busy", "code": 429}}"#, 429, "Too busy"),
    ] {
        let question = case.run(|sent, _| sent.unwrap().question);
        let error =
            question.answered(&seen(case.model), answer.as_bytes(), &mut Losses::default()).unwrap_err();
        assert!(error.message().contains(says), "{}", error.message());
        assert_eq!(error.status(), status, "{}", error.message());
    }
}

#[test]
fn a_loss_of_an_answer_names_the_clients_input() {
    let case = embed(SchemaName::GCPVertexAI, "text-embedding-005", json!({"input": ["a", "b"]}));
    let question = case.run(|sent, _| sent.unwrap().question);
    let answer = r#"{"predictions": [
        {"embeddings": {"values": [1], "statistics": {"token_count": 3, "truncated": false}}},
        {"embeddings": {"values": [2], "statistics": {"token_count": 4.0, "truncated": true}}}]}"#;
    let seen = Seen { id: "own", model: case.model, input_tokens: None };
    let mut losses = Losses::default();
    let answered = question.answered(&seen, answer.as_bytes(), &mut losses).unwrap();
    assert_eq!(answered.usage.input(), Some(7));
    assert_eq!(losses.iter().next().unwrap().path, "input[1]");
}
