# SPDX-License-Identifier: Apache-2.0
"""Types, values and guests for test_values.py: the value types of the component model with all that
the specification says about one of them, written in the simplest way that works and independent of
the runtime: WIT, WAVE there and back, layout in memory, flat form.

A value is written in Python as

    bool              True, False               string            str
    integers          int                       list              list
    f32, f64          its bits, as int          record, tuple     list of the fields' values
    char              its code point            variant, option,  [case, payload or None]
    enum              the case's number         result
    flags             sorted list of the numbers of those that are set
"""
import itertools
import math
import struct

KEYWORDS = ("true", "false", "inf", "nan", "some", "none", "ok", "err")
LABELS = KEYWORDS + ("record", "string", "func", "type", "list", "a", "b2", "max-depth", "x-y-z", "quick",
                     "self", "import", "option", "u8", "go", "left-over", "n7")
CORE_SIZE = {"i32": 4, "f32": 4, "i64": 8, "f64": 8}


def align_to(offset, alignment):
    return (offset + alignment - 1) // alignment * alignment


class Failed(Exception):
    """The text is not WAVE of the type."""


class Text:
    """WAVE being read, as the runtime prints it: on one line, without comments."""

    def __init__(self, text):
        self.text, self.at = text, 0

    def here(self, token):
        return self.text.startswith(token, self.at)

    def take(self, token):
        if not self.here(token):
            raise Failed("%r expected at %d in %r" % (token, self.at, self.text[:200]))
        self.at += len(token)

    def maybe(self, token):
        if self.here(token):
            self.at += len(token)
            return True
        return False

    def word(self):
        """A name or a number."""
        start = self.at
        while self.at < len(self.text) and (self.text[self.at].isalnum() or self.text[self.at] in "-+.%"):
            self.at += 1
        return self.text[start:self.at]

    def character(self):
        """One character of a string or a char, escaped or not."""
        char = self.text[self.at]
        self.at += 1
        if char != "\\":
            return char
        kind = self.text[self.at]
        self.at += 1
        if kind == "u":
            end = self.text.index("}", self.at)
            char = chr(int(self.text[self.at + 1:end], 16))
            self.at = end + 1
            return char
        return {"n": "\n", "t": "\t", "r": "\r"}.get(kind, kind)

    def sequence(self, opening, closing, item):
        self.take(opening)
        items = []
        while not self.maybe(closing):
            items.append(item())
            if not self.maybe(", "):
                self.take(closing)
                break
        return items


class Type:
    """name: in WIT. size, align: in memory. flat: core types. has_pointers: strings or lists in it."""

    has_pointers = False

    def declarations(self):
        """The WIT that has to stand before the first use, parts first."""
        return []


def escape(char, quote, rng):
    """A character in WAVE; a rare one escaped always, others now and then."""
    if char in ("\\", quote):
        return "\\" + char
    if char in "\n\t\r" and rng.random() < 0.5:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[char]
    if not char.isprintable() or rng.random() < 0.1:
        return "\\u{%x}" % ord(char)
    return char


def store_wat(core, size, offset, value):
    """An instruction that stores the lower `size` bytes of a core value."""
    narrow = {1: "8", 2: "16"}.get(size, "")
    return "(%s.store%s offset=%d (local.get $to) %s)" % (core, narrow, offset, value)


# ---- scalars

class Scalar(Type):
    def __init__(self, name, size, core):
        self.name, self.size, self.align, self.flat = name, size, size, [core]

    def store(self, offset, slots):
        return store_wat(self.flat[0], self.size, offset, slots[0])

    def load(self, offset):
        narrow = {1: "8", 2: "16"}.get(self.size, "")
        sign = "_s" if self.name in ("s8", "s16") else "_u" if narrow else ""
        return "(%s.load%s%s offset=%d (local.get 0))" % (self.flat[0], narrow, sign, offset)

    def to_flat(self, value):
        return [value & (1 << CORE_SIZE[self.flat[0]] * 8) - 1]

    def to_memory(self, memory, offset, value):
        memory[offset:offset + self.size] = (int(value) & (1 << 8 * self.size) - 1).to_bytes(self.size, "little")

    def json(self):
        return {"kind": self.name}


