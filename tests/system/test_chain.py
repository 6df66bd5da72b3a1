# SPDX-License-Identifier: Apache-2.0
"""The chain from outside: show, export, verify; damage; crashes; a full disk."""
import json
import os
import re
import shutil
import signal
import subprocess

import harness
from harness import BAD_CHAIN, ERROR, OK, check

INCREMENT = '{"action":"increment"}'


def make_chain(t, requests=5):
    argv = ["run", harness.example("counter"), "--id", "counter"]
    for _ in range(requests):
        argv += ["--request", INCREMENT]
    return t.run(*argv, "--until-idle").expect(OK)


def test_list_names_the_actor(t):
    make_chain(t)
    check("counter" in t.run("chain", "list").expect(OK).out, "counter is listed")


def test_show_has_every_event(t):
    make_chain(t)
    shown = t.run("chain", "show", "counter").expect(OK)
    for event in t.events("counter"):
        check(event["type"].split("/")[-1] in shown.out, "shows " + event["type"], shown)


def test_show_as_json(t):
    make_chain(t)
    shown = t.run("chain", "show", "counter", "--json").expect(OK)
    for line in shown.out.splitlines():
        json.loads(line)


def test_export_links_every_event_to_its_parent(t):
    make_chain(t)
    events = t.events("counter")
    check(len(events) >= 6, "spawn, init and five requests", len(events))
    for index, event in enumerate(events):
        check(event["actor"] == "counter" and event["seq"] == index, "order", event)
        check(re.fullmatch("[0-9a-f]{64}", event["hash"]), "a SHA-256", event)
        if index > 0:
            check(event["parent"] == events[index - 1]["hash"], "parent link", event)
            check(event["time"] >= events[index - 1]["time"], "time does not go back", event)


def test_verify_passes(t):
    make_chain(t)
    t.run("chain", "verify").expect(OK)
    t.run("chain", "verify", "counter").expect(OK)
    t.run("chain", "verify", "--data", t.data, env=t.env(THEATER_HOME="/nonexistent")).expect(OK)


def test_runs_append_to_the_same_chain(t):
    make_chain(t)
    before = t.events("counter")
    second = t.run("run", harness.example("counter"), "--id", "counter", "--request", INCREMENT,
                   "--until-idle").expect(OK)
    after = t.events("counter")
    check(len(after) > len(before), "the chain grew", second)
    check(after[:len(before)] == before, "what was there is still there")
    t.run("chain", "verify").expect(OK)


def test_a_flipped_byte_names_the_event(t):
    make_chain(t)
    segment = os.path.basename(harness.log_segments(t.data)[-1])
    with open(os.path.join(t.data, "log", segment), "rb") as file:
        content = file.read()
    places = [match.start() for match in re.finditer(b"increment", content)]
    check(len(places) >= 5, "the messages are in the log", len(places))
    for place in (places[0], places[2], places[4]):
        copy = t.copy_data()
        harness.flip_byte(os.path.join(copy, "log", segment), place)
        verdict = t.run("chain", "verify", "--data", copy).expect(BAD_CHAIN)
        text = verdict.out + verdict.err
        check("counter" in text, "names the actor", verdict)
        check(re.search(r"event \d+|seq(uence)? \d+|#\d+", text), "names the event", verdict)
        check(segment in text, "names the file", verdict)


def test_damage_anywhere_is_found(t):
    make_chain(t)
    segment = os.path.basename(harness.log_segments(t.data)[-1])
    path = os.path.join(t.data, "log", segment)
    with open(path, "rb") as file:
        used = len(file.read().rstrip(b"\0"))
    for step in range(24):
        copy = t.copy_data()
        offset = (used - 1) * step // 24
        harness.flip_byte(os.path.join(copy, "log", segment), offset)
        verdict = t.run("chain", "verify", "--data", copy)
        check(verdict.code in (BAD_CHAIN, ERROR), "a flip at byte %d is found" % offset, verdict)


def test_a_removed_segment_is_found(t):
    make_chain(t)
    copy = t.copy_data()
    os.unlink(harness.log_segments(copy)[0])
    verdict = t.run("chain", "verify", "counter", "--data", copy)
    check(verdict.code in (BAD_CHAIN, ERROR), "a lost segment is not good", verdict)


