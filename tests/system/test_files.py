# SPDX-License-Identifier: Apache-2.0
"""theater:simple/filesystem and environment, with the guest tests/guests/files: what they do, what
they refuse, and that nothing outside of the folder can be reached, whoever tries how hard."""
import contextlib
import ctypes
import os
import shutil
import stat
import subprocess
import threading

import harness
from harness import OK, REQUEST_FAILED, Skip, check

ENVIRONMENT = '[[handler]]\ntype = "environment"\n'


def files(t, block="", more="", root="root", environment='allowed_prefixes = ["FILES_"]\n',
          file="files.toml"):
    """A manifest for the guest; its folder is made."""
    if not os.path.exists(os.path.join(t.folder, "files.wasm")):
        shutil.copy(harness.guest("files/files.wasm"), os.path.join(t.folder, "files.wasm"))
    os.makedirs(os.path.join(t.folder, "root"), exist_ok=True)
    where = 'path = "%s"\n' % root if root else "new_dir = true\n"
    text = more + ENVIRONMENT + environment
    text += '[[handler]]\ntype = "filesystem"\nexecute = false\n' + where + block
    return t.manifest("files.wasm", text, name="files", file=file)


def at(t, *names):
    return os.path.join(t.folder, "root", *names)


def errors(run):
    """The errors of the requests, in order."""
    return [line.split("request failed: ", 1)[1] for line in run.err.splitlines()
            if "request failed: " in line]


def denials(t, actor="a"):
    return [event["data"]["3"] for event in t.events(actor) if event["type"] == "permission-denied"]


# ---- what the functions do -------------------------------------------------------------------------

def test_files_are_written_read_listed_and_deleted(t):
    t.requests(files(t), "write a.txt hello world", "read a.txt", "mkdir sub", "write sub/b x",
               "list .", "list sub", "list", "exists a.txt", "exists sub/c", "exists sub/b/c",
               "delete a.txt", "exists a.txt", "rmdir sub", "list .").expect(OK, out=[
                   "ok", "hello world", "ok", "ok", "a.txt sub", "b", "a.txt sub", "yes", "no", "no",
                   "ok", "no", "ok", ""])


def test_paths_are_taken_by_their_words(t):
    t.requests(files(t), "mkdir sub", "write ./sub/../sub//a x", "read sub/./a",
               "list sub/..").expect(OK, out=["ok", "ok", "x", "sub"])


def test_errors_are_specific(t):
    manifest = files(t)
    os.makedirs(at(t, "full", "inner"))
    os.mkfifo(at(t, "pipe"))
    os.symlink("loop", at(t, "loop"))
    with open(at(t, "file"), "w") as file:
        file.write("x")
    for command, text in (
            ("read missing", "not found: missing"), ("read full", "is a directory: full"),
            ("read file/x", "not a directory: file/x"), ("list file", "not a directory: file"),
            ("list missing", "not found: missing"), ("read pipe", "not a regular file: pipe"),
            ("read loop", "too many symbolic links: loop"), ("read .", "is a directory: ."),
            ("write full text", "is a directory: full"), ("write new/a x", "not found: new/a"),
            ("delete full", "is a directory: full"), ("delete missing", "not found: missing"),
            ("delete file/", "is a directory: file/"), ("mkdir full", "already exists: full"),
            ("mkdir new/sub", "not found: new/sub"), ("rmdir missing", "not found: missing"),
            ("rmdir file", "not a directory: file"), ("rmdir .", "busy: ."),
            ("mkdir .", "already exists: ."), ("list pipe", "not a directory: pipe"),
            ("write %s x" % ("n" * 300), "name too long: " + "n" * 200)):
        run = t.requests(manifest, command).expect(REQUEST_FAILED)
        check(errors(run) == [text], "%s: %s" % (command, text), run)
        check(t.folder not in run.err.replace(manifest, ""), "no path of the host", run)


