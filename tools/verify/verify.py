#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Verifies chain files and log folders from their bytes alone, written from docs/formats/chain.md
and sharing no code with the runtime: a second opinion for auditors. Needs Python's library only;
this file alone is enough for chain files, log_folder.py beside it is for log folders.

    verify.py FILE|FOLDER...    a line for each, "good: ..." or "bad: ..."; exit code 1 for a bad one
"""
import hashlib
import os
import re
import sys

P, ORDER = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493  # of Ed25519
D = -121665 * pow(121666, -1, P) % P


class Bad(Exception):
    pass


class Short(Bad):
    pass


def need(is_good, problem, kind=Bad):
    if not is_good:
        raise kind(problem)


def sha256(data):
    return hashlib.sha256(data).digest()


def cbor(data, at=0, depth=0):
    """Decodes one deterministic item: (value, offset behind it). Maps become lists of pairs."""
    need(at < len(data), "CBOR: early end", Short)
    need(depth <= 128 and data[at] & 31 < 28, "CBOR: deep nesting or an indefinite length")
    start, major, info = at, data[at] >> 5, data[at] & 31
    size = 1 << (info - 24) if info >= 24 else 0
    value = int.from_bytes(data[at + 1:at + 1 + size], "big") if size else info
    at += 1 + size
    least = (24 if size == 1 else 1 << 4 * size) if size else 0
    need(at <= len(data), "CBOR: head cut off", Short)
    need(major == 7 or value >= least, "CBOR: head not the shortest")
    if major < 2:
        return (-1 - value if major else value), at
    if major < 4:
        need(value <= len(data) - at, "CBOR: string cut off", Short)
        content = bytes(data[at:at + value])
        return (content.decode("utf-8") if major == 3 else content), at + value
    if major == 7:
        return data[start:at], at  # simple values and floats, as they are
    items, keys = [], []
    for index in range(1 if major == 6 else value * (2 if major == 5 else 1)):
        start = at
        item, at = cbor(data, at, depth + 1)
        items.append(item)
        if major == 5 and index % 2 == 0:
            keys.append(data[start:at])
    need(all(one < two for one, two in zip(keys, keys[1:])), "CBOR: map keys out of order")
    return (list(zip(items[::2], items[1::2])) if major == 5 else items), at


def head(major, value):
    size = 0 if value < 24 else next(n for n in (1, 2, 4, 8) if value < 1 << 8 * n)
    info = 23 + size.bit_length() if size else value
    return bytes([major | info]) + (value.to_bytes(size, "big") if size else b"")


def add(a, b):  # points of Ed25519 as X, Y, Z, T
    one, two = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    three, four = 2 * D * a[3] * b[3], 2 * a[2] * b[2]
    e, f, g, h = two - one, four - three, four + three, two + one
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(number, point):
    result = (0, 1, 1, 0)
    while number:
        result = add(result, point) if number & 1 else result
        point, number = add(point, point), number >> 1
    return result


def point_of(data):
    number = int.from_bytes(data, "little")
    y, sign = number & ~(1 << 255), number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    need(y < P and x * x % P == square and (x or not sign), "signature: not on the curve")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


def is_signature(key, message, signature):  # RFC 8032, 5.1.7
    need(len(key) == 32 and len(signature) == 64, "signature: length")
    number = int.from_bytes(signature[32:], "little")
    mixed = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little")
    one = times(number, point_of((4 * pow(5, -1, P) % P).to_bytes(32, "little")))
    two = add(point_of(signature[:32]), times(mixed % ORDER, point_of(key)))
    return number < ORDER and not any((one[i] * two[2] - two[i] * one[2]) % P for i in (0, 1))


def signed_message(position, time, heads):
    return b"\x84\x73theater-signature-1" + head(0, position) + head(0, time) + head(
        0x80, len(heads)) + b"".join(b"\x83" + head(0x60, len(name)) + name.encode() + head(0, seq)
                                     + b"\x58\x20" + hashed for name, seq, hashed in heads)


class Chain:
    """What is known of one chain, and what its next event must continue."""
    def __init__(self, name, nonce, seq=0, parent=None):
        need(re.fullmatch(r"[A-Za-z0-9._-]{1,128}", name) and len(nonce) == 16, "declaration")
        self.name, self.nonce, self.seq, self.time, self.signed = name, nonce, seq, 0, None
        self.hash = sha256(b"theater-chain-1" + name.encode() + nonce) if not seq else parent
        need(parent in (None, self.hash), "%s: not its beginning" % name)

    def event(self, data):
        where = "%s event %d: " % (self.name, self.seq)
        try:
            (version, seq, time, kind, _), end = cbor(data)
        except (TypeError, ValueError) as error:
            raise Bad(where + "event bytes: %s" % error)
        need((version, seq, end) == (1, self.seq, len(data)) and isinstance(kind, str)
             and 0 < len(kind.encode()) <= 64, where + "version, sequence, type or length")
        need(time >= self.time, where + "time before that of the event before")
        need(seq > 0 or b"\x50" + self.nonce in data, where + "lacks the nonce")
        self.seq, self.time, self.hash = seq + 1, time, sha256(self.hash + data)

    def sign(self, seq, time, hashed, key, signature):
        message = signed_message(0, time, [[self.name, seq, hashed]])
        need(seq == self.seq - 1 and hashed == self.hash and is_signature(key, message, signature),
             "%s event %d: wrong signature" % (self.name, seq))
        self.signed = "signed to %d by %s" % (seq, key.hex())


def chain_file(data):
    (label, *header), at = cbor(data)
    need(label == "theater-chain-file-1", "no chain file")
    chain = Chain(header[0], header[1], header[2], header[3])
    contents, missing, item, digest = set(), set(), None, bytes(32)
    while not isinstance(item, list) or item[0] != 0:
        chain_file.at = at
        need(at < len(data), "the file ends without its last item")
        item, at = cbor(data, at)
        if isinstance(item, bytes):
            chain.event(item[32:])
            need(item[:32] == chain.hash, "%s event %d: its hash" % (chain.name, chain.seq - 1))
        elif item[0] in (1, 2) and len(item) == 4 - item[0]:
            need(item[0] == 2 and len(item[1]) == 32 or sha256(item[2]) == item[1], "content")
            need(item[1] not in contents and item[1] not in missing, "content twice")
            (contents if item[0] == 1 else missing).add(item[1])
            digest = sha256(digest + bytes(item[:1]) + item[1])
        elif item[0] == 3 and len(item) == 6:
            need(chain.seq > header[2], "signature before the first event")
            chain.sign(*item[1:])
    events = chain.seq - header[2]
    need(item == [0, events, chain.hash, digest] and events and at == len(data), "the last item")
    return "%d events of %s from %d on, %d contents, %d missing, %s" % (
        events, chain.name, header[2], len(contents), len(missing), chain.signed or "unsigned")


def verify(path):
    chain_file.at = 0
    try:
        if os.path.isdir(path):
            import log_folder
            return log_folder.check(path)
        with open(path, "rb") as file:
            return "good: " + chain_file(file.read())
    except (Bad, TypeError, ValueError, OSError) as error:
        return "bad: %s at byte %d: %s" % (os.path.basename(path), chain_file.at, error)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    verdicts = [verify(path) for path in sys.argv[1:]]
    print("\n".join(verdicts))
    sys.exit(any(verdict.startswith("bad") for verdict in verdicts))
