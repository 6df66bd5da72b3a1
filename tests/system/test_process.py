# SPDX-License-Identifier: Apache-2.0
"""Programs that actors run. The guest (tests/guests/processes) does what a request says, and logs
what it hears of its programs."""
import os
import random
import re
import shutil
import signal
import subprocess
import time
import zlib

import harness
from harness import OK, REQUEST_FAILED, SIGTERM_EXIT, check

PROGRAMS = ("cat", "sleep", "sh", "/usr/bin/python3", "env", "/usr/bin/head")
LARGE = 10 * 1000 * 1000

# Five processes that left their group, their session and their parents. Each tells its process id.
HOSTILE = """
import os, sys, time
for i in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.setpgid(0, 0)
        os.write(1, b"pid %d\\n" % os.getpid())
        time.sleep(1000)
os.write(1, b"pid %d\\n" % os.getpid())
time.sleep(1000)
"""


def processes(t, more="", programs=PROGRAMS, maximum=128, head=""):
    if not os.path.exists(os.path.join(t.folder, "processes.wasm")):
        shutil.copy(harness.guest("processes/processes.wasm"), t.folder)
    block = '[[handler]]\ntype = "process"\nmax_processes = %d\n' % maximum
    if programs is not None:
        block += "allowed_programs = [%s]\n" % ", ".join('"%s"' % name for name in programs)
    return t.manifest("processes.wasm", head + block + more, name="processes",
                      file="processes.toml")


def say(*fields):
    """A request of the guest."""
    return "\x1f".join(str(field) for field in fields)


def log_of(run):
    return [line.split("[a] ", 1)[1] for line in run.err.splitlines() if "[a] " in line]


def pieces(run, stream="out", number=1):
    start = "%d %s: " % (number, stream)
    return [line[len(start):] for line in log_of(run) if line.startswith(start)]


def exit_of(run, number=1):
    """(code, bytes, pieces, crc) of a program's exit, which was its last line."""
    lines = [line for line in log_of(run) if line.startswith("%d " % number)]
    found = re.match(r"\d+ exit: (-?\d+) (\d+) (\d+) (\d+)$", lines[-1] if lines else "")
    check(found, "the last line of process %d is its exit" % number, run)
    return tuple(int(group) for group in found.groups())


