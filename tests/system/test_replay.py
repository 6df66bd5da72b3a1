# SPDX-License-Identifier: Apache-2.0
"""theater replay: chains of all kinds of guests run again to the same head; another component
differs where it must; what is missing or damaged is told."""
import json
import os
import re
import shutil

import harness
import web
from harness import OK, USAGE, check

DIFFERENT, NO_REPLAY = 6, 7


def replay(t, actor, *options):
    return t.run("replay", actor, *options)


def replay_all(t, most_copied=None):
    """Every chain of the data folder comes to the head that verify knows. Gives the turns run."""
    legs = 0
    for actor in t.run("chain", "list").expect(OK).out.split():
        head = t.events(actor)[-1]["hash"]
        result = replay(t, actor).expect(OK)
        found = re.fullmatch(r"same: (\d+) events, (\d+) of them run again, head ([0-9a-f]{64})\n",
                             result.out)
        check(found is not None and found.group(3) == head, "the head is " + head, result)
        legs += int(found.group(2))
    return legs


# ---- the same head


def test_every_example_comes_to_the_same_head(t):
    t.run("run", harness.example("counter"), "--id", "c", "--request", '{"action":"increment"}',
          "--request", "nonsense", "--until-idle")
    t.run("run", harness.example("supervisor"), "--id", "s", "--request", "status", "--until-idle")
    check(replay_all(t) > 4, "turns were run")


def test_messages_children_timers_random_and_crashes_come_to_the_same_head(t):
    manifest = t.probe('restart = "permanent"\n')
    t.requests(manifest, "echo hello", "float", "random 16", "range 1 6", "sleep 5", "set-state x",
               "spawn probe.toml", "children", "err sorry", "trap",
               "echo again", "bomb", "stack", "now", "uuid", "self", "get-state", "shutdown end")
    events = t.events("a")
    kinds = {event["type"] for event in events}
    check({"crashed", "handle-request", "instance-created"} <= kinds, "kinds of events", kinds)
    check(any(event["data"].get("1", 0) == 1 for event in events if event["type"] != "spawned"),
          "a turn waited")
    check(replay_all(t) > 15, "turns were run")


def test_a_deadline_is_not_waited_for(t):
    manifest = t.probe('[limits]\nturn_cpu_ms = 1000\n')
    t.requests(manifest, "loop")
    crash = [event for event in t.events("a") if event["type"] == "crashed"]
    check("CPU time" in json.dumps(crash), "a deadline", crash)
    check(replay_all(t) > 2, "turns were run")


def test_several_runs_of_one_actor_come_to_the_same_head(t):
    manifest = t.probe()
    for text in ("one", "two"):
        t.requests(manifest, "set-state " + text, "echo " + text).expect(OK)
    live = t.start("run", manifest, "--id", "a", "--request", "sleep 60000")
    harness.wait_until(lambda: any(e["type"] == "handle-request" and e["data"]["6"] == [3]
                                   for e in t.events("a")), what="the turn waits")
    live.kill()
    t.requests(manifest, "echo three").expect(OK)
    types = [event["type"] for event in t.events("a")]
    check(types.count("resumed") == 3, "runs", types)
    check(replay_all(t) > 8, "turns were run")


def test_wasi_with_its_resources_comes_to_the_same_head(t):
    for name in ("wasi/manifest.toml", "rust_std/manifest.toml"):
        try:
            t.run("run", harness.guest(name), "--until-idle")
        except harness.Skip:
            continue
    check(replay_all(t) > 0, "turns were run")


def test_large_values_and_chains_that_were_read_come_to_the_same_head(t):
    manifest = t.probe()
    t.requests(manifest, "echo " + 5000 * "x", "grow-state 9000", "chain", "spawn probe.toml",
               "log " + 5000 * "y", "children").expect(OK)
    text = json.dumps(t.events("a"))
    check("29285" in text, "a value by its hash", text)
    check("29286" in text, "a chain by its range", text)
    check(replay_all(t) > 5, "turns were run")


def test_what_a_parent_read_of_its_child_comes_to_the_same_head(t):
    t.probe('id = "kid"\n', file="kid.toml")
    t.requests(t.probe(), "spawn kid.toml", "request kid echo hello", "child-events kid",
               "child-state kid", "restart kid", "stop kid", "child-events kid")
    reads = [event for event in t.events("a") if "supervisor.get-child-events" in json.dumps(event)]
    check(len(reads) == 2 and "29286" in json.dumps(reads[0]), "events by their range", reads)
    check(replay_all(t) > 8, "turns were run")


