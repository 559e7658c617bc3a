//! Embeddings as OpenAI's clients ask for them: <https://platform.openai.com/docs/api-reference/embeddings/create>.
//!
//! What other providers' models want to know besides has no member there. Clients say it in those of Cohere
//! (`input_type`, `truncate`) or of Google (`task_type`, `title`, `auto_truncate`), and so they may here, to any
//! backend. An input may be an object with a purpose and a title of its own, as clients of Envoy AI Gateway send it.

use serde::Serialize;

use crate::chat::Losses;
use crate::error::Result;
use crate::job::Answer;
use crate::job::embeddings::{
    Aim, Content, Cut, Embeddings, Encoding, Input, Kept, Purpose, Request, Truncate, Vector,
};
use crate::wire::fields::{Fields, Path, parse, readable};
use crate::wire::job::{ClientJob, Seen};
use crate::wire::json::{Json, Shape};
use crate::wire::to_json;

pub(super) static CLIENT: Client = Client;

#[derive(Debug)]
pub(super) struct Client;

impl ClientJob<Embeddings> for Client {
    fn decode(&self, body: &[u8], losses: &mut Losses) -> Result<Request> {
        let body = readable(body, losses);
        let mut fields = Fields::new(&Path::Root, parse("/v1/embeddings", &Shape::Tree, &body)?)?;
        let model = fields.required_string("model")?;
        if fields.take("messages").is_some() {
            return Err(fields
                .path("messages")
                .unprocessable("a conversation is not embedded: send its texts as input"));
        }
        let input = fields.take("input").ok_or_else(|| fields.missing("input"))?;
        let (inputs, is_single) = inputs(&fields.path("input"), input, losses)?;
        let request = Request {
            model,
            inputs,
            is_single,
            dimensions: fields.u64("dimensions")?,
            encoding: encoding(&mut fields)?,
            purpose: purpose(&mut fields)?,
            title: fields.string("title")?,
            truncate: truncate(&mut fields)?,
            user: fields.string("user")?,
        };
        fields.finish(losses);
        Ok(request)
    }

