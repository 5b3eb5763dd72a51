"""Calibrations in the state folder: what is in force, activating, rolling back, replicas, damage. Artifacts come from
`snn calibrate` here; test_jobs.py makes them through the daemon."""
import hashlib
import json
import os
import re
import socket
import subprocess
import time

import pytest
import requests

import models as make
from conftest import ROOT, Daemon
from test_classify import check_problem

SNN = os.environ.get("SNN_BIN", str(ROOT / "build/release/snn"))
PNG = make.picture(1)


def refused(r, status, said=""):
    check_problem(r, status)
    assert said in r.json()["detail"], r.json()["detail"]


class State:
    """A state folder with artifacts put into it as a job would."""

    def __init__(self, folder, models):
        self.folder, self.models = folder, models

    def add(self, timesteps, model="tiny", into="tiny"):
        pictures = self.folder.parent / "pictures"
        pictures.mkdir(exist_ok=True)
        channels = 3 if model == "rgb" else 1
        for i in range(8):
            (pictures / f"{i}.png").write_bytes(make.picture(i, 8, channels))
        out = self.folder.parent / "made.safetensors"
        subprocess.run([SNN, "calibrate", str(self.models / model / "model.safetensors"), "--data", str(pictures), "-T",
                        timesteps, "-o", str(out)], check=True, capture_output=True)
        content = out.read_bytes()
        id = hashlib.sha256(content).hexdigest()
        artifacts = self.folder / into / "artifacts"
        artifacts.mkdir(parents=True, exist_ok=True)
        (artifacts / f"{id}.safetensors").write_bytes(content)
        return id

    def artifact(self, id, model="tiny"):
        return self.folder / model / "artifacts" / f"{id}.safetensors"

    def pointer(self, generation, model="tiny"):
        return self.folder / model / "active" / str(generation)


@pytest.fixture(scope="module")
def two_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    for name, content in {"tiny": make.network(1, 8, 6, 3, labels=["a", "b", "c"]),
                          "rgb": make.network(3, 8, 6, 4, depth=2, seed=2)}.items():
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(content)
    return folder


@pytest.fixture
def state(tmp_path, two_models):
    return State(tmp_path / "state", two_models)


def start(state, name="token", **more):
    flags = more.pop("flags", ())
    return Daemon(state.models, "--state", str(state.folder), *flags, token_file=state.folder.parent / name, **more)


IN_FORCE = "/v1/models/tiny/calibration"


def put(d, id, match=None, model="tiny"):
    headers = {"If-Match": match} if match is not None else {}
    return d.admin("PUT", f"/v1/models/{model}/calibration", headers, json={"id": id})


def in_force(d, model="tiny"):
    return d.admin("GET", f"/v1/models/{model}/calibration")


def used(d, **options):
    r = d.classify(PNG, **options)
    assert r.status_code == 200, r.text
    return r.json()["calibration"]


