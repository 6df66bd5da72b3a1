# SPDX-License-Identifier: Apache-2.0
"""WASI 0.2: actors built on a C library. The guest (tests/guests/wasi) does what a request says."""
import asyncio
import os
import shutil
import threading
import time

import harness
import web
from harness import OK, REQUEST_FAILED, check

TIMING = '[[handler]]\ntype = "timing"\n'
RANDOM = '[[handler]]\ntype = "random"\n'


def wasi(t, text="", file="wasi.toml"):
    """A manifest for the guest, whose component lies beside it."""
    if not os.path.exists(os.path.join(t.folder, "wasi.wasm")):
        shutil.copy(harness.guest("wasi/wasi.wasm"), os.path.join(t.folder, "wasi.wasm"))
    return t.manifest("wasi.wasm", text, name="wasi", file=file)


def log_of(run):
    """What the actor "a" wrote to its log."""
    return [line.split("[a] ", 1)[1] for line in run.err.splitlines() if "[a] " in line]


def calls(t, name):
    """The recorded host calls of that name, from the actor's chain."""
    found = []
    for event in t.events("a"):
        for call in event["data"].get("5", []) if isinstance(event["data"], dict) else []:
            if call and call[0] == name:
                found.append(call)
    return found


# ---- stdout and stderr -----------------------------------------------------------------------------

def test_stdout_goes_to_the_log_by_lines(t):
    run = t.requests(wasi(t), "print hello world", "part un", "part fin", "print ished").expect(OK)
    check(log_of(run) == ["hello world", "unfinished"], "two lines", run)


def test_stderr_is_marked(t):
    run = t.requests(wasi(t), "complain it hurts").expect(OK)
    check(log_of(run) == ["stderr: it hurts"], "one marked line", run)


def test_an_unfinished_line_is_logged_at_the_end(t):
    run = t.requests(wasi(t), "part last words").expect(OK)
    check(log_of(run) == ["last words"], "the rest of the line", run)


def test_an_unfinished_line_is_logged_before_a_crash(t):
    run = t.requests(wasi(t), "part last words", "abort").expect(REQUEST_FAILED)
    check(log_of(run) == ["last words"], "the rest of the line", run)


def test_an_endless_line_is_cut(t):
    run = t.requests(wasi(t), "print " + "x" * 10000).expect(OK)
    check("".join(log_of(run)) == "x" * 10000, "nothing is lost", run)
    check(max(len(line) for line in log_of(run)) == 2048, "in pieces", run)


def test_control_characters_do_not_reach_the_terminal(t):
    run = t.requests(wasi(t), "print \x1b[2Jgone").expect(OK)
    check(log_of(run) == ["\\x1b[2Jgone"], "escaped", run)


def test_stdin_is_at_its_end(t):
    t.requests(wasi(t), "stdin").expect(OK, out=["-1"])


def test_what_is_written_is_in_the_chain(t):
    t.requests(wasi(t), "print recorded").expect(OK)
    run = t.run("chain", "export", "a").expect(OK)
    check("wasi:io/streams.[method]output-stream.blocking-write-and-flush" in run.out or
          "wasi:io/streams.[method]output-stream.write" in run.out, "the call", run)
    check("wasi:cli/stdout.get-stdout" in run.out, "the stream", run)


# ---- environment -----------------------------------------------------------------------------------

def environment(t, block, *messages):
    text = '[[handler]]\ntype = "environment"\n' + block
    env = t.env(WASI_ONE="1", WASI_TWO="2", WASI_SECRET="s", OTHER="o")
    return t.requests(wasi(t, text), *messages, env=env)


def test_without_the_handler_the_environment_is_empty(t):
    run = t.requests(wasi(t), "environment", "env HOME").expect(OK)
    check(run.out.splitlines() == ["", "(not set)"], "nothing", run)


