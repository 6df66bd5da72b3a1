# SPDX-License-Identifier: Apache-2.0
"""Manifests, components and states that come from web servers: with the user's rights, and with an
actor's (tests/guests/fetch spawns what a request names)."""
import asyncio
import contextlib
import os
import shutil
import threading

import harness
import web
from harness import ERROR, OK, check
from web import response

BLOCKS = '[[handler]]\ntype = "supervisor"\n%s\n[[handler]]\ntype = "http-client"\n'


@contextlib.contextmanager
def serving(paths, context=None):
    server = web.Server(paths, context)
    try:
        yield server
    finally:
        server.close()


def component():
    with open(harness.guest("fetch/fetch.wasm"), "rb") as file:
        return file.read()


def give(content):
    return lambda request: response(content if isinstance(content, bytes) else content.encode())


def redirect(to):
    return lambda request: response(b"", 302, [("Location", to)])


def manifest(reference="fetch.wasm", text=""):
    return 'name = "fetched"\nversion = "1.0.0"\ncomponent = "%s"\n%s\n' % (
        reference, text + BLOCKS % "")


def paths():
    return {"/ok/child.toml": give(manifest()), "/ok/fetch.wasm": give(component())}


def spawner(t, sources="", policy=""):
    """An actor that spawns; `sources` goes into its supervisor block."""
    shutil.copy(harness.guest("fetch/fetch.wasm"), os.path.join(t.folder, "fetch.wasm"))
    return t.manifest("fetch.wasm", BLOCKS % sources + policy, file="spawner.toml")


def spawn(t, path, reference, **options):
    """What the actor got: a child's id or the error."""
    return t.requests(path, "spawn " + reference, **options).expect(OK).out.rstrip("\n")


def refused(t, path, reference, why, **options):
    answer = spawn(t, path, reference, **options)
    check(answer.startswith("error: ") and why in answer, "%r is refused: %s" % (reference, why), answer)


def is_id(answer):
    return len(answer) == 36 and answer.count("-") == 4


# ---- the user's ------------------------------------------------------------------------------------

def test_a_user_runs_what_a_server_has(t):
    served = paths()
    served["/latest/download/child.toml"] = redirect("/ok/child.toml")
    served["/latest/download/fetch.wasm"] = redirect("/ok/fetch.wasm")
    served["/state.toml"] = give(manifest("http://%s/ok/fetch.wasm", 'init_state = "state.json"\n'))
    served["/state.json"] = give('{"a": 1}')
    with serving(served) as server:
        for path in ("/ok/child.toml", "/latest/download/child.toml"):
            run = t.requests(server.url(path), "sum GET " + server.url("/state.json"))
            run.expect(OK, out=["200 8 " + web.fnv(b'{"a": 1}')])
        served["/state.toml"] = give(manifest(server.url("/ok/fetch.wasm"),
                                              'init_state = "state.json"\n'))
        t.requests(server.url("/state.toml"), "sum GET " + server.url("/none")).expect(OK)
        check(("GET", "/state.json") in server.log, "the state too", server.log)
        local = t.manifest(server.url("/ok/fetch.wasm"), BLOCKS % "", file="local.toml")
        t.requests(local, "sum GET " + server.url("/none")).expect(OK)


def test_over_tls(t):
    authority = web.Authority(os.path.join(t.folder, "ca"))
    with serving(paths(), authority.context()) as server:
        env = t.env(SSL_CERT_FILE=authority.certificate)
        t.requests(server.url("/ok/child.toml"), "stop", env=env).expect(OK, out=["stopped 0"])
        t.requests(server.url("/ok/child.toml"), "stop").expect(
            ERROR, err="tls: the certificate is not from a trusted authority")


def test_what_cannot_be_fetched(t):
    big = b"#" * (2 << 20)
    with serving({"/big.toml": give(big), "/lost.toml": give(manifest("none.wasm")),
                  "/no.toml": give(b"Secret-Content-Of-A-Page\n"), "/bad.wasm": give(b"Secret-Content"),
                  "/bad.toml": give(manifest("bad.wasm")), "/loop": redirect("/loop")}) as server:
        rows = [("/missing.toml", "answered with status 404"), ("/big.toml", "response too large"),
                ("/lost.toml", 'component "none.wasm": the server answered with status 404'),
                ("/bad.toml", "bad.wasm"), ("/no.toml", "no.toml"), ("/loop", "too many redirects")]
        for path, why in rows:
            run = t.run("run", server.url(path), "--until-idle").expect(ERROR, err=why)
            check("Secret" not in run.err, "nothing of it is quoted", run)


# ---- an actor's ------------------------------------------------------------------------------------

