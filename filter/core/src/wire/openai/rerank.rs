//! Rerank of model servers that speak OpenAI's API and have it besides, as vLLM and llama.cpp do.
//!
//! Both took it from Jina AI, who took it from Cohere:
//! <https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html#re-rank-api>,
//! <https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md>.

use crate::chat::Losses;
use crate::error::Result;
use crate::job::Answer;
use crate::job::rerank::{Kept, Ranked, Request, Rerank};
use crate::wire::cohere::rerank::{Body, read};
use crate::wire::job::{BackendJob, Rule, Seen, lose};
use crate::wire::schema::To;
use crate::wire::to_json;

pub(super) static BACKEND: Backend = Backend;

#[derive(Debug)]
pub(super) struct Backend;

impl BackendJob<Rerank> for Backend {
    fn path(&self, to: &To<'_>) -> String {
        to.path_below("v1", "rerank")
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        lose(losses, "max_tokens_per_doc", request.tokens_per_document, Rule::Word);
        let mut body = Body::of(request, losses);
        body.model = Some(to.model);
        Ok(to_json(&body))
    }

    fn answer<'a>(
        &self,
        _: &Seen<'_>,
        _: &Kept,
        body: &'a [u8],
        _: &mut Losses,
    ) -> Result<Answer<Vec<Ranked<'a>>>> {
        read(body)
    }
}
