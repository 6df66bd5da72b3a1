# SPDX-License-Identifier: Apache-2.0
"""Values across the boundary, with second opinions: random types and values go into guests made for
them, through `theater call` and through jco on node. What comes back must be what the specification
says (values.py), in both.

The guests have no allocator to speak of and no bindings: their code is generated from the types.

  select N   takes parameters of random types and gives some of them back: from core parameters
             into memory where both are few enough, otherwise from memory to memory
  echo N     a list of all its parameters as tuples, as it is
  bytes N    the memory of such a list, as the runtime laid it out
  make N     a list of such bytes, read as values
  core N     the core values of the parameters

and "forward" is a component between the caller and such a guest, joined to it in a composition, whose
strings have another encoding.

  THEATER_VALUES_SEED=1     another seed gives other types and values
  THEATER_VALUES_COUNT=8    how many lists of parameters for each encoding
"""
import json
import os
import random
import shutil
import subprocess

import harness
from harness import OK, ROOT, Skip, check
from values import Failed, Float, Integer, List, Text, Tuple, Types, align_to

SEED = int(os.environ.get("THEATER_VALUES_SEED", "1"))
COUNT = int(os.environ.get("THEATER_VALUES_COUNT", "8"))
INTERFACE = "test:values/all"
PARAMS_MAX = 16  # core parameters; more go through memory
SLOTS_MAX = 60   # core values of one type: jco writes code for each
NODE_LIMIT_S = 300
BYTES = List(Integer("u8"))
WORDS = List(Integer("u64"))


class Function:
    """One exported function. body: its code, from the core parameters to the core result. expected:
    the result for arguments, or None where these are made of the result (`make`)."""

    def __init__(self, name, params, result, body, expected):
        self.name, self.params, self.result = name, params, result
        self.body, self.expected = body, expected

    def flat_params(self):
        flat = [core for param in self.params for core in param.flat]
        return flat if len(flat) <= PARAMS_MAX else ["i32"]

    def flat_result(self):
        return self.result.flat if len(self.result.flat) <= 1 else ["i32"]

    def wit(self):
        params = ", ".join("p%d: %s" % pair for pair in enumerate(param.name for param in self.params))
        return "%s: func(%s) -> %s;" % (self.name, params, self.result.name)

    def signature(self):
        return "(param %s) (result %s)" % (" ".join(self.flat_params()), self.flat_result()[0])


def local(number):
    return "(local.get %d)" % number


def room(size, where="$to"):
    """An instruction that puts the address of fresh memory into a local."""
    return "(local.set %s (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.const %d)))" % (where, size)


def pair(pointer, length):
    """The body of a function whose result is a list."""
    return "%s (i32.store (local.get $to) %s) (i32.store offset=4 (local.get $to) %s) (local.get $to)" % (
        room(8), pointer, length)


def select(number, types, chosen):
    """Gives back the parameters with the chosen numbers: one as it is, more in a tuple."""
    picked = [types[index] for index in chosen]
    result = picked[0] if len(picked) == 1 else Tuple(picked)
    params = Tuple(types)
    spilled = len(params.flat) > PARAMS_MAX
    starts = [sum(len(kind.flat) for kind in types[:index]) for index in range(len(types))]
    if len(result.flat) == 1:
        body = picked[0].load(params.offsets[chosen[0]]) if spilled else local(starts[chosen[0]])
    else:
        body, end = room(result.size), 0
        for index, kind in zip(chosen, picked):
            end = align_to(end, kind.align)
            if spilled:
                body += "(memory.copy (i32.add (local.get $to) (i32.const %d)) (i32.add %s (i32.const %d)) " \
                        "(i32.const %d))" % (end, local(0), params.offsets[index], kind.size)
            else:
                body += kind.store(end, [local(starts[index] + slot) for slot in range(len(kind.flat))])
            end += kind.size
        body += "(local.get $to)"

    def expected(args):
        return args[chosen[0]] if len(chosen) == 1 else [args[index] for index in chosen]

    return Function("select%d" % number, types, result, body, expected)


def echo(number, item):
    return Function("echo%d" % number, [List(item)], List(item), pair(local(0), local(1)), lambda args: args[0])


def memory_of(item, values):
    memory = bytearray(item.size * len(values))
    for index, value in enumerate(values):
        item.to_memory(memory, index * item.size, value)
    return memory


def bytes_of(number, item):
    """Padding is nothing's: the guest's memory is fresh, so it is zero."""
    length = "(i32.mul %s (i32.const %d))" % (local(1), item.size)
    return Function("bytes%d" % number, [List(item)], BYTES, pair(local(0), length),
                    lambda args: list(memory_of(item, args[0])))


def make(number, item):
    """Its argument is made of values, which are then expected back; floats with any NaN."""
    length = "(i32.div_u %s (i32.const %d))" % (local(1), item.size)
    return Function("make%d" % number, [BYTES], List(item), pair(local(0), length), None)


