# SPDX-License-Identifier: Apache-2.0
"""Our validation of core modules against the other implementation at hand, wasm-validate of wabt.

Real modules are changed at random (always the same way for a seed): bytes, instructions, numbers
in longer or impossible forms, sections; most changes keep the sizes around them right, so that they
reach the check that they aim at. Then both give their verdict. Where they differ, EXPLAINED says
why, or the test fails with the module in THEATER_VALIDATE_KEEP (if set).

  THEATER_VALIDATE_SEED=1       another seed gives other modules
  THEATER_VALIDATE_COUNT=500    how many
  THEATER_VALIDATE_CORPUS=…     a folder of further modules to change
  THEATER_VALIDATE_KEEP=…       a folder for the modules that the two disagree about
"""
import collections
import concurrent.futures
import glob
import os
import random
import re
import shutil
import subprocess

import harness
from harness import ROOT, Skip, check

SEED = int(os.environ.get("THEATER_VALIDATE_SEED", "1"))
COUNT = int(os.environ.get("THEATER_VALIDATE_COUNT", "500"))
VERDICT = os.path.join(ROOT, "build", os.environ.get("THEATER_BUILD", "dev"), "bin",
                       "theater-wasm-verdict")
# The features that we accept, and no others.
WABT = ["wasm-validate", "--disable-simd", "--enable-multi-memory", "--enable-extended-const",
        "--no-debug-names"]

# Known differences: what we say, what wabt says (patterns), bytes that the module must hold, and why.
EXPLAINED = (
    (r"type mismatch", r"^ok$", b"\x1c\x01",
     "wabt 1.0.32 lets the result of a select that names its type pass for every type"),
    (r"unexpected end of section or function: END opcode expected", r"^ok$", b"",
     "wabt 1.0.32 takes the end of a block for the end of the function, if it is the body's last "
     "byte, and constant expressions without an end"),
    (r"byte \d+: type mismatch in end: expected \w+, found nothing", r"^ok$", b"",
     "wabt 1.0.32 takes a constant expression without instructions"),
    (r"malformed block type|unknown type 0x[89a-f]", r"^ok$", b"",
     "wabt 1.0.32 takes a type, which is one byte, in a longer form as well"),
    (r"alignment must not be larger than natural: 2\^(3[2-9]|[45]\d|6[0-3])", r"^ok$", b"",
     "wabt 1.0.32 computes the alignment in 32 bits, where 2^32 is 1"),
    (r"call_indirect: expected a table of funcref", r"^ok$", b"",
     "wabt 1.0.32 does not look at the type of the table's elements"),
    (r"invalid result arity: select names 0 types", r"^ok$", b"",
     "wabt 1.0.32 takes a select that names no type for one without types"),
    (r"malformed data segment flags", r"^ok$", b"",
     "wabt 1.0.32 looks at the lower bits only"),
    (r"data count and data section have inconsistent lengths \(\d+ and 0\)", r"^ok$", b"",
     "wabt 1.0.32 does not miss the data section when there is none"),
    (r"^ok$", r"initializer expression can only reference an imported global", b"",
     "release 3.0 of the specification lets constant expressions use globals defined before"),
)


# ---- modules in parts ------------------------------------------------------------------------------

