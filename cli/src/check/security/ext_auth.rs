//! `extAuth`: a service that is asked about each request.

use std::time::Duration;

use super::Reader;
use crate::plan::{ExtAuth, Service, authority};
use crate::resources::gateway::HttpBackendRef;
use crate::resources::security::ExtAuthSpec;

/// How long the service may take unless the policy says otherwise, as Envoy Gateway has it.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Reader<'_> {
    pub(super) fn ext_auth(&mut self, spec: &ExtAuthSpec) -> Option<ExtAuth> {
        let field = "spec.extAuth";
        let nothing: (&str, &[String]) = ("", &[]);
        let (place, older, newer, (path, to_backend), is_grpc) = match (&spec.grpc, &spec.http) {
            (Some(grpc), None) => ("grpc", &grpc.backend_ref, &grpc.backend_refs, nothing, true),
            (None, Some(http)) => {
                let path = http.path.as_deref().unwrap_or_default();
                if !path.is_empty() && !path.starts_with('/') {
                    self.error(format!("{field}.http.path"), "must begin with `/`");
                }
                ("http", &http.backend_ref, &http.backend_refs, (path, &*http.headers_to_backend), false)
            }
            (None, None) | (Some(_), Some(_)) => {
                if !self.report.has_error(self.id, field) {
                    self.error(field, "must have exactly one of `grpc` and `http`");
                }
                return None;
            }
        };
        let place = format!("{field}.{place}");
        let headers = to_backend.iter().enumerate();
        let headers_to_backend =
            headers.map(|(i, name)| self.header(&format!("{place}.headersToBackend[{i}]"), name)).collect();
        if spec.body_to_ext_auth.as_ref().is_some_and(|body| body.max_request_bytes == 0)
            && !self.report.has_error(self.id, &format!("{field}.bodyToExtAuth"))
        {
            self.error(format!("{field}.bodyToExtAuth.maxRequestBytes"), "must be 1 or more");
        }
        if let Some(status) = spec.status_on_error.filter(|status| !(400..=511).contains(status))
            && !self.report.has_error(self.id, &format!("{field}.statusOnError"))
        {
            self.error(format!("{field}.statusOnError"), format!("{status} is no status of an error"));
        }
        let service = self.service(&place, older.as_ref(), newer, is_grpc)?;
        let first = service.members.first()?;
        let endpoint = first.endpoints.first()?;
        Some(ExtAuth {
            authority: authority(&endpoint.host, endpoint.port, first.tls.is_some()),
            service,
            path: path.to_owned(),
            headers_to_service: spec.headers_to_ext_auth.clone(),
            headers_to_backend,
            body: spec.body_to_ext_auth.as_ref().map(|body| body.max_request_bytes),
            timeout: spec.timeout.map_or(TIMEOUT, |timeout| timeout.0),
            fail_open: spec.fail_open,
            status_on_error: spec.status_on_error,
            recompute_route: spec.recompute_route,
        })
    }

    fn service(
        &mut self,
        field: &str,
        older: Option<&HttpBackendRef>,
        newer: &[HttpBackendRef],
        is_grpc: bool,
    ) -> Option<Service> {
        let (place, references) = match older {
            Some(older) if newer.is_empty() => ("backendRef", std::slice::from_ref(older)),
            Some(_) | None => ("backendRefs", newer),
        };
        let place = format!("{field}.{place}");
        self.must_have(&place, references, "name the Service or Backend to ask");
        if references.is_empty() {
            return None;
        }
        let members = self.members(&place, references)?;
        Some(Service { cluster: format!("security/{}/ext-auth", self.id.full_name()), members, is_grpc })
    }
}
