//! The options of `weir render` that make sense for some platforms only.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{ArgMatches, ValueEnum};
use weir_cli::render::envoy_gateway::{self, Filter, InPod, Release, Source};
use weir_cli::render::{Form, ServiceAddress, istio};
use weir_cli::run::Failure;

use crate::Platform;

/// Where the filter's code is, for platforms that fetch it themselves.
#[derive(Debug, clap::Args)]
pub(crate) struct Code {
    /// Envoy Gateway, native module: an image with /libweir.so, mounted as an image volume (Kubernetes 1.35, or 1.33
    /// with the feature gate ImageVolume)
    #[arg(long, value_name = "IMAGE", conflicts_with = "envoy_image")]
    module_image: Option<String>,
    /// Envoy Gateway: an image of Envoy that has the filter in /opt/weir, the native module as libweir.so, wasm as
    /// plugin.wasm
    #[arg(long, value_name = "IMAGE")]
    envoy_image: Option<String>,
    /// Wasm: the image that `weir image` makes, REGISTRY/REPOSITORY:TAG
    #[arg(long, value_name = "IMAGE", conflicts_with = "wasm_url")]
    wasm_image: Option<String>,
    /// Envoy Gateway, wasm: mount that image in the pods, too, for models that need the filter in a cluster's chain
    /// (Kubernetes as for
    /// --module-image)
    #[arg(long, requires = "wasm_image", conflicts_with_all = ["envoy_image", "wasm_url"])]
    wasm_volume: bool,
    /// Wasm: where weir.wasm can be downloaded
    #[arg(long, value_name = "URL")]
    wasm_url: Option<String>,
    /// Envoy Gateway: its version, where it is an older one; 1.6 and 1.7 have no native modules
    #[arg(long, value_name = "VERSION")]
    envoy_gateway_version: Option<Release>,
    /// Wasm: the digest of the image's manifest, or of the file at the URL
    #[arg(long, value_name = "HEX")]
    wasm_sha256: Option<String>,
}

/// Where Istio's gateway is.
#[derive(Debug, clap::Args)]
pub(crate) struct Gateway {
    /// Istio: the namespace of the gateway's pods, in which everything goes
    #[arg(long, value_name = "NAMESPACE", default_value = "istio-system")]
    gateway_namespace: String,
    /// Istio: a label of the gateway's pods; may be repeated
    #[arg(long, value_name = "KEY=VALUE", default_value = "istio=ingressgateway")]
    gateway_label: Vec<String>,
}

/// Options that not all platforms have, by the name of their argument.
const OPTIONS: &[(&str, &[Platform])] = &[
    ("port", &[Platform::Envoy]),
    ("admin_port", &[Platform::Envoy]),
    ("admin_bind", &[Platform::Envoy]),
    ("admin_token_file", &[Platform::Envoy]),
    ("bind", &[Platform::Envoy]),
    ("access_log", &[Platform::Envoy]),
    ("rate_limit_service", &[Platform::Envoy, Platform::Istio]),
    ("rate_limit_fail_closed", &[Platform::Envoy, Platform::Istio]),
    ("module_image", &[Platform::EnvoyGateway]),
    ("envoy_image", &[Platform::EnvoyGateway]),
    ("wasm_image", &[Platform::EnvoyGateway, Platform::Istio]),
    ("envoy_gateway_version", &[Platform::EnvoyGateway]),
    ("wasm_volume", &[Platform::EnvoyGateway]),
    ("wasm_url", &[Platform::EnvoyGateway, Platform::Istio]),
    ("wasm_sha256", &[Platform::EnvoyGateway, Platform::Istio]),
    ("gateway_namespace", &[Platform::Istio]),
    ("gateway_label", &[Platform::Istio]),
];

/// Refuses options that would have no effect.
pub(crate) fn check(to: Platform, given: &ArgMatches) -> Result<(), Failure> {
    let is_given = |name: &str| given.value_source(name) == Some(ValueSource::CommandLine);
    match OPTIONS.iter().find(|(name, platforms)| !platforms.contains(&to) && is_given(name)) {
        None => Ok(()),
        Some((name, platforms)) => {
            let names = platforms.iter().filter_map(ValueEnum::to_possible_value);
            let names: Vec<String> = names.map(|value| format!("--to {}", value.get_name())).collect();
            let message = format!("--{} is for {}", name.replace('_', "-"), names.join(" and "));
            Err(Failure::Environment(message))
        }
    }
}

