# SPDX-License-Identifier: Apache-2.0
"""WebSockets, by the interface websocket-server and the guest tests/guests/websocket: the protocol
case by case, the events an actor gets, and clients that misbehave."""
import os
import re
import shutil
import socket
import subprocess
import time

import harness
from harness import OK, check
from websocket_client import (BINARY, CLOSE, PING, PONG, TEXT, Client, Ended, Refused,
                              close_payload, frame)


def serve(t, limits="turn_cpu_ms = 500", more="", port=0):
    """A running actor; gives it and its port."""
    component = os.path.join(t.folder, "websocket.wasm")
    if not os.path.exists(component):
        shutil.copy(harness.guest("websocket/websocket.wasm"), component)
    manifest = t.manifest("websocket.wasm", '[[handler]]\ntype = "websocket-server"\nport = %d\n'
                          '%s\n[limits]\n%s\n' % (port, more, limits))
    live = t.start("run", manifest, "--id", "a")
    line = live.wait_line("listening on ws://")
    return live, int(re.search(r":(\d+)$", line).group(1))


def connect(port, target="/t", **options):
    """A client that has read the message that answers its connect."""
    client = Client(port, target, **options)
    kind, payload = client.receive()
    check((kind, payload) == (TEXT, target.encode()), "the connect is answered", kind, payload)
    return client


def events(port):
    """How often each kind of event came, this client's own left out."""
    client = connect(port)
    words = client.ask("events").split()
    client.finish()
    counts = {words[i]: words[i + 1] for i in range(0, len(words) - 1, 2)}
    counts = {name: int(count) for name, count in counts.items() if name != "last"}
    counts["connect"] -= 1
    counts["text"] -= 1
    counts["last"] = words[-1] if words[-1] != "last" else ""
    return counts


def stop(live):
    live.signal(2)
    live.wait()
    live.result().sane()


# ---- the protocol, case by case ------------------------------------------------------------------

# What is sent, and what must come back: frames as (kind, payload), then the end of the connection
# unless the last of them is OPEN.
OPEN = (None, None)


def echo(kind, payload):
    return [(kind, payload)]


def fault(code):
    return [(CLOSE, code)]


LENGTHS = (0, 1, 125, 126, 127, 128, 65535, 65536, 65537)
GOOD_TEXTS = ["κόσμε", "\U0001f600", "\u0000", "\u007f\u0080\u07ff\u0800\uffff\U00010000\U0010ffff",
              "\ufffd\ufeff", "x" * 1000 + "ß"]
BAD_TEXTS = [b"\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x88\x80\x80\x80",
             b"\xfc\x84\x80\x80\x80\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80",
             b"\xfe", b"\xff", b"\xce", b"\xe1\x80", b"\xf0\x9f\x98", b"\xce\xba\xed\xa0\x80edited"]
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
              4000, 4999)
BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


def cases_of_lengths():
    for size in LENGTHS:
        text = b"*" * size
        # An empty text is a message too.
        yield "text of %d" % size, [frame(TEXT, text)], echo(TEXT, text) + [OPEN]
        data = os.urandom(size)
        yield "binary of %d" % size, [frame(BINARY, data)], echo(BINARY, data) + [OPEN]
    for size in (126, 65536):
        content = frame(BINARY, b"\xfe" * size)
        yield ("%d in small writes" % size,
               [content[i:i + 997] for i in range(0, len(content), 997)],
               echo(BINARY, b"\xfe" * size) + [OPEN])
    yield "125 in the long form", [frame(TEXT, b"x" * 125, form=2)], fault(1002)
    yield "65535 in the long form", [frame(TEXT, b"x" * 65535, form=8)], fault(1002)


