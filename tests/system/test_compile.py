# SPDX-License-Identifier: Apache-2.0
"""theater compile, --no-compile and --code; quick code first and optimised code later."""
import os
import shutil
import signal
import subprocess

import harness
import test_toolchains as toolchains
from harness import ERROR, OK, USAGE, Skip, check

COUNTER = os.path.join(harness.ROOT, "examples", "counter")
GET = ("--request", '{"action":"get"}', "--until-idle")
HANDLERS = toolchains.HANDLERS
CORE_MODULE = b"\0asm\1\0\0\0"


def need_quick():
    if not shutil.which("tcc") or os.uname().machine != "x86_64":
        raise Skip("there is no quick tier here")


def manifest():
    return os.path.join(COUNTER, "manifest.toml")


def objects(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".so"))


def fresh(t, **variables):
    """An environment whose cache is empty."""
    return dict(t.env(), XDG_CACHE_HOME=os.path.join(t.folder, "cache"), **variables)


def test_compiled_code_runs_without_tools(t):
    code = os.path.join(t.folder, "code")
    run = t.run("compile", manifest(), "-o", code).expect(OK)
    check("counter/manifest.toml: 3 core modules, optimised, " in run.out, "says what it did", run)
    tools = dict(THEATER_CC="no-such-cc", THEATER_WASM2C="no-such-wasm2c", THEATER_TCC="none")
    t.run("run", manifest(), *GET, "--code", code, "--no-compile",
          env=fresh(t, **tools)).expect(OK, out=['{"count":0}'])


def test_a_second_compilation_takes_all_from_the_folder(t):
    code = os.path.join(t.folder, "code")
    component = os.path.join(COUNTER, "counter.wasm")
    t.run("compile", component, "--output", code).expect(OK)
    before = {name: os.stat(os.path.join(code, name)).st_ino for name in objects(code)}
    t.run("compile", component, manifest(), "--output", code).expect(OK)
    after = {name: os.stat(os.path.join(code, name)).st_ino for name in objects(code)}
    check(before == after and before, "the files are as they were", before, after)


def test_without_code_no_compile_says_what_to_do(t):
    code = os.path.join(t.folder, "code")
    run = t.run("run", manifest(), *GET, "--code", code, "--no-compile").expect(
        ERROR, out=[], err=["counter.wasm", "--no-compile", "theater compile"])
    check(not objects(code), "nothing was compiled", run)


def test_quick_code_is_enough_to_run(t):
    need_quick()
    code = os.path.join(t.folder, "code")
    run = t.run("compile", "--quick", manifest(), "-o", code).expect(OK)
    check(" quick, " in run.out, "says the tier", run)
    quick = objects(code)
    t.run("run", manifest(), *GET, "--code", code, "--no-compile").expect(OK, out=['{"count":0}'])
    check(objects(code) == quick, "nothing else was compiled")


def test_a_node_starts_with_quick_code_and_gets_optimised_code(t):
    need_quick()
    code = os.path.join(t.folder, "code")
    live = t.start("run", manifest(), "--code", code, "--data", t.data, "--id", "c")
    live.wait_line("optimised code after")
    live.signal(signal.SIGTERM)
    live.wait()
    both = objects(code)
    check(len(both) == 6, "three modules in two tiers", both)
    # What comes next has nothing to compile, and says nothing of it.
    run = t.run("run", manifest(), *GET, "--code", code).expect(OK, out=['{"count":0}'])
    check("optimised code" not in run.err and objects(code) == both, "all is there", run)