impl Gateway {
    /// The labels of the gateway's pods.
    fn labels(&self) -> Result<BTreeMap<String, String>, Failure> {
        let parts = |label: &String| {
            let parts = label.split_once('=').filter(|(key, _)| !key.is_empty());
            let parts = parts.map(|(key, value)| (key.to_owned(), value.to_owned()));
            parts.ok_or_else(|| {
                Failure::Environment(format!("--gateway-label is {label:?}; it must be KEY=VALUE"))
            })
        };
        self.gateway_label.iter().map(parts).collect()
    }

    /// What Istio's resources are rendered with.
    pub(crate) fn options(
        self,
        code: istio::Code,
        rate_limit_service: Option<ServiceAddress>,
        rate_limit_fail_closed: bool,
    ) -> Result<istio::Options, Failure> {
        let selector = self.labels()?;
        let namespace = self.gateway_namespace;
        Ok(istio::Options { namespace, selector, code, rate_limit_service, rate_limit_fail_closed })
    }
}

impl Code {
    /// The filter for Istio, which is always the wasm one.
    pub(crate) fn istio(&self, form: Option<Form>) -> Result<istio::Code, Failure> {
        if form == Some(Form::Module) {
            let message = "the native module would have to be in Istio's proxy image; take --filter wasm";
            return Err(Failure::Environment(message.to_owned()));
        }
        let sha256 = self.wasm_sha256.as_deref().map(digest).transpose()?;
        let url = match (&self.wasm_image, &self.wasm_url) {
            (Some(image), _) => format!("oci://{}", without_scheme(image)),
            (None, Some(url)) => match url.strip_prefix("file://") {
                Some(_) if sha256.is_some() => {
                    let message =
                        "--wasm-sha256 is for what is downloaded: Istio does not check a file in the pods";
                    return Err(Failure::Environment(message.to_owned()));
                }
                Some(path) => return Ok(istio::Code::File(path.to_owned())),
                None => url.clone(),
            },
            (None, None) => {
                return Err(Failure::Environment(
                    "the gateway's pods must get the filter from somewhere: name an image by --wasm-image or a URL by --wasm-url, \
                     file:///PATH for a file in the pods"
                        .to_owned(),
                ));
            }
        };
        Ok(istio::Code::Remote { url, sha256 })
    }

    /// What resources for Envoy Gateway are rendered with.
    pub(crate) fn envoy_gateway(&self, form: Option<Form>) -> Result<envoy_gateway::Options, Failure> {
        let release = self.envoy_gateway_version.unwrap_or_default();
        let filter = self.filter(form)?;
        if matches!(filter, Filter::Module(_)) && !release.has_modules() {
            let message = "native modules take Envoy Gateway 1.8 or later; take --filter wasm";
            return Err(Failure::Environment(message.to_owned()));
        }
        Ok(envoy_gateway::Options { filter, release })
    }

    /// The filter for Envoy Gateway. Without a wish it is the module.
    fn filter(&self, form: Option<Form>) -> Result<Filter, Failure> {
        let misplaced =
            |option: &str, form: &str| Err(Failure::Environment(format!("{option} is for --filter {form}")));
        let envoy = self.envoy_image.clone().map(InPod::Envoy);
        match form.unwrap_or(Form::Module) {
            Form::Module => {
                if self.wasm_image.is_some() || self.wasm_url.is_some() || self.wasm_sha256.is_some() {
                    return misplaced("--wasm-image, --wasm-url or --wasm-sha256", "wasm");
                }
                // Whether one is needed is a matter of the resources.
                let volume = self.module_image.clone().map(InPod::Volume);
                Ok(Filter::Module(volume.or(envoy)))
            }
            Form::Wasm => {
                if self.module_image.is_some() {
                    return misplaced("--module-image", "module");
                }
                let source = match (&self.wasm_image, &self.wasm_url) {
                    (Some(image), _) => Source::Image(without_scheme(image).to_owned()),
                    (None, Some(url)) => Source::Url(url.clone()),
                    (None, None) => {
                        return Err(Failure::Environment(
                            "Envoy Gateway downloads the wasm filter, also where the pods have it as a file: name its image by \
                             --wasm-image or a URL by --wasm-url"
                                .to_owned(),
                        ));
                    }
                };
                let sha256 = self.wasm_sha256.as_deref().map(digest).transpose()?;
                let volume = match &source {
                    Source::Image(image) if self.wasm_volume => {
                        Some(InPod::Volume(pinned(image, sha256.as_deref())))
                    }
                    _ => None,
                };
                Ok(Filter::Wasm(envoy_gateway::Code { source, sha256 }, volume.or(envoy)))
            }
        }
    }
}

