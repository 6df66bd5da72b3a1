# SPDX-License-Identifier: Apache-2.0
"""WebSockets on the paths of an actor's HTTP server (http-framework, http-handlers), by the guest
tests/guests/sockets. The protocol itself is in test_websocket.py."""
import http.client
import re
import shutil
import socket
import ssl
import subprocess

import harness
from harness import OK, check
from websocket_client import (BINARY, CLOSE, PING, PONG, TEXT, Client, Refused, close_payload,
                              frame)


def serve(t, text="", block="", name="a"):
    """A running actor; gives it and its port."""
    shutil.copy(harness.guest("sockets/sockets.wasm"), t.folder)
    manifest = t.manifest("sockets.wasm", "%s\n[[handler]]\ntype = \"http-framework\"\n%s\n"
                          % (text, block))
    live = t.start("run", manifest, "--id", name)
    return live, int(live.wait_line("[%s] port " % name).rsplit(" ", 1)[1])


def connect(port, target="/chat", **options):
    """A client that was greeted, and its id."""
    client = Client(port, target, **options)
    kind, payload = client.receive()
    check(kind == TEXT, "a greeting", kind, payload)
    number, rest = payload.decode().split(" ", 1)
    return client, number, rest


def stop(live):
    live.signal(2)
    live.wait()
    live.result().sane()


def refused(port, target, **options):
    """The status of an opening that is refused."""
    try:
        Client(port, target, **options).close()
    except Refused as refusal:
        return refusal.status
    return 101


def test_path_and_query_reach_the_actor(t):
    live, port = serve(t)
    for target, wanted in (("/chat", "/chat (none)"), ("/chat?", "/chat "),
                           ("/chat?a=b&c=%20d", "/chat a=b&c=%20d"),
                           ("/room/blue?x", "/room/blue x")):
        client, _, greeting = connect(port, target)
        check(greeting == wanted, "path and query", greeting, wanted)
        client.finish()
    for target, status in (("/", 404), ("/chats", 404), ("/room", 404), ("/chat/x", 404)):
        check(refused(port, target) == status, "no such path", target)
    stop(live)


def test_messages_and_answers(t):
    live, port = serve(t)
    client, _, _ = connect(port)
    client.send(frame(TEXT, b"one") + frame(BINARY, b"two") + frame(PING, b"p") + frame(PONG))
    got = [client.receive() for _ in range(5)]
    # The pong goes out at once, before the actor has been asked.
    check(sorted(got) == sorted([(TEXT, b"one"), (BINARY, b"two"), (PONG, b"p"), (TEXT, b"a ping"),
                                 (TEXT, b"a pong")]), "all of it", got)
    check([one for one in got if one[0] != PONG] == [
        (TEXT, b"one"), (BINARY, b"two"), (TEXT, b"a ping"), (TEXT, b"a pong")], "in order", got)
    client.finish()
    live.wait_line("disconnect ")
    stop(live)
    names = [event["type"] for event in t.events("a")]
    for name in ("handle-websocket-connect", "handle-websocket-message",
                 "handle-websocket-disconnect"):
        check(name in names, "the chain has " + name, names)


def test_one_client_sends_to_another(t):
    live, port = serve(t)
    one, _, _ = connect(port)
    other, number, _ = connect(port, "/room/b")
    check(one.ask("send %s hello you" % number) == "ok", "sent")
    check(other.receive() == (TEXT, b"hello you"), "and received")
    check(one.ask("ping " + number) == "ok" and other.receive() == (PING, b""), "a ping")
    check("error: only text" in one.ask("other " + number), "what cannot be sent is an error")
    check(one.ask("drop " + number) == "ok", "dropped")
    check(other.receive() == (CLOSE, close_payload(1000)), "closed")
    check("closing" in one.ask("send %s x" % number), "it is closing")
    other.send(frame(CLOSE, close_payload(1000)))
    check(other.ended(), "ended")
    live.wait_line("disconnect " + number)
    answer = one.ask("send %s x" % number)
    check(answer == "error: WebSocket connection not found: " + number, "gone", answer)
    check("not found" in one.ask("send 12345 x"), "never there")
    one.finish()
    stop(live)


def test_connections_are_bounded_by_the_manifest(t):
    live, port = serve(t, block="[limits]\nwebsockets = 3\n")
    clients = [connect(port)[0] for _ in range(3)]
    for _ in range(5):
        check(refused(port, "/chat") == 503, "no more than three")
    check(clients[0].ask("send 12345 x").startswith("error"), "the others go on")
    clients.pop().finish()
    live.wait_line("disconnect ")
    connect(port)[0].finish()
    stop(live)
    reached = [event["data"] for event in t.events("a") if event["type"] == "limit-reached"]
    check([data["1"] for data in reached] == ["websockets"], "an event", reached)
    check("5 WebSocket connections were refused (limits.websockets 3)" in reached[0]["3"],
          "which says how many", reached)


def test_a_disconnect_for_every_connect(t):
    live, port = serve(t)
    clients = [connect(port)[0] for _ in range(30)]
    for number, client in enumerate(clients):
        if number % 3 == 0:
            client.finish()
        elif number % 3 == 1:
            client.close()
        else:
            client.send(frame(3))  # an unknown kind
            check(client.receive()[1][:2] == close_payload(1002) and client.ended(), "refused")
    live.wait_line("disconnect ", count=30)
    client, number, _ = connect(port)
    check(client.ask("seen") == "31 30", "once each")
    client.finish()
    live.wait_line("disconnect " + number)
    stop(live)
    check("wrong handler" not in live.text("err"), "each event has its handler", live.result())


