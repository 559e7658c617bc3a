//! A gateway: its configuration, its credentials and what its workers share.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use weir_core::auth::{AwsCredentials, Credential, Secret};
use weir_core::config::{Auth, Backend, Config, Cost, CostType, Route, Schema, SchemaName, Target};
use weir_core::store::{Conflict, Store, Versioned};

pub(crate) const REGION: &str = "eu-central-1";

/// Shared data without workers to share it with.
#[derive(Default)]
pub(crate) struct Memory(RefCell<HashMap<String, Versioned>>);

impl Store for Memory {
    fn get(&self, key: &str) -> Option<Versioned> {
        self.0.borrow().get(key).cloned()
    }

    fn swap(&self, key: &str, value: &[u8], version: Option<u32>) -> Result<(), Conflict> {
        let mut data = self.0.borrow_mut();
        let now = data.get(key).map(|now| now.version);
        if now != version {
            return Err(Conflict);
        }
        let version = now.map_or(1, |version| version + 1);
        data.insert(key.to_owned(), Versioned { value: value.to_vec(), version });
        Ok(())
    }
}

/// A gateway with one route, whose targets are its backends in their order.
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) route: Route,
    pub(crate) store: Memory,
    pub(crate) now_ms: Cell<u64>,
}

impl Gateway {
    pub(crate) fn new() -> Gateway {
        let cost = |key: &str, kind| Cost { key: key.to_owned(), kind };
        let costs = vec![
            cost("llm_input_token", CostType::InputToken),
            cost("llm_output_token", CostType::OutputToken),
            cost("llm_total_token", CostType::TotalToken),
        ];
        let config = Config { body_limit: 1 << 20, default_max_tokens: 4096, ..Config::default() };
        Gateway {
            config,
            route: Route { costs, ..Route::default() },
            store: Memory::default(),
            now_ms: Cell::new(1_790_000_000_000),
        }
    }

    /// One more backend, `default/<name>` at `<name>.example`, with a credential of its own.
    pub(crate) fn backend(mut self, name: &str, schema: SchemaName) -> Gateway {
        let credential = name.to_owned();
        let auth = match schema {
            SchemaName::OpenAI | SchemaName::OpenAIChat | SchemaName::Cohere => Auth::Bearer { credential },
            SchemaName::Anthropic => Auth::AnthropicKey { credential },
            SchemaName::AzureOpenAI => Auth::AzureKey { credential },
            SchemaName::AWSAnthropic | SchemaName::AWSOpenAI | SchemaName::AWSBedrock => {
                Auth::AwsSigv4 { credential, region: REGION.to_owned() }
            }
            SchemaName::GCPAnthropic | SchemaName::GCPVertexAI => {
                Auth::Gcp { credential, project: "project".to_owned(), region: REGION.to_owned() }
            }
        };
        let backend = Backend {
            schema: Schema { name: schema, prefix: None, version: None },
            hosts: vec![format!("{name}.example")],
            address: None,
            betas: None,
            credential_override: None,
            cache_marks: false,
            auth: Some(auth),
        };
        self.config.backends.insert(format!("default/{name}"), backend.into());
        self.route.targets.push(Target { backend: format!("default/{name}"), ..Target::default() }.into());
        self
    }

    /// The model's name at the last backend.
    pub(crate) fn model(self, name: &str) -> Gateway {
        let name = Some(name.to_owned());
        self.target(|target| target.model = name)
    }

    pub(crate) fn target(mut self, change: impl FnOnce(&mut Target)) -> Gateway {
        change(Arc::make_mut(self.route.targets.last_mut().unwrap()));
        self
    }

    /// The backend `default/<name>`, to be changed.
    pub(crate) fn backend_mut(&mut self, name: &str) -> &mut Backend {
        Arc::make_mut(self.config.backends.get_mut(&format!("default/{name}")).unwrap())
    }
}

/// What the gateway shows the backend `name`.
pub(crate) fn credential(name: &str, schema: SchemaName) -> Credential {
    let key = key_of(name);
    match schema {
        SchemaName::AWSAnthropic | SchemaName::AWSOpenAI | SchemaName::AWSBedrock => {
            Credential::Aws(AwsCredentials {
                access_key_id: key.clone(),
                secret_access_key: Secret::new(format!("secret-{key}")),
                session_token: Some(Secret::new(format!("token-{key}"))),
            })
        }
        _ => Credential::ApiKey(Secret::new(key)),
    }
}

/// In every credential of the backend `name`, and in no other.
pub(crate) fn key_of(backend: &str) -> String {
    format!("key-of-{backend}.")
}
