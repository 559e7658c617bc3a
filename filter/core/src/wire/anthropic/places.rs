//! The schemas of the places that serve Claude by Anthropic's messages: the same conversation in different envelopes.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::passing::{edits_for_foreign_thoughts, without_foreign_thoughts};
use super::{API_VERSION, BEDROCK_VERSION, Envelope, Params, StandIns, StreamDecoder, beta, decode_reply};
use super::{edits_for_bedrock, encode_request};
use crate::chat::{Losses, Reply, Request};
use crate::codec::json;
use crate::codec::splice::{self, Edit};
use crate::config::AuthKind;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::headers::{BETA_HEADER, Headers};
use crate::wire::counting::Counter;
use crate::wire::error::malformed;
use crate::wire::marks::Marks;
use crate::wire::schema::{
    ApiHeader, BackendCodec, EventReader, Fits, Framing, Mend, Native, Schema, To, native,
};
use crate::wire::{Asked, converse, to_json};

/// Anthropic itself.
pub(crate) static SCHEMA: Anthropic = Anthropic;

#[derive(Debug)]
pub(crate) struct Anthropic;

impl Schema for Anthropic {
    fn provider(&self) -> &'static str {
        "anthropic"
    }

    fn natives(&self) -> &'static [Native] {
        const NATIVES: &[Native] = &[
            Native::same(Endpoint::Messages, "messages"),
            Native::same(Endpoint::CountTokens, "messages/count_tokens"),
        ];
        NATIVES
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&SCHEMA)
    }

    fn path(&self, to: &To<'_>) -> String {
        to.path_below("v1", native(self, to.endpoint).map_or("messages", |native| native.path))
    }

    fn headers(&self) -> &'static [ApiHeader] {
        &[ApiHeader::Default("anthropic-version", API_VERSION)]
    }

    fn mend(&self, _: &To<'_>) -> Option<Mend> {
        Some(edits_for_foreign_thoughts)
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "AnthropicBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            auth: &[AuthKind::AnthropicKey],
            unusual: &[(AuthKind::Bearer, "Anthropic itself wants")],
            without_auth: None,
            prefix: true,
            version: false,
            filtered: false,
            marked: true,
        }
    }
}

impl BackendCodec for Anthropic {
    fn marks(&self, _: &To<'_>) -> Marks {
        Marks::ALL
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        encode_request(&params(to, Envelope::Native), request, losses)
    }

    /// A call comes back with the client's name of its tool.
    fn reply(&self, asked: &Asked, body: &[u8], _: &mut Losses) -> Result<Reply> {
        let mut reply = decode_reply(body)?;
        StandIns::of(&asked.request.tools, Envelope::Native).resolve_in(&mut reply);
        Ok(reply)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventReader> {
        let stand_ins = StandIns::of(&asked.request.tools, Envelope::Native);
        Box::new(StreamDecoder::default().with_stand_ins(stand_ins))
    }
}

/// Bedrock's `InvokeModel` and `InvokeModelWithResponseStream`:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>.
pub(crate) static INVOKE_MODEL: InvokeModel = InvokeModel;

#[derive(Debug)]
pub(crate) struct InvokeModel;

impl Schema for InvokeModel {
    fn provider(&self) -> &'static str {
        "aws.anthropic"
    }

    fn natives(&self) -> &'static [Native] {
        const NATIVES: &[Native] = &[Native::envelope(Endpoint::Messages, "invoke")];
        NATIVES
    }

    fn codec(&self) -> Option<&'static dyn BackendCodec> {
        Some(&INVOKE_MODEL)
    }

    fn counter(&self) -> Option<&'static dyn BackendCodec> {
        Some(&INVOKE_MODEL_COUNTER)
    }

    fn path(&self, to: &To<'_>) -> String {
        if to.counts() {
            return converse::count_path(to);
        }
        let verb = if to.stream { "invoke-with-response-stream" } else { "invoke" };
        format!("/model/{}/{verb}", to.model_segment())
    }

    /// `accept` is the type of the model's answer; the framing of a stream follows from the path. A client's asks for
    /// neither.
    fn headers(&self) -> &'static [ApiHeader] {
        &[
            ApiHeader::Remove("anthropic-version"),
            ApiHeader::Remove(BETA_HEADER),
            ApiHeader::Set("accept", "application/json"),
        ]
    }

    fn envelope(&self, to: &To<'_>, body: &[u8], losses: &mut Losses) -> Result<Vec<u8>> {
        let body = &*without_foreign_thoughts(body, losses)?;
        let unknown = edits_for_bedrock(body, losses);
        let mut edits = vec![
            Edit::Remove("model"),
            Edit::Remove("stream"),
            Edit::set_string("anthropic_version", bedrock_version(to)),
        ];
        edits.extend(unknown);
        edits.extend(bedrock_betas(to.headers, body, losses)?);
        splice::edit(body, &edits).map_err(malformed)
    }

    fn framing(&self) -> Framing {
        Framing::AwsWrapped
    }

    fn type_of_foreign_errors(&self) -> &'static str {
        "AWSBedrockBackendError"
    }

    fn fits(&self) -> &'static Fits {
        &Fits {
            // Bedrock also takes API keys as bearer tokens.
            auth: &[AuthKind::AwsSigv4, AuthKind::Bearer],
            unusual: &[],
            without_auth: Some("AWS will refuse its requests"),
            prefix: false,
            version: true,
            filtered: true,
            marked: true,
        }
    }
}