def test_paths_that_are_none_are_refused_by_every_function(t):
    run = t.requests(files(t), "nul", "long 5000", "long 300").expect(OK)
    lines = run.out.splitlines()
    check(lines[:7] == ["invalid path: it holds a zero byte"] * 7, "zero bytes", run)
    check(lines[7:14] == ["name too long: " + "x" * 200] * 7, "paths", run)
    check(lines[14:] == ["name too long: " + "x" * 200] * 7, "names", run)


def test_what_is_read_is_bounded(t):
    manifest = files(t, more="[limits]\nmessage_bytes = 1000\n")
    run = t.requests(manifest, "fill a 1000", "read a").expect(OK)
    check(len(run.out.splitlines()[1]) == 1000, "as much as a message may have", run)
    with open(at(t, "a"), "a") as file:
        file.write("x")
    run = t.requests(manifest, "read a").expect(REQUEST_FAILED)
    check(errors(run) == ["too large: a has more than 1000 bytes (limits.message_bytes)"], "", run)


def test_a_written_file_replaces_the_whole_and_keeps_its_mode(t):
    manifest = files(t)
    with open(at(t, "a"), "w") as file:
        file.write("a long old content")
    os.chmod(at(t, "a"), 0o640)
    held = open(at(t, "a"))
    t.requests(manifest, "write a new").expect(OK)
    check(held.read() == "a long old content", "who has it open reads on")
    check(open(at(t, "a")).read() == "new", "the new content")
    check(stat.S_IMODE(os.stat(at(t, "a")).st_mode) == 0o640, "the mode")
    check(os.listdir(at(t)) == ["a"], "nothing is left over", os.listdir(at(t)))


def test_a_reader_sees_the_old_content_or_the_new(t):
    manifest = files(t)
    with open(at(t, "a"), "w") as file:
        file.write("x" * 100000)
    live = t.start("run", manifest, "--id", "a", *["--request", "fill a 100000"] * 200,
                   "--until-idle")
    sizes = set()
    while live.process.poll() is None:
        sizes.add(len(open(at(t, "a")).read()))
    live.wait().expect(OK)
    check(sizes == {100000}, "never a part", sizes)


def test_a_fresh_folder_is_gone_with_the_actor(t):
    place = os.path.join(t.folder, "tmp")
    os.mkdir(place)
    run = t.requests(files(t, root=None), "write a x", "mkdir s", "write s/b y", "list .",
                     env=t.env(TMPDIR=place))
    run.expect(OK, out=["ok", "ok", "ok", "a s"])
    check(os.listdir(place) == [], "removed", os.listdir(place))


def test_intent_is_recorded_before_and_result_after(t):
    t.requests(files(t), "write a secret-free").expect(OK)
    legs = [event["data"].get("5") for event in t.events("a") if event["type"] == "handle-request"]
    # The first wait opens the folder, so the call is known before anything is touched.
    check(legs[0] == [["filesystem.write-file", ["a", "secret-free"]]], "the intent", legs)
    check(legs[1] is None and legs[2] == [[[0]]], "the result", legs)


# ---- permissions -----------------------------------------------------------------------------------

def test_reading_and_writing_can_be_forbidden(t):
    read_only = files(t, "write = false\n")
    run = t.requests(read_only, "exists a", "write a x", "delete a", "mkdir a", "rmdir a")
    run.expect(REQUEST_FAILED, out=["no"])
    check(errors(run) == ["permission denied: writing is not permitted (write)"] * 4, "", run)
    check(denials(t) == ["writing is not permitted (write)"] * 4, "recorded", denials(t))
    run = t.requests(files(t, "read = false\n"), "write a x", "read a", "list .", "exists a")
    run.expect(REQUEST_FAILED, out=["ok"])
    check(errors(run) == ["permission denied: reading is not permitted (read)"] * 3, "", run)


def test_a_policy_narrows_the_folder(t):
    os.makedirs(at(t, "open", "deep"))
    policy = ('[permission_policy.file_system]\ntype = "restrict"\n'
              'config = { read = true, write = true, execute = false, '
              'allowed_paths = ["root/open", "elsewhere"] }\n')
    run = t.requests(files(t, more=policy), "write open/a x", "read open/deep/../a", "list open",
                     "write a x", "list .", "read open/../closed")
    run.expect(REQUEST_FAILED, out=["ok", "x", "a deep"])
    check(errors(run) == ["permission denied: %s is not permitted (allowed_paths)" % path
                          for path in ("a", ".", "open/../closed")], "", run)


