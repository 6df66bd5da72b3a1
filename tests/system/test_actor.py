# SPDX-License-Identifier: Apache-2.0
"""One actor from the command line: requests, state, messages, clean ends."""
import json
import os
import signal

import harness
from harness import ERROR, OK, REQUEST_FAILED, SIGINT_EXIT, SIGTERM_EXIT, TIMEOUT, USAGE, check

INCREMENT = '{"action":"increment"}'
GET = '{"action":"get"}'


def test_version_and_help(t):
    version = t.run("--version").expect(OK)
    check(version.out.startswith("theater "), "the version line names the program", version)
    text = t.run("help").expect(OK).out
    for asking in (["--help"], ["help", "run"], ["run", "--help"], ["chain", "-h"]):
        check(t.run(*asking).expect(OK).out == text, "help", asking)
    for command in ("run", "chain", "inspect"):
        check(command in text, "help mentions " + command, text)


def test_no_arguments_is_a_usage_error(t):
    t.run().expect(USAGE, out=[])


def test_unknown_command_is_a_usage_error(t):
    t.run("rnu").expect(USAGE, out=[], err="rnu")


def test_unknown_option_is_named(t):
    t.run("run", harness.example("counter"), "--frobnicate").expect(USAGE, err="--frobnicate")


def test_option_without_its_value_is_named(t):
    t.run("run", harness.example("counter"), "--id").expect(USAGE, err="--id")


def test_bad_timeout_is_named(t):
    t.run("run", harness.example("counter"), "--timeout", "soon").expect(USAGE, err="soon")


def test_counter_counts(t):
    run = t.run("run", harness.example("counter"), "--id", "counter", "--request", INCREMENT,
                "--request", INCREMENT, "--send", "x", "--request", GET, "--until-idle")
    run.expect(OK, out=['{"count":1}', '{"count":2}', '{"count":3}'])


def test_state_can_be_given(t):
    run = t.run("run", harness.example("counter"), "--state", '{"count": 41}', "--request",
                INCREMENT, "--until-idle")
    run.expect(OK, out=['{"count":42}'])


def test_replies_as_json(t):
    run = t.run("run", harness.example("counter"), "--request", INCREMENT, "--until-idle",
                "--json").expect(OK)
    check(run.out.strip() != "", "there is a reply", run)
    for line in run.out.splitlines():
        json.loads(line)


def test_error_reply_has_its_own_exit_code(t):
    run = t.run("run", harness.example("counter"), "--request", '{"action":"fly"}', "--until-idle")
    run.expect(REQUEST_FAILED, out=[], err="unknown action")


def test_request_timeout(t):
    run = t.run("run", t.probe(), "--request", "late", "--timeout", "2", "--until-idle")
    run.expect(TIMEOUT, out=[])


def test_a_cancelled_request_is_an_error(t):
    run = t.run("run", harness.example("late-reply"), "--request", "never", "--until-idle")
    run.expect(REQUEST_FAILED, out=[], err="cancelled")


def test_late_reply_arrives(t):
    run = t.run("run", harness.example("late-reply"), "--request", "hello", "--until-idle",
                "--timeout", "60").expect(OK)
    check(len(run.out.splitlines()) == 1, "one reply", run)


def test_four_actors_talk(t):
    for _ in range(5):
        run = t.run("run", harness.example("chat"), "--until-idle", "--timeout", "60").expect(OK)
        for line in ("red comes in", "blue: it is late", 'blue hears "red leaves"'):
            check(line in run.err, "the log says %r" % line, run)
    t.run("chain", "verify").expect(OK)


def test_works_in_other_locales(t):
    for locale in ("C", "de_DE.UTF-8", "no_SUCH.locale"):
        run = t.run("run", harness.example("counter"), "--state", '{"count": 1}', "--request",
                    INCREMENT, "--until-idle", env=t.env(LC_ALL=locale, LANG=locale))
        run.expect(OK, out=['{"count":2}'])


def test_runs_from_another_folder_and_relative_paths(t):
    manifest = harness.example("counter")
    run = t.run("run", os.path.basename(manifest), "--request", INCREMENT, "--until-idle",
                cwd=os.path.dirname(manifest))
    run.expect(OK)


def test_ctrl_c_drains(t):
    live = t.start("run", harness.example("counter"), "--id", "counter")
    t_wait_running(t, live)
    live.signal(signal.SIGINT)
    live.wait().expect(SIGINT_EXIT)
    last = t.events("counter")[-1]
    check(last["type"] == "shutdown" or last["type"] == "stopped",
          "the last event is the shutdown", last)
    t.run("chain", "verify").expect(OK)


def test_sigterm_drains(t):
    live = t.start("run", harness.example("counter"), "--id", "counter")
    t_wait_running(t, live)
    live.signal(signal.SIGTERM)
    live.wait().expect(SIGTERM_EXIT)
    t.run("chain", "verify").expect(OK)


def test_second_node_is_told_who_holds_the_lock(t):
    live = t.start("run", harness.example("counter"), "--id", "counter")
    t_wait_running(t, live)
    second = t.run("run", harness.example("counter"), "--until-idle")
    second.expect(ERROR, err=str(live.pid))


def test_reading_commands_work_beside_a_live_node(t):
    live = t.start("run", harness.example("counter"), "--id", "counter", "--request", INCREMENT)
    live.wait_line("", stream="out")
    harness.wait_until(lambda: "counter" in t.run("chain", "list").out, what="counter in chain list")
    t.run("chain", "show", "counter").expect(OK)
    t.run("chain", "verify").expect(OK)
    check(live.process.poll() is None, "the node lives on", live.result())


def t_wait_running(t, live):
    """Until the actor's init has been recorded."""
    harness.wait_until(lambda: live.process.poll() is not None
                       or "counter" in t.run("chain", "list").out, what="counter in chain list")
    check(live.process.poll() is None, "the node runs", live.result())


harness.main(globals())