def core(number, types):
    params = Tuple(types)
    as_word = {"i32": "(i64.extend_i32_u %s)", "i64": "%s", "f64": "(i64.reinterpret_f64 %s)",
               "f32": "(i64.extend_i32_u (i32.reinterpret_f32 %s))"}
    stores = "".join("(i64.store offset=%d (local.get $to) %s)" % (8 * slot, as_word[kind] % local(slot))
                     for slot, kind in enumerate(params.flat))
    body = room(8 * len(params.flat)) + stores + "(local.set $words (local.get $to))" + \
        pair("(local.get $words)", "(i32.const %d)" % len(params.flat))
    return Function("core%d" % number, types, WORDS, body, params.to_flat)


def functions(rng, count):
    """(functions, declarations): for each of `count` lists of parameter types all that fit them."""
    types, made, declarations = Types(rng), [], []
    for number in range(count):
        while True:
            # Short lists of simple types and long ones of deep types, on both sides of the limits.
            params = [types.any(rng.choice([0, 0, 1, 2, 3, 4])) for _ in range(rng.choice([1, 1, 2, 3, 5, 9, 17]))]
            item = Tuple(params)
            if len(item.flat) <= SLOTS_MAX:
                break
        declarations += item.declarations()
        chosen = rng.sample(range(len(params)), rng.randint(1, len(params)))
        made += [select(number, params, chosen), echo(number, item)]
        if not item.has_pointers:
            made += [bytes_of(number, item), make(number, item)]
            if len(item.flat) <= PARAMS_MAX:
                made.append(core(number, params))
    return made, declarations


# ---- components

MEMORY = """
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func $realloc (export "cabi_realloc") (param $old i32) (param $had i32) (param $align i32) (param $size i32)
    (result i32) (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (block $fits
      (loop $more
        (br_if $fits (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
        (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
        (br $more)))
    (if (local.get $old)
      (then (memory.copy (local.get $at) (local.get $old)
        (select (local.get $had) (local.get $size) (i32.lt_u (local.get $had) (local.get $size))))))
    (local.get $at))
"""


def wit(made, declarations):
    lines = ["  " + line.rstrip(";") for line in dict.fromkeys(declarations)]
    return "\n".join(["package test:values;", "interface all {"] + lines +
                     ["  " + function.wit() for function in made] +
                     ["}", "world guest { export all; }", "world forward { import all; export all; }", ""])


def guest_wat(made):
    out = ["(module", MEMORY]
    for function in made:
        out.append('(func (export "%s#%s") %s (local $to i32) (local $words i32) %s)' % (
            INTERFACE, function.name, function.signature(), function.body))
    return "\n".join(out + [")"])


def forward_wat(made):
    """Calls the same function of the import. A result in memory is where the caller says."""
    imports, exports = [], []
    for function in made:
        flat = function.flat_params()
        args = "".join(local(number) for number in range(len(flat)))
        by_memory = len(function.result.flat) > 1
        imports.append('(import "%s" "%s" (func $%s (param %s%s)%s))' % (
            INTERFACE, function.name, function.name, " ".join(flat), " i32" if by_memory else "",
            "" if by_memory else " (result %s)" % function.flat_result()[0]))
        call = "(call $%s %s)" % (function.name, args)
        if by_memory:
            call = "%s (call $%s %s (local.get $to)) (local.get $to)" % (
                room(function.result.size), function.name, args)
        exports.append('(func (export "%s#%s") %s (local $to i32) %s)' % (
            INTERFACE, function.name, function.signature(), call))
    return "\n".join(["(module"] + imports + [MEMORY] + exports + [")"])