def test_the_second_instance_in_a_live_node_is_optimised(t):
    """One node: an actor runs quick code; once the optimised code is there, the next one gets it,
    and the first one stays with what it has."""
    need_quick()
    t.probe(file="child.toml")
    again = ("--request", "sleep 100", "--request", "spawn child.toml")
    # Enough of them for the slowest machine; the signal ends it when it was seen.
    live = t.start("run", t.probe(), "--id", "first", *again * 300, env=fresh(t, THEATER_LOG="debug"))
    first = live.wait_line("an instance with ")
    check("actor first: an instance with quick code" in first, "the first one is quick", first)
    live.wait_line("probe.wasm: optimised code after", limit=120)
    later = live.wait_line("an instance with optimised code")
    check("actor first:" not in later, "it is another one", later)
    live.signal(signal.SIGTERM)
    run = live.wait()
    check(run.err.count("actor first: an instance") == 1, "the first one was made once", run)
    tiers = [line.split(" an instance with ")[1] for line in run.err.splitlines()
             if " an instance with " in line]
    check(tiers == sorted(tiers, reverse=True), "from quick to optimised, never back", tiers)
    shown = t.run("inspect", os.path.join(t.folder, "probe.wasm"), env=fresh(t)).expect(OK)
    check("// compiled: optimised" in shown.out, "inspect says it", shown)


def test_a_failed_optimised_build_is_not_tried_at_each_start(t):
    need_quick()
    compiler = t.write("cc", '#!/bin/sh\n[ "$1" = --version ] && exec cc --version\nexit 1\n')
    os.chmod(compiler, 0o700)
    env = fresh(t, THEATER_CC=compiler, THEATER_LOG="debug")
    live = t.start("run", manifest(), "--id", "c", env=env)
    live.wait_line("stays with quick code: core module 0")
    live.signal(signal.SIGTERM)
    live.wait()
    live = t.start("run", manifest(), "--id", "c", "--data", os.path.join(t.folder, "again"), env=env)
    live.wait_line("actor c started")
    live.signal(signal.SIGTERM)
    run = live.wait()
    check("has no optimised code: core module 0" in run.err, "it is known", run)
    check("stays with quick code" not in run.err, "and not tried again", run)
    component = os.path.join(COUNTER, "counter.wasm")
    shown = t.run("inspect", component, env=env).expect(OK).out
    check("// cannot be compiled, optimised" in shown and "cc failed (exit status 1)" in shown and
          "// compiled: quick" in shown, "inspect says why", shown)
    # When it is asked for, it is tried; and then it is no failure any more.
    t.write("cc", '#!/bin/sh\nexec cc "$@"\n')
    t.run("compile", component, env=env).expect(OK)
    shown = t.run("inspect", component, env=env).expect(OK).out
    check("cannot be compiled" not in shown and "// compiled: optimised" in shown, "good", shown)


def test_an_unknown_level_of_the_log_is_refused(t):
    t.run("run", manifest(), *GET, env=dict(t.env(), THEATER_LOG="loud")).expect(
        USAGE, out=[], err="THEATER_LOG")


def test_the_tier_is_in_no_chain(t):
    """The same messages give the same events with quick and with optimised code."""
    need_quick()
    seen = []
    for tier in ([], ["--quick"]):
        code = os.path.join(t.folder, "code%d" % len(seen))
        data = os.path.join(t.folder, "data%d" % len(seen))
        t.run("compile", *tier, manifest(), "-o", code).expect(OK)
        t.run("run", manifest(), "--code", code, "--no-compile", "--data", data, "--id", "c",
              "--send", '{"action":"increment"}', *GET).expect(OK, out=['{"count":1}'])
        shown = t.run("chain", "show", "c", "--data", data).expect(OK).out.lower()
        check("quick" not in shown and "optimised" not in shown, "nothing of tiers", shown)
        seen.append(shown.count("\n"))
    check(seen[0] == seen[1], "as many events", seen)


def test_inspect_shows_the_tier(t):
    env = fresh(t)
    component = os.path.join(COUNTER, "counter.wasm")
    run = t.run("inspect", component, env=env).expect(OK)
    check("// compiled: " not in run.out, "nobody compiled anything yet", run)
    t.run("compile", component, env=env).expect(OK)
    run = t.run("inspect", component, env=env).expect(OK)
    check("// compiled: optimised" in run.out, "the tier", run)


