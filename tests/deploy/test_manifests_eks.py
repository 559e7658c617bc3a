"""manifests/eks: what can be known of the blueprint without an account at AWS."""

import re
import shlex
import shutil

import pytest
import yaml

from manifests import installing, rendering, tools
from manifests.terraform import Configuration
from test_manifests import IMAGE, helm, valid  # noqa: F401

EKS = tools.MANIFESTS / "eks"
MODULE = ("--module-image", IMAGE)
#: What makes kubectl and Helm speak to the blueprint's cluster.
ACCESS = ["aws", "eks", "update-kubeconfig"]
LIMITS = ["ai-gateway-rate-limit.yaml", "backend-traffic-policy.yaml"]


@pytest.fixture
def installation(tmp_path):
    return installing.Installation(tmp_path)


def check(*files):
    words = [word for file in files for word in ("-f", file)]
    return tools.run(tools.WEIR, "check", *words, check=False, cwd=EKS)


class TestResources:
    BASE = ("gateway.yaml", "model-backends.yaml")

    @pytest.mark.parametrize("limits", LIMITS)
    def test_weir_takes_them(self, limits):
        done = check(*self.BASE, "rate-limiting/ai-gateway-route.yaml", f"rate-limiting/{limits}")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("ok: 1 route, 3 backends, 4 policies")
        assert check(*self.BASE, "multi-model-routing/ai-gateway-route.yaml").returncode == 0

    def test_of_each_pair_only_one_is_taken(self):
        route = "rate-limiting/ai-gateway-route.yaml"
        done = check(*self.BASE, route, *(f"rate-limiting/{limits}" for limits in LIMITS))
        assert done.returncode == 1
        assert "ai-gateway-rate-limit" in done.stderr and "ai-gateway-demo-budgets" in done.stderr
        done = check(*self.BASE, route, "multi-model-routing/ai-gateway-route.yaml")
        assert "is defined twice" in done.stderr

    @pytest.mark.parametrize("limits", LIMITS)
    def test_what_is_rendered_is_valid(self, limits, tmp_path, valid):  # noqa: F811
        rendering.blueprint(tmp_path / "rendered", limits)
        files = [file.read_text() for file in (tmp_path / "rendered").iterdir()]
        assert valid("\n---\n".join(files)) == len(tools.resources(tmp_path / "rendered"))
        kinds = {resource["kind"] for resource in tools.resources(tmp_path / "rendered")}
        assert "EnvoyPatchPolicy" not in kinds, "the values for Envoy Gateway switch patches off"


