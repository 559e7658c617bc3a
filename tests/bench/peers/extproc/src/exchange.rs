//! One request and its answer: what Envoy tells of them, message by message, and what it is told to do.

use std::borrow::Cow;
use std::collections::HashMap;

use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::ProcessingMode;
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::{
    BodySendMode, HeaderSendMode,
};
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
use envoy_types::pb::envoy::service::ext_proc::v3::{
    BodyResponse, CommonResponse, HeaderMutation, HeadersResponse, HttpBody, HttpHeaders, ProcessingRequest,
    ProcessingResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use serde::Deserialize;
use tonic::Status;

use crate::usage::{self, EventUsage, Usage};

/// The header that Envoy routes by, and the namespace of the usage: the names that Envoy AI Gateway gave them.
const MODEL_HEADER: &str = "x-ai-eg-model";
const NAMESPACE: &str = "io.envoy.ai_gateway";

/// The state of one gRPC stream, which is one HTTP exchange.
#[derive(Default)]
pub(crate) struct Exchange {
    /// There once the answer was seen to be a stream of events.
    events: Option<EventUsage>,
}

impl Exchange {
    /// What Envoy shall do next. Fails for messages that Envoy sends only if it is configured otherwise than here.
    pub(crate) fn answer(&mut self, message: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        match message.request {
            Some(Request::RequestHeaders(_)) => {
                Ok(respond(Response::RequestHeaders(HeadersResponse::default())))
            }
            Some(Request::RequestBody(body)) => Ok(request_body(&body)),
            Some(Request::ResponseHeaders(headers)) => Ok(self.response_headers(&headers)),
            Some(Request::ResponseBody(body)) => Ok(self.response_body(&body)),
            Some(Request::RequestTrailers(_) | Request::ResponseTrailers(_)) | None => {
                Err(Status::invalid_argument("only headers and bodies are processed"))
            }
        }
    }

    /// Events are passed on one by one: held back until the last one, they would be no stream any more.
    fn response_headers(&mut self, headers: &HttpHeaders) -> ProcessingResponse {
        let mut response = respond(Response::ResponseHeaders(HeadersResponse::default()));
        if is_event_stream(headers) {
            self.events = Some(EventUsage::default());
            response.mode_override = Some(ProcessingMode {
                response_header_mode: HeaderSendMode::Send.into(),
                response_body_mode: BodySendMode::Streamed.into(),
                ..ProcessingMode::default()
            });
        }
        response
    }

    fn response_body(&mut self, body: &HttpBody) -> ProcessingResponse {
        let usage = match &mut self.events {
            None => usage::of_answer(&body.body),
            Some(events) => {
                events.read(&body.body);
                if body.end_of_stream { events.last() } else { None }
            }
        };
        let mut response = respond(Response::ResponseBody(BodyResponse::default()));
        response.dynamic_metadata = usage.map(metadata);
        response
    }
}

#[derive(Deserialize)]
struct ChatRequest<'body> {
    #[serde(borrow)]
    model: Cow<'body, str>,
}

/// A request without a model stays without the header, and Envoy has no route for it.
fn request_body(body: &HttpBody) -> ProcessingResponse {
    let Ok(request) = serde_json::from_slice::<ChatRequest<'_>>(&body.body) else {
        return respond(Response::RequestBody(BodyResponse::default()));
    };
    let model = HeaderValueOption {
        header: Some(HeaderValue {
            key: MODEL_HEADER.to_owned(),
            raw_value: request.model.into_owned().into_bytes(),
            ..HeaderValue::default()
        }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    };
    let common = CommonResponse {
        header_mutation: Some(HeaderMutation { set_headers: vec![model], ..HeaderMutation::default() }),
        clear_route_cache: true,
        ..CommonResponse::default()
    };
    respond(Response::RequestBody(BodyResponse { response: Some(common) }))
}

fn is_event_stream(headers: &HttpHeaders) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let all = headers.headers.iter().flat_map(|map| &map.headers);
    all.filter(|header| header.key == "content-type").any(|header| {
        header.raw_value.get(..EVENT_STREAM.len()).is_some_and(|it| it.eq_ignore_ascii_case(EVENT_STREAM))
    })
}

