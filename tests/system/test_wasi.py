# SPDX-License-Identifier: Apache-2.0
"""WASI 0.2: actors built on a C library. The guest (tests/guests/wasi) does what a request says."""
import os
import shutil
import time

import harness
from harness import OK, REQUEST_FAILED, check

TIMING = '[[handler]]\ntype = "timing"\n'
RANDOM = '[[handler]]\ntype = "random"\n'


def wasi(t, text="", file="wasi.toml"):
    """A manifest for the guest, whose component lies beside it."""
    if not os.path.exists(os.path.join(t.folder, "wasi.wasm")):
        shutil.copy(harness.guest("wasi/wasi.wasm"), os.path.join(t.folder, "wasi.wasm"))
    return t.manifest("wasi.wasm", text, name="wasi", file=file)


def log_of(run):
    """What the actor "a" wrote to its log."""
    return [line.split("[a] ", 1)[1] for line in run.err.splitlines() if "[a] " in line]


def calls(t, name):
    """The recorded host calls of that name, from the actor's chain."""
    found = []
    for event in t.events("a"):
        for call in event["data"].get("5", []) if isinstance(event["data"], dict) else []:
            if call and call[0] == name:
                found.append(call)
    return found


# ---- stdout and stderr -----------------------------------------------------------------------------

def test_stdout_goes_to_the_log_by_lines(t):
    run = t.requests(wasi(t), "print hello world", "part un", "part fin", "print ished").expect(OK)
    check(log_of(run) == ["hello world", "unfinished"], "two lines", run)


def test_stderr_is_marked(t):
    run = t.requests(wasi(t), "complain it hurts").expect(OK)
    check(log_of(run) == ["stderr: it hurts"], "one marked line", run)


def test_an_unfinished_line_is_logged_at_the_end(t):
    run = t.requests(wasi(t), "part last words").expect(OK)
    check(log_of(run) == ["last words"], "the rest of the line", run)


def test_an_unfinished_line_is_logged_before_a_crash(t):
    run = t.requests(wasi(t), "part last words", "abort").expect(REQUEST_FAILED)
    check(log_of(run) == ["last words"], "the rest of the line", run)


def test_an_endless_line_is_cut(t):
    run = t.requests(wasi(t), "print " + "x" * 10000).expect(OK)
    check("".join(log_of(run)) == "x" * 10000, "nothing is lost", run)
    check(max(len(line) for line in log_of(run)) == 2048, "in pieces", run)


def test_control_characters_do_not_reach_the_terminal(t):
    run = t.requests(wasi(t), "print \x1b[2Jgone").expect(OK)
    check(log_of(run) == ["\\x1b[2Jgone"], "escaped", run)


def test_stdin_is_at_its_end(t):
    t.requests(wasi(t), "stdin").expect(OK, out=["-1"])


def test_what_is_written_is_in_the_chain(t):
    t.requests(wasi(t), "print recorded").expect(OK)
    run = t.run("chain", "export", "a").expect(OK)
    check("wasi:io/streams.[method]output-stream.blocking-write-and-flush" in run.out or
          "wasi:io/streams.[method]output-stream.write" in run.out, "the call", run)
    check("wasi:cli/stdout.get-stdout" in run.out, "the stream", run)


# ---- environment -----------------------------------------------------------------------------------

def environment(t, block, *messages):
    text = '[[handler]]\ntype = "environment"\n' + block
    env = t.env(WASI_ONE="1", WASI_TWO="2", WASI_SECRET="s", OTHER="o")
    return t.requests(wasi(t, text), *messages, env=env)


def test_without_the_handler_the_environment_is_empty(t):
    run = t.requests(wasi(t), "environment", "env HOME").expect(OK)
    check(run.out.splitlines() == ["", "(not set)"], "nothing", run)


def test_the_environment_is_what_the_handler_allows(t):
    block = 'allowed_vars = ["OTHER"]\nallowed_prefixes = ["WASI_"]\ndenied_vars = ["WASI_SECRET"]\n'
    run = environment(t, block, "environment", "env WASI_TWO", "env WASI_SECRET").expect(OK)
    lines = run.out.splitlines()
    check(sorted(lines[0].split()) == ["OTHER=o", "WASI_ONE=1", "WASI_TWO=2"], "only these", run)
    check(lines[1:] == ["2", "(not set)"], "one by one", run)


def test_an_empty_environment_list_allows_nothing(t):
    run = environment(t, "allowed_vars = []\n", "environment").expect(OK)
    check(run.out.strip() == "", "nothing", run)


def test_the_policy_may_forbid_the_environment(t):
    policy = ('allowed_vars = ["OTHER"]\n[permission_policy.environment]\ntype = "disallow"\n')
    run = environment(t, policy, "environment").expect(OK)
    check(run.out.strip() == "", "nothing", run)


# ---- clocks and random numbers -----------------------------------------------------------------------

def test_clocks_need_the_timing_handler(t):
    for message in ("time", "clock", "sleep 1", "poll 1"):
        run = t.requests(wasi(t), message).expect(REQUEST_FAILED, out=[])
        check('add [[handler]] type = "timing" to' in run.err, "the block to add", run)
        check("wasi:clocks/" in run.err, "the function", run)


