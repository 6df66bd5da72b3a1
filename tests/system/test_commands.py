# SPDX-License-Identifier: Apache-2.0
"""Commands of the interface filesystem: confined to the folder of the handler block. The guest
(tests/guests/commands) runs what a request says."""
import os
import shutil
import time

import harness
from harness import OK, REQUEST_FAILED, check

COMMANDS = ("cat", "ls", "sh", "env", "sleep", "/usr/bin/python3", "nix")


def say(*fields):
    return "\x1f".join(str(field) for field in fields)


def commands(t, more="", allowed=COMMANDS, head=""):
    """A manifest whose folder is t.folder/jail, with a file in it; a secret lies outside."""
    jail = os.path.join(t.folder, "jail")
    os.makedirs(os.path.join(jail, "deep"), exist_ok=True)
    t.write("jail/inside", "inside\n")
    t.write("secret", "secret\n")
    shutil.copy(harness.guest("commands/commands.wasm"), t.folder)
    listed = "" if allowed is None else "allowed_commands = [%s]\n" % ", ".join(
        '"%s"' % name for name in allowed)
    return t.manifest("commands.wasm", '%s[[handler]]\ntype = "filesystem"\npath = "jail"\n%s%s' % (
        head, listed, more), name="commands", file="commands.toml")


def answers(t, manifest, *requests):
    """The answers to requests, each of them one line."""
    return t.requests(manifest, *requests).expect(OK).out.rstrip("\n").split("\n")


def shell(script, folder=""):
    return say("run", folder, "sh", "-c", script)


def test_a_command_gives_its_output_and_exit_code(t):
    manifest = commands(t)
    check(answers(t, manifest, shell("printf out; printf err >&2; exit 3")) == ["3|out|err"], "three")
    check(answers(t, manifest, say("run", "deep", "sh", "-c", "cat ../inside | tr -d '\\n'")) ==
          ["0|inside|"], "the folder")
    check(answers(t, manifest, say("run", "", "/usr/bin/python3", "-c", "import sys; print(sys.argv[1:], end='')",
                                   "a b", "$(x)", "'\"*")) == ["0|['a b', '$(x)', '\\'\"*']|"], "arguments")
    check(answers(t, manifest, say("run", "", "cat", "/dev/stdin")) == ["0||"], "nothing to read")
    check(answers(t, manifest, shell("printf 'a\\377b'")) == ["0|a\ufffdb|"], "not UTF-8")


def test_a_command_that_is_killed_is_an_error(t):
    check(answers(t, commands(t), shell("kill -9 $$")) == ["error: the command was killed by signal 9"],
          "signal")
    slow = commands(t, head="[limits]\nrequest_timeout_ms = 700\n")
    start = time.monotonic()
    found = answers(t, slow, say("run", "", "sh", "-c", "sleep 1000 & sleep 1000"))
    check(found == ["error: the command ran longer than 700 ms (limits.request_timeout_ms) and was "
                    "killed"], "time", found)
    check(time.monotonic() - start < 60, "soon")
    found = answers(t, commands(t), shell("while :; do echo 0123456789; done"))
    check(found == ["error: the command wrote more than 4194304 bytes and was killed"], "output", found)


def test_only_listed_commands_run(t):
    for manifest in (commands(t, allowed=("cat",)), commands(t, allowed=())):
        t.requests(manifest, shell("exit")).expect(
            REQUEST_FAILED, err="permission denied: command sh is not in allowed_commands")
    run = t.requests(commands(t, allowed=None), shell("exit"))
    run.expect(REQUEST_FAILED, err="permission denied: command sh")
    check("allowed_commands is absent" in run.err, "a warning", run)
    manifest = commands(t)
    for name in ("/bin/sh", "../sh", "sh ", ""):
        t.requests(manifest, say("run", "", name)).expect(REQUEST_FAILED, err="permission denied")
    t.requests(commands(t, "execute = false\n"), shell("exit")).expect(
        REQUEST_FAILED, err="permission denied: running commands is not permitted (execute)")
    t.requests(commands(t, "read = false\n"), shell("exit")).expect(
        REQUEST_FAILED, err="permission denied: reading is not permitted (read)")


def test_the_folder_lies_beneath_the_root(t):
    manifest = commands(t)
    os.symlink("..", os.path.join(t.folder, "jail", "up"))
    for folder in ("..", "/", "up", "deep/../.."):
        t.requests(manifest, shell("exit", folder)).expect(REQUEST_FAILED, err="permission denied")
    t.requests(manifest, shell("exit", "nowhere")).expect(REQUEST_FAILED, err="not found: nowhere")
    t.requests(manifest, shell("exit", "inside")).expect(REQUEST_FAILED, err="not a directory: inside")