def test_the_environment_is_what_the_handler_allows(t):
    block = 'allowed_vars = ["OTHER"]\nallowed_prefixes = ["WASI_"]\ndenied_vars = ["WASI_SECRET"]\n'
    run = environment(t, block, "environment", "env WASI_TWO", "env WASI_SECRET").expect(OK)
    lines = run.out.splitlines()
    check(sorted(lines[0].split()) == ["OTHER=o", "WASI_ONE=1", "WASI_TWO=2"], "only these", run)
    check(lines[1:] == ["2", "(not set)"], "one by one", run)


def test_an_empty_environment_list_allows_nothing(t):
    run = environment(t, "allowed_vars = []\n", "environment").expect(OK)
    check(run.out.strip() == "", "nothing", run)


def test_the_policy_may_forbid_the_environment(t):
    policy = ('allowed_vars = ["OTHER"]\n[permission_policy.environment]\ntype = "disallow"\n')
    run = environment(t, policy, "environment").expect(OK)
    check(run.out.strip() == "", "nothing", run)


# ---- clocks and random numbers -----------------------------------------------------------------------

def test_clocks_need_the_timing_handler(t):
    for message in ("time", "clock", "sleep 1", "poll 1"):
        run = t.requests(wasi(t), message).expect(REQUEST_FAILED, out=[])
        check('add [[handler]] type = "timing" to' in run.err, "the block to add", run)
        check("wasi:clocks/" in run.err, "the function", run)


def test_clocks(t):
    run = t.requests(wasi(t, TIMING), "time", "clock", "clock").expect(OK)
    seconds, first, second = run.out.splitlines()
    check(abs(int(seconds) - time.time()) < 100, "the time of day", run)
    check(float(first) <= float(second), "it does not go back", run)


def test_the_policy_may_forbid_timing(t):
    text = TIMING + '[permission_policy.timing]\ntype = "disallow"\n'
    t.requests(wasi(t, text), "time").expect(REQUEST_FAILED, err="permission denied")


def test_a_long_wait_is_over_the_limit(t):
    t.requests(wasi(t, TIMING + "max_sleep_duration = 50\n"), "sleep 20", "sleep 5000").expect(
        REQUEST_FAILED, out=["ok"], err="over the limit of 50 ms")


def test_random_numbers_need_the_handler(t):
    run = t.requests(wasi(t), "entropy 8").expect(REQUEST_FAILED, out=[])
    check('add [[handler]] type = "random" to' in run.err, "the block to add", run)


def test_random_numbers(t):
    run = t.requests(wasi(t, RANDOM), "entropy 16", "entropy 16").expect(OK)
    first, second = run.out.splitlines()
    check(len(first) == 32 and first != second, "two of 16 bytes", run)


def test_random_numbers_of_a_seed_are_the_same(t):
    runs = [t.run("run", wasi(t, RANDOM + "seed = 7\n"), "--request", "entropy 16", "--request",
                  "seed", "--until-idle").expect(OK).out for _ in range(2)]
    check(runs[0] == runs[1], "twice the same", runs)


def test_random_numbers_have_a_limit(t):
    t.requests(wasi(t, RANDOM + "max_bytes = 15\n"), "entropy 15", "entropy 16").expect(
        REQUEST_FAILED, err="over the limit of 15")


def test_a_seed_for_hash_tables_needs_no_handler(t):
    runs = [t.requests(wasi(t), "seed").expect(OK).out for _ in range(2)]
    check(runs[0] == runs[1], "it follows from the id", runs)


def test_drawn_numbers_are_in_the_chain(t):
    drawn = t.requests(wasi(t, RANDOM), "entropy 16").expect(OK).out.strip()
    run = t.run("chain", "export", "a").expect(OK)
    check(drawn in run.out.lower().replace(" ", ""), "the bytes", drawn, run)


# ---- files -------------------------------------------------------------------------------------------

