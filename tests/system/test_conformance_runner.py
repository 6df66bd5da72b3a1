# SPDX-License-Identifier: Apache-2.0
"""The conformance runner itself: what is wrong must fail, with what was expected and what came."""
import json
import os
import subprocess

import harness
from harness import check

RUNNER = os.path.join(os.path.dirname(harness.BINARY), "theater-conformance")


def section(number, *items):
    content = bytes([len(items)]) + b"".join(items)
    return bytes([number, len(content)]) + content


def export(name, index):
    return bytes([len(name)]) + name.encode() + bytes([0, index])


HEADER = b"\0asm\1\0\0\0"
TYPES = section(1, b"\x60\0\1\x7f", b"\x60\0\0", b"\x60\1\x7d\1\x7d")
# seven gives 7, stop traps, float gives back what it is given.
MODULE = (HEADER + TYPES + section(3, b"\0", b"\1", b"\2") +
          section(7, export("seven", 0), export("stop", 1), export("float", 2)) +
          section(10, b"\4\0\x41\7\x0b", b"\3\0\0\x0b", b"\4\0\x20\0\x0b"))
# A body that leaves nothing where a number is due, and one with a vector.
INVALID = HEADER + TYPES + section(3, b"\0") + section(10, b"\2\0\x0b")
SIMD = HEADER + section(1, b"\x60\0\1\x7b") + section(3, b"\0") + section(10, b"\5\0\0\0\0\x0b")
IMPORTS = HEADER + TYPES + section(2, b"\4none\3fun\0\1")


class Suite:
    """A folder with a test file; each command's line is its place in it, from 1."""

    def __init__(self, t):
        self.folder = os.path.join(t.folder, "suite")
        os.makedirs(os.path.join(t.folder, "tables"))
        os.makedirs(self.folder)
        self.tables = os.path.join(t.folder, "tables")
        self.commands = []
        for name, binary in (("module", MODULE), ("invalid", INVALID), ("simd", SIMD),
                             ("imports", IMPORTS)):
            with open(os.path.join(self.folder, name + ".wasm"), "wb") as file:
                file.write(binary)

    def add(self, command, **members):
        self.commands.append(dict(members, type=command, line=len(self.commands) + 1))

    def add_file(self, command, name, text="text", **members):
        self.add(command, kind="module", filename=name + ".wasm", module_type="binary", text=text,
                 **members)

    def invoke(self, command, field, args=(), **members):
        self.add(command, action={"type": "invoke", "field": field, "args": list(args)}, **members)

    def run(self, known="", left_out=""):
        for name, text in (("known-failures.txt", known), ("core-files.txt", left_out)):
            with open(os.path.join(self.tables, name), "w", encoding="utf-8") as file:
                file.write(text)
        path = os.path.join(self.folder, "test.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"commands": self.commands}, file)
        argv = [RUNNER, "--list", "--tables", self.tables, "--cache",
                os.path.join(harness.CACHE, "theater"), path]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=harness.LIMIT_S,
                              check=False)
        return done.returncode, done.stdout + done.stderr


def number(kind, value):
    return {"type": kind, "value": str(value)}


def test_what_is_right_passes(t):
    suite = Suite(t)
    suite.add_file("module", "module")
    suite.invoke("assert_return", "seven", expected=[number("i32", 7)])
    suite.invoke("assert_trap", "stop", text="unreachable")
    suite.invoke("assert_return", "float", [number("f32", 0x7fc00000)],
                 expected=[number("f32", "nan:canonical")])
    suite.invoke("assert_return", "float", [number("f32", 0xffe00000)],
                 expected=[number("f32", "nan:arithmetic")])
    suite.add_file("assert_invalid", "invalid")
    suite.add_file("assert_unlinkable", "imports", "unknown import")
    code, out = suite.run()
    check(code == 0 and out.endswith("7 passed, 0 failed, 0 skipped\n"), "all pass", out)


def test_what_is_wrong_fails(t):
    suite = Suite(t)
    suite.add_file("module", "module")
    wrong = [
        lambda: suite.invoke("assert_return", "seven", expected=[number("i32", 8)]),
        lambda: suite.invoke("assert_return", "seven", expected=[number("i64", 7)]),
        lambda: suite.invoke("assert_return", "seven", expected=[]),
        lambda: suite.invoke("assert_return", "float", [number("f32", 0x7fa00001)],
                             expected=[number("f32", "nan:canonical")]),
        lambda: suite.invoke("assert_return", "float", [number("i32", 0)],
                             expected=[number("f32", 0)]),
        lambda: suite.invoke("assert_return", "stop", expected=[]),
        lambda: suite.invoke("assert_return", "absent", expected=[]),
        lambda: suite.invoke("assert_trap", "seven", text="unreachable"),
        lambda: suite.invoke("assert_trap", "stop", text="integer overflow"),
        lambda: suite.add_file("assert_invalid", "module"),
        lambda: suite.add_file("assert_malformed", "module"),
        lambda: suite.add_file("assert_unlinkable", "module"),
        lambda: suite.add_file("assert_uninstantiable", "module"),
        lambda: suite.add_file("assert_invalid", "no such file"),
        lambda: suite.add_file("module_definition", "invalid"),
        lambda: suite.add("assert_something"),
    ]
    for add in wrong:
        add()
    code, out = suite.run()
    check(code == 1, "exit code 1", code, out)
    for line in range(2, len(wrong) + 2):
        check("FAILED %s/test.json:%d: " % (suite.folder, line) in out, "line %d fails" % line, out)
    check("expected [{\"type\":\"i32\",\"value\":\"8\"}], got 0x7" in out, "both values", out)
    check("\n1 passed, %d failed, 0 skipped\n" % len(wrong) in out, "the sum", out)


def test_what_cannot_be_asked_is_skipped_with_its_reason(t):
    suite = Suite(t)
    suite.add_file("module", "simd")
    suite.invoke("assert_return", "seven", expected=[])
    suite.add("assert_malformed", kind="module", filename="x.wat", module_type="text", text="")
    code, out = suite.run()
    check(code == 0 and "0 passed, 0 failed, 3 skipped\n" in out, "all skipped", out)
    check("test.json: 2 skipped: SIMD\n" in out, "the feature's name", out)
    check("test.json: 1 skipped: text format\n" in out, "text", out)


def test_what_depends_on_a_failure_is_not_counted_as_one(t):
    suite = Suite(t)
    suite.add_file("module", "imports")
    suite.invoke("assert_return", "seven", expected=[])
    code, out = suite.run()
    check(code == 1 and "0 passed, 1 failed, 1 skipped\n" in out, "one failure", out)


def test_known_failures_are_skipped_until_they_pass(t):
    suite = Suite(t)
    suite.add_file("module", "module")
    suite.invoke("assert_return", "seven", expected=[number("i32", 8)])
    code, out = suite.run(known="suite/test.json:2 it gives 7\n")
    check(code == 0 and "1 passed, 0 failed, 1 skipped\n" in out, "known", out)
    code, out = suite.run(known="suite/test.json:1 no reason\nsuite/test.json:2 it gives 7\n")
    check(code == 1 and "test.json:1: this known failure did not fail" in out, "stale", out)
    code, out = suite.run(left_out="suite/*.json not now\n")
    check(code == 0 and "test.json: 2 skipped: not now\n" in out, "left out", out)
    code, out = suite.run(known="suite/test.json no line\n")
    check(code == 2 and "known-failures.txt:1:" in out, "a bad table", out)


harness.main(globals())