class TestInstall:
    def test_shellcheck(self):
        tools.run(tools.tool("SHELLCHECK", "shellcheck"), EKS / "install.sh")

    def test_a_dry_run_runs_nothing(self, installation):
        done = installation.run("--dry-run", *MODULE)
        assert installation.log.read_text() == ""
        assert not (installation.folder / "rendered").exists()
        assert done.stdout.startswith("ok: ")

    def test_it_runs_what_the_dry_run_printed(self, installation):
        printed = installation.run("--dry-run", *MODULE).stdout.splitlines()[1:]
        printed = [shlex.split(line) for line in printed]
        installation.run(*MODULE)
        ran = [
            [word.replace("the-cluster_name", "CLUSTER_NAME").replace("the-region", "REGION") for word in words]
            for words in installation.commands
        ]
        ran = [[word.replace("the-vpc_id", "VPC_ID") for word in words] for words in ran]
        assert ran == [words for words in printed if words[0] not in ("weir", "rm")]
        assert [words[:2] for words in printed if words[0] in ("weir", "rm")] == [["rm", "-rf"], ["weir", "render"]]

    def test_the_order_is_that_of_what_needs_what(self, installation):
        installation.run(*MODULE)
        steps = [" ".join(words[:4]) for words in installation.commands]
        assert steps == [
            "terraform -chdir=terraform init -input=false",
            "terraform -chdir=terraform apply -var-file=blueprint.tfvars",
            "aws eks update-kubeconfig --name",
            "helm upgrade --install aws-load-balancer-controller",
            "helm upgrade --install nvidia-device-plugin",
            "helm upgrade --install redis",
            "helm upgrade --install envoy-gateway",
            "helm upgrade --install qwen3",
            "helm upgrade --install gpt-oss",
            "kubectl apply -f rendered",
            "kubectl wait --for=condition=Programmed gateway/ai-gateway",
        ]

    def test_every_file_is_there_and_every_chart_pinned(self, installation):
        printed = installation.run("--dry-run", *MODULE).stdout.splitlines()[1:]
        seen = 0
        for words in map(shlex.split, printed):
            folder = EKS / "terraform" if words[0] == "terraform" else EKS
            for file in installing.files_of(words):
                assert (folder / file).is_file() or file == "rendered", words
                seen += 1
            if words[0] == "helm":
                assert re.fullmatch(r"v?\d+\.\d+\.\d+", words[words.index("--version") + 1])
        assert seen == 10

    def test_what_is_rendered_is_what_is_applied(self, installation):
        installation.run(*MODULE)
        rendered = installation.folder / "rendered"
        (rendered / "old.yaml").write_text("kind: Old\n")
        installation.run(*MODULE, "gateway")
        assert not (rendered / "old.yaml").exists()
        assert tools.by_id(tools.resources(rendered)) == tools.by_id(tools.documents(rendering.blueprint(image=MODULE)))

    def test_steps_can_be_repeated_alone(self, installation):
        installation.run("redis", "envoy-gateway")
        access, *charts = installation.commands
        assert access[:3] == ACCESS, "kubectl may be left at another cluster"
        assert [words[3] for words in charts] == ["redis", "envoy-gateway"]

    def test_terraform_asks_unless_told(self, installation):
        installation.run("--yes", "infrastructure")
        assert "-auto-approve" in installation.commands[1]
        installation.run("infrastructure")
        assert "-auto-approve" not in installation.commands[1]

    def test_the_token_is_in_no_argument(self, installation):
        installation.run("models", HF_TOKEN="hf_secret")
        lines = installation.log.read_text().splitlines()
        assert [line for line in lines if "hf_secret" in line] == ["read hf_secret"]
        assert "hf_secret" not in installation.run("--dry-run", "models", HF_TOKEN="hf_secret").stdout

    @pytest.mark.parametrize(
        ("options", "environment", "said"),
        [
            ((), {}, "Give --module-image or --envoy-image"),
            ((*MODULE, *MODULE), {}, "give one image"),
            (("--module-image",), {}, "--module-image needs an image"),
            (("--limits", "nowhere.yaml", *MODULE), {}, 'there is none named "nowhere.yaml"'),
            (("--nonsense",), {}, "there is no option --nonsense"),
            (("nonsense",), {}, 'there is no step "nonsense"'),
            (("models",), {"SECRET": "1"}, "set HF_TOKEN"),
            ((*MODULE, "gateway"), {"MINOR": "34"}, "Kubernetes 1.34 does not mount images"),
        ],
    )
    def test_what_is_wrong_is_said(self, installation, options, environment, said):
        done = installation.run(*options, check=False, **environment)
        assert done.returncode == 1
        assert said in done.stderr
        assert [words for words in installation.commands if words[:3] != ACCESS] == []

    def test_a_missing_tool_is_named(self, installation):
        for name in ("helm", "kubectl"):
            (installation.bin / name).unlink()
        for name in ("dirname", "basename"):
            (installation.bin / name).symlink_to(tools.tool("NONE", name))
        done = installation.run(*MODULE, check=False, path=str(installation.bin))
        assert done.returncode == 1
        assert done.stderr == "install.sh: not on the PATH: kubectl helm\n"

    def test_two_regions_are_a_mistake(self, installation):
        variables = installation.folder / "terraform" / "blueprint.tfvars"
        variables.write_text(variables.read_text().replace("us-west-2", "eu-central-1"))
        done = installation.run(*MODULE, check=False)
        assert "says eu-central-1, and model-backends.yaml has another region" in done.stderr
        assert done.stderr.count("us-west-2") == 3
        backends = installation.folder / "model-backends.yaml"
        backends.write_text(backends.read_text().replace("us-west-2", "eu-central-1"))
        assert installation.run("--dry-run", *MODULE).returncode == 0

    def test_wrong_resources_change_nothing(self, installation):
        route = installation.folder / "rate-limiting" / "ai-gateway-route.yaml"
        route.write_text(route.read_text().replace("- name: bedrock\n", "- name: bedrock-aws\n"))
        done = installation.run(*MODULE, check=False)
        assert "bedrock-aws does not exist" in done.stderr and "nothing was changed" in done.stderr
        assert installation.commands == []

    def test_the_readme_says_the_same(self):
        text = (EKS / "README.md").read_text()
        script = (EKS / "install.sh").read_text()
        steps = re.search(r"STEPS=\((.*)\)", script)[1].split()
        assert re.findall(r"^\| `([a-z-]+)` \|", text, re.M)[: len(steps)] == steps
        for chart, version in re.findall(r"readonly (\w+)_CHART=(\S+)", script):
            assert version in text, f"the README has another version of {chart}"
        for option in set(re.findall(r"\./install\.sh[^\n`]*?(--[a-z-]+)", text)):
            assert f"{option})" in script or f"{option} |" in script, option


