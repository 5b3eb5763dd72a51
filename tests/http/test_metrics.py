"""What operators see: /metrics, its listeners, traces, and the dashboard and alerts in deploy/ that build on the names."""
import base64
import gzip
import json
import pathlib
import re
import shutil
import subprocess

import pytest
import requests

import models as make
from conftest import ROOT, SPIKED, Daemon

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="promtool is not installed (Debian package prometheus)")
SAMPLE = re.compile(r'([a-z_:]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z0-9_]+)="([^"\\]*)"')


class Metrics(dict):
    """(name, labels) to value; labels is a frozenset of pairs."""

    def __init__(self, text):
        super().__init__()
        self.types, self.helped, self.text = {}, set(), text
        current = None
        for line in text.splitlines():
            if line.startswith("# HELP "):
                current = line.split()[2]
                assert current not in self.helped, "told twice"
                self.helped.add(current)
            elif line.startswith("# TYPE "):
                assert line.split()[2] == current
                self.types[current] = line.split()[3]
            else:
                name, labels, value = SAMPLE.match(line).groups()
                assert name == current or (self.types[current] == "histogram" and name in (
                    current + "_bucket", current + "_sum", current + "_count")), line
                key = (name, frozenset(LABEL.findall(labels or "")))
                assert key not in self and len(key[1]) == (labels or "").count("="), line
                self[key] = float(value)

    def get(self, name, **labels):
        return super().get((name, frozenset(labels.items())))


def scrape(d, **headers):
    r = requests.get(f"http://{d.metrics_address}/metrics", headers=headers, timeout=10)
    assert r.status_code == 200 and r.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Metrics(r.text)


