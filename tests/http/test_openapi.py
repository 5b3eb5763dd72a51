"""/openapi.json against the daemon itself: every route and option is in it and nothing else, a validator nobody here
wrote accepts it, and each operation's examples get the answers it promises."""
import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import jsonschema
import pytest
import requests

from conftest import ROOT, Daemon

FILE = ROOT / "server/openapi.json"
DOC = json.loads(FILE.read_text())
METHODS = ("get", "put", "post", "delete")
NEEDS_TOKEN = [{"adminToken": []}]


@pytest.fixture(scope="module")
def bundled(tmp_path_factory):
    """The bundled LeNet, which the examples name, with an admin listener and a state folder."""
    folder = tmp_path_factory.mktemp("openapi")
    shutil.copytree(ROOT / "models/lenet-mnist", folder / "models/lenet-mnist")
    with Daemon(folder / "models", "--state", str(folder / "state"), "--job-nice", "0", token_file=folder / "token") as d:
        yield d


def operations():
    return [(method, path, item[method]) for path, item in DOC["paths"].items() for method in METHODS if method in item]


def resolve(thing):
    while "$ref" in thing:
        found = DOC
        for part in thing["$ref"][2:].split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        thing = found
    return thing


def is_admin(operation):
    return operation.get("security") == NEEDS_TOKEN


# ---- the document ----------------------------------------------------------------------------------------------


def test_it_is_served_as_it_lies_in_the_tree(daemon):
    r = requests.get(daemon.url + "/openapi.json")
    assert r.headers["Content-Type"] == "application/json" and r.content == FILE.read_bytes()
    assert DOC["openapi"].startswith("3.1.")
    assert DOC["info"]["version"] == requests.get(daemon.url + "/v1/status").json()["version"]


def test_a_known_validator_accepts_it():
    validator = os.environ.get("OPENAPI_VALIDATOR", "")
    if not pathlib.Path(validator).is_file():
        pytest.skip("OPENAPI_VALIDATOR does not name openapi-schema-validator's validate-api-cli.js (npm)")
    done = subprocess.run(["node", validator, str(FILE)], capture_output=True, text=True, timeout=180)
    assert done.returncode == 0 and json.loads(done.stdout) == {"valid": True}, done.stdout + done.stderr


def test_every_route_is_in_it_and_no_other(bundled):
    public = set(requests.get(bundled.url + "/").json()["api"])
    admin = set(bundled.admin("GET", "/").json()["api"]) - {"GET /"}  # the index of the admin listener
    there = {(f"{method.upper()} {path}", is_admin(o)) for method, path, o in operations()}
    assert there == {(route, False) for route in public} | {(route, True) for route in admin}
    for method, path, o in operations():
        assert is_admin(o) == (o["tags"] == ["admin"]) == ("servers" in o), path
    ids = [o["operationId"] for _, _, o in operations()]
    assert len(ids) == len(set(ids))


def test_places_in_paths_are_parameters():
    for method, path, o in operations():
        places = set(re.findall(r"{(\w+)}", path))
        assert places == {resolve(p)["name"] for p in o.get("parameters", []) if resolve(p)["in"] == "path"}, path


def test_references_lead_somewhere():
    def walk(thing):
        if isinstance(thing, dict):
            if "$ref" in thing:
                resolve(thing)
            for value in thing.values():
                walk(value)
        elif isinstance(thing, list):
            for value in thing:
                walk(value)

    walk(DOC)
    text = FILE.read_text()
    for kind, things in DOC["components"].items():
        if kind != "securitySchemes":
            for name in things:
                assert f'"#/components/{kind}/{name}' in text, f"{kind}/{name} is not used"


def said_of(bundled, name, value):
    r = requests.post(f"{bundled.url}/v1/models/lenet-mnist/classify", params={name: value}, data=b"x",
                      headers={"Content-Type": "image/png"})
    assert r.status_code == 400, r.text
    return r.json()["detail"]


def test_every_option_is_in_it_as_the_daemon_checks_it(bundled):
    """The daemon tells its option table in its refusals."""
    options = DOC["components"]["schemas"]["Options"]["properties"]
    there = said_of(bundled, "no_such_option", "1").split("there are: ")[1].split(", ")
    assert set(options) == set(there)
    for name, schema in options.items():
        assert schema["description"]
        if schema["type"] == "integer":
            wanted = f"{name}: expected an integer from {schema['minimum']} to {schema['maximum']}, got 'x'"
        elif "enum" in schema:
            wanted = f"{name}: expected one of: {', '.join(schema['enum'])}; got 'x'"
        elif schema["type"] == "boolean":
            wanted = f"{name}: expected true or false, got 'x'"
        elif schema["type"] == "number":
            assert (schema["exclusiveMinimum"], schema["maximum"]) == (0, 1)
            wanted = f"{name}: expected a number above 0 and at most 1, got 'x'"
        else:
            continue
        assert said_of(bundled, name, "x") == wanted
    assert said_of(bundled, "T", "x").startswith("timesteps: ") and "T" in DOC["components"]["schemas"]["ClassifyRequest"]["properties"]


# ---- the examples ----------------------------------------------------------------------------------------------


def strict(schema):
    """The schema without room for members it does not describe."""
    if isinstance(schema, dict):
        out = {k: strict(v) for k, v in schema.items()}
        if "properties" in out and out.get("type") == "object" and "allOf" not in out:
            out.setdefault("additionalProperties", False)
        return out
    return [strict(v) for v in schema] if isinstance(schema, list) else schema