def is_alive(pid):
    """Zombies do not count: whoever is to reap them may not have got round to it."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid):
    found, left = [], [pid]
    while left:
        one = left.pop()
        try:
            for task in os.listdir("/proc/%d/task" % one):
                with open("/proc/%d/task/%s/children" % (one, task), encoding="ascii") as file:
                    left += [int(word) for word in file.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found.append(one)
    return found[1:]


def expect_gone(pids):
    harness.wait_until(lambda: not any(is_alive(pid) for pid in pids), 30,
                       "the end of %s" % (pids,))


# ---- output ------------------------------------------------------------------------------------

def test_output_and_exit_arrive_in_order(t):
    run = t.requests(processes(t), say("spawn", "", "sh", "-c", "printf one; printf two >&2; exit 7"))
    run.expect(OK, out=["1"])
    check("".join(pieces(run)) == "one" and pieces(run, "err") == ["two"], "output", run)
    check(exit_of(run)[:2] == (7, 3), "exit code and bytes", run)


def test_arguments_reach_the_program_untouched(t):
    arguments = ["a b", "$(touch never)", "'\"", "*", "; touch never", "tab\there", "ä\u2028", "--"]
    code = "import sys, zlib; sys.stdout.buffer.write('\\0'.join(sys.argv[1:]).encode())"
    run = t.requests(processes(t), say("spawn", "", "/usr/bin/python3", "-c", code, *arguments))
    run.expect(OK)
    wanted = "\0".join(arguments).encode()
    check(exit_of(run) == (0, len(wanted), exit_of(run)[2], zlib.crc32(wanted)), "arguments", run)
    check(not os.path.exists(os.path.join(t.folder, "never")), "no shell")


def test_lines_come_whole_and_empty_ones_too(t):
    script = "printf 'one\\n\\nthr'; sleep 0.1; printf 'ee\\nrest'"
    run = t.requests(processes(t), say("spawn", "out=l", "sh", "-c", script)).expect(OK)
    check(pieces(run) == ["one", "", "three", "rest"], "four lines", run)


def test_lines_longer_than_the_buffer_come_in_pieces(t):
    run = t.requests(processes(t), say("spawn", "out=l cap=4", "sh", "-c", "echo abcdefghij; echo k"))
    check(pieces(run.expect(OK)) == ["abcd", "efgh", "ij", "k"], "pieces", run)


def test_json_is_one_value_per_line(t):
    run = t.requests(processes(t), say("spawn", "out=j err=j", "sh", "-c",
                                       "printf '{\"a\": 1}\\n\\n[2]\\n  \\n3'; echo '\"e\"' >&2"))
    check(pieces(run.expect(OK)) == ['{"a": 1}', "[2]", "3"], "values", run)
    check(pieces(run, "err") == ['"e"'], "stderr has its own mode", run)


def test_chunks_have_their_size_and_the_rest_comes(t):
    run = t.requests(processes(t), say("spawn", "out=c chunk=3", "sh", "-c", "printf abcdefgh"))
    check(pieces(run.expect(OK)) == ["abc", "def", "gh"], "chunks", run)
    run = t.requests(processes(t), say("spawn", "out=c chunk=30 cap=3", "sh", "-c", "exit"))
    run.expect(REQUEST_FAILED, err="chunk-size is 30, but must be 1 to 3")


def test_ten_megabytes_come_through_every_mode_exactly(t):
    content = random.Random(5).randbytes(LARGE)
    path = t.write("large", content)
    for options, wanted in (("out=r", content), ("out=r cap=1000", content),
                            ("out=c chunk=65536", content),
                            ("out=l", content.replace(b"\n", b""))):
        run = t.requests(processes(t), "quiet\x1f", say("spawn", options, "cat", path)).expect(OK)
        code, size, count, crc = exit_of(run)
        check((code, size, crc) == (0, len(wanted), zlib.crc32(wanted)), options, run)
        if "chunk" in options:
            check(count == (LARGE + 65535) // 65536, "chunks of one size", run)


def test_an_actor_that_answers_with_an_error_gets_the_next_piece(t):
    run = t.requests(processes(t), "fail\x1f", say("spawn", "out=l", "sh", "-c", "echo a; echo b"))
    check(pieces(run.expect(OK)) == ["a", "b"], "both", run)
    check(exit_of(run)[0] == 0, "and the exit", run)


# ---- standard input ----------------------------------------------------------------------------

def test_what_is_written_comes_back(t):
    run = t.requests(processes(t), say("spawn", "", "cat"), say("write", 1, "hello "),
                     say("write", 1, "there"), say("close", 1)).expect(OK, out=["1", "6", "5", "ok"])
    check("".join(pieces(run)) == "hello there" and exit_of(run)[0] == 0, "echo", run)


def test_large_input_comes_back_exactly(t):
    run = t.requests(processes(t), say("spawn", "", "cat"), say("fill", 1, LARGE), say("close", 1))
    run.expect(OK, out=["1", str(LARGE), "ok"])
    check(exit_of(run)[:2] == (0, LARGE) and exit_of(run)[3] == zlib.crc32(b"x" * LARGE), "echo", run)


def test_a_program_that_never_reads_bounds_what_is_taken(t):
    most = 16 << 20
    run = t.requests(processes(t), say("spawn", "", "sleep", "1000"), say("fill", 1, most),
                     say("fill", 1, most), say("kill", 1)).expect(OK)
    first, second = int(run.out.split()[1]), int(run.out.split()[2])
    check(first == most and second <= 65536, "what the pipe took of the first is room", run)
    check(exit_of(run)[0] == -signal.SIGKILL, "killed", run)


def test_writing_to_closed_input_is_an_error(t):
    run = t.requests(processes(t), say("spawn", "", "cat"), say("close", 1), say("write", 1, "x"))
    run.expect(REQUEST_FAILED, out=["1", "ok"])
    check("standard input is closed" in run.err or "has ended" in run.err, "which says so", run)


# ---- status, signals, time ------------------------------------------------------------------------

def test_status_tells_the_truth(t):
    run = t.requests(processes(t), say("spawn", "", "sleep", "1000"), say("status", 1),
                     say("kill", 1)).expect(OK, out=["1", "running none", "ok"])
    check(exit_of(run)[0] == -signal.SIGKILL, "minus the signal", run)
    t.requests(processes(t), say("status", 5)).expect(REQUEST_FAILED, err="process not found: 5")
    # A process id of the system is no number of a program.
    t.requests(processes(t), say("kill", os.getpid())).expect(REQUEST_FAILED, err="not found")


def test_status_of_one_that_ended(t):
    live = t.start("run", processes(t), "--id", "a", "--request",
                   say("spawn", "", "sh", "-c", "exit 3"), "--request",
                   say("spawn", "", "sh", "-c", "while [ -d /proc/$1 ]; do :; done", "x", "1"))
    live.wait_line("1 exit: 3")
    live.signal(signal.SIGTERM)
    live.wait().expect(SIGTERM_EXIT)


def test_signals_reach_the_program(t):
    trap = "trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    live = t.start("run", processes(t), "--id", "a", "--until-idle",
                   "--request", say("spawn", "out=l", "sh", "-c", trap),
                   "--request", say("spawn", "", "sleep", "0.5"),
                   "--request", say("signal", 1, signal.SIGUSR1))
    run = live.wait().expect(OK)
    # The signal may come before the trap is set, and then it is the program's end.
    check(exit_of(run)[0] in (5, -signal.SIGUSR1), "exit code", run)
    t.requests(processes(t), say("spawn", "", "sleep", "0.5"), say("signal", 1, 65)).expect(
        REQUEST_FAILED, err="there is no signal 65")


def test_time_over_kills_the_whole_tree(t):
    run = t.requests(processes(t), say("spawn", "out=l timeout=1", "/usr/bin/python3", "-c", HOSTILE))
    run.expect(OK)
    pids = [int(line.split()[1]) for line in pieces(run)]
    check(len(pids) == 6 and exit_of(run)[0] == -signal.SIGKILL, "killed", run)
    expect_gone(pids)


# ---- many --------------------------------------------------------------------------------------

def test_a_hundred_at_once(t):
    run = t.requests(processes(t), say("many", 100, "sh", "-c", "sleep 0.5; echo $0; exit 4"))
    run.expect(OK, out=["100"])
    for number in range(1, 101):
        check(exit_of(run, number)[:2] == (4, 3), "exit of %d" % number, run)


def test_max_processes_counts_those_that_run(t):
    nap = say("spawn", "", "sleep", "1")
    run = t.requests(processes(t, maximum=2), nap, nap, nap).expect(REQUEST_FAILED, out=["1", "2"])
    check("permission denied: 2 processes run, and max_processes is 2" in run.err, "denied", run)


def test_nothing_is_left_of_programs_that_ended(t):
    live = t.start("run", processes(t), "--id", "a", "--request", say("many", 20, "sh", "-c", "exit"),
                   "--request", say("spawn", "", "sleep", "1000"))
    live.wait_line("exit: 0", count=20)

    def only_one_runs():
        # theater-exec, the supervisor, sleep
        states = [open("/proc/%d/stat" % pid, encoding="ascii").read() for pid in descendants(live.pid)]
        return len(states) == 3 and not any(") Z " in state for state in states)
    harness.wait_until(only_one_runs, 30, "the end of supervisors")
    live.signal(signal.SIGTERM)
    live.wait().expect(SIGTERM_EXIT)


# ---- the end of those who started them ---------------------------------------------------------------

def hostile(t, *more, head=""):
    """A node whose actor runs a hostile program; gives it and the process ids."""
    live = t.start("run", processes(t, head=head), "--id", "a", "--request",
                   say("spawn", "out=l", "/usr/bin/python3", "-c", HOSTILE), *more)
    live.wait_line("out: pid", count=6)
    return live, [int(line.rsplit(" ", 1)[1]) for line in live.lines["err"] if "out: pid" in line]


def test_programs_die_with_the_node(t):
    live, pids = hostile(t)
    live.signal(signal.SIGTERM)
    live.wait().expect(SIGTERM_EXIT)
    expect_gone(pids)


def test_programs_die_with_a_node_that_is_killed(t):
    live, pids = hostile(t)
    everybody = descendants(live.pid)
    check(set(pids) <= set(everybody), "all are beneath the node", pids, everybody)
    live.kill()
    expect_gone(everybody)


def parents_of(pids):
    parents = set()
    for pid in pids:
        with open("/proc/%d/stat" % pid, encoding="ascii") as file:
            parents.add(int(file.read().rsplit(")", 1)[1].split()[1]))
    return parents


def test_programs_die_when_their_supervisor_is_killed(t):
    live, pids = hostile(t)
    with open("/proc/%d/stat" % [pid for pid in pids if is_alive(pid)][0], encoding="ascii") as file:
        check(file.read(), "alive")
    # A program in between may still be about to end.
    harness.wait_until(lambda: len(parents_of(pids)) == 1, what="one supervisor for all of them")
    supervisors = parents_of(pids)
    os.kill(supervisors.pop(), signal.SIGKILL)
    expect_gone(pids)
    live.wait_line("1 exit: -9")
    live.signal(signal.SIGTERM)
    live.wait().expect(SIGTERM_EXIT)


def test_programs_die_with_an_actor_that_crashes(t):
    go = os.path.join(t.folder, "go")
    trap = say("spawn", "out=l", "sh", "-c", "until [ -e %s ]; do sleep 0.05; done; echo trap" % go)
    live, pids = hostile(t, "--request", trap, head='restart = "permanent"\n')
    t.write("go", "")
    live.wait_line("wasm trap")
    expect_gone(pids)
    check(live.process.poll() is None, "the node lives")
    live.signal(signal.SIGTERM)
    live.wait()


# ---- what is permitted -------------------------------------------------------------------------

def test_only_listed_programs_run(t):
    t.requests(processes(t), say("spawn", "", "/usr/bin/touch", "x")).expect(
        REQUEST_FAILED, err="permission denied: program /usr/bin/touch is not in allowed_programs")
    # A path in the list is also what a name may lead to; a name in the list is no path.
    t.requests(processes(t), say("spawn", "", "head", "-c0", "/dev/null")).expect(OK)
    t.requests(processes(t), say("spawn", "", "/usr/bin/head", "-c0", "/dev/null")).expect(OK)
    t.requests(processes(t), say("spawn", "", "/bin/cat")).expect(REQUEST_FAILED, err="not in allowed")
    t.requests(processes(t), say("spawn", "", "./cat")).expect(REQUEST_FAILED, err="permission denied")
    run = t.requests(processes(t, programs=None), say("spawn", "", "cat"))
    run.expect(REQUEST_FAILED, err="permission denied")
    check("allowed_programs is absent" in run.err, "and a warning", run)
    events = [event["type"] for event in t.events("a")]
    check("permission-denied" in events, "denials are in the chain", events)


def test_a_program_that_is_not_there_is_an_error(t):
    t.requests(processes(t, programs=("/no/such/program",)), say("spawn", "", "/no/such/program")
               ).expect(REQUEST_FAILED, err="cannot run the program")
    t.requests(processes(t, programs=("no-such-program",)), say("spawn", "", "no-such-program")
               ).expect(REQUEST_FAILED, err="there is no program no-such-program")
    t.requests(processes(t, programs=("a/../b",)), say("spawn", "", "a/../b")
               ).expect(REQUEST_FAILED, err="absolute path")


def test_the_environment_is_what_was_given(t):
    run = t.requests(processes(t), say("spawn", "out=l env=A=1 env=B=x=y", "env")).expect(OK)
    check(pieces(run) == ["A=1", "B=x=y"], "nothing else", run)


def test_working_folders(t):
    inside, outside = os.path.join(t.folder, "inside"), os.path.join(t.folder, "outside")
    os.makedirs(os.path.join(inside, "deep"))
    os.makedirs(outside)
    os.symlink(outside, os.path.join(inside, "link"))
    bounded = 'allowed_paths = ["%s"]\n' % inside
    where = ("sh", "-c", "pwd -P")
    for more, options, wanted in (("", "", t.folder), ("", "cwd=inside", inside),
                                  ("", "cwd=/usr", "/usr"), (bounded, "", inside),
                                  (bounded, "cwd=%s/deep" % inside, inside + "/deep")):
        run = t.requests(processes(t, more), say("spawn", "out=l " + options, *where)).expect(OK)
        check(pieces(run) == [wanted], "folder %s" % wanted, run)
    for path in (outside, inside + "/link", inside + "/../outside", "/usr", "/nowhere"):
        t.requests(processes(t, bounded), say("spawn", "cwd=" + path, *where)).expect(
            REQUEST_FAILED, err="permission denied: working folder")
    t.requests(processes(t), say("spawn", "cwd=/nowhere", *where)).expect(
        REQUEST_FAILED, err="working folder /nowhere")


def test_a_program_cannot_signal_the_node(t):
    """Where Landlock can (ABI 6)."""
    code = ("import ctypes, os; print(ctypes.CDLL(None, use_errno=True)"
            ".syscall(444, None, 0, 1))")
    abi = int(subprocess.run(["python3", "-c", code], capture_output=True, text=True,
                             check=True).stdout)
    if abi < 6:
        raise harness.Skip("the kernel's Landlock has no scopes")
    run = t.requests(processes(t), say("spawn", "out=l", "/usr/bin/python3", "-c",
                                       "import os\n"
                                       "for pid in (os.getppid(), %d):\n"
                                       "  try: os.kill(pid, 9); print('killed')\n"
                                       "  except PermissionError: print('denied')" % os.getpid()))
    check(pieces(run.expect(OK)) == ["denied", "denied"], "neither", run)


# ---- the chain -----------------------------------------------------------------------------------

def test_the_chain_verifies_and_holds_intent_and_result(t):
    t.requests(processes(t), say("spawn", "", "sh", "-c", "echo x")).expect(OK)
    t.run("chain", "verify").expect(OK)
    events = t.events("a")
    text = str(events)
    for name in ("process.os-spawn", "handle-stdout", "handle-exit"):
        check(name in text, "%s is recorded" % name, text)


# ---- older actors --------------------------------------------------------------------------------

def test_a_config_without_execution_timeout(t):
    """The older shape of process-config: the guest, compiled against interfaces that lack the
    field."""
    shutil.copytree(os.path.join(harness.ROOT, "sdk/c"), os.path.join(t.folder, "old/sdk/c"))
    shutil.copytree(os.path.join(harness.ROOT, "wit"), os.path.join(t.folder, "old/wit"))
    for name, cut in (("wit/process.wit", "    execution-timeout: option<u64>,\n"),
                      ("sdk/c/theater-process.h", ", int,\n                              uint64_t"),
                      ("sdk/c/theater-process.h", ",\n                             "
                       "config->execution_timeout != 0, config->execution_timeout")):
        with open(os.path.join(t.folder, "old", name), encoding="utf-8") as file:
            text = file.read()
        check(cut in text, "%s is as this test knows it" % name, text)
        t.write(os.path.join("old", name), text.replace(cut, ""))
    made = subprocess.run([os.path.join(t.folder, "old/sdk/c/theater-cc"),
                           os.path.join(harness.ROOT, "tests/guests/processes/processes.c"),
                           "-o", os.path.join(t.folder, "processes.wasm")],
                          env={"THEATER_WASM_TOOLS": harness.ROOT, **os.environ},
                          capture_output=True, text=True, check=False)
    if "jco-transpile" in made.stderr or "install it" in made.stderr:
        raise harness.Skip(made.stderr.strip())
    check(made.returncode == 0, "the older guest compiles", made.stderr)
    imports = t.run("inspect", os.path.join(t.folder, "processes.wasm")).expect(OK).out
    check("os-spawn" in imports and "execution-timeout" not in imports, "the older shape", imports)
    run = t.requests(processes(t), say("spawn", "out=l", "sh", "-c", "echo old; exit 3")).expect(OK)
    check(pieces(run) == ["old"] and exit_of(run)[0] == 3, "it runs a program", run)


if __name__ == "__main__":
    harness.main(globals())
