# SPDX-License-Identifier: Apache-2.0
"""A node that was killed: what was running comes back when the next one opens the folder."""
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "soak"))
import harness
import storm
from harness import ERROR, OK, USAGE, check


SAFE = ["--send", "log noted", "--request", "echo noted"]


def killed(t, *argv, wait=()):
    """Runs a node, and kills it when all was done and is in the log: a send from outside is
    acknowledged when it is, and so is what was recorded before. `wait`: lines of its log."""
    live = t.start("run", *argv, *SAFE)
    live.wait_line("noted", stream="out")
    for line in [wait] if isinstance(wait, str) else wait:
        live.wait_line(line)
    if wait:
        time.sleep(0.2)  # the leg that said it is in the log 10 ms later (durability "async")
    live.signal(signal.SIGKILL)
    live.process.wait()
    for reader in live.readers:
        reader.join(10)
    live.lines["out"].remove("noted")
    return live.result()


def requests(*messages):
    return [word for message in messages for word in ("--request", message)]


def again(t, actor, *messages, options=()):
    """Brings everything back, asks the actor, and stops in good order."""
    return t.run("run", "--data", t.data, "--id", actor, *requests(*messages), *options,
                 "--until-idle", "--timeout", "60")


def types(t, actor):
    """The last send of `killed` may have been read by either node."""
    return [event["type"] for event in t.events(actor) if event["type"] != "handle-send"]


def test_state_id_and_chain_go_on(t):
    manifest = t.probe()
    killed(t, manifest, "--id", "a", *requests("set-state one", "set-state two"))
    run = again(t, "a", "state").expect(OK, out=["two"], err="1 came back")
    check(run.err.count("probe a begins") == 0, "init is not called again", run)
    last = types(t, "a")
    check(last[-4:] == ["resumed", "instance-created", "handle-request", "shutdown"],
          "the chain says how it came back", last)
    back = [event["data"] for event in t.events("a") if event["type"] == "resumed"]
    check(len(back) == 1 and back[0]["11"] == "resume", "and in which way", back)
    t.run("chain", "verify").expect(OK)
    t.run("replay", "a").expect(OK)


def test_an_instance_that_was_made_again_can_be_stopped_in_its_turn(t):
    killed(t, t.probe('recover = "replay"'), "--id", "a", *requests("set-state one"))
    live = t.start("run", "--data", t.data, "--id", "a", "--send", "sleep 600000")
    while "timing.sleep" not in str(t.events("a")):
        time.sleep(0.05)
    live.signal(signal.SIGINT)
    live.wait().sane()
    back = [event["data"]["11"] for event in t.events("a") if event["type"] == "resumed"]
    check(back == ["replay"], "its instance was made again", back)
    check(types(t, "a")[-1] == "shutdown", "its last event")


def test_nothing_comes_back_after_a_stop_in_good_order(t):
    manifest = t.probe()
    t.run("run", manifest, "--id", "a", "--request", "set-state one", "--until-idle").expect(OK)
    live = t.start("run", manifest, "--id", "b", "--request", "set-state two")
    live.wait_line("ok", stream="out")
    live.signal(signal.SIGINT)
    live.wait()
    again(t, "a", "state").expect(harness.REQUEST_FAILED, err="no such actor: a")


def test_the_manifest_goes_on_with_what_came_back(t):
    manifest = t.probe('id = "fixed"')
    killed(t, manifest, *requests("set-state kept"))
    run = t.run("run", manifest, "--request", "state", "--until-idle")
    run.expect(OK, out=["kept"], err="not started again")


def test_left_alone_when_asked(t):
    manifest = t.probe()
    killed(t, manifest, "--id", "a", *requests("set-state kept"))
    t.run("run", manifest, "--id", "b", "--request", "send a hello", "--no-recover",
          "--until-idle").expect(harness.REQUEST_FAILED, err="no such actor")
    again(t, "a", "state").expect(OK, out=["kept"])


def test_neither_manifest_nor_component_is_read_again(t):
    manifest = t.probe()
    killed(t, manifest, "--id", "a", *requests("set-state kept"))
    os.unlink(manifest)
    os.unlink(os.path.join(t.folder, "probe.wasm"))
    again(t, "a", "state").expect(OK, out=["kept"])


def test_a_large_state(t):
    """It stands in the chain by its hash."""
    grown = killed(t, t.probe(), "--id", "a", *requests("grow-state 100000", "state")).out
    check(len(grown) > 100000, "it is large", len(grown))
    again(t, "a", "state").expect(OK, out=[grown.splitlines()[-1]])


def test_parents_and_children(t):
    t.probe(file="child.toml")
    manifest = t.probe()
    live = killed(t, manifest, "--id", "boss", *requests("spawn child.toml", "spawn child.toml"))
    first, second = live.out.split()
    run = again(t, "boss", "children", "request %s set-state mine" % first,
                "child-state %s" % first, "stop %s" % second, "children", "spawn child.toml")
    run.expect(OK, err="3 came back")
    lines = run.out.splitlines()
    check(lines[:5] == ["%s %s" % (first, second), "ok", "mine", "ok", first],
          "the same children, in the same order", run)
    check(types(t, second)[-1] == "shutdown", "what was stopped has ended")


