"""manifests/: what is committed is what Weir renders, builds with kustomize and Helm, and is allowed by the schemas."""

import json
import os
import re
import shlex
import shutil

import pytest
import yaml

from manifests import rendering, schemas, tools

MIGRATING = tools.ROOT / "docs" / "migrating.md"
ENVOY_GATEWAY, CHART = tools.MANIFESTS / "envoy-gateway", tools.MANIFESTS / "chart"
IMAGE = "registry.example/weir/filter@sha256:" + "0123456789abcdef" * 4


@pytest.fixture(scope="session")
def valid(tmp_path_factory):
    """Asserts that the schemas allow what a text has."""
    kubeconform = tools.tool("KUBECONFORM", "kubeconform")
    locations = schemas.write(tmp_path_factory.mktemp("schemas"))

    def check(text, *options):
        command = [kubeconform, "-strict", "-output", "json", "-summary", *locations, *options]
        done = tools.run(*command, check=False, input=text)
        report = json.loads(done.stdout)
        assert done.returncode == 0, json.dumps(report)
        return report["summary"]["valid"]

    return check


def kustomize(folder, *command):
    return tools.run(tools.tool("KUSTOMIZE", "kustomize"), *(command or ["build"]), cwd=folder).stdout


def helm(*command, **options):
    return tools.run(tools.tool("HELM", "helm"), *command, **options)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """The EKS blueprint in one file, for an image that is named later."""
    file = tmp_path_factory.mktemp("rendered") / "rendered.yaml"
    file.write_text(rendering.blueprint())
    return file


class TestSchemas:
    def test_mistakes_are_found(self, valid):
        """The other tests rest on it."""
        policy = (ENVOY_GATEWAY / "rendered" / "filter.yaml").read_text()
        assert valid(policy) == 1
        for wrong in (
            policy.replace("filterName:", "filtername:"),
            policy.replace("- name: weir\n", "- name: [weir]\n"),
            policy.replace("kind: EnvoyExtensionPolicy", "kind: EnvoyExtensionPolitics"),
        ):
            assert wrong != policy
            with pytest.raises(AssertionError):
                valid(wrong)

    def test_those_of_kubernetes_too(self, valid):
        redis = (ENVOY_GATEWAY / "redis.yaml").read_text()
        assert valid(redis) == 2
        for wrong in (redis.replace("readinessProbe:", "readynessProbe:"), redis.replace("port: 6379", "port: redis")):
            assert wrong != redis
            with pytest.raises(AssertionError):
                valid(wrong)


@pytest.mark.parametrize("name", rendering.QUICK_STARTS)
class TestQuickStarts:
    def test_what_is_committed_is_what_weir_renders(self, name, tmp_path):
        rendering.quick_start(name, tmp_path / "rendered")
        new = {file.name: file.read_text() for file in (tmp_path / "rendered").iterdir()}
        old = {file.name: file.read_text() for file in (tools.MANIFESTS / name / "rendered").iterdir()}
        assert new == old, f"render manifests/{name} again, as its README says"

    def test_the_readme_says_how_it_was_rendered(self, name):
        command = " ".join(["weir render -f resources", *rendering.QUICK_STARTS[name], "-o rendered"])
        text = (tools.MANIFESTS / name / "README.md").read_text()
        assert command in re.sub(r"\s*\\\n\s*", " ", text)

    def test_kustomize_builds_what_was_rendered(self, name, valid):
        built = kustomize(tools.MANIFESTS / name)
        assert valid(built) > 0
        built = tools.by_id(tools.documents(built))
        folder = tools.MANIFESTS / name
        beside = [file for file in (folder / "rendered").glob("*.yaml") if file.name != "gateway-values.yaml"]
        for file in beside:
            for key, resource in tools.by_id(tools.documents(file.read_text())).items():
                assert built[key] == resource


@pytest.mark.parametrize("manifest", ["quick-start", "blueprint"])
def test_envoy_gateway_takes_it(manifest, tmp_path):
    """Its own tool knows the rules that are in no schema."""
    file = tmp_path / "all.yaml"
    file.write_text(kustomize(ENVOY_GATEWAY) if manifest == "quick-start" else rendering.blueprint())
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = tools.run(tools.tool("EGCTL", "egctl"), "x", "validate", "-f", file, env=environment)
    said = re.sub(r"\x1b\[\d+m", "", done.stdout)
    assert said.strip() == "OK", said


