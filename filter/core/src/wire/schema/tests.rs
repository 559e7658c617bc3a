//! Ways, paths and lists of schemas.

use super::*;

fn path_of(name: SchemaName, prefix: Option<&str>, endpoint: Endpoint, stream: bool, model: &str) -> String {
    let schema = config::Schema { name, prefix: prefix.map(str::to_owned), version: None };
    let headers = Headers::default();
    let to = To {
        endpoint,
        schema: &schema,
        model,
        stream,
        default_max_tokens: 4096,
        headers: &headers,
        auth: None,
        cache_marks: false,
    };
    super::path(&to)
}

#[test]
fn the_prefix_is_normalised() {
    let openai = |prefix, endpoint| path_of(SchemaName::OpenAI, prefix, endpoint, false, "m");
    assert_eq!(openai(None, Endpoint::ChatCompletions), "/v1/chat/completions");
    assert_eq!(openai(Some("/api/v3/"), Endpoint::ChatCompletions), "/api/v3/chat/completions");
    assert_eq!(openai(Some(""), Endpoint::Embeddings), "/embeddings");
    assert_eq!(openai(Some("x"), Endpoint::Tokenize), "/tokenize");
    let anthropic = path_of(SchemaName::Anthropic, None, Endpoint::ChatCompletions, false, "m");
    assert_eq!(anthropic, "/v1/messages");
}

#[test]
fn a_model_is_one_path_segment_at_bedrock_whatever_it_holds() {
    let bedrock = |stream, model| path_of(SchemaName::AWSAnthropic, None, Endpoint::Messages, stream, model);
    assert_eq!(
        bedrock(false, "anthropic.claude-3-haiku-20240307-v1:0"),
        "/model/anthropic.claude-3-haiku-20240307-v1:0/invoke"
    );
    assert_eq!(
        bedrock(true, "arn:aws:bedrock:us-east-1:1:inference-profile/x"),
        "/model/arn:aws:bedrock:us-east-1:1:inference-profile%2Fx/invoke-with-response-stream"
    );
    assert_eq!(bedrock(false, "../x?a#b %"), "/model/..%2Fx%3Fa%23b%20%25/invoke");
}

#[test]
fn gemini_is_below_project_and_region() {
    let gemini =
        |stream, model| path_of(SchemaName::GCPVertexAI, None, Endpoint::ChatCompletions, stream, model);
    assert_eq!(
        gemini(false, "gemini-2.5-pro"),
        "/v1/publishers/google/models/gemini-2.5-pro:generateContent"
    );
    let schema = config::Schema { name: SchemaName::GCPVertexAI, prefix: None, version: None };
    let auth = config::Auth::Gcp {
        credential: String::new(),
        project: "p/../q".to_owned(),
        region: "global".to_owned(),
    };
    let to = To {
        endpoint: Endpoint::ChatCompletions,
        schema: &schema,
        model: "gemini-3/x",
        stream: true,
        default_max_tokens: 4096,
        headers: &Headers::default(),
        auth: Some(&auth),
        cache_marks: false,
    };
    assert_eq!(
        schema.name.schema().path(&to),
        "/v1/projects/p%2F..%2Fq/locations/global/publishers/google/models/gemini-3%2Fx:streamGenerateContent?alt=sse"
    );
}

#[test]
fn pairs_without_a_way_say_so() {
    let error = reach(Endpoint::Embeddings, SchemaName::AWSAnthropic).unwrap_err();
    assert_eq!(error.status(), 422);
    assert!(error.message().contains("embeddings") && error.message().contains("AWSAnthropic"));
    assert_eq!(reach(Endpoint::Rerank, SchemaName::Anthropic).unwrap_err().status(), 422);
}

