#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP servers of an actor (tests/guests/web), asked by curl, by raw sockets and by openssl."""
import concurrent.futures
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import time

import harness
from harness import check

CURL = ["curl", "-s", "-S", "--noproxy", "*", "-m", "60"]
HOST = b"Host: a\r\n"
HANDLERS = ("runtime", "message-server", "timing")


class Web:
    """A running web actor."""

    def __init__(self, t, commands, block="", text="", start=True, limit=harness.LIMIT_S):
        if not os.path.exists(os.path.join(t.folder, "web.wasm")):
            shutil.copy(harness.guest("web/web.wasm"), os.path.join(t.folder, "web.wasm"))
        t.write("state.json", json.dumps(";".join(commands)))
        blocks = "".join('\n[[handler]]\ntype = "%s"\n' % name for name in HANDLERS)
        blocks += '\n[[handler]]\ntype = "http-framework"\n' + block
        self.t = t
        self.manifest = t.manifest("web.wasm", 'init_state = "state.json"\n' + text + blocks,
                                   name="web", file="web.toml")
        self.live = t.start("run", self.manifest, "--id", "web")
        self.port = None
        if start:
            self.wait_port(limit=limit)

    def wait_port(self, count=1, limit=harness.LIMIT_S):
        line = self.live.wait_line("port ", limit=limit, count=count)
        self.port = int(line.rsplit(" ", 1)[1])

    def url(self, path, scheme="http"):
        return "%s://127.0.0.1:%d%s" % (scheme, self.port, path)

    def curl(self, path, *options, scheme="http"):
        """Status, headers as text, body."""
        with_head = CURL + ["-i", "--path-as-is", *options, self.url(path, scheme)]
        done = subprocess.run(with_head, capture_output=True, check=False)
        check(done.returncode == 0, "curl failed", with_head, done.stderr, self.live.result())
        head, body = done.stdout, b""
        while True:
            head, _, body = head.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 100"):
                return int(head.split()[1]), head.decode("latin-1"), body
            head = body

    def do(self, command):
        status, _, body = self.curl("/do", "--data-binary", command)
        check(status == 200, "the command was not obeyed", command, status)
        return body.decode()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 20)

    def raw(self, data, limit=20):
        """What comes back for these bytes until the server closes."""
        with self.connect() as peer:
            peer.settimeout(limit)
            peer.sendall(data)
            return read_all(peer)

    def end(self):
        self.live.signal(15)
        result = self.live.wait().sane()
        check(result.code == harness.SIGTERM_EXIT, "it ends in order", result)


def read_all(peer):
    got = b""
    try:
        while True:
            piece = peer.recv(65536)
            if not piece:
                return got
            got += piece
    except ConnectionResetError:
        return got


def is_established(port):
    """Whether the server has a connection (/proc/net/tcp: local address, state 01)."""
    with open("/proc/net/tcp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return any(row[1].endswith(":%04X" % port) and row[3] == "01" for row in rows)


def statuses(answer):
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d\d\d) ", answer)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


BASIC = ["create 0", "route GET /hello", "route POST /echo", "route * /show", "route * /show/{id}",
         "route GET /files/{dir}/{*rest}", "route * /do", "route GET /fail", "route GET /trap",
         "route GET /bad-status", "route GET /bad-field", "route GET /bad-name",
         "route GET /chunked", "route GET /close", "route GET /large/{n}", "route POST /size",
         "route GET /slow/{ms}", "route GET /count", "start"]


def test_answers_what_the_actor_says(t):
    web = Web(t, BASIC)
    status, head, body = web.curl("/hello")
    check(status == 200 and body == b"Hello, world!", "13 bytes", status, body)
    check("Content-Length: 13" in head and "content-type: text/plain" in head, "fields", head)
    date = re.search(r"Date: (\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT)", head)
    check(date is not None, "a date", head)
    then = time.mktime(time.strptime(date.group(1), "%a, %d %b %Y %H:%M:%S GMT")) - time.timezone
    check(abs(then - time.time()) < 60, "the date is today's", date.group(1))
    # HEAD goes to GET's route and has no body.
    status, head, body = web.curl("/hello", "-I")
    check(status == 200 and "Content-Length: 13" in head and body == b"", "HEAD", head)
    path = t.write("binary", bytes(range(256)))
    status, _, body = web.curl("/echo", "--data-binary", "@" + path)
    check(status == 200 and body == bytes(range(256)), "binary bodies", body)
    status, head, body = web.curl("/chunked")
    check("Transfer-Encoding: chunked" in head and body.endswith(b"in chunks"), "chunks", head)
    status, head, body = web.curl("/close")
    check("Connection: close" in head and body == b"bye", "it may close", head)
    web.end()


