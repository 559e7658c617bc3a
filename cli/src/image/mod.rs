//! `weir image`: the filter as an OCI image, which is how clusters take it.
//!
//! One layer with one file. Nothing in it depends on when or where it was made, so the same filter always has the same
//! digest.

pub mod command;
mod layout;
mod push;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use oci_client::manifest::{
    IMAGE_CONFIG_MEDIA_TYPE, IMAGE_LAYER_GZIP_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor,
    OciImageManifest,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::render::Form;

/// What an image is made of.
#[derive(Debug)]
pub(crate) struct Image {
    /// What the image holds it as.
    file_name: &'static str,
    /// SHA-256 of the filter's file itself, in hex.
    file_sha256: String,
    layer: Blob,
    config: Blob,
    manifest: Blob,
}

/// Bytes that are known by their digest.
#[derive(Debug)]
struct Blob {
    digest: String,
    bytes: Vec<u8>,
}

/// What an image says about itself, besides what it holds.
#[derive(Debug)]
pub(crate) struct About<'a> {
    /// Version of this program.
    version: &'a str,
    /// Commit it was built from, where that is known.
    revision: Option<&'a str>,
    /// URL of the source code.
    source: Option<&'a str>,
}

/// Why a file cannot be packed.
#[derive(Debug)]
pub(crate) enum Error {
    /// It is not the filter in the form it should have.
    NotAFilter(Form),
    /// It does not fit into an archive.
    Archive(io::Error),
}

/// Where Envoy Gateway and Istio look: the base name that both have fixed.
const PLUGIN: &str = "plugin.wasm";

impl Image {
    /// Packs a filter.
    pub(crate) fn pack(form: Form, filter: &[u8], about: &About<'_>) -> Result<Self, Error> {
        let architecture = match form {
            Form::Wasm if filter.starts_with(b"\0asm") => "amd64",
            Form::Wasm => return Err(Error::NotAFilter(form)),
            Form::Module => machine(filter).ok_or(Error::NotAFilter(form))?,
        };
        let file_name = match form {
            Form::Wasm => PLUGIN,
            Form::Module => form.file_name(),
        };
        let tar = archive(file_name, filter)?;
        let layer = Blob::new(compress(&tar)?);
        let labels = about.labels(form);
        // Wasm runs anywhere, but an image names a platform. It is the one that tools look for where nobody tells them
        // another; Envoy Gateway and Istio do not ask.
        let config = Blob::new(json_bytes(&json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]},
        }))?);
        let manifest = Blob::new(json_bytes(&OciImageManifest {
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            config: config.descriptor(IMAGE_CONFIG_MEDIA_TYPE),
            layers: vec![layer.descriptor(IMAGE_LAYER_GZIP_MEDIA_TYPE)],
            annotations: Some(labels),
            ..OciImageManifest::default()
        })?);
        Ok(Self { file_name, file_sha256: hex::encode(Sha256::digest(filter)), layer, config, manifest })
    }

    /// Its digest, which is that of the manifest: `sha256:...`.
    pub(crate) fn digest(&self) -> &str {
        &self.manifest.digest
    }

    fn blobs(&self) -> [&Blob; 3] {
        [&self.layer, &self.config, &self.manifest]
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Archive(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotAFilter(Form::Wasm) => f.write_str("is not WebAssembly"),
            Error::NotAFilter(Form::Module) => f.write_str("is not a library for Linux on x86-64 or Arm64"),
            Error::Archive(error) => write!(f, "cannot be packed: {error}"),
        }
    }
}

impl Blob {
    fn new(bytes: Vec<u8>) -> Self {
        Self { digest: digest(&bytes), bytes }
    }

    fn descriptor(&self, media_type: &str) -> OciDescriptor {
        OciDescriptor {
            media_type: media_type.to_owned(),
            digest: self.digest.clone(),
            size: i64::try_from(self.bytes.len()).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        }
    }
}