def test_what_was_sent_and_not_read(t):
    """The receiver sleeps in its turn while messages pile up; the turn ends with the node."""
    t.probe(file="child.toml")
    manifest = t.probe()
    child = killed(t, manifest, "--id", "boss", *requests("spawn child.toml")).out
    mail = [str(number) for number in range(20)] + ["m" * 5000]  # the last one by its hash
    sends = [word for one in mail for word in ("--send", "send %s log mail %s" % (child, one))]
    run = killed(t, "--data", t.data, "--id", "boss", "--send", "send %s sleep 600000" % child,
                 *sends)
    check("mail" not in run.err, "nobody read it", run)
    run = again(t, "boss", "echo there").expect(OK)
    found = [line.split("mail ")[1] for line in run.err.splitlines() if "mail " in line]
    check(found[:-1] == mail[:-1] and len(found) == len(mail), "each once, in order", run)
    whole = hashlib.sha256(("log mail " + mail[-1]).encode()).hexdigest()
    check(whole in json.dumps(t.events(child)[-2:]), "the large one is whole", t.events(child)[-2:])
    aborted = [event for event in t.events(child) if event["type"] == "aborted"]
    check(len(aborted) == 1 and "timing.sleep: outcome unknown" in aborted[0]["data"]["1"],
          "the chain says what became of the turn", aborted)
    run = again(t, "boss", "echo there").expect(harness.REQUEST_FAILED)
    check("mail" not in run.err, "and not again", run)
    t.run("chain", "verify").expect(OK)
    for actor in ("boss", child):
        t.run("replay", actor).expect(OK)


def test_a_crash_that_was_being_mended(t):
    """A child that rests after its crash rests afterwards too, until its parent restarts it."""
    t.probe(file="child.toml")
    manifest = t.probe()
    child = killed(t, manifest, "--id", "boss", *requests("spawn child.toml")).out
    killed(t, "--data", t.data, "--id", "boss", *requests("request %s set-state x" % child),
           "--send", "send %s trap" % child, wait="child %s error" % child)
    run = again(t, "boss", "send %s log hello" % child, "restart %s" % child,
                "request %s state" % child)
    check(run.out.splitlines()[-2:] == ["ok", ""], "fresh after the restart", run)
    check("has crashed" in run.err, "no mail for one that rests", run)


def test_channels_end_after_their_messages(t):
    t.probe(file="child.toml")
    manifest = t.probe()
    child = killed(t, manifest, "--id", "boss", *requests("spawn child.toml")).out
    channel = killed(t, "--data", t.data, "--id", "boss", *requests("open %s hello" % child),
                     wait="says: welcome").out
    # Both have read the news before the send that shows that all is in the log.
    run = killed(t, "--data", t.data, "--id", "boss", *requests("sleep 100"))
    check(run.err.count("channel %s is closed" % channel) == 2, "both sides are told", run)
    run = again(t, "boss", "chan %s hello" % channel)
    check("is closed" not in run.err, "told once", run)
    run.expect(harness.REQUEST_FAILED, err="no such channel")


def test_init_when_the_manifest_says_so(t):
    manifest = t.probe('recover = "init"')
    killed(t, manifest, "--id", "a", *requests("set-state kept"))
    run = again(t, "a", "state").expect(OK, out=["kept"])
    check("probe a begins with kept" in run.err, "init has the state", run)
    t.run("replay", "a").expect(OK)
    check(types(t, "a")[-5:] == ["resumed", "instance-created", "init", "handle-request", "shutdown"],
          "and is in the chain", types(t, "a"))


def test_a_component_that_is_gone(t):
    manifest = t.probe()
    killed(t, manifest, "--id", "a", *requests("set-state kept"))
    component = t.events("a")[0]["data"]["5"]["hex"]
    for folder, _, files in os.walk(os.path.join(t.data, "store")):
        for name in files:
            if component in os.path.join(folder, name).replace("/", ""):
                os.rename(os.path.join(folder, name), os.path.join(t.folder, "saved"))
                place = os.path.join(folder, name)
    run = t.run("run", t.probe(file="other.toml"), "--id", "b", "--request", "echo on",
                "--until-idle").expect(OK, out=["on"], err=["actor a cannot be brought back",
                                                            component])
    check("1 are missing" in run.err, "others are not held up", run)
    os.rename(os.path.join(t.folder, "saved"), place)
    again(t, "a", "state").expect(OK, out=["kept"])


def curl(port, path):
    """Gives the status and the body; waits until somebody listens."""
    def ask():
        try:
            with urllib.request.urlopen("http://127.0.0.1:%d%s" % (port, path), timeout=10) as got:
                return got.status, got.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return None
    found = []
    harness.wait_until(lambda: found.append(ask()) or found[-1], limit=30, what="an answer")
    return found[-1]