#[test]
fn every_pair_goes_its_way() {
    let lines = SchemaName::ALL.iter().map(|schema| {
        let reached = Endpoint::ALL.iter().filter_map(|endpoint| {
            let reach = reach(*endpoint, *schema).ok()?;
            Some(format!("{endpoint:?} {reach:?}"))
        });
        format!("{schema:?}: {}", reached.collect::<Vec<_>>().join(", "))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @r"
    OpenAI: ChatCompletions Same, Completions Same, Embeddings Same, Responses Same, ResponsesInputTokens Same, ResponsesCompact Same, StoredResponse Same, StoredResponseCancel Same, StoredResponseInput Same, ResponsesSocket Same, Realtime Same, ImageGenerations Same, ImageEdits Same, ImageVariations Same, Moderations Same, Speech Same, Transcriptions Same, Translations Same, Tokenize Same, GenerateContent Translate, StreamGenerateContent Translate, Messages Translate, CohereChat Translate, Rerank Translate, PassThrough Raw
    OpenAIChat: ChatCompletions Same, Completions Same, Embeddings Same, Responses Translate, Realtime Same, ImageGenerations Same, ImageEdits Same, ImageVariations Same, Moderations Same, Speech Same, Transcriptions Same, Translations Same, Tokenize Same, GenerateContent Translate, StreamGenerateContent Translate, Messages Translate, CohereChat Translate, Rerank Translate, PassThrough Raw
    AzureOpenAI: ChatCompletions Same, Completions Same, Embeddings Same, Responses Same, ResponsesInputTokens Same, ResponsesCompact Same, StoredResponse Same, StoredResponseCancel Same, StoredResponseInput Same, Realtime Same, ImageGenerations Same, ImageEdits Same, Speech Same, Transcriptions Same, Translations Same, GenerateContent Translate, StreamGenerateContent Translate, Messages Translate, CohereChat Translate, PassThrough Raw
    AWSOpenAI: ChatCompletions Same, Completions Translate, Responses Same, ResponsesCompact Same, StoredResponse Same, StoredResponseCancel Same, StoredResponseInput Same, GenerateContent Translate, StreamGenerateContent Translate, Messages Translate, CohereChat Translate, PassThrough Raw
    Anthropic: ChatCompletions Translate, Completions Translate, Responses Translate, GenerateContent Translate, StreamGenerateContent Translate, Messages Same, CountTokens Same, CohereChat Translate, PassThrough Raw
    AWSAnthropic: ChatCompletions Translate, Completions Translate, Responses Translate, ResponsesInputTokens Translate, Tokenize Translate, GenerateContent Translate, StreamGenerateContent Translate, GeminiCountTokens Translate, Messages Envelope, CountTokens Translate, CohereChat Translate, PassThrough Raw
    AWSBedrock: ChatCompletions Translate, Completions Translate, Embeddings Translate, Responses Translate, ResponsesInputTokens Translate, Tokenize Translate, GenerateContent Translate, StreamGenerateContent Translate, GeminiCountTokens Translate, Messages Translate, CountTokens Translate, CohereChat Translate, Rerank Translate, PassThrough Raw
    Cohere: ChatCompletions Translate, Completions Translate, Embeddings Translate, Responses Translate, GenerateContent Translate, StreamGenerateContent Translate, Messages Translate, CohereChat Same, Rerank Same, PassThrough Raw
    GCPAnthropic: ChatCompletions Translate, Completions Translate, Responses Translate, ResponsesInputTokens Translate, Tokenize Translate, GenerateContent Translate, StreamGenerateContent Translate, GeminiCountTokens Translate, Messages Envelope, CountTokens Envelope, CohereChat Translate, PassThrough Raw
    GCPVertexAI: ChatCompletions Translate, Completions Translate, Embeddings Translate, Responses Translate, ResponsesInputTokens Translate, Tokenize Translate, GenerateContent Envelope, StreamGenerateContent Envelope, GeminiCountTokens Envelope, Messages Translate, CountTokens Translate, CohereChat Translate, Rerank Translate, PassThrough Raw
    ");
}

#[test]
fn a_schema_that_is_reached_has_a_path_that_begins_with_a_slash() {
    for (endpoint, schema) in Endpoint::ALL
        .iter()
        .flat_map(|endpoint| SchemaName::ALL.iter().map(move |schema| (*endpoint, *schema)))
    {
        if reach(endpoint, schema).is_ok() {
            assert!(path_of(schema, None, endpoint, false, "m").starts_with('/'), "{endpoint:?} {schema:?}");
        }
    }
}