def test_without_a_list_only_public_https(t):
    authority = web.Authority(os.path.join(t.folder, "ca"))
    env = t.env(SSL_CERT_FILE=authority.certificate)
    path = spawner(t)
    with serving(paths()) as plain, serving(paths(), authority.context()) as server:
        refused(t, path, plain.url("/ok/child.toml"), "is not among the allowed sources")
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433"):
            refused(t, path, server.url("/ok/child.toml", host), "is not a public address", env=env)
        check(plain.connections == 0 and server.connections == 0, "nothing was contacted")
        # Nor by the way of a manifest that lies beside the actor's own.
        for url in (plain.url("/ok/fetch.wasm"), server.url("/ok/fetch.wasm")):
            t.manifest(url, BLOCKS % "", file="child.toml")
            refused(t, path, "child.toml", "permission denied", env=env)
        t.manifest("fetch.wasm", 'init_state = "%s"\n' % plain.url("/state.json") + BLOCKS % "",
                   file="child.toml")
        refused(t, path, "child.toml", "permission denied")
        check(plain.connections == 0 and server.connections == 0, "nothing was contacted")


def test_with_a_list_only_what_it_covers(t):
    with serving(paths()) as other, serving(paths()) as server:
        server.paths["/ok/out.toml"] = redirect(other.url("/ok/child.toml"))
        server.paths["/ok/else.toml"] = redirect("/else/child.toml")
        server.paths["/ok/in.toml"] = redirect("child.toml")
        server.paths["/ok/away.toml"] = give(manifest(other.url("/ok/fetch.wasm")))
        server.paths["/ok/up.toml"] = give(manifest("../else/fetch.wasm"))
        server.paths["/ok/file.toml"] = give(manifest("/etc/hostname"))
        path = spawner(t, 'allowed_sources = ["%s"]' % server.url("/ok"))
        for name in ("child", "in"):
            answer = spawn(t, path, server.url("/ok/%s.toml" % name))
            check(is_id(answer), "a child", answer)
        server.log.clear()
        for name in ("out", "else", "away", "up", "file"):
            refused(t, path, server.url("/ok/%s.toml" % name), "permission denied")
        refused(t, path, server.url("/else/child.toml"), "permission denied")
        refused(t, path, server.url("/ok/../else/child.toml"), "permission denied")
        refused(t, path, other.url("/ok/child.toml"), "permission denied")
        denials = [event for event in t.events("a") if event["type"] == "permission-denied"]
        check(denials and "allowed sources" in str(denials[-1]), "denials are recorded", denials)
        check(other.connections == 0 and not [1 for _, target in server.log if "else/" in target],
              "nothing else was contacted", server.log)
        refused(t, spawner(t, "allowed_sources = []"), server.url("/ok/child.toml"), "permission denied")


def test_the_http_bound_holds_for_sources(t):
    with serving(paths()) as server:
        sources = 'allowed_sources = ["%s"]' % server.url("/ok/")
        for policy in ('[permission_policy.http_client]\ntype = "disallow"\n',
                       '[permission_policy.http_client]\ntype = "restrict"\nconfig = '
                       '{ allowed_hosts = ["a.example"] }\n',
                       '[permission_policy.http_client]\ntype = "restrict"\nconfig = '
                       '{ allowed_methods = ["POST"] }\n'):
            refused(t, spawner(t, sources, policy), server.url("/ok/child.toml"),
                    "permission denied: GET to http://127.0.0.1:%d" % server.port)
        check(server.connections == 0, "nothing was contacted")


def test_a_slow_server_holds_up_nobody_else(t):
    """More spawns hang than the loader has threads; others go on."""
    hanging, count = threading.Event(), 12
    waiting = []

    async def hang(request):
        waiting.append(request)
        if len(waiting) == count:
            hanging.set()
        await asyncio.sleep(600)
    with serving(paths()) as server:
        for i in range(count):
            server.paths["/ok/hang%d.toml" % i] = hang
        path = spawner(t, 'allowed_sources = ["%s"]' % server.url("/ok/"))
        shutil.copy(path, os.path.join(t.folder, "fetch.toml"))
        messages = []
        for i in range(count):
            messages += ["--request", "crowd 1 spawn " + server.url("/ok/hang%d.toml" % i)]
        live = t.start("run", path, "--id", "a", *messages, "--request", "spawn fetch.toml",
                       "--request", "spawn " + server.url("/ok/child.toml"))
        check(hanging.wait(harness.LIMIT_S), "all are waiting", len(waiting), live.result())
        harness.wait_until(lambda: len(live.lines["out"]) == count + 2, what="the other two spawns")
        check(all(is_id(line) for line in live.lines["out"][count:]), "two children", live.result())
        live.signal(15)
        run = live.wait(30).sane()
        check(run.code == harness.SIGTERM_EXIT, "the node does not wait for them", run)


harness.main(globals())