/// `REGISTRY/REPOSITORY:TAG` of an image that may be written with a scheme.
fn without_scheme(image: &str) -> &str {
    image.strip_prefix("oci://").unwrap_or(image)
}

/// An image by the digest of its manifest, where that is known.
fn pinned(image: &str, sha256: Option<&str>) -> String {
    let Some(sha256) = sha256.filter(|_| !image.contains('@')) else { return image.to_owned() };
    // A colon before the last slash is that of a port.
    let name = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    };
    format!("{name}@sha256:{sha256}")
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

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> Code {
        Code {
            module_image: None,
            envoy_image: None,
            wasm_image: None,
            wasm_volume: false,
            envoy_gateway_version: None,
            wasm_url: None,
            wasm_sha256: None,
        }
    }

    /// The options of `weir render` that are looked at here.
    #[derive(Debug, clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        code: Code,
    }

    #[test]
    fn a_volume_is_that_of_an_image() {
        let parsed = |options: &[&str]| {
            clap::Parser::try_parse_from(std::iter::once(&"weir").chain(options))
                .map(|line: CommandLine| line.code.wasm_volume)
        };
        assert!(parsed(&["--wasm-image", "a/b:1", "--wasm-volume"]).unwrap());
        for wrong in [
            &["--wasm-volume"][..],
            &["--wasm-volume", "--wasm-url", "https://example/weir.wasm"],
            &["--wasm-volume", "--wasm-image", "a/b:1", "--envoy-image", "c/d:1"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_image_may_have_a_scheme() {
        for image in ["registry.example/weir:1", "oci://registry.example/weir:1"] {
            let code = Code { wasm_image: Some(image.to_owned()), ..code() };
            let source = Source::Image("registry.example/weir:1".to_owned());
            let filter = code.filter(Some(Form::Wasm)).unwrap();
            assert_eq!(filter, Filter::Wasm(envoy_gateway::Code { source, sha256: None }, None));
            let url = "oci://registry.example/weir:1".to_owned();
            assert_eq!(code.istio(None).unwrap(), istio::Code::Remote { url, sha256: None });
        }
    }

    #[test]
    fn a_volume_is_the_very_image_that_is_downloaded() {
        for (image, digest, volume) in [
            ("127.0.0.1:5000/weir:1", true, format!("127.0.0.1:5000/weir@sha256:{}", "0".repeat(64))),
            ("127.0.0.1:5000/weir", true, format!("127.0.0.1:5000/weir@sha256:{}", "0".repeat(64))),
            ("registry.example/weir:1", false, "registry.example/weir:1".to_owned()),
        ] {
            let wasm_sha256 = digest.then(|| "0".repeat(64));
            let code = Code { wasm_image: Some(image.to_owned()), wasm_volume: true, wasm_sha256, ..code() };
            let Filter::Wasm(_, in_pod) = code.filter(Some(Form::Wasm)).unwrap() else { panic!() };
            assert_eq!(in_pod, Some(InPod::Volume(volume)));
        }
    }

    #[test]
    fn no_digest_is_given_for_nothing() {
        let file = Code { wasm_url: Some("file:///opt/weir.wasm".to_owned()), ..code() };
        assert_eq!(file.istio(None).unwrap(), istio::Code::File("/opt/weir.wasm".to_owned()));
        let with_digest = Code { wasm_sha256: Some("0".repeat(64)), ..file };
        let failure = with_digest.istio(None).unwrap_err();
        assert!(format!("{failure:?}").contains("--wasm-sha256 is for what is downloaded"));
    }
}
