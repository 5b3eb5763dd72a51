"""Models come, change and go while the daemon serves: SIGHUP makes it follow its folder."""
import concurrent.futures
import os
import signal
import time

import pytest
import requests

import models as make
from conftest import Daemon
from test_classify import check_problem


@pytest.fixture
def folder(tmp_path):
    for name, content in {"one": make.network(1, 8, 6, 3, seed=1), "two": make.network(1, 8, 6, 3, seed=2),
                          "slow": make.network(3, 32, 64, 10, depth=3, seed=3)}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)
    return tmp_path


def replace(folder, name, content):
    """As deployments do: a new file takes the old one's name."""
    (folder / name).mkdir(exist_ok=True)
    temporary = folder / name / ".new"
    temporary.write_bytes(content)
    os.replace(temporary, folder / name / "model.safetensors")


def reload(d):
    before = sum(" reloaded " in line for line in d.lines)
    d.signal(signal.SIGHUP)
    end = time.monotonic() + 20
    while sum(" reloaded " in line for line in d.lines) == before:
        assert time.monotonic() < end, "\n".join(d.lines)
        time.sleep(0.005)
    return [line for line in d.lines if " reloaded " in line][-1].split(" reloaded ")[1]


def version(d, model):
    return requests.get(f"{d.url}/v1/models/{model}", timeout=10).json().get("model_version")


def test_sighup_follows_the_folder(folder):
    png = make.picture(1)
    with Daemon(folder) as d:
        assert reload(d) == "loaded=0 refused=0 removed=0"  # nothing changed, nothing is read again
        scores, old = d.classify(png, "one").json()["results"][0]["scores"], version(d, "one")
        replace(folder, "one", make.network(1, 8, 6, 3, seed=9))
        replace(folder, "three", make.network(1, 8, 6, 5, seed=4))
        (folder / "two" / "model.safetensors").unlink()
        assert reload(d) == "loaded=2 refused=0 removed=1"
        assert version(d, "one") != old
        assert d.classify(png, "one").json()["results"][0]["scores"] != scores
        assert len(d.classify(png, "three").json()["results"][0]["scores"]) == 5
        check_problem(d.classify(png, "two"), 404)
        replace(folder, "two", make.network(1, 8, 6, 3, seed=2))
        assert reload(d) == "loaded=1 refused=0 removed=0" and d.classify(png, "two").status_code == 200


@pytest.mark.parametrize("content", [b"", b"nothing", make.network(1, 8, 6, 3, seed=9)[:-100]])
def test_a_bad_file_leaves_the_old_one_serving(folder, content):
    with Daemon(folder) as d:
        old = version(d, "one")
        replace(folder, "one", content)
        assert reload(d) == "loaded=0 refused=1 removed=0"
        assert "model=one status=format" in d.wait_log("model-refused")
        assert version(d, "one") == old and d.classify(make.picture(1), "one").status_code == 200
        replace(folder, "one", make.network(1, 8, 6, 3, seed=9))
        assert reload(d) == "loaded=1 refused=0 removed=0" and version(d, "one") != old


def test_a_file_overwritten_in_place_harms_nobody(folder):
    with Daemon(folder) as d:
        scores = d.classify(make.picture(1), "one").json()["results"]
        with open(folder / "one" / "model.safetensors", "r+b") as f:
            f.truncate(10)
        assert d.classify(make.picture(1), "one").json()["results"] == scores


def test_requests_under_way_finish_on_the_model_they_began_with(folder):
    with Daemon(folder) as d, concurrent.futures.ThreadPoolExecutor(3) as pool:
        old, t = version(d, "slow"), d.slow_timesteps(0.7)
        running = [pool.submit(d.classify, make.picture(1, 32, 3), "slow", T=t) for _ in range(3)]
        d.wait_in_flight(3)
        replace(folder, "slow", make.network(3, 32, 64, 10, depth=3, seed=5))
        assert reload(d) == "loaded=1 refused=0 removed=0"
        answers = [f.result() for f in running]
        assert [r.status_code for r in answers] == [200] * 3 and {r.json()["model_version"] for r in answers} == {old}
        assert version(d, "slow") != old


def test_reloading_under_load_fails_no_request(folder):
    with Daemon(folder) as d, concurrent.futures.ThreadPoolExecutor(2) as pool:
        files = [make.network(1, 8, 6, 3, seed=s) for s in (1, 9)]
        over = time.monotonic() + 1.5

        def ask(_):
            codes = set()
            with requests.Session() as session:
                while time.monotonic() < over:
                    codes.add(session.post(d.url + "/v1/models/one/classify?T=4", data=make.picture(1), timeout=10,
                                           headers={"Content-Type": "image/png"}).status_code)
            return codes

        asked = [pool.submit(ask, i) for i in range(2)]
        for i in range(8):
            replace(folder, "one", files[(i + 1) % 2])
            reload(d)
        assert [f.result() for f in asked] == [{200}] * 2


def test_sigterm_while_loading_is_a_clean_end(folder):
    for i in range(40):
        replace(folder, f"m{i}", make.network(3, 32, 64, 10, depth=3, seed=3))
    with Daemon(folder, wait="model-loaded") as d:
        d.signal()
        assert d.wait_exit() == 0
        assert not any(" ready " in line for line in d.lines) and any(" stopped" in line for line in d.lines)