def read_u32(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def leb(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def sections_of(data):
    """The (id, content) pairs of a module or component."""
    found, at = [], 8
    while at < len(data):
        size, start = read_u32(data, at + 1)
        found.append((data[at], data[start:start + size]))
        at = start + size
    return found


def core_modules(data):
    """The core modules in a file: itself, or those of a component and of the components in it."""
    if data[4:8] == b"\1\0\0\0":
        return [data]
    modules = []
    for number, content in sections_of(data):
        if number == 1:
            modules.append(content)
        elif number == 4:
            modules += core_modules(content)
    return modules


def bodies_of(content):
    """The function bodies of a code section."""
    count, at = read_u32(content, 0)
    bodies = []
    for _ in range(count):
        size, at = read_u32(content, at)
        bodies.append(content[at:at + size])
        at += size
    return bodies


def module_of(sections):
    return b"\0asm\1\0\0\0" + b"".join(
        bytes([number]) + leb(len(content)) + content for number, content in sections)


# ---- changes ---------------------------------------------------------------------------------------

TYPES = (0x7f, 0x7e, 0x7d, 0x7c, 0x70, 0x6f, 0x40)
INSTRUCTIONS = (
    [bytes([n]) for n in (0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a, 0x1b, 0xd1)] +
    [bytes([n]) for n in range(0x45, 0xc5)] + [bytes([0xfc, n]) for n in range(8)] +
    [bytes([n, t]) for n in (0x02, 0x03, 0x04) for t in TYPES + (0, 1, 2)] +
    [bytes([n, i]) for n in (0x0c, 0x0d, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x41,
                             0x42, 0xd2) for i in range(4)] +
    [bytes([0x11, i, j]) for i in range(3) for j in range(2)] +
    [bytes([n, a, 0]) for n in range(0x28, 0x3f) for a in range(4)] +
    [bytes([n, i]) for n in (0x3f, 0x40) for i in range(2)] +
    [bytes([0xd0, t]) for t in (0x70, 0x6f)] + [bytes([0x1c, 1, t]) for t in TYPES] +
    [bytes([0x0e, 1, i, j]) for i in range(2) for j in range(3)] +
    [bytes([0xfc, n, i, 0]) for n in (8, 10, 12, 14) for i in range(2)] +
    [bytes([0xfc, n, i]) for n in (9, 11, 13, 15, 16, 17) for i in range(2)])


def change_bytes(rng, data):
    """One small change somewhere in a piece of a module."""
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(9)
    if kind == 0 or at == len(data):
        return data[:at] + rng.choice(INSTRUCTIONS) + data[at:]
    if kind == 1:
        return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1:]
    if kind == 2:
        return data[:at] + data[at + rng.randrange(1, 4):]
    if kind == 3:
        return data[:at] + rng.choice(INSTRUCTIONS) + data[at + rng.randrange(1, 4):]
    if kind == 4:  # a number in a longer form, that still fits or does not
        longer = bytes([data[at] | 0x80] + [0x80] * rng.randrange(5) + [rng.choice((0, 0, 1, 0x10, 0x7f))])
        return data[:at] + longer + data[at + 1:]
    if kind == 5:
        return data[:at] + bytes([rng.randrange(256)]) + data[at + 1:]
    if kind == 6:
        return data[:at] + bytes([rng.choice(TYPES)]) + data[at + 1:]
    if kind == 7:
        return data[:at] + bytes([(data[at] + rng.choice((-1, 1))) % 256]) + data[at + 1:]
    length = rng.randrange(1, 12)
    return data[:at] + data[at:at + length] + data[at:]


def change_code(rng, content):
    try:
        bodies = bodies_of(content)
    except IndexError:  # changed before
        bodies = []
    if not bodies:
        return change_bytes(rng, content)
    index = rng.randrange(len(bodies))
    bodies[index] = change_bytes(rng, bodies[index])
    if rng.randrange(20) == 0:
        bodies.append(rng.choice(bodies))
    return leb(len(bodies)) + b"".join(leb(len(body)) + body for body in bodies)


def change_sections(rng, sections):
    kind = rng.randrange(4)
    index = rng.randrange(len(sections))
    if kind == 0:
        del sections[index]
    elif kind == 1:
        sections.insert(rng.randrange(len(sections) + 1), sections[index])
    elif kind == 2:
        sections.insert(rng.randrange(len(sections)), sections.pop(index))
    else:
        sections.insert(index, (rng.randrange(15), bytes([rng.randrange(3)])))


def changed(rng, data):
    """A module like this one, with one or a few changes."""
    choice = rng.randrange(20)
    if choice == 0:  # sizes are wrong then
        return data[:8] + change_bytes(rng, data[8:])
    sections = sections_of(data)
    # Names may be of any form; only a few changes are for them.
    sections = [pair for pair in sections if pair[0] != 0 or rng.randrange(10) == 0]
    if choice == 1 and sections:
        change_sections(rng, sections)
        return module_of(sections)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        code = [i for i, (number, _) in enumerate(sections) if number == 10]
        if code and rng.randrange(3) > 0:
            sections[code[0]] = (10, change_code(rng, sections[code[0]][1]))
        elif sections:
            index = rng.randrange(len(sections))
            number, content = sections[index]
            sections[index] = (number, change_bytes(rng, content))
    return module_of(sections)


# ---- verdicts ------------------------------------------------------------------------------------

def corpus():
    patterns = ["tests/guests/*/*.wasm", "tests/unit/wasm/data/*.wasm",
                "tests/fuzz/corpus/wasm_scan/*.wasm"]
    paths = [path for pattern in patterns for path in sorted(glob.glob(os.path.join(ROOT, pattern)))]
    more = os.environ.get("THEATER_VALIDATE_CORPUS")
    if more:
        paths += sorted(glob.glob(os.path.join(more, "**", "*.wasm"), recursive=True))
    modules = []
    for path in paths:
        with open(path, "rb") as file:
            data = file.read()
        try:
            found = [m for m in core_modules(data) if len(m) <= 100000]
            modules += [m for m in found if sections_of(m)]
        except IndexError:
            continue  # not one that can be taken apart
    return modules


def our_verdicts(t, paths):
    done = subprocess.run([VERDICT], input="".join(path + "\n" for path in paths), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, env=t.env())
    lines = done.stdout.splitlines()
    check(done.returncode == 0 and len(lines) == len(paths),
          "theater-wasm-verdict failed after %d of %d modules: %s" % (
              len(lines), len(paths), paths[len(lines)] if len(lines) < len(paths) else ""),
          done.stderr[:3000])
    return lines


def wabt_verdict(path):
    done = subprocess.run(WABT + [path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False)
    if done.returncode == 0:
        return "ok"
    if done.returncode < 0:
        return "crash: signal %d" % -done.returncode
    return "refused: " + done.stdout.replace("\n", " ").strip()


def explanation(path, ours, theirs):
    with open(path, "rb") as file:
        data = file.read()
    for our_part, their_part, held, why in EXPLAINED:
        if re.search(our_part, ours) and re.search(their_part, theirs) and held in data:
            return why
    return None


def disagree(ours, theirs):
    """Features and limits are ours to choose; everything else is valid or it is not."""
    if ours.startswith(("not supported", "limit exceeded")):
        return False
    return (ours == "ok") != (theirs == "ok")


def test_wabt_agrees_about_changed_modules(t):
    if shutil.which(WABT[0]) is None:
        raise Skip("wasm-validate is not installed")
    check(os.access(VERDICT, os.X_OK), VERDICT + " is not built")
    rng = random.Random(SEED)
    modules = corpus()
    check(len(modules) >= 10, "the corpus is there", len(modules))
    paths = []
    # The modules as they are come first: without them, agreement about damage would say little.
    for number in range(COUNT):
        data = modules[number] if number < len(modules) else changed(rng, rng.choice(modules))
        paths.append(t.write("%d.wasm" % number, data))
    ours = our_verdicts(t, paths)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        theirs = list(pool.map(wabt_verdict, paths))
    counts = collections.Counter(our.split("\t")[0] for our in ours)
    explained, open_questions = collections.Counter(), []
    for path, our, their in zip(paths, ours, theirs):
        if disagree(our, their):
            why = explanation(path, our, their)
            if why is None:
                open_questions.append("%s\n  we:   %s\n  wabt: %s" % (path, our, their))
                keep(path)
            else:
                explained[why] += 1
    print("# seed %d: %s" % (SEED, ", ".join("%d %s" % (n, what) for what, n in counts.items())))
    for why, number in explained.items():
        print("# %d times: %s" % (number, why))
    check(sum(explained.values()) * 50 <= COUNT, "explanations are for exceptions", explained)
    check(not open_questions, "%d disagreements" % len(open_questions), *open_questions[:40])
    check(counts["ok"] * 20 > COUNT and counts["invalid input"] * 4 > COUNT,
          "both kinds of modules are among them", counts)


def keep(path):
    folder = os.environ.get("THEATER_VALIDATE_KEEP")
    if folder:
        os.makedirs(folder, exist_ok=True)
        shutil.copy(path, os.path.join(folder, "seed%d-%s" % (SEED, os.path.basename(path))))


if __name__ == "__main__":
    harness.main(globals())