def wait_until(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def test_without_a_state_folder(models_folder, tmp_path):
    with Daemon(models_folder, token_file=tmp_path / "token") as d:
        for path in "/v1/models/tiny/calibration", "/v1/models/tiny/calibrations", "/v1/models/tiny/calibrations/0123456789":
            refused(d.admin("GET", path), 501, "--state")
        refused(put(d, None, '"0"'), 501, "--state")
        refused(d.classify(PNG, calibration="0123456789"), 400, "calibration: expected 'none' or the id")
        assert used(d, calibration="none") is None


def test_nothing_in_force_at_first(state):
    with start(state) as d:
        r = in_force(d)
        assert r.status_code == 200 and r.headers["ETag"] == '"0"'
        assert r.json()["generation"] == 0 and r.json()["id"] is None and r.json()["tables"] == []
        assert d.admin("GET", "/v1/models/tiny/calibrations").json() == {"calibrations": []}
        assert used(d) is None
        for path in "/v1/models/nobody/calibration", "/v1/models/nobody/calibrations", "/v1/models/tiny/calibrations/0123abcd":
            refused(d.admin("GET", path), 404)


def test_activate_roll_back_and_none(state):
    a, b = state.add("8"), state.add("4,16")
    with start(state) as d:
        before = requests.get(d.url + "/v1/models/tiny", timeout=10)
        assert before.json()["calibration"] is None
        r = put(d, a, '"0"')
        assert r.status_code == 200 and r.headers["ETag"] == '"1"', r.text
        assert (r.json()["generation"], r.json()["id"], r.json()["name"]) == (1, a, f"1-{a[:12]}")
        assert r.json()["tables"] == [{"neuron": "if", "init": "matched", "timesteps": 8}]
        assert r.json()["by"].startswith("request ")
        assert used(d) == f"1-{a[:12]}"
        now = requests.get(d.url + "/v1/models/tiny", timeout=10)
        assert now.headers["ETag"] != before.headers["ETag"] and now.json()["calibration"]["id"] == a
        r = requests.get(d.url + "/v1/models/tiny", headers={"If-None-Match": before.headers["ETag"]}, timeout=10)
        assert r.status_code == 200
        assert put(d, b[:8], '"1"').json()["id"] == b, "the first digits of an id will do"
        status = d.status()
        assert status["calibration"] == {"tiny": 2}
        assert {m["name"]: m["calibration"] for m in status["models"]}["tiny"] == f"2-{b[:12]}"
        assert put(d, f"1-{a[:12]}", '"2"').json()["id"] == a, "so will its name in an answer"
        listed = d.admin("GET", "/v1/models/tiny/calibrations").json()["calibrations"]
        assert {c["id"]: (c["generations"], c["in_force"], c["usable"]) for c in listed} == {
            a: ([3, 1], True, True), b: ([2], False, True)}
        r = put(d, None, '"3"')
        assert r.json()["id"] is None and r.json()["generation"] == 4
        assert used(d) is None
        assert requests.get(d.url + "/v1/models/tiny", timeout=10).json()["calibration"] is None
        assert put(d, a, "*").json()["generation"] == 5
    with start(state) as d:
        assert used(d) == f"5-{a[:12]}", "a restart continues with what is in force"
        assert "generation=5" in d.wait_log("calibration-in-force")


def test_preconditions(state):
    a = state.add("8")
    with start(state) as d:
        refused(put(d, a), 428, "If-Match: ")
        for match in '"1"', "0", "", 'W/"0"', '"0', '"-1"', '"99999999999999999999"', '"x"', '"0", "1"':
            refused(put(d, a, match), 412, "If-Match: ")
        assert in_force(d).json()["latest"] == 0
        assert put(d, a, '"0"').status_code == 200
        refused(put(d, a, '"0"'), 412, "generation 1 is the latest, not 0")


@pytest.mark.parametrize("body,status,said", [
    (b"", 400, "body: "), (b"[]", 400, "body: "), (b"{", 400, "body: "), (b"{}", 400, "id: "), (b'{"id": 7}', 400, "id: "),
    (b'{"id": null, "more": 1}', 400, "id: "), (b'{"id": null, "id": null}', 400, "body: "),
    (b'{"id": ""}', 404, "id: "), (b'{"id": "0123456"}', 404, "id: "), (b'{"id": "../../etc/passwd"}', 404, "id: "),
    (b'{"id": "' + b"0" * 64 + b'"}', 404, "id: "), (b'{"id": "' + b"0" * 5000 + b'"}', 413, "body: ")])
def test_bad_choice(state, body, status, said):
    with start(state) as d:
        refused(d.admin("PUT", IN_FORCE, {"If-Match": '"0"'}, data=body), status, said)
        assert in_force(d).json()["latest"] == 0


def test_one_of_another_network_is_refused(state):
    other = state.add("8", model="rgb", into="tiny")
    with start(state) as d:
        refused(put(d, other, '"0"'), 409, "another network")
        listed, = d.admin("GET", "/v1/models/tiny/calibrations").json()["calibrations"]
        assert not listed["usable"] and "another network" in listed["reason"]
        refused(d.classify(PNG, calibration=other), 400, "another network")
        assert in_force(d).json()["latest"] == 0 and used(d) is None


def test_a_damaged_one_is_refused(state):
    a = state.add("8")
    content = bytearray(state.artifact(a).read_bytes())
    content[-1] ^= 1
    state.artifact(a).write_bytes(content)
    with start(state) as d:
        refused(put(d, a, '"0"'), 409, "its bytes are not those its name says")
        assert in_force(d).json()["latest"] == 0


def test_a_request_may_name_one(state):
    a, b = state.add("8"), state.add("4")
    with start(state) as d:
        assert put(d, a, '"0"').status_code == 200
        assert used(d) == used(d, calibration=a) == used(d, calibration=a[:8]) == f"1-{a[:12]}"
        assert used(d, calibration=b) == used(d, calibration=b[:20]) == b[:12]
        assert used(d, calibration="none") is None
        for bad in "", "nothing", a[:7], a[:63] + "x", "f" * 64, "x" * 200, "../" + a:
            refused(d.classify(PNG, calibration=bad), 400, "calibration: ")
        r = d.classify_json({"images": [], "calibration": 7})
        refused(r, 400, "calibration: expected 'none' or an id")


def test_a_request_under_way_finishes_on_the_one_it_began_with(state):
    a, b = state.add("8"), state.add("4")
    with start(state) as d:
        assert put(d, a, '"0"').status_code == 200
        expected = d.classify(PNG, T=5, init="matched").json()
        head = (f"POST /v1/models/tiny/classify?T=5&init=matched HTTP/1.1\r\nHost: {d.address}\r\nConnection: close\r\n"
                f"Content-Type: image/png\r\nContent-Length: {len(PNG)}\r\n\r\n")
        with socket.create_connection((d.host, d.port), timeout=10) as s:
            s.sendall(head.encode() + PNG[:50])
            d.wait_in_flight(1)
            assert put(d, b, '"1"').status_code == 200
            now = d.classify(PNG, T=5, init="matched").json()
            s.sendall(PNG[50:])
            answer = json.loads(b"".join(iter(lambda: s.recv(65536), b"")).split(b"\r\n\r\n", 1)[1])
        assert (answer["calibration"], answer["table"]["timesteps"]) == (f"1-{a[:12]}", 8)
        assert answer["results"] == expected["results"]
        assert (now["calibration"], now["table"]["timesteps"]) == (f"2-{b[:12]}", 4)
        assert now["results"] != answer["results"]


def test_replicas_converge_and_a_bad_artifact_keeps_the_last_good_one(state):
    a, b = state.add("8"), state.add("4")
    with start(state, "token1") as one, start(state, "token2") as two:
        assert put(one, a, '"0"').status_code == 200
        wait_until(lambda: used(two) == f"1-{a[:12]}", 2)
        good = state.artifact(b).read_bytes()
        assert put(two, b, '"1"').status_code == 200
        wait_until(lambda: used(one) == f"2-{b[:12]}", 2)
        # Damage in the shared folder after a replica has it in memory changes nothing.
        state.artifact(b).write_bytes(good[:100])
        assert used(one) == used(two) == f"2-{b[:12]}"
        # A pointer to it is refused by everyone, said once, and nothing else happens.
        pointer = json.loads(state.pointer(2).read_text())
        state.pointer(3).write_text(json.dumps({**pointer, "generation": 3}))
        for d in one, two:
            assert "generation=3" in d.wait_log("calibration-refused")
            assert used(d) == f"2-{b[:12]}" and requests.get(d.url + "/readyz", timeout=10).status_code == 200
            body = in_force(d).json()
            assert (body["generation"], body["latest"]) == (2, 3) and in_force(d).headers["ETag"] == '"3"'
        time.sleep(2.5)
        assert sum("calibration-refused" in line for line in one.lines) == 1
        said = two.admin("GET", "/metrics").text
        assert 'spiked_calibration_generation{model="tiny"} 2' in said
        assert 'spiked_calibration_failures_total{model="tiny"} 1' in said
        assert float(re.search(r'spiked_calibration_lag_seconds{model="tiny"} (\S+)', said).group(1)) > 2
        # The next good one goes on from there.
        assert put(one, a, '"3"').json()["generation"] == 4
        wait_until(lambda: used(two) == f"4-{a[:12]}", 2)


def test_after_a_restart_the_highest_valid_generation_is_in_force(state):
    a = state.add("8")
    with start(state) as d:
        assert put(d, a, '"0"').status_code == 200
    state.pointer(2).write_text("not a pointer")
    state.pointer(3).write_text(json.dumps({**json.loads(state.pointer(1).read_text()), "generation": 3, "id": "f" * 64}))
    state.pointer(4).write_text(json.dumps({**json.loads(state.pointer(1).read_text()), "generation": 5}))
    (state.folder / "tiny/active/x").write_text("no number")
    (state.folder / "tiny/active/05").write_text("no number of ours")
    with start(state) as d:
        assert used(d) == f"1-{a[:12]}"
        assert sum("calibration-refused" in line for line in d.lines) == 3
        assert in_force(d).headers["ETag"] == '"4"'


def test_a_pointer_for_another_version_of_the_model_is_passed_over(state):
    a = state.add("8")
    with start(state) as d:
        assert put(d, a, '"0"').status_code == 200
        pointer = {**json.loads(state.pointer(1).read_text()), "generation": 2, "model_sha256": "0" * 64}
        state.pointer(2).write_text(json.dumps(pointer))
        time.sleep(1.5)
        assert used(d) == f"1-{a[:12]}" and not any("calibration-refused" in line for line in d.lines)


def test_old_ones_are_collected_but_never_those_still_named(state):
    ids = [state.add(str(t)) for t in range(1, 7)]
    for i, id in enumerate(ids):
        os.utime(state.artifact(id), (i, i))
    with start(state, flags=("--keep-calibrations", "2")) as d:
        def left():
            return {ids.index(p.name[:64]) for p in (state.folder / "tiny/artifacts").iterdir()}
        assert put(d, ids[0], '"0"').status_code == 200
        assert left() == {0, 5}, "the newest two are kept: what was just activated, and the youngest"
        assert put(d, ids[5], '"1"').status_code == 200
        assert left() == {0, 5}
        for generation, id in enumerate([ids[5], ids[5], ids[5]], 2):
            assert put(d, id, f'"{generation}"').status_code == 200
        assert left() == {0, 5} and {p.name for p in (state.folder / "tiny/active").iterdir()} == {"4", "5"}
        new = state.add("7")
        ids.append(new)
        assert put(d, new, '"5"').status_code == 200
        assert left() == {5, 6}


def test_an_unusable_state_folder_stops_nobody(models_folder, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with Daemon(models_folder, "--state", str(tmp_path / "file" / "state"), token_file=tmp_path / "token") as d:
        d.wait_log("state-unusable")
        assert requests.get(d.url + "/readyz", timeout=10).status_code == 200 and used(d) is None
        refused(put(d, None, '"0"'), 507, "state folder")
        assert tmp_path.name not in put(d, None, '"0"').text
