# SPDX-License-Identifier: Apache-2.0
"""The harness of the system tests: they drive the `theater` program as a user would.

Each tests/system/test_<area>.py defines functions `test_<what>(t)` and ends in
`harness.main(globals())`, which runs them in the order of the file and prints TAP. `t` gives a
test a folder of its own (t.folder), an empty data folder (t.data) and ways to run the program; what
it started and did not end is killed, by process id, when the test returns.

  THEATER_BIN=…  the program (default build/dev/bin/theater)
  THEATER_TEST=…  only tests whose name contains this text
  THEATER_KEEP=…  a folder: the data folders that tests leave are moved there (script/replay-all)

Compiled guests are shared between tests and runs: build/system-cache. No test sleeps to wait: it
waits for a line, an exit or a file, within a limit.
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.environ.get("THEATER_BIN") or os.path.join(ROOT, "build", "dev", "bin", "theater")
CACHE = os.path.join(ROOT, "build", "system-cache")
KEEP = os.environ.get("THEATER_KEEP")
LIMIT_S = 120  # a first compilation in a sanitizer build on a busy machine fits in this

PROBE_HANDLERS = ("runtime", "message-server", "supervisor", "timing", "random")

OK, ERROR, USAGE, REQUEST_FAILED, TIMEOUT, BAD_CHAIN = 0, 1, 2, 3, 4, 5
SIGINT_EXIT, SIGTERM_EXIT = 130, 143


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def check(condition, text, *details):
    if not condition:
        raise Failure("\n".join([text] + [str(detail) for detail in details]))


class Result:
    """What a finished run gave: code, out, err."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def __str__(self):
        return "$ theater %s\nexit code %s\nstdout:\n%s\nstderr:\n%s" % (
            " ".join(self.argv), self.code, clip(self.out), clip(self.err))

    def expect(self, code=OK, out=None, err=()):
        """Checks the exit code, stdout exactly (a list of lines), and texts found in stderr. A
        report of a sanitizer or an assert is never right."""
        check(self.code == code, "expected exit code %d" % code, self)
        if out is not None:
            check(self.out.splitlines() == out, "expected stdout %r" % (out,), self)
        for text in [err] if isinstance(err, str) else err:
            check(text.lower() in self.err.lower(), "expected %r on stderr" % text, self)
        return self.sane()

    def sane(self):
        for text in ("AddressSanitizer", "runtime error:", "LeakSanitizer", "ThreadSanitizer",
                     "Assertion `", "Assertion '"):
            check(text not in self.err, "stderr holds " + text, self)
        return self


def clip(text, most=4000):
    return text if len(text) <= most else text[:most // 2] + "\n[…]\n" + text[-most // 2:]


class Live:
    """A running theater whose output is read as it comes."""

    def __init__(self, argv, env, cwd, through=()):
        self.argv = argv
        self.lines = {"out": [], "err": []}
        self.changed = threading.Condition()
        self.process = subprocess.Popen([*through, BINARY] + argv, env=env, cwd=cwd,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, errors="replace",
                                        start_new_session=True)
        self.readers = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in (("out", self.process.stdout), ("err", self.process.stderr))]
        for reader in self.readers:
            reader.start()

    @property
    def pid(self):
        return self.process.pid

    def read(self, name, stream):
        for line in stream:
            with self.changed:
                self.lines[name].append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def text(self, name):
        return "\n".join(self.lines[name])

    def wait_line(self, text, stream="err", limit=LIMIT_S, count=1):
        """Waits until `count` lines of the stream contain `text`. Gives the last of them."""
        end = time.monotonic() + limit
        with self.changed:
            while True:
                found = [line for line in self.lines[stream] if text in line]
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                over = self.process.poll() is not None and not any(
                    reader.is_alive() for reader in self.readers)
                check(left > 0 and not over, "%r did not appear on std%s" % (text, stream),
                      self.result())
                self.changed.wait(min(left, 0.2))

    def signal(self, number):
        os.kill(self.pid, number)

    def result(self):
        return Result(self.argv, self.process.poll(), self.text("out"), self.text("err"))

    def wait(self, limit=LIMIT_S):
        try:
            self.process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Failure("still running after %d s\n%s" % (limit, self.result())) from None
        for reader in self.readers:
            reader.join(10)
        return self.result()

    def kill(self):
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait()


