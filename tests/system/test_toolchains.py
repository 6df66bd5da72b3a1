# SPDX-License-Identifier: Apache-2.0
"""Actors from other toolchains than ours: Rust, AssemblyScript, JavaScript. The same guest in each
(tests/guests/README.md) does the same things as an actor. One in C++ uses its standard library."""
import os
import subprocess

import harness
from harness import OK, REQUEST_FAILED, check

HANDLERS = "".join('\n[[handler]]\ntype = "%s"\n' % name
                   for name in ("runtime", "message-server", "timing", "random"))
MIB = 1 << 20
GROWN = "%d bytes, sum %d" % (MIB, sum(at % 251 for at in range(4, MIB)))
FIRST_START_S = 900


def built(folder):
    """The component of a folder that commits none: built once, and again when its source is newer."""
    source = harness.find(folder, "*.cc" if folder.endswith("cpp") else "*.js")
    component = os.path.join(harness.ROOT, "build", "guests", os.path.basename(folder) + ".wasm")
    if os.path.exists(component) and os.path.getmtime(component) > os.path.getmtime(source):
        return component
    os.makedirs(os.path.dirname(component), exist_ok=True)
    made = subprocess.run([os.path.join(harness.ROOT, "script", "build-guest"),
                           os.path.join(harness.ROOT, folder), component],
                          capture_output=True, text=True, check=False)
    if made.returncode == 77:
        raise harness.Skip(made.stderr.strip())
    check(made.returncode == 0, "%s builds" % folder, made.stdout, made.stderr)
    return component


def requests(t, component, *messages, options=()):
    argv = ["run", t.manifest(component, HANDLERS), "--id", "hager", *options]
    for message in messages:
        argv += ["--request", message]
    return t.run(*argv, "--until-idle", limit=FIRST_START_S)


def life(t, component):
    """init, send, request, late reply, error, state there and back, text that is not ASCII."""
    run = requests(t, component, "abc", "async", "upper:grüße – ß 🎭", "grow", "size",
                   options=("--send", "hello"))
    run.expect(OK, out=["cba", "later", "GRÜSSE – SS 🎭", "grown", GROWN],
               err=["init: hager", "send #1: 5 bytes", "outstanding: 1", "GRÜSSE – SS 🎭"])
    t.run("chain", "verify").expect(OK)


def error(t, component):
    """An error of the guest reaches the requester, and the actor goes on with its old state."""
    run = requests(t, component, "grow", "fail", "size")
    run.expect(REQUEST_FAILED, out=["grown", GROWN], err="nicht möglich: ✗")


def trap(t, component, text):
    """What the language does when it gives up is a crash, and its words are in the log."""
    run = requests(t, component, "abc", "trap")
    run.expect(REQUEST_FAILED, out=["cba"], err=["über die Grenze", text])
    t.run("chain", "verify").expect(OK)


def refused_init(t, component):
    run = t.run("run", t.manifest(component, HANDLERS), "--id", "fail", "--until-idle",
                limit=FIRST_START_S)
    run.expect(harness.ERROR, out=[], err="refused: fail")


def call(t, component):
    """theater inspect and theater call on it."""
    run = t.run("inspect", component).expect(OK)
    check("can run here" in run.out, "inspect says that it can run", run)
    run = t.run("call", component, 'actor.init(some([7, 0, 0, 0, 9]), ("ä☃"))', limit=FIRST_START_S)
    run.expect(OK, out=["ok((some([7, 0, 0, 0])))"], err="init: ä☃")
    run = t.run("call", component, 'handle-request(none, ("id", [1, 2, 3]))', limit=FIRST_START_S)
    run.expect(OK, out=["ok((some([1, 0, 0, 0]), (some([3, 2, 1]))))"])


def test_rust_actor(t):
    life(t, harness.guest("rust/guest.wasm"))


def test_rust_error(t):
    error(t, harness.guest("rust/guest.wasm"))


def test_rust_panic(t):
    trap(t, harness.guest("rust/guest.wasm"), "panicked at")


def test_rust_bindings(t):
    run = requests(t, harness.guest("rust/guest.wasm"), "abc", "bindings", "end").expect(OK)
    lines = run.out.splitlines()
    check(lines[0] == "cba" and lines[2] == "dne", "the other requests are answered", run)
    told = lines[1].split("; ")
    check(told[:7] == ["hager keeps [1, 0, 0, 0]", "slept true", "5 bytes", "range 1099511627776",
                       "no range true", "float true", "uuid 36"], "what the calls give", run)
    for line, name in zip(told[7:], ("nobody", "nobody", "no-channel", "no-request")):
        check(name in line, "the error names %s" % name, line)
    t.run("chain", "verify").expect(OK)


