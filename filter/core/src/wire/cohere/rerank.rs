//! Rerank as Cohere's clients ask for it, <https://docs.cohere.com/reference/rerank>, and what others have taken from
//! it.

use std::borrow::Cow;
use std::mem::take;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::Losses;
use crate::codec::json;
use crate::codec::splice::{self, Edit};
use crate::error::Result;
use crate::job::Answer;
use crate::job::rerank::{Document, Kept, Ranked, Request, Rerank};
use crate::usage::Counter;
use crate::wire::fields::{Fields, Path, parse, readable};
use crate::wire::job::{self, ClientJob, Rule, Seen, lose};
use crate::wire::json::{Json, Shape};
use crate::wire::to_json;
use crate::wire::usage::{cohere_usage, openai_usage};

pub(super) static CLIENT: Client = Client;

#[derive(Debug)]
pub(super) struct Client;

impl ClientJob<Rerank> for Client {
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request> {
        let body = readable(body, losses);
        let mut fields = Fields::new(&Path::Root, parse("/v2/rerank", &Shape::Tree, &body)?)?;
        let documents = fields.required_list("documents")?;
        let path = fields.path("documents");
        let documents = documents.into_iter().enumerate();
        let documents = documents.map(|(index, value)| document(&Path::Index(&path, index), value));
        let documents = documents.collect::<Result<_>>()?;
        let request = Request {
            model: fields.required_string("model")?,
            query: fields.required_string("query")?,
            documents,
            // To the servers that take a 0 it says the same as nothing.
            top: fields.u64("top_n")?.filter(|top| *top > 0),
            tokens_per_document: fields.u64("max_tokens_per_doc")?,
            priority: fields.i64("priority")?,
        };
        // Of version 1, and of servers with Jina AI's API.
        let returns = fields.bool("return_documents")?.filter(|returns| *returns);
        lose(losses, "return_documents", returns, Rule::NoDocuments);
        fields.finish(losses);
        Ok(request)
    }

    fn answer(&self, seen: &Seen<'_>, _: &Kept, answer: &Answer<Vec<Ranked<'_>>>) -> Vec<u8> {
        let results = answer.content.iter();
        let results = results.map(|ranked| Item { index: ranked.index, relevance_score: ranked.score });
        let tokens = answer.usage.input().map(|input_tokens| Tokens { input_tokens });
        let billed_units = answer.usage.get(Counter::SearchUnits).map(|search_units| Units { search_units });
        to_json(&Reply {
            id: answer.id.as_deref().unwrap_or(seen.id),
            results: results.collect(),
            meta: Meta { api_version: Version { version: "2" }, billed_units, tokens },
        })
    }
}

/// A document is a text. What has one in it and nothing else, as in version 1, is that text.
fn document(path: &Path<'_>, value: Json<'_>) -> Result<Document> {
    match value {
        Json::Object(mut members) => match members.as_mut_slice() {
            [(name, Json::String(text))] if name == "text" => Ok(Document::Text(take(text).into_owned())),
            _ => Ok(Document::Object(Json::Object(members).to_string())),
        },
        other => Ok(Document::Text(path.string(other)?)),
    }
}

/// Members of version 1 that the second has not got: <https://docs.cohere.com/v2/docs/migrating-v1-to-v2>.
const OF_1: [&str; 3] = ["max_chunks_per_doc", "rank_fields", "return_documents"];