def test_routes_and_their_parameters(t):
    web = Web(t, BASIC)
    status, _, body = web.curl("/show/a%2Fb%20%C3%A9?q=1&r", "-H", "X-Route-Param-id: forged",
                               "-H", "X-Name: caf\xe9")
    text = body.decode()
    check("GET /show/a%2Fb%20%C3%A9?q=1&r\n" in text, "method and uri", text)
    check("X-Route-Param-id=a/b \xe9\n" in text and "forged" not in text, "parameter", text)
    check("connection=" not in text and "body=none" in text, "what the guest sees", text)
    check(web.curl("/show/x", "-X", "PROPFIND")[2].startswith(b"PROPFIND /show/x\n"), "methods")
    status, _, body = web.curl("/files/a/b/c/d")
    check(b"X-Route-Param-dir=a\nX-Route-Param-rest=b/c/d\n" in body, "rest", body)
    for path, wanted in (("/nothing", 404), ("/", 404), ("/hello/", 404), ("/show/", 404),
                         ("/show/../hello", 400), ("/show/%2e%2e", 400), ("/show/%0d%0a", 400),
                         ("/show/%zz", 400), ("/show/%ff", 400)):
        check(web.curl(path)[0] == wanted, "%s is %d" % (path, wanted), web.curl(path))
    status, head, _ = web.curl("/hello", "-X", "DELETE")
    check(status == 405 and "Allow: GET, HEAD" in head, "405 with Allow", head)
    status, _, body = web.curl("/show", "-X", "BREW")
    check(status == 501, "an unknown method", status)
    web.end()


def test_the_guests_mistakes_are_500_without_internals(t):
    web = Web(t, BASIC + ["middleware /show"], text='restart = "permanent"\n')
    for path in ("/fail", "/bad-status", "/bad-field", "/bad-name"):
        status, head, body = web.curl(path)
        check(status == 500, path + " is a 500", status)
        check(b"secret" not in body and "Set-Cookie" not in head, "no internals", head, body)
    status, _, body = web.curl("/show/1", "-H", "x-fail: 1")
    check(status == 500 and b"secret" not in body, "middleware that fails", status, body)
    status, _, body = web.curl("/trap")
    check(status == 500 and b"trap" not in body.lower(), "a trap", status, body)
    # It is started again, on a port that the system gives.
    web.wait_port(count=2)
    check(web.curl("/hello")[0] == 200, "it serves again")
    web.end()


def test_middleware(t):
    web = Web(t, BASIC)
    first = web.do("middleware /show")
    second = web.do("middleware /show/*")
    check((first, second) == ("1", "2"), "ids", first, second)
    check(b"x-seen=1\n" in web.curl("/show")[2], "by prefix")
    check(b"x-seen=2\n" in web.curl("/%73how/x")[2], "both, whatever the encoding")
    status, _, body = web.curl("/show", "-H", "x-stop: 1")
    check(status == 403 and body == b"", "stopped", status, body)
    check(web.curl("/hello", "-H", "x-stop: 1")[0] == 200, "elsewhere it does not run")
    check(web.do("unmiddleware 1") == "ok" and web.do("unmiddleware 1").startswith("error:"),
          "removed once")
    check(b"x-seen" not in web.curl("/show")[2], "it runs no more")
    web.end()


