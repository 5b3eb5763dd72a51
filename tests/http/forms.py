"""Every way a picture gets into the daemon, and what to look at after hostile ones: for test_hostile.py and test_corpora.py."""
import base64
import gzip
import io
import json
import pathlib
import tarfile

import requests

import models as make

OPTIONS = json.dumps({"timesteps": [2], "activate": False})


def binary_tensor(png):
    element = len(png).to_bytes(4, "little") + png
    head = json.dumps({"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
                                   "parameters": {"binary_data_size": len(element)}}]}).encode()
    return head, head + element


def archive(png):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for i, content in enumerate([png, make.picture(1)]):
            info = tarfile.TarInfo(f"{i}.png")
            info.size = len(content)
            t.addfile(info, io.BytesIO(content))
    return out.getvalue()


class Forms:
    """Each method sends one picture and gives the response."""

    def __init__(self, daemon, model):
        self.daemon, self.model, self.session = daemon, model, requests.Session()
        self.classify = f"{daemon.url}/v1/models/{model}/classify?T=2"
        self.infer = f"{daemon.url}/v2/models/{model}/infer?T=2"

    def post(self, url, **more):
        return self.session.post(url, timeout=20, **more)

    def png(self, png):
        return self.post(self.classify, data=png, headers={"Content-Type": "image/png"})

    def chunked(self, png):
        return self.post(self.classify, data=iter([png[:10], png[10:]]) if len(png) > 10 else png, headers={"Content-Type": "image/png"})

    def multipart(self, png):
        return self.post(self.classify, files=[("image", ("a.png", png))])

    def json(self, png):
        return self.post(self.classify, json={"images": [base64.b64encode(png).decode()]})

    def tensor_json(self, png):
        return self.post(self.infer, json={"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1],
                                                       "data": [base64.b64encode(png).decode()]}]})

    def tensor_binary(self, png):
        head, body = binary_tensor(png)
        return self.post(self.infer, data=body, headers={"Inference-Header-Content-Length": str(len(head))})

    def tensor_packed(self, png):
        head, body = binary_tensor(png)
        return self.post(self.infer, data=gzip.compress(body, 1),
                         headers={"Inference-Header-Content-Length": str(len(head)), "Content-Encoding": "gzip"})

    def raw(self, png):
        return self.post(self.infer, data=png, headers={"Inference-Header-Content-Length": "0"})

    def serving(self):
        return [self.png, self.chunked, self.multipart, self.json, self.tensor_json, self.tensor_binary, self.tensor_packed, self.raw]

    def upload(self, parts):
        """To a calibration job; it is not waited for."""
        return self.daemon.admin("POST", f"/v1/models/{self.model}/calibrations", files=[*parts, ("options", (None, OPTIONS))])

    def upload_archive(self, png):
        return self.upload([("archive", ("a.tar", archive(png)))])

    def finish(self, response):
        """The job's end, so that the next one may begin; None when there is none."""
        while response.status_code == 202:
            job = self.daemon.admin("GET", response.headers["Location"]).json()
            if job["state"] not in ("queued", "running"):
                return job
        return None


def resident_bytes(daemon):
    text = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


def sanitized(daemon):
    """AddressSanitizer keeps what was freed for a while: its growth says nothing."""
    return "libasan" in pathlib.Path(f"/proc/{daemon.process.pid}/maps").read_text()


def assert_does_not_grow(daemon, work, allowed=4 << 20):
    """`work` leaves nothing behind: after the first rounds, which fill caches and arenas, memory stays what it is."""
    work()
    work()
    before = resident_bytes(daemon)
    work()
    grown = resident_bytes(daemon) - before
    assert sanitized(daemon) or grown < allowed, f"{grown} bytes more"


def assert_well(daemon):
    assert daemon.process.poll() is None, "\n".join(daemon.lines[-5:])
    assert requests.get(daemon.url + "/readyz", timeout=2).status_code == 200
    assert daemon.classify(make.picture(1)).status_code == 200
    daemon.wait_no_memory()
