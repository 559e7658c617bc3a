//! The two forms of the filter, and all that differs between them in what Envoy is told.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde_json::{Value, json};
use weir_core::config::Config;

use super::{Error, proto};

/// The namespace of the costs in dynamic metadata, as Envoy AI Gateway has it.
const METADATA: &str = "io.envoy.ai_gateway";

/// Names the VM and, with it, the shared data that all roles and all workers see.
const VM_ID: &str = "weir";

/// What the filter may read of Envoy's environment: AWS's default credentials, and what says where they are. Keys that
/// are not set are left out by Envoy.
pub(super) const ENVIRONMENT: [&str; 9] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
];

/// How the filter is built and loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A native dynamic module, the fast one: Linux on x86-64 or Arm64, Envoy from 1.38 on
    Module,
    /// WebAssembly, on any Envoy from 1.35 on
    Wasm,
}

/// How the values of secrets reach the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretsBy {
    /// Envoy reads SDS files, and adds them as headers when the filter calls a private listener.
    Callout,
    /// The filter reads files.
    Files,
}

/// The filter that Envoy loads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Its form.
    pub form: Form,
    /// Its file, absolute; a module's must be named [`Form::file_name`].
    pub file: PathBuf,
}

impl Form {
    /// What its file is called.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Form::Wasm => "weir.wasm",
            // Envoy looks for `lib<name>.so`.
            Form::Module => "libweir.so",
        }
    }

    /// The oldest Envoy that runs it, major and minor version.
    #[must_use]
    pub fn oldest_envoy(self) -> (u32, u32) {
        match self {
            // Holds the headers back until the filter has read the body (`allow_on_headers_stop_iteration`).
            Form::Wasm => (1, 35),
            // From here on the ABI of dynamic modules only grows.
            Form::Module => (1, 38),
        }
    }

    /// Its roles, each with an ECDS file of its own: a subscription takes one resource.
    pub(super) fn roles(self) -> &'static [&'static str] {
        match self.secrets() {
            SecretsBy::Callout => &["edge", "backend", "admin", "secrets"],
            SecretsBy::Files => &["edge", "backend", "admin"],
        }
    }

    pub(super) fn secrets(self) -> SecretsBy {
        match self {
            Form::Wasm => SecretsBy::Callout,
            Form::Module => SecretsBy::Files,
        }
    }

    /// Whether it can do what `config` asks for.
    pub(super) fn check(self, config: &Config) -> Result<(), Error> {
        match (self, config.needs_structs()) {
            (Form::Module, Some(backend)) => Err(Error::Structs { backend: backend.to_owned() }),
            (Form::Module, None) | (Form::Wasm, _) => Ok(()),
        }
    }

    /// The message that configures it in a filter chain.
    pub(super) fn message(self) -> &'static str {
        match self {
            Form::Wasm => "envoy.extensions.filters.http.wasm.v3.Wasm",
            Form::Module => "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
        }
    }

    /// Envoy's format for a cost that the filter has computed. Wasm cannot write dynamic metadata.
    pub(super) fn cost(self, key: &str) -> String {
        match self {
            Form::Wasm => format!("%FILTER_STATE(wasm.{key}:PLAIN)%"),
            Form::Module => format!("%DYNAMIC_METADATA({METADATA}:{key})%"),
        }
    }

    /// The filter state that holds the line of the access log.
    pub(super) fn record(self) -> &'static str {
        match self {
            // Envoy puts `wasm.` before what a wasm filter names.
            Form::Wasm => "wasm.weir.record",
            Form::Module => "weir.record",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Form::Wasm => "wasm filter",
            Form::Module => "native module",
        })
    }
}

/// Where [`Filter::fields`] has the filter's own JSON, in its two forms.
pub(super) const CONFIGURATION: [&str; 2] = ["/config/configuration/value", "/filter_config/value"];

impl Filter {
    /// What Envoy's environment must hold.
    #[must_use]
    pub fn environment(&self) -> Option<(&'static str, &Path)> {
        match self.form {
            Form::Wasm => None,
            Form::Module => {
                Some(("ENVOY_DYNAMIC_MODULES_SEARCH_PATH", self.file.parent().unwrap_or(Path::new("/"))))
            }
        }
    }

    /// The fields of [`Form::message`] for one role; `configuration` is the filter's own JSON.
    pub(super) fn fields(&self, name: &str, role: &str, configuration: &str) -> Value {
        match self.form {
            Form::Wasm => {
                let code = json!({"local": {"filename": self.file}});
                wasm(name, role, &code, &ENVIRONMENT, configuration)
            }
            Form::Module => module("name", &json!("weir"), role, configuration),
        }
    }
}

/// A text as an `Any`.
fn text(text: &str) -> Value {
    proto::any("google.protobuf.StringValue", json!({"value": text}))
}

/// The fields of a native filter, whose code is at `place`: a field of Envoy's `DynamicModuleConfig` with its value.
pub(super) fn module(place: &str, code: &Value, role: &str, configuration: &str) -> Value {
    json!({
        // A thread of the module outlives every configuration, so its code must stay.
        "dynamic_module_config": {place: code, "do_not_close": true},
        "filter_name": role,
        "filter_config": text(configuration),
    })
}

/// The VM of a wasm filter. Filters share one if this is the same for all, and their code has come the same way: Envoy
/// tells VMs apart by id and code, but takes the code for empty while it is downloaded.
pub(super) fn vm(code: &Value, environment: &[&str]) -> Value {
    json!({
        "vm_id": VM_ID,
        "runtime": "envoy.wasm.runtime.v8",
        "code": code,
        "environment_variables": {"host_env_keys": environment},
    })
}

/// The fields of a wasm filter whose code comes from `code`, and which sees the variables `environment` of Envoy's.
pub(super) fn wasm(name: &str, role: &str, code: &Value, environment: &[&str], configuration: &str) -> Value {
    json!({
        "config": {
            "name": name,
            "root_id": role,
            "vm_config": vm(code, environment),
            "configuration": text(configuration),
            // Without it a pause in the header callback never delivers the body.
            "allow_on_headers_stop_iteration": true,
            // Fail open would let requests pass without the filter for good, fail closed would refuse all of them for
            // good.
            "failure_policy": "FAIL_RELOAD",
        },
    })
}