def web(t):
    """An actor with a server, killed. Gives the port."""
    shutil.copy(harness.guest("web/web.wasm"), os.path.join(t.folder, "web.wasm"))
    script = ["create 0", "route GET /hello", "route GET /count", "route GET /show", "unroute 3",
              "middleware /count", "start"]
    blocks = "".join('\n[[handler]]\ntype = "%s"\n' % name
                     for name in ("runtime", "message-server", "http-framework", "timing"))
    manifest = t.manifest("web.wasm", "initial_state = %s%s" % (
        json.dumps(json.dumps(";".join(script))), blocks))
    live = t.start("run", manifest, "--id", "web")
    port = int(live.wait_line("port ").split("port ")[1].split()[0])
    check(curl(port, "/hello") == (200, "Hello, world!"), "it serves")
    # A send from outside is acknowledged when all before it is in the log: here the request was.
    harness.wait_until(lambda: "http-handlers.handle-request" in types(t, "web"), what="the record")
    live.kill()
    return port


def test_servers_with_their_routes(t):
    port = web(t)
    live = t.start("run", "--data", t.data)
    check(curl(port, "/hello") == (200, "Hello, world!"), "the port and the route")
    check(curl(port, "/count")[0] == 200, "another one")
    check(curl(port, "/show")[0] == 404, "one that was removed stays away")
    live.kill()
    live = t.start("run", "--data", t.data)
    check(curl(port, "/hello")[0] == 200, "and again")
    live.signal(signal.SIGINT)
    live.wait().expect(harness.SIGINT_EXIT)
    found = types(t, "web")
    check("init" not in found[found.index("resumed"):], "init is not called again", found)
    t.run("chain", "verify").expect(OK)


def test_a_port_that_somebody_else_has(t):
    port = web(t)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        live = t.start("run", "--data", t.data)
        live.wait_line("cannot be brought back on port %d" % port)
        harness.wait_until(lambda: "lost" in [e["type"] for e in t.events("node")], what="the event")
        live.kill()


def test_programs_that_ended_with_the_node(t):
    shutil.copy(harness.guest("processes/processes.wasm"), os.path.join(t.folder, "processes.wasm"))
    blocks = "".join('\n[[handler]]\ntype = "%s"\n' % name for name in
                     ("runtime", "message-server"))
    manifest = t.manifest("processes.wasm", blocks + '\n[[handler]]\ntype = "process"\n'
                          'allowed_programs = ["sleep"]\n')
    live = t.start("run", manifest, "--id", "p", "--request", "\x1f".join(["spawn", "", "sleep", "1000"]))
    live.wait_line("1", stream="out")
    harness.wait_until(lambda: any(e["type"] == "handle-request" and e["data"]["6"][0] == 0
                                   for e in t.events("p")), what="the record")
    live.kill()
    live = t.start("run", "--data", t.data)
    harness.wait_until(lambda: "handle-exit" in types(t, "p"), what="its end")
    live.kill()
    end = [event for event in t.events("p") if event["type"] == "handle-exit"]
    check([event["data"]["3"] for event in end] == [[1, -9]], "killed", end)


def test_a_snapshot_is_a_shortcut_and_no_more(t):
    world = os.path.join(t.data, "world")
    manifest = t.probe()
    t.run("run", manifest, "--id", "old", "--until-idle").expect(OK)
    check(os.path.exists(world), "it is left behind by a stop in good order")
    with open(world, "rb") as file:
        content = file.read()
    killed(t, manifest, "--id", "a", *requests("set-state kept"))
    for bad in (content, b"", content[:-1], content[:30] + b"x" + content[31:], None):
        copy = t.copy_data()
        if bad is None:
            os.unlink(os.path.join(copy, "world"))
        else:
            with open(os.path.join(copy, "world"), "wb") as file:
                file.write(bad)
        run = t.run("run", "--data", copy, "--id", "a", "--request", "state", "--until-idle")
        run.expect(OK, out=["kept"], err="1 came back")
    other = os.path.join(t.folder, "other")
    t.run("run", manifest, "--id", "x", "--data", other, "--until-idle").expect(OK)
    shutil.copy(os.path.join(other, "world"), world)
    again(t, "a", "state").expect(OK, out=["kept"], err="1 came back")


def test_a_short_kill_storm(t):
    storm.storm(t, kills=20, seed=int.from_bytes(os.urandom(4), "little"), most_s=0.8)


def test_the_id_of_the_node_is_nobody_elses(t):
    t.run("run", t.probe(), "--id", "node", "--until-idle").expect(ERROR, err="reserved")


def test_what_it_needs_without_a_manifest(t):
    t.run("run").expect(USAGE, err="which manifest?")
    t.run("run", "--data", t.data, "--request", "x").expect(USAGE, err="need --id")
    t.run("run", "--data", t.data).expect(OK)


if __name__ == "__main__":
    harness.main(globals())
