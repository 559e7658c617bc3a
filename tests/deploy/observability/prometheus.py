"""A real Prometheus, with the project's own configuration."""

import math
import re
import shutil

import httpx
import yaml

from harness.ports import free_port
from harness.process import Process, wait_for
from manifests import tools

FOLDER = tools.MANIFESTS / "observability"
ALERTS = FOLDER / "alerts.yaml"
#: Where Grafana puts the time between two points, and the time that is shown.
TIMES = {"$__rate_interval": "10m", "$__range": "10m"}


def promtool(*command, **options):
    return tools.run(tools.tool("PROMTOOL", "promtool"), *command, **options)


def filled(query, **variables):
    """A query as Grafana sends it, with everything chosen where a variable is not given."""
    for name, value in [*TIMES.items(), *((f"${name}", value) for name, value in variables.items())]:
        query = query.replace(name, value)
    return re.sub(r"\$\w+", ".*", query)


class Prometheus:
    """Scrapes a gateway every second."""

    def __init__(self, folder, target):
        config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        (scrape,) = config["scrape_configs"]
        scrape["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        shutil.copy(ALERTS, folder)
        port = free_port()
        self.process = Process(
            [
                tools.tool("PROMETHEUS", "prometheus"),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ]
        )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        try:
            wait_for(self.is_ready, what="prometheus")
        except BaseException:
            self.close()
            raise

    def is_ready(self):
        try:
            return self.http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path, **parameters):
        answer = self.http.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", f"{parameters}: {answer}"
        return answer["data"]

    def values(self, query):
        """What a query gives at this moment, by the labels; what is no number is left out."""
        result = self.get("query", query=query)["result"]
        found = {tuple(sorted(each["metric"].items())): float(each["value"][1]) for each in result}
        return {labels: value for labels, value in found.items() if math.isfinite(value)}

    def close(self):
        self.process.stop()
        self.http.close()