def cases_of_control_frames():
    for size in (0, 1, 124, 125):
        payload = bytes(range(size))
        yield "ping of %d" % size, [frame(PING, payload)], [(PONG, payload), OPEN]
    yield "ping of 126", [frame(PING, b"x" * 126)], fault(1002)
    yield "pong of 126", [frame(PONG, b"x" * 126)], fault(1002)
    yield "ping byte by byte", [bytes([b]) for b in frame(PING, b"abc")], [(PONG, b"abc"), OPEN]
    yield "pong that nobody asked for", [frame(PONG, b"x"), frame(PING, b"y")], [(PONG, b"y"), OPEN]
    yield ("ten pings at once", [b"".join(frame(PING, b"%d" % i) for i in range(10))],
           [(PONG, b"%d" % i) for i in range(10)] + [OPEN])
    for kind in (PING, PONG, CLOSE):
        yield "control frame %d in pieces" % kind, [frame(kind, b"", fin=False)], fault(1002)


def cases_of_reserved():
    for bits in range(1, 8):
        for kind in (TEXT, BINARY, PING, CLOSE):
            yield "bits %d of %d" % (bits, kind), [frame(kind, b"x", reserved=bits)], fault(1002)
    for kind in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield "kind %d" % kind, [frame(kind, b"x")], fault(1002)
        yield ("kind %d after a text" % kind, [frame(TEXT, b"one"), frame(kind)],
               echo(TEXT, b"one") + fault(1002))
    yield "no mask", [frame(TEXT, b"x", masked=False)], fault(1002)
    yield "no frame", [b"GET / HTTP/1.1\r\n\r\n"], fault(1002)


def cases_of_pieces():
    one, two, three = frame(TEXT, b"one", fin=False), frame(0, b"two", fin=False), frame(0, b"three")
    joined = echo(TEXT, b"onetwothree")
    yield "three pieces", [one, two, three], joined + [OPEN]
    yield "three pieces at once", [one + two + three], joined + [OPEN]
    yield "pings between", [one, frame(PING, b"p"), two, frame(PONG), three], (
        [(PONG, b"p")] + joined + [OPEN])
    yield "empty pieces", [frame(TEXT, fin=False), frame(0, fin=False), frame(0)], (
        echo(TEXT, b"") + [OPEN])
    yield "each byte a piece", [b"".join([frame(TEXT, b"\xce", fin=False),
                                          frame(0, b"\xba", fin=False), frame(0)])], (
        echo(TEXT, "κ".encode()) + [OPEN])
    yield "two messages in pieces", [frame(BINARY, b"a", fin=False), frame(0, b"b"), one, two,
                                     three], echo(BINARY, b"ab") + joined + [OPEN]
    yield "continuation of nothing", [three], fault(1002)
    yield "continuation after an end", [one, three, two], (
        echo(TEXT, b"onethree") + fault(1002))
    yield "text within a text", [one, frame(TEXT, b"x")], fault(1002)
    yield "binary within a text", [one, frame(BINARY, b"x", fin=False)], fault(1002)
    yield "close within a text", [one, frame(CLOSE, close_payload(1000))], fault(1000)


def cases_of_texts():
    for text in GOOD_TEXTS:
        content = text.encode()
        yield "text %r" % text[:10], [frame(TEXT, content)], echo(TEXT, content) + [OPEN]
        for cut in range(1, min(len(content), 8)):
            yield "text %r cut at %d" % (text[:10], cut), [
                frame(TEXT, content[:cut], fin=False), frame(0, content[cut:])], (
                    echo(TEXT, content) + [OPEN])
    for content in BAD_TEXTS:
        yield "bad text %r" % content, [frame(TEXT, content)], fault(1007)
        yield "bad text %r in pieces" % content, [
            frame(TEXT, content[:1], fin=False)] + [frame(0, content[i:i + 1], fin=False)
            for i in range(1, len(content))] + [frame(0)], fault(1007)
        yield "binary %r" % content, [frame(BINARY, content)], echo(BINARY, content) + [OPEN]
    # The rest of the frame, and of the message, need not come.
    yield "bad text, seen early", [frame(TEXT, b"ok" * 10 + b"\xf4\x90" + b"x" * 100)[:-90]], (
        fault(1007))
    yield "bad text, seen in the first piece", [frame(TEXT, b"\xed\xa0", fin=False)], fault(1007)