def test_a_link_does_not_lead_from_a_narrowed_folder_into_the_rest(t):
    os.makedirs(at(t, "open"))
    with open(at(t, "closed"), "w") as file:
        file.write("outside")
    os.symlink("../closed", at(t, "open", "link"))
    policy = ('[permission_policy.file_system]\ntype = "restrict"\n'
              'config = { read = true, write = true, execute = false, '
              'allowed_paths = ["root/open"] }\n')
    run = t.requests(files(t, more=policy), "read open/link").expect(REQUEST_FAILED)
    check(errors(run) == ["permission denied: open/link is out of the actor's reach"], "", run)


# ---- the jail --------------------------------------------------------------------------------------

def outside(t):
    """A tree that must never be seen or changed; gives a check that it was not."""
    place = os.path.join(t.folder, "outside")
    os.makedirs(os.path.join(place, "inner"))
    for name in ("secret", "inner/secret"):
        with open(os.path.join(place, name), "w") as file:
            file.write("outside")

    def unchanged():
        found = sorted(os.path.relpath(os.path.join(folder, name), place)
                       for folder, folders, names in os.walk(place) for name in folders + names)
        check(found == ["inner", "inner/secret", "secret"], "the outside is as it was", found)
        for name in ("secret", "inner/secret"):
            check(open(os.path.join(place, name)).read() == "outside", "its files too")
    return unchanged


ALL = ("read %s", "write %s x", "list %s", "delete %s", "mkdir %s", "rmdir %s", "exists %s")


def test_nothing_outside_is_reached_by_a_name(t):
    unchanged = outside(t)
    manifest = files(t)
    place = os.path.join(t.folder, "outside")
    os.symlink("../outside", at(t, "relative"))
    os.symlink(place, at(t, "absolute"))
    os.symlink("relative", at(t, "chain1"))
    os.symlink("chain1", at(t, "chain2"))
    os.symlink("/proc/self/root" + place, at(t, "magic"))
    os.symlink("/proc/self/cwd", at(t, "cwd"))
    os.symlink("/proc/self/fd", at(t, "handles"))
    os.symlink("..", at(t, "up"))
    bad = ["../outside", "../outside/secret", "a/../../outside/secret", place, place + "/secret",
           "/etc/passwd", "/proc/self/fd/0", "/", "..", "../", "../../../../../../etc/passwd"]
    for command in ALL:
        run = t.requests(manifest, *[command % path for path in bad]).expect(REQUEST_FAILED, out=[])
        said = errors(run)
        check(len(said) == len(bad) and all(one.startswith("permission denied: ") for one in said),
              command, run)
        unchanged()
    links = [name + "/secret" for name in ("relative", "absolute", "chain1", "chain2", "magic")]
    links += ["up/outside/secret", "handles/0", "cwd/secret", "relative/inner/secret"]
    for command in ALL:
        run = t.requests(manifest, *[command % path for path in links])
        run.expect(REQUEST_FAILED, out=[])
        said = errors(run)
        check(len(said) == len(links) and
              all(one.startswith("permission denied: ") for one in said), command, run)
        unchanged()
    check(len(denials(t)) == len(ALL) * (len(links) + len(bad)), "each is recorded", denials(t))


def test_the_links_themselves_are_the_actors(t):
    unchanged = outside(t)
    manifest = files(t)
    os.symlink("../outside/secret", at(t, "a"))
    os.symlink("../outside", at(t, "b"))
    os.symlink("../outside/secret", at(t, "c"))
    run = t.requests(manifest, "write a mine", "read a", "rmdir b", "delete b", "delete c", "list .")
    run.expect(REQUEST_FAILED, out=["ok", "mine", "ok", "ok", "a"])
    check(errors(run) == ["not a directory: b"], "a link is no folder", run)
    unchanged()