impl BackendCodec for InvokeModel {
    fn marks(&self, _: &To<'_>) -> Marks {
        Marks::ALL
    }

    fn encode(&self, to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
        let params = params(to, Envelope::Bedrock { version: bedrock_version(to) });
        let encoded = encode_request(&params, request, losses)?;
        let mut edits = edits_for_bedrock(&encoded, losses);
        // Anthropic itself takes the features from the client's header, which passes.
        edits.extend(bedrock_betas(to.headers, b"{}", losses)?);
        if edits.is_empty() {
            return Ok(encoded);
        }
        splice::edit(&encoded, &edits).map_err(malformed)
    }

    fn reply(&self, asked: &Asked, body: &[u8], losses: &mut Losses) -> Result<Reply> {
        SCHEMA.reply(asked, body, losses)
    }

    fn events(&self, asked: &Asked) -> Box<dyn EventReader> {
        SCHEMA.events(asked)
    }
}

/// Bedrock's CountTokens, of what InvokeModel would be asked:
/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModelTokensRequest.html>.
static INVOKE_MODEL_COUNTER: Counter =
    Counter { encode: encode_counted, member: converse::COUNT, schema: &INVOKE_MODEL };

fn encode_counted(to: &To<'_>, request: &Request, losses: &mut Losses) -> Result<Vec<u8>> {
    // A model must be told how much it may answer, and more than it may think: nothing is lost where it does neither.
    let least = request.thinking.budget_tokens.map_or(1, |budget| budget.saturating_add(1));
    let body = INVOKE_MODEL.encode(&To { default_max_tokens: least, ..*to }, request, losses)?;
    Ok(to_json(&json!({ "input": { "invokeModel": { "body": STANDARD.encode(body) } } })))
}

pub(super) fn params<'a>(to: &To<'a>, envelope: Envelope<'a>) -> Params<'a> {
    Params { envelope, model: to.model, default_max_tokens: to.default_max_tokens }
}

/// `anthropic_version` for the body of a request to Bedrock.
fn bedrock_version<'a>(to: &To<'a>) -> &'a str {
    to.schema.version.as_deref().unwrap_or(BEDROCK_VERSION)
}

/// The beta features that the client's headers ask for, where Bedrock wants them, behind those that are in its body.
fn bedrock_betas(headers: &Headers, body: &[u8], losses: &mut Losses) -> Result<Option<Edit<'static>>> {
    let asked = beta::for_bedrock(headers.all(BETA_HEADER), losses);
    if asked.is_empty() {
        return Ok(None);
    }
    let [own] = json::scan(body, ["anthropic_beta"]).map_err(malformed)?.members;
    let own = own.filter(|own| !own.is_null(body)).map(|own| own.raw(body));
    let mut betas: Vec<Cow<'_, str>> = match own.map(serde_json::from_slice) {
        None => Vec::new(),
        Some(Ok(betas)) => betas,
        Some(Err(_)) => {
            return Err(Error::bad_request("malformed request: anthropic_beta: expected a list of strings"));
        }
    };
    for beta in asked {
        if !betas.iter().any(|known| known == beta) {
            betas.push(Cow::Borrowed(beta));
        }
    }
    let betas = serde_json::to_vec(&betas).unwrap_or_default();
    Ok(Some(Edit::Set("anthropic_beta", Cow::Owned(betas))))
}