impl About<'_> {
    fn labels(&self, form: Form) -> BTreeMap<String, String> {
        let (title, description) = match form {
            Form::Wasm => ("Weir", "The AI gateway Weir as a proxy-wasm filter for Envoy"),
            Form::Module => ("Weir, native module", "The AI gateway Weir as a dynamic module for Envoy"),
        };
        let always = [
            ("title", title),
            ("description", description),
            ("version", self.version),
            ("licenses", env!("CARGO_PKG_LICENSE")),
        ];
        let known = [("revision", self.revision), ("source", self.source)];
        let known = known.into_iter().filter_map(|(key, value)| Some((key, value?)));
        let labels = always.into_iter().chain(known);
        labels.map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned())).collect()
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// The machine of an ELF library, in the words of images.
fn machine(library: &[u8]) -> Option<&'static str> {
    if !library.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    match library.get(18..20)? {
        [62, 0] => Some("amd64"),
        [183, 0] => Some("arm64"),
        _ => None,
    }
}

/// A tar archive of one file, as if made at the beginning of 1970 by root.
fn archive(name: &str, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(content.len() as u64);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, content)?;
    archive.into_inner()
}

/// The flate2 of the lock file decides what the bytes are, so the same commit packs the same layer.
fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn json_bytes(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const ABOUT: About<'_> = About { version: "1.2.3", revision: Some("abc"), source: None };

    /// The head of a library, of the machine with this number in ELF.
    fn library(machine: u8) -> Vec<u8> {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(64, 0);
        head[18] = machine;
        head
    }

    fn parsed(blob: &Blob) -> serde_json::Value {
        serde_json::from_slice(&blob.bytes).unwrap()
    }

    #[test]
    fn the_same_filter_has_the_same_digest() {
        let pack = |filter: &[u8], about| Image::pack(Form::Wasm, filter, about).unwrap().digest().to_owned();
        assert_eq!(pack(b"\0asm one", &ABOUT), pack(b"\0asm one", &ABOUT));
        assert_ne!(pack(b"\0asm one", &ABOUT), pack(b"\0asm two", &ABOUT));
        assert_ne!(pack(b"\0asm one", &ABOUT), pack(b"\0asm one", &About { revision: None, ..ABOUT }));
    }

    #[test]
    fn the_layer_holds_the_file_and_no_time() {
        let image = Image::pack(Form::Wasm, b"\0asm one", &ABOUT).unwrap();
        // RFC 1952: bytes 4 to 7 are a time, 0 is none.
        assert_eq!(image.layer.bytes[4..8], [0; 4]);
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(&*image.layer.bytes).read_to_end(&mut tar).unwrap();
        assert_eq!(parsed(&image.config)["rootfs"]["diff_ids"][0], digest(&tar));
        let mut archive = tar::Archive::new(&*tar);
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        assert_eq!((entry.path().unwrap().to_str(), entry.header().mtime().unwrap()), (Some(PLUGIN), 0));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(content, b"\0asm one");
        assert!(entries.next().is_none());
        assert_eq!(image.file_sha256, hex::encode(Sha256::digest(b"\0asm one")));
    }

    #[test]
    fn the_manifest_names_all_and_says_what_it_is() {
        let image = Image::pack(Form::Wasm, b"\0asm one", &ABOUT).unwrap();
        let manifest = parsed(&image.manifest);
        assert_eq!(manifest["config"]["digest"], image.config.digest);
        assert_eq!(manifest["layers"][0]["digest"], image.layer.digest);
        assert_eq!(manifest["layers"][0]["size"], image.layer.bytes.len());
        assert_eq!(manifest["annotations"], parsed(&image.config)["config"]["Labels"]);
        assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.2.3");
        assert_eq!(manifest["annotations"]["org.opencontainers.image.revision"], "abc");
        assert!(manifest["annotations"].get("org.opencontainers.image.source").is_none());
    }

    #[test]
    fn a_module_is_for_one_machine() {
        let architecture = |machine| {
            let image = Image::pack(Form::Module, &library(machine), &ABOUT).unwrap();
            parsed(&image.config)["architecture"].as_str().unwrap().to_owned()
        };
        assert_eq!((architecture(62), architecture(183)), ("amd64".to_owned(), "arm64".to_owned()));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let refused = |form, filter: &[u8]| Image::pack(form, filter, &ABOUT).unwrap_err().to_string();
        assert_eq!(refused(Form::Wasm, &library(62)), "is not WebAssembly");
        for not_a_module in [b"\0asm".as_slice(), &library(3), b"\x7fELF\x02\x01", b""] {
            assert!(refused(Form::Module, not_a_module).starts_with("is not a library"));
        }
    }
}
