//! Embeddings of Cohere: <https://docs.cohere.com/reference/embed>. Bedrock has its models in nearly the same words.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::Losses;
use crate::error::Result;
use crate::job::Answer;
use crate::job::embeddings::{Aim, Cut, Embeddings, Kept, Request, Vector};
use crate::wire::job::{BackendJob, Rule, Seen, lose, parse};
use crate::wire::schema::To;
use crate::wire::to_json;
use crate::wire::usage::cohere_usage;

pub(super) static BACKEND: Backend = Backend;

#[derive(Debug)]
pub(super) struct Backend;

impl BackendJob<Embeddings> for Backend {
    fn path(&self, to: &To<'_>) -> String {
        format!("/{}/embed", to.schema.version.as_deref().unwrap_or("v2"))
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        let body = Body::of(request, CUTS, losses)?;
        Ok(to_json(&Body { model: Some(to.model), output_dimension: request.dimensions, ..body }))
    }

    fn answer<'a>(
        &self,
        _: &Seen<'_>,
        _: &Kept,
        body: &'a [u8],
        _: &mut Losses,
    ) -> Result<Answer<Vec<Vector<'a>>>> {
        read(body)
    }
}

/// How an API calls what is cut off of a text that is too long.
pub(in crate::wire) type Cuts = fn(Cut) -> &'static str;

/// Cohere's own words.
pub(in crate::wire) const CUTS: Cuts = |cut| match cut {
    Cut::Nothing => "NONE",
    Cut::Start => "START",
    Cut::End => "END",
};

#[derive(Debug, Serialize)]
pub(in crate::wire) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    texts: Vec<&'a str>,
    input_type: &'static str,
    embedding_types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::wire) output_dimension: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<&'static str>,
}

impl<'a> Body<'a> {
    /// All but the model and the number of dimensions.
    ///
    /// # Errors
    ///
    /// 422 for tokens, and for several purposes.
    pub(in crate::wire) fn of(request: &'a Request, cuts: Cuts, losses: &mut Losses) -> Result<Body<'a>> {
        let purpose = request.one_purpose()?;
        let (input_type, rule) = input_type(purpose.map(|purpose| purpose.aim));
        if let (Some(rule), Some(purpose)) = (rule, purpose) {
            losses.add(request.place_of_purpose(0, purpose), rule);
        }
        request.lose_titles(losses, Rule::Word.reason());
        lose(losses, "user", request.user.as_ref(), Rule::Word);
        Ok(Body {
            model: None,
            texts: request.texts()?,
            input_type,
            embedding_types: ["float"],
            output_dimension: None,
            truncate: request.truncate.map(|truncate| cuts(truncate.cut)),
        })
    }
}

/// Cohere must be told what vectors are for. What is embedded without a word is most often to be found later.
fn input_type(aim: Option<Aim>) -> (&'static str, Option<Rule>) {
    match aim {
        None | Some(Aim::Document) => ("search_document", None),
        Some(Aim::Query) => ("search_query", None),
        Some(Aim::Classification) => ("classification", None),
        Some(Aim::Clustering) => ("clustering", None),
        Some(Aim::CodeQuery | Aim::Question | Aim::Fact) => ("search_query", Some(Rule::CohereQuery)),
        Some(Aim::Similarity) => ("search_document", Some(Rule::CohereDocument)),
    }
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    embeddings: &'a RawValue,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct ByType<'a> {
    #[serde(borrow)]
    float: Vec<Vector<'a>>,
}

/// Reads an answer. Its vectors stand in lists by their types, or, of older models on Bedrock, in one.
///
/// # Errors
///
/// 502 for any other.
pub(in crate::wire) fn read(body: &[u8]) -> Result<Answer<Vec<Vector<'_>>>> {
    let said: Said<'_> = parse(body)?;
    let embeddings = said.embeddings.get();
    let content = if embeddings.starts_with('[') {
        parse(embeddings.as_bytes())?
    } else {
        parse::<ByType<'_>>(embeddings.as_bytes())?.float
    };
    let usage = said.meta.map(|meta| cohere_usage(meta.get().as_bytes())).unwrap_or_default();
    Ok(Answer { id: said.id.map(Cow::into_owned), usage, ..Answer::of(content) })
}