class Test:
    """What a test function gets."""

    def __init__(self, name):
        self.name = name
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="theater-system-"))
        self.data = os.path.join(self.folder, "data")
        self.started = []
        self.mounts = []

    def env(self, **more):
        env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "ASAN_OPTIONS",
               "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS") if name in os.environ}
        os.makedirs(CACHE, exist_ok=True)
        env.update(THEATER_HOME=self.data, XDG_CACHE_HOME=CACHE, LC_ALL="C.UTF-8")
        env.update(more)
        return env

    def run(self, *argv, limit=LIMIT_S, env=None, cwd=None, stdin=None):
        """Runs to the end. Past the limit it is killed and the test fails."""
        argv = [str(argument) for argument in argv]
        process = subprocess.Popen([BINARY] + argv, env=env or self.env(), cwd=cwd or self.folder,
                                   stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
        try:
            out, err = process.communicate(stdin, timeout=limit)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise Failure("still running after %d s\n%s" % (
                limit, Result(argv, "killed", text_of(out), text_of(err)))) from None
        return Result(argv, process.returncode, text_of(out), text_of(err)).sane()

    def start(self, *argv, env=None, cwd=None, through=()):
        """`through`: a command that runs the program, such as prlimit."""
        live = Live([str(argument) for argument in argv], env or self.env(), cwd or self.folder,
                    through)
        self.started.append(live)
        return live

    def write(self, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    def manifest(self, component, text="", name="actor", file="actor.toml"):
        """Writes a manifest for a component (a path); `text` goes behind the required keys."""
        return self.write(file, 'name = "%s"\nversion = "1.0.0"\ncomponent = "%s"\n%s\n' % (
            name, component, text))

    def probe(self, text="", file="probe.toml", handlers=PROBE_HANDLERS):
        """A manifest for the probe (tests/guests/probe), which does what a message tells it to;
        its component lies beside it in the test's folder."""
        if not os.path.exists(os.path.join(self.folder, "probe.wasm")):
            shutil.copy(guest("probe/probe.wasm"), os.path.join(self.folder, "probe.wasm"))
        blocks = "".join('\n[[handler]]\ntype = "%s"\n' % name for name in handlers)
        return self.manifest("probe.wasm", text + blocks, name="probe", file=file)

    def requests(self, manifest, *messages, workers=None, **options):
        """Runs the manifest's actor as "a" and sends it the messages as requests, in order."""
        argv = ["run", manifest, "--id", "a"]
        if workers is not None:
            argv += ["--workers", str(workers)]
        for message in messages:
            argv += ["--request", message]
        return self.run(*argv, "--until-idle", **options)

    def events(self, actor, **options):
        """The chain of an actor, as `theater chain export` gives it."""
        result = self.run("chain", "export", actor, **options).expect(OK)
        return [json.loads(line) for line in result.out.splitlines()]

    def copy_data(self):
        """A copy of the data folder, to damage."""
        copy = os.path.join(self.folder, "copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.data, copy)
        return copy

    def close(self):
        for live in self.started:
            live.kill()
        for mount in self.mounts:
            subprocess.run(["umount", mount], check=False)
        if KEEP:
            self.keep()
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self):
        for path in glob.glob(os.path.join(self.folder, "**", "VERSION"), recursive=True):
            data = os.path.dirname(path)
            if os.path.isdir(os.path.join(data, "log")):
                area = os.path.splitext(os.path.basename(sys.argv[0]))[0]
                kept = tempfile.mkdtemp(prefix="%s-%s-" % (area, self.name), dir=KEEP)
                os.rename(data, os.path.join(kept, "data"))


def text_of(output):
    return output.decode("utf-8", "replace")


def example(name, file="manifest.toml"):
    """The manifest of an example."""
    return find(os.path.join("examples", name), file)


def guest(name):
    """The component or manifest of a guest made for tests."""
    return find(os.path.join("tests", "guests"), name)


def find(folder, pattern):
    found = sorted(glob.glob(os.path.join(ROOT, folder, pattern)))
    if not found:
        raise Skip("%s is not there" % os.path.join(folder, pattern))
    return found[0]


def log_segments(data):
    """The files that hold events, oldest first."""
    found = sorted(path for path in glob.glob(os.path.join(data, "log", "*")) if os.path.isfile(path))
    check(found, "no segments in %s" % os.path.join(data, "log"))
    return found


def flip_byte(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x01]))


def wait_until(condition, limit=LIMIT_S, what="the condition"):
    """Polls something outside our processes (a file, a lock) until it holds."""
    end = time.monotonic() + limit
    while not condition():
        check(time.monotonic() < end, "%s did not come true within %d s" % (what, limit))
        time.sleep(0.02)


def run_one(function):
    """Gives (failed, skip reason, details)."""
    t = Test(function.__name__)
    try:
        function(t)
        return False, None, ""
    except Skip as skip:
        return False, str(skip), ""
    except Failure as failure:
        return True, None, str(failure)
    except Exception:  # a broken test is a failed test
        return True, None, traceback.format_exc()
    finally:
        t.close()


def main(names):
    tests = [(name[5:], value) for name, value in names.items()
             if name.startswith("test_") and callable(value)]
    chosen = os.environ.get("THEATER_TEST", "")
    tests = [(name, value) for name, value in tests if chosen in name]
    if not os.access(BINARY, os.X_OK):
        print("# %s is not there\nnot ok 1 - theater is built\n1..1" % BINARY)
        sys.exit(1)
    failures = 0
    for number, (name, function) in enumerate(tests, 1):
        failed, skip, details = run_one(function)
        failures += failed
        for line in details.rstrip().split("\n") if details else []:
            print("# " + line)
        print("%sok %d - %s%s" % ("not " if failed else "", number, name.replace("_", " "),
                                  " # SKIP " + skip if skip else ""), flush=True)
    print("1..%d" % len(tests))
    sys.exit(1 if failures else 0)
