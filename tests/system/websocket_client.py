# SPDX-License-Identifier: Apache-2.0
"""A WebSocket client on a plain socket, for tests: it can send what no client would, and shows
every frame that it gets."""
import base64
import hashlib
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
LIMIT_S = 60


class Ended(Exception):
    """The server has ended the connection."""


class Refused(Exception):
    """The server has answered the opening with something else than 101."""

    def __init__(self, status, headers, body):
        Exception.__init__(self, "status %d" % status)
        self.status, self.headers, self.body = status, headers, body


def frame(kind, payload=b"", fin=True, reserved=0, masked=True, form=None):
    """A frame; `form` is the size of its length in bytes where it is not the shortest: 2 or 8."""
    size = len(payload)
    if form is None:
        form = 0 if size < 126 else 2 if size < 65536 else 8
    mark = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | reserved << 4 | kind])
    head += (bytes([mark | size]) if form == 0 else
             bytes([mark | 126]) + struct.pack(">H", size) if form == 2 else
             bytes([mark | 127]) + struct.pack(">Q", size))
    if not masked:
        return head + payload
    mask = os.urandom(4)
    stream = (mask * (size // 4 + 1))[:size]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")
    return head + mask + mixed.to_bytes(size, "big")


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


class Client:
    def __init__(self, port, target="/", headers=None, tls=None, host="127.0.0.1", early=b""):
        self.socket = socket.create_connection((host, port), LIMIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=host)
        self.pending = b""
        key = base64.b64encode(os.urandom(16)).decode()
        given = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
                 "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
        given.update(headers or {})
        lines = ["GET %s HTTP/1.1" % target]
        lines += ["%s: %s" % item for item in given.items() if item[1] is not None]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode() + early)
        self.opened(given["Sec-WebSocket-Key"])

    def opened(self, key):
        while b"\r\n\r\n" not in self.pending:
            self.more()
        head, self.pending = self.pending.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        status = int(lines[0].split()[1])
        headers = {name.strip().lower(): value.strip()
                   for name, value in (line.split(":", 1) for line in lines[1:])}
        if status != 101:
            while len(self.pending) < int(headers.get("content-length", 0)):
                self.more()
            self.close()
            raise Refused(status, headers, self.pending)
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        wanted = base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
        assert headers["sec-websocket-accept"] == wanted, headers
        assert headers["upgrade"].lower() == "websocket", headers
        assert headers["connection"].lower() == "upgrade", headers
        assert "sec-websocket-extensions" not in headers, headers
        assert "sec-websocket-protocol" not in headers, headers

    def more(self):
        try:
            got = self.socket.recv(65536)
        except ConnectionError:
            got = b""
        if not got:
            raise Ended
        self.pending += got

    def take(self, size):
        while len(self.pending) < size:
            self.more()
        got, self.pending = self.pending[:size], self.pending[size:]
        return got

    def send(self, content):
        self.socket.sendall(content)

    def text(self, text):
        self.send(frame(TEXT, text.encode()))

    def receive(self):
        """The next frame: kind and payload. A server's frames are never in pieces or masked."""
        first, second = self.take(2)
        assert first & 0xF0 == 0x80, "first byte %x" % first
        assert second & 0x80 == 0, "a masked frame"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.take(2))[0]
            assert size >= 126
        elif size == 127:
            size = struct.unpack(">Q", self.take(8))[0]
            assert size >= 65536
        return first & 0x0F, self.take(size)

    def ask(self, text):
        """Sends a text and gives the text that comes back."""
        self.text(text)
        kind, payload = self.receive()
        assert kind == TEXT, (kind, payload)
        return payload.decode()

    def ended(self):
        """Whether the server ends the connection now, without a further frame."""
        try:
            return self.take(1) is None
        except Ended:
            return True

    def finish(self):
        """Closes as it should be done."""
        self.send(frame(CLOSE, close_payload(1000)))
        while True:
            kind, payload = self.receive()
            if kind == CLOSE:
                assert payload == close_payload(1000), payload
                break
        assert self.ended()
        self.close()

    def close(self):
        self.socket.close()