def test_a_tree_is_removed_without_what_its_links_name(t):
    unchanged = outside(t)
    manifest = files(t)
    os.makedirs(at(t, "tree", "deep"))
    os.symlink("../../../outside", at(t, "tree", "deep", "link"))
    os.symlink("../../outside", at(t, "tree", "link"))
    t.requests(manifest, "rmdir tree", "exists tree").expect(OK, out=["ok", "no"])
    unchanged()


def test_a_tree_of_ten_thousand_folders_is_removed(t):
    manifest = files(t)
    folder = os.open(at(t), os.O_RDONLY)
    for _ in range(10000):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    run = t.requests(manifest, "exists d/d/d", "read " + "d/" * 2047 + "d",
                     "rmdir d", "list .").expect(REQUEST_FAILED, out=["yes", "ok", ""])
    check(errors(run)[0].startswith("is a directory: d/d/"), "even so deep", run)


def swap(path, folder, target, ended):
    """Makes `path` a folder and a link to the outside in turns, until told to end."""
    other = path + ".other"
    while not ended.is_set():
        for make in (lambda: os.symlink(target, other), lambda: os.mkdir(other)):
            try:
                make()
                exchange(other, path)
                if os.path.islink(other):
                    os.unlink(other)
                else:
                    shutil.rmtree(other)
            except OSError:
                # The guest came between: begin again, with a folder.
                for name in (other, path, os.path.join(path, "inner")):
                    with contextlib.suppress(OSError):
                        os.unlink(name)  # a link or a file; a folder stays
                shutil.rmtree(other, ignore_errors=True)
                with contextlib.suppress(OSError):  # a file may stand there by now
                    os.makedirs(os.path.join(path, "inner"), exist_ok=True)


