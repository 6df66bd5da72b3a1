# SPDX-License-Identifier: Apache-2.0
"""What actors say to each other: sends, requests, late replies, channels, ids."""
import harness
from harness import OK, REQUEST_FAILED, check


def child_manifest(t):
    t.probe(file="child.toml", text="")
    return t.probe()


def test_requests_are_answered_in_order(t):
    messages = ["echo %d" % number for number in range(50)]
    t.requests(t.probe(), *messages).expect(OK, out=[str(number) for number in range(50)])


def test_unicode_and_blanks_survive(t):
    text = "ä  ö \U0001f600 \t x "
    run = t.requests(t.probe(), "echo " + text).expect(OK)
    check(run.out == text + "\n", "the same text comes back", repr(run.out))


def test_an_error_keeps_the_state(t):
    run = t.requests(t.probe(), "set-state one", "err no", "state")
    run.expect(REQUEST_FAILED, err="no")
    check(run.out.splitlines() == ["ok", "one"], "the state is what it was", run)


def test_the_actor_knows_its_id(t):
    t.requests(t.probe(), "self").expect(OK, out=["a"])


def test_send_to_nobody_is_an_error(t):
    t.requests(t.probe(), "send nobody x").expect(REQUEST_FAILED, out=[], err="nobody")


def test_request_to_nobody_is_an_error(t):
    t.requests(t.probe(), "request nobody x").expect(REQUEST_FAILED, out=[], err="nobody")


def test_sleep_parks_only_the_caller(t):
    t.requests(t.probe(), "sleep 50", "echo after").expect(OK, out=["ok", "after"])


def test_a_child_is_spawned_and_answers(t):
    manifest = child_manifest(t)
    run = t.requests(manifest, "spawn child.toml", "children").expect(OK)
    spawned, children = run.out.splitlines()
    check(spawned == children, "the child is listed", run)


def test_a_child_that_does_not_exist(t):
    run = t.requests(t.probe(), "spawn nowhere.toml")
    run.expect(REQUEST_FAILED, out=[], err="nowhere.toml")


def test_a_manifest_outside_the_folder_is_refused(t):
    for path in ("../x.toml", "/etc/passwd"):
        run = t.requests(t.probe(), "spawn " + path).expect(REQUEST_FAILED, out=[])
        check("root:" not in run.err, "nothing of the file is shown", run)


def test_other_peoples_children_cannot_be_touched(t):
    t.requests(t.probe(), "stop a").expect(REQUEST_FAILED, out=[])
    t.requests(t.probe(), "child-state a").expect(REQUEST_FAILED, out=[])


def test_shutdown_ends_the_run(t):
    run = t.run("run", t.probe(), "--id", "a", "--request", "shutdown bye", "--timeout", "60")
    run.expect(OK, out=["ok"])
    check(t.events("a")[-1]["type"] == "shutdown", "the last event is the shutdown")


def test_random_numbers(t):
    run = t.requests(t.probe(), "random 16", "range 5 6", "uuid").expect(OK)
    check(run.out.splitlines()[:2] == ["16 bytes", "5"], "bytes and a range of one", run)
    check(len(run.out.splitlines()[2]) == 36, "a UUID", run)


def test_the_chain_is_visible_to_its_actor(t):
    run = t.requests(t.probe(), "chain", "chain").expect(OK)
    first, second = run.out.splitlines()
    check(int(second) > int(first) >= 2, "it grows", run)


harness.main(globals())
