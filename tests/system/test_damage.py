# SPDX-License-Identifier: Apache-2.0
"""Damage of every kind, judged by `theater chain verify` and by the independent verifier alike; what
a node and the reading commands do with it.

THEATER_DAMAGE_STEP=1 flips every byte of the small log; by default one in 41."""
import os
import random
import shutil
import struct
import sys

import harness
from harness import BAD_CHAIN, OK, check

sys.path.insert(0, os.path.join(harness.ROOT, "tools", "verify"))
import log_folder  # noqa: E402

INCREMENT = '{"action":"increment"}'
STEP = int(os.environ.get("THEATER_DAMAGE_STEP", "41"))


def run_once(t, name, data=None):
    argv = ["run", harness.example("counter"), "--id", name, "--request", INCREMENT]
    return t.run(*argv, "--request", INCREMENT, "--until-idle", "--data", data or t.data)


def make_log(t, runs=3, data=None):
    for index in range(runs):
        run_once(t, "two" if index == 1 else "one", data).expect(OK)


def path_of(data, name):
    return os.path.join(data, "log", name)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def judge(t, data, what):
    """Both verdicts, which must agree; gives whether it is good."""
    ours = t.run("chain", "verify", "--data", data)
    check(ours.code in (OK, BAD_CHAIN), what + ": a verdict", ours)
    theirs = log_folder.check(os.path.join(data, "log"))
    check((ours.code == OK) == theirs.startswith("good"), what + ": both agree",
          ours.out + ours.err + theirs)
    if ours.code != OK:
        check(".log at byte " in ours.out, what + ": says where", ours)
        check("can still be read" in ours.out, what + ": says what is left", ours)
    return ours.code == OK


def footer_of(content):
    return struct.unpack_from("<Q", content, len(content) - 16)[0]


class Copies:
    """Copies of a data folder, one at a time."""

    def __init__(self, t):
        self.t = t
        self.names = sorted(name for name in os.listdir(os.path.join(t.data, "log"))
                            if name.endswith(".log"))
        self.content = {name: read(path_of(t.data, name)) for name in self.names}

    def fresh(self):
        return self.t.copy_data()

    def restore(self, data, name):
        write(path_of(data, name), self.content[name])


def test_flips_in_segments_and_catalogue(t):
    make_log(t)
    copies = Copies(t)
    data = copies.fresh()
    for name in copies.names:
        content = copies.content[name]
        for at in range(0, len(content), STEP):
            changed = bytearray(content)
            changed[at] ^= 1 << at % 8
            write(path_of(data, name), changed)
            check(not judge(t, data, "%s byte %d" % (name, at)), "found", (name, at))
        copies.restore(data, name)
    catalogue = read(path_of(data, "index/catalogue.db"))
    for at in range(0, len(catalogue), 61 * STEP):
        changed = bytearray(catalogue)
        changed[at] ^= 1 << at % 8
        write(path_of(data, "index/catalogue.db"), changed)
        check(judge(t, data, "catalogue byte %d" % at), "the log is good all the same", at)
    write(path_of(data, "index/catalogue.db"), b"no database")
    check(judge(t, data, "no catalogue"), "the log is good all the same")


def test_cut_files(t):
    make_log(t)
    copies = Copies(t)
    for name in copies.names:
        data = copies.fresh()
        content = copies.content[name]
        sizes = sorted({0, 10, 63, 64, 100, len(content) // 2, len(content) - 17, len(content) - 16,
                        len(content) - 1})
        for size in sizes:
            write(path_of(data, name), content[:size])
            is_good = judge(t, data, "%s cut to %d" % (name, size))
            # Nothing is lost when only the seal of the last one is.
            check(not is_good or (name == copies.names[-1] and size >= len(content) - 17),
                  "found", (name, size))
            write(path_of(data, name), content[:size] + bytes(4096))
            judge(t, data, "%s cut to %d, zeros behind" % (name, size))