def test_clocks(t):
    run = t.requests(wasi(t, TIMING), "time", "clock", "clock").expect(OK)
    seconds, first, second = run.out.splitlines()
    check(abs(int(seconds) - time.time()) < 100, "the time of day", run)
    check(float(first) <= float(second), "it does not go back", run)


def test_the_policy_may_forbid_timing(t):
    text = TIMING + '[permission_policy.timing]\ntype = "disallow"\n'
    t.requests(wasi(t, text), "time").expect(REQUEST_FAILED, err="permission denied")


def test_a_long_wait_is_over_the_limit(t):
    t.requests(wasi(t, TIMING + "max_sleep_duration = 50\n"), "sleep 20", "sleep 5000").expect(
        REQUEST_FAILED, out=["ok"], err="over the limit of 50 ms")


def test_random_numbers_need_the_handler(t):
    run = t.requests(wasi(t), "entropy 8").expect(REQUEST_FAILED, out=[])
    check('add [[handler]] type = "random" to' in run.err, "the block to add", run)


def test_random_numbers(t):
    run = t.requests(wasi(t, RANDOM), "entropy 16", "entropy 16").expect(OK)
    first, second = run.out.splitlines()
    check(len(first) == 32 and first != second, "two of 16 bytes", run)


def test_random_numbers_of_a_seed_are_the_same(t):
    runs = [t.run("run", wasi(t, RANDOM + "seed = 7\n"), "--request", "entropy 16", "--request",
                  "seed", "--until-idle").expect(OK).out for _ in range(2)]
    check(runs[0] == runs[1], "twice the same", runs)


def test_random_numbers_have_a_limit(t):
    t.requests(wasi(t, RANDOM + "max_bytes = 15\n"), "entropy 15", "entropy 16").expect(
        REQUEST_FAILED, err="over the limit of 15")


def test_a_seed_for_hash_tables_needs_no_handler(t):
    runs = [t.requests(wasi(t), "seed").expect(OK).out for _ in range(2)]
    check(runs[0] == runs[1], "it follows from the id", runs)


def test_drawn_numbers_are_in_the_chain(t):
    drawn = t.requests(wasi(t, RANDOM), "entropy 16").expect(OK).out.strip()
    run = t.run("chain", "export", "a").expect(OK)
    check(drawn in run.out.lower().replace(" ", ""), "the bytes", drawn, run)


# ---- poll --------------------------------------------------------------------------------------------

def test_poll_gives_the_first_timer(t):
    t.requests(wasi(t, TIMING), "poll 60000 5 60000").expect(OK, out=["1"])


def test_a_wait_parks_only_its_actor(t):
    """On one worker, one actor waits in poll while another answers."""
    for name in ("one", "two"):
        wasi(t, TIMING, file=name + ".toml")
        path = os.path.join(t.folder, name + ".toml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        t.write(name + ".toml", 'id = "%s"\n' % name + text)
    run = t.requests(t.probe(), "spawn one.toml", "spawn two.toml", "send one poll 1500",
                     "request two print meanwhile", workers=1).expect(OK)
    lines = [line for line in run.err.splitlines() if "[one] 0" in line or "meanwhile" in line]
    check(len(lines) == 2 and "meanwhile" in lines[0], "the other one went on", run)


# ---- exit --------------------------------------------------------------------------------------------

def test_exit_with_success_stops_the_actor(t):
    run = t.run("run", wasi(t), "--id", "a", "--request", "print bye", "--request", "exit 0",
                "--timeout", "60").expect(REQUEST_FAILED, out=["ok"])
    check("crashed" not in run.err, "no crash", run)
    types = [event["type"] for event in t.events("a")]
    check(types[-2:] == ["handle-request", "shutdown"], "an orderly stop", types)


def test_exit_with_failure_is_a_crash(t):
    t.requests(wasi(t), "exit 3").expect(REQUEST_FAILED, err="the actor exited with status 1")
    check(any(event["type"] == "crashed" for event in t.events("a")), "a crash", t.events("a"))


def test_exit_with_a_code_names_it(t):
    t.requests(wasi(t), "exit-code 7").expect(REQUEST_FAILED,
                                              err="the actor exited with status 7")


# ---- what is not there -------------------------------------------------------------------------------

def test_an_unknown_function_traps_by_its_name(t):
    for message, name in (("made-up", "wasi:clocks/made-up@0.2.0.tick"),
                          ("nowhere", "wasi:nowhere/nothing@0.2.0.get")):
        t.requests(wasi(t), message).expect(REQUEST_FAILED, out=[],
                                            err=name + ", which is not provided")


def test_sockets_are_denied(t):
    t.requests(wasi(t), "socket", "lookup example.com").expect(OK, out=["error 1", "error 1"])


def test_without_the_handler_there_are_no_folders(t):
    run = t.requests(wasi(t), "read /etc/passwd", "list /", "write x y").expect(OK)
    check(all(line.startswith("errno ") for line in run.out.splitlines()), "no folder", run)


def test_a_component_of_all_of_wasi_loads(t):
    run = t.run("inspect", harness.guest("wasi/wasi.wasm"))
    check("can run here" in run.out, "nothing is missing", run)


harness.main(globals())
