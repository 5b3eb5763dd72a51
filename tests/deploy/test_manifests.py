"""What deploy/ promises, checked with the tools of those who will read it; each is skipped where its tool is missing (make deploy-test installs them)."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SPIKED = os.environ.get("SPIKED_BIN", str(ROOT / "build/release/spiked"))
NODE_MODULES = ROOT / "build/node/node_modules"


def tool(name):
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return name


def run(*command, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=120, check=False, **more)


def flags():
    """The daemon's own flags, from its --help."""
    return set(re.findall(r"^  --([a-z-]+)", run(SPIKED, "--help").stdout, re.M))


def environment_names(text):
    return set(re.findall(r"\bSPIKED_[A-Z_]+\b", text))


@pytest.mark.parametrize("file", ["compose.yaml", "kubernetes/base/deployment.yaml", "kubernetes/kserve.yaml", "Containerfile"])
def test_every_setting_named_exists(file):
    known = {"SPIKED_" + flag.upper().replace("-", "_") for flag in flags()}
    assert environment_names((DEPLOY / file).read_text()) <= known


def test_the_packaged_configuration_is_accepted():
    done = run(SPIKED, "--config", DEPLOY / "systemd/spiked.json", "--check-config")
    assert done.returncode == 0, done.stderr


def test_compose_follows_its_schema(tmp_path):
    """docker-compose's own schema check; the secret's file must exist for it."""
    tool("docker-compose")
    shutil.copy(DEPLOY / "compose.yaml", tmp_path)
    (tmp_path / "admin-token").write_text("t")
    done = run("docker-compose", "-f", tmp_path / "compose.yaml", "config", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "compose.yaml").write_text((DEPLOY / "compose.yaml").read_text().replace("read_only: true", "read_onyl: true"))
    assert run("docker-compose", "-f", tmp_path / "compose.yaml", "config", "-q", cwd=tmp_path).returncode != 0


def test_compose_files_beside_it_exist():
    for path in re.findall(r'"?\./([^:"]+):', (DEPLOY / "compose.yaml").read_text()):
        assert (DEPLOY / path).exists(), path


def test_the_unit_is_sound_and_hardened(tmp_path):
    tool("systemd-analyze")
    unit = tmp_path / "spiked.service"
    unit.write_text((DEPLOY / "systemd/spiked.service").read_text().replace("/usr/bin/spiked", SPIKED))
    done = run("systemd-analyze", "verify", "--man=no", unit)
    assert done.returncode == 0 and "spiked.service" not in done.stderr, done.stderr
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert done.returncode == 0, done.stdout[-300:]
    print(done.stdout.strip().splitlines()[-1])


VALIDATE = """
const yaml = require(process.argv[2] + "/js-yaml"), fs = require("fs");
for (const file of process.argv.slice(3))
  for (const object of yaml.loadAll(fs.readFileSync(file, "utf8"))) {
    if (!object || object.kind === "Kustomization") continue;
    if (object.apiVersion.startsWith("serving.kserve.io/")) { // of KServe's kinds the pod's part
      if (object.spec.containers) {
        const Pod = require(process.argv[2] + "/kubernetes-models/v1").Pod;
        new Pod({ metadata: { name: "x" }, spec: { containers: object.spec.containers } }).validate();
      }
      console.log(object.kind + "/" + JSON.stringify(object.spec));
      continue;
    }
    const Kind = require(process.argv[2] + "/kubernetes-models/" + object.apiVersion)[object.kind];
    new Kind(object).validate();
    console.log(object.kind + "/" + object.metadata.name);
  }
"""


def validate(*files):
    tool("node")
    if not (NODE_MODULES / "kubernetes-models").exists():
        pytest.skip("kubernetes-models (npm) is not installed")
    return run("node", "-e", VALIDATE.replace("process.argv[2]", "process.argv[1]").replace("slice(3)", "slice(2)"), NODE_MODULES, *files)


def test_kubernetes_objects_follow_their_schemas(tmp_path):
    done = validate(*sorted((DEPLOY / "kubernetes/base").glob("*.yaml")), DEPLOY / "kubernetes/overlays/example/namespace.yaml")
    assert done.returncode == 0, done.stderr[-500:]
    kinds = {line.split("/")[0] for line in done.stdout.split()}
    assert kinds >= {"Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy", "PersistentVolumeClaim"}
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((DEPLOY / "kubernetes/base/deployment.yaml").read_text().replace("replicas: 3", "replicas: three"))
    assert validate(wrong).returncode != 0


def test_kserve_serves_the_open_inference_protocol():
    """The service asks for the runtime of this file, by the protocol and the format that it offers."""
    done = validate(DEPLOY / "kubernetes/kserve.yaml")
    assert done.returncode == 0, done.stderr[-500:]
    kinds = {kind: json.loads(spec) for kind, _, spec in (line.partition("/") for line in done.stdout.splitlines())}
    runtime, model = kinds["ServingRuntime"], kinds["InferenceService"]["predictor"]["model"]
    assert runtime["protocolVersions"] == ["v2"] == [model["protocolVersion"]] and model["runtime"] == "spiked"
    assert model["modelFormat"]["name"] in [f["name"] for f in runtime["supportedModelFormats"]]
    assert runtime["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"


def test_the_overlay_renders(tmp_path):
    tool("kubectl")
    done = run("kubectl", "kustomize", DEPLOY / "kubernetes/overlays/example")
    if "unknown field \"patches\"" in done.stderr or "json: unknown field" in done.stderr:
        pytest.skip("this kubectl's kustomize is too old")
    assert done.returncode == 0, done.stderr
    assert "registry.example.org/spiked:0.1.0" in done.stdout and done.stdout.count("storageClassName: shared-files") == 2
    (tmp_path / "rendered.yaml").write_text(done.stdout)
    done = validate(tmp_path / "rendered.yaml")
    assert done.returncode == 0 and "Secret/spiked-admin-token" in done.stdout, done.stderr[-500:]


def test_the_autoscalers_metric_is_exported():
    metric = re.search(r"metric: \{name: (\w+)\}", (DEPLOY / "kubernetes/base/autoscaler.yaml").read_text()).group(1)
    assert any(f"{metric}" in f.read_text() for f in (ROOT / "server").glob("metrics*.c"))


def test_prometheus_accepts_its_configurations():
    tool("promtool")
    for name in ("prometheus.yml", "compose.yml"):
        done = run("promtool", "check", "config", DEPLOY / "prometheus" / name)
        assert done.returncode == 0, done.stderr


def test_the_dashboard_is_json():
    for file in DEPLOY.glob("grafana/*.json"):
        json.loads(file.read_text())