def cases_of_closes():
    yield "close without a code", [frame(CLOSE)], [(CLOSE, b"")]
    yield "close of one byte", [frame(CLOSE, b"x")], fault(1002)
    for code in GOOD_CODES:
        yield "code %d" % code, [frame(CLOSE, close_payload(code))], fault(code)
    for code in BAD_CODES:
        yield "code %d" % code, [frame(CLOSE, close_payload(code))], fault(1002)
        yield "code %d with text" % code, [frame(CLOSE, close_payload(code, b"x"))], fault(1002)
    yield "longest reason", [frame(CLOSE, close_payload(1000, b"r" * 123))], fault(1000)
    yield "reason too long", [frame(CLOSE, close_payload(1000, b"r" * 124))], fault(1002)
    yield "reason not UTF-8", [frame(CLOSE, close_payload(1000, b"\xce"))], fault(1007)
    yield "text after a close", [frame(CLOSE, close_payload(1000)) + frame(TEXT, b"x")], fault(1000)
    yield "two closes", [frame(CLOSE, close_payload(1000)) * 2], fault(1000)
    yield "close right after a text", [frame(TEXT, b"x") + frame(CLOSE, close_payload(1000))], (
        echo(TEXT, b"x") + fault(1000))


def play(port, sent, wanted):
    """Gives what came instead of what was wanted, or None."""
    client = connect(port)
    try:
        for part in sent:
            client.send(part)
        for kind, payload in wanted:
            if kind is None:
                client.finish()
                return None
            got = client.receive()
            is_it = (got[0] == kind and got[1][:2] == close_payload(payload)
                     if isinstance(payload, int) else got == (kind, payload))
            if not is_it:
                return "frame %d: %r" % (got[0], got[1][:50])
        return None if client.ended() else "more frames"
    except Ended:
        return "the end of the connection"
    finally:
        client.close()


def play_all(t, cases):
    live, port = serve(t)
    count = 0
    for name, sent, wanted in cases:
        wrong = play(port, sent, wanted)
        check(wrong is None, "case \"%s\": got %s" % (name, wrong))
        count += 1
    seen = events(port)
    check(seen["connect"] == seen["close"] == count, "every connection has a connect and a close",
          count, seen)
    stop(live)


def test_lengths(t):
    play_all(t, cases_of_lengths())


def test_control_frames(t):
    play_all(t, cases_of_control_frames())


def test_reserved_bits_and_kinds(t):
    play_all(t, cases_of_reserved())


def test_messages_in_pieces(t):
    play_all(t, cases_of_pieces())


def test_texts_are_utf8(t):
    play_all(t, cases_of_texts())


def test_closes(t):
    play_all(t, cases_of_closes())