class TestKustomize:
    def test_it_names_the_image(self, tmp_path):
        """Also where no Pod is: in an EnvoyProxy."""
        copy = shutil.copytree(ENVOY_GATEWAY, tmp_path / "copy")
        assert "reference: weir-filter\n" in kustomize(copy)
        kustomize(copy, "edit", "set", "image", f"weir-filter={IMAGE}")
        built = kustomize(copy)
        assert "weir-filter" not in built
        (proxy,) = [each for each in tools.documents(built) if each["kind"] == "EnvoyProxy"]
        pod = proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]["pod"]
        assert pod["volumes"][0]["image"] == {"reference": IMAGE}


class TestChart:
    """A release of what was rendered."""

    def template(self, rendered, *options, check=True):
        given = ["--set-file", f"rendered={rendered}"] if rendered else []
        return helm("template", "weir", CHART, *given, *options, check=check)

    def refused(self, rendered, *options):
        done = self.template(rendered, *options, check=False)
        assert done.returncode != 0
        return done.stderr

    def test_it_installs_what_was_rendered_and_nothing_else(self, rendered, valid):
        text = self.template(rendered, "--set", f"image={IMAGE}").stdout
        expected = rendered.read_text().replace("reference: weir-filter", f"reference: {IMAGE}")
        assert tools.by_id(tools.documents(text)) == tools.by_id(tools.documents(expected))
        assert valid(text) == len(tools.documents(expected))

    def test_large_numbers_stay_whole(self, rendered):
        """Helm's own reading of YAML makes floats of them."""
        assert "body_limit: 52428800\n" in self.template(rendered, "--set", f"image={IMAGE}").stdout

    def test_it_packs_files_as_well(self, tmp_path, valid):
        copy = shutil.copytree(CHART, tmp_path / "chart")
        rendering.blueprint(copy / "files")
        expected = tools.by_id(tools.resources(copy / "files"))
        helm("package", copy, "-d", tmp_path)
        text = helm("template", "weir", tmp_path / "weir-0.1.0.tgz", "--set", f"image={IMAGE}").stdout
        assert tools.by_id(tools.documents(text)).keys() == expected.keys()
        valid(text)

    @pytest.mark.parametrize("option", ["--module-image", "--envoy-image"])
    def test_an_image_of_their_own_stays(self, tmp_path, option):
        file = tmp_path / "rendered.yaml"
        file.write_text(rendering.blueprint(image=(option, IMAGE)))
        assert IMAGE in self.template(file).stdout
        assert "image has no effect" in self.refused(file, "--set", f"image={IMAGE}")

    @pytest.mark.parametrize("option", ["--envoy-image", "--wasm-image"])
    def test_the_image_is_named_wherever_the_filter_comes_from(self, tmp_path, option):
        file = tmp_path / "rendered.yaml"
        form = ("--filter", "wasm") if option == "--wasm-image" else ()
        if form:
            folder = ENVOY_GATEWAY
            command = [tools.WEIR, "render", "-f", "resources", "--to", "envoy-gateway", *form, option, "weir-filter"]
            file.write_text(tools.run(*command, cwd=folder).stdout)
        else:
            file.write_text(rendering.blueprint(image=(option, "weir-filter")))
        options = ["--set", f"image={IMAGE}", "--set", "patchesEnabled=true"]
        text = self.template(file, *options).stdout
        assert text.count(IMAGE) == 1 and "weir-filter" not in text

    def test_a_volume_is_of_the_same_image(self, tmp_path):
        file = tmp_path / "rendered.yaml"
        options = ("--filter", "wasm", "--wasm-image", "weir-filter", "--wasm-volume", "--wasm-sha256", "0" * 64)
        command = [tools.WEIR, "render", "-f", "resources", "--to", "envoy-gateway", *options]
        file.write_text(tools.run(*command, cwd=ENVOY_GATEWAY).stdout)
        text = self.template(file, "--set", f"image={IMAGE}", "--set", "patchesEnabled=true").stdout
        assert text.count(IMAGE) == 2 and "weir-filter" not in text

    def test_kinds_of_others_are_left_out(self, rendered):
        options = ["--set", f"image={IMAGE}", "--set", "skip={GatewayClass,ServiceAccount}"]
        all_of_them = tools.by_id(tools.documents(rendered.read_text()))
        installed = tools.by_id(tools.documents(self.template(rendered, *options).stdout))
        assert {kind for kind, *_ in all_of_them.keys() - installed.keys()} == {"GatewayClass", "ServiceAccount"}

    def test_patches_are_refused_where_they_have_no_effect(self, tmp_path):
        file = tmp_path / "rendered.yaml"
        file.write_text("apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyPatchPolicy\nmetadata: {name: weir}\n")
        assert "enableEnvoyPatchPolicy" in self.refused(file)
        assert "EnvoyPatchPolicy" in self.template(file, "--set", "patchesEnabled=true").stdout

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ([], "give it by --set image="),
            (["--set", "image=not an image"], "does not match pattern"),
            (["--set", "image=registry.example/weir@sha256:123"], "does not match pattern"),
            (["--set", f"image={IMAGE}", "--set", "skip={Nonsense}"], "there is no Nonsense"),
            (["--set", "imagee=x"], "additional properties 'imagee' not allowed"),
            (["--set", "patchesEnabled=maybe"], "got string, want boolean"),
        ],
    )
    def test_wrong_values_are_refused(self, rendered, options, said):
        assert said in self.refused(rendered, *options)

    def test_nothing_to_install_is_a_mistake(self):
        assert "there is nothing to install" in self.refused(None)

    def test_lint(self, rendered):
        done = helm("lint", "--strict", CHART, "--set-file", f"rendered={rendered}", "--set", f"image={IMAGE}")
        assert "0 chart(s) failed" in done.stdout

    def test_every_value_is_described(self):
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        schema = json.loads((CHART / "values.schema.json").read_text())
        assert values.keys() == schema["properties"].keys() - {"global"}