def test_a_command_reaches_nothing_outside(t):
    manifest = commands(t)
    secret = os.path.join(t.folder, "secret")
    os.symlink(secret, os.path.join(t.folder, "jail", "link"))
    os.symlink(t.folder, os.path.join(t.folder, "jail", "around"))
    for script in ("cat %s" % secret, "cat ../secret", "cat link", "cat around/secret",
                   "ls %s" % t.folder, "ls /", "ls /home", "ls /proc", "cat /proc/self/environ",
                   "cat /proc/1/cmdline", "echo x > ../new", "echo x > around/new",
                   "echo x >> link", "rm link/../secret", "mv inside ../new", "ln ../secret hard",
                   "ln link hard && cat hard", "mkdir ../new", "ln -s x ../new", "echo x > /tmp/theater-new",
                   "echo x > /dev/shm/theater-new", "rm -rf ../secret", "kill -9 $PPID",
                   "kill -9 %d" % os.getpid()):
        found = answers(t, manifest, shell(script + " 2>/dev/null"))
        check(not found[0].startswith("0|") and "secret" not in found[0], script, found)
    check(open(secret, encoding="ascii").read() == "secret\n", "still as it was")
    check(sorted(os.listdir(t.folder)) == ["commands.toml", "commands.wasm", "data", "jail", "secret"],
          "nothing new", os.listdir(t.folder))


def test_truncating_outside_is_refused(t):
    manifest = commands(t)
    secret = os.path.join(t.folder, "secret")
    found = answers(t, manifest, say("run", "", "/usr/bin/python3", "-c",
                                     "import os\ntry: os.truncate('%s', 0)\nexcept OSError: "
                                     "print('refused', end='')" % secret))
    check(found == ["0|refused|"] and os.path.getsize(secret) == 7, "refused", found)


def test_a_folder_that_may_only_be_read(t):
    manifest = commands(t, "write = false\n")
    check(answers(t, manifest, say("run", "", "sh", "-c", "cat inside | tr -d '\\n'")) == ["0|inside|"],
          "read")
    for script in ("echo x > new", "echo x > inside", "rm inside", "mkdir new", "mv inside new"):
        found = answers(t, manifest, shell(script + " 2>/dev/null"))
        check(not found[0].startswith("0|"), script, found)
    check(os.listdir(os.path.join(t.folder, "jail", "deep")) == [], "nothing")
    check(sorted(os.listdir(os.path.join(t.folder, "jail"))) == ["deep", "inside"], "nothing new")


def test_commands_see_what_the_actor_wrote_and_leave_files(t):
    manifest = commands(t)
    found = answers(t, manifest, say("write", "deep/script", "printf made > ../made"),
                    say("run", "deep", "sh", "script"))
    check(found == ["ok", "0||"], "ran", found)
    with open(os.path.join(t.folder, "jail", "made"), encoding="ascii") as file:
        check(file.read() == "made", "made")


def test_the_environment_holds_nothing_of_the_node(t):
    env = t.env(THEATER_SECRET="secret")
    run = t.requests(commands(t), say("run", "", "env"), env=env).expect(OK)
    names = {line.split("=", 1)[0] for line in run.out.replace("0|", "").replace("|", "").split("\n")
             if "=" in line}
    check(names == {"PATH", "LANG", "HOME", "TMPDIR"}, "four", run)


def test_a_stopped_actor_takes_its_command_along(t):
    live = t.start("run", commands(t), "--id", "a", "--request",
                   say("run", "", "sh", "-c", "echo $$ > pid; sleep 1000"))
    path = os.path.join(t.folder, "jail", "pid")
    harness.wait_until(lambda: os.path.exists(path) and open(path, encoding="ascii").read().strip(), 60)
    pid = int(open(path, encoding="ascii").read())
    live.signal(15)
    live.wait()
    harness.wait_until(lambda: not os.path.exists("/proc/%d" % pid), 30)


def test_nix_that_is_not_installed_is_an_error(t):
    if shutil.which("nix"):
        raise harness.Skip("nix is installed")
    found = answers(t, commands(t), say("nix", "", "cargo build"))
    check(found == ["error: there is no program nix in the node's PATH"], "which says so", found)
    t.requests(commands(t, allowed=("sh",)), say("nix", "", "cargo build")).expect(
        REQUEST_FAILED, err="permission denied: command nix is not in allowed_commands")


if __name__ == "__main__":
    harness.main(globals())