class Bool(Scalar):
    def __init__(self):
        super().__init__("bool", 1, "i32")

    def random(self, rng, _room):
        return rng.random() < 0.5

    def wave(self, value, _rng):
        return "true" if value else "false"

    def parse(self, text):
        return {"true": True, "false": False}[text.word()]


class Integer(Scalar):
    def __init__(self, name):
        bits = int(name[1:])
        super().__init__(name, bits // 8, "i64" if bits == 64 else "i32")
        self.low, self.high = (-1 << bits - 1, (1 << bits - 1) - 1) if name[0] == "s" else (0, (1 << bits) - 1)

    def random(self, rng, _room):
        if rng.random() < 0.6:
            return rng.choice([self.low, self.low + 1, self.high, self.high - 1, 0, 1, max(self.low, -1),
                               self.high // 2, self.high // 2 + 1])
        return rng.randint(self.low, self.high) >> rng.randrange(8 * self.size)

    def wave(self, value, _rng):
        return str(value)

    def parse(self, text):
        return int(text.word())


class Float(Scalar):
    EDGES = (0.0, -0.0, 1.0, -1.0, 0.1, 1 / 3, math.pi, -1e-7, 1e21, 123456789.0, 2.0 ** 24 + 2, -2.0 ** 53)

    def __init__(self, name):
        super().__init__(name, int(name[1:]) // 8, name)
        self.code, self.bits_code = ("<f", "<I") if name == "f32" else ("<d", "<Q")
        self.mantissa = 23 if name == "f32" else 52
        self.infinity = ((1 << 8 * self.size - 1 - self.mantissa) - 1) << self.mantissa
        self.nan = self.infinity | 1 << self.mantissa - 1
        self.sign = 1 << 8 * self.size - 1

    def bits(self, number):
        return struct.unpack(self.bits_code, struct.pack(self.code, number))[0]

    def canonical(self, bits):
        return self.nan if bits & ~self.sign > self.infinity else bits

    def random(self, rng, _room):
        """Numbers, the edges between subnormal, normal and infinite, any bits."""
        kind = rng.randrange(4)
        if kind == 0:
            return self.bits(rng.choice(self.EDGES))
        if kind == 1:
            edges = [1, (1 << self.mantissa) - 1, 1 << self.mantissa, self.infinity - 1, self.infinity, self.nan]
            return self.canonical(rng.choice(edges) | rng.choice([0, self.sign]))
        if kind == 2:
            return self.bits(round(rng.uniform(-1e4, 1e4), rng.randrange(6)))
        return self.canonical(rng.getrandbits(8 * self.size))

    def number(self, bits):
        return struct.unpack(self.code, struct.pack(self.bits_code, bits))[0]

    def wave(self, value, rng):
        number = self.number(value)
        if math.isnan(number):
            return "nan"
        if self.name == "f32" and rng.random() < 0.5:
            return "%.9g" % number
        return repr(number)

    def parse(self, text):
        return self.canonical(self.bits(float(text.word())))


class Char(Scalar):
    EDGES = (0, 0x1F, 0x20, 0x22, 0x27, 0x5C, 0x7F, 0x80, 0xA0, 0xFF, 0x100, 0x7FF, 0x800, 0xD7FF, 0xE000,
             0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F3AD, 0x10FFFF)

    def __init__(self):
        super().__init__("char", 4, "i32")

    def random(self, rng, _room):
        if rng.random() < 0.6:
            return rng.choice(self.EDGES)
        while True:
            code = rng.randrange(0x110000) >> rng.randrange(14)
            if not 0xD800 <= code < 0xE000:
                return code

    def wave(self, value, rng):
        return "'%s'" % escape(chr(value), "'", rng)

    def parse(self, text):
        text.take("'")
        code = ord(text.character())
        text.take("'")
        return code


class String(Type):
    name, size, align, flat, has_pointers = "string", 8, 4, ["i32", "i32"], True
    char = Char()

    def random(self, rng, room):
        kind = rng.randrange(4)
        count = 5000 if rng.random() < 0.01 else rng.randrange(min(room, 12) + 1)
        if kind == 0:
            return "".join(chr(rng.randrange(32, 127)) for _ in range(count))
        if kind == 1:
            return "".join(chr(rng.randrange(256)) for _ in range(count))
        # One that decides about the encoding comes last now and then.
        tail = chr(self.char.random(rng, room)) if kind == 3 else ""
        return "".join(chr(self.char.random(rng, room) if kind == 2 else rng.randrange(97, 123))
                       for _ in range(count)) + tail

    def wave(self, value, rng):
        return '"%s"' % "".join(escape(char, '"', rng) for char in value)

    def parse(self, text):
        text.take('"')
        out = []
        while not text.maybe('"'):
            out.append(text.character())
        return "".join(out)

    def store(self, offset, slots):
        return store_wat("i32", 4, offset, slots[0]) + store_wat("i32", 4, offset + 4, slots[1])

    def json(self):
        return {"kind": "string"}


class List(String):
    def __init__(self, item):
        self.item, self.name = item, "list<%s>" % item.name

    def declarations(self):
        return self.item.declarations()

    def random(self, rng, room):
        return [self.item.random(rng, room // 4) for _ in range(rng.randrange(min(room, 9) + 1))]

    def wave(self, value, rng):
        comma = "," if value and rng.random() < 0.1 else ""
        return "[%s%s]" % (", ".join(self.item.wave(item, rng) for item in value), comma)

    def parse(self, text):
        return text.sequence("[", "]", lambda: self.item.parse(text))

    def json(self):
        return {"kind": "list", "item": self.item.json()}


# ---- records and the like

class Tuple(Type):
    def __init__(self, fields):
        self.fields = fields
        self.name = "tuple<%s>" % ", ".join(field.name for field in fields)
        self.flat = [core for field in fields for core in field.flat]
        self.has_pointers = any(field.has_pointers for field in fields)
        self.align = max(field.align for field in fields)
        self.offsets, end = [], 0
        for field in fields:
            self.offsets.append(align_to(end, field.align))
            end = self.offsets[-1] + field.size
        self.size = align_to(end, self.align)

    def declarations(self):
        return [line for field in self.fields for line in field.declarations()]

    def random(self, rng, room):
        return [field.random(rng, room // 2) for field in self.fields]

    def wave(self, value, rng):
        return "(%s)" % ", ".join(field.wave(part, rng) for field, part in zip(self.fields, value))

    def parse(self, text):
        fields = iter(self.fields)
        return text.sequence("(", ")", lambda: next(fields).parse(text))

    def store(self, offset, slots):
        out = []
        for field, at in zip(self.fields, self.offsets):
            out.append(field.store(offset + at, slots[:len(field.flat)]))
            slots = slots[len(field.flat):]
        return "".join(out)

    def load(self, offset):
        return self.fields[0].load(offset)

    def to_flat(self, value):
        return [core for field, part in zip(self.fields, value) for core in field.to_flat(part)]

    def to_memory(self, memory, offset, value):
        for field, at, part in zip(self.fields, self.offsets, value):
            field.to_memory(memory, offset + at, part)

    def json(self):
        return {"kind": "tuple", "fields": [field.json() for field in self.fields]}


class Record(Tuple):
    def __init__(self, name, labels, fields):
        super().__init__(fields)
        self.name, self.labels = name, labels

    def declarations(self):
        fields = ", ".join("%%%s: %s" % pair for pair in zip(self.labels, (field.name for field in self.fields)))
        return super().declarations() + ["record %s { %s }" % (self.name, fields)]

    def wave(self, value, rng):
        """In any order, and fields that are none may be missing."""
        parts = []
        for label, field, part in zip(self.labels, self.fields, value):
            if not (isinstance(field, Option) and part[0] == 0 and rng.random() < 0.5):
                parts.append("%s: %s" % (label, field.wave(part, rng)))
        rng.shuffle(parts)
        return "{%s}" % (", ".join(parts) or ":")

    def parse(self, text):
        if text.maybe("{:}"):
            named = {}
        else:
            named = dict(text.sequence("{", "}", lambda: self.parse_field(text)))
        return [named[label] if label in named else [0, None] for label in self.labels]

    def parse_field(self, text):
        label = text.word().lstrip("%")
        text.take(": ")
        return label, self.fields[self.labels.index(label)].parse(text)

    def json(self):
        return {"kind": "record", "labels": self.labels, "fields": [field.json() for field in self.fields]}


class Flags(Type):
    def __init__(self, name, labels):
        self.name, self.labels = name, labels
        self.size = self.align = 1 if len(labels) <= 8 else 2 if len(labels) <= 16 else 4
        self.flat = ["i32"]

    store, load, to_memory = Scalar.store, Scalar.load, None

    def declarations(self):
        return ["flags %s { %s }" % (self.name, ", ".join("%" + label for label in self.labels))]

    def random(self, rng, _room):
        share = rng.choice([0, 0.5, 1])
        return [index for index in range(len(self.labels)) if rng.random() < share]

    def wave(self, value, rng):
        value = list(value)
        rng.shuffle(value)
        return "{%s}" % ", ".join(self.labels[index] for index in value)

    def parse(self, text):
        return sorted(self.labels.index(label.lstrip("%")) for label in text.sequence("{", "}", text.word))

    def to_flat(self, value):
        return [sum(1 << index for index in value)]

    def to_memory(self, memory, offset, value):
        memory[offset:offset + self.size] = self.to_flat(value)[0].to_bytes(self.size, "little")

    def json(self):
        return {"kind": "flags", "labels": self.labels}


# ---- variants and the like

def join(first, second):
    if first is None or second is None or first == second:
        return first or second
    return "i32" if {first, second} == {"i32", "f32"} else "i64"


def converted(value, have, want):
    """The core value of a slot that several cases share, as the type that one of them has."""
    if have == want:
        return value
    if have == "i64" and want in ("i32", "f32"):
        value = "(i32.wrap_i64 %s)" % value
    return "(%s.reinterpret_i%s %s)" % (want, want[1:], value) if want[0] == "f" else value


class Variant(Type):
    """cases: the payloads' types, None where there is none."""

    def __init__(self, name, labels, cases):
        self.name, self.labels, self.cases = name, labels, cases
        self.disc = 1 if len(cases) <= 256 else 2
        payloads = [case for case in cases if case]
        self.align = max([self.disc] + [case.align for case in payloads])
        self.payload_at = align_to(self.disc, max([1] + [case.align for case in payloads]))
        self.size = align_to(self.payload_at + max([0] + [case.size for case in payloads]), self.align)
        self.has_pointers = any(case.has_pointers for case in payloads)
        slots = []
        for case in payloads:
            slots = [join(*pair) for pair in itertools.zip_longest(slots, case.flat)]
        self.flat = ["i32"] + slots

    def declarations(self):
        cases = ", ".join("%%%s%s" % (label, "(%s)" % case.name if case else "")
                          for label, case in zip(self.labels, self.cases))
        return self.payload_declarations() + ["variant %s { %s }" % (self.name, cases)]

    def payload_declarations(self):
        return [line for case in self.cases if case for line in case.declarations()]

    def random(self, rng, room):
        number = rng.randrange(len(self.cases))
        case = self.cases[number]
        return [number, case.random(rng, room // 2) if case else None]

    def wave(self, value, rng):
        label, case = self.labels[value[0]], self.cases[value[0]]
        if label in KEYWORDS and type(self) in (Variant, Enum):
            label = "%" + label
        return "%s(%s)" % (label, case.wave(value[1], rng)) if case else label

    def parse(self, text):
        label = text.word()
        bare = label.lstrip("%")
        if type(self) in (Variant, Enum) and (bare in KEYWORDS) != label.startswith("%"):
            raise Failed("the %% before %r is wrong" % label)
        number = self.labels.index(bare)
        if not self.cases[number]:
            return [number, None]
        text.take("(")
        payload = self.cases[number].parse(text)
        text.take(")")
        return [number, payload]

    def store(self, offset, slots):
        out = [store_wat("i32", self.disc, offset, slots[0])]
        for number, case in enumerate(self.cases):
            if case:
                own = [converted(slot, have, want)
                       for slot, have, want in zip(slots[1:], self.flat[1:], case.flat)]
                out.append("(if (i32.eq %s (i32.const %d)) (then %s))" % (
                    slots[0], number, case.store(offset + self.payload_at, own)))
        return "".join(out)

    def load(self, offset):
        return "(i32.load%d_u offset=%d (local.get 0))" % (8 * self.disc, offset)

    def to_flat(self, value):
        number, payload = value
        own = self.cases[number].to_flat(payload) if self.cases[number] else []
        return [number] + own + [0] * (len(self.flat) - 1 - len(own))

    def to_memory(self, memory, offset, value):
        number, payload = value
        memory[offset:offset + self.disc] = number.to_bytes(self.disc, "little")
        if self.cases[number]:
            self.cases[number].to_memory(memory, offset + self.payload_at, payload)

    def json(self):
        return {"kind": "variant", "labels": self.labels, "cases": [case and case.json() for case in self.cases]}


class Enum(Variant):
    def __init__(self, name, labels):
        super().__init__(name, labels, [None] * len(labels))

    def declarations(self):
        return ["enum %s { %s }" % (self.name, ", ".join("%" + label for label in self.labels))]

    def random(self, rng, room):
        return rng.choice([0, len(self.labels) - 1, super().random(rng, room)[0]])

    def wave(self, value, rng):
        return super().wave([value, None], rng)

    def parse(self, text):
        return super().parse(text)[0]

    def to_flat(self, value):
        return [value]

    def to_memory(self, memory, offset, value):
        super().to_memory(memory, offset, [value, None])

    def json(self):
        return {"kind": "enum", "labels": self.labels}


class Option(Variant):
    def __init__(self, item):
        super().__init__("option<%s>" % item.name, ["none", "some"], [None, item])

    def declarations(self):
        return self.payload_declarations()

    def wave(self, value, rng):
        """The payload alone where that is permitted."""
        bare = not isinstance(self.cases[1], (Option, Outcome))
        if value[0] == 1 and bare and rng.random() < 0.3:
            return self.cases[1].wave(value[1], rng)
        return super().wave(value, rng)

    def json(self):
        return {"kind": "option", "item": self.cases[1].json()}


class Outcome(Variant):
    """result<ok, err>"""

    def __init__(self, ok, err):
        name = "result"
        if ok or err:
            name += "<%s%s>" % (ok.name if ok else "_", ", " + err.name if err else "")
        super().__init__(name, ["ok", "err"], [ok, err])

    def declarations(self):
        return self.payload_declarations()

    def json(self):
        return {"kind": "result", "cases": [case and case.json() for case in self.cases]}


# ---- any type

class Types:
    """Makes types; those with names of their own are numbered."""

    def __init__(self, rng):
        self.rng, self.named = rng, 0

    def name(self):
        self.named += 1
        return "t%d" % self.named

    def labels(self, count):
        """Distinct ones, also when words are joined in JavaScript's way."""
        chosen = self.rng.sample(LABELS, min(count, len(LABELS)))
        return chosen + ["%s%d" % ("n-x" if number % 2 else "label", number)
                         for number in range(len(chosen), count)]

    def scalar(self):
        name = self.rng.choice(["bool", "u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64", "char"])
        if name == "bool":
            return Bool()
        if name == "char":
            return Char()
        return Float(name) if name[0] == "f" else Integer(name)

    def leaf(self):
        rng, kind = self.rng, self.rng.randrange(10)
        if kind < 5:
            return self.scalar()
        if kind < 7:
            return String()
        if kind < 8:
            return Flags(self.name(), self.labels(rng.choice([1, 2, 7, 8, 9, 15, 16, 17, 31, 32])))
        return Enum(self.name(), self.labels(rng.choice([1, 2, 5, 255, 256, 257, 300])))

    def any(self, depth):
        rng = self.rng
        if depth == 0:
            return self.leaf()
        kind = rng.randrange(7)
        if kind == 0:
            return self.leaf()
        if kind == 1:
            return List(self.any(depth - 1))
        if kind == 2:
            return Option(self.any(depth - 1))
        if kind == 3:
            return Outcome(*(self.any(depth - 1) if rng.random() < 0.8 else None for _ in range(2)))
        count = rng.choice([1, 2, 3, 4, 6])
        if kind == 4:
            return Tuple([self.any(depth - 1) for _ in range(count)])
        if kind == 5:
            return Record(self.name(), self.labels(count), [self.any(depth - 1) for _ in range(count)])
        many = rng.choice([0] * 8 + [254])
        return Variant(self.name(), self.labels(count + many),
                       [self.any(depth - 1) if rng.random() < 0.8 else None for _ in range(count)] + [None] * many)