def files(t, *messages, block="", policy="", **options):
    """Runs the guest with the folder "box" of the test as its root."""
    text = '[[handler]]\ntype = "filesystem"\npath = "box"\nallowed_commands = []\n' + block + policy
    os.makedirs(os.path.join(t.folder, "box"), exist_ok=True)
    return t.requests(wasi(t, text), *messages, **options)


def test_files_are_read_and_written(t):
    t.write("box/in.txt", "from outside")
    files(t, "read in.txt", "read /in.txt", "write out.txt one", "append out.txt  two", "read out.txt",
          "size out.txt", "cut out.txt 3", "read out.txt", "create out.txt").expect(
        OK, out=["from outside", "from outside", "ok", "ok", "one two", "7", "ok", "one",
                 "errno EEXIST"])
    with open(os.path.join(t.folder, "box", "out.txt"), encoding="utf-8") as file:
        check(file.read() == "one", "on the disk")


def test_large_files(t):
    files(t, "fill big 1000000", "size big", "copy big again", "size again").expect(
        OK, out=["ok", "1000000", "1000000", "1000000"])


def test_one_turn_may_read_more_than_its_limits(t):
    t.write("box/big", b"x" * 3000000)
    files(t, "copy big again", policy="[limits]\nmessage_bytes = 4096\nstate_bytes = 0\n").expect(
        OK, out=["3000000"])


def test_folders(t):
    files(t, "make-folder sub", "write sub/b x", "write sub/a x", "list sub", "list /", "type sub",
          "type sub/a", "remove-folder sub", "remove sub/a", "remove sub/b", "remove-folder sub",
          "list .", "list nothing", "remove-folder sub").expect(
        OK, out=["ok", "ok", "ok", "a b", "sub", "folder", "file", "errno ENOTEMPTY", "ok", "ok",
                 "ok", "", "errno ENOENT", "errno ENOENT"])


def test_names_are_changed_and_linked(t):
    files(t, "write a x", "rename a b", "link b c", "symlink b d", "read d", "type d", "read-link d",
          "remove b", "read c", "read d").expect(
        OK, out=["ok", "ok", "ok", "ok", "x", "link", "b", "ok", "x", "errno ENOENT"])


def test_nothing_leads_out_of_the_root(t):
    """Neither "..", an absolute path nor a symbolic link, whatever the operation."""
    t.write("secret", "s3cret")
    t.write("outside/secret", "s3cret")
    os.makedirs(os.path.join(t.folder, "box", "sub"))
    for name, target in (("up", "../secret"), ("far", os.path.join(t.folder, "secret")),
                         ("folder", "../outside"), ("proc", "/proc/self/root")):
        os.symlink(target, os.path.join(t.folder, "box", name))
    messages = ["%s %s" % (verb, path) for verb in ("read", "size", "list", "write", "remove")
                for path in ("../secret", "/../secret", "sub/../../secret", "folder/secret",
                             "proc/etc/passwd")]
    messages = [m + (" x" if m.startswith("write") else "") for m in messages]
    messages += ["read up", "read far", "list folder", "list proc", "read-link far",
                 "make-folder ../made", "make-folder folder/made", "remove-folder ../outside",
                 "rename ../secret stolen", "rename sub ../moved", "rename sub folder/moved",
                 "link ../secret stolen", "link folder/secret stolen", "symlink x ../made",
                 "symlink %s/secret absolute" % t.folder, "create folder/made"]
    run = files(t, *messages).expect(OK)
    for message, line in zip(messages, run.out.splitlines(), strict=True):
        check(line == "errno EPERM", "%s is refused" % message, line)
    check("s3cret" not in run.out, "nothing was read", run)
    check(sorted(os.listdir(os.path.join(t.folder, "outside"))) == ["secret"], "nothing was made")
    check(sorted(os.listdir(os.path.join(t.folder, "box"))) ==
          ["far", "folder", "proc", "sub", "up"], "nothing came in")


