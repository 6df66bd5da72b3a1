# SPDX-License-Identifier: Apache-2.0
"""theater call: one function of a component, arguments and result as WAVE; and its wrong usage, as
someone who tries it for the first time would find it."""
import os
import signal
import subprocess
import time

import harness
from harness import ERROR, OK, SIGINT_EXIT, SIGTERM_EXIT, TIMEOUT, check

TRAPPED = 2
ECHO = harness.guest("echo/echo.wasm")
EVERYTHING = (
    "{truth: true, small: -128, byte: 255, short: -300, word: 65535, number: -1, count: 4294967295, "
    "long: -9223372036854775808, size: 18446744073709551615, single: 0.1, double: -inf, "
    "letter: '☃', text: \"héllo\\n\\u{1b}\\\"\", mood: %ok, rights: {read, export}, "
    "form: many([{x: -0, y: 1e+300}, {x: nan, y: 12}]), points: [], pair: (7, [\"a\", \"\"]), "
    "maybe: some(none), outcome: err(QUICK-fix), bytes: some([1, 2, 3])}")


def call(t, expression, *options, code=OK, out=None, err=(), component=ECHO, stdin=None):
    run = t.run("call", component, expression, *options, stdin=stdin)
    return run.expect(code, out=out, err=err)


def refused(t, *argv, err):
    run = t.run("call", *argv).expect(ERROR, out=[], err=err)
    check(len(run.err.splitlines()) <= 16, "the refusal is short", run)
    return run


# ---- values and names

def test_every_type_there_and_back(t):
    call(t, "echo(%s)" % EVERYTHING, out=[EVERYTHING])


def test_shorter_forms(t):
    short = EVERYTHING.replace("bytes: some([1, 2, 3])", "bytes: [1, 2, 3,], // flat\n")
    call(t, "echo(%s)" % short, out=[EVERYTHING])
    left_out = EVERYTHING.replace(", bytes: some([1, 2, 3])", "")
    call(t, "echo(%s)" % left_out, out=[left_out])


def test_names_of_functions(t):
    for name in ("test:echo/values@1.2.3.add", "test:echo/values.add", "values.add", "add",
                 "test:echo/values@1.2.3#add", " add "):
        call(t, name + "(1, 2)", out=["3"])
    call(t, "double(21)", out=["42"])
    call(t, "turn(%record)", out=["record"])


def test_ambiguous_name_lists_what_it_may_mean(t):
    run = call(t, 'text("x")', code=ERROR, out=[], err='"text" may mean any of')
    for name in ("values", "more"):
        line = "test:echo/%s@1.2.3.text(text: string) -> string" % name
        check(line in run.err, "the candidate is listed", run)
    check("add" not in run.err, "only the candidates are listed", run)
    call(t, 'more.text("x")', out=['"x"'])


def test_arguments_that_are_options_may_be_left_out(t):
    call(t, "add(1)", out=["1"])
    call(t, "add(1, none, 5)", out=["6"])
    call(t, "add(1, some(2),)", out=["3"])


def test_function_without_result_or_arguments(t):
    call(t, "nothing()", out=["()"])
    call(t, "nothing", out=["()"])


def test_expression_from_stdin(t):
    text = 'more.text("""\n    one\n      two\n    """) // done\n'
    call(t, "-", out=['"one\\n  two"'], stdin=text.encode())


def test_a_megabyte_there_and_back(t):
    text = '"%s"' % ("x" * 1000000)
    call(t, "-", out=[text], stdin=("more.text(%s)" % text).encode())


def test_an_actor_can_be_called(t):
    counter = harness.find(os.path.dirname(harness.example("counter")), "*.wasm")
    run = call(t, 'theater:simple/actor.init(none, ("id"))', component=counter, err="[call]")
    check(run.out.startswith("ok((some([123, "), "the state is printed", run)
    run = call(t, 'init(some([1]), ("id"))', component=counter)
    check(run.out.startswith('err("'), "err is a result like any other", run)
    check(not os.path.exists(t.data), "a call leaves no data")


def test_result_that_cannot_be_written(t):
    with open("/dev/full", "wb") as full:
        run = subprocess.run([harness.BINARY, "call", ECHO, "add(1)"], env=t.env(), stdout=full,
                             stderr=subprocess.PIPE, check=False, timeout=harness.LIMIT_S)
    check(run.returncode == ERROR and b"cannot write the result" in run.stderr, "it is told", run)


# ---- what happens meanwhile

def test_log_lines_go_to_stderr(t):
    call(t, 'say("hello\\u{1b}[31m")', out=["()"], err="[call] hello\\x1b[31m")
    run = call(t, 'say("hello")', "--quiet", out=["()"])
    check(run.err == "", "--quiet is quiet", run)


def test_a_wait_is_waited_for(t):
    call(t, "nothing()")
    begin = time.monotonic()
    call(t, "nap(300)", out=["ok"])
    check(time.monotonic() - begin >= 0.3, "the call took as long as the sleep")