def test_core_modules_are_compiled_too(t):
    code = os.path.join(t.folder, "code")
    path = t.write("core.wasm", CORE_MODULE)
    run = t.run("compile", path, "-o", code).expect(OK)
    check("core.wasm: 1 core module, optimised" in run.out and len(objects(code)) == 1, "one", run)


def other_data(t, component, old, new):
    """A copy of the component that differs in one string of its data."""
    with open(component, "rb") as file:
        content = file.read()
    check(len(old) == len(new) and content.count(old) == 1, "the string is there once", old)
    return t.write("other.wasm", content.replace(old, new))


def share(t, component, other, options=()):
    """Compiles the second component: nothing is added to the code that the first one left."""
    code = os.path.join(t.folder, "code")
    t.run("compile", *options, component, "-o", code, limit=900).expect(OK)
    before = {name: os.stat(os.path.join(code, name)).st_ino for name in objects(code)}
    check(before, "there is code")
    t.run("compile", *options, other, "-o", code).expect(OK)
    after = {name: os.stat(os.path.join(code, name)).st_ino for name in objects(code)}
    check(before == after, "the files are as they were", before, after)
    return code


def test_actors_that_differ_in_data_share_their_code(t):
    other = other_data(t, os.path.join(COUNTER, "counter.wasm"), b"count is ", b"Count is ")
    code = share(t, os.path.join(COUNTER, "counter.wasm"), other)
    t.run("run", t.manifest(other, HANDLERS), "--code", code, "--no-compile", "--send",
          '{"action":"increment"}', "--until-idle").expect(OK, err="Count is 1")


def test_javascript_actors_of_one_engine_share_their_code(t):
    """Of two scripts, that is: the engine is compiled for the first one only."""
    need_quick()
    first = toolchains.built("tests/guests/quickjs")
    source = harness.find("tests/guests/quickjs", "*.js")
    with open(source, encoding="utf-8") as file:
        script = file.read()
    check("'later'" in script, "what is changed is there")
    t.write("second/guest.js", script.replace("'later'", "'much later'"))
    second = os.path.join(t.folder, "second.wasm")
    built = subprocess.run([os.path.join(harness.ROOT, "script", "build-guest"),
                            os.path.join(t.folder, "second"), second],
                           capture_output=True, text=True, check=False)
    if built.returncode == 77:
        raise Skip(built.stderr.strip())
    check(built.returncode == 0, "the second one builds", built.stdout, built.stderr)
    code = share(t, first, second, ["--quick"])
    for component, reply in ((first, "later"), (second, "much later")):
        t.run("run", t.manifest(component, HANDLERS), "--code", code, "--no-compile", "--request",
              "async", "--until-idle").expect(OK, out=[reply])


def test_one_bad_file_does_not_stop_the_others(t):
    code = os.path.join(t.folder, "code")
    bad = t.write("bad.wasm", b"\0asm\1\0\0\0\xff\xff")
    missing = os.path.join(t.folder, "missing.toml")
    good = t.write("good.wasm", CORE_MODULE)
    run = t.run("compile", bad, missing, good, "-o", code).expect(
        ERROR, err=["bad.wasm: byte 10", "missing.toml"])
    check("good.wasm: 1 core module" in run.out, "the last one is compiled", run)


def test_wrong_usage(t):
    t.run("compile").expect(USAGE, out=[], err="which manifests")
    t.run("compile", "--fast", "x").expect(USAGE, out=[], err="no option '--fast'")
    t.run("compile", "x", "-o").expect(USAGE, out=[], err="needs a value")


def test_a_folder_that_others_can_reach_is_refused(t):
    code = os.path.join(t.folder, "code")
    os.mkdir(code)
    os.chmod(code, 0o755)
    t.run("compile", manifest(), "-o", code).expect(ERROR, out=[], err="chmod 700")


harness.main(globals())
