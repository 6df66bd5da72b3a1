# SPDX-License-Identifier: Apache-2.0
"""HTTP requests of actors. The guest (tests/guests/fetch) sends what a request to it says; the server
(web.py) is in the test."""
import asyncio
import contextlib
import os
import resource
import shutil
import socket
import threading

import harness
import web
from harness import OK, check
from web import fnv, pattern, response

MIB = 1 << 20


def fetch(t, client="", policy="", file="fetch.toml", name="fetch"):
    """A manifest for the guest, whose component lies beside it; `client` goes into its block."""
    if not os.path.exists(os.path.join(t.folder, "fetch.wasm")):
        shutil.copy(harness.guest("fetch/fetch.wasm"), os.path.join(t.folder, "fetch.wasm"))
    return t.manifest("fetch.wasm", '[[handler]]\ntype = "supervisor"\n[[handler]]\ntype = '
                      '"http-client"\n%s\n%s' % (client, policy), name=name, file=file)


@contextlib.contextmanager
def serving(paths, context=None):
    server = web.Server(paths, context)
    try:
        yield server
    finally:
        server.close()


def ask(t, manifest, *messages, **options):
    """What the guest answers to each message."""
    run = t.requests(manifest, *messages, **options).expect(OK)
    return run.out.split("\n") if len(messages) > 1 else run.out.rstrip("\n")


def error_of(t, manifest, message, **options):
    answer = ask(t, manifest, message, **options)
    check(answer.startswith("error: "), "an error", answer)
    return answer[7:]


def redirect(to, status=302):
    return lambda request: response(b"elsewhere", status, [("Location", to)])


def hello(_request):
    return response(b"hello", fields=[("X-Kind", "greeting")])


def mirror(request):
    """The request as it came, as text."""
    lines = ["%s %s" % (request.method, request.target)]
    lines += ["%s: %s" % (name.lower(), value) for name, value in request.fields]
    return response("\n".join(lines).encode() + b"\n\n" + request.body)


# ---- requests and responses ------------------------------------------------------------------------

def test_status_headers_and_body_come_back(t):
    def created(_request):
        return response(b"body\xc3\xa9", 201, [("X-One", "1"), ("x-one", " 2 "), ("X-Empty", ""),
                                              ("X-Latin", "caf\xe9"), ("Set-Cookie", "a=b")])
    with serving({"/": created}) as server:
        answer = ask(t, fetch(t), "send GET " + server.url())
        check(answer == "201\nx-one: 1\nx-one: 2\nx-empty: \nx-latin: caf\xe9\nset-cookie: a=b\n"
              "content-length: 6\n\nbody\xe9", "all of it, names in lower case", answer)


def test_a_request_goes_as_it_was_given(t):
    with serving({"/p": mirror}) as server:
        answer = ask(t, fetch(t), "send POST %s\nX-One: 1\nX-Empty:\nAccept: a/b\nx-one: 2\n\nthe body"
                     % server.url("/p?q=1&r=%20"))
        got = answer.split("\n\n", 1)[1]
        check(got == "POST /p?q=1&r=%%20\nhost: 127.0.0.1:%d\nuser-agent: theater/0.1\nx-one: 1\n"
              "x-empty: \naccept: a/b\nx-one: 2\ncontent-length: 8\n\nthe body" % server.port,
              "nothing else", answer)


def test_methods(t):
    with serving({"/": mirror}) as server:
        manifest = fetch(t)
        for method, sent in (("get", "GET"), ("DELETE", "DELETE"), ("Put", "PUT"), ("PATCH", "PATCH"),
                             ("OPTIONS", "OPTIONS"), ("PURGE", "PURGE"), ("purge", "purge")):
            answer = ask(t, manifest, "send %s %s" % (method, server.url()))
            check("\n\n%s /\n" % sent in answer, method, answer)
        # A method that carries a body says that there is none.
        check("content-length: 0" in ask(t, manifest, "send POST " + server.url()).split("\n\n")[1],
              "no body")
        check("content-length" not in ask(t, manifest, "send GET " + server.url()).split("\n\n")[1],
              "no body")
        answer = ask(t, manifest, "send GET %s\n\nwith" % server.url())
        check(answer.endswith("content-length: 4\n\nwith"), "GET may have one", answer)