def test_a_message_over_the_limit(t):
    live, port = serve(t, "message_bytes = 100000")
    for sent in ([frame(BINARY, b"x" * 100001)[:20]],
                 [frame(TEXT, b"x" * 60000, fin=False), frame(0, b"x" * 40001)[:20]],
                 [b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"]):
        check(play(port, sent, fault(1009)) is None, "the message is refused by its head")
    check(play(port, [frame(TEXT, b"x" * 99999)], echo(TEXT, b"x" * 99999) + [OPEN]) is None,
          "a message within the limit is not")
    stop(live)


# ---- the opening ---------------------------------------------------------------------------------

def test_openings_that_are_refused(t):
    live, port = serve(t)
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    for headers, status in (
            ({"Upgrade": None, "Connection": None}, 426), ({"Upgrade": "h2c"}, 426),
            ({"Connection": "close"}, 426), ({"Sec-WebSocket-Version": "8"}, 426),
            ({"Sec-WebSocket-Version": None}, 400), ({"Sec-WebSocket-Key": None}, 400),
            ({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Key": key[:-3] + "R=="}, 400),
            ({"Sec-WebSocket-Key": key, "sec-websocket-KEY": key}, 400),
            ({"Content-Length": "5"}, 400)):
        try:
            Client(port, headers=headers, early=b"12345" if "Content-Length" in headers else b"")
            check(False, "an opening was not refused", headers)
        except Refused as refused:
            check(refused.status == status, "the status is right", headers, refused.status)
            check(refused.body, "the body says why", headers)
            if status == 426:
                check(refused.headers["sec-websocket-version"] == "13", "the version is named",
                      refused.headers)
    seen = events(port)
    check(seen["connect"] == 0, "the actor hears nothing of them", seen)
    stop(live)


def test_openings_that_are_fine(t):
    live, port = serve(t)
    for headers in ({"Upgrade": "WebSocket"}, {"Connection": "keep-alive, Upgrade"},
                    {"Origin": "http://elsewhere.example"}, {"Sec-WebSocket-Protocol": "chat"},
                    {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}):
        connect(port, headers=headers).finish()
    # What comes in the same segment as the request is read.
    client = Client(port, "/early?a=b&c", early=frame(TEXT, b"first"))
    check(client.receive() == (TEXT, b"/early?a=b&c"), "the target, with its query")
    check(client.receive() == (TEXT, b"first"), "the message behind the request")
    client.finish()
    stop(live)


# ---- events and answers --------------------------------------------------------------------------

def test_every_event_reaches_the_actor(t):
    live, port = serve(t)
    client = connect(port)
    for part in (frame(TEXT, b"one"), frame(BINARY, b"two"), frame(PING, b"p"), frame(PONG, b"q")):
        client.send(part)
    got = [client.receive() for _ in range(3)]
    check(got == [(TEXT, b"one"), (BINARY, b"two"), (PONG, b"p")], "answers in order", got)
    client.send(frame(CLOSE, close_payload(4321, b"bye")))
    check(client.receive() == (CLOSE, close_payload(4321)), "the code comes back")
    check(client.ended(), "the server ends the connection")
    gone = connect(port)
    gone.close()
    harness.wait_until(lambda: events(port)["close"] >= 3, what="the close of who went away")
    seen = events(port)
    check([seen[kind] for kind in ("binary", "ping", "pong")] == [1, 1, 1], "one of each", seen)
    stop(live)
    chain = t.events("a")
    names = [event["type"] for event in chain]
    check(names.count("handle-message") >= 8, "each event is in the chain", names)


def test_the_payload_of_a_close(t):
    live, port = serve(t)
    client = connect(port)
    client.send(frame(CLOSE, close_payload(4321, b"bye")))
    check(client.receive()[0] == CLOSE and client.ended(), "closed")
    check(events(port)["last"] == close_payload(4321, b"bye").hex(), "code and text")
    connect(port).close()
    harness.wait_until(lambda: events(port)["last"] in ("", close_payload(1000).hex()))
    stop(live)


def test_answers_are_sent_in_order(t):
    live, port = serve(t)
    client = connect(port)
    client.text("many 500")
    got = [client.receive() for _ in range(500)]
    check(got == [(TEXT, b"%d" % i) for i in range(500)], "in order")
    client.send(b"".join(frame(TEXT, b"n%d" % i) for i in range(300)))
    got = [client.receive() for _ in range(300)]
    check(got == [(TEXT, b"n%d" % i) for i in range(300)], "messages one after the other")
    client.text("large 300000")
    check(client.receive() == (BINARY, b"b" * 300000), "a large answer")
    client.finish()
    stop(live)


def test_what_an_actor_may_send(t):
    live, port = serve(t)
    client = connect(port)
    client.text("ping hi")
    check(client.receive() == (PING, b"hi"), "a ping")
    check(client.ask("mixed") == "sent", "what cannot be sent is left out")
    client.text("close good bye")
    check(client.receive() == (CLOSE, close_payload(1000, b"good bye")), "a close, and no more")
    client.send(frame(TEXT, b"ignored") + frame(CLOSE, close_payload(1000)))
    check(client.ended(), "the connection ends")
    client = connect(port)
    client.text("code 4000")
    check(client.receive() == (CLOSE, close_payload(4000)), "a code of its own")
    # The client does not answer: the server does not wait for ever.
    check(client.ended(), "the connection ends")
    stop(live)
    check("not sent: a text message has no text" in live.text("err"), "the log says what and why",
          live.result())


def test_an_error_leaves_the_connection_open(t):
    live, port = serve(t)
    client = connect(port)
    client.text("fail")
    check(client.ask("still") == "still", "the connection is open")
    client.finish()
    stop(live)


def test_an_error_of_connect_refuses_the_connection(t):
    live, port = serve(t)
    client = Client(port, "/refuse")
    check(client.receive() == (CLOSE, close_payload(1008)), "closed by policy")
    client.send(frame(CLOSE, close_payload(1008)))
    check(client.ended(), "and ended")
    seen = events(port)
    check(seen["connect"] == 0 and seen["close"] == 0, "and the actor hears nothing more", seen)
    stop(live)


def test_a_trap_closes_the_connections(t):
    live, port = serve(t)
    others = [connect(port) for _ in range(3)]
    client = connect(port)
    client.text("trap")
    kind, payload = client.receive()
    check(kind == CLOSE and payload[:2] in (close_payload(1011), close_payload(1001)), "closed",
          payload)
    for other in others:
        check(other.receive() == (CLOSE, close_payload(1001)), "going away")
        other.close()
    live.wait()
    live.result().sane()
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
        check(False, "the server is still there")
    except ConnectionRefusedError:
        pass


def test_stop_closes_the_connections(t):
    live, port = serve(t)
    clients = [connect(port) for _ in range(20)]
    live.signal(2)
    for client in clients:
        check(client.receive() == (CLOSE, close_payload(1001)), "going away")
        client.send(frame(CLOSE, close_payload(1001)))
        check(client.ended(), "ended")
    live.wait()
    live.result().sane()


# ---- many, and those that misbehave --------------------------------------------------------------

def test_hundreds_of_connections(t):
    live, port = serve(t)
    clients = [connect(port) for _ in range(400)]
    for number, client in enumerate(clients):
        client.text("n%d" % number)
    for number, client in enumerate(clients):
        check(client.receive() == (TEXT, b"n%d" % number), "each gets its own")
    for client in clients[::2]:
        client.close()
    for client in clients[1::2]:
        client.finish()
    harness.wait_until(lambda: events(port)["close"] >= 400, what="the end of all")
    stop(live)


def rss_kib(pid):
    with open("/proc/%d/status" % pid, encoding="utf-8") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def test_a_client_that_reads_nothing(t):
    live, port = serve(t, "message_bytes = 1048576")
    slow = connect(port)
    quick = connect(port)
    slow.socket.settimeout(2)
    sent = 0
    before = rss_kib(live.pid)
    try:
        while sent < 200 << 20:
            slow.send(frame(BINARY, b"x" * 500000))
            sent += 500000
    except OSError:
        pass
    check(sent < 100 << 20, "a client that does not read is held back", sent)
    check(rss_kib(live.pid) - before < 60 << 10, "and takes no memory", rss_kib(live.pid) - before)
    check(quick.ask("others") == "others", "others are served meanwhile")
    slow.close()
    quick.finish()
    stop(live)


def test_openings_and_frames_that_stay_unfinished(t):
    live, port = serve(t)
    half = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for number, one in enumerate(half):
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"[:number])
    started = [connect(port) for _ in range(50)]
    for number, one in enumerate(started):
        one.send(frame(TEXT, b"x" * 200, fin=False)[:number + 1])
    check(connect(port).ask("served") == "served", "others are served")
    for one in half + started:
        one.close()
    harness.wait_until(lambda: events(port)["close"] >= 50, what="the end of the unfinished")
    stop(live)


# ---- starting ------------------------------------------------------------------------------------

def test_a_port_in_use_is_an_error_of_the_start(t):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    shutil.copy(harness.guest("websocket/websocket.wasm"), t.folder)
    manifest = t.manifest("websocket.wasm", '[[handler]]\ntype = "websocket-server"\nport = %d\n'
                          % taken.getsockname()[1])
    run = t.run("run", manifest)
    check(run.code != OK and "in use" in run.err and "websocket-server in line 4" in run.err,
          "the error names the block and the reason", run)
    taken.close()


def test_a_component_without_the_export(t):
    run = t.run("run", t.probe('[[handler]]\ntype = "websocket-server"\nport = 0\n'))
    check(run.code != OK and "does not export theater:simple/websocket-server" in run.err,
          "the error says what is missing", run)


def test_two_ports(t):
    live, port = serve(t, more='[[handler]]\ntype = "websocket-server"\nport = 0\n')
    line = live.wait_line("listening on ws://", count=2)
    second = int(line.rsplit(":", 1)[1])
    check(second != port, "two servers", line)
    connect(port).finish()
    connect(second).finish()
    stop(live)


def test_a_policy_without_websocket_servers(t):
    shutil.copy(harness.guest("websocket/websocket.wasm"), t.folder)
    manifest = t.manifest("websocket.wasm", '[permission_policy]\n'
                          'websocket_server = { type = "disallow" }\n'
                          '[[handler]]\ntype = "websocket-server"\nport = 0\n')
    run = t.run("run", manifest)
    check(run.code != OK and "permission denied: websocket_server" in run.err, "denied", run)


# ---- a client from npm ---------------------------------------------------------------------------

NPM_CLIENT = """
const WebSocket = require(process.argv[2]);
const socket = new WebSocket(`ws://127.0.0.1:${process.argv[3]}/npm`);
const large = 'ü'.repeat(100000), data = require('crypto').randomBytes(70000);
const wanted = [['/npm', false], ['hello', false], [large, false], [data, true]];
let at = 0;
socket.on('open', () => {
  socket.send('hello');
  socket.send(large);
  socket.send(data);
  socket.ping('p');
});
socket.on('pong', (payload) => console.log('pong ' + payload));
socket.on('message', (payload, isBinary) => {
  const [content, binary] = wanted[at];
  const same = binary ? payload.equals(content) : payload.toString() === content;
  console.log(`message ${at} ${same && binary === isBinary}`);
  if (++at === wanted.length) socket.close(4001, 'end');
});
socket.on('close', (code) => console.log('close ' + code));
socket.on('error', (error) => console.log('error ' + error.message));
"""


def npm_package(name):
    given = os.environ.get("THEATER_WASM_TOOLS", "")
    places = [os.path.join(given, "node_modules"), given] if given else []
    places.append(os.path.join(harness.ROOT, "node_modules"))
    for place in places:
        if os.path.exists(os.path.join(place, name, "package.json")):
            return os.path.join(place, name)
    raise harness.Skip("npm package %s is not installed" % name)


def test_a_client_from_npm(t):
    package = npm_package("ws")
    if shutil.which("node") is None:
        raise harness.Skip("no node")
    live, port = serve(t)
    script = t.write("client.js", NPM_CLIENT)
    run = subprocess.run(["node", script, package, str(port)], capture_output=True, text=True,
                         timeout=60)
    lines = sorted(run.stdout.splitlines())
    check(lines == ["close 4001", "message 0 true", "message 1 true", "message 2 true",
                    "message 3 true", "pong p"], "what the client saw", run.stdout, run.stderr)
    check(events(port)["last"] == close_payload(4001, b"end").hex(), "its close")
    stop(live)


harness.main(globals())