fn metadata(usage: Usage) -> Struct {
    let tokens = structure([
        ("llm_input_token", number(usage.prompt_tokens)),
        ("llm_output_token", number(usage.completion_tokens)),
        ("llm_total_token", number(usage.total_tokens)),
    ]);
    structure([(NAMESPACE, Value { kind: Some(Kind::StructValue(tokens)) })])
}

fn structure<const N: usize>(fields: [(&str, Value); N]) -> Struct {
    Struct { fields: HashMap::from(fields.map(|(key, value)| (key.to_owned(), value))) }
}

fn number(tokens: u32) -> Value {
    Value { kind: Some(Kind::NumberValue(f64::from(tokens))) }
}

fn respond(response: Response) -> ProcessingResponse {
    ProcessingResponse { response: Some(response), ..ProcessingResponse::default() }
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::config::core::v3::HeaderMap;

    use super::*;

    fn message(request: Request) -> ProcessingRequest {
        ProcessingRequest { request: Some(request), ..ProcessingRequest::default() }
    }

    fn body(text: &str, end_of_stream: bool) -> HttpBody {
        HttpBody { body: text.as_bytes().to_vec(), end_of_stream, ..HttpBody::default() }
    }

    fn content_type(value: &str) -> ProcessingRequest {
        let header = HeaderValue {
            key: "content-type".into(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        };
        message(Request::ResponseHeaders(HttpHeaders {
            headers: Some(HeaderMap { headers: vec![header] }),
            ..HttpHeaders::default()
        }))
    }

    fn total(response: &ProcessingResponse) -> Option<f64> {
        let Kind::StructValue(tokens) =
            response.dynamic_metadata.as_ref()?.fields[NAMESPACE].kind.as_ref()?
        else {
            panic!("not a structure");
        };
        let Kind::NumberValue(total) = tokens.fields["llm_total_token"].kind.as_ref()? else {
            panic!("not a number")
        };
        Some(*total)
    }

    #[test]
    fn the_model_becomes_a_header_and_the_route_is_picked_anew() {
        let request = message(Request::RequestBody(body(r#"{"messages":[],"model":"gpt-5"}"#, true)));
        let response = Exchange::default().answer(request).unwrap();
        let Some(Response::RequestBody(BodyResponse { response: Some(common) })) = response.response else {
            panic!("not an answer to a request body");
        };
        assert!(common.clear_route_cache);
        let header = common.header_mutation.unwrap().set_headers.remove(0).header.unwrap();
        assert_eq!(
            (header.key.as_str(), header.raw_value.as_slice()),
            ("x-ai-eg-model", b"gpt-5".as_slice())
        );
    }

    #[test]
    fn a_request_without_a_model_is_left_alone() {
        for text in ["", "{}", "not JSON", r#"{"model":7}"#] {
            let response =
                Exchange::default().answer(message(Request::RequestBody(body(text, true)))).unwrap();
            assert_eq!(response, respond(Response::RequestBody(BodyResponse::default())), "{text}");
        }
    }

    #[test]
    fn usage_of_a_whole_answer_becomes_metadata() {
        let mut exchange = Exchange::default();
        assert_eq!(exchange.answer(content_type("application/json")).unwrap().mode_override, None);
        let answer = r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
        let response = exchange.answer(message(Request::ResponseBody(body(answer, true)))).unwrap();
        assert_eq!(total(&response), Some(7.0));
    }

    #[test]
    fn events_are_streamed_and_charged_at_the_end() {
        let mut exchange = Exchange::default();
        let response = exchange.answer(content_type("Text/Event-Stream; charset=utf-8")).unwrap();
        assert_eq!(response.mode_override.unwrap().response_body_mode, i32::from(BodySendMode::Streamed));
        let events = "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n";
        let response = exchange.answer(message(Request::ResponseBody(body(events, false)))).unwrap();
        assert_eq!(total(&response), None);
        let response =
            exchange.answer(message(Request::ResponseBody(body("data: [DONE]\n\n", true)))).unwrap();
        assert_eq!(total(&response), Some(7.0));
    }

    #[test]
    fn trailers_are_refused() {
        assert!(Exchange::default().answer(message(Request::RequestTrailers(Default::default()))).is_err());
        assert!(Exchange::default().answer(ProcessingRequest::default()).is_err());
    }
}