/// What is to be done to a request that passes: Cohere takes those of its second version there, and clients of the
/// first and of servers like Jina AI's send others.
pub(super) fn edits_for_2(body: &[u8], losses: &mut Losses) -> Vec<Edit<'static>> {
    // What is broken or there twice is left to be refused.
    let Ok(scan) = json::scan(body, ["documents", OF_1[0], OF_1[1], OF_1[2]]) else { return Vec::new() };
    let [documents, of_1 @ ..] = scan.members;
    let mut edits = Vec::new();
    for (name, member) in OF_1.into_iter().zip(of_1) {
        if let Some(member) = member {
            if member.as_bool(body) != Some(false) {
                losses.add(name, if name == "return_documents" { Rule::NoDocuments } else { Rule::Word });
            }
            edits.push(Edit::Remove(name));
        }
    }
    let raw = documents.map(|documents| documents.raw(body)).unwrap_or_default();
    let documents = splice::elements(raw, |index, raw| {
        let value = raw.starts_with(b"{").then(|| parse("/v2/rerank", &Shape::Tree, raw).ok()).flatten()?;
        Some(to_json(&match document(&Path::Root, value).ok()? {
            Document::Text(text) => text,
            Document::Object(json) => {
                losses.add(format_args!("documents[{index}]"), Rule::Texts);
                json
            }
        }))
    });
    edits.extend(documents.map(|documents| Edit::Set("documents", Cow::Owned(documents))));
    edits
}

#[derive(Serialize)]
struct Reply<'a> {
    id: &'a str,
    results: Vec<Item<'a>>,
    meta: Meta,
}

#[derive(Serialize, Deserialize)]
struct Item<'a> {
    index: usize,
    /// Servers in a cloud write it in the cloud's way.
    #[serde(borrow, alias = "relevanceScore", alias = "score")]
    relevance_score: &'a RawValue,
}

#[derive(Serialize)]
struct Meta {
    api_version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    billed_units: Option<Units>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<Tokens>,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

#[derive(Serialize)]
struct Units {
    search_units: u64,
}

#[derive(Serialize)]
struct Tokens {
    input_tokens: u64,
}

/// A request in the words that others have taken over.
#[derive(Debug, Default, Serialize)]
pub(in crate::wire) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) api_version: Option<u8>,
    query: &'a str,
    documents: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) max_tokens_per_doc: Option<u64>,
}

impl<'a> Body<'a> {
    /// What all of them know of it.
    pub(in crate::wire) fn of(request: &'a Request, losses: &mut Losses) -> Body<'a> {
        let Request { model: _, query, documents: _, top, tokens_per_document: _, priority } = request;
        lose(losses, "priority", *priority, Rule::Word);
        Body { query, documents: texts(request, losses), top_n: *top, ..Body::default() }
    }
}

/// The documents, for an API that takes texts only.
pub(in crate::wire) fn texts<'a>(request: &'a Request, losses: &mut Losses) -> Vec<&'a str> {
    let texts = request.documents.iter().enumerate().map(|(index, document)| match document {
        Document::Text(text) => text.as_str(),
        Document::Object(json) => {
            losses.add(format_args!("documents[{index}]"), Rule::Texts);
            json
        }
    });
    texts.collect()
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    /// `data` at Voyage AI: <https://docs.voyageai.com/reference/reranker-api>.
    #[serde(borrow, alias = "data")]
    results: Vec<Item<'a>>,
    /// Cohere's own.
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
    /// Of servers that speak OpenAI's API.
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

/// Reads an answer in the same words.
///
/// # Errors
///
/// 502 for any other.
pub(in crate::wire) fn read(body: &[u8]) -> Result<Answer<Vec<Ranked<'_>>>> {
    // SGLang answers with nothing but the list.
    let said = if body.trim_ascii_start().starts_with(b"[") {
        Said { results: job::parse(body)?, id: None, model: None, meta: None, usage: None }
    } else {
        job::parse(body)?
    };
    let mut usage = match (said.usage, said.meta) {
        (Some(usage), _) => openai_usage(usage.get().as_bytes()),
        (None, Some(meta)) => cohere_usage(meta.get().as_bytes()),
        (None, None) => Default::default(),
    };
    // All that it reads is input. vLLM says only how much it is.
    usage.set(Counter::Input, usage.input().or(usage.total()));
    let content = said.results.iter();
    let content = content.map(|item| Ranked { index: item.index, score: item.relevance_score });
    let [id, model] = [said.id, said.model].map(|name| name.map(Cow::into_owned));
    Ok(Answer { content: content.collect(), id, model, usage })
}