def test_missing_swapped_doubled_and_foreign_files(t):
    make_log(t)
    other = os.path.join(t.folder, "other")
    make_log(t, data=other)
    copies = Copies(t)
    first, second, third = copies.names
    foreign = {name: read(path_of(other, name)) for name in copies.names}
    cases = [{name: None} for name in copies.names]
    cases += [{second: None, third: None}, {first: None, second: None, third: None}]
    cases += [{first: copies.content[second], second: copies.content[first]},
              {second: copies.content[third], third: copies.content[second]},
              {second: copies.content[first]}, {"00000004.log": copies.content[third]},
              {"00000004.log": copies.content[first]}, {"00000005.log": copies.content[third]}]
    cases += [{name: content} for name, content in foreign.items()] + [foreign]
    for text in (b"", b"a text\n" * 40, b"\0" * 5000, bytes(range(256)) * 9):
        cases += [{name: text} for name in copies.names]
    for number, case in enumerate(cases):
        data = copies.fresh()
        for name, content in case.items():
            if content is None:
                os.unlink(path_of(data, name))
            else:
                write(path_of(data, name), content)
        is_good = judge(t, data, "case %d" % number)
        # A file that is being made may stand behind the end.
        check(not is_good, "found", (number, sorted(case)))


def test_random_bytes_over_parts(t):
    make_log(t)
    copies = Copies(t)
    chance = random.Random(5)
    data = copies.fresh()
    for number in range(30):
        name = chance.choice(copies.names)
        content = bytearray(copies.content[name])
        at, size = chance.randrange(len(content)), chance.randrange(1, 300)
        size = min(size, len(content) - at)
        part = bytes(size) if number % 3 == 0 else chance.randbytes(size)
        content[at:at + size] = part
        write(path_of(data, name), content)
        # Who overwrites the end of the last file takes its seal at most: as a crash may.
        is_seal = name == copies.names[-1] and at >= footer_of(copies.content[name])
        if bytes(content) != copies.content[name] and not is_seal:
            what = "%s bytes %d to %d" % (name, at, at + size)
            check(not judge(t, data, what), "found: " + what)
        copies.restore(data, name)


def snapshot(folder):
    return {os.path.join(path, name): read(os.path.join(path, name))
            for path, _, names in os.walk(folder) for name in names}


def refuses(t, data, what):
    before = snapshot(os.path.join(data, "log"))
    run = run_once(t, "three", data)
    check(run.code != OK and "the log is damaged" in run.err, what + ": no node starts", run)
    for text in ("nothing was changed", "theater chain verify", "theater chain show", ".log at byte"):
        check(text in run.err, "%s: says '%s'" % (what, text), run)
    check(snapshot(os.path.join(data, "log")) == before, what + ": nothing changed")
    return run


def test_a_node_refuses_a_shortened_log(t):
    make_log(t)
    copies = Copies(t)
    data = copies.fresh()
    os.unlink(path_of(data, copies.names[-1]))
    run = refuses(t, data, "last segment removed")
    check("before this event; the catalogue knows" in run.err and "actor one, event" in run.err,
          "names what is lost", run)
    copies.restore(data, copies.names[-1])
    write(path_of(data, copies.names[-1]), copies.content[copies.names[-1]][:300])
    refuses(t, data, "last segment cut")
    # Whoever means it says so.
    shutil.rmtree(path_of(data, "index"))
    shutil.rmtree(path_of(data, "signed"), ignore_errors=True)
    run_once(t, "three", data).expect(OK)
    t.run("chain", "verify", "--data", data).expect(OK)


def test_a_node_refuses_damage_and_the_rest_is_shown(t):
    make_log(t)
    copies = Copies(t)
    data = copies.fresh()
    os.unlink(path_of(data, copies.names[1]))
    run = refuses(t, data, "a segment is missing")
    check("the segment is missing" in run.err, "says so", run)
    listed = t.run("chain", "list", "--data", data)
    check(listed.code == BAD_CHAIN and listed.out.split() == ["one"], "what is left is listed", listed)
    whole = t.run("chain", "show", "one", "--json").expect(OK)
    shown = t.run("chain", "show", "one", "--json", "--data", data)
    check(shown.out == whole.out, "all of it is shown", shown)
    lost = t.run("chain", "show", "two", "--data", data)
    check(lost.code != OK and lost.out == "", "nothing is left of the other", lost)

    data = copies.fresh()
    shutil.rmtree(path_of(data, "index"))  # so that all is read
    content = bytearray(copies.content[copies.names[0]])
    content[content.index(b"handle-request")] ^= 1
    write(path_of(data, copies.names[0]), content)
    refuses(t, data, "an event is flipped")
    shown = t.run("chain", "show", "one", "--json", "--data", data)
    check(shown.code == BAD_CHAIN, "the exit code tells", shown)
    lines, all_lines = shown.out.splitlines(), whole.out.splitlines()
    check(len(lines) == len(all_lines) - 1 and set(lines) < set(all_lines), "one is missing", shown)
    check("is missing" in shown.err and copies.names[0] + ", bytes" in shown.err, "it is told", shown)


harness.main(globals())