def test_paths_of_the_host_are_not_told(t):
    run = files(t, "read nothing", "list nothing", "read ../x").expect(OK)
    check("box" not in run.out and t.folder not in run.out, "only codes", run)
    check(t.folder not in t.run("chain", "export", "a").out, "nor in the chain")


def test_without_write_nothing_is_changed(t):
    t.write("box/a", "x")
    os.makedirs(os.path.join(t.folder, "box", "sub"))
    denied = ["write a y", "append a y", "create b", "cut a 0", "remove a", "make-folder b",
              "remove-folder sub", "rename a b", "link a b", "symlink a b", "write sub/b x"]
    run = files(t, "read a", "list .", *denied, block="write = false\n").expect(OK)
    lines = run.out.splitlines()
    check(lines[:2] == ["x", "a sub"], "it is read", run)
    check(set(lines[2:]) == {"errno EROFS"} and len(lines) == 2 + len(denied), "and no more", run)
    check(sorted(os.listdir(os.path.join(t.folder, "box"))) == ["a", "sub"], "nothing changed")
    events = [event["data"] for event in t.events("a") if event["type"] == "permission-denied"]
    check(len(events) == len(denied) and {event["3"] for event in events} == {"read-only"},
          "each is recorded", events)


def test_without_read_nothing_is_seen(t):
    t.write("box/a", "x")
    run = files(t, "read a", "list .", "size a", "type a", "write new y", block="read = false\n")
    check(set(run.out.splitlines()[:4]) <= {"errno EACCES", "errno ENOTCAPABLE", "errno EBADF"},
          "nothing", run)
    check("x" not in run.out.splitlines(), "not its content", run)


def test_the_policy_narrows_the_folder(t):
    t.write("box/a", "x")
    t.write("box/sub/b", "y")
    policy = ('[permission_policy.file_system]\ntype = "restrict"\n'
              'config = { read = true, write = false, execute = false, allowed_paths = ["box/sub"] }\n')
    run = files(t, "read sub/b", "read a", "write sub/b z", policy=policy).expect(OK)
    lines = run.out.splitlines()
    check(lines[0] == "y", "what lies beneath the permitted folder", run)
    check(lines[1].startswith("errno ") and lines[2].startswith("errno "), "nothing else", run)


def test_a_link_in_the_permitted_folder_leads_nowhere(t):
    """Who may write in "box" could else have a child opened anywhere by a link of that name."""
    t.write("outside/secret", "x")
    os.makedirs(os.path.join(t.folder, "box"))
    os.symlink("../outside", os.path.join(t.folder, "box", "out"))
    policy = ('[permission_policy.file_system]\ntype = "restrict"\n'
              'config = { read = true, write = true, execute = false, allowed_paths = ["box"] }\n')
    text = '[[handler]]\ntype = "filesystem"\npath = "box/out"\nallowed_commands = []\n' + policy
    t.requests(wasi(t, text), "read secret").expect(
        harness.ERROR, err="the folder of handler.filesystem cannot be opened: loop")


def test_the_policy_may_forbid_files(t):
    t.write("box/a", "x")
    policy = '[permission_policy.file_system]\ntype = "disallow"\n'
    run = files(t, "read a", policy=policy).expect(OK)
    check(run.out.startswith("errno "), "no folder", run)


def test_a_fresh_folder(t):
    """Empty, apart from all others, and gone at the end."""
    text = '[[handler]]\ntype = "filesystem"\nnew_dir = true\nallowed_commands = []\n'
    around = os.path.join(t.folder, "tmp")
    os.makedirs(around)
    run = t.requests(wasi(t, text), "list /", "make-folder a", "write a/b c", "read a/b", "list /",
                     env=t.env(TMPDIR=around)).expect(OK)
    check(run.out.splitlines() == ["", "ok", "ok", "c", "a"], "files of its own", run)
    check(os.listdir(around) == [], "nothing is left", os.listdir(around))