    fn answer(&self, seen: &Seen<'_>, kept: &Kept, answer: &Answer<Vec<Vector<'_>>>) -> Vec<u8> {
        let data = answer.content.iter().enumerate().map(|(index, vector)| {
            let embedding = match kept.encoding {
                Encoding::Float => Written::Float(*vector),
                Encoding::Base64 => Written::Base64(vector.base64()),
            };
            Item { object: "embedding", index, embedding }
        });
        // Its clients want numbers. 0 is what is not known; the books have an estimate then.
        let prompt_tokens = answer.usage.input().unwrap_or_default();
        to_json(&List {
            object: "list",
            data: data.collect(),
            model: answer.model.as_deref().unwrap_or(seen.model),
            usage: Usage { prompt_tokens, total_tokens: answer.usage.total().unwrap_or(prompt_tokens) },
        })
    }
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Item<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Item<'a> {
    object: &'static str,
    index: usize,
    embedding: Written<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Float(Vector<'a>),
    Base64(String),
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// The inputs, and whether the only one stands by itself.
fn inputs(path: &Path<'_>, value: Json<'_>, losses: &mut Losses) -> Result<(Vec<Input>, bool)> {
    match value {
        Json::Array(list) if list.is_empty() => Err(path.malformed("there is nothing in it")),
        Json::Array(list) if !list.iter().all(|value| value.as_number().is_some()) => {
            let inputs = list.into_iter().enumerate();
            let inputs = inputs.map(|(index, value)| input(&Path::Index(path, index), value, losses));
            Ok((inputs.collect::<Result<_>>()?, false))
        }
        one => Ok((vec![input(path, one, losses)?], true)),
    }
}

fn input(path: &Path<'_>, value: Json<'_>, losses: &mut Losses) -> Result<Input> {
    let of = |content| Input { content, purpose: None, title: None };
    match value {
        Json::Array(tokens) => {
            let tokens: Option<Vec<u64>> = tokens.iter().map(|token| token.as_number()?.as_u64()).collect();
            let tokens = tokens.ok_or_else(|| path.malformed("tokens are whole numbers of 0 or more"))?;
            Ok(of(Content::Tokens(tokens)))
        }
        Json::Object(_) => {
            let mut fields = Fields::new(path, value)?;
            let content = Content::Text(fields.required_string("content")?);
            let purpose = purpose(&mut fields)?;
            let input = Input { content, purpose, title: fields.string("title")? };
            fields.finish(losses);
            Ok(input)
        }
        other => Ok(of(Content::Text(path.string(other)?))),
    }
}

fn encoding(fields: &mut Fields<'_>) -> Result<Encoding> {
    const MEMBER: &str = "encoding_format";
    match fields.string(MEMBER)?.as_deref() {
        None | Some("float") => Ok(Encoding::Float),
        Some("base64") => Ok(Encoding::Base64),
        Some(other) => {
            Err(fields.path(MEMBER).unprocessable(format_args!("it is float or base64, not {other:?}")))
        }
    }
}

/// The words for what a vector is for: those of Cohere, which other servers use as well or have their own for, and
/// those of Google.
///
/// <https://docs.cohere.com/reference/embed>,
/// <https://docs.nvidia.com/nim/nemo-retriever/text-embedding/2.0.0/use-the-api-openai.html>,
/// <https://docs.voyageai.com/docs/embeddings>,
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/embeddings/task-types>.
const AIMS: &[(&str, &[(&str, Aim)])] = &[
    (
        "input_type",
        &[
            ("search_query", Aim::Query),
            ("search_document", Aim::Document),
            ("classification", Aim::Classification),
            ("clustering", Aim::Clustering),
            ("query", Aim::Query),
            ("document", Aim::Document),
            ("passage", Aim::Document),
        ],
    ),
    (
        "task_type",
        &[
            ("RETRIEVAL_QUERY", Aim::Query),
            ("RETRIEVAL_DOCUMENT", Aim::Document),
            ("CODE_RETRIEVAL_QUERY", Aim::CodeQuery),
            ("QUESTION_ANSWERING", Aim::Question),
            ("FACT_VERIFICATION", Aim::Fact),
            ("SEMANTIC_SIMILARITY", Aim::Similarity),
            ("CLASSIFICATION", Aim::Classification),
            ("CLUSTERING", Aim::Clustering),
        ],
    ),
];

/// A vector for another purpose is of no use beside those that are there already, so a word that is not known is
/// refused.
fn purpose(fields: &mut Fields<'_>) -> Result<Option<Purpose>> {
    let mut found: Option<Purpose> = None;
    for (member, words) in AIMS {
        let Some(said) = fields.string(member)? else { continue };
        let known = words.iter().find(|(word, _)| *word == said);
        let Some((_, aim)) = known else {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let what = format!("it is one of {}, not {said:?}", words.join(", "));
            return Err(fields.path(member).unprocessable(what));
        };
        if let Some(other) = found.filter(|other| other.aim != *aim) {
            return Err(fields
                .path(member)
                .unprocessable(format_args!("{} says something else", other.member)));
        }
        found = found.or(Some(Purpose { aim: *aim, member }));
    }
    Ok(found)
}

fn truncate(fields: &mut Fields<'_>) -> Result<Option<Truncate>> {
    const CUT: &str = "truncate";
    const WHETHER: &str = "auto_truncate";
    let cut = match fields.string(CUT)?.as_deref() {
        None => None,
        Some("NONE") => Some(Cut::Nothing),
        Some("START") => Some(Cut::Start),
        Some("END") => Some(Cut::End),
        Some(other) => {
            let what = format!("it is one of NONE, START, END, not {other:?}");
            return Err(fields.path(CUT).unprocessable(what));
        }
    };
    let whether = fields.bool(WHETHER)?.map(|cuts| if cuts { Cut::End } else { Cut::Nothing });
    let said = |cut: Option<Cut>, member| cut.map(|cut| Truncate { cut, member });
    Ok(said(cut, CUT).or(said(whether, WHETHER)))
}
