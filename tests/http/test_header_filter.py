"""Requests that two readers could understand differently: refused, and nothing after them on the connection is read."""
import pytest

HIDDEN = b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"
LINE = b"GET /livez HTTP/1.1\r\n"
HOST = b"Host: x\r\n"


def check_refused(daemon, sent, status=b"400", own_answer=False):
    got = daemon.raw(sent + HIDDEN, half_close=False, timeout=8)
    assert got.startswith(b"HTTP/1.1 " + status + b" ") and b" 200 " not in got and b"uptime" not in got, got
    assert b"\r\nConnection: close\r\n" in got, got
    assert b"application/problem+json" in got or own_answer, got
    return got


@pytest.mark.parametrize("sent,said", [
    (LINE + b"\r\n", b"Host: missing"),
    (LINE + b"Host: a\r\nHost: a\r\n\r\n", b"Host: given twice"),
    (LINE + b"Host: a\r\nhOST: b\r\n\r\n", b"Host: given twice"),
    (LINE.replace(b"1.1", b"1.0") + b"Host: a\r\nHost: b\r\n\r\n", b"Host: given twice"),
] + [(LINE + b"Host: " + host + b"\r\n\r\n", b"Host: expected one host") for host in (
    b"", b"a b", b"a, b", b"a,b", b"a/b", b"user@a", b"a:b", b":80", b"a:123456", b"a:80:80", b"[::1", b"[]", b"[x]", b"::1",
    b"a?b", b"a#b", b"a\\b", b"<a>", b"caf\xc3\xa9")])
def test_host(daemon, sent, said):
    assert said in check_refused(daemon, sent)


@pytest.mark.parametrize("host", [b"x", b"x:80", b"127.0.0.1:8080", b"[::1]", b"[::1]:80", b"a-b_c.d", b"x \t", b"a:"])
def test_good_hosts(daemon, host):
    got = daemon.raw(LINE + b"Host: " + host + b"\r\nConnection: close\r\n\r\n", half_close=False)
    assert got.startswith(b"HTTP/1.1 200 "), got


def test_http_1_0_needs_no_host(daemon):
    assert daemon.raw(b"GET /livez HTTP/1.0\r\n\r\n", half_close=False).startswith(b"HTTP/1.")


@pytest.mark.parametrize("field", [
    b"Bad Name: y", b"Bad\x00Name: y", b"Bad\x01: y", b"B\xc3\xa4d: y", b"Name : y", b"Name\t: y", b" Name: y", b": y", b"(a): y",
    b"a@b: y", b"A: y\x00z", b"A: \x00", b"A: y\x01", b"A: \x7f", b"A: y\rz", b"A: \x1b[2J",
    b"A: y\r\n folded", b"A: y\r\n\tfolded", b"A: y\r\n ", b"A: y\nB: z", b"A: y\n", b"Content-Length : 5", b"Content-Length\x00: 5",
    b"Transfer-Encoding : chunked", b"Transfer-Encoding: chunked\x00", b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: chunked\r\n ", b"Transfer-Encoding: chunked ,",
])
@pytest.mark.parametrize("first", [True, False])
def test_fields(daemon, field, first):
    sent = LINE + (field + b"\r\n" + HOST if first else HOST + field + b"\r\n") + b"\r\n"
    check_refused(daemon, sent, own_answer=b"\0" in field.split(b":")[0])  # libmicrohttpd sees no colon there