def test_host_error_is_a_result(t):
    run = call(t, "nap(18446744073709551615)")
    check(run.out.startswith('err("permission denied: sleep of'), "the limit is named", run)


def test_trap(t):
    call(t, "trap()", code=TRAPPED, out=[], err="trap: wasm trap: unreachable")


def test_timeout_ends_a_loop_and_a_sleep(t):
    for name in ("spin()", "nap(60000)"):
        call(t, name, "--timeout", "0.2", code=TIMEOUT, out=[], err="time-out")


def test_signals_end_a_loop_and_a_sleep(t):
    for name in ("spin()", "nap(60000)"):
        for number, code in ((signal.SIGINT, SIGINT_EXIT), (signal.SIGTERM, SIGTERM_EXIT)):
            live = t.start("call", ECHO, name)
            harness.wait_until(lambda: catches_signals(live.pid), what="the call has begun")
            live.signal(number)
            live.wait(30).expect(code, out=[])


def catches_signals(pid):
    """SIGINT and SIGTERM are blocked once a thread waits for them."""
    with open("/proc/%d/status" % pid) as file:
        blocked = [line for line in file if line.startswith("SigBlk:")]
    mask = int(blocked[0].split()[1], 16)
    return mask >> (signal.SIGINT - 1) & 1 and mask >> (signal.SIGTERM - 1) & 1


# ---- wrong usage

def test_what_is_not_a_component(t):
    refused(t, "nowhere.wasm", "f()", err="nowhere.wasm")
    refused(t, t.write("readme.txt", "# read me"), "f()", err="readme.txt: byte 0: not a WebAssembly")
    refused(t, t.write("core.wasm", b"\0asm\1\0\0\0"), "f()", err="core module, not a component")
    refused(t, t.write("empty.wasm", ""), "f()", err="not a WebAssembly component")
    refused(t, t.write("none.wasm", b"\0asm\x0d\0\1\0"), "f()", err="exports no functions")
    refused(t, t.folder, "f()", err=t.folder)


def test_no_call_lists_the_functions(t):
    run = refused(t, ECHO, err="which function?")
    check("  double(x: u32) -> u32" in run.err, "functions are listed with their types", run)
    check("  test:echo/values@1.2.3.nap(ms: u64) -> result<_, string>" in run.err, "all", run)


def test_unknown_function_lists_those_there_are(t):
    run = refused(t, ECHO, "values.ad(1)", err='there is no function "values.ad"')
    check("test:echo/values@1.2.3.add(a: u32, b: option<u32>, c: option<u32>) -> u32" in run.err,
          "the right one is among them", run)


def test_wrong_number_of_arguments(t):
    refused(t, ECHO, "add()", err="too few arguments: it takes 3 arguments: func(u32")
    refused(t, ECHO, "add(1, 2, 3, 4)", err="1:14 (byte 13): too many arguments")
    refused(t, ECHO, "double", err="too few arguments: it takes 1 argument: func(u32) -> u32")


def test_wrong_types(t):
    refused(t, ECHO, 'add("1")', err="argument 1 (a): 1:5 (byte 4): expected u32, found '\"1\"'")
    refused(t, ECHO, "add(-1)", err="expected u32, which goes from 0 to 4294967295")
    refused(t, ECHO, "more.text(x)", err="expected a string such as \"text\", found 'x'")
    refused(t, ECHO, "turn(ok)", err="write %ok")
    refused(t, ECHO, "turn(bad)", err="there is no case 'bad' in enum{good, record, ok, QUICK-fix}")
    refused(t, ECHO, "echo({truth: 1})", err="expected bool (true or false), found '1'")


def test_unfinished_text(t):
    refused(t, ECHO, 'more.text("abc)', err="1:11 (byte 10): the string has no closing \"")
    refused(t, ECHO, "add(1", err="expected ',' or ')', found the end")
    refused(t, ECHO, "add(1) 2", err="expected nothing behind it, found '2'")


def test_hostile_text(t):
    for text in (b"more.text(\"\xff\")", b"\x1b[31m(" + b"(" * 100000, b"[" * 1000000, b"(" * 1000000,
                 b"more.text(" + b"\0" * 1000):
        run = call(t, "-", code=ERROR, out=[], stdin=text)
        check("\x1b" not in run.err, "no control characters reach the terminal", run)
    big = b"echo({points: [" + b"{x:0,y:0}," * 200000
    call(t, "-", code=ERROR, out=[], err="found the end", stdin=big)


def test_options(t):
    refused(t, err="which component?")
    refused(t, ECHO, "add(1,", "2)", err="put the call in single quotes")
    refused(t, ECHO, "add(1)", "--frobnicate", err="--frobnicate")
    refused(t, ECHO, "add(1)", "--timeout", err="--timeout needs a value")
    refused(t, ECHO, "add(1)", "--timeout", "soon", err="soon")


harness.main(globals())
