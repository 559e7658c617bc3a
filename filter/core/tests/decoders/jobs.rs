//! Decoders of embeddings and rerank.

use super::*;

#[test]
fn embeddings_of_clients() {
    jobs(Endpoint::Embeddings, "openai_embeddings");
}

#[test]
fn rerank_of_clients() {
    jobs(Endpoint::Rerank, "cohere_rerank");
}

#[test]
fn answers_to_embeddings() {
    job_answers(Endpoint::Embeddings, r#"{"model": "m", "input": "a"}"#, "embeddings");
}

#[test]
fn answers_to_rerank() {
    job_answers(Endpoint::Rerank, r#"{"model": "m", "query": "q", "documents": ["a", "b"]}"#, "ranks");
}

/// Models whose bodies differ, by the schemas that have them.
const MODELS: [(SchemaName, &str); 11] = [
    (SchemaName::AWSBedrock, "amazon.titan-embed-text-v1"),
    (SchemaName::AWSBedrock, "amazon.titan-embed-text-v2:0"),
    (SchemaName::AWSBedrock, "amazon.nova-2-multimodal-embeddings-v1:0"),
    (SchemaName::AWSBedrock, "cohere.embed-english-v3"),
    (SchemaName::AWSBedrock, "cohere.embed-v4:0"),
    (SchemaName::AWSBedrock, "cohere.rerank-v3-5:0"),
    (SchemaName::AWSBedrock, "amazon.rerank-v1:0"),
    (SchemaName::Cohere, "embed-v4.0"),
    (SchemaName::GCPVertexAI, "gemini-embedding-001"),
    (SchemaName::GCPVertexAI, "gemini-embedding-2"),
    (SchemaName::OpenAI, "m"),
];

fn jobs(endpoint: Endpoint, folder: &str) {
    let corpus: Vec<Vec<u8>> =
        files(folder, "json").iter().map(|file| std::fs::read(file).unwrap()).collect();
    for_a_while(&format!("{endpoint:?}"), |chance| {
        let body = chance.changed(&corpus);
        let _kept = Kept::new("job", &body);
        for (schema, model) in MODELS {
            match ask(endpoint, schema, model, &body) {
                None => {}
                Some(Ok(sent)) => is_json(&sent.body),
                Some(Err(error)) => assert!((400..500).contains(&error.status()), "{error:?}"),
            }
        }
    });
}

fn job_answers(endpoint: Endpoint, asked: &str, folder: &str) {
    let corpus: Vec<Vec<u8>> =
        files(folder, "json").iter().map(|file| std::fs::read(file).unwrap()).collect();
    let questions: Vec<_> = MODELS
        .iter()
        .filter_map(|(schema, model)| {
            let sent = ask(endpoint, *schema, model, asked.as_bytes())?.ok()?;
            Some((model, sent.question))
        })
        .collect();
    assert!(questions.len() > 2);
    for_a_while(folder, |chance| {
        let body = chance.changed(&corpus);
        let _kept = Kept::new(folder, &body);
        for (model, question) in &questions {
            let seen = Seen { id: "own", model, input_tokens: None };
            match question.answered(&seen, &body, &mut Losses::default()) {
                Ok(answered) => is_json(&answered.body),
                Err(error) => assert!(error.status() >= 400, "{error:?}"),
            }
        }
    });
}

/// `None`: the schema has no such job.
fn ask(endpoint: Endpoint, name: SchemaName, model: &str, body: &[u8]) -> Option<weir_core::Result<Sent>> {
    let Some(Translation::Job(sides)) = translation(endpoint, name.schema()) else { return None };
    let (schema, headers) = (Schema { name, prefix: None, version: None }, Headers::default());
    let to = To {
        endpoint,
        schema: &schema,
        model,
        stream: false,
        default_max_tokens: 4096,
        headers: &headers,
        auth: None,
        cache_marks: false,
    };
    Some(sides.ask(&to, body, &mut Losses::default()))
}