@pytest.fixture(scope="module")
def observed(models_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("observed")
    with Daemon(models_folder, "--metrics-listen", "127.0.0.1:0", "--state", str(folder / "state"),
                token_file=folder / "token") as d:
        line = d.wait_log("metrics-listening")
        d.metrics_address = re.search(r"address=(\S+)", line).group(1)
        yield d


def test_one_classification_counts_everywhere(observed):
    before = scrape(observed)
    answer = observed.classify_json({"images": [make_base64(1), make_base64(2)], "timesteps": 7}).json()
    after = scrape(observed)

    def grew(name, **labels):
        return (after.get(name, **labels) or 0) - (before.get(name, **labels) or 0)

    assert grew("spiked_http_requests_total", listener="public", method="POST", route="/v1/models/{model}/classify",
                code="200") == 1
    assert grew("spiked_images_total", model="tiny") == 2 and grew("spiked_timesteps_total", model="tiny") == 14
    assert grew("spiked_spikes_total", model="tiny") == sum(r["spikes"]["total"] for r in answer["results"])
    assert grew("spiked_synaptic_operations_total", model="tiny") == sum(
        r["spikes"]["synaptic_operations"] for r in answer["results"])
    assert grew("spiked_batches_total", model="tiny") == grew("spiked_inferences_total", model="tiny") == 1
    assert grew("spiked_inference_failures_total", model="tiny") == 0
    for name, part in (("queue", "queue"), ("simulate", "simulate"), ("inference", "total")):
        name = f"spiked_{name}_seconds"
        assert grew(name + "_count", model="tiny") == grew(name + "_bucket", model="tiny", le="+Inf") == 1
        assert grew(name + "_sum", model="tiny") * 1000 >= answer["latency_ms"][part] - 0.01  # the total ends later
        assert grew("spiked_images_total", model="rgb") == 0


def test_steps_that_were_not_simulated_do_not_count(observed):
    before = scrape(observed)
    answer = observed.classify(make.picture(1), T=64, stop="0.0,2").json()
    after = scrape(observed)
    grew = after.get("spiked_timesteps_total", model="tiny") - before.get("spiked_timesteps_total", model="tiny")
    assert grew == answer["results"][0]["timesteps_used"] < 64


def make_base64(seed):
    return base64.b64encode(make.picture(seed)).decode()


def test_buckets_are_cumulative(observed):
    observed.classify(make.picture(1))
    m = scrape(observed)
    for name, kind in m.types.items():
        if kind != "histogram":
            continue
        series = {}
        for (sample, labels), value in m.items():
            if sample == name + "_bucket":
                labels = dict(labels)
                series.setdefault(labels["model"], []).append((float(labels["le"]), value))
        assert set(series) >= {"tiny", "rgb", "slow"}
        for model, buckets in series.items():
            counts = [v for _, v in sorted(buckets)]
            assert counts == sorted(counts) and counts[-1] == m.get(name + "_count", model=model)


@pytest.mark.parametrize("send, code, reason", [
    (lambda d: d.classify(b"nonsense"), 422, "undecodable-image"), (lambda d: d.classify(make.picture(1), T=0), 400, "invalid-option"),
    (lambda d: d.classify(make.picture(1), "none"), 404, "not-found"),
    (lambda d: d.classify(make.picture(1), "slow", T=4096, timeout_ms=1), 504, "deadline")])
def test_refusals_are_counted_by_reason(observed, send, code, reason):
    before = scrape(observed)
    assert send(observed).status_code == code
    after = scrape(observed)
    assert after.get("spiked_rejected_requests_total", reason=reason) == before.get(
        "spiked_rejected_requests_total", reason=reason) + 1
    labels = dict(listener="public", method="POST", route="/v1/models/{model}/classify", code=str(code))
    assert after.get("spiked_http_requests_total", **labels) == (before.get("spiked_http_requests_total", **labels) or 0) + 1


def test_clients_cannot_make_labels(observed):
    before = scrape(observed)
    for i in range(20):
        requests.get(f"{observed.url}/no/such/{i}")
        requests.request(f"BREW{i}", observed.url + "/")
        observed.classify(make.picture(1), f"none{i}")
    after = scrape(observed)
    new = set(after) - set(before)
    assert len(new) <= 3, new
    assert after.get("spiked_http_requests_total", listener="public", method="other", route="other", code="404") >= 20


def test_gauges_and_process(observed):
    observed.wait_no_memory()
    m = scrape(observed)
    assert m.get("spiked_ready") == 1 and m.get("spiked_models") >= 3
    assert m.get("spiked_queue_limit") == 256 and m.get("spiked_queue_depth") == 0
    assert m.get("spiked_request_memory_bytes") == 0 and m.get("spiked_requests_in_flight") >= 1
    build, = [dict(labels) for name, labels in m if name == "spiked_build_info"]
    assert build["version"] == requests.get(observed.url + "/v1/status").json()["version"] and build["kernels"]
    assert m.get("spiked_calibration_generation", model="tiny") == 0
    assert m.get("spiked_calibration_failures_total", model="tiny") == 0
    assert 1e6 < m.get("process_resident_memory_bytes") < m.get("process_virtual_memory_bytes")
    assert 4 < m.get("process_open_fds") < m.get("process_max_fds") and m.get("process_cpu_seconds_total") > 0
    assert m.get("process_start_time_seconds") > 1.7e9


@needs_promtool
def test_promtool_finds_nothing_to_say(observed):
    observed.classify(make.picture(1))
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=scrape(observed).text, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_admin_listener_has_them_for_the_token(observed):
    r = observed.admin("GET", "/metrics")
    assert r.status_code == 200 and "spiked_build_info" in r.text
    assert observed.admin("GET", "/metrics", headers={"Authorization": "Bearer x"}).status_code == 401
    assert requests.get(observed.url + "/metrics").status_code == 404


def test_the_metrics_listener_has_nothing_else(observed):
    base = f"http://{observed.metrics_address}"
    for path in ("/", "/livez", "/v1/models", "/v1/models/tiny/load", "/v2", "/v1/status"):
        assert requests.get(base + path, timeout=10).status_code == 404, path
    assert requests.post(base + "/metrics", timeout=10).status_code == 405
    assert requests.head(base + "/metrics", timeout=10).status_code == 200


def test_metrics_are_packed_on_request(observed):
    r = requests.get(f"http://{observed.metrics_address}/metrics", headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10)
    packed = r.raw.read(decode_content=False)
    assert r.headers["Content-Encoding"] == "gzip" and Metrics(gzip.decompress(packed).decode()).get("spiked_ready") == 1


def test_without_the_flag_there_is_no_listener_and_a_taken_port_is_exit_1(models_folder, observed):
    with Daemon(models_folder) as d:
        assert not any("metrics-listening" in line for line in d.lines)
    done = subprocess.run([SPIKED, "--models", str(models_folder), "--listen", "127.0.0.1:0", "--metrics-listen",
                           observed.metrics_address], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "start-failed" in done.stderr


# ---- what is deployed beside it --------------------------------------------------------------------------------


def names_in(expression):
    return set(re.findall(r"\b(?:spiked|process)_[a-z_]+", expression))


def test_dashboard_and_alerts_ask_for_what_there_is(observed):
    observed.classify(make.picture(1))
    there = {name for name, _ in scrape(observed)}
    dashboard = json.loads((ROOT / "deploy/grafana/spiked.json").read_text())
    asked = set()
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            asked |= names_in(target["expr"])
    assert len(asked) >= 15 and asked <= there, asked - there
    rules = (ROOT / "deploy/prometheus/spiked.rules.yml").read_text()
    expressions = "\n".join(line for line in rules.splitlines() if not line.lstrip().startswith(("record", "summary", "desc")))
    assert names_in(expressions) <= there, names_in(expressions) - there
    ids = [p["id"] for p in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@needs_promtool
def test_promtool_accepts_rules_and_configuration():
    folder = pathlib.Path(ROOT / "deploy/prometheus")
    for what in (["check", "rules", str(folder / "spiked.rules.yml")], ["check", "config", str(folder / "prometheus.yml")],
                 ["test", "rules", str(folder / "spiked.test.yml")]):
        done = subprocess.run([PROMTOOL, *what], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_the_dashboard_asks_in_promql(tmp_path):
    """Each of its expressions, with Grafana's variables filled in, as a rule that promtool parses."""
    dashboard = json.loads((ROOT / "deploy/grafana/spiked.json").read_text())
    variables = {"$__rate_interval": "5m", "$instance": ".*", "$model": ".*"}
    rules = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in variables.items():
                expression = expression.replace(name, value)
            assert "$" not in expression, expression
            rules.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": expression})
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- traces ----------------------------------------------------------------------------------------------------

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("sent", [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00", f"01-{TRACE}-{PARENT}-01",
                                  f"cc-{TRACE}-{PARENT}-09-what-the-future-brings"])
def test_traces_are_passed_on(daemon, sent):
    r = requests.get(daemon.url + "/livez", headers={"traceparent": sent})
    assert r.headers["traceparent"] == "00" + sent[2:55]


@pytest.mark.parametrize("sent", [
    "", "00", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-0", f"00-{TRACE}-{PARENT}-011", f"00-{TRACE}-{PARENT}-01-x",
    f"01-{TRACE}-{PARENT}-01x", f"00-{TRACE[:-1]}-{PARENT}-01", f"00_{TRACE}_{PARENT}_01", f"0g-{TRACE}-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-0g", "x" * 500])
def test_what_is_no_trace_is_ignored(daemon, sent):
    r = requests.get(daemon.url + "/livez", headers={"traceparent": sent})
    assert r.status_code == 200 and "traceparent" not in r.headers


def test_traces_are_logged(models_folder):
    with Daemon(models_folder, "--log-format", "json") as d:
        requests.get(d.url + "/livez", headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "traced"})
        requests.get(d.url + "/livez", headers={"X-Request-Id": "untraced"})
        line = json.loads(d.wait_line(lambda text: '"traced"' in text))
        assert (line["trace_id"], line["parent_id"]) == (TRACE, PARENT)
        assert "trace_id" not in json.loads(d.wait_line(lambda text: '"untraced"' in text))
        twice = f"traceparent: 00-{TRACE}-{PARENT}-01\r\n" * 2
        assert b"traceparent" not in d.raw(f"GET /livez HTTP/1.0\r\n{twice}\r\n".encode())
