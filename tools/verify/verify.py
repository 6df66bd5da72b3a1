#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Verifies a log folder from its files alone, written from docs/formats/chain.md and sharing no
code with the runtime: a second opinion for auditors. Needs only Python's standard library.

    verify.py FOLDER      prints "good: E events, C chains" (exit 0) or "bad: ..." (exit 1)
"""
import hashlib
import os
import re
import struct
import sys

NONE = 2**64 - 1
EVENT, ACTOR, BATCH, FOOTER = 1, 2, 3, 4
FRAME = struct.Struct("<IIIIQ")  # checksum, body length, actor, kind, previous


class Bad(Exception):
    pass


def need(is_good, problem):
    if not is_good:
        raise Bad(problem)


def crc_table():
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


TABLE = list(crc_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def cbor(data, at=0, depth=0):
    """Decodes one deterministic item: (value, offset behind it). Maps become lists of pairs."""
    need(depth <= 128 and at < len(data) and data[at] & 31 < 28,
         "CBOR: early end, deep nesting or an indefinite length")
    start, major, info = at, data[at] >> 5, data[at] & 31
    size = 1 << (info - 24) if info >= 24 else 0
    value = int.from_bytes(data[at + 1:at + 1 + size], "big") if size else info
    at += 1 + size
    if at > len(data) or (size and major != 7 and value < (24 if size == 1 else 1 << 4 * size)):
        raise Bad("CBOR: head cut off or not the shortest")
    if major < 2:
        return (-1 - value if major else value), at
    if major < 4:
        need(value <= len(data) - at, "CBOR: string cut off")
        content = data[at:at + value]
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


def whole(data):
    value, end = cbor(data)
    need(end == len(data), "bytes behind the CBOR item")
    return value


class Log:
    def __init__(self):
        self.position = 0
        self.previous_batch = NONE
        self.digest = bytes(32)
        self.actors = []  # [id, nonce, next seq, last position, last time, hash]
        self.events = 0

    def frame(self, data, at, end, position):
        need(end - at >= FRAME.size, "frame header cut off")
        crc, size, actor, kind, previous = FRAME.unpack_from(data, at)
        need(size <= end - at - FRAME.size, "frame longer than what holds it")
        content = data[at + 4:at + FRAME.size + size]
        need(crc32c(content) ^ crc32c(struct.pack("<Q", position)) == crc, "checksum")
        return actor, kind, previous, data[at + FRAME.size:at + FRAME.size + size]

    def event(self, actor, previous, body, position):
        need(0 < actor <= len(self.actors), "event of an undeclared chain")
        chain = self.actors[actor - 1]
        name = "%s event %d" % (chain[0], chain[2])
        try:
            version, seq, time, kind, _ = whole(body[32:])
        except (TypeError, ValueError) as error:
            raise Bad("%s: event bytes: %s" % (name, error))
        need(version == 1 and seq == chain[2] and isinstance(kind, str),
             name + ": version, sequence or type")
        need(0 < len(kind.encode()) <= 64 and time >= chain[4], name + ": type or time")
        need(previous == chain[3] and body[:32] == chain[5],
             name + ": does not follow the event before")
        need(seq > 0 or b"\x50" + chain[1] in body[32:], name + ": lacks the nonce")
        chain[2:] = [seq + 1, position, time, hashlib.sha256(body).digest()]
        self.events += 1
        return time

    def declare(self, actor, previous, body):
        name = body[16:].decode("latin-1")
        need(re.fullmatch(r"[A-Za-z0-9._-]{1,128}", name) and previous == NONE, "declaration")
        need(actor == len(self.actors) + 1 and all(a[0] != name for a in self.actors),
             "declaration of %s" % name)
        genesis = hashlib.sha256(b"theater-chain-1" + body[16:] + body[:16]).digest()
        self.actors.append([name, body[:16], 0, NONE, 0, genesis])

    def batch(self, data, at, limit):
        """One batch; returns its end in the file, its events and their times."""
        actor, kind, previous, body = self.frame(data, at, limit, self.position)
        need(kind == BATCH and len(body) == 32 and body[:8] == b"THbatch\x01" and not actor,
             "no batch header")
        end, durable, stated, zero = struct.unpack_from("<QQII", body, 8)
        size = end - self.position
        need(56 <= size <= limit - at and durable <= self.position and not zero, "batch bounds")
        need(previous == self.previous_batch, "batch link")
        cursor, frames, times = 56, [], []
        while cursor < size:
            self.where = at + cursor
            frames.append((self.frame(data, at + cursor, at + size, self.position + cursor),
                           self.position + cursor, at + cursor))
            cursor += FRAME.size + len(frames[-1][0][3])
        for (actor, kind, link, content), place, self.where in frames:  # all are intact
            if kind == ACTOR:
                self.declare(actor, link, content)
            else:
                need(kind == EVENT, "unknown kind of frame")
                times.append(self.event(actor, link, content, place))
        need(len(times) == stated, "batch counts its events wrongly")
        self.digest = hashlib.sha256(self.digest + body + b"".join(
            hashlib.sha256(frame[3]).digest() for frame, _, _ in frames)).digest()
        self.previous_batch, self.position = self.position, end
        return at + size, times

    def segment(self, data, number, is_last):
        self.where = 0
        if (len(data) < 64 or data[:8] != b"THEATER\n" or data[56:60] != bytes(4)
                or crc32c(data[:60]) != struct.unpack_from("<I", data, 60)[0]):
            if is_last and data[-8:] != b"THsealed":
                return  # was being made
            raise Bad("segment header")
        version, stated, base = struct.unpack_from("<IIQ", data, 8)
        if (version, stated, base) != (1, number, self.position) or data[24:56] != self.digest:
            raise Bad("segment out of place")
        sealed = data[-8:] == b"THsealed"
        limit = struct.unpack_from("<Q", data, len(data) - 16)[0] if sealed else len(data)
        at, times, batches = 64, [], 0
        while at < limit:
            self.where = at
            try:
                at, more = self.batch(data, at, limit)
            except Bad:
                if sealed or not is_last or self.durable_later(data, at):
                    raise
                return  # the unfinished end of a log that is being written
            times, batches = times + more, batches + 1
        self.where = at
        if not sealed:
            if not is_last:
                raise Bad("not sealed")
            return
        _, kind, _, body = self.frame(data, at, len(data) - 16, self.position)
        footer = [len(times), batches, self.position, min(times, default=0), max(times, default=0)]
        if (at != limit or at + 24 + len(body) + 16 != len(data) or kind != FOOTER
                or whole(body) != list(enumerate(footer + [self.digest], 1))):
            raise Bad("footer")

    def durable_later(self, data, at):
        """What is broken at `at` cannot be an unfinished write."""
        for hit in re.finditer(re.escape(b"THbatch\x01"), data[at + 25:]):
            start = at + 1 + hit.start()
            place = self.position + (start - at)
            try:
                body = self.frame(data, start, len(data), place)[3]
                if len(body) == 32 and struct.unpack_from("<Q", body, 16)[0] > self.position:
                    return True
            except Bad:
                pass
        # A footer without its trailer is damage too, unless only zeros follow.
        try:
            body = self.frame(data, at, len(data), self.position)
            return body[1] == FOOTER and any(data[at + 24 + len(body[3]):])
        except Bad:
            return False


def main(folder):
    numbers = sorted(int(n[:-4]) for n in os.listdir(folder) if re.fullmatch(r"\d{8,9}\.log", n))
    log, number = Log(), 0
    try:
        for number in range(1, (numbers or [0])[-1] + 1):
            need(number in numbers, "segment missing")
            log.where = 0
            with open(os.path.join(folder, "%08d.log" % number), "rb") as file:
                log.segment(file.read(), number, number == numbers[-1])
    except (Bad, OSError, UnicodeDecodeError) as error:
        print("bad: %08d.log at byte %d: %s" % (number, getattr(log, "where", 0), error))
        return 1
    print("good: %d events, %d chains" % (log.events, len(log.actors)))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