def test_rust_init_refuses(t):
    refused_init(t, harness.guest("rust/guest.wasm"))


def test_rust_call_and_inspect(t):
    call(t, harness.guest("rust/guest.wasm"))


def test_assemblyscript_actor(t):
    life(t, harness.guest("assemblyscript/guest.wasm"))


def test_assemblyscript_error(t):
    error(t, harness.guest("assemblyscript/guest.wasm"))


def test_assemblyscript_throw(t):
    trap(t, harness.guest("assemblyscript/guest.wasm"), "abort:")


def test_assemblyscript_init_refuses(t):
    refused_init(t, harness.guest("assemblyscript/guest.wasm"))


def test_assemblyscript_call_and_inspect(t):
    call(t, harness.guest("assemblyscript/guest.wasm"))


def test_javascript_actor(t):
    life(t, built("tests/guests/quickjs"))


def test_javascript_error(t):
    error(t, built("tests/guests/quickjs"))


def test_javascript_exception_is_an_error(t):
    run = requests(t, built("tests/guests/quickjs"), "grow", "trap", "size")
    run.expect(REQUEST_FAILED, out=["grown", GROWN], err="über die Grenze")


def test_javascript_wrong_result_is_a_crash(t):
    """The engine cannot lower it and panics; what it writes to its standard error is logged."""
    run = requests(t, built("tests/guests/quickjs"), "abc", "crash")
    run.expect(REQUEST_FAILED, out=["cba"], err=["expected array", "crashed"])
    t.run("chain", "verify").expect(OK)


def test_javascript_init_refuses(t):
    refused_init(t, built("tests/guests/quickjs"))


def test_javascript_call_and_inspect(t):
    call(t, built("tests/guests/quickjs"))


def test_cpp_on_its_standard_library(t):
    """Constructors before the first call, streams, files, maps, clocks; the state is a count."""
    os.mkdir(os.path.join(t.folder, "box"))
    blocks = HANDLERS + '[[handler]]\ntype = "filesystem"\npath = "box"\nallowed_commands = []\n'
    run = t.run("run", t.manifest(built("tests/guests/cpp"), blocks), "--id", "a", "--request", "born",
                "--request", "count b a b ä", "--request", "save f größer", "--request", "load f",
                "--request", "load none", "--request", "later 20", "--request", "hello ☃",
                "--request", "complain leise", "--request", "fail so", "--request", "born",
                "--until-idle", limit=FIRST_START_S)
    run.expect(REQUEST_FAILED, out=["born 1 #1", "a=1 b=2 ä=1  #2", "saved #3", "größer #4", "later #5", " #6",
                                    " #7", "born 1 #8"],
               err=["cannot load none", "hello, ☃", "stderr: leise", "so"])
    with open(os.path.join(t.folder, "box", "f"), encoding="utf-8") as file:
        check(file.read() == "größer", "on the disk")
    t.run("chain", "verify").expect(OK)


def test_cpp_abort_is_a_crash(t):
    run = requests(t, built("tests/guests/cpp"), "abc", "trap")
    run.expect(REQUEST_FAILED, out=["cba #1"], err="unreachable")


def test_rust_counter_does_what_its_readme_says(t):
    run = t.run("run", harness.example("rust-counter"), "--state", "41", "--request", "increment",
                "--request", "get", "--request", "no", "--until-idle")
    run.expect(REQUEST_FAILED, out=["42", "42"], err=["starts at 41", "unknown action"])


def test_javascript_counter_does_what_its_readme_says(t):
    manifest = t.manifest(built("examples/js-counter"), HANDLERS)
    run = t.run("run", manifest, "--state", '{"count":40}', "--send", "hello",
                "--request", '{"action":"increment"}', "--request", '{"action":"no"}',
                "--request", "no JSON", "--until-idle", limit=FIRST_START_S)
    run.expect(REQUEST_FAILED, out=['{"count":42}'],
               err=["starts at 40", "count is 41 after a message of 5 bytes", "unknown action",
                    "unexpected token"])


if __name__ == "__main__":
    harness.main(globals())
