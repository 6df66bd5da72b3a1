# SPDX-License-Identifier: Apache-2.0
"""The part of verify.py for log folders: segments, batches, frames, and the signatures and the
catalogue beside them."""
import contextlib
import os
import pathlib
import re
import sqlite3
import struct

import verify
from verify import Bad, need

NONE = 2**64 - 1
EVENT, ACTOR, BATCH, FOOTER = 1, 2, 3, 4
FRAME = struct.Struct("<IIIIQ")  # checksum, body length, actor, kind, previous
TABLE = list(range(256))
for _ in range(8):
    TABLE = [value >> 1 ^ (0x82F63B78 if value & 1 else 0) for value in TABLE]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


class Log:
    def __init__(self, claims):
        self.position, self.previous_batch, self.digest = 0, NONE, bytes(32)
        self.chains, self.names, self.events, self.where = [], set(), 0, 0
        self.signatures = {}  # those that were not met yet, by chain and event
        self.claims = claims  # what the catalogue knows: [name, position, seq, head]

    def frame(self, data, at, end, position):
        need(end - at >= FRAME.size, "frame header cut off")
        crc, size, actor, kind, previous = FRAME.unpack_from(data, at)
        need(size <= end - at - FRAME.size, "frame longer than what holds it")
        content = data[at + 4:at + FRAME.size + size]
        need(crc32c(content) ^ crc32c(struct.pack("<Q", position)) == crc, "checksum")
        return actor, kind, previous, content[FRAME.size - 4:]

    def take(self, actor, kind, previous, body, position, times):
        if kind == ACTOR:
            chain = verify.Chain(body[16:].decode("latin-1"), body[:16])
            chain.position = NONE
            need(actor == len(self.chains) + 1 and previous == NONE
                 and chain.name not in self.names, "declaration")
            self.names.add(chain.name)
            self.chains.append(chain)
            need(actor > len(self.claims) or self.claims[actor - 1][0] == chain.name,
                 "%s is not the chain that the catalogue knows" % chain.name)
            return
        need(kind == EVENT and 0 < actor <= len(self.chains), "frame of no kind or no chain")
        chain = self.chains[actor - 1]
        need(previous == chain.position and body[:32] == chain.hash,
             "%s event %d: does not follow the event before" % (chain.name, chain.seq))
        chain.event(body[32:])
        for hashed, chain.signed in self.signatures.pop((chain.name, chain.seq - 1), ()):
            need(hashed == chain.hash, "%s event %d: signed with another hash" % (
                chain.name, chain.seq - 1))
        chain.position, self.events = position, self.events + 1
        claim = self.claims[actor - 1] if actor <= len(self.claims) else [None] * 4
        need(claim[2] != chain.seq - 1 or claim[1::2] == [position, chain.hash],
             "%s event %d is not the one that the catalogue knows" % (chain.name, chain.seq - 1))
        times.append(chain.time)

    def batch(self, data, at, limit, times):
        """One batch; returns its end in the file, and adds the times of its events."""
        actor, kind, previous, body = self.frame(data, at, limit, self.position)
        need(kind == BATCH and len(body) == 32 and body[:8] == b"THbatch\x01" and not actor,
             "no batch header")
        end, durable, stated, zero = struct.unpack_from("<QQII", body, 8)
        size, cursor, frames, before = end - self.position, 56, [], len(times)
        need(56 <= size <= limit - at and durable <= self.position and not zero
             and previous == self.previous_batch, "batch bounds or link")
        while cursor < size:
            self.where = at + cursor
            frame = self.frame(data, at + cursor, at + size, self.position + cursor)
            frames.append((frame, self.position + cursor, at + cursor))
            cursor += FRAME.size + len(frame[3])
        for frame, position, self.where in frames:  # all are intact
            self.take(*frame, position, times)
        need(len(times) - before == stated, "batch counts its events wrongly")
        self.digest = verify.sha256(self.digest + body + b"".join(verify.sha256(one[0][3]) for one in frames))
        self.previous_batch, self.position = self.position, end
        return at + size

    def segment(self, data, number, is_last):
        self.where, sealed = 0, data[-8:] == b"THsealed"
        if len(data) < 64 or data[:8] != b"THEATER\n" or data[56:60] != bytes(4) or (
                crc32c(data[:60]) != struct.unpack_from("<I", data, 60)[0]):
            return need(is_last and not sealed, "segment header")  # else it was being made
        need(struct.unpack_from("<IIQ", data, 8) == (1, number, self.position)
             and data[24:56] == self.digest, "segment out of place")
        limit = struct.unpack_from("<Q", data, len(data) - 16)[0] if sealed else len(data)
        at, times, batches = 64, [], 0
        while at < limit:
            self.where = at
            try:
                at, batches = self.batch(data, at, limit, times), batches + 1
            except Bad:
                if sealed or not is_last or self.durable_later(data, at):
                    raise
                return  # the unfinished end of a log that is being written
        self.where = at
        need(sealed or is_last, "not sealed")
        if sealed:
            _, kind, _, body = self.frame(data, at, len(data) - 16, self.position)
            footer = [len(times), batches, self.position, min(times, default=0),
                      max(times, default=0), self.digest]
            need(at == limit and at + 24 + len(body) + 16 == len(data) and kind == FOOTER
                 and verify.cbor(body) == (list(enumerate(footer, 1)), len(body)), "footer")

    def durable_later(self, data, at):
        """What is broken at `at` cannot be an unfinished write: a later batch was durable, or there
        is a footer, and what follows are not only parts of its trailer and zeros."""
        for hit in re.finditer(re.escape(b"THbatch\x01"), data[at + 25:]):
            start = at + 1 + hit.start()
            try:
                body = self.frame(data, start, len(data), self.position + start - at)[3]
                if len(body) == 32 and struct.unpack_from("<Q", body, 16)[0] > self.position:
                    return True
            except Bad:
                pass
        try:
            frame = self.frame(data, at, len(data), self.position)
            end = at + 24 + len(frame[3])
            whole, rest = struct.pack("<Q", at) + b"THsealed", data[end:end + 16].ljust(16, b"\0")
            cuts = sorted({0, 8, min(-end % 512, 16), 16})  # its words, and the border of a sector
            parts = [whole[a:b].startswith(rest[a:b].rstrip(b"\0")) for a, b in zip(cuts, cuts[1:])]
            return frame[1] == FOOTER and not (all(parts) and not any(data[end + 16:]))
        except Bad:
            return False