def test_head_has_no_body(t):
    with serving({"/": lambda request: response(b"x" * 5)[:-5]}) as server:
        answer = ask(t, fetch(t, "max_response_size = 1"), "send HEAD " + server.url())
        check(answer == "200\ncontent-length: 5", "fields only", answer)


def test_binary_bodies_are_intact(t):
    sizes = [0, 1, 255, 256, 65536, 100003, 3 * MIB]
    with serving({"/": lambda request: response(request.body),
                  "/made": lambda request: response(pattern(int(request.field("x-size"))))}) as server:
        answers = ask(t, fetch(t), *["sum POST %s\n\n@%d" % (server.url(), size) for size in sizes],
                      *["sum GET %s\nx-size: %d" % (server.url("/made"), size) for size in sizes])
        check(answers[:-1] == 2 * ["200 %d %s" % (size, fnv(pattern(size))) for size in sizes],
              "what was sent and what came", answers)
        check([request.body for request in server.requests[:len(sizes)]] ==
              [pattern(size) for size in sizes], "what the server got")


def test_chunks_trailers_and_early_answers(t):
    def chunked(_request):
        return (b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Folded: a\r\n  b\r\n\r\n"
                b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Trailer: t\r\n\r\n")
    with serving({"/": chunked}) as server:
        answer = ask(t, fetch(t), "send GET " + server.url())
        check(answer == "200\ntransfer-encoding: chunked\nx-folded: a b\n\nabcde", "the response",
              answer)


def test_a_body_until_the_connection_closes(t):
    async def until_close(request):
        request.writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    with serving({"/": until_close}) as server:
        answer = ask(t, fetch(t), "send GET " + server.url())
        check(answer == "200\n\nall of it", "the body", answer)


def test_content_codings_are_left_alone(t):
    packed = b"\x1f\x8b\x08\x00not really"
    with serving({"/": lambda request: response(packed, fields=[("Content-Encoding", "gzip")])}) as server:
        answer = ask(t, fetch(t), "sum GET %s\nAccept-Encoding: gzip" % server.url())
        check(answer == "200 %d %s" % (len(packed), fnv(packed)), "as it was sent", answer)
        check(server.requests[0].field("accept-encoding") == "gzip", "asked for")


# ---- what is no request ------------------------------------------------------------------------------

def test_invalid_requests_are_refused_before_anything_is_sent(t):
    with serving({"/": hello}) as server:
        url, manifest = server.url(), fetch(t)
        rows = [("send GET%01 " + url, "invalid method:"), ("send  " + url, "invalid method:"),
                ("send CONNECT " + url, "invalid method:"),
                ("send GET ftp://127.0.0.1/", "invalid URL:"), ("send GET /", "invalid URL:"),
                ("send GET file:///etc/passwd", "invalid URL:"),
                ("send GET http://user:secret@127.0.0.1/", "invalid URL:"),
                ("send GET %s\nX-A: a\rInjected: 1" % url, "invalid header:"),
                ("send GET %s\nX A: a" % url, "invalid header:"), ("send GET %s\n: a" % url, "invalid"),
                ("send GET %s\nConnection: close" % url, "header not allowed: Connection"),
                ("send GET %s\nTransfer-Encoding: chunked" % url, "header not allowed:"),
                ("send GET %s\nhost: other.example" % url, "header not allowed: host other"),
                ("send POST %s\ncontent-length: 5\n\nfour" % url, "header not allowed: content-length"),
                ("send HEAD %s\n\nbody" % url, "invalid body:"),
                ("send GET %s\r\nX: y" % url, "invalid URL:")]
        rows[0] = ("send GE(T " + url, "invalid method:")
        answers = t.requests(manifest, *[message for message, _ in rows]).expect(OK).out.split("\n")
        for (message, wanted), answer in zip(rows, answers):
            check(answer.startswith("error: " + wanted), repr(message), answer)
        check(server.connections == 0, "nothing was sent", server.log)
        # What says the same as the client would is fine.
        answer = ask(t, manifest, "send POST %s\nHost: 127.0.0.1:%d\nContent-Length: 4\n\nfour" % (
            url, server.port))
        check(answer.startswith("200"), "implied fields", answer)


def test_without_the_block_the_component_is_refused(t):
    fetch(t)
    manifest = t.manifest("fetch.wasm", '[[handler]]\ntype = "supervisor"\n', file="no.toml")
    t.run("run", manifest, "--until-idle").expect(harness.ERROR, err='type = "http-client"')


# ---- permissions -------------------------------------------------------------------------------------

def test_hosts_and_methods_are_checked(t):
    with serving({"/": hello}) as server:
        url = server.url()
        only = fetch(t, 'allowed_hosts = ["127.0.0.1:%d"]\nallowed_methods = ["GET"]' % server.port)
        check(ask(t, only, "sum GET " + url).startswith("200"), "the allowed one")
        denied = error_of(t, only, "send POST " + url)
        check(denied == "permission denied: POST to http://127.0.0.1:%d" % server.port, denied)
        for target in (server.url(host="localhost"), "http://127.0.0.1:1/", "http://127.0.0.1/",
                       "http://evil.example/"):
            denied = error_of(t, only, "send GET " + target)
            check(denied.startswith("permission denied: GET to ") and
                  "%d" % server.port not in denied.replace(target.rstrip("/"), ""), denied)
        check(server.log == [("GET", "/")], "nothing else was contacted", server.log)
        for block in ("allowed_hosts = []", "allowed_methods = []"):
            check(error_of(t, fetch(t, block), "send GET " + url).startswith("permission denied: "),
                  block)
        check(len(server.log) == 1, "nothing else was contacted", server.log)


def test_a_denial_is_an_event(t):
    fetch(t, 'allowed_hosts = ["a.example"]')
    ask(t, os.path.join(t.folder, "fetch.toml"), "send GET http://b.example/x")
    denials = [event for event in t.events("a") if event["type"] == "permission-denied"]
    check(len(denials) == 1 and "b.example" in str(denials[0]) and "a.example" not in str(denials[0]),
          "one", denials)


def test_the_policy_binds_children(t):
    with serving({"/": hello}) as server:
        fetch(t)
        parent = fetch(t, policy='[permission_policy.http_client]\ntype = "restrict"\nconfig = '
                       '{ allowed_hosts = ["a.example"] }', file="parent.toml")
        run = t.requests(parent, "crowd 1 send GET " + server.url()).expect(OK)
        check("permission denied: GET to" in run.err, "the child is denied", run)
        check(server.connections == 0, "not contacted")


# ---- redirects ---------------------------------------------------------------------------------------

def test_redirects_are_followed(t):
    with serving({"/a": redirect("b?x=1"), "/b": redirect("/c/../d#frag", 308),
                  "/d": hello}) as server:
        check(ask(t, fetch(t), "send GET " + server.url("/a")).startswith("200\nx-kind"), "the end")
        check(server.log == [("GET", "/a"), ("GET", "/b?x=1"), ("GET", "/d")], server.log)
        check(server.connections == 1, "on one connection", server.connections)


def test_what_becomes_of_the_method(t):
    paths = {"/to": mirror}
    for status in (301, 302, 303, 307, 308):
        paths["/%d" % status] = redirect("/to", status)
    with serving(paths) as server:
        manifest = fetch(t)
        for method, status, sent in (("POST", 301, "GET"), ("POST", 302, "GET"), ("POST", 303, "GET"),
                                     ("POST", 307, "POST"), ("POST", 308, "POST"), ("PUT", 301, "PUT"),
                                     ("PUT", 303, "GET"), ("DELETE", 302, "DELETE")):
            answer = ask(t, manifest, "send %s %s\nContent-Type: a/b\nX-A: 1\n\nbody" % (
                method, server.url("/%d" % status))).split("\n\n", 1)[1]
            check(answer.startswith("%s /to\n" % sent) and "x-a: 1" in answer, "%s %d" % (
                method, status), answer)
            check(("content-type: a/b" in answer and answer.endswith("\n\nbody")) == (sent == method),
                  "the body of %s %d" % (method, status), answer)
        check(ask(t, manifest, "send HEAD " + server.url("/303")).startswith("200"), "HEAD stays")
        check(server.log[-1] == ("HEAD", "/to"), server.log[-1])


def test_redirects_are_checked_on_every_hop(t):
    with serving({"/": hello}) as other:
        with serving({"/out": redirect(other.url("/")), "/in": redirect("/ok"), "/ok": hello}) as server:
            manifest = fetch(t, 'allowed_hosts = ["127.0.0.1:%d"]' % server.port)
            check(ask(t, manifest, "sum GET " + server.url("/in")).startswith("200"), "within")
            denied = error_of(t, manifest, "send GET " + server.url("/out"))
            check(denied == "permission denied: redirect: GET to http://127.0.0.1:%d" % other.port,
                  denied)
            check(other.connections == 0, "not contacted")
            denials = [event for event in t.events("a") if event["type"] == "permission-denied"]
            check(len(denials) == 1, "recorded", denials)
            # 303 makes a GET of it, which this actor may not.
            only_post = fetch(t, 'allowed_methods = ["POST"]')
            server.paths["/see"] = redirect("/ok", 303)
            denied = error_of(t, only_post, "send POST " + server.url("/see"))
            check("redirect: GET to" in denied, denied)


def test_credentials_stay_with_their_origin(t):
    with serving({"/": mirror}) as other:
        with serving({"/out": redirect(other.url("/")), "/in": redirect("/m"), "/m": mirror}) as server:
            secret = "\nAuthorization: Bearer s\nCookie: a=b\nX-Kept: 1"
            answer = ask(t, fetch(t), "send GET " + server.url("/in") + secret)
            check("authorization: Bearer s" in answer and "cookie: a=b" in answer, "same origin", answer)
            answer = ask(t, fetch(t), "send GET " + server.url("/out") + secret)
            check("x-kept: 1" in answer, "other fields", answer)
            check("authorization" not in answer and "cookie" not in answer, "another origin", answer)


def test_redirects_end(t):
    with serving({"/loop": redirect("/loop"), "/n": redirect("/loop"),
                  "/bad": redirect("http://a b/"), "/scheme": redirect("file:///etc/passwd"),
                  "/user": redirect("//u:p@127.0.0.1/"),
                  "/none": lambda request: response(b"no location", 302)}) as server:
        check(error_of(t, fetch(t, "max_redirects = 3"), "send GET " + server.url("/loop")) ==
              "too many redirects: more than 3", "a loop")
        check(len(server.log) == 4, server.log)
        manifest = fetch(t)
        for path in ("/bad", "/scheme", "/user"):
            text = error_of(t, manifest, "send GET " + server.url(path))
            check(text.startswith("invalid redirect: invalid URL"), text)
        check(ask(t, manifest, "send GET " + server.url("/none")).startswith("302"), "no Location")
        check(ask(t, fetch(t, "max_redirects = 0"), "send GET " + server.url("/loop")).startswith(
            "302\nlocation: /loop"), "none are followed")


# ---- limits ------------------------------------------------------------------------------------------

def test_the_size_of_a_response_is_limited(t):
    async def trickle(request):
        request.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            request.writer.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        await request.writer.drain()
        return b"0\r\n\r\n"
    body = b"x" * 2000
    with serving({"/announced": lambda request: response(body), "/chunked": trickle,
                  "/wrong": lambda request: b"HTTP/1.1 200 OK\r\n\r\n" + body,
                  "/redirect": lambda request: response(b"x" * 300000, 302, [("Location", "/ok")]),
                  "/ok": hello}) as server:
        manifest = fetch(t, "max_response_size = 1999")
        for path in ("/announced", "/chunked"):
            text = error_of(t, manifest, "send GET " + server.url(path))
            check(text == "response too large: its body has more than 1999 bytes", path, text)
        check(ask(t, fetch(t, "max_response_size = 2000"), "sum GET " + server.url("/announced"))
              .startswith("200 2000 "), "exactly")
        check(ask(t, fetch(t, "max_response_size = 0"), "send GET " + server.url("/announced"))
              .startswith("error: response too large"), "none at all")
        manifest = fetch(t, "max_response_size = 1999")
        check(ask(t, manifest, "sum GET " + server.url("/redirect")).startswith("200 5"),
              "a redirect's body does not matter")


def test_large_responses_come_whole_or_are_refused(t):
    with serving({"/": lambda request: response(bytes(int(request.field("x-size"))))}) as server:
        manifest = fetch(t, "max_response_size = 1000000000",
                         policy="[limits]\nmemory_bytes = 1000000000\nmessage_bytes = 64000000\n")
        sizes = (40 * MIB, 99 * MIB, 110 * MIB)
        answers = ask(t, manifest, *["sum GET %s\nx-size: %d" % (server.url(), size)
                                     for size in sizes])
        check(answers[0].startswith("200 %d " % sizes[0]) and
              answers[1].startswith("200 %d " % sizes[1]), "both came", answers)
        check("response too large" in answers[2], "no room in an event", answers)


def test_the_header_of_a_response_is_limited(t):
    def many(_request):
        return response(fields=[("X-%d" % i, "y") for i in range(1001)])
    def long(_request):
        return response(fields=[("X-%d" % i, "y" * 30000) for i in range(10)])
    with serving({"/many": many, "/long": long}) as server:
        for path in ("/many", "/long"):
            text = error_of(t, fetch(t), "send GET " + server.url(path))
            check(text.startswith("response headers too large"), path, text)


def test_timeouts(t):
    async def silent(_request):
        await asyncio.sleep(60)
    async def half(request):
        request.writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
        await asyncio.sleep(60)
    async def trickle(request):
        request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            request.writer.write(b"x")
            await request.writer.drain()
            await asyncio.sleep(0.02)
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    # A queue of connections that nobody takes: further ones hang.
    held = [socket.socket() for _ in range(4)]
    for one in held:
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    with serving({"/silent": silent, "/half": half, "/trickle": trickle}) as server:
        manifest = fetch(t, "timeout = 300")
        for url in (server.url("/silent"), server.url("/half"), server.url("/trickle"),
                    "http://127.0.0.1:%d/" % full.getsockname()[1]):
            text = error_of(t, manifest, "send GET " + url)
            check(text == "timeout: no complete response within 300 ms", url, text)
    for one in held + [full]:
        one.close()


# ---- broken servers ----------------------------------------------------------------------------------

def test_errors_of_the_network(t):
    closed = socket.socket()
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    manifest = fetch(t)
    text = error_of(t, manifest, "send GET http://127.0.0.1:%d/" % port)
    check(text == "connection refused: 127.0.0.1:%d" % port, text)
    text = error_of(t, manifest, "send GET http://nobody.invalid/")
    check(text == "name not resolved: nobody.invalid", text)
    closed.close()


def test_a_server_that_closes_early(t):
    def cut(data):
        async def write(request):
            request.writer.write(data)
        return write
    with serving({"/nothing": lambda request: None, "/half": cut(b"HTTP/1.1 200 OK\r\nX-A: 1\r\n"),
                  "/body": cut(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
                  "/chunk": cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
                  }) as server:
        for path in server.paths:
            text = error_of(t, fetch(t), "send GET " + server.url(path))
            check(text.startswith("connection ") or text.startswith("invalid response"), path, text)


def test_garbage_is_no_response(t):
    rows = {"/a": b"SSH-2.0-OpenSSH_9.2\r\n", "/b": b"\x00\xff\xfe garbage \r\n\r\n", "/c": b"HTTP/9.9 abc\r\n\r\n",
            "/d": b"hello, I am HTTP/0.9", "/e": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "/f": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "/g": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: a\x00b\r\n\r\n1"}
    def give(data):
        async def write(request):
            request.writer.write(data)
        return write
    with serving({path: give(data) for path, data in rows.items()}) as server:
        for path in rows:
            answer = ask(t, fetch(t, "timeout = 5000"), "send GET " + server.url(path))
            check(answer.startswith(("error: invalid response", "error: connection ")) or
                  (path == "/g" and answer.startswith("200\ncontent-length: 1\n")), path, answer)


# ---- TLS ---------------------------------------------------------------------------------------------

def test_certificates_are_verified(t):
    authority = web.Authority(os.path.join(t.folder, "ca"))
    trusting = t.env(SSL_CERT_FILE=authority.certificate)
    manifest = fetch(t)
    rows = [(authority.context(), None),
            (authority.context(names="DNS:other.example"), "tls: the certificate is for another host"),
            (authority.context(start="20200101000000Z", end="20210101000000Z"),
             "tls: the certificate has expired"),
            (authority.context(start="20980101000000Z"), "tls: the certificate is not valid yet"),
            (authority.self_signed(), "tls: the certificate is not from a trusted authority")]
    for context, wanted in rows:
        with serving({"/": hello}, context) as server:
            answer = ask(t, manifest, "sum GET " + server.url(), env=trusting)
            check(answer == "error: " + wanted if wanted else answer.startswith("200 5 "), wanted, answer)
            check(bool(server.log) == (wanted is None), "nothing was asked", server.log)
    with serving({"/": hello}, authority.context()) as server:
        text = error_of(t, manifest, "send GET " + server.url())
        check(text == "tls: the certificate is not from a trusted authority", "the system's store", text)
        text = error_of(t, manifest, "send GET " + server.url(),
                        env=t.env(SSL_CERT_FILE=os.path.join(t.folder, "missing.pem")))
        check(text == "tls: the store of trusted certificates cannot be read", text)


def test_tls_connections_are_used_again_and_never_left_for_plain_ones(t):
    authority = web.Authority(os.path.join(t.folder, "ca"))
    with serving({"/": hello}) as plain:
        with serving({"/": hello, "/down": redirect(plain.url())}, authority.context()) as server:
            env = t.env(SSL_CERT_FILE=authority.certificate)
            answers = ask(t, fetch(t), *["sum GET " + server.url()] * 5, env=env)
            check(answers[:5] == ["200 5 " + fnv(b"hello")] * 5 and server.connections == 1,
                  "one connection", server.connections)
            text = error_of(t, fetch(t), "send GET " + server.url("/down"), env=env)
            check(text == "invalid redirect: from https to http" and plain.connections == 0, text)


def test_a_server_without_tls(t):
    listener = socket.create_server(("127.0.0.1", 0))
    def answer():
        with listener.accept()[0] as connection:
            connection.recv(1)
            connection.sendall(b"HTTP/1.1 400 Not TLS\r\n\r\n")
    thread = threading.Thread(target=answer)
    thread.start()
    text = error_of(t, fetch(t), "send GET https://127.0.0.1:%d/" % listener.getsockname()[1])
    check(text == "tls: the handshake failed", text)
    thread.join(10)
    listener.close()


def test_the_environment_has_no_say(t):
    with serving({"/": hello}) as server:
        proxy = "http://127.0.0.1:1/"
        env = t.env(http_proxy=proxy, https_proxy=proxy, all_proxy=proxy, HTTP_PROXY=proxy)
        t.write(".netrc", "machine 127.0.0.1 login user password secret\n")
        env["HOME"] = t.folder
        check(ask(t, fetch(t), "sum GET " + server.url(), env=env).startswith("200"), "no proxy")
        check(server.requests[0].field("authorization") is None, "no .netrc")


# ---- many at once ------------------------------------------------------------------------------------

def test_connections_are_used_again(t):
    with serving({"/": hello}) as server:
        ask(t, fetch(t), *["sum GET " + server.url()] * 20)
        check(len(server.log) == 20 and server.connections == 1, "one connection",
              server.connections)


def test_a_connection_that_went_away_is_made_again(t):
    async def last(request):
        request.writer.write(response(b"last"))
    with serving({"/": last}) as server:
        answers = ask(t, fetch(t), *["sum GET " + server.url()] * 3)
        check(answers[:3] == ["200 4 " + fnv(b"last")] * 3 and server.connections == 3,
              "each on its own", answers, server.connections)


class Gate:
    """Holds requests until `count` of them have come, or somebody opens it."""

    def __init__(self, count):
        self.count, self.waiting = count, []
        self.full, self.opened = threading.Event(), None

    async def __call__(self, request):
        if self.opened is None:
            self.opened = asyncio.Event()
        self.waiting.append(request)
        if len(self.waiting) == self.count:
            self.full.set()
        await self.opened.wait()
        return response(b"through")

    def open(self, server):
        server.loop.call_soon_threadsafe(self.opened.set)


@contextlib.contextmanager
def handles(count):
    """What is started meanwhile may have so many handles."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < count:
        raise harness.Skip("the system permits %d handles, %d are needed" % (before[1], count))
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def threads_of(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def test_a_thousand_requests_in_flight_without_a_thread_each(t):
    gate, count = Gate(1000), 1000
    # One half of an eighth of the handles is for one host (docs/interfaces/http-client.md).
    with handles(16 * count), serving({"/": gate}) as server:
        live = t.start("run", fetch(t, "timeout = 120000"), "--id", "a", "--request",
                       "crowd %d sum GET %s" % (count, server.url()), "--until-idle")
        check(gate.full.wait(harness.LIMIT_S), "all of them at once", len(gate.waiting), live.result())
        threads = threads_of(live.pid)
        gate.open(server)
        run = live.wait().expect(OK)
        check(run.err.count("200 7 " + fnv(b"through")) == count, "all were answered", run)
        check(threads < 30, "threads", threads)
        check(server.connections == count, "one connection each", server.connections)


def test_the_rest_waits_its_turn(t):
    """More requests than the process has handles for: none fails."""
    with serving({"/": hello}) as server:
        manifest = fetch(t, "timeout = 120000")
        live = t.start("run", manifest, "--id", "a", "--request",
                       "crowd 300 sum GET " + server.url(), "--until-idle",
                       through=("prlimit", "--nofile=256:256"))
        run = live.wait().expect(OK)
        check(run.err.count("200 5 " + fnv(b"hello")) == 300, "all were answered", run)
        check(server.connections <= 32, "few connections", server.connections)




def test_a_stop_ends_the_exchange(t):
    gone = threading.Event()
    asked = threading.Event()
    async def hang(request):
        asked.set()
        with contextlib.suppress(ConnectionError):
            await request.reader.read()
        gone.set()
    async def when(_request):
        while not asked.is_set():
            await asyncio.sleep(0.01)
        return response(b"now")
    with serving({"/hang": hang, "/when": when}) as server:
        live = t.start("run", fetch(t, "timeout = 600000"), "--id", "a", "--request",
                       "crowd 1 sum GET " + server.url("/hang"), "--request",
                       "sum GET " + server.url("/when"), "--request", "stop")
        live.wait_line("stopped 1", "out")
        check(gone.wait(20), "the connection is closed at once", live.result())
        live.signal(15)
        live.wait().sane()


def test_the_end_of_the_node_ends_the_exchange(t):
    gate = Gate(20)
    with serving({"/": gate}) as server:
        live = t.start("run", fetch(t, "timeout = 600000"), "--id", "a", "--request",
                       "crowd 20 sum GET " + server.url())
        check(gate.full.wait(harness.LIMIT_S), "under way", live.result())
        live.signal(15)
        run = live.wait(30).sane()
        check(run.code == harness.SIGTERM_EXIT, "an orderly end", run)
        t.run("chain", "verify").expect(OK)


harness.main(globals())
