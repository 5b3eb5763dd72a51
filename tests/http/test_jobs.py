"""Calibration jobs over HTTP: uploads of every form, what is refused, progress, cancelling, idempotency, interruption."""
import gzip
import io
import json
import os
import pathlib
import signal
import subprocess
import tarfile
import time

import numpy as np
import pytest
import requests

import models as make
from conftest import Daemon
from test_calibrations import SNN, in_force, put, refused, wait_until

COLLECTION = "/v1/models/tiny/calibrations"
LABELS = ["a", "b", "c"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, content in {"tiny": make.network(1, 8, 6, 3, labels=LABELS),
                          "plain": make.network(1, 8, 6, 3),
                          "slow": make.network(3, 32, 96, 10, depth=3, seed=3)}.items():
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_bytes(content)
    return folder


def start(models, folder, *flags, name="token", nice=0, **more):
    folder.mkdir(exist_ok=True)
    return Daemon(models, "--state", str(folder / "state"), "--job-nice", str(nice), *flags, token_file=folder / name, **more)


@pytest.fixture(scope="module")
def shared_state(tmp_path_factory):
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def server(models, shared_state):
    with start(models, shared_state) as d:
        yield d


def images(n=12, labelled=True, channels=1, size=8):
    return [("image", (f"{LABELS[i % 3]}/{i}.png" if labelled else f"{i}.png", make.picture(i, size, channels)))
            for i in range(n)]


def tar(entries, mode="w", **extra):
    """Entries are (name, bytes) or TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, **extra) as t:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                t.addfile(entry)
            else:
                info = tarfile.TarInfo(entry[0])
                info.size = len(entry[1])
                t.addfile(info, io.BytesIO(entry[1]))
    return out.getvalue()


def post(d, parts, options=None, model="tiny", headers=None):
    parts = list(parts)
    if options is not None:
        parts.append(("options", (None, options if isinstance(options, str) else json.dumps(options))))
    return d.admin("POST", f"/v1/models/{model}/calibrations", headers, files=parts)


def job(d, r):
    assert r.status_code == 202, r.text
    return d.admin("GET", r.headers["Location"])


def wait(d, r, seconds=180):
    """The job's end."""
    end = time.monotonic() + seconds
    while True:
        answer = job(d, r).json()
        if answer["state"] not in ("queued", "running"):
            return answer
        assert time.monotonic() < end, answer
        time.sleep(0.02)


def spool_is_empty(folder, model="tiny"):
    return not list((folder / "state" / model / "spool").iterdir())


def held_spools(d):
    """Spools have no names: descriptors of the daemon on files that are nowhere."""
    names = []
    for fd in pathlib.Path(f"/proc/{d.process.pid}/fd").iterdir():
        try:
            names.append(os.readlink(fd))
        except FileNotFoundError:
            pass
    return [name for name in names if "/spool/" in name]


def test_a_job_from_upload_to_activation(models, tmp_path):
    with start(models, tmp_path) as d:
        r = post(d, images(30), {"timesteps": [4, 8], "min_gain": -100})
        assert r.status_code == 202 and r.headers["Location"] == "/v1/jobs/tiny-1"
        body = r.json()
        assert body["id"] == "tiny-1" and body["state"] == "queued" and body["result"] is None
        assert body["options"] == {"method": "matched", "timesteps": [4, 8], "neuron": "if", "granularity": "channel",
                                   "fit_thresholds": True, "holdout": 0.2, "activate": True, "min_gain": -100}
        done = wait(d, r)
        assert done["state"] == "succeeded" and done["error"] is None, done
        assert done["progress"] == {"phase": "succeeded", "done": 1000, "total": 1000}
        result = done["result"]
        assert result["pictures"] == {"received": 30, "calibrated_with": 24, "held_out": 6, "undecodable": 0,
                                      "labelled": True, "skipped": []}
        assert [row["timesteps"] for row in result["timesteps"]] == [4, 8]
        for row in result["timesteps"]:
            assert row["before"]["init"] == "half" and row["before"]["calibration"] is None
            assert row["before"]["table"] is None
            assert row["after"]["init"] == "matched" and row["after"]["calibration"] == result["calibration"]
            assert row["after"]["table"] == {"source": "calibration", "timesteps": row["timesteps"]}
            for side in row["before"], row["after"]:
                assert 0 <= side["agreement"] <= 100 and 0 <= side["accuracy"] <= 100
            low, high = row["gain"]["interval_95"]
            assert row["gain"]["measure"] == "accuracy" and low <= row["gain"]["points"] <= high
            assert row["gain"]["points"] == pytest.approx(row["after"]["accuracy"] - row["before"]["accuracy"], abs=1e-3)
            layer, = row["layers"]
            assert layer["name"] == "conv1"
            assert layer["before"]["potential"] == {"min": 0.5, "mean": 0.5, "max": 0.5}
            assert layer["after"]["potential"]["min"] < layer["after"]["potential"]["max"]
            assert layer["before"]["error"] > 0 and np.isfinite(layer["after"]["residual"])
        assert result["gain"] in [row["gain"] for row in result["timesteps"]]
        assert result["gain"]["points"] == min(row["gain"]["points"] for row in result["timesteps"])
        assert result["activated"] is True and result["generation"] == 1 and result["reason"] is None
        now = in_force(d).json()
        assert now["id"] == result["calibration"] and now["by"] == "job tiny-1"
        one = d.admin("GET", f"{COLLECTION}/{now['id']}").json()
        assert one["made"]["job"] == "tiny-1" and one["made"]["gain"] == result["gain"]
        assert one["made"]["options"]["timesteps"] == [4, 8]
        assert spool_is_empty(tmp_path)
        # A request at a T it was made for starts from it unless it says otherwise; at another T nothing changes.
        answer = d.classify(make.picture(1), T=8).json()
        # It was judged as it is run now.
        judged, = [row["after"] for row in result["timesteps"] if row["timesteps"] == 8]
        assert all(answer[name] == judged[name] for name in ("init", "table", "precision"))
        judged, = [row["before"] for row in result["timesteps"] if row["timesteps"] == 8]
        without = d.classify(make.picture(1), T=8, calibration="none").json()
        assert all(without.get(name) == judged[name] for name in ("init", "table", "precision"))
        assert (answer["init"], answer["calibration"]) == ("matched", f"1-{now['id'][:12]}")
        assert d.classify(make.picture(1), T=8, init="half").json()["init"] == "half"
        assert d.classify(make.picture(1), T=9).json()["init"] == "half"
        assert d.classify(make.picture(1), T=8, calibration="none").json()["init"] == "half"
        assert d.classify(make.picture(1), T=9, init="matched").json()["init"] == "matched"
        assert answer["results"][0]["scores"] != d.classify(make.picture(1), T=8, init="half").json()["results"][0]["scores"]
        # What comes next is measured against it.
        again = wait(d, post(d, images(30), {"timesteps": [8]}))["result"]
        assert again["timesteps"][0]["before"] == {**again["timesteps"][0]["before"], "init": "matched",
                                                   "calibration": f"1-{now['id'][:12]}"}


def test_the_result_does_not_depend_on_the_number_of_threads(models, tmp_path):
    ids = set()
    for threads in "1", "3":
        with start(models, tmp_path / threads, "--job-threads", threads) as d:
            r = wait(d, post(d, images(30), {"timesteps": [4], "activate": False}))["result"]
            ids.add(json.dumps({**r, "calibration": None, "timesteps": [
                {**row, "after": {**row["after"], "calibration": None}} for row in r["timesteps"]]}))
    assert len(ids) == 1


def embedded(folder, model, timesteps, *flags):
    """Tables put into the model file, which then recommends them."""
    pictures = folder / "for-tables"
    pictures.mkdir()
    for i in range(24):
        (pictures / f"{i}.png").write_bytes(make.picture(i))
    subprocess.run([SNN, "calibrate", str(folder / model / "model.safetensors"), "--data", str(pictures), "-T", timesteps,
                    "--embed", *flags], check=True, capture_output=True)


@pytest.mark.parametrize("own,made", [("--fit-thresholds", False), ("--fit-thresholds", True), ("", False), ("", True)],
                         ids=["fitted-plain", "fitted-fitted", "plain-plain", "plain-fitted"])
def test_judged_as_served_beside_tables_of_the_models_own(tmp_path, own, made):
    """Whatever the model's tables and the new ones have: what a job says of before and after is what requests get."""
    (tmp_path / "models/tiny").mkdir(parents=True)
    (tmp_path / "models/tiny/model.safetensors").write_bytes(make.network(1, 8, 6, 3, labels=LABELS))
    embedded(tmp_path / "models", "tiny", "8,16", *([own] if own else []))
    fields = ("init", "table", "precision")
    with start(tmp_path / "models", tmp_path / "here") as d:
        before = {T: d.classify(make.picture(1), T=T).json() for T in (8, 9, 16, 32)}
        assert before[8]["init"] == "matched" and before[32]["table"] == {"source": "model", "timesteps": 16}
        done = wait(d, post(d, images(30), {"timesteps": [8], "min_gain": -100, "fit_thresholds": made}))
        row, = done["result"]["timesteps"]
        assert done["options"]["fit_thresholds"] is made and done["result"]["activated"], done
        after = {T: d.classify(make.picture(1), T=T).json() for T in before}
        assert {f: row["before"][f] for f in fields} == {f: before[8][f] for f in fields}
        assert {f: row["after"][f] for f in fields} == {f: after[8][f] for f in fields}
        assert after[8]["table"] == {"source": "calibration", "timesteps": 8} == after[9]["table"]
        # Where the model has the nearer table nothing changed.
        for T in 16, 32:
            assert after[T]["table"] == before[T]["table"] == {"source": "model", "timesteps": 16}
            assert after[T]["results"] == before[T]["results"] and after[T]["precision"] == before[T]["precision"]


def test_an_interval_is_never_certain(server):
    """No difference among a few pictures is no proof that there is none."""
    r = wait(server, post(server, images(20), {"timesteps": [64], "activate": False}))["result"]
    low, high = r["gain"]["interval_95"]
    assert low < r["gain"]["points"] < high and high - low > 10


def test_not_activated_below_min_gain_or_when_not_wanted(server):
    latest = in_force(server).json()["latest"]
    r = wait(server, post(server, images(), {"timesteps": [8], "min_gain": 100}))["result"]
    assert r["activated"] is False and "min_gain is 100" in r["reason"] and "T = 8" in r["reason"]
    r = wait(server, post(server, images(), {"timesteps": [8], "activate": False}))["result"]
    assert r["activated"] is False and r["reason"] == "activate is false"
    r = wait(server, post(server, images(), {"timesteps": [8], "activate": False, "holdout": 0}))["result"]
    assert r["activated"] is False and r["timesteps"] == [] and r["gain"] is None
    assert r["pictures"]["calibrated_with"] == 12
    assert in_force(server).json()["latest"] == latest
    assert r["calibration"] in {c["id"] for c in server.admin("GET", COLLECTION).json()["calibrations"]}


@pytest.mark.parametrize("method", ["weights", "data", "compensated", "matched"])
@pytest.mark.parametrize("granularity", ["layer", "channel", "neuron"])
def test_methods_and_granularities(server, method, granularity):
    done = wait(server, post(server, images(), {"timesteps": [4], "method": method, "granularity": granularity,
                                                "activate": False}))
    assert done["state"] == "succeeded", done["error"]
    assert done["result"]["timesteps"][0]["after"]["init"] == method


def test_a_leaking_neuron(server):
    done = wait(server, post(server, images(), {"timesteps": [4], "method": "data", "neuron": "lif", "tau": 0.5,
                                                "activate": False}))
    assert done["state"] == "succeeded" and done["options"]["tau"] == 0.5


def test_without_labels_agreement_is_the_measure(server):
    result = wait(server, post(server, images(labelled=False), {"timesteps": [8], "activate": False}))["result"]
    assert result["gain"]["measure"] == "agreement" and "float_accuracy" not in result
    assert "accuracy" not in result["timesteps"][0]["before"]


def entries(n=12, root=""):
    return [(f"{root}{LABELS[i % 3]}/{i}.png", make.picture(i)) for i in range(n)]


@pytest.mark.parametrize("archive", [
    tar(entries()), tar(entries(root="./")), tar(entries(root="some/folder/")), gzip.compress(tar(entries())),
    tar(entries(), format=tarfile.PAX_FORMAT), tar(entries(), format=tarfile.USTAR_FORMAT),
    tar([("README.txt", b"no picture"), ("a/._0.png", b"left by a copying program"), *entries()]),
], ids=["tar", "dots", "deep", "gzip", "pax", "ustar", "others"])
def test_an_archive_is_what_images_are(server, archive):
    options = {"timesteps": [4], "activate": False}
    plain = wait(server, post(server, images(), options))["result"]
    packed = wait(server, post(server, [("archive", ("pictures.tar", archive))], options))["result"]
    assert packed["pictures"] == plain["pictures"]
    assert packed["timesteps"][0]["before"] == plain["timesteps"][0]["before"]
    assert packed["timesteps"][0]["layers"] == plain["timesteps"][0]["layers"]


@pytest.mark.parametrize("csv", [
    "".join(f"{i}.png,{LABELS[i % 3]}\n" for i in range(12)),
    "file,label\r\n" + "".join(f"{i}.png,{LABELS[i % 3]}\r\n" for i in range(12)),
    "\n\n" + "\n".join(f'"{i}.png","{LABELS[i % 3]}"' for i in range(12)),
    "\n".join(f"./{i}.png,{i % 3}" for i in range(12)),
    "\ufefffile,label\n" + "".join(f"{i}.png,{LABELS[i % 3]}\n" for i in range(12)),
], ids=["plain", "header", "quoted", "numbers", "byte-order-mark"])
def test_labels_from_a_csv(server, csv):
    options = {"timesteps": [4], "activate": False}
    folders = wait(server, post(server, images(), options))["result"]
    listed = wait(server, post(server, [*images(labelled=False), ("labels", ("labels.csv", csv))], options))["result"]
    assert listed["timesteps"][0]["before"] == folders["timesteps"][0]["before"] and listed["pictures"]["labelled"]


def test_numbers_as_folders_where_the_model_has_no_labels(server):
    parts = [("image", (f"{i % 3}/{i}.png", make.picture(i))) for i in range(12)]
    assert wait(server, post(server, parts, {"timesteps": [4], "activate": False}, "plain"))["result"]["pictures"]["labelled"]
    refused(post(server, [("image", ("3/0.png", make.picture(0)))], None, "plain"), 400, "'3/0.png' lies in a folder")


def link(name, kind, target="a/0.png"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("archive,said", [
    (tar([*entries(), link("a/x.png", tarfile.SYMTYPE)]), "no links"),
    (tar([*entries(), link("a/x.png", tarfile.LNKTYPE)]), "no links"),
    (tar([*entries(), link("a/x", tarfile.FIFOTYPE)]), "only folders and plain files"),
    (tar([*entries(), link("a/x", tarfile.CHRTYPE)]), "only folders and plain files"),
    (tar([*entries(), ("/etc/x.png", make.picture(1))]), "only relative paths"),
    (tar([*entries(), ("../a/x.png", make.picture(1))]), "only relative paths"),
    (tar([*entries(), ("a/../../x.png", make.picture(1))]), "only relative paths"),
    (tar([*entries(), ("a/..", b"")]), "only relative paths"),
    (tar(entries())[:700], "no tar, or a damaged one"),
    (gzip.compress(tar(entries()))[:-100], "no tar, or a damaged one"),
    (b"PK\x03\x04" + bytes(2000), "no tar, or a damaged one"),
    (tar([("z/0.png", make.picture(1))]), "no class of this model"),
    (tar([("README", b"hello")]), "images: expected pictures, got none"),
    (tar([]), "images: expected pictures, got none"),
    (b"", "archive: no tar"),
], ids=["symlink", "hardlink", "fifo", "device", "absolute", "dotdot", "dotdot-inside", "dotdot-end", "truncated",
        "truncated-gzip", "zip", "unknown-class", "no-pictures", "no-entries", "no-bytes"])
def test_bad_archives_are_refused_whole(server, shared_state, archive, said):
    refused(post(server, [("archive", ("x.tar", archive))]), 400, said)
    assert spool_is_empty(shared_state)


@pytest.mark.parametrize("options,said", [
    ({"method": "magic"}, "method: "), ({"method": "half"}, "method: "), ({"method": 7}, "method: "),
    ({"timesteps": [0]}, "timesteps: "), ({"timesteps": [4097]}, "timesteps: "), ({"timesteps": []}, "timesteps: "),
    ({"timesteps": 8}, "timesteps: "), ({"timesteps": [8, 8]}, "timesteps: 8 is listed twice"),
    ({"timesteps": [8.5]}, "timesteps: "), ({"timesteps": ["8"]}, "timesteps: "),
    ({"timesteps": list(range(1, 18))}, "timesteps: "),
    ({"neuron": "none"}, "neuron: "), ({"granularity": "pixel"}, "granularity: "), ({"tau": 0}, "tau: "),
    ({"tau": 1.5}, "tau: "), ({"holdout": 1}, "holdout: "), ({"holdout": -0.1}, "holdout: "),
    ({"holdout": 0}, "holdout: "), ({"holdout": "0.2"}, "holdout: "), ({"min_gain": "x"}, "min_gain: "),
    ({"min_gain": 101}, "min_gain: "), ({"fit_thresholds": 1}, "fit_thresholds: "),
    ({"method": "data", "fit_thresholds": True}, "fit_thresholds: "), ({"activate": 1}, "activate: "), ({"T": [8]}, "T: unknown option"),
    ({"method": "matched", "neuron": "lif"}, "method: "), ({"method": "data", "neuron": "asg"}, "method: "),
    ("{", "options: not JSON"), ("[]", "options: expected a JSON object"), ("", "options: not JSON"),
    ('{"holdout": 0.2, "holdout": 0.3}', "options: not JSON"), ("[" * 50, "options: JSON too deep"),
    ('{"holdout": NaN}', "options: not JSON"), ('{"holdout": 1e999}', "options: not JSON"),
])
def test_bad_options(server, options, said):
    refused(post(server, images(3), options), 400, said)


@pytest.mark.parametrize("parts,status,said", [
    ([("options", (None, "{}"))], 400, "images: expected pictures, got none"),
    ([("picture", ("a/0.png", b""))], 400, "picture: unknown part"),
    ([("image", ("../0.png", b""))], 400, "no file name"), ([("image", ("/0.png", b""))], 400, "no file name"),
    ([("image", ("a/../0.png", b""))], 400, "no file name"), ([("image", ("a/" + "x" * 300, b""))], 400, "no file name"),
    ([("image", ("d/0.png", b""))], 400, "no class of this model"),
    ([("image", ("a/0.png", b"")), ("archive", ("x.tar", b""))], 400, "archive: beside images"),
    ([("archive", ("x.tar", b"")), ("image", ("a/0.png", b""))], 400, "image: beside an archive"),
    ([("archive", ("x.tar", b"")), ("archive", ("x.tar", b""))], 400, "archive: part given twice"),
    ([("options", (None, "{}")), ("options", (None, "{}"))], 400, "options: part given twice"),
    ([("options", (None, " " * 20000))], 413, "options: at most 16384 bytes"),
    ([("image", ("0.png", b"")), ("labels", ("l", "1.png,a"))], 400, "labels: line 1: there is no picture '1.png'"),
    ([("image", ("0.png", b"")), ("labels", ("l", "file,label\n0.png,d"))], 400, "labels: line 2: expected a label"),
    ([("image", ("0.png", b"")), ("labels", ("l", "0.png,3"))], 400, "or a number below 3, got '3'"),
    ([("image", ("0.png", b"")), ("labels", ("l", "0.png,a\n0.png,a"))], 400, "labelled twice"),
    ([("image", ("0.png", b"")), ("image", ("0.png", b"")), ("labels", ("l", "0.png,a"))], 400, "several pictures"),
    ([("image", ("0.png", b"")), ("labels", ("l", "0.png"))], 400, "labels: line 1: expected file,label"),
    ([("image", ("0.png", b"")), ("labels", ("l", "0.png,a,b"))], 400, "labels: line 1: expected file,label"),
    ([("image", ("0.png", b"")), ("labels", ("l", '"0.png,a'))], 400, "a quote is not closed"),
    ([("image", ("0.png", b"")), ("labels", ("l", "x" * 600 + ",a"))], 400, "longer than any name"),
])
def test_bad_parts(server, shared_state, parts, status, said):
    refused(post(server, parts), status, said)
    assert spool_is_empty(shared_state)


def test_bad_requests(server):
    url = COLLECTION
    refused(server.admin("POST", url, {"Content-Type": "application/json"}, data="{}"), 415, "Content-Type: ")
    refused(server.admin("POST", url), 415, "Content-Type: ")
    refused(server.admin("POST", url, {"Content-Type": "multipart/form-data"}, data="x"), 400, "malformed multipart")
    refused(post(server, images(1), None, "nobody"), 404)
    for key in "", "x" * 129, "two words":
        refused(post(server, images(1), None, headers={"Idempotency-Key": key}), 400, "Idempotency-Key: ")
    for id in "tiny-9999", "tiny", "tiny-", "-1", "nobody-1", "tiny-01", "..%2Ftiny-1", "x" * 200:
        refused(server.admin("GET", f"/v1/jobs/{id}"), 404)
        refused(server.admin("DELETE", f"/v1/jobs/{id}"), 404)


def test_undecodable_pictures_are_named_and_skipped_up_to_one_in_twenty(server):
    broken = ("image", ("a/broken.png", b"no picture"))
    options = {"timesteps": [4], "activate": False}
    done = wait(server, post(server, [*images(19), broken], options))
    assert done["result"]["pictures"]["undecodable"] == 1
    assert done["result"]["pictures"]["skipped"][0]["name"] == "a/broken.png"
    assert done["result"]["pictures"]["skipped"][0]["reason"]
    done = wait(server, post(server, [*images(18), broken], options))
    assert done["state"] == "failed" and done["result"] is None
    assert "more than 5 % of 19 pictures" in done["error"] and "a/broken.png" in done["error"]
    done = wait(server, post(server, [broken], options))
    assert done["state"] == "failed" and "a/broken.png" in done["error"]
    done = wait(server, post(server, images(1), options))
    assert done["state"] == "failed" and "too few pictures" in done["error"]


def test_limits_of_size(models, tmp_path):
    with start(models, tmp_path, "--max-upload", "65536", "--job-bytes", "1048576") as d:
        refused(post(d, [("image", ("a/0.png", bytes(70000)))]), 413, "body: at most 65536 bytes")
        many = ("\r\n".join(f'--b\r\nContent-Disposition: form-data; name="image"; filename="a/{i}.png"\r\n\r\n'
                            for i in range(2000)) + "--b--\r\n").encode()
        def chunks():
            for i in range(0, len(many), 8192):
                yield many[i:i + 8192]
        try:
            r = d.admin("POST", COLLECTION, {"Content-Type": "multipart/form-data; boundary=b"}, data=chunks())
            refused(r, 413, "body: at most 65536 bytes")
        except requests.ConnectionError:
            pass  # libmicrohttpd closes while requests still sends
        bomb = gzip.compress(tar([("a/0.png", bytes(1 << 20))]))
        refused(post(d, [("archive", ("x.tgz", bomb))]), 413, "archive: unpacked it is over the limit")
        refused(post(d, [("image", ("0.png", b""))] * 400), 413, "images: at most ")
        assert spool_is_empty(tmp_path)
        assert requests.get(d.url + "/readyz", timeout=10).status_code == 200


def test_unauthorised_uploads_are_not_read(server):
    r = requests.post(f"http://{server.admin_address}{COLLECTION}", files=[("image", ("a", bytes(1 << 20)))], timeout=10)
    assert r.status_code == 401 and r.headers["Connection"] == "close"


SLOW = {"timesteps": [256], "activate": False}


def slow_upload(d, options=SLOW, **more):
    return post(d, images(24, labelled=False, channels=3, size=32), options, "slow", **more)


def test_progress_moves_one_at_a_time_and_cancelling_is_quick(models, tmp_path):
    with start(models, tmp_path) as one, start(models, tmp_path, name="token2") as two:
        r = slow_upload(one)
        wait_until(lambda: job(one, r).json()["progress"]["phase"] == "calibrating", 30)
        assert len(held_spools(one)) == 1, "the upload lies in the state folder while the job runs"
        first = job(one, r).json()["progress"]["done"]
        wait_until(lambda: job(one, r).json()["progress"]["done"] > first, 60)
        assert job(one, r).headers["Retry-After"] == "1"
        for d in one, two:
            refused(slow_upload(d), 409, "job slow-1 of this model is")
        assert post(one, images(), {"timesteps": [4]}).status_code == 202, "another model's job waits its turn"
        assert job(two, r).json()["state"] == "running", "readable through any replica"
        assert one.admin("DELETE", r.headers["Location"]).status_code in (200, 202)
        done = wait(one, r)
        wait_until(lambda: not any("/slow/" in name for name in held_spools(one)), 1)
        assert done["state"] == "cancelled" and done["result"] is None, "within what wait() allows; alone it would take minutes"
        wait_until(lambda: job(two, r).json()["state"] == "cancelled", 2)
        assert one.admin("DELETE", r.headers["Location"]).json()["state"] == "cancelled"
        # Cancelled through the other replica, while it runs and while it waits.
        r = slow_upload(one)
        assert r.headers["Location"] == "/v1/jobs/slow-2"
        wait_until(lambda: job(one, r).json()["state"] == "running", 60)
        waiting = post(one, images(), {"timesteps": [4]})
        assert two.admin("DELETE", waiting.headers["Location"]).status_code == 202
        assert wait(one, waiting)["state"] == "cancelled"
        assert two.admin("DELETE", r.headers["Location"]).status_code == 202
        assert wait(one, r)["state"] == "cancelled"
        assert not [p for p in (tmp_path / "state").rglob("*.cancel")] and spool_is_empty(tmp_path, "slow")


def test_idempotency_key(models, tmp_path):
    with start(models, tmp_path) as one, start(models, tmp_path, name="token2") as two:
        key = {"Idempotency-Key": "the-first"}
        options = {"timesteps": [4], "activate": False}
        r = post(one, images(), options, headers=key)
        for d in one, two:
            again = post(d, images(), options, headers=key)
            assert again.status_code == 202 and again.headers["Location"] == r.headers["Location"]
        wait(one, r)
        assert post(two, images(), options, headers=key).json()["state"] == "succeeded"
        refused(post(one, images(13), options, headers=key), 422, "Idempotency-Key: another request")
        refused(post(two, images(), {"timesteps": [8]}, headers=key), 422)
        other = post(one, images(), options, headers={"Idempotency-Key": "the-second"})
        assert other.headers["Location"] != r.headers["Location"]
        wait(one, other)


def test_an_interrupted_job_is_failed_after_the_restart(models, tmp_path):
    d = start(models, tmp_path)
    r = slow_upload(d)
    wait_until(lambda: job(d, r).json()["state"] == "running", 30)
    d.signal(signal.SIGKILL)
    d.wait_exit()
    with start(models, tmp_path) as d:
        done = job(d, r).json()
        assert done["state"] == "failed" and "interrupted" in done["error"]
        assert spool_is_empty(tmp_path, "slow")
        r = slow_upload(d)
        assert r.headers["Location"] == "/v1/jobs/slow-2"
        wait_until(lambda: job(d, r).json()["state"] == "running", 30)
    with start(models, tmp_path) as d:
        done = job(d, r).json()
        assert done["state"] == "failed" and "interrupted" in done["error"], "so is one that was stopped with SIGTERM"


def test_one_replicas_restart_does_not_fail_anothers_job(models, tmp_path):
    with start(models, tmp_path) as one:
        r = slow_upload(one)
        wait_until(lambda: job(one, r).json()["state"] == "running", 30)
        for _ in range(2):
            with start(models, tmp_path, name="token2") as two:
                assert job(two, r).json()["state"] == "running"
                time.sleep(1.2)
        assert job(one, r).json()["state"] == "running"
        one.admin("DELETE", r.headers["Location"])
        wait(one, r)


def test_the_lease_of_an_owner_elsewhere(models, tmp_path):
    """Its process cannot be looked at: after ten silent seconds it counts as gone."""
    with start(models, tmp_path) as d:
        r = post(d, images(), {"timesteps": [4], "activate": False})
        wait(d, r)
        file = tmp_path / "state/tiny/jobs/1"
        record = json.loads(file.read_text())
        record.update(state="running", owner="another-machine/1/2", result=None)
        file.write_text(json.dumps(record))
        assert job(d, r).json()["state"] == "running"
        refused(post(d, images(), {"timesteps": [4]}), 409)
        wait_until(lambda: job(d, r).json()["state"] == "failed", 20)
        assert "interrupted" in job(d, r).json()["error"]


def test_a_full_disk_fails_the_job_with_the_reason(models, tmp_path):
    import resource
    with start(models, tmp_path) as d:
        id = wait(d, post(d, images(), {"timesteps": [4], "min_gain": -100}))["result"]["calibration"]
        assert in_force(d).json()["id"] == id
        size = (tmp_path / f"state/tiny/artifacts/{id}.safetensors").stat().st_size
        # Files may be no larger than this from now on: job files fit, an upload fits, an artifact a neuron does not.
        limit = 16384
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        assert size < limit
        done = wait(d, post(d, images(), {"timesteps": list(range(1, 17)), "granularity": "neuron", "min_gain": -100}))
        assert done["state"] == "failed" and done["error"] == "state: cannot write: File too large", done["error"]
        refused(post(d, [*images(), ("image", ("a/big.png", bytes(40000)))]), 507, "File too large")
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        refused(post(d, images(), {"timesteps": [4]}), 507, "File too large")
        refused(put(d, None, in_force(d).headers["ETag"]), 507)
        assert in_force(d).json()["id"] == id and d.classify(make.picture(1)).json()["calibration"] == f"1-{id[:12]}"
        resource.prlimit(d.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert wait(d, post(d, images(), {"timesteps": [4]}))["state"] == "succeeded"
        assert not [p for p in (tmp_path / "state").rglob(".new-*")]


def test_old_job_files_are_removed(models, tmp_path):
    with start(models, tmp_path) as d:
        wait(d, post(d, images(), {"timesteps": [4], "activate": False}))
        folder = tmp_path / "state/tiny/jobs"
        record = json.loads((folder / "1").read_text())
        for n in range(2, 60):
            (folder / str(n)).write_text(json.dumps({**record, "number": n}))
        r = post(d, images(), {"timesteps": [4], "activate": False})
        assert r.headers["Location"] == "/v1/jobs/tiny-60"
        wait(d, r)
        assert sorted(int(p.name) for p in folder.iterdir()) == list(range(29, 61))
