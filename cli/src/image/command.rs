//! `weir image`

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::push::Destination;
use super::{About, Image, layout, push};
use crate::render::Form;
use crate::run::{self, Failure, say};

/// Pack the filter as an OCI image.
///
/// With --filter wasm it holds `plugin.wasm`, the image that Envoy Gateway and Istio load; with --filter module it
/// holds `libweir.so`, for image volumes and for `COPY --from` in a Dockerfile of Envoy. The same filter always makes
/// the same image: no times, no names of machines. Its labels name the version and the commit of this program, so the
/// two should be built together.
///
/// Prints `image sha256:...`, `FILE sha256:...` for the file in it, and `pushed REGISTRY/REPOSITORY@sha256:...`.
/// Credentials come from Docker's config.json ($DOCKER_CONFIG or ~/.docker) and its credential helpers.
///
/// Exit code 2: no filter is there, the folder is not empty, or the registry refuses.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The form of the filter
    #[arg(long, value_name = "FORM", default_value = "wasm")]
    filter: Form,
    /// The filter's file [default: the one that `weir run` takes]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Write the image into this folder, as an OCI image layout
    #[arg(short, value_name = "DIR", required_unless_present = "push")]
    output: Option<PathBuf>,
    /// Push the image
    #[arg(long, value_name = "REGISTRY/REPOSITORY:TAG")]
    push: Option<Destination>,
    /// Push without TLS; on loopback there is none anyway
    #[arg(long, requires = "push")]
    insecure: bool,
    /// URL of the source code, for a label
    #[arg(long, value_name = "URL")]
    source: Option<String>,
}

/// Packs, writes and pushes. `commit` is the one this program was built from.
///
/// # Errors
///
/// There is no filter, it cannot be written, or the registry does not take it.
pub fn run(arguments: &Arguments, commit: Option<&str>, launcher: &Path) -> Result<(), Failure> {
    let file = match &arguments.from {
        Some(file) => file.clone(),
        None => run::filter_file(arguments.filter, launcher)?,
    };
    let wrong = |what: String| Failure::Environment(format!("{}: {what}", file.display()));
    let filter = fs::read(&file).map_err(|error| wrong(error.to_string()))?;
    let version = env!("CARGO_PKG_VERSION");
    let about = About { version, revision: commit, source: arguments.source.as_deref() };
    let image = Image::pack(arguments.filter, &filter, &about)
        .map_err(|error| Failure::Environment(format!("{} {error}", file.display())))?;
    if let Some(folder) = &arguments.output {
        let tag = arguments.push.as_ref().map_or(version, Destination::tag);
        layout::write(&image, tag, folder)
            .map_err(|error| Failure::Environment(format!("cannot write {}: {error}", folder.display())))?;
        say(format!("wrote {}, an OCI image layout of {}", folder.display(), file.display()));
    }
    if let Some(destination) = &arguments.push {
        push::push(&image, destination, arguments.insecure).map_err(Failure::Environment)?;
    }
    print(format_args!("image {}", image.digest()))?;
    print(format_args!("{} sha256:{}", image.file_name, image.file_sha256))?;
    if let Some(destination) = &arguments.push {
        print(format_args!("pushed {}", destination.by_digest(image.digest())))?;
    }
    Ok(())
}

fn print(line: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    let printed = writeln!(std::io::stdout(), "{line}");
    printed.map_err(|error| Failure::Environment(format!("cannot print: {error}")))
}