def test_a_missing_root_is_named_by_its_key(t):
    text = '[[handler]]\ntype = "filesystem"\npath = "nowhere"\nallowed_commands = []\n'
    t.requests(wasi(t, text), "list /").expect(
        harness.ERROR, err="the folder of handler.filesystem cannot be opened: no-entry")


def test_special_files_are_not_opened(t):
    os.makedirs(os.path.join(t.folder, "box"))
    os.mkfifo(os.path.join(t.folder, "box", "fifo"))
    files(t, "read fifo", "write fifo x", "type fifo").expect(
        OK, out=["errno EPERM", "errno 60", "other"])


def test_the_wish_is_in_the_chain_before_the_deed(t):
    files(t, "write a x").expect(OK)
    legs = [event["data"] for event in t.events("a") if event["type"] == "handle-request"]
    check(len(legs) > 2, "the file operations are waits", legs)


def test_handles_do_not_run_out(t):
    """A turn opens and closes more files than it may hold."""
    t.write("box/a", "x")
    files(t, "open 100 a", "open 100 a", "open 100 a", "open 100 a").expect(OK, out=["100 "] * 4)


def child(t, name, block):
    """A manifest for a child with this id."""
    wasi(t, block, file=name + ".toml")
    path = os.path.join(t.folder, name + ".toml")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    t.write(name + ".toml", 'id = "%s"\n' % name + text)


BOX = '[[handler]]\ntype = "filesystem"\npath = "box"\nallowed_commands = []\n'


def test_many_actors_use_files_at_once(t):
    t.write("box/big", b"x" * 200000)
    names = ["c%d" % i for i in range(8)]
    for name in names:
        child(t, name, BOX)
    run = t.requests(t.probe(), *["spawn %s.toml" % name for name in names],
                     *["send %s copy big %s" % (name, name) for name in names],
                     *["request %s size %s" % (name, name) for name in names]).expect(OK)
    check(run.out.splitlines()[-8:] == ["200000"] * 8, "each has its copy", run)


def test_a_crash_closes_what_was_open(t):
    t.write("box/a", "x")
    child(t, "one", 'restart = "permanent"\n' + BOX)
    live = t.start("run", t.probe("[supervision]\nmax_restarts = 100\n"), "--id", "a", "--request",
                   "spawn one.toml", *["--request", "send one leak 100 a"] * 5, "--request",
                   "request one read a", "--request", "sleep 20000")
    live.wait_line("crashed", count=5)
    live.wait_line("x", stream="out")
    handles = os.listdir("/proc/%d/fd" % live.pid)
    check(len(handles) < 100, "%d handles" % len(handles))


# ---- poll --------------------------------------------------------------------------------------------

def test_poll_gives_the_first_timer(t):
    t.requests(wasi(t, TIMING), "poll 60000 5 60000").expect(OK, out=["1"])


def test_a_wait_parks_only_its_actor(t):
    """On one worker, one actor waits in poll while another answers."""
    for name in ("one", "two"):
        child(t, name, TIMING)
    run = t.requests(t.probe(), "spawn one.toml", "spawn two.toml", "send one poll 1500",
                     "request two print meanwhile", workers=1).expect(OK)
    lines = [line for line in run.err.splitlines() if "[one] 0" in line or "meanwhile" in line]
    check(len(lines) == 2 and "meanwhile" in lines[0], "the other one went on", run)


# ---- exit --------------------------------------------------------------------------------------------

def test_exit_with_success_stops_the_actor(t):
    run = t.run("run", wasi(t), "--id", "a", "--request", "print bye", "--request", "exit 0",
                "--timeout", "60").expect(REQUEST_FAILED, out=["ok"])
    check("crashed" not in run.err, "no crash", run)
    types = [event["type"] for event in t.events("a")]
    check(types[-2:] == ["handle-request", "shutdown"], "an orderly stop", types)


