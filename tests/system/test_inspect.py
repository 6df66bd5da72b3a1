# SPDX-License-Identifier: Apache-2.0
"""theater inspect: a component's world as WIT that other tools read, and what it needs to run."""
import glob
import hashlib
import os
import re
import shutil
import subprocess

import harness
from harness import ERROR, OK, USAGE, Skip, check

ECHO = harness.guest("echo/echo.wasm")
WORLD = harness.find("tests/unit/component/inputs", "world.wasm")


def comments(run):
    return [line for line in run.out.splitlines() if line.startswith("//")]


def test_an_actor(t):
    wasm = harness.find(os.path.dirname(harness.example("counter")), "*.wasm")
    run = t.run("inspect", wasm).expect(OK)
    with open(wasm, "rb") as file:
        content = file.read()
    check("// sha256 %s, %d bytes" % (hashlib.sha256(content).hexdigest(), len(content))
          in comments(run), "hash and size", run)
    check("// can run here" in comments(run), "it can run", run)
    check("  export theater:simple/actor;" in run.out, "exports are listed", run)
    check("    init: func(state: option<list<u8>>, params: tuple<string>) -> "
          "result<tuple<option<list<u8>>>, string>;" in run.out, "functions with their types", run)


def test_core_modules_and_their_features(t):
    run = t.run("inspect", harness.guest("probe/probe.wasm")).expect(OK)
    check(re.search(r"^//   0: \d+ bytes, \d+ of them code; \d+ functions, \d+ imports, \d+ exports, "
                    r"a memory; features: .*bulk-memory", run.out, re.M), "the module", run)
    for name in ("supervisor", "timing", "random"):
        check('//   [[handler]] type = "%s"' % name in comments(run), name + " is needed", run)


def test_what_is_no_actor(t):
    run = t.run("inspect", ECHO).expect(OK)
    check("is no actor" in run.out and "theater call" in run.out, "it says what it is good for", run)
    check("    use types.{mood, rights, shape as form, point, names};" in run.out, "names", run)


def test_what_cannot_run_here_says_why(t):
    run = t.run("inspect", WORLD)
    # Valid, but with what this release may not know: then nobody vouches for it.
    check(run.code in (OK, ERROR), "inspect ends", run)
    check("// cannot run here:" in comments(run), "it says that it cannot run", run)
    check(run.code == OK or "not supported by this release" in run.err, "and why", run)
    check("  import wasi:io/streams@0.2.0;" in run.out, "its world is shown all the same", run)


def test_a_world_without_an_import_that_is_provided(t):
    component = b"\0asm\x0d\0\1\0" + b"\7\5\1\x40\0\1\0" + b"\x0a\6\1\0\1f\1\0"
    run = t.run("inspect", t.write("import.wasm", component)).expect(OK)
    check("  import f: func();" in run.out, "the import is listed", run)
    check("// cannot run here:" in comments(run), "nothing provides it", run)


def test_wrong_files(t):
    for name, content in (("text.wasm", "# read me"), ("empty.wasm", ""), ("short.wasm", b"\0asm"),
                          ("core.wasm", b"\0asm\1\0\0\0"), ("cut.wasm", read(ECHO)[:3000]),
                          ("behind.wasm", read(ECHO) + b"\0")):
        run = t.run("inspect", t.write(name, content)).expect(ERROR, out=[], err=name)
        check(len(run.err.splitlines()) == 1, "one line", run)
    t.run("inspect", "nowhere.wasm").expect(ERROR, out=[], err="nowhere.wasm")
    t.run("inspect").expect(USAGE)
    t.run("inspect", "--frobnicate").expect(USAGE, err="--frobnicate")
    t.run("inspect", ECHO, ECHO).expect(USAGE)


def read(path):
    with open(path, "rb") as file:
        return file.read()


# ---- the text is WIT

def shape(text):
    """What of the text does not depend on order: its lines, names in a `use` sorted."""
    lines = []
    for line in text.splitlines():
        if line.startswith("//") or not line.strip():
            continue
        used = re.match(r"(.*\.\{)(.*)(\};)$", line)
        if used:
            line = used[1] + ", ".join(sorted(used[2].split(", "))) + used[3]
        lines.append(line)
    return sorted(lines)


def test_wasm_tools_reads_it_and_means_the_same(t):
    if not shutil.which("node"):
        raise Skip("node is not installed")
    script = os.path.join(harness.ROOT, "tests", "system", "wit.mjs")
    again = os.path.join(t.folder, "again.wasm")
    files = [ECHO, WORLD, harness.find("tests/unit/component/inputs", "resources.wasm")]
    for folder in ("examples/*", "tests/guests/*"):
        files += sorted(glob.glob(os.path.join(harness.ROOT, folder, "*.wasm")))
    for file in files:
        run = t.run("inspect", file)
        made = subprocess.run(["node", script, again], input=run.out.encode(), capture_output=True,
                              check=False, cwd=t.folder)
        if made.returncode == 77:
            raise Skip("jco-transpile is not installed; see sdk/c/README.md")
        check(made.returncode == 0, "wasm-tools takes the WIT of " + file, made.stderr.decode(), run)
        second = t.run("inspect", again)
        check(shape(run.out) == shape(second.out), "the world of %s stays" % file, run, second)


harness.main(globals())
