//! What metrics tell apart beside models and backends.

use weir_core::config::Config;
use weir_core::metrics::HeaderLabels;

use crate::resources::annotations::METRICS_HEADERS;
use crate::resources::{Report, Set};

/// The labels that a Gateway asks for, where it does. `config`: with all backends.
pub fn headers(set: &Set, config: &Config, report: &mut Report) -> HeaderLabels {
    let Some((id, labels)) = &set.settings.metrics_headers else { return HeaderLabels::default() };
    let field = format!("metadata.annotations[{METRICS_HEADERS}]");
    if set.platform.is_cluster() {
        report.warning(id, field, "has no effect there: the gateway's own metrics cannot be read");
        return HeaderLabels::default();
    }
    for header in labels.headers().filter(|header| config.brings_credentials(header)) {
        let message = format!("`{header}` may hold a credential of a backend, which is for no metric");
        report.error(id, &*field, message);
    }
    labels.clone()
}