class TestExport:
    """What `kubectl get -o yaml` prints in a cluster with Envoy AI Gateway."""

    EXPORT = tools.ROOT / "tests" / "deploy" / "manifests" / "export.yaml"

    def with_secret(self):
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gpt-key", "namespace": "models"}}
        return self.EXPORT.read_text() + "---\n" + yaml.safe_dump({**secret, "stringData": {"apiKey": "sk-test"}})

    def test_it_is_checked_as_it_is(self):
        done = tools.run(tools.WEIR, "check", "-f", "-", input=self.with_secret())
        assert done.stdout == "ok: 1 route, 1 backend, 3 policies\n"
        note = "HTTPRoute models/models: skipped, a controller made it from AIGatewayRoute models"
        assert done.stderr == f"note: <stdin>: {note}\n"

    def test_it_is_rendered_without_what_the_cluster_put_there(self, valid):
        command = [tools.WEIR, "render", "--to", "envoy-gateway", "--module-image", IMAGE, "-f", "-"]
        done = tools.run(*command, input=self.EXPORT.read_text())
        assert valid(done.stdout) > 0
        rendered = tools.by_id(tools.documents(done.stdout))
        assert ("HTTPRoute", "models", "models") not in rendered, "that of the controller must stay its own"
        for resource in rendered.values():
            assert "status" not in resource
            metadata = resource["metadata"].keys()
            assert not metadata & {"uid", "resourceVersion", "managedFields", "creationTimestamp", "generation"}
            # An owner that is not there would take the resource with it, and a finalizer waits for its controller.
            assert not metadata & {"ownerReferences", "finalizers"}


    def test_side_by_side_nothing_of_the_old_is_touched(self, tmp_path):
        """With the command that the page gives."""
        (command,) = re.findall(r"^ *(sed .*) export.yaml > weir.yaml$", MIGRATING.read_text(), re.M)
        (tmp_path / "weir.yaml").write_text(tools.run(*shlex.split(command), input=self.EXPORT.read_text()).stdout)
        options = ["--to", "envoy-gateway", "--module-image", IMAGE, "-o", tmp_path / "rendered"]
        tools.run(tools.WEIR, "render", "-f", tmp_path / "weir.yaml", *options)
        new = tools.by_id(tools.resources(tmp_path / "rendered"))
        (old,) = tools.documents(self.EXPORT.read_text())
        assert not new.keys() & tools.by_id(old["items"]).keys()
        assert {namespace for _, namespace, _ in new} == {"models-weir", None}
        assert new["Gateway", "models-weir", "ai"]["spec"]["gatewayClassName"] == "weir"
        assert ("GatewayClass", None, "weir") in new

    def test_the_page_asks_for_every_kind_that_is_read(self):
        asked = re.findall(r"^ *kubectl get (\S+) \\$", MIGRATING.read_text(), re.M)
        assert len(asked) == 2 and asked[0] == asked[1]
        asked = {each.split(".")[0] for each in asked[0].split(",")}
        (old,) = tools.documents(self.EXPORT.read_text())
        for resource in old["items"]:
            plural = re.sub("([^aeiou])ys$", r"\1ies", re.sub("sss$", "sses", resource["kind"].lower() + "s"))
            assert plural in asked
