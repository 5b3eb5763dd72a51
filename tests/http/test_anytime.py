"""Classify with images sent as spikes, a last layer that fires, answers that end early, and scores of every step."""
import concurrent.futures
import json

import numpy as np
import pytest

import models as make
from test_classify import b64, check_problem, strip


def results(r):
    assert r.status_code == 200, r.text
    return r.json()["results"]


def test_encodings(daemon):
    picture = make.picture(4)
    regular = daemon.classify(picture, T=24, encoding="regular", trace="layers").json()
    assert regular["encoding"] == "regular" and "seed" not in regular
    direct = daemon.classify(picture, T=24, trace="layers").json()
    event, current = regular["results"][0], direct["results"][0]
    # no multiplications any more: all of its energy is accumulates; the answer is nearly that of the image itself
    assert event["energy"]["snn_nj"] == pytest.approx(0.9e-3 * event["spikes"]["synaptic_operations"], rel=1e-6)
    assert event["spikes"]["synaptic_operations"] > current["spikes"]["synaptic_operations"]
    assert event["scores"] != current["scores"]
    assert np.abs(np.array(event["scores"]) - current["scores"]).max() < 1


def test_a_seed_repeats_whatever_else_runs(daemon):
    picture, others = make.picture(5), [make.picture(k) for k in range(6, 10)]
    options = {"T": 16, "encoding": "rate", "seed": 77}
    alone = daemon.classify(picture, **options).json()
    assert alone["seed"] == 77
    assert strip(daemon.classify(picture, T=16, encoding="rate", seed=78).json())["results"] != alone["results"]
    assert daemon.classify(picture, T=16, encoding="rate").json()["seed"] == 0
    body = {"images": [b64(p) for p in [picture, *others]], **options}
    together = results(daemon.classify_json(body))
    assert together[0] == alone["results"][0]
    same = results(daemon.classify_json({"images": [b64(picture)] * 2, **options}))
    assert same[0]["scores"] != same[1]["scores"]  # each picture of a request has random numbers of its own
    with concurrent.futures.ThreadPoolExecutor(12) as pool:  # shared runs change nothing
        for r in pool.map(lambda _: daemon.classify_json(body), range(24)):
            assert results(r) == together


@pytest.mark.parametrize("form", ["query", "query-json", "json"])
def test_stop(daemon, form):
    pictures = [make.picture(k) for k in range(20, 28)]
    rule = {"margin": 0.05, "patience": 4}
    if form == "json":
        answer = daemon.classify_json({"images": [b64(p) for p in pictures], "T": 60, "stop": rule, "trace": "layers"})
    else:
        text = json.dumps(rule) if form == "query-json" else "0.05,4"
        answer = daemon.classify_json({"images": [b64(p) for p in pictures], "T": 60, "trace": "layers", "stop": text})
        one = daemon.classify(pictures[0], T=60, stop=text, trace="layers")
        assert results(one) == results(answer)[:1]
    assert answer.json()["stop"] == rule
    used = [r["timesteps_used"] for r in results(answer)]
    assert min(used) >= 4 and len(set(used)) > 1, used  # each ends when it is ready
    for picture, result in zip(pictures, results(answer)):  # like a run of that many steps
        assert results(daemon.classify(picture, T=result["timesteps_used"], trace="layers")) == [result]


def test_scores_of_every_step(daemon):
    picture = make.picture(11)
    result, = results(daemon.classify(picture, T=9, trace="steps"))
    assert [s["timestep"] for s in result["steps"]] == list(range(1, 10)) and "layers" in result["spikes"]
    for step in result["steps"]:
        short, = results(daemon.classify(picture, T=step["timestep"]))
        assert (step["scores"], step["class"]) == (short["scores"], short["class"])
    stopped, = results(daemon.classify(picture, T=40, trace="steps", stop="0,3"))
    assert stopped["timesteps_used"] == len(stopped["steps"]) < 40
    assert stopped["steps"][-1]["scores"] == stopped["scores"]


def test_too_many_step_scores(daemon):
    check_problem(daemon.classify_json({"images": [b64(make.picture(1))] * 64, "T": 256, "trace": "steps"}, "wide"), 413,
                  "trace: the scores of every step of 64 pictures, 256 steps and 20 classes are over the limit of 262144")


def test_budget(daemon):
    picture = make.picture(12)
    answer = daemon.classify(picture, "slow", T=4096, budget_ms=2, trace="none", precision="float32")
    result, = results(answer)
    assert answer.json()["budget_ms"] == 2 and answer.json()["timesteps"] == 4096
    assert 1 <= result["timesteps_used"] < 4096
    if result["timesteps_used"] < 500:
        assert results(daemon.classify(picture, "slow", T=result["timesteps_used"], precision="float32")) == [result]
    plenty = daemon.classify(picture, T=5, budget_ms=60000)
    assert results(plenty) == results(daemon.classify(picture, T=5))


def test_count(daemon):
    result, = results(daemon.classify(make.picture(13), "wide", T=25, readout="count", trace="layers"))
    last = result["spikes"]["layers"][-1]
    assert (last["name"], last["neurons"]) == ("out", 20) and "fired" not in last
    counts = np.array(result["scores"]) * 25 / 0.5  # its threshold
    assert np.allclose(counts, np.round(counts)) and round(counts.sum()) == last["spikes"] > 0
    assert result["spikes"]["total"] == sum(layer["spikes"] for layer in result["spikes"]["layers"])
