//! An image as a folder: the OCI image layout.

use std::fs;
use std::io;
use std::path::Path;

use oci_client::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE};
use serde_json::json;

use super::{Image, json_bytes};

/// Writes an image into a folder, which must be empty or not there yet.
pub(super) fn write(image: &Image, tag: &str, folder: &Path) -> io::Result<()> {
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        let why = "it is not empty; name another folder, or remove it first";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    for blob in image.blobs() {
        fs::write(blobs.join(blob.digest.trim_start_matches("sha256:")), &blob.bytes)?;
    }
    let mut manifest = image.manifest.descriptor(OCI_IMAGE_MEDIA_TYPE);
    manifest.annotations = Some([("org.opencontainers.image.ref.name".to_owned(), tag.to_owned())].into());
    let index = json!({"schemaVersion": 2, "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE, "manifests": [manifest]});
    fs::write(folder.join("index.json"), json_bytes(&index)?)?;
    // Last: what has it is whole.
    fs::write(folder.join("oci-layout"), json_bytes(&json!({"imageLayoutVersion": "1.0.0"}))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::About;
    use crate::render::Form;

    fn image() -> Image {
        let about = About { version: "1", revision: None, source: None };
        Image::pack(Form::Wasm, b"\0asm", &about).unwrap()
    }

    #[test]
    fn the_index_leads_to_every_blob() {
        let folder = tempfile::tempdir().unwrap();
        let image = image();
        write(&image, "1", folder.path()).unwrap();
        let index = fs::read(folder.path().join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        assert_eq!(index["manifests"][0]["digest"], image.digest());
        for blob in image.blobs() {
            let file = folder.path().join("blobs").join(blob.digest.replace(':', "/"));
            assert_eq!(fs::read(file).unwrap(), blob.bytes);
        }
    }

    #[test]
    fn what_is_in_a_folder_stays() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.json"), "{}").unwrap();
        assert!(write(&image(), "1", folder.path()).unwrap_err().to_string().contains("not empty"));
        assert_eq!(fs::read(folder.path().join("index.json")).unwrap(), b"{}");
    }
}
