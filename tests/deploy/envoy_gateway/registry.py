"""A registry of OCI images on this machine, and an image of the wasm filter as Envoy Gateway takes it."""

import gzip
import hashlib
import io
import json
import tarfile

import httpx

from harness.process import Process, wait_for

from . import tools

SETTINGS = """
version: 0.1
storage: {filesystem: {rootdirectory: DIRECTORY}}
http: {addr: "127.0.0.1:5000"}
"""
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


class Registry(Process):
    address = "127.0.0.1:5000"

    def __init__(self, directory):
        file = directory / "registry.yaml"
        file.write_text(SETTINGS.replace("DIRECTORY", str(directory / "registry")))
        super().__init__([tools.tool("DOCKER_REGISTRY", "docker-registry"), "serve", file])
        self.http = httpx.Client(base_url=f"http://{self.address}/v2", timeout=10, follow_redirects=True)
        wait_for(self.serves, 10, what="the registry")

    def serves(self):
        try:
            return self.http.get("/").status_code == 200
        except httpx.HTTPError:
            return False

    def push(self, name, tag, wasm):
        """The digest of the manifest, in hexadecimal digits."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            entry = tarfile.TarInfo("plugin.wasm")
            entry.size = wasm.stat().st_size
            with open(wasm, "rb") as file:
                archive.addfile(entry, file)
        layer = layer.getvalue()
        diff = {"type": "layers", "diff_ids": [digest(layer)]}
        config = {"architecture": "wasm", "os": "wasip1", "config": {}, "rootfs": diff}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(name, CONFIG, json.dumps(config).encode()),
            "layers": [self.blob(name, LAYER, gzip.compress(layer, mtime=0))],
        }
        content = json.dumps(manifest).encode()
        answer = self.http.put(f"/{name}/manifests/{tag}", content=content, headers={"content-type": MANIFEST})
        answer.raise_for_status()
        return digest(content).removeprefix("sha256:")

    def blob(self, name, media_type, content):
        place = self.http.post(f"/{name}/blobs/uploads/").raise_for_status().headers["location"]
        digested = digest(content)
        self.http.put(httpx.URL(place).copy_add_param("digest", digested), content=content).raise_for_status()
        return {"mediaType": media_type, "digest": digested, "size": len(content)}


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
