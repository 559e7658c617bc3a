//! Google's ranking API:
//! <https://cloud.google.com/generative-ai-app-builder/docs/reference/rest/v1/projects.locations.rankingConfigs/rank>.
//!
//! It is another host than Vertex AI's, `discoveryengine.googleapis.com`, so a backend that has this has nothing else.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chat::Losses;
use crate::error::{Error, Result};
use crate::job::Answer;
use crate::job::rerank::{Kept, Ranked, Request, Rerank};
use crate::wire::cohere::rerank::texts;
use crate::wire::job::{BackendJob, Rule, Seen, lose, parse};
use crate::wire::schema::To;
use crate::wire::to_json;

pub(super) static BACKEND: Backend = Backend;

#[derive(Debug)]
pub(super) struct Backend;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    model: &'a str,
    query: &'a str,
    records: Vec<Record<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_n: Option<u64>,
    ignore_record_details_in_response: bool,
}

#[derive(Serialize)]
struct Record<'a> {
    /// Its place among the documents: results name it, not the place.
    id: String,
    content: &'a str,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    records: Vec<Scored<'a>>,
}

#[derive(Deserialize)]
struct Scored<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    score: &'a RawValue,
}

impl BackendJob<Rerank> for Backend {
    fn path(&self, to: &To<'_>) -> String {
        let project = to.project_segment().unwrap_or_else(|| "-".to_owned());
        format!("/v1/projects/{project}/locations/global/rankingConfigs/default_ranking_config:rank")
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        let Request { model: _, query, documents: _, top, tokens_per_document, priority } = request;
        lose(losses, "max_tokens_per_doc", *tokens_per_document, Rule::Word);
        lose(losses, "priority", *priority, Rule::Word);
        let records = texts(request, losses).into_iter().enumerate();
        let records = records.map(|(index, content)| Record { id: index.to_string(), content });
        Ok(to_json(&Body {
            model: to.model,
            query,
            records: records.collect(),
            top_n: *top,
            ignore_record_details_in_response: true,
        }))
    }

    fn answer<'a>(
        &self,
        _: &Seen<'_>,
        _: &Kept,
        body: &'a [u8],
        _: &mut Losses,
    ) -> Result<Answer<Vec<Ranked<'a>>>> {
        let said: Said<'_> = parse(body)?;
        let ranked = said.records.iter().map(|Scored { id, score }| match id.parse() {
            Ok(index) => Ok(Ranked { index, score }),
            Err(_) => {
                Err(Error::bad_answer(format!("the backend ranked the document {id}, which has no such id")))
            }
        });
        Ok(Answer::of(ranked.collect::<Result<_>>()?))
    }
}
