"""Jobs at idle priority rest while a request is in work."""
import concurrent.futures
import re
import threading
import time

import models as make
from test_calibrations import wait_until
from test_jobs import images, job, models, post, slow_upload, start, wait  # noqa: F401 (a fixture)

PATIENCE = 300  # seconds: what else runs on the machine may leave a job at idle priority next to nothing


def rested(d):
    return float(re.search(r"^spiked_job_rest_seconds_total (\S+)$", d.admin("GET", "/metrics").text, re.M)[1])


def test_a_job_rests_for_requests_and_goes_on(models, tmp_path):
    with start(models, tmp_path, "--job-threads", "1", nice=20) as d:
        T = d.slow_timesteps(0.5)
        r = slow_upload(d, {"timesteps": list(range(8, 24)), "activate": False})  # its progress moves often
        wait_until(lambda: job(d, r).json()["progress"]["phase"] == "calibrating", PATIENCE)
        assert rested(d) == 0, "what the admin listener is asked costs jobs nothing"
        end = time.monotonic() + PATIENCE
        while rested(d) == 0 and time.monotonic() < end:  # a busy machine may leave the job no time to notice the first
            assert d.classify(make.picture(1, 32, 3), "slow", T=T).status_code == 200
        after_a_rest = job(d, r).json()["progress"]["done"]
        wait_until(lambda: job(d, r).json()["progress"]["done"] > after_a_rest, PATIENCE)
        after, done = rested(d), job(d, r).json()["progress"]["done"]
        assert after > 0
        wait_until(lambda: job(d, r).json()["progress"]["done"] > done, PATIENCE)
        assert rested(d) == after
        d.admin("DELETE", r.headers["Location"])
        assert wait(d, r)["state"] == "cancelled"


def test_a_job_ends_under_endless_requests(models, tmp_path):
    with start(models, tmp_path, "--job-threads", "1", "--threads", "1", nice=20) as d:
        png, T, enough = make.picture(1, 32, 3), d.slow_timesteps(0.05), threading.Event()

        def ask():
            while not enough.is_set():
                assert d.classify(png, "slow", T=T).status_code == 200

        with concurrent.futures.ThreadPoolExecutor() as pool:
            asking = [pool.submit(ask) for _ in range(2)]
            try:
                before = rested(d)
                done = wait(d, post(d, images(), {"timesteps": [4], "activate": False}))
                assert done["state"] == "succeeded" and rested(d) > before
            finally:
                enough.set()
            assert not [a.result() for a in asking if a.result()]


def test_jobs_of_another_priority_do_not_rest(models, tmp_path):
    with start(models, tmp_path, "--job-threads", "1", nice=19) as d:
        r = slow_upload(d)
        wait_until(lambda: job(d, r).json()["progress"]["phase"] == "calibrating", PATIENCE)
        assert d.classify(make.picture(1, 32, 3), "slow", T=d.slow_timesteps(0.2)).status_code == 200
        assert rested(d) == 0
        d.admin("DELETE", r.headers["Location"])
        wait(d, r)