def test_a_connect_that_fails_is_refused(t):
    live, port = serve(t)
    client = Client(port, "/chat?refuse")
    check(client.receive() == (CLOSE, close_payload(1008)), "closed by policy")
    client.close()
    client, _, _ = connect(port)
    check(client.ask("seen") == "1 0", "it neither came nor went")
    client.finish()
    stop(live)


def test_a_path_without_connect_and_disconnect(t):
    live, port = serve(t)
    client = Client(port, "/quiet")
    check(client.ask("hello") == "hello", "messages come")
    check(client.ask("seen") == "0 0", "nothing else")
    client.finish()
    stop(live)


def test_paths_come_and_go(t):
    live, port = serve(t)
    client, _, _ = connect(port)
    check(client.ask("info") == "websocket 1 running 1", "the server says so")
    check(client.ask("disable /chat") == "ok", "disabled")
    check("no WebSocket" in client.ask("disable /chat"), "once")
    check(refused(port, "/chat") == 404, "nobody comes any more")
    check(client.ask("still") == "still", "who is there stays")
    check(client.ask("enable /new") == "ok", "another path")
    check("error" in client.ask("enable /new"), "once")
    check("error" in client.ask("enable new"), "a path begins with a slash")
    other = Client(port, "/new")
    check(other.ask("x") == "x", "it works")
    for path in ("/quiet", "/room/{name}", "/guarded/in", "/both", "/new"):
        check(client.ask("disable " + path) == "ok", "disabled", path)
    check(client.ask("info") == "websocket 0 running 1", "none is left")
    for one in (other, client):
        one.finish()
    stop(live)


def test_middleware_sees_the_opening(t):
    live, port = serve(t)
    check(refused(port, "/guarded/in") == 403, "without Origin")
    check(refused(port, "/guarded/in", headers={"Origin": "http://bad.example"}) == 403, "another")
    client, _, _ = connect(port, "/guarded/in", headers={"Origin": "http://good.example"})
    check(client.ask("in") == "in", "let in")
    client.finish()
    stop(live)


def test_http_beside_websocket(t):
    live, port = serve(t)
    web = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    web.request("GET", "/both")
    answer = web.getresponse()
    check(answer.status == 200 and answer.read() == b"a page", "the route answers")
    web.request("GET", "/chat")
    answer = web.getresponse()
    check(answer.status == 426 and answer.getheader("Sec-WebSocket-Version") == "13",
          "no WebSocket was asked for", answer.status)
    answer.read()
    client, _, _ = connect(port, "/both")
    check(client.ask("x") == "x", "and the WebSocket too")
    client.finish()
    stop(live)


def test_stop_server_closes_its_connections(t):
    live, port = serve(t)
    other, number, _ = connect(port)
    client, _, _ = connect(port)
    client.text("stop")
    check(other.receive() == (CLOSE, close_payload(1001)), "going away")
    other.send(frame(CLOSE, close_payload(1001)))
    check(other.ended(), "ended")
    live.wait_line("disconnect " + number)
    client.close()
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        check(False, "it still listens")
    except ConnectionRefusedError:
        pass
    stop(live)


def test_a_trap_ends_the_connections(t):
    live, port = serve(t)
    other, _, _ = connect(port)
    client, _, _ = connect(port)
    client.text("trap")
    check(client.receive()[0] == CLOSE, "closed")
    check(other.receive() == (CLOSE, close_payload(1001)), "going away")
    live.wait()
    live.result().sane()


def test_what_nobody_takes_is_an_error(t):
    live, port = serve(t, "[limits]\nmessage_bytes = 2000000\n")
    client, number, _ = connect(port)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.text("large")
    line = live.wait_line("large: ")
    check("WebSocket connection " + number in line, "the error names the connection", line)
    live.wait_line("disconnect " + number)
    client.close()
    stop(live)


def test_routes_of_the_manifest_bound_the_paths(t):
    shutil.copy(harness.guest("sockets/sockets.wasm"), t.folder)
    manifest = t.manifest("sockets.wasm", '[[handler]]\ntype = "http-framework"\n'
                          'allowed_routes = ["/both"]\n')
    run = t.run("run", manifest, "--id", "a")
    check(run.code != OK and "permission denied: WebSocket path /chat" in run.err, "denied", run)


def test_tls(t):
    openssl = shutil.which("openssl")
    if openssl is None:
        raise harness.Skip("no openssl")
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", "key.pem", "-out",
                    "cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1"], cwd=t.folder, check=True, capture_output=True)
    live, port = serve(t, 'initial_state = "true"')
    trusting = ssl.create_default_context(cafile=t.folder + "/cert.pem")
    client, _, _ = connect(port, tls=trusting)
    large = "ü" * 200000
    check(client.ask(large) == large, "a large message there and back")
    client.send(b"".join(frame(TEXT, b"n%d" % i) for i in range(100)))
    got = [client.receive() for _ in range(100)]
    check(got == [(TEXT, b"n%d" % i) for i in range(100)], "in order")
    client.finish()
    others = [connect(port, tls=trusting)[0] for _ in range(20)]
    for one in others:
        check(one.ask("x") == "x", "many at once")
    others[0].finish()
    stop(live)


harness.main(globals())
