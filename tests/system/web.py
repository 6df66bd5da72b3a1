# SPDX-License-Identifier: Apache-2.0
"""A web server for the tests of what fetches: HTTP/1.1 on 127.0.0.1, well-behaved or not, with and
without TLS, in a thread of the test. Each path is a function that gets a Request; what it returns
is sent as the response, and what it writes itself goes as it is."""
import asyncio
import os
import ssl
import subprocess
import threading

PATTERN = bytes((i + (i >> 8)) & 255 for i in range(1 << 16))


def pattern(size):
    """Bytes in which every value occurs."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]


def fnv(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    return "%016x" % value


class Request:
    def __init__(self, method, target, fields, reader, writer):
        self.method, self.target, self.fields, self.body = method, target, fields, b""
        self.reader, self.writer = reader, writer

    def field(self, name):
        found = [value for key, value in self.fields if key.lower() == name]
        return ", ".join(found) if found else None


def response(body=b"", status=200, fields=(), length=True):
    lines = ["HTTP/1.1 %d Status" % status] + ["%s: %s" % field for field in fields]
    if length:
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


class Server:
    """`paths`: what serves each path, function or coroutine; None for the end: close at once.
    What was asked is in `log`, as (method, target)."""

    def __init__(self, paths, context=None):
        self.paths, self.context = paths, context
        self.log, self.connections, self.requests = [], 0, []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = self.call(asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=context,
                                                     backlog=4096, limit=1 << 22))
        self.port = self.server.sockets[0].getsockname()[1]

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)

    def url(self, path="/", host="127.0.0.1"):
        return "http%s://%s:%d%s" % ("s" if self.context else "", host, self.port, path)

    @staticmethod
    async def read_request(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ")
        fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]
        request = Request(method, target, fields, reader, writer)
        size = int(request.field("content-length") or 0)
        request.body = await reader.readexactly(size)
        return request

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                request = await self.read_request(reader, writer)
                self.log.append((request.method, request.target))
                self.requests.append(request)
                function = self.paths.get(request.target.split("?")[0])
                answer = response(b"nothing here", 404) if function is None else function(request)
                if asyncio.iscoroutine(answer):
                    answer = await answer
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            writer.close()

    def close(self):
        async def end():
            self.server.close()
            tasks = asyncio.all_tasks(self.loop) - {asyncio.current_task(self.loop)}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.call(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Authority:
    """An authority for certificates and what it signed; files in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.key, self.certificate = self.path("ca.key"), self.path("ca.pem")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", self.key, "-out", self.certificate, "-days", "30",
                     "-subj", "/CN=Test authority")

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *argv):
        subprocess.run(["openssl"] + list(argv), check=True, capture_output=True, cwd=self.folder)

    def context(self, names="IP:127.0.0.1,DNS:localhost", start=None, end=None):
        """The context of a server with a certificate for the names; `start` and `end` as in
        20200101000000Z."""
        name = "server-%d" % len(os.listdir(self.folder))
        key, request, certificate = (self.path(name + end_) for end_ in (".key", ".csr", ".pem"))
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                     key, "-out", request, "-subj", "/CN=Test server")
        with open(self.path("index.txt"), "w", encoding="utf-8"), \
                open(self.path("ca.cnf"), "w", encoding="utf-8") as config:
            config.write("[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nnew_certs_dir = .\n"
                         "rand_serial = yes\ndefault_md = sha256\npolicy = p\nunique_subject = no\n"
                         "[p]\ncommonName = supplied\n[e]\nsubjectAltName = %s\n" % names)
        dates = ["-startdate", start or "20240101000000Z", "-enddate", end or "20990101000000Z"]
        self.openssl("ca", "-batch", "-config", "ca.cnf", "-extensions", "e", "-notext", "-cert",
                     self.certificate, "-keyfile", self.key, "-in", request, "-out", certificate, *dates)
        return context_of(certificate, key)

    def self_signed(self):
        key, certificate = self.path("self.key"), self.path("self.pem")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                     "-keyout", key, "-out", certificate, "-days", "30", "-subj", "/CN=Self",
                     "-addext", "subjectAltName=IP:127.0.0.1")
        return context_of(certificate, key)


def context_of(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