def exchange(one, two):
    """renameat2 with RENAME_EXCHANGE."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, one.encode(), -100, two.encode(), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def test_links_swapped_during_calls_lead_nowhere(t):
    unchanged = outside(t)
    manifest = files(t, more="[limits]\nturn_cpu_ms = 60000\n")
    os.makedirs(at(t, "race", "inner"))
    ended = threading.Event()
    swapper = threading.Thread(target=swap, args=(
        at(t, "race"), t.folder, os.path.join("..", "outside"), ended))
    swapper.start()
    try:
        run = t.requests(manifest, *["storm 50 race"] * 6).expect(OK)
    finally:
        ended.set()
        swapper.join()
    check(sum(map(int, run.out.split())) > 0, "some of 6300 calls were good", run)
    check(denials(t) != [], "some were denied", run)
    unchanged()


def test_a_mount_within_is_the_actors_and_survives_a_removal(t):
    unchanged = outside(t)
    manifest = files(t)
    os.makedirs(at(t, "tree", "mount"))
    place = os.path.join(t.folder, "outside")
    if os.geteuid() != 0 or subprocess.run(["mount", "--bind", place, at(t, "tree", "mount")],
                                           check=False, stderr=subprocess.DEVNULL).returncode:
        raise Skip("needs to mount")
    t.mounts.append(at(t, "tree", "mount"))
    # The operator mounted it there: it is readable, but removing a tree stops at it.
    run = t.requests(manifest, "read tree/mount/secret", "read tree/mount/../../outside/secret",
                     "read tree/mount/../../../outside/secret", "rmdir tree", "rmdir tree/mount")
    run.expect(REQUEST_FAILED, out=["outside"])
    said = errors(run)
    check(said[0] == "not found: tree/mount/../../outside/secret", "", run)
    check(said[1].startswith("permission denied: "), "", run)
    check(said[3] == "busy: tree/mount" and not said[2].startswith("permission"), "", run)
    unchanged()


def test_pipes_and_devices_hold_nobody_up(t):
    manifest = files(t)
    os.mkfifo(at(t, "pipe"))
    os.symlink("pipe", at(t, "link"))
    run = t.requests(manifest, "read pipe", "read link", "list pipe", "exists pipe", "write pipe x",
                     "read pipe", limit=60)
    run.expect(REQUEST_FAILED, out=["yes", "ok", "x"])
    check(errors(run) == ["not a regular file: pipe", "not a regular file: link",
                          "not a directory: pipe"], "", run)


def test_a_folder_that_is_not_there_is_an_error_without_its_path(t):
    run = t.requests(files(t, root="absent"), "read a").expect(REQUEST_FAILED)
    check(errors(run) == ["not found: the folder of the filesystem handler"], "", run)
    os.mkdir(os.path.join(t.folder, "absent"))
    t.requests(files(t, root="absent"), "write a x").expect(OK)


# ---- environment -----------------------------------------------------------------------------------

def with_vars(t):
    return t.env(FILES_A="one", FILES_B="two", FILES_SECRET="hidden-value", OTHER="other",
                 FILES_NOT_TEXT=b"\xff\xfe".decode(errors="surrogateescape"))


def test_variables_are_read_when_they_are_allowed(t):
    block = 'allowed_prefixes = ["FILES_"]\ndenied_vars = ["FILES_SECRET"]\nallow_list_all = true\n'
    run = t.requests(files(t, environment=block), "var FILES_A", "has FILES_A", "var FILES_SECRET",
                     "has FILES_SECRET", "var OTHER", "var FILES_MISSING", "var FILES_NOT_TEXT",
                     "vars", env=with_vars(t)).expect(OK)
    check(run.out.splitlines()[:7] == ["one", "yes", "(not set)", "no", "(not set)", "(not set)",
                                       "(not set)"], "one by one", run)
    check(sorted(run.out.splitlines()[7].split()) == ["FILES_A=one", "FILES_B=two"], "the list", run)
    check(denials(t) == ["the variable FILES_SECRET may not be read"] * 2 +
          ["the variable OTHER may not be read"], "denials", denials(t))


def test_variables_are_listed_only_with_allow_list_all(t):
    t.requests(files(t), "vars", env=with_vars(t)).expect(OK, out=[""])
    check(denials(t) == ["variables may not be listed (allow_list_all)"], "denied", denials(t))


def test_absent_lists_allow_no_variable(t):
    t.requests(files(t, environment="allow_list_all = true\n"), "vars", "var FILES_A",
               env=with_vars(t)).expect(OK, out=["", "(not set)"])


def test_secret_variables_are_not_in_the_chain(t):
    block = ('allowed_prefixes = ["FILES_"]\nallow_list_all = true\n'
             'secret_vars = ["FILES_SECRET"]\n')
    manifest = files(t, environment=block)
    # The answer to the request holds the value, so it is only asked for whether it is there.
    run = t.requests(manifest, "has FILES_SECRET", "var FILES_A", env=with_vars(t)).expect(OK)
    check(not os.listdir(os.path.join(t.data, "secrets")), "no secret was read", run)
    t.requests(manifest, "vars", env=with_vars(t)).expect(OK)
    calls = [call for event in t.events("a") for call in event["data"].get("5", [])
             if call[0] == "environment.list-vars"]
    pairs = {pair[0] if isinstance(pair[0], str) else pair[0]["text"]: pair[1]
             for pair in calls[0][2]}
    check(pairs["FILES_SECRET"]["tag"] == 29541, "a commitment", pairs)
    check("one" in str(pairs["FILES_A"]), "the others are plain", pairs)
    folder = os.path.join(t.data, "secrets")
    names = os.listdir(folder)
    check(len(names) == 1 and names[0].startswith("a@"), "one file", names)
    path = os.path.join(folder, names[0])
    check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "for its owner only")
    check(b"hidden-value" in open(path, "rb").read(), "with the plain value")
    commitment = bytes.fromhex(pairs["FILES_SECRET"]["value"]["hex"])
    check(commitment in open(path, "rb").read(), "under its commitment")
    # Without it the chain verifies as before.
    shutil.rmtree(folder)
    t.run("chain", "verify").expect(OK)


harness.main(globals())