def signatures_of(folder):
    """{(chain, event): [(head, key), ...]}"""
    found, at = {}, 0
    try:
        with open(os.path.join(folder, "signed", "heads"), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return found
    while at < len(data):
        try:
            (position, time, key, signature, heads), end = verify.cbor(data, at)
        except verify.Short:
            break  # a part of an item, from a crash
        need(verify.is_signature(key, verify.signed_message(position, time, heads), signature),
             "wrong signature at byte %d of signed/heads" % at)
        at = end
        for name, seq, hashed in heads:
            found.setdefault((name, seq), []).append((hashed, key))
    return found


def claims_of(folder):
    """What the catalogue, if it is as it was written, knows of the chains and the log's length."""
    path, claims = pathlib.Path(folder, "index", "catalogue.db"), []
    try:
        base = sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True)
        with contextlib.closing(base):
            at = base.execute("SELECT * FROM checkpoint").fetchall()
            rows = base.execute("SELECT number, position, seq, time_ns, nonce, head, id, checksum"
                                " FROM chains ORDER BY number").fetchall()
        need(len(at) == 1 and len(rows) == at[0][3] and
             crc32c(struct.pack("<IQQQQ", *at[0][:5]) + at[0][5]) == at[0][6], "checkpoint")
        for number, position, seq, time, nonce, head, name, checksum in rows:
            row = struct.pack("<IQQQ", number, position, seq, time) + nonce + head + name.encode()
            need(number == len(claims) + 1 and checksum == crc32c(row), "row")
            claims.append([name, position, seq, head])
        return claims, at[0][1]
    except (Bad, sqlite3.Error, struct.error, TypeError, AttributeError):
        return [], 0


def check(folder):
    numbers = sorted(int(n[:-4]) for n in os.listdir(folder) if re.fullmatch(r"\d{8,9}\.log", n))
    claims, length = claims_of(folder)
    log, number = Log(claims), 0
    try:
        log.signatures = signatures_of(folder)
        for number in range(1, (numbers or [0])[-1] + 1):
            need(number in numbers, "segment missing")
            log.where = 0
            with open(os.path.join(folder, "%08d.log" % number), "rb") as file:
                log.segment(file.read(), number, number == numbers[-1])
        need(log.position >= length and len(claims) <= len(log.chains) and all(
            claim[2] < chain.seq for claim, chain in zip(claims, log.chains)),
             "the log ends before events that the catalogue knows")
        for name, seq in log.signatures:
            raise Bad("%s ends before event %d, which was signed" % (name, seq))
    except (Bad, OSError, TypeError, ValueError) as error:
        return "bad: %08d.log at byte %d: %s" % (number, log.where, error)
    signed = sum(chain.signed is not None for chain in log.chains)
    return "good: %d events, %d chains, %d of them signed" % (
        log.events, len(log.chains), signed)