class TestValues:
    def test_envoy_gateways_own_chart_takes_them(self, tmp_path, valid):  # noqa: F811
        """The chart comes with the Go module; its release only adds the names of the images."""
        chart = tmp_path / "gateway-helm"
        shutil.copytree(tools.gateway_module() / "charts" / "gateway-helm", chart, copy_function=shutil.copyfile)
        values = (chart / "values.tmpl.yaml").read_text()
        values = values.replace("${GatewayImage}", "envoyproxy/gateway:v1.9.1")
        values = values.replace("${GatewayImagePullPolicy}", "IfNotPresent")
        (chart / "values.yaml").write_text(values)
        for file in (EKS / "helm" / "envoy-gateway.yaml", tools.MANIFESTS / "envoy-gateway" / "values.yaml"):
            text = helm("template", "eg", chart, "-n", "envoy-gateway-system", "-f", file).stdout
            assert valid(text) > 0
            (config,) = [each for each in tools.documents(text) if each["kind"] == "ConfigMap"]
            config = yaml.safe_load(config["data"]["envoy-gateway.yaml"])
            assert config["extensionApis"]["enableBackend"] is True
            assert not config["extensionApis"].get("enableEnvoyPatchPolicy")
            assert config["provider"]["kubernetes"]["deploy"] == {"type": "GatewayNamespace"}
            assert config["rateLimit"]["backend"]["type"] == "Redis"

    def test_envoy_gateway_finds_redis(self):
        values = yaml.safe_load((EKS / "helm" / "envoy-gateway.yaml").read_text())
        redis = yaml.safe_load((EKS / "helm" / "redis.yaml").read_text())
        url = values["config"]["envoyGateway"]["rateLimit"]["backend"]["redis"]["url"]
        assert url == f"{redis['fullnameOverride']}.redis-system.svc.cluster.local:6379"
        assert "--namespace redis-system" in (EKS / "install.sh").read_text()

    @pytest.mark.parametrize("model", ["qwen3", "gpt-oss"])
    def test_the_models_are_where_the_gateway_looks(self, model):
        values = yaml.safe_load((EKS / "helm" / f"{model}.yaml").read_text())
        backends = tools.by_id(tools.documents((EKS / "model-backends.yaml").read_text()))
        route = (EKS / "rate-limiting" / "ai-gateway-route.yaml").read_text()
        (endpoint,) = backends["Backend", "default", f"{model}-backend"]["spec"]["endpoints"]
        inference = values["inference"]
        host = f"{inference['serviceName']}.{inference['serviceNamespace']}.svc.cluster.local"
        assert endpoint["fqdn"] == {"hostname": host, "port": 8000}
        assert f"value: {values['model']}\n" in route
        assert all(isinstance(value, str) for value in values["modelParameters"].values()), "the chart takes text only"


@pytest.fixture(scope="module")
def configuration():
    return Configuration(EKS / "terraform")


