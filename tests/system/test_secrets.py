# SPDX-License-Identifier: Apache-2.0
"""Secrets: what the chain holds as commitments, and the side file that opens them, read as
docs/formats/chain.md describes it."""
import hashlib
import hmac
import http.client
import os
import re
import shutil
import signal
import stat

import harness
import web
from harness import OK, check

TAG = 29541


def side_file(t, actor="a"):
    """The only side file of the actor: its key, and its values by their commitments."""
    folder = os.path.join(t.data, "secrets")
    names = [name for name in os.listdir(folder) if name.startswith(actor + "@")]
    check(len(names) == 1, "one file for one run", names)
    path = os.path.join(folder, names[0])
    check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "for its owner only")
    check(stat.S_IMODE(os.stat(folder).st_mode) == 0o700, "in a folder for its owner only")
    with open(path, "rb") as file:
        content = file.read()
    head = b"\x83\x71theater-secrets-1" + bytes([0x60 + len(actor)]) + actor.encode() + b"\x58\x20"
    check(content.startswith(head), "the first item", content[:60])
    key, rest, values = content[len(head):len(head) + 32], content[len(head) + 32:], {}
    while rest:
        check(rest[:3] == b"\x82\x58\x20", "a pair", rest[:40])
        commitment, rest = rest[3:35], rest[35:]
        size = rest[0] - 0x60 if rest[0] < 0x78 else rest[1]
        begin = 1 if rest[0] < 0x78 else 2
        check(0x60 <= rest[0] <= 0x78, "a short text", rest[:2])
        item, rest = rest[:begin + size], rest[begin + size:]
        check(hmac.new(key, item, hashlib.sha256).digest() == commitment, "the commitment", item)
        values[commitment.hex()] = item[begin:].decode()
    return values


def opened(t, value, actor="a"):
    """The plain value of a commitment in an exported chain."""
    check(isinstance(value, dict) and value.get("tag") == TAG, "a commitment", value)
    return side_file(t, actor)[value["value"]["hex"]]


def plain(value):
    return value["text"] if isinstance(value, dict) and "text" in value else value


def test_credentials_sent_and_cookies_received_are_not_in_the_record_of_the_call(t):
    shutil.copy(harness.guest("fetch/fetch.wasm"), os.path.join(t.folder, "fetch.wasm"))
    manifest = t.manifest("fetch.wasm", '[[handler]]\ntype = "supervisor"\n[[handler]]\n'
                          'type = "http-client"\n')
    answer = web.response(b"x", fields=[("Set-Cookie", "session=of-the-server"), ("X-Kept", "1")])
    server = web.Server({"/": lambda _request: answer}, None)
    try:
        t.requests(manifest, "send GET %s\nAuthorization: Bearer of-the-guest\nCOOKIE: c=of-the-guest"
                   "\nX-Plain: 1" % server.url("/")).expect(OK)
    finally:
        server.close()
    legs = [event["data"].get("5", []) for event in t.events("a")]
    calls = [call for leg in legs for call in leg if call and call[0] == "http-client.send-http"]
    sent = {plain(name).lower(): value for name, value in calls[0][1][0][2]}
    check(plain(sent["x-plain"]) == "1", "others are plain", sent)
    check(opened(t, sent["authorization"]) == "Bearer of-the-guest", "Authorization", sent)
    check(opened(t, sent["cookie"]) == "c=of-the-guest", "Cookie, in any case", sent)
    results = [call[0] for leg in legs for call in leg if len(call) == 1]
    check(len(results) == 1, "one result", legs)
    got = {plain(name): value for name, value in results[0][1][1]}
    check(opened(t, got["set-cookie"]) == "session=of-the-server", "Set-Cookie", got)
    check(plain(got["x-kept"]) == "1", "others are plain", got)


def test_credentials_of_a_client_are_in_no_file_of_the_log(t):
    shutil.copy(harness.guest("web/web.wasm"), os.path.join(t.folder, "web.wasm"))
    state = t.write("state.json", '"create 0;route GET /hello;start"')
    manifest = t.manifest("web.wasm", '[[handler]]\ntype = "http-framework"\n[[handler]]\n'
                          'type = "timing"\n')
    live = t.start("run", manifest, "--id", "a", "--state", state)
    port = int(re.search(r"port (\d+)", live.wait_line("] port ")).group(1))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    fields = {"Authorization": "Bearer token-of-the-client", "Cookie": "c=cookie-of-the-client"}
    for _ in range(3):
        connection.request("GET", "/hello", headers=fields)
        check(connection.getresponse().read() != b"", "an answer")
    connection.close()
    live.signal(signal.SIGINT)
    live.wait().sane()
    check(sorted(side_file(t).values()) == ["Bearer token-of-the-client", "c=cookie-of-the-client"],
          "each once", side_file(t))
    for folder, _, names in os.walk(t.data):
        for name in names if not folder.endswith("secrets") else []:
            with open(os.path.join(folder, name), "rb") as file:
                check(b"of-the-client" not in file.read(), "nowhere else", name)
    check("of-the-client" not in t.run("chain", "export", "a").out, "nor in an export")
    shutil.rmtree(os.path.join(t.data, "secrets"))
    t.run("chain", "verify").expect(OK)


harness.main(globals())