def test_verify_changes_nothing(t):
    make_chain(t)
    before = snapshot(t.data)
    t.run("chain", "verify").expect(OK)
    t.run("chain", "list").expect(OK)
    t.run("chain", "show", "counter").expect(OK)
    check(snapshot(t.data) == before, "reading commands write nothing")


def test_kill_dash_nine_during_load(t):
    for attempt in range(3):
        argv = ["run", harness.example("counter"), "--id", "counter"]
        argv += ["--request", INCREMENT] * 12000
        live = t.start(*argv)
        live.wait_line("", stream="out", count=1 + attempt * 500)
        harness.wait_until(lambda: os.path.isdir(t.data)
                           and "counter" in t.run("chain", "list").out, what="counter in the list")
        check(live.process.poll() is None, "it is killed under load", len(live.lines["out"]))
        live.signal(signal.SIGKILL)
        live.process.wait()
        t.run("chain", "verify").expect(OK)
        check("counter" in t.run("chain", "list").expect(OK).out, "counter is listed")
        check(len(t.events("counter")) >= 2, "events are there")
    make_chain(t)
    t.run("chain", "verify").expect(OK)


def start_on_a_small_disk(t):
    """A node whose log has no room for its first segment: it stands, its actors wait."""
    small = os.path.join(t.folder, "small")
    os.mkdir(small)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small],
                           stderr=subprocess.DEVNULL, check=False)
    if mount.returncode != 0:
        raise harness.Skip("mounting a small disk needs root")
    t.mounts.append(small)
    argv = ["run", t.probe(), "--data", os.path.join(small, "data"), "--id", "a", "--quiet"]
    # The answers before the log has tried to write do not wait: so it has time to try.
    argv += ["--request", "sleep 3000"]
    for number in range(20):
        argv += ["--request", "echo %d %s" % (number, "x" * 2000)]
    live = t.start(*argv, "--until-idle")
    said = live.wait_line("the log stands")
    check("No space left on device" in said and small in said, "it says why and where", said)
    return small, live


def test_a_full_disk_makes_actors_wait_until_there_is_room(t):
    small, live = start_on_a_small_disk(t)
    subprocess.run(["mount", "-o", "remount,size=200m", small], check=True)
    live.wait_line("the log goes on")
    run = live.wait().expect(OK)
    numbers = [line.split(" ")[0] for line in run.out.splitlines()][-20:]
    check(numbers == [str(n) for n in range(20)],
          "every request is answered, in order", run)
    check(run.err.count("the log stands") == 1 and run.err.count("the log goes on") == 1,
          "it is said once", run)
    t.run("chain", "verify", "--data", os.path.join(small, "data")).expect(OK)


def test_a_node_on_a_full_disk_can_be_ended_and_says_what_it_could_not_write(t):
    small, live = start_on_a_small_disk(t)
    live.signal(signal.SIGTERM)
    run = live.wait()
    check(run.code in (ERROR, harness.SIGTERM_EXIT), "it ends", run)
    check("takes no more events" in run.err and "No space left" in run.err, "and says why", run)
    t.run("chain", "verify", "--data", os.path.join(small, "data")).expect(OK)


def test_the_data_folder_is_private(t):
    make_chain(t)
    check(os.stat(t.data).st_mode & 0o077 == 0, "mode 0700")


def test_home_is_used_without_a_variable(t):
    home = os.path.join(t.folder, "home")
    os.mkdir(home)
    env = t.env(HOME=home)
    del env["THEATER_HOME"]
    t.run("run", harness.example("counter"), "--id", "counter", "--until-idle", env=env).expect(OK)
    check(os.path.isdir(os.path.join(home, ".theater", "log")), "~/.theater is the data folder")
    shutil.rmtree(home)


def test_closed_standard_streams(t):
    """What the program opens first must not be taken for them: log lines would go into a chain."""
    argv = [harness.BINARY, "run", t.probe(), "--id", "a", "--request", "echo x",
            "--request", "trap", "--until-idle"]
    subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"] + argv, env=t.env(),
                   cwd=t.folder, check=False, timeout=harness.LIMIT_S)
    t.run("chain", "verify").expect(OK)
    check("crashed" in [event["type"] for event in t.events("a")], "it ran", t.events("a"))
    for path, content in snapshot(t.folder).items():
        check(b"unreachable\n" not in content, "nothing is written into " + path)


def snapshot(folder):
    found = {}
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb") as file:
                found[os.path.join(path, name)] = file.read()
    return found


harness.main(globals())