class TestTerraform:
    def test_everything_that_is_named_is_there(self, configuration):
        assert len(configuration.references()) > 15
        assert configuration.unresolved() == set()

    def test_nothing_is_defined_and_unused(self, configuration):
        used = configuration.references()
        assert {name for name in configuration.names("variable") if f"var.{name}" not in used} == set()
        assert {name for name in configuration.names("locals") if f"local.{name}" not in used} == set()

    def test_every_variable_is_described_and_typed(self, configuration):
        for (name,), block in configuration.blocks("variable"):
            assert block.get("type") and len(block.get("description", "")) > 10, name

    def test_only_the_region_must_be_given(self, configuration):
        needed = {labels[0] for labels, block in configuration.blocks("variable") if "default" not in block}
        given = re.findall(r"^(\w+) *=", (EKS / "terraform" / "blueprint.tfvars").read_text(), re.M)
        assert needed == set(given) == {"region"}

    def test_providers_and_modules_are_pinned(self, configuration):
        ((_, terraform),) = configuration.blocks("terraform")
        assert terraform["required_version"]
        (providers,) = terraform["required_providers"]
        providers = {name: each for name, each in providers.items() if isinstance(each, dict)}
        assert providers and all("version" in each and "source" in each for each in providers.values())
        named = {labels[0].split("_")[0] for kind in ("resource", "data") for labels, _ in configuration.blocks(kind)}
        assert named <= providers.keys()
        for (name,), block in configuration.blocks("module"):
            assert re.fullmatch(r'"\d+\.\d+\.\d+"', block["version"]), name

    def test_the_proxies_may_invoke_these_models_and_do_nothing_else(self, configuration):
        documents = dict((labels[1], block) for labels, block in configuration.blocks("data") if len(labels) == 2)
        (statement,) = documents["bedrock"]["statement"]
        assert sorted(statement["actions"]) == ['"bedrock:InvokeModel"', '"bedrock:InvokeModelWithResponseStream"']
        assert statement["resources"] == "${concat(local.bedrock_model_arns, var.bedrock_profile_arns)}"
        found = [block.get("bedrock_model_arns") for _, block in configuration.blocks("locals")]
        (arns,) = filter(None, found)
        assert "*" not in arns and ":foundation-model/${model}" in arns
        resources = {".".join(labels): block for labels, block in configuration.blocks("resource")}
        policies = [block["role"] for name, block in resources.items() if name.startswith("aws_iam_role_policy")]
        assert policies == ["${aws_iam_role.proxies.id}"]

    def test_the_role_is_that_of_the_proxies_service_account(self, configuration):
        variables = {labels[0]: block for labels, block in configuration.blocks("variable")}
        gateway = tools.by_id(tools.documents((EKS / "gateway.yaml").read_text()))
        proxy = gateway["EnvoyProxy", "default", "ai-gateway"]["spec"]["provider"]["kubernetes"]
        account = proxy["envoyServiceAccount"]["name"]
        assert variables["proxy_service_account"]["default"] == f'"{account}"'
        assert ("ServiceAccount", "default", account) in gateway
        assert variables["proxy_namespace"]["default"] == '"default"'

    def test_the_models_of_the_route_are_allowed(self, configuration):
        variables = {labels[0]: block for labels, block in configuration.blocks("variable")}
        route = (EKS / "rate-limiting" / "ai-gateway-route.yaml").read_text()
        (model,) = re.findall(r"value: (anthropic\.\S+)", route)
        assert f'"{model}"' in variables["bedrock_models"]["default"]

    def test_what_install_asks_for_is_an_output(self, configuration):
        asked = set(re.findall(r"\$\(output (\w+)\)", (EKS / "install.sh").read_text()))
        assert asked and asked <= configuration.names("output")

    def test_the_kubernetes_it_makes_mounts_images(self, configuration):
        variables = {labels[0]: block for labels, block in configuration.blocks("variable")}
        oldest = re.search(r"IMAGE_VOLUMES_FROM=(\d+)", (EKS / "install.sh").read_text())[1]
        assert variables["kubernetes_version"]["default"] == f'"1.{oldest}"'
