# SPDX-License-Identifier: Apache-2.0
"""Guests that misbehave: each costs its own turn, never the node, and the chain says what happened."""
import harness
from harness import ERROR, OK, REQUEST_FAILED, check

LIMITS = """
[limits]
memory_bytes = 16777216
state_bytes = 65536
message_bytes = 65536
mailbox_messages = 100
turn_cpu_ms = 500
send_timeout_ms = 500
request_timeout_ms = 20000
"""


def ends_the_turn(t, message, err):
    """The request fails with a reason, the crash is in the chain, and the chain is whole."""
    run = t.requests(t.probe(LIMITS), "echo before", message)
    run.expect(REQUEST_FAILED, out=["before"])
    texts = [err] if isinstance(err, str) else err
    check(any(text in run.err.lower() for text in texts), "the reason is one of %r" % (texts,), run)
    types = [event["type"] for event in t.events("a")]
    check("crashed" in types, "the crash is recorded", types)
    t.run("chain", "verify").expect(OK)


def test_endless_loop(t):
    ends_the_turn(t, "loop", ["deadline", "cpu"])


def test_trap(t):
    ends_the_turn(t, "trap", "unreachable")


def test_recursion_on_the_native_stack(t):
    ends_the_turn(t, "stack", ["stack"])


def test_recursion_in_linear_memory(t):
    ends_the_turn(t, "frames", ["stack", "out of bounds"])


def test_memory_bomb(t):
    ends_the_turn(t, "bomb", ["unreachable", "memory"])


def test_state_over_its_limit(t):
    run = t.requests(t.probe(LIMITS), "grow-state 65537")
    run.expect(REQUEST_FAILED, out=[], err="state")


def test_state_at_its_limit_is_kept(t):
    t.requests(t.probe(LIMITS), "grow-state 65536", "echo after").expect(OK, out=["ok", "after"])


def test_message_over_its_limit(t):
    run = t.requests(t.probe(LIMITS), "echo " + "x" * 65536)
    check(run.code in (ERROR, REQUEST_FAILED), "it is refused", run)
    check("65536" in run.err or "message" in run.err, "and the limit is named", run)


def test_reply_over_its_limit(t):
    run = t.requests(t.probe(LIMITS), "echo " + "y" * 65531).expect(OK)
    check(len(run.out) == 65532, "the largest reply passes", len(run.out))


def test_init_that_fails(t):
    run = t.run("run", t.probe(LIMITS), "--state", '{"init":"err"}', "--until-idle")
    run.expect(ERROR, out=[], err="asked to fail in init")


def test_init_that_traps(t):
    run = t.run("run", t.probe(LIMITS), "--state", '{"init":"trap"}', "--until-idle")
    run.expect(ERROR, out=[], err="unreachable")


def test_flood_is_bounded(t):
    """An actor that sends to itself without end, by sending two for each one."""
    argv = ["run", t.probe(LIMITS), "--id", "a"]
    for _ in range(1000):
        argv += ["--send", "spin 1"]
    run = t.run(*argv, "--request", "echo alive", "--until-idle")
    check(run.code in (OK, ERROR), "messages wait for room or are refused", run)
    t.run("chain", "verify").expect(OK)


def test_request_to_itself_names_the_cycle(t):
    run = t.requests(t.probe(LIMITS), "request a echo hello")
    run.expect(REQUEST_FAILED, out=[])
    check("a -> a" in run.err, "the cycle is named", run)


def test_control_characters_do_not_reach_the_terminal(t):
    run = t.requests(t.probe(LIMITS), "log \x1b[31mred\x07\x1b]0;title\x07").expect(OK)
    check("\x1b" not in run.err and "\x07" not in run.err, "the log is escaped", repr(run.err))


def test_import_without_its_handler_is_refused(t):
    run = t.requests(t.probe(handlers=("runtime", "message-server")), "echo x")
    run.expect(ERROR, out=[], err="[[handler]]")


def test_a_crash_restarts_nothing_at_the_root(t):
    run = t.requests(t.probe(LIMITS), "trap", "echo after")
    run.expect(REQUEST_FAILED, out=[])


def guest_fails(t, name, err):
    """A guest made to misbehave outside its handlers."""
    manifest = harness.guest(name + "/manifest.toml")
    run = t.run("run", manifest, "--id", "a", "--send", "x", "--until-idle").expect(ERROR, out=[])
    check(any(text in run.err.lower() for text in err), "the reason is one of %r" % (err,), run)
    t.run("chain", "verify").expect(OK)


def test_loop_in_init(t):
    guest_fails(t, "loop_init", ["deadline", "cpu"])


def test_loop_in_realloc(t):
    guest_fails(t, "loop_realloc", ["deadline", "cpu"])


def test_loop_in_post_return(t):
    guest_fails(t, "loop_post_return", ["deadline", "cpu"])


def test_trap_in_realloc(t):
    guest_fails(t, "trap_realloc", ["unreachable"])


def test_realloc_outside_the_memory(t):
    guest_fails(t, "wild_realloc", ["bounds", "realloc", "memory"])


def test_host_calls_at_every_depth_of_the_stack(t):
    manifest = harness.guest("deep_calls/manifest.toml")
    for function in ("log", "all"):
        run = t.run("run", manifest, "--request", function, "--until-idle")
        check(run.code in (OK, REQUEST_FAILED), "the node survives", run)


harness.main(globals())