def test_a_chain_file_comes_to_the_same_head_without_its_data_folder(t):
    t.requests(t.probe(), "echo " + 5000 * "x", "chain", "set-state end").expect(OK)
    t.run("chain", "export", "a", "-o", "a.chain").expect(OK)
    head = t.events("a")[-1]["hash"]
    shutil.rmtree(t.data)
    path = os.path.join(t.folder, "a.chain")
    result = replay(t, path).expect(OK)
    check(head in result.out, "the head is " + head, result)
    harness.flip_byte(path, os.path.getsize(path) // 2)
    replay(t, path).expect(NO_REPLAY, err="a.chain")


# ---- secrets


def test_secrets_are_taken_from_their_file_and_missed_without_it(t):
    shutil.copy(harness.guest("fetch/fetch.wasm"), os.path.join(t.folder, "fetch.wasm"))
    manifest = t.manifest("fetch.wasm", '[[handler]]\ntype = "supervisor"\n[[handler]]\n'
                          'type = "http-client"\n')
    answer = web.response(b"x", fields=[("Set-Cookie", "session=hidden")])
    server = web.Server({"/": lambda _request: answer}, None)
    try:
        request = "send GET %s\nAuthorization: Bearer hidden" % server.url("/")
        t.requests(manifest, request, request).expect(OK)
    finally:
        server.close()
    check("29541" in json.dumps(t.events("a")), "the record has secrets", t.events("a"))
    check(replay_all(t) > 4, "turns were run")
    shutil.rmtree(os.path.join(t.data, "secrets"))
    replay(t, "a").expect(NO_REPLAY, err=["event 3", "secret"])


# ---- differences


def other_component(t):
    """A probe that does not know the word echo."""
    with open(harness.guest("probe/probe.wasm"), "rb") as file:
        content = file.read()
    check(content.count(b"echo") > 0, "the probe knows the word echo")
    return t.write("other.wasm", content.replace(b"echo", b"eggo"))


def test_another_component_differs_where_it_does_something_else(t):
    manifest = t.probe()
    t.requests(manifest, "set-state one", "echo hello", "float", "echo hello", "set-state two").expect(OK)
    result = replay(t, "a", "--component", other_component(t)).expect(DIFFERENT)
    check("differs at event 4, handle-request" in result.out, "the first echo", result)
    check("recorded:" in result.out and "now:" in result.out, "both sides", result)
    check("hello" in result.out, "decoded", result)
    result = replay(t, "a", "--component", other_component(t), "--diff").expect(DIFFERENT)
    places = re.findall(r"differs at event (\d+)", result.out)
    check(places == ["4", "6"], "all of them, and nothing else", result)
    replay(t, "a", "--component", harness.guest("probe/probe.wasm")).expect(OK)


def test_a_step_at_a_time_and_up_to_an_event(t):
    t.requests(t.probe(), "set-state one", "set-state two", "set-state three").expect(OK)
    result = replay(t, "a", "--until", "4").expect(OK)
    check("two" in result.out and "three" not in result.out, "the state at 4", result)
    check("same: 5 events" in result.out, "five events", result)
    steps = replay(t, "a", "--step").expect(OK)
    shown = t.run("chain", "show", "a").expect(OK)
    check(steps.out.splitlines()[:-1] == shown.out.splitlines(), "as chain show prints", steps)


# ---- forks


def test_a_fork_begins_with_the_state_of_an_event_and_names_it(t):
    t.requests(t.probe(), "set-state one", "set-state two", "echo x", "set-state three").expect(OK)
    before = t.events("a")
    forked = t.run("chain", "fork", "a", "--at", "5", "--id", "b").expect(OK, out=["b"])
    check(t.events("a") == before, "the old chain is whole", forked)
    events = t.events("b")
    check(len(events) == 1 and events[0]["type"] == "spawned", "one event", events)
    data, old = events[0]["data"], before[0]["data"]
    check(data["8"] == {"text": "two"}, "the state after event 5", data)
    check(data["12"] == ["a", 5, {"hex": before[5]["hash"]}], "where it comes from", data)
    check(all(data[key] == old[key] for key in "34567"), "the same program", data)
    check(data["1"] != old["1"], "a nonce of its own", data)
    t.run("chain", "verify").expect(OK)
    check(replay_all(t) > 5, "turns were run")
    result = replay(t, "b", "--until", "0").expect(OK)
    check("two" in result.out, "its state", result)


def test_a_fork_takes_a_restart_for_what_it_is(t):
    manifest = t.probe('restart = "permanent"\nrestart_state = "initial"\n')
    t.run("run", manifest, "--id", "a", "--state", '"first"', "--request", "set-state second",
          "--request", "trap", "--request", "set-state third", "--until-idle")
    events = t.events("a")
    crash = next(event["seq"] for event in events if event["type"] == "crashed")
    for at, state in ((crash - 1, "second"), (crash, "first"), (events[-1]["seq"], "third")):
        name = "fork-%d" % at
        t.run("chain", "fork", "a", "--at", at, "--id", name).expect(OK)
        data = t.events(name)[0]["data"]
        check(state in json.dumps(data["8"]), "the state at %d is %s" % (at, state), data, events)
        check(state in replay(t, "a", "--until", at).expect(OK).out, "as a replay has it", at)


def test_a_fork_of_a_large_state_refers_to_it(t):
    t.requests(t.probe(), "grow-state 9000").expect(OK)
    name = t.run("chain", "fork", "a", "--at", "3").expect(OK).out.strip()
    check(t.events(name)[0]["data"]["8"]["tag"] == 29285, "by its hash", t.events(name))
    check(replay(t, name, "--until", "0").expect(OK).out.count("state: ") == 1, "its state")


def test_a_fork_leaves_out_what_a_power_loss_left_without_its_content(t):
    manifest = t.probe()
    t.requests(manifest, "echo x").expect(OK)
    first = len(t.events("a"))
    live = t.start("run", manifest, "--id", "a", "--request", "grow-state 9000")
    harness.wait_until(lambda: any("29285" in json.dumps(event) for event in t.events("a")))
    live.kill()
    before = t.events("a")
    lost = next(event["seq"] for event in before if "29285" in json.dumps(event))
    packs = os.path.join(t.data, "store", "packs")
    for name in os.listdir(packs):
        open(os.path.join(packs, name), "w").close()
    t.run("chain", "fork", "a", "--at", "1", "--id", "b").expect(OK, err="did not reach the disk")
    after = t.events("a")
    check(first <= len(after) <= lost and after == before[:len(after)], "the rest is gone", before)
    t.run("chain", "verify").expect(OK)
    t.run("run", "--data", t.data, "--id", "b", "--request", "echo x", "--until-idle").expect(OK, out=["x"])


def test_an_imported_chain_can_be_replayed_and_forked(t):
    t.requests(t.probe(), "set-state " + 5000 * "x", "set-state two").expect(OK)
    t.run("chain", "export", "a", "-o", "a.chain").expect(OK)
    here = t.env(THEATER_HOME=os.path.join(t.folder, "elsewhere"))
    t.run("chain", "import", "a.chain", env=here).expect(OK)
    t.run("replay", "a", env=here).expect(OK)
    t.run("chain", "fork", "a", "--at", "3", "--id", "a", env=here).expect(harness.ERROR, err="already")
    t.run("chain", "fork", "a", "--at", "3", "--id", "b", env=here).expect(OK, out=["b"])
    t.run("replay", "b", env=here).expect(OK)
    back = t.run("run", "--data", os.path.join(t.folder, "elsewhere"), "--id", "b", "--request",
                 "state", "--until-idle", env=here)
    check(5000 * "x" in back.out, "it goes on from the large state", back)
    t.run("replay", "b", env=here).expect(OK)


def test_a_fork_that_cannot_be_is_told(t):
    manifest = t.probe()
    t.requests(manifest, "echo x").expect(OK)
    t.run("chain", "fork", "a").expect(USAGE, err="--at")
    t.run("chain", "fork", "a", "--at", "99").expect(harness.ERROR, err="no event 99")
    t.run("chain", "fork", "a", "--at", "2", "--id", "a").expect(harness.ERROR, err="already")
    t.run("chain", "fork", "a", "--at", "2", "--id", "a b").expect(harness.ERROR)
    t.run("chain", "fork", "nobody", "--at", "2").expect(harness.ERROR, err="nobody")
    live = t.start("run", manifest, "--id", "a")
    live.wait_line("started")
    t.run("chain", "fork", "a", "--at", "2").expect(harness.ERROR, err=str(live.pid))
    live.kill()
    check(t.run("chain", "list").expect(OK).out.split() == ["a"], "no chain was made")


def test_a_replay_may_begin_with_any_instance(t):
    manifest = t.probe('restart = "permanent"\n')
    t.requests(manifest, "set-state one", "trap", "set-state two", "echo x", "trap", "float", "state")
    events = t.events("a")
    made = [event["seq"] for event in events if event["type"] == "instance-created"]
    check(len(made) == 3, "three instances", events)
    head = events[-1]["hash"]
    for begin, at in ((made[0], made[0] + 1), (made[1], made[1] + 2), (made[2], made[2])):
        result = replay(t, "a", "--from", at).expect(OK)
        check("same: %d events" % (len(events) - begin) in result.out and head in result.out,
              "from %d on" % begin, result)
    crashed = next(event["seq"] for event in events if event["type"] == "crashed")
    replay(t, "a", "--from", crashed).expect(NO_REPLAY, err="no instance")


def test_a_fork_comes_up_with_the_next_node_and_goes_on(t):
    t.requests(t.probe(), "set-state one", "set-state two", "set-state three").expect(OK)
    t.run("chain", "fork", "a", "--at", "4", "--id", "b").expect(OK)
    t.run("run", "--data", t.data, "--id", "b", "--request", "state", "--request", "echo x",
          "--until-idle").expect(OK, out=["two", "x"])
    events = t.events("b")
    check([event["type"] for event in events[:3]] == ["spawned", "resumed", "instance-created"],
          "without an init", events)
    check(replay_all(t) == 8, "turns were run")


# ---- instances that are made again for a node that came back


def tally(t, recover):
    shutil.copy(harness.guest("tally/tally.wasm"), os.path.join(t.folder, "tally.wasm"))
    return t.manifest("tally.wasm", 'recover = "%s"\n[[handler]]\ntype = "timing"\n' % recover)


def killed(t, *argv, requests=3, last=None):
    """Runs a node until its actor "a" has had `requests` more, all in the log, and kills it."""
    def count():
        done = t.run("chain", "export", "a")
        return done.out.count('"type":"handle-request"') if done.code == OK else 0
    before = count()
    words = ["x"] * (requests - 1) + [last or "x"]
    live = t.start("run", *argv, "--id", "a", *[w for word in words for w in ("--request", word)])
    harness.wait_until(lambda: count() >= before + requests, what="the requests are in the log")
    live.kill()
    return live.result()


def test_an_instance_comes_back_with_its_memory(t):
    killed(t, tally(t, "replay"))
    killed(t, "--data", t.data, requests=2)
    again = t.run("run", "--data", t.data, "--id", "a", "--request", "x", "--until-idle")
    again.expect(OK, out=["6"])
    events = t.events("a")
    modes = [event["data"]["11"] for event in events if event["type"] == "resumed"]
    check(modes == ["replay", "replay"], "how it came back", modes)
    check([event["type"] for event in events].count("instance-created") == 1, "one instance", events)
    check(replay_all(t) == 8, "turns were run")
    replay(t, "a", "--from", "5").expect(OK)


def test_without_a_replay_the_memory_begins_anew(t):
    killed(t, tally(t, "resume"))
    t.run("run", "--data", t.data, "--id", "a", "--request", "x", "--until-idle").expect(OK, out=["1"])
    check(replay_all(t) > 4, "turns were run")


def test_the_memory_of_a_turn_in_progress_is_not_made_again(t):
    killed(t, tally(t, "replay"), last="sleep")
    t.run("run", "--data", t.data, "--id", "a", "--request", "x", "--until-idle").expect(OK, out=["1"])
    modes = [event["data"]["11"] for event in t.events("a") if event["type"] == "resumed"]
    check(modes == ["resume"], "how it came back", modes)
    check(replay_all(t) > 4, "turns were run")


def test_an_instance_with_open_files_is_not_made_again(t):
    os.makedirs(os.path.join(t.folder, "box"), exist_ok=True)
    manifest = t.manifest(harness.guest("rust_std/guest.wasm"), 'recover = "replay"\n[[handler]]\n'
                          'type = "runtime"\n[[handler]]\ntype = "filesystem"\npath = "box"\n'
                          'allowed_commands = []\n')
    killed(t, manifest, requests=1, last="write f.txt eins")
    again = t.run("run", "--data", t.data, "--id", "a", "--request", "append f.txt  zwei",
                  "--request", "read f.txt", "--until-idle")
    again.expect(OK, err="resources of the host")
    check(again.out.splitlines()[-1] == "eins zwei", "it goes on with a new instance", again)
    modes = [event["data"]["11"] for event in t.events("a") if event["type"] == "resumed"]
    check(modes == ["resume"], "how it came back", modes)
    check(replay_all(t) > 4, "turns were run")


# ---- what cannot be


def test_a_component_that_is_not_kept_is_told(t):
    t.requests(t.probe(), "echo x").expect(OK)
    shutil.rmtree(os.path.join(t.data, "store"))
    os.makedirs(os.path.join(t.data, "store"))
    replay(t, "a").expect(NO_REPLAY, err=["event 0", "manifest"])


def test_wrong_usage_is_told(t):
    replay(t, "nobody").expect(harness.ERROR)
    t.run("replay").expect(USAGE, err="which actor")
    t.run("replay", "a", "b").expect(USAGE, err="one actor")
    t.run("replay", "a", "--until", "x").expect(USAGE, err="--until")
    t.run("replay", "a", "--wrong").expect(USAGE, err="no option")


if __name__ == "__main__":
    harness.main(globals())
