//! What models that embed or rank are known not to take of what clients say, in one table: each rule with its source
//! and, in the tests, its case.
//!
//! What is left out or changed is a loss, for the reason of its rule. Where it would make another vector than was asked
//! for, the request is refused for it instead.

use crate::wire::rule::rules;

const TITAN: &str =
    "https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html";
const NOVA: &str = "https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html";
const COHERE: &str = "https://docs.cohere.com/reference/embed";
const GOOGLE: &str =
    "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api";

rules! {
    /// One thing that a model does not take.
    Word: "the backend's API has no word for it",
        "https://docs.cohere.com/reference/rerank";
    OneLength: "the vectors of this model have one length",
        TITAN;
    TitanPurpose: "Titan makes no difference between purposes",
        TITAN;
    TitanCut: "Titan cuts nothing off: what is too long is an error",
        TITAN;
    NovaQuery: "Nova has no purpose of this kind: the vectors are those of TEXT_RETRIEVAL",
        NOVA;
    NovaDocument: "Nova has no purpose of this kind: the vectors are those of GENERIC_INDEX",
        NOVA;
    CohereQuery: "Cohere has no purpose of this kind: the vectors are those of search_query",
        COHERE;
    CohereDocument: "Cohere has no purpose of this kind: the vectors are those of search_document",
        COHERE;
    GoogleTitle: "Google takes titles of what is for RETRIEVAL_DOCUMENT",
        GOOGLE;
    GoogleStart: "Google cuts off the end of what is too long",
        GOOGLE;
    WasCut: "it is longer than the model takes: the backend cut it off",
        NOVA;
    Texts: "the backend takes texts only: the JSON of the document is sent as one",
        "https://docs.cohere.com/reference/rerank";
    NoDocuments: "an answer of version 2 has no documents in it",
        "https://docs.cohere.com/v2/docs/migrating-v1-to-v2";
}
