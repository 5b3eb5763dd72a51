"""Kills at random moments of calibrating and activating, and replicas racing: after every one the old state or the new one
whole. CRASHES and RACES say how many (make fault: 1,000 and 200), START_S within how many seconds the daemon must serve
again (make fault: 1; a machine that is busy with other tests may take longer), SEED chooses the moments."""
import os
import random
import signal
import threading
import time

import pytest
import requests

import models as make
from test_calibrations import State, in_force, put, start, used
from test_jobs import images, post

CRASHES, RACES = int(os.environ.get("CRASHES", "12")), int(os.environ.get("RACES", "12"))
START_S = float(os.environ.get("START_S", "30"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny").mkdir()
    (folder / "tiny/model.safetensors").write_bytes(make.network(1, 8, 6, 3, labels=["a", "b", "c"]))
    return folder


def quietly(action):
    try:
        action()
    except requests.RequestException:
        pass  # killed in the middle


def test_kills_leave_the_old_or_the_new_state_whole(models, tmp_path):
    state = State(tmp_path / "state", models)
    ids = [state.add(t) for t in ("4", "8")]
    chance = random.Random(int(os.environ.get("SEED", "1")))
    latest, possible, slowest = 0, {None}, 0.0
    for crash in range(CRASHES + 1):
        begun = time.monotonic()
        d = start(state, flags=("--job-nice", "0"))
        assert d.classify(make.picture(1)).status_code == 200
        slowest = max(slowest, time.monotonic() - begun)
        assert slowest < START_S, f"it served only after {slowest:.2f} s"
        now = in_force(d).json()
        assert now["generation"] == now["latest"] and latest <= now["latest"] <= latest + 1, now
        assert now["latest"] == latest or now["id"] is None or len(now["id"]) == 64
        assert now["latest"] != latest or now["id"] in possible, now
        assert used(d) == (now["name"] or None)
        listed = d.admin("GET", "/v1/models/tiny/calibrations").json()["calibrations"]
        assert all(c["usable"] for c in listed), listed
        jobs = state.folder / "tiny/jobs"
        for number in sorted((int(p.name) for p in jobs.glob("[0-9]*") if p.name.isdigit()), reverse=True)[:2] if jobs.exists() else []:
            assert d.admin("GET", f"/v1/jobs/tiny-{number}").json()["state"] in ("succeeded", "failed")
        assert not jobs.exists() or not list((state.folder / "tiny").glob("spool/*"))
        latest, possible = now["latest"], {now["id"]}
        if crash == CRASHES:
            d.stop()
            break
        if chance.random() < 0.5:
            wanted = chance.choice([*ids, None])
            action = threading.Thread(target=quietly, args=(lambda: put(d, wanted, f'"{latest}"'),))
            moment = chance.uniform(0, 0.02)
        else:
            action = threading.Thread(target=quietly, args=(
                lambda: post(d, images(30), {"timesteps": [4], "min_gain": -100}),))
            moment = chance.uniform(0, 0.15)
        action.start()
        time.sleep(moment)
        d.signal(signal.SIGKILL)
        d.wait_exit()
        action.join()
    print(f"{CRASHES} kills, generation {latest}, slowest start {slowest:.2f} s")


def test_of_two_that_activate_at_once_one_wins(models, tmp_path):
    state = State(tmp_path / "state", models)
    ids = [state.add("4"), state.add("8")]
    with start(state, "token1") as one, start(state, "token2") as two:
        for race in range(RACES):
            both, gate = [None, None], threading.Barrier(2)

            def run(i, d):
                gate.wait()
                both[i] = put(d, ids[i], f'"{race}"').status_code

            threads = [threading.Thread(target=run, args=x) for x in enumerate((one, two))]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert sorted(both) == [200, 412], (race, both)
            assert in_force(one).json()["latest"] == race + 1