def test_routes_change_while_it_runs(t):
    web = Web(t, BASIC)
    check(web.curl("/late/1")[0] == 404, "not yet")
    route = web.do("route GET /late/{x}")
    check(web.curl("/late/1")[0] == 200, "at once")
    check("already" in web.do("route GET /late/{y}"), "one route for one pattern")
    check("1" in web.do("info") and "running" in web.do("info"), "info")
    check(web.do("unroute " + route) == "ok" and web.curl("/late/1")[0] == 404, "removed")
    for bad in ("route GET late", "route GET /a/*", "route get /x", "route GET /{a", "unroute 999"):
        check(web.do(bad).startswith("error:"), bad + " is refused")
    check(web.do("many 500") == "ok" and web.curl("/many/499")[0] == 200, "many routes")
    web.end()


MALFORMED = [
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET /hello HTTP/1.1\n" + b"Host: a\n\n", 400),
    (b"GET /hello HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET /hello HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n", 400),
    (b"GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /hello HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    (b"GET /hello\r\n\r\n", 400),
    (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST
     + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST
     + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 999999999999\r\n\r\n", 413),
    (b"POST /echo HTTP/1.1\r\n" + HOST + b"Expect: tea\r\nContent-Length: 1\r\n\r\n", 417),
    (b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    (b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n", 414),
    (b"GET /hello HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 40000, 431),
    (b"GET /hello HTTP/1.1\r\n" + HOST + b"X: 1\r\n" * 200 + b"\r\n", 431),
]


def test_malformed_requests_are_refused_and_the_connection_closed(t):
    web = Web(t, BASIC)
    smuggled = b"GET /show/smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
    for data, wanted in MALFORMED:
        got = statuses(web.raw(data + smuggled))
        check(got == [wanted], "%r is %d" % (data[:100], wanted), got)
    for size in range(1, 60):  # cut anywhere, it is no crash and no answer but 400 or 408
        with web.connect() as peer:
            peer.sendall((b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\n")[:size])
            peer.shutdown(socket.SHUT_WR)
            check(statuses(read_all(peer)) in ([], [400], [408]), "cut at %d" % size)
    check(web.curl("/hello")[0] == 200, "it still serves")
    check("smuggled" not in "\n".join(web.live.lines["err"]), "nothing was smuggled")
    web.end()


def test_keep_alive_and_pipelining(t):
    web = Web(t, BASIC)
    hello = b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n"
    chunked = (b"POST /echo HTTP/1.1\r\n" + HOST
               + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n")
    last = b"GET /count HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    answer = web.raw(hello * 300 + chunked + b"GET /none HTTP/1.1\r\n" + HOST + b"\r\n" + last)
    check(statuses(answer) == [200] * 301 + [404, 200], "all are answered", statuses(answer)[-9:])
    check(b"\r\n\r\nabcdeHTTP" in answer, "in their order")
    check(answer.endswith(b"\r\n\r\n302"), "the last one", answer[-60:])
    # A client that has finished sending still gets its answer.
    with web.connect() as peer:
        peer.sendall(b"GET /slow/200 HTTP/1.1\r\n" + HOST + b"\r\n")
        peer.shutdown(socket.SHUT_WR)
        check(read_all(peer).endswith(b"slow"), "half closed")
    check(statuses(web.raw(b"GET /hello HTTP/1.0\r\n\r\n")) == [200], "HTTP/1.0 closes")
    # curl reuses its connection.
    done = subprocess.run(CURL + ["-v", web.url("/hello"), web.url("/hello"), web.url("/hello")],
                          capture_output=True, check=True)
    check(done.stderr.count(b"Re-using existing connection") == 2, "kept alive", done.stderr)
    web.end()


def test_a_client_that_leaves_or_resets_harms_nobody(t):
    web = Web(t, BASIC)
    for _ in range(30):
        with web.connect() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.sendall(b"GET /slow/20 HTTP/1.1\r\n" + HOST + b"\r\n" * 2)
    check(web.curl("/hello")[2] == b"Hello, world!", "it serves")
    web.end()


def test_uploads(t):
    limits = ("\n[limits]\nmemory_bytes = 1073741824\nmailbox_bytes = 268435456\n"
              "message_bytes = 134217728\n")
    web = Web(t, BASIC, text=limits)
    path = t.write("blob", os.urandom(1 << 20) * 20)
    status, _, body = web.curl("/size", "--data-binary", "@" + path)
    check((status, body) == (200, b"20971520"), "20 MB with 100-continue", status, body[:100])
    status, _, body = web.curl("/size", "-T", path, "-X", "POST", "-H", "Transfer-Encoding: chunked")
    check((status, body) == (200, b"20971520"), "in chunks", status, body[:100])
    with open(path, "rb") as file:
        content = file.read(3000000)
    path = t.write("small", content)
    check(web.curl("/echo", "--data-binary", "@" + path)[2] == content, "there and back")
    check(web.curl("/large/5000000")[2] == b"x" * 5000000, "a large answer")
    web.end()


def test_an_upload_of_100_mb(t):
    limits = ("\n[limits]\nmemory_bytes = 1073741824\nmailbox_bytes = 268435456\n"
              "message_bytes = 134217728\n")
    web = Web(t, BASIC, text=limits)
    path = t.write("blob", b"0123456789abcdef" * (100 * 1000 * 1000 // 16))
    status, _, body = web.curl("/size", "--data-binary", "@" + path)
    check((status, body) == (200, b"100000000"), "100 MB", status, body[:100])
    web.end()


def test_limits_of_bodies_and_connections(t):
    web = Web(t, BASIC, block="max_request_size = 1000\nmax_connections = 4\n")
    check(web.curl("/size", "--data-binary", "x" * 1000)[2] == b"1000", "as much as may be")
    check(web.curl("/size", "--data-binary", "x" * 1001)[0] == 413, "a byte more")
    path = t.write("blob", b"x" * 5000)
    status = web.curl("/size", "-X", "POST", "-T", path, "-H", "Transfer-Encoding: chunked")[0]
    check(status == 413, "in chunks", status)
    held = []

    def hold():
        # The connections of the refused ones are counted until they are gone.
        peer = web.connect()
        peer.sendall(b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n")
        is_served = statuses(peer.recv(1000)) == [200]
        held.append(peer) if is_served else peer.close()
        return len(held) == 4

    harness.wait_until(hold, what="four connections")
    check(statuses(web.raw(b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n")) in ([503], []), "one more")
    for peer in held:
        peer.close()
    harness.wait_until(lambda: statuses(web.raw(
        b"GET /hello HTTP/1.0\r\n\r\n")) == [200], what="room again")
    web.end()


def test_slow_clients_are_cut_off(t):
    web = Web(t, BASIC, block="header_timeout = 300\nbody_timeout = 300\nidle_timeout = 300\n"
              "write_timeout = 400\n")
    began = time.monotonic()
    check(web.raw(b"") == b"", "silence")
    check(statuses(web.raw(b"GET /hello HTTP/1.1\r\nHos")) == [408], "half a header")
    check(statuses(web.raw(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nab"))
          == [408], "half a body")
    check(statuses(web.raw(b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n")) == [200], "idle after")
    check(time.monotonic() - began < 20, "soon")
    # One byte now and then does not help.
    with web.connect() as peer:
        got = b""
        peer.settimeout(0.05)
        for byte in b"GET /hello HTTP/1.1\r\n" + HOST * 200:
            try:
                peer.sendall(bytes([byte]))
                got = peer.recv(1000)
                break
            except socket.timeout:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        check(time.monotonic() - began < 30 and statuses(got) in ([408], []), "drop by drop", got)
    # A client that takes nothing of a large answer.
    with web.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(b"GET /large/30000000 HTTP/1.1\r\n" + HOST + b"\r\n")
        harness.wait_until(lambda: is_established(web.port), what="the connection")
        harness.wait_until(lambda: not is_established(web.port), limit=30, what="the end of it")
    check(web.curl("/hello")[0] == 200, "it serves")
    web.end()


def test_a_full_mailbox_is_503_and_the_rest_is_served(t):
    web = Web(t, BASIC, text="\n[limits]\nmailbox_messages = 3\n")
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: web.curl("/slow/400"), range(12)))
    codes = sorted(status for status, _, _ in answers)
    check(set(codes) == {200, 503} and codes.count(200) >= 3, "some of both", codes)
    refused = [head for status, head, _ in answers if status == 503]
    check(all("Retry-After: 1" in head for head in refused), "when to try again", refused)
    check(web.curl("/hello")[0] == 200, "it goes on")
    web.end()


def test_a_server_that_starts_in_init_holds_its_requests(t):
    port = free_port()
    web = Web(t, ["create %d" % port, "route GET /hello", "start", "sleep 1500"])
    check(not any("started" in line for line in web.live.lines["err"]), "init is not over")
    began = time.monotonic()
    status, _, body = web.curl("/hello")
    check(status == 200 and body == b"Hello, world!", "held, not refused", status)
    check(time.monotonic() - began > 0.3, "until init was over")
    web.end()


def test_a_server_that_only_listens_is_idle(t):
    web = Web(t, ["create 0", "route GET /hello", "start"], start=False)
    web.live.kill()
    run = t.run("run", web.manifest, "--id", "idle", "--until-idle", limit=60)
    run.expect(harness.OK, err="port ")


def test_an_init_that_fails_leaves_no_server(t):
    port = free_port()
    web = Web(t, ["create %d" % port, "route GET /hello", "start", "sleep 300", "nonsense"])
    answer = web.raw(b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n")
    check(statuses(answer) in ([503], []), "what was held is refused", answer)
    result = web.live.wait()
    check(result.code == harness.ERROR, "the start failed", result.sane())


def test_restart_reuses_the_port(t):
    port = free_port()
    commands = ["create %d" % port] + BASIC[1:]
    web = Web(t, commands, text='restart = "permanent"\n')
    held = web.connect()
    check(web.curl("/trap")[0] == 500, "it crashes")
    web.wait_port(count=2)
    check(web.port == port and web.curl("/count")[2] == b"1", "the same port, a new instance")
    held.close()
    # Within a run of the same instance, too.
    check(web.do("stop") == "ok", "stopped")
    check(statuses_or_refused(web) is None, "it listens no more")
    web.end()


def statuses_or_refused(web):
    try:
        return statuses(web.raw(b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n"))
    except ConnectionRefusedError:
        return None


def test_stop_lets_requests_under_way_finish(t):
    web = Web(t, BASIC)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        slow = pool.submit(web.curl, "/slow/700")
        harness.wait_until(lambda: is_established(web.port), what="the connection")
        stop = pool.submit(web.do, "stop")
        status, _, body = slow.result()
        check((status, body) == (200, b"slow"), "finished", status, body)
        check(stop.result() == "ok", "its own answer comes too")
    check(statuses_or_refused(web) is None, "closed")
    web.live.signal(15)
    web.live.wait().sane()


def test_a_client_that_takes_nothing_does_not_hold_up_the_end(t):
    web = Web(t, BASIC)
    with web.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(b"GET /large/30000000 HTTP/1.1\r\n" + HOST + b"\r\n")
        check(peer.recv(10) == b"HTTP/1.1 2", "the answer begins")
        began = time.monotonic()
        web.end()
        check(time.monotonic() - began < 25, "before its time for writing is over")


def test_two_servers_and_their_mistakes(t):
    port = free_port()
    web = Web(t, BASIC)
    first = web.port
    check(web.do("start").startswith("error:"), "started twice")
    check(web.do("create %d" % first) == "2" and "in use" in web.do("start"), "the port is taken")
    check(web.do("destroy") == "ok" and web.do("destroy").startswith("error: Server not found"),
          "destroyed once")
    check(web.do("create %d ::1" % port) == "3" and web.do("route GET /hello").isdigit(), "third")
    if web.do("start") == str(port):
        done = subprocess.run(CURL + ["-g", "http://[::1]:%d/hello" % port], capture_output=True,
                              check=False)
        check(done.stdout == b"Hello, world!", "IPv6", done)
    check(web.do("create 0 example.org") == "4" and "Invalid host" in web.do("start"), "no address")
    check(web.do("create 0 127.0.0.1 none.pem none.key") == "5"
          and "Invalid TLS configuration" in web.do("start"), "no certificate")
    check(web.do("create 0 127.0.0.1 /etc/passwd /etc/passwd") == "6"
          and web.do("start").startswith("error:"), "files beyond the folder")
    web.end()


def test_a_client_that_finishes_and_then_breaks_off_holds_no_place(t):
    # Less than the time that a client has for taking an answer.
    web = Web(t, BASIC, block="max_connections = 4\n")
    for _ in range(8):
        with web.connect() as peer:
            peer.sendall((b"GET /large/3000000 HTTP/1.1\r\n" + HOST + b"\r\n") * 2)
            peer.shutdown(socket.SHUT_WR)
            check(peer.recv(1000) != b"", "the answer has begun")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    began = time.monotonic()
    while web.curl("/hello")[0] != 200:
        check(time.monotonic() - began < 15, "broken connections still have their places")
        time.sleep(0.1)
    web.end()


def make_certificate(t):
    done = subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                           "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out",
                           "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext",
                           "subjectAltName=IP:127.0.0.1"], cwd=t.folder, capture_output=True,
                          check=False)
    if done.returncode != 0:
        raise harness.Skip("openssl cannot make a certificate")


def test_tls(t):
    make_certificate(t)
    web = Web(t, ["create 0 127.0.0.1 cert.pem key.pem"] + BASIC[1:], block="header_timeout = 500\n")
    trust = ["--cacert", os.path.join(t.folder, "cert.pem")]
    status, head, body = web.curl("/hello", *trust, scheme="https")
    check((status, body) == (200, b"Hello, world!"), "curl", head)
    content = os.urandom(4000000)
    path = t.write("blob", content)
    check(web.curl("/echo", *trust, "--data-binary", "@" + path, scheme="https")[2] == content,
          "4 MB there and back")
    for version in ("--tlsv1.2", "--tlsv1.3"):
        done = subprocess.run(CURL + trust + [version, "--tls-max", version[-3:], "-v",
                                              web.url("/hello", "https"), web.url("/hello", "https")],
                              capture_output=True, check=False)
        check(done.stdout == b"Hello, world!" * 2 and b"Re-using" in done.stderr, version, done)
    old = subprocess.run(CURL + ["-k", "--tls-max", "1.1", web.url("/hello", "https")],
                         capture_output=True, check=False)
    check(old.returncode != 0, "TLS 1.1 is refused", old)
    plain = web.raw(b"GET /hello HTTP/1.1\r\n" + HOST + b"\r\n")
    check(b"Hello" not in plain, "nothing without TLS", plain)
    began = time.monotonic()
    check(web.raw(b"\x16\x03\x01") == b"" and time.monotonic() - began < 15, "a slow handshake")
    check(web.curl("/hello", *trust, scheme="https")[0] == 200, "it serves")
    web.end()


def test_permissions_bound_the_routes(t):
    web = Web(t, ["create 0", "route * /do", "start"])
    check(web.curl("/do", "--data-binary", "info")[0] == 200, "without a bound")
    web.end()
    web = Web(t, ["create 0", "route POST /do", "start"],
              block='allowed_routes = ["/do", "/api"]\nallowed_methods = ["GET", "POST"]\n')
    check(web.do("route GET /api/{x}").isdigit(), "beneath what is allowed")
    for command in ("route GET /hello", "route DELETE /api/x", "route * /api/y"):
        check("permission denied" in web.do(command), command, web.do(command))
    check(web.curl("/hello")[0] == 404, "not there")
    web.end()
    types = [event["type"] for event in t.events("web")]
    check("permission-denied" in types, "the denial is in the chain", set(types))


def test_every_request_is_in_the_chain(t):
    web = Web(t, BASIC)
    for _ in range(25):
        web.curl("/hello")
    web.end()
    types = [event["type"] for event in t.events("web")]
    check(types.count("http-handlers.handle-request") == 25, "25 of them", types)
    t.run("chain", "verify", "web").expect(harness.OK)


def test_many_clients_at_once(t):
    if shutil.which("wrk") is None:
        raise harness.Skip("wrk is not installed (script/bootstrap bench)")
    web = Web(t, BASIC)
    done = subprocess.run(["wrk", "-t1", "-c64", "-d2s", web.url("/hello")], capture_output=True,
                          text=True, check=False)
    check("Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, "all are answered",
          done.stdout)
    web.end()


harness.main(globals())