STRICT = copy.deepcopy(DOC)
STRICT["components"]["schemas"] = strict(DOC["components"]["schemas"])


def check(schema, value, doc):
    resolver = jsonschema.RefResolver("", doc)
    jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)


def bodies(operation):
    """Every example of the request body as arguments of requests; one empty set when there is no body."""
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        yield "none", {}
    for kind, media in content.items():
        assert media.get("examples"), (operation["operationId"], kind, "has no example")
        for name, example in media["examples"].items():
            if "externalValue" in example:
                headers = {"Inference-Header-Content-Length": "0"} if kind == "application/octet-stream" else {}
                yield name, {"data": (ROOT / example["externalValue"]).read_bytes(), "headers": {"Content-Type": kind, **headers}}
            elif kind == "multipart/form-data":
                files = []
                for part, value in example["value"].items():
                    for one in value if isinstance(value, list) else [value]:
                        file = isinstance(one, str) and ROOT / one
                        files.append((part, (one, file.read_bytes(), "image/png")) if file and file.is_file() else
                                     (part, (None, json.dumps(one) if not isinstance(one, str) else one)))
                yield name, {"files": files}
            else:
                check(media["schema"], example["value"], DOC)
                yield name, {"json": example["value"]}


def cases():
    for method, path, operation in operations():
        if operation.get("x-example-ends-the-daemon"):
            continue  # test_admin.py
        for name, body in bodies(operation):
            yield pytest.param(method, path, operation, body, id=f"{operation['operationId']}-{name}")


@pytest.mark.parametrize("method, path, operation, body", cases())
def test_examples_get_the_answers_they_promise(bundled, method, path, operation, body):
    headers, query, filled = dict(body.get("headers", {})), {}, path
    for p in map(resolve, operation.get("parameters", [])):
        if p["in"] == "path":
            filled = filled.replace("{%s}" % p["name"], p["example"])
        elif p["in"] == "query":
            query.update(p["example"])
        elif "example" in p:
            headers[p["name"]] = p["example"]
    sent = {**body, "headers": headers, "params": query, "timeout": 60}
    if is_admin(operation):
        r = bundled.admin(method.upper(), filled, **{k: v for k, v in sent.items() if k != "timeout"})
    else:
        r = requests.request(method.upper(), bundled.url + filled, **sent)
    wanted = operation.get("x-example-status") or int(next(iter(operation["responses"])))
    assert r.status_code == wanted, r.text
    response = resolve(operation["responses"].get(str(wanted), operation["responses"]["default"]))
    for name in response.get("headers", {}):
        assert name in r.headers or "description" in response["headers"][name], f"{name} is not sent"
    media = {k.replace(" ", ""): v for k, v in response["content"].items()}
    kinds = [k for k in media if r.headers["Content-Type"].replace(" ", "").startswith(k)]
    assert kinds, (r.headers["Content-Type"], list(media))
    if kinds[0].endswith("json"):
        check(strict(media[kinds[0]]["schema"]), r.json(), STRICT)


@pytest.mark.parametrize("path", ["/v1/models/{model}/classify", "/v2/models/{model}/infer"])
@pytest.mark.parametrize("model, body, headers, query", [
    ("lenet-mnist", b"x", {"Content-Type": "image/png"}, ""), ("lenet-mnist", b"{}", {"Content-Type": "application/json"}, ""),
    ("lenet-mnist", b"", {"Content-Encoding": "br"}, ""), ("none", b"", {}, ""), ("lenet-mnist", b"x" * (9 << 20), {}, ""),
    ("lenet-mnist", b"", {"Content-Type": "image/png"}, "?timesteps=0")])
def test_refusals_are_among_those_promised(bundled, path, model, body, headers, query):
    r = requests.post(bundled.url + path.replace("{model}", model) + query, data=body, headers=headers, timeout=180)
    promised = DOC["paths"][path]["post"]["responses"]
    assert str(r.status_code) in promised and r.status_code != 200, r.text
    assert r.headers["Content-Type"] in resolve(promised[str(r.status_code)])["content"]


def test_a_finished_job_is_as_described(bundled):
    pictures = [("image", (file.name, file.read_bytes())) for file in sorted((ROOT / "models/lenet-mnist/samples").glob("*.png"))]
    files = pictures + [("options", (None, '{"method": "data", "timesteps": [4], "activate": false, "holdout": 0.3}'))]
    end = time.monotonic() + 120
    while (r := bundled.admin("POST", "/v1/models/lenet-mnist/calibrations", files=files)).status_code == 409:
        assert time.monotonic() < end
        time.sleep(0.05)  # the example's job goes first
    assert r.status_code == 202, r.text
    while (job := bundled.admin("GET", r.headers["Location"]).json())["state"] in ("queued", "running"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert job["state"] == "succeeded"
    check({"$ref": "#/components/schemas/Job"}, job, STRICT)
    made = bundled.admin("GET", "/v1/models/lenet-mnist/calibrations/" + job["result"]["calibration"])
    assert made.status_code == 200
    check({"$ref": "#/components/schemas/Calibration"}, made.json(), STRICT)


def test_problems_are_as_promised(bundled):
    schema = {"$ref": "#/components/schemas/Problem"}
    for path in ("/nothing", "/v1/models/none", "/v2/models/none", "/v2/nothing"):
        r = requests.get(bundled.url + path)
        check(schema, r.json(), STRICT)
        kind = "ProtocolError" if path.startswith("/v2") else "Problem"
        assert r.headers["Content-Type"] in DOC["components"]["responses"][kind]["content"]