def leb(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def composition(inner, outer):
    """A component of two: what `inner` exports is what `outer` imports, and exports."""
    name = leb(len(INTERFACE)) + INTERFACE.encode()
    sections = [
        (4, inner), (4, outer),
        (5, b"\1" b"\0\0\0"),                          # instance 0: of component 0
        (6, b"\1" b"\5\0\0" + name),                   # instance 1: exported by 0
        (5, b"\1" b"\0\1\1" + name + b"\5\1"),        # instance 2: of component 1, with 1
        (6, b"\1" b"\5\0\2" + name),                   # instance 3: exported by 2
        (11, b"\1" b"\0" + name + b"\5\3\0"),         # which is exported
    ]
    return b"\0asm\x0d\0\1\0" + b"".join(bytes([kind]) + leb(len(body)) + body for kind, body in sections)


def node(t, what, job):
    if not shutil.which("node"):
        raise Skip("node is not installed")
    script = os.path.join(ROOT, "tests", "system", "values.mjs")
    done = subprocess.run(["node", script, what], input=json.dumps(job), capture_output=True, text=True,
                          check=False, cwd=t.folder, timeout=NODE_LIMIT_S)
    if done.returncode == 77:
        raise Skip("jco-transpile is not installed; see sdk/c/README.md")
    check(done.returncode == 0, "values.mjs %s works" % what, done.stdout[-2000:], done.stderr[-4000:])
    return json.loads(done.stdout) if what == "call" else None


def build(t, made, declarations, encodings):
    """The component's file: one guest, or composed with the one that forwards to it."""
    text = wit(made, declarations)
    t.write("guest.wit", text)
    guests = [{"wit": text, "world": world, "wat": wat(made), "encoding": encoding,
               "file": os.path.join(t.folder, world + ".wasm")}
              for world, wat, encoding in zip(("guest", "forward"), (guest_wat, forward_wat), encodings)]
    node(t, "build", {"guests": guests})
    content = []
    for one in guests:
        with open(one["file"], "rb") as file:
            content.append(file.read())
    return t.write("values.wasm", composition(*content) if len(content) == 2 else content[0])


# ---- calls

def plain(value):
    """As JSON: numbers as strings, for JavaScript knows no 64-bit integers."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def any_nan(rng, kind, memory, offset):
    """Turns the NaNs of a list of floats in memory into others."""
    bits = int.from_bytes(memory[offset:offset + kind.size], "little")
    if bits == kind.nan:
        bits = kind.infinity | rng.randrange(1, 1 << kind.mantissa) | rng.choice([0, kind.sign])
    memory[offset:offset + kind.size] = bits.to_bytes(kind.size, "little")


def arguments(rng, function):
    """(arguments, the result that the specification says)"""
    if function.expected:
        args = [param.random(rng, 12) for param in function.params]
        return args, function.expected(args)
    item = function.result.item
    values = [item.random(rng, 12) for _ in range(rng.randrange(12))]
    memory = memory_of(item, values)
    for index in range(len(values)):
        for field, offset in zip(item.fields, item.offsets):
            if isinstance(field, Float):
                any_nan(rng, field, memory, index * item.size + offset)
    return [list(memory)], values


def parse(kind, line):
    text = Text(line)
    value = kind.parse(text)
    if text.at != len(line):
        raise Failed("something follows at %d" % text.at)
    return value


def theater(t, component, function, args, rng):
    """The result of `theater call`."""
    wave = ", ".join(kind.wave(arg, rng) for kind, arg in zip(function.params, args))
    expression = "%s(%s)" % (function.name, wave)
    run = t.run("call", component, "-", stdin=expression.encode()).expect(OK)
    try:
        return parse(function.result, run.out.rstrip("\n")), expression
    except (Failed, IndexError, KeyError, ValueError, StopIteration) as error:
        check(False, "the result is WAVE of %s" % function.result.name, repr(error), expression, run)


def same(what, function, call, expected, given):
    if expected == given:
        return
    expected, given = repr(expected), repr(given)
    at = max(0, len(os.path.commonprefix([expected, given])) - 60)
    raise harness.Failure("\n".join([
        what + " differs from the specification", function.wit(), "call      " + harness.clip(call),
        "expected  …" + expected[at:at + 200], "given     …" + given[at:at + 200]]))


def without_marks(value):
    """What jco's strings are like: TextDecoder drops a mark of the byte order at the beginning."""
    if isinstance(value, list):
        return [without_marks(part) for part in value]
    return value.lstrip("\ufeff") if isinstance(value, str) else value


def compare(t, name, encodings, on_node=True):
    rng = random.Random("%d %s" % (SEED, name))
    made, declarations = functions(rng, COUNT)
    component = build(t, made, declarations, encodings)
    calls = [(function, *arguments(rng, function)) for function in made for _ in range(2)]
    for function, args, expected in calls:
        value, expression = theater(t, component, function, args, rng)
        same("theater", function, expression, expected, value)
    if not on_node:
        return
    job = [{"name": function.name, "params": [param.json() for param in function.params],
            "result": function.result.json(), "args": plain(args)} for function, args, _ in calls]
    results = node(t, "call", {"component": component, "interface": INTERFACE, "calls": job})
    for (function, args, expected), result in zip(calls, results, strict=True):
        check("value" in result, "jco makes the call", function.wit(), repr(args)[:2000], result.get("error"))
        same("jco", function, repr(args), without_marks(plain(expected)), without_marks(result["value"]))


def test_utf8(t):
    compare(t, "utf8", ["utf8"])


def test_utf16(t):
    compare(t, "utf16", ["utf16"])


def test_composition_utf8_in_utf16(t):
    compare(t, "utf8 in utf16", ["utf8", "utf16"])


def test_composition_utf16_in_utf8(t):
    compare(t, "utf16 in utf8", ["utf16", "utf8"])


# jco has no strings that are either Latin-1 or UTF-16.

def test_latin1_or_utf16(t):
    compare(t, "latin1", ["compact-utf16"], on_node=False)


def test_composition_latin1_in_utf8(t):
    compare(t, "latin1 in utf8", ["compact-utf16", "utf8"], on_node=False)


def test_composition_utf16_in_latin1(t):
    compare(t, "utf16 in latin1", ["utf16", "compact-utf16"], on_node=False)


harness.main(globals())
