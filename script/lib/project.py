# SPDX-License-Identifier: Apache-2.0
"""What the gates share: the project's files, running a tool, printing TAP.

A gate is a program that prints TAP on stdout (diagnostics as "# ..." lines before the result they
belong to) and exits 0 when nothing failed.
"""
import os
import subprocess
import sys

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))

# The release whose formatter and linter the tree was written against (Debian 12): other releases
# format and warn differently, so the gates that use them skip there and say so.
CLANG_TOOLS_MAJOR = 14


def files(*suffixes, under=()):
    """The project's files, relative to ROOT and sorted: what git knows or would add. Without git
    (an unpacked archive): everything but build folders."""
    try:
        listing = subprocess.run(
            ["git", "-C", ROOT, "ls-files", "-z", "-c", "-o", "--exclude-standard"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        paths = os.fsdecode(listing).split("\0")
    except (OSError, subprocess.CalledProcessError):
        paths = walk()
    found = set()
    for path in paths:
        if not path or not os.path.isfile(os.path.join(ROOT, path)):
            continue
        if suffixes and not path.endswith(tuple(suffixes)):
            continue
        if under and not path.startswith(tuple(folder + "/" for folder in under)):
            continue
        found.add(path)
    return sorted(found)


def walk():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in (".git", "build", "__pycache__", ".cache")]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), ROOT)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def rooms():
    """src/ROOMS as an ordered list of (room, rooms it may use)."""
    table = []
    for line in read("src/ROOMS").splitlines():
        if line and not line.startswith("#"):
            room, uses = line.split(":", 1)
            table.append((room.strip(), uses.split()))
    return table


def run(*argv, stdin=None):
    """Runs a tool in ROOT. Gives (exit code, stdout and stderr as one text)."""
    done = subprocess.run(argv, cwd=ROOT, input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    return done.returncode, done.stdout


def clang_tool(name):
    """Gives (program, None), or (None, why it cannot be used)."""
    for program in ("%s-%d" % (name, CLANG_TOOLS_MAJOR), name):
        try:
            _, text = run(program, "--version")
        except OSError:
            continue
        if "version %d." % CLANG_TOOLS_MAJOR in text:
            return program, None
    return None, "needs %s %d" % (name, CLANG_TOOLS_MAJOR)


class Tap:
    """Counts and prints results; `finish` prints the plan and ends the program."""

    def __init__(self):
        self.number = 0
        self.failed = 0

    def result(self, name, problems=(), skip=None):
        """One result; it failed when there are problems (an iterable of lines)."""
        problems = list(problems)
        for problem in problems:
            for line in str(problem).rstrip("\n").split("\n"):
                print("# " + line)
        self.number += 1
        self.failed += bool(problems)
        print("%sok %d - %s%s" % ("not " if problems else "", self.number, name,
                                  " # SKIP " + skip if skip else ""), flush=True)

    def finish(self):
        print("1..%d" % self.number, flush=True)
        sys.exit(1 if self.failed else 0)
