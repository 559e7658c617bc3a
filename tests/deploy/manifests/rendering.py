"""How what is committed in manifests/ was rendered."""

from . import tools

#: The folder, and the options besides `-f resources` and `-o rendered`. The same words stand in the folder's README.
QUICK_STARTS = {
    "envoy-gateway": ["--to", "envoy-gateway", "--module-image", "weir-filter"],
    "istio": [
        *["--to", "istio", "--filter", "wasm", "--wasm-image", "registry.example/weir:0.1.0"],
        *["--wasm-sha256", "0" * 64, "--gateway-namespace", "istio-ingress"],
    ],
}


def quick_start(name, output):
    """Renders the resources of a quick start."""
    options = QUICK_STARTS[name]
    folder = tools.MANIFESTS / name
    return tools.run(tools.WEIR, "render", "-f", "resources", *options, "-o", output, cwd=folder)


def blueprint(output=None, limits="ai-gateway-rate-limit.yaml", image=("--module-image", "weir-filter")):
    """Renders the EKS blueprint; without a folder it is printed."""
    files = ["gateway.yaml", "model-backends.yaml", "rate-limiting/ai-gateway-route.yaml", f"rate-limiting/{limits}"]
    words = [word for file in files for word in ("-f", file)]
    output = ["-o", output] if output else []
    command = [tools.WEIR, "render", *words, "--to", "envoy-gateway", *image, *output]
    return tools.run(*command, cwd=tools.MANIFESTS / "eks").stdout
