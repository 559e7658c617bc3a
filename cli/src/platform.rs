//! The options of `weir render` that make sense for some platforms only.

use clap::ArgMatches;
use clap::parser::ValueSource;
use weir_cli::render::Form;
use weir_cli::render::envoy_gateway::{self, Filter, Module, Source};
use weir_cli::run::Failure;

use crate::Platform;

/// Where the filter's code is, for platforms that fetch it themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct Code {
    /// Envoy Gateway, native module: an image with /libweir.so, mounted as an image volume (Kubernetes 1.33 or later)
    #[arg(long, value_name = "IMAGE", conflicts_with = "envoy_image")]
    module_image: Option<String>,
    /// Envoy Gateway, native module: an image of Envoy that has the module as /opt/weir/libweir.so
    #[arg(long, value_name = "IMAGE")]
    envoy_image: Option<String>,
    /// Envoy Gateway, wasm: the image that `weir image` makes, REGISTRY/REPOSITORY:TAG
    #[arg(long, value_name = "IMAGE", conflicts_with = "wasm_url")]
    wasm_image: Option<String>,
    /// Envoy Gateway, wasm: where weir.wasm can be downloaded
    #[arg(long, value_name = "URL")]
    wasm_url: Option<String>,
    /// Envoy Gateway, wasm: the digest of the image's manifest, or of the file at the URL
    #[arg(long, value_name = "HEX")]
    wasm_sha256: Option<String>,
}

/// Options of one platform, by the name of their argument.
const OF_ENVOY: &[&str] =
    &["port", "admin_port", "bind", "access_log", "rate_limit_service", "rate_limit_fail_closed"];
const OF_ENVOY_GATEWAY: &[&str] = &["module_image", "envoy_image", "wasm_image", "wasm_url", "wasm_sha256"];

/// Refuses options that would have no effect.
pub(crate) fn check(to: Platform, given: &ArgMatches) -> Result<(), Failure> {
    let (without_effect, why) = match to {
        Platform::Envoy => {
            (OF_ENVOY_GATEWAY, "is for --to envoy-gateway; --to envoy takes the filter beside weir")
        }
        _ => (OF_ENVOY, "is for --to envoy; on a platform it is the resources that say it"),
    };
    match without_effect.iter().find(|name| given.value_source(name) == Some(ValueSource::CommandLine)) {
        None => Ok(()),
        Some(name) => Err(Failure::Environment(format!("--{} {why}", name.replace('_', "-")))),
    }
}

impl Code {
    /// The filter for Envoy Gateway. Without a wish it is the module.
    pub(crate) fn filter(&self, form: Option<Form>) -> Result<Filter, Failure> {
        let misplaced =
            |option: &str, form: &str| Err(Failure::Environment(format!("{option} is for --filter {form}")));
        match form.unwrap_or(Form::Module) {
            Form::Module => {
                if self.wasm_image.is_some() || self.wasm_url.is_some() || self.wasm_sha256.is_some() {
                    return misplaced("--wasm-image, --wasm-url or --wasm-sha256", "wasm");
                }
                // Whether one is needed is a matter of the resources.
                let volume = self.module_image.clone().map(Module::Volume);
                Ok(Filter::Module(volume.or_else(|| self.envoy_image.clone().map(Module::Envoy))))
            }
            Form::Wasm => {
                if self.module_image.is_some() || self.envoy_image.is_some() {
                    return misplaced("--module-image or --envoy-image", "module");
                }
                let source = match (&self.wasm_image, &self.wasm_url) {
                    (Some(image), _) => Source::Image(image.clone()),
                    (None, Some(url)) => Source::Url(url.clone()),
                    (None, None) => {
                        return Err(Failure::Environment(
                            "Envoy Gateway must get the wasm filter from somewhere: name an image by --wasm-image or a URL by \
                             --wasm-url"
                                .to_owned(),
                        ));
                    }
                };
                let sha256 = self.wasm_sha256.as_deref().map(digest).transpose()?;
                Ok(Filter::Wasm(envoy_gateway::Code { source, sha256 }))
            }
        }
    }
}

fn digest(given: &str) -> Result<String, Failure> {
    let digits = given.strip_prefix("sha256:").unwrap_or(given);
    if digits.len() == 64 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
        return Ok(digits.to_owned());
    }
    Err(Failure::Environment(format!(
        "--wasm-sha256 is {given:?}; it must be 64 hexadecimal digits in lower case"
    )))
}