def test_exit_with_failure_is_a_crash(t):
    t.requests(wasi(t), "exit 3").expect(REQUEST_FAILED, err="the actor exited with status 1")
    check(any(event["type"] == "crashed" for event in t.events("a")), "a crash", t.events("a"))


def test_exit_with_a_code_names_it(t):
    t.requests(wasi(t), "exit-code 7").expect(REQUEST_FAILED,
                                              err="the actor exited with status 7")


# ---- what is not there -------------------------------------------------------------------------------

def test_an_unknown_function_traps_by_its_name(t):
    for message, name in (("made-up", "wasi:clocks/made-up@0.2.0.tick"),
                          ("nowhere", "wasi:nowhere/nothing@0.2.0.get")):
        t.requests(wasi(t), message).expect(REQUEST_FAILED, out=[],
                                            err=name + ", which is not provided")


def test_sockets_are_denied(t):
    t.requests(wasi(t), "socket", "lookup example.com").expect(OK, out=["error 1", "error 1"])


def test_http_requests_are_made_and_denied(t):
    """A field, three that are refused, one found, headers that do not change, one body only."""
    t.requests(wasi(t), "http").expect(OK, out=["ok 1 0 0 1 2 ok no 1 15"])


HTTP = '[[handler]]\ntype = "http-client"\n'
GET, HEAD, POST, CONNECT = 0, 1, 2, 5


def mirror(request):
    return web.response(("%s %s %s %s" % (request.method, request.target, request.field("x-one"),
                                          request.body.decode())).encode(), fields=[("x-a", "b")] * 2)


def test_http_requests_are_sent(t):
    """The status, two values of a field, the body once, its end, and no trailers."""
    server = web.Server({"/p": mirror, "/long": lambda request: web.response(b"x" * 20000),
                         "/moved": lambda request: web.response(b"", 302, [("Location", "/p")])})
    host = "127.0.0.1:%d" % server.port
    body = "y" * 10000
    t.requests(wasi(t, HTTP), "fetch %d 0 %s /p?q=1" % (GET, host),
               "fetch %d 0 %s /p %s" % (POST, host, body), "fetch %d 0 %s /p" % (HEAD, host),
               "fetch %d 0 %s /long" % (GET, host), "fetch %d 0 %s /moved" % (GET, host)).expect(OK, out=[
                   "200 2 once GET /p?q=1 1  closed none",
                   "200 2 once POST /p 1 %s closed none" % body,
                   "200 2 once  closed none",
                   "200 0 once %s closed none" % ("x" * 20000),
                   "302 0 once  closed none"])
    calls_of_handle = calls(t, "wasi:http/outgoing-handler.handle")
    check(len(calls_of_handle) >= 5, "recorded", calls_of_handle)
    server.close()


def test_http_requests_that_fail(t):
    async def part(request):
        request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")

    async def never(_request):
        await asyncio.sleep(60)
    server = web.Server({"/part": part, "/garbage": lambda request: b"garbage\r\n\r\n",
                         "/large": lambda request: web.response(b"x" * 1001), "/never": never})
    host = "127.0.0.1:%d" % server.port
    limits = HTTP + "max_response_size = 1000\ntimeout = 500\n"
    run = t.requests(wasi(t, limits), *["fetch 0 0 %s /%s" % (host, path) for path in (
        "part", "garbage", "large", "never")], "fetch 0 0 127.0.0.1:1 /", "fetch 0 0 nobody.invalid /", "fetch %d 0 %s /part" % (CONNECT, host), "unfinished " + host,
        "fetch 0 0 u@%s /" % host, "fetch 0 0 %s @evil.example/" % host, "fetch 0 0 %s/x /part" % host)
    run.expect(OK, out=["code 25", "code 35", "code 28", "code 33", "code 6", "code 1",
                        "code 35", "code 35", "code 19", "code 19", "code 19"])
    server.close()