@pytest.mark.parametrize("sent", [
    b"GET  /livez HTTP/1.1\r\n", b"GET /livez  HTTP/1.1\r\n", b"GET /livez HTTP/1.1\n", b"G\x00ET /livez HTTP/1.1\r\n",
    b"GET /live\x00z HTTP/1.1\r\n", b"GET /livez\x00 HTTP/1.1\r\n", b"GET /li\x01vez HTTP/1.1\r\n", b"GET /livez\x7f HTTP/1.1\r\n",
    b"GET /caf\xc3\xa9 HTTP/1.1\r\n", b"GET /livez#x HTTP/1.1\r\n", b"GET livez HTTP/1.1\r\n", b"GET * HTTP/1.1\r\n",
    b"GET ?a HTTP/1.1\r\n", b"GET \\livez HTTP/1.1\r\n", b"G(T /livez HTTP/1.1\r\n", b"GET\t/livez HTTP/1.1\r\n",
    b"GET /livez x HTTP/1.1\r\n", b"AVERYLONGMETHODNAME /livez HTTP/1.1\r\n", b"GET /livez?a=\x00b HTTP/1.1\r\n",
    b"GET ftp://x/livez HTTP/1.1\r\n", b"GET http:///livez HTTP/1.1\r\n", b"GET http:/livez HTTP/1.1\r\n",
    b"GET http://y/livez HTTP/1.1\r\n", b"GET http://x:1/livez HTTP/1.1\r\n", b"GET http://u@x/livez HTTP/1.1\r\n",
])
def test_request_lines(daemon, sent):
    got = daemon.raw(sent + HOST + b"\r\n" + HIDDEN, half_close=False, timeout=8)
    assert (not got or got.startswith(b"HTTP/1.1 400 ")) and b" 200 " not in got, got


@pytest.mark.parametrize("version", [b"HTTP/1.2", b"HTTP/1.9"])
def test_other_minor_versions(daemon, version):
    check_refused(daemon, b"GET /livez " + version + b"\r\n" + HOST + b"\r\n", b"505")


@pytest.mark.parametrize("version", [b"HTTP/2.0", b"HTTP/0.9", b"http/1.1", b"HTTP/1.1x", b"HTTP/1.1 ", b"HTTP/11", b"HTTP/01.1", b"HTP/1.1"])
def test_bad_versions(daemon, version):
    got = daemon.raw(b"GET /livez " + version + b"\r\n" + HOST + b"\r\n" + HIDDEN, half_close=False, timeout=8)
    assert (not got or got[9:12] in (b"400", b"505")) and b" 200 " not in got, got


@pytest.mark.parametrize("target,status", [
    (b"http://x/livez", b"200"), (b"HTTP://X/livez", b"200"), (b"http://x", b"200"), (b"http://x/v1/models?a=b", b"200"),
    (b"http://x/nothing", b"404"), (b"https://x/livez", b"200"), (b"http://x?a", b"200")])
def test_absolute_targets_of_this_host(daemon, target, status):
    got = daemon.raw(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", half_close=False)
    assert got.startswith(b"HTTP/1.1 " + status + b" "), got


def test_connect_is_refused(daemon):
    check_refused(daemon, b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n", b"405")


def test_unknown_expectation(daemon):
    check_refused(daemon, b"POST /v1/models/tiny/classify HTTP/1.1\r\nExpect: a-miracle\r\nContent-Length: 3\r\n" + HOST + b"\r\n",
                  b"417")


def test_what_ordinary_clients_send_passes(daemon):
    """Empty values, blanks around values, every token character, bytes above ASCII, a header in many packets."""
    head = (b"GET /livez?a=b&c HTTP/1.1\r\nHost:x\r\nA:\r\nB: \t y  \r\n!#$%&'*+-.^_`|~09Az: z\r\nC: caf\xe9 \xc3\xa9\r\n"
            b"Cookie: a=b; c=\"d\"; e\r\nX: " + b"y" * 5000 + b"\r\nConnection: close\r\n\r\n")
    for step in (len(head), 7, 1000):
        pieces = [head[i:i + step] for i in range(0, len(head), step)]
        if step == 7:
            pieces = pieces[:40] + [b"".join(pieces[40:])]
        got = daemon.raw(*pieces, pause=0.002, half_close=False)
        assert got.startswith(b"HTTP/1.1 200 "), got


def test_many_requests_on_one_connection_pass(daemon):
    one = b"GET /livez HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"
    post = b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    got = daemon.raw((one + post) * 20 + one.replace(b"A: b", b"Connection: close"), half_close=False)
    assert (got.count(b"HTTP/1.1 200 "), got.count(b"HTTP/1.1 405 ")) == (21, 20)
