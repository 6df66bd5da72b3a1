# SPDX-License-Identifier: Apache-2.0
"""Rust's standard library on WASI: files, environment, clocks, random numbers and output, used as any
Rust program uses them. The guest (tests/guests/rust_std) does what a request says."""
import os
import time

import harness
from harness import OK, REQUEST_FAILED, check

GUEST = harness.guest("rust_std/guest.wasm")
FILES = '[[handler]]\ntype = "filesystem"\npath = "box"\nallowed_commands = []\n'
CLOCKS = '[[handler]]\ntype = "timing"\n'
RANDOM = '[[handler]]\ntype = "random"\n'


def asked(t, text, *messages, **options):
    os.makedirs(os.path.join(t.folder, "box"), exist_ok=True)
    run = t.requests(t.manifest(GUEST, '[[handler]]\ntype = "runtime"\n' + text), *messages, **options)
    t.run("chain", "verify").expect(OK)
    return run


def path(t, *names):
    return os.path.join(t.folder, "box", *names)


def content(t, *names):
    with open(path(t, *names), encoding="utf-8") as file:
        return file.read()


def test_files(t):
    t.write("box/in.txt", "aus der Ferne\n☃ schneit\n")
    asked(t, FILES, "read in.txt", "lines in.txt", "at in.txt 14", "write out.txt eins", "append out.txt  zwei",
          "read /out.txt", "about out.txt", "copy out.txt again.txt", "cut again.txt 4", "read again.txt",
          "write again.txt x").expect(
        OK, out=["aus der Ferne", "☃ schneit", "", "2 lines, 13 characters at most", "☃ schn", "4 bytes",
                 "9 bytes", "eins zwei", "file of 9", "9 bytes", "done", "eins", "1 bytes"])
    check(content(t, "out.txt") == "eins zwei" and content(t, "again.txt") == "x", "on the disk")


def test_folders(t):
    asked(t, FILES, "folders a/b/c", "write a/b/f.txt 1", "list a/b", "about a", "rename a/b/f.txt g.txt",
          "list .", "rename a z", "list /", "remove-all z", "list /", "remove g.txt", "list /").expect(
        OK, out=["done", "1 bytes", "c/ f.txt", "folder of 0", "done", "a/ g.txt", "done", "g.txt z/", "done",
                 "g.txt", "done", ""])
    check(os.listdir(path(t)) == [], "on the disk")


def test_errors_have_the_kinds_of_the_standard_library(t):
    t.write("box/f", "f")
    os.mkdir(path(t, "full"))
    t.write("box/full/x", "x")
    os.symlink("/etc/passwd", path(t, "out"))
    asked(t, FILES, "read missing", "fresh f 1", "folder f", "read ../f", "read out", "list missing").expect(
        OK, out=["error NotFound", "error AlreadyExists", "error AlreadyExists", "error PermissionDenied",
                 "error PermissionDenied", "error NotFound"])


def test_reading_or_writing_may_be_forbidden(t):
    t.write("box/f", "f")
    # The adapter's error for what is read-only has no kind.
    for read, write, out in (("true", "false", ["f", "error Uncategorized"]),
                             ("false", "true", ["error PermissionDenied", "1 bytes"])):
        policy = '[permission_policy.file_system]\ntype = "restrict"\n' \
                 'config = { read = %s, write = %s, execute = false }\n' % (read, write)
        asked(t, FILES + policy, "read f", "write g 1").expect(OK, out=out)


def test_without_the_handler_there_are_no_files(t):
    run = asked(t, "", "read f", "list /").expect(OK)
    check(all(line.startswith("error ") for line in run.out.splitlines()), "errors", run)


def test_a_stream_on_which_a_write_failed_is_closed(t):
    """The second write does not reach the disk: the adapter makes EIO of a closed stream."""
    run = asked(t, FILES, "far f").expect(OK)
    first, second = run.out.strip().rsplit(" ", 1)
    check(first.startswith("Err(") and first != second == "Err(Some(29))", "an error, then EIO", run)


def test_time_of_a_file(t):
    asked(t, FILES + CLOCKS, "write f 1", "age f").expect(OK, out=["1 bytes", "true"])
    os.utime(path(t, "f"), (1, 1))
    asked(t, FILES + CLOCKS, "age f").expect(OK, out=["false"])


def test_clocks(t):
    run = asked(t, CLOCKS, "nap 30", "nap 0", "clock").expect(OK)
    lines = run.out.splitlines()
    check(lines[:2] == ["true", "true"] and abs(int(lines[2]) - time.time()) < 100, "the time", run)


def test_clocks_and_hash_maps_need_their_handlers(t):
    asked(t, "", "clock").expect(REQUEST_FAILED, err='add [[handler]] type = "timing"')
    asked(t, "", "count a").expect(REQUEST_FAILED, err='add [[handler]] type = "random"')


def test_a_hash_map_works_for_any_hash(t):
    for seed in (1, 2):
        asked(t, RANDOM + "seed = %d\n" % seed, "count b a b ä b ä").expect(OK, out=["a=1 b=3 ä=2"])


def test_output_is_logged(t):
    asked(t, "", "print hello ☃", "complain of pain").expect(OK, err=["hello ☃", "stderr: of pain"])


def test_environment_arguments_input(t):
    block = '[[handler]]\ntype = "environment"\nallowed_vars = ["SEEN"]\n'
    asked(t, block, "env SEEN", "env UNSEEN", "vars", "args", "stdin",
          env=t.env(SEEN="ja", UNSEEN="nein")).expect(
        OK, out=["ja", "error NotFound", "SEEN=ja", "0", "0"])


def test_what_there_is_not(t):
    asked(t, "", "thread", "connect 127.0.0.1:80").expect(OK, out=["error Unsupported", "error Unsupported"])


def test_panic_and_exit_are_crashes(t):
    asked(t, "", "panic über die Grenze").expect(REQUEST_FAILED, err=["über die Grenze", "panicked at"])
    asked(t, "", "exit 3").expect(REQUEST_FAILED, err="exit")


if __name__ == "__main__":
    harness.main(globals())