def test_http_requests_need_permission(t):
    server = web.Server({"/": mirror})
    host = "127.0.0.1:%d" % server.port
    for blocks in ("", HTTP + 'allowed_hosts = ["a.example"]\n', HTTP + 'allowed_methods = ["POST"]\n'):
        t.requests(wasi(t, blocks), "fetch 0 0 %s /" % host).expect(OK, out=["code 15"])
    denials = [event for event in t.events("a") if event["type"] == "permission-denied"]
    check(denials and host in str(denials[-1]), "recorded", denials)
    check(server.connections == 0, "nothing was sent")
    server.close()


def test_poll_waits_for_the_first_of_responses_and_timers(t):
    opened = asyncio.Event()

    async def slow(_request):
        await opened.wait()
        return web.response(b"slow")
    server = web.Server({"/slow": slow, "/quick": lambda request: web.response(b"quick")})
    host = "127.0.0.1:%d" % server.port
    run = t.requests(wasi(t, HTTP + TIMING), "race %s /slow /quick 60000" % host,
                     "race %s /quick /slow 60000" % host, "race %s /slow /slow 50" % host)
    run.expect(OK, out=["[1] not ready | 200 0 once quick closed none",
                        "[0] 200 0 once quick closed none | not ready",
                        "[2] not ready | not ready"])
    server.close()


def test_a_stop_ends_a_wait_for_a_response(t):
    asked = threading.Event()

    async def never(_request):
        asked.set()
        await asyncio.sleep(600)
    server = web.Server({"/": never})
    live = t.start("run", wasi(t, HTTP + "timeout = 600000\n"), "--id", "a", "--request",
                   "fetch 0 0 127.0.0.1:%d /" % server.port)
    check(asked.wait(harness.LIMIT_S), "under way", live.result())
    live.signal(15)
    run = live.wait(30).sane()
    check(run.code in (harness.SIGTERM_EXIT, REQUEST_FAILED), "an orderly end", run)
    server.close()


def test_resources_are_bounded(t):
    t.requests(wasi(t, TIMING), "hoard").expect(
        REQUEST_FAILED, err="too many resources of the kind pollable (4096)")


def test_handles_are_bounded_by_the_manifest(t):
    t.requests(wasi(t, TIMING + "[limits]\nhandles = 100\n"), "hoard").expect(
        REQUEST_FAILED, err="the actor holds 100 resources (limits.handles)")
    reached = [event["data"] for event in t.events("a") if event["type"] == "limit-reached"]
    check([data["1"] for data in reached] == ["handles"], "an event", reached)


def test_all_of_wasi_has_the_types_that_are_published(t):
    """A component that imports every function of WASI 0.2.12."""
    run = t.run("inspect", harness.guest("wasi_all/wasi_all.wasm")).expect(OK)
    check("cannot run here" not in run.out, "nothing is refused", run)
    missing = [line.split(".[", 1)[0].rsplit("@", 1)[0].lstrip("/ ") for line in run.out.splitlines()
               if line.startswith("//   wasi:")]
    check(set(missing) == {"wasi:sockets/tcp", "wasi:sockets/udp", "wasi:sockets/ip-name-lookup",
                           "wasi:http/types"}, "only these have functions that trap", missing)


def test_without_the_handler_there_are_no_folders(t):
    run = t.requests(wasi(t), "read /etc/passwd", "list /", "write x y").expect(OK)
    check(all(line.startswith("errno ") for line in run.out.splitlines()), "no folder", run)


def test_inspect_names_what_would_trap(t):
    run = t.run("inspect", harness.guest("wasi/wasi.wasm")).expect(OK)
    check("can run here" in run.out, "nothing keeps it from running", run)
    check([line for line in run.out.splitlines() if line.startswith("//   wasi:")] ==
          ["//   wasi:clocks/made-up@0.2.0.tick", "//   wasi:nowhere/nothing@0.2.0.get"],
          "two functions", run)


harness.main(globals())
