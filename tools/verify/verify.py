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
    if depth > 128 or at >= len(data):
        raise Bad("CBOR ends early or nests too deeply")
    start, major, info = at, data[at] >> 5, data[at] & 31
    at += 1
    if info < 24:
        value = info
    elif info < 28:
        size = 1 << (info - 24)
        value = int.from_bytes(data[at:at + size], "big")
        if len(data) - at < size:
            raise Bad("CBOR head cut off")
        at += size
        least = {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[size]
        if major != 7 and value < least:
            raise Bad("CBOR head not shortest")
    else:
        raise Bad("CBOR indefinite or reserved")
    if major == 0:
        return value, at
    if major == 1:
        return -1 - value, at
    if major in (2, 3):
        if value > len(data) - at:
            raise Bad("CBOR string cut off")
        content = bytes(data[at:at + value])
        return (content.decode("utf-8") if major == 3 else content), at + value
    if major == 4:
        items = []
        for _ in range(value):
            item, at = cbor(data, at, depth + 1)
            items.append(item)
        return items, at
    if major == 5:
        pairs, last = [], b""
        for index in range(value):
            key_at = at
            key, at = cbor(data, at, depth + 1)
            if index and bytes(data[key_at:at]) <= last:
                raise Bad("CBOR map keys out of order")
            last = bytes(data[key_at:at])
            item, at = cbor(data, at, depth + 1)
            pairs.append((key, item))
        return pairs, at
    if major == 6:
        item, at = cbor(data, at, depth + 1)
        return (value, item), at
    return bytes(data[start:at]), at  # simple values and floats, as they are


def whole(data):
    value, end = cbor(data)
    if end != len(data):
        raise Bad("bytes behind the CBOR item")
    return value


class Log:
    def __init__(self):
        self.position = 0
        self.previous_batch = NONE
        self.digest = bytes(32)
        self.actors = []  # [id, nonce, next seq, last position, last time, hash]
        self.events = 0

    def frame(self, data, at, end, position):
        if end - at < FRAME.size:
            raise Bad("frame header cut off")
        crc, size, actor, kind, previous = FRAME.unpack_from(data, at)
        if size > end - at - FRAME.size:
            raise Bad("frame longer than what holds it")
        content = data[at + 4:at + FRAME.size + size]
        if crc32c(content) ^ crc32c(struct.pack("<Q", position)) != crc:
            raise Bad("checksum")
        return actor, kind, previous, data[at + FRAME.size:at + FRAME.size + size]

    def event(self, actor, previous, body, position):
        if not 0 < actor <= len(self.actors):
            raise Bad("event of an undeclared chain")
        chain = self.actors[actor - 1]
        try:
            version, seq, time, kind, _ = fields = whole(body[32:])
        except (TypeError, ValueError, UnicodeDecodeError) as error:
            raise Bad("%s: event bytes: %s" % (chain[0], error))
        name = "%s event %d" % (chain[0], chain[2])
        if version != 1 or seq != chain[2] or not isinstance(kind, str) or len(fields) != 5:
            raise Bad(name + ": version, sequence or type")
        if not 0 < len(kind.encode()) <= 64 or time < chain[4]:
            raise Bad(name + ": type or time")
        if previous != chain[3] or body[:32] != chain[5]:
            raise Bad(name + ": does not follow the event before")
        if seq == 0 and b"\x50" + chain[1] not in body[32:]:
            raise Bad(name + ": lacks the nonce")
        chain[2:] = [seq + 1, position, time, hashlib.sha256(body).digest()]
        self.events += 1
        return time

    def declare(self, actor, previous, body):
        name = body[16:].decode("latin-1")
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", name) or previous != NONE:
            raise Bad("declaration")
        if actor != len(self.actors) + 1 or any(a[0] == name for a in self.actors):
            raise Bad("declaration of %s" % name)
        genesis = hashlib.sha256(b"theater-chain-1" + body[16:] + body[:16]).digest()
        self.actors.append([name, body[:16], 0, NONE, 0, genesis])

    def batch(self, data, at, limit):
        """One batch; returns its end in the file, its events and their times."""
        actor, kind, previous, body = self.frame(data, at, limit, self.position)
        if kind != BATCH or len(body) != 32 or body[:8] != b"THbatch\x01" or actor:
            raise Bad("no batch header")
        end, durable, stated, zero = struct.unpack_from("<QQII", body, 8)
        size = end - self.position
        if size < 56 or size > limit - at or durable > self.position or zero:
            raise Bad("batch bounds")
        if previous != self.previous_batch:
            raise Bad("batch link")
        cursor, times = 56, []
        while cursor < size:
            place = self.position + cursor
            self.where = at + cursor
            actor, kind, link, content = self.frame(data, at + cursor, at + size, place)
            if kind == ACTOR:
                self.declare(actor, link, content)
            elif kind == EVENT:
                times.append(self.event(actor, link, content, place))
            else:
                raise Bad("unknown kind of frame")
            cursor += FRAME.size + len(content)
        if len(times) != stated:
            raise Bad("batch counts its events wrongly")
        self.digest = hashlib.sha256(self.digest + data[at:at + size]).digest()
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
        for hit in re.finditer(re.escape(b"THbatch\x01"), data[at + 25:]):
            start = at + 1 + hit.start()
            place = self.position + (start - at)
            try:
                body = self.frame(data, start, len(data), place)[3]
            except Bad:
                continue
            if len(body) == 32 and struct.unpack_from("<Q", body, 16)[0] > self.position:
                return True
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
            if number not in numbers:
                raise Bad("segment missing")
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
