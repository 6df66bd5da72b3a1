# SPDX-License-Identifier: Apache-2.0
"""Actors that do what published ones do, with real peers: git, a tool server, an API."""
import http.server
import os
import shutil
import signal
import subprocess
import threading

import harness
from harness import OK, REQUEST_FAILED, check


def copy_example(t, name):
    """A copy of an example's folder, so that files beside its manifest are the test's own."""
    folder = os.path.join(t.folder, name)
    shutil.copytree(os.path.dirname(harness.example(name)), folder)
    return folder


# ---- task-manager, chat-state ------------------------------------------------------------------


def test_tasks_are_children_that_end_themselves(t):
    live = t.start("run", harness.example("task-manager"), "--id", "tasks", "--send",
                   "run one two three", "--send", "run four", "--send", "run ", "--until-idle")
    live.wait().expect(OK, err="crashed")
    shown = t.run("chain", "show", "tasks").expect(OK).out
    for word in ("3 words", "1 words", "failed"):
        check(word in shown, "the manager heard %r" % word, shown)
    t.run("chain", "verify").expect(OK)


def test_the_manager_ends_when_it_is_told_to(t):
    run = t.run("run", harness.example("task-manager"), "--id", "tasks", "--send", "end").expect(OK)
    check(t.events("tasks")[-1]["type"] == "shutdown", "it ended itself", run)


def test_a_conversation_starts_its_child_and_uses_it_at_once(t):
    run = t.run("run", harness.example("chat-state"), "--id", "chat", "--request", "settings",
                "--request", "ask how are you", "--request", "settings tone=warm", "--request",
                "settings", "--request", "history", "--until-idle").expect(OK)
    lines = run.out.splitlines()
    check(lines[0] == "tone=plain" and lines[1] == "HOW ARE YOU" and len(lines[2]) == 64 and
          lines[3:6] == ["tone=warm", "said HELLO", "said HOW ARE YOU"], "the replies", run)
    labels = t.run("store", "list").expect(OK).out
    check("chat" in labels, "the store belongs to the conversation", labels)
    t.run("chain", "verify").expect(OK)


# ---- git-server --------------------------------------------------------------------------------


def git(*argv, cwd=None):
    env = dict(os.environ, GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null",
               GIT_TERMINAL_PROMPT="0", no_proxy="*", GIT_AUTHOR_NAME="Test",
               GIT_AUTHOR_EMAIL="test@example.org", GIT_COMMITTER_NAME="Test",
               GIT_COMMITTER_EMAIL="test@example.org")
    done = subprocess.run(["git", *argv], cwd=cwd, env=env, capture_output=True, text=True,
                          timeout=60)
    check(done.returncode == 0, "git " + " ".join(argv), done.stdout, done.stderr)
    return done.stdout


def test_git_clones_from_the_git_server(t):
    if shutil.which("git") is None:
        raise harness.Skip("git is not installed")
    folder = copy_example(t, "git-server")
    work = os.path.join(t.folder, "work")
    git("init", "--quiet", "--initial-branch=main", work)
    for number in range(20):
        with open(os.path.join(work, "file"), "ab") as file:
            file.write(bytes(range(256)) * number)
        git("add", "file", cwd=work)
        git("commit", "--quiet", "-m", "change %d" % number, cwd=work)
    bare = os.path.join(folder, "repositories", "hello.git")
    os.makedirs(os.path.dirname(bare))
    git("clone", "--quiet", "--bare", work, bare)
    git("repack", "-q", cwd=bare)  # some objects in a pack …
    with open(os.path.join(work, "more"), "w", encoding="utf-8") as file:
        file.write("loose")
    git("add", "more", cwd=work)
    git("commit", "--quiet", "-m", "more", cwd=work)
    git("push", "--quiet", bare, "main", cwd=work)  # … and some loose
    git("update-server-info", cwd=bare)
    live = t.start("run", os.path.join(folder, "manifest.toml"), "--id", "git", "--state",
                   '{"port": 0}')
    port = live.wait_line("listening on port").split()[-1]
    clone = os.path.join(t.folder, "clone")
    git("clone", "--quiet", "http://127.0.0.1:%s/hello.git" % port, clone)
    for name in ("file", "more"):
        with open(os.path.join(clone, name), "rb") as got, \
                open(os.path.join(work, name), "rb") as wanted:
            check(got.read() == wanted.read(), "the clone has the same " + name)
    git("fsck", "--full", cwd=clone)
    check(git("rev-parse", "HEAD", cwd=clone) == git("rev-parse", "HEAD", cwd=work), "the same head")
    live.signal(signal.SIGINT)
    live.wait().sane()
    t.run("chain", "verify").expect(OK)


# ---- mcp-bridge --------------------------------------------------------------------------------

ADD = '{"method":"tools/call","params":{"name":"add","arguments":[20,22]}}'


def ask_bridge(t, *requests):
    """A tool server is never done, so the bridge runs until it is stopped."""
    folder = copy_example(t, "mcp-bridge")
    argv = [part for request in requests for part in ("--request", request)]
    live = t.start("run", os.path.join(folder, "manifest.toml"), "--id", "bridge", "--state",
                   '{"program":"/usr/bin/python3","script":"%s/tools.py"}' % folder, *argv)
    return live


def test_the_bridge_answers_when_the_tool_server_has(t):
    live = ask_bridge(t, '{"method":"tools/list"}', ADD, '{"method":"unknown"}')
    live.wait_line("no such method", "out")
    live.signal(signal.SIGINT)
    run = live.wait().expect(harness.SIGINT_EXIT)
    lines = run.out.splitlines()
    check(lines[0] == '{"tools": [{"name": "add"}]}' and lines[1] == '{"content": 42}' and
          "no such method" in lines[2], "the replies", run)


def test_the_bridge_is_restarted_with_its_tool_server(t):
    live = ask_bridge(t, '{"method":"exit"}', ADD)
    live.wait_line('{"content": 42}', "out")  # the new one answers
    live.signal(signal.SIGINT)
    run = live.wait().expect(harness.SIGINT_EXIT, err="the tool server ended with 3")
    types = [event["type"] for event in t.events("bridge")]
    check("handle-exit" in types and types.count("instance-created") == 2, "a restart", types)


# ---- api-proxy ---------------------------------------------------------------------------------

KEY = "a-key-that-nobody-may-see"


class Api(http.server.BaseHTTPRequestHandler):
    """Is busy twice, then answers those who have the key."""

    def do_GET(self):
        self.server.asked += 1
        status = 503 if self.server.asked <= self.server.busy else 200
        if self.headers.get("Authorization") != "Bearer " + KEY:
            status = 401
        body = b'{"path":"%s"}' % self.path.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def serve(busy):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.asked, server.busy = 0, busy
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def proxy(t, server, *argv):
    return t.run("run", harness.example("api-proxy"), "--id", "proxy", "--state",
                 '{"base":"http://127.0.0.1:%d"}' % server.server_port, "--request", "/things/7",
                 "--until-idle", env=t.env(API_KEY=KEY), *argv)


def test_the_proxy_tries_again_and_keeps_its_key(t):
    server = serve(busy=2)
    run = proxy(t, server).expect(OK, out=['{"path":"/things/7"}'], err="try 2 failed: 503")
    server.shutdown()
    check(server.asked == 3, "it asked three times", server.asked)
    exported = t.run("chain", "export", "proxy").expect(OK).out
    check(KEY not in exported and KEY not in run.err, "the key is in no event and no log")
    log = harness.find(os.path.join(t.data, "log"), "")
    for path in log:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                check(KEY.encode() not in file.read(), "the key is not in " + path)
    t.run("chain", "verify").expect(OK)


def test_the_proxy_gives_up_at_last(t):
    server = serve(busy=100)
    proxy(t, server).expect(REQUEST_FAILED, err="the API answered 503")
    server.shutdown()
    check(server.asked == 5, "it asked five times", server.asked)


if __name__ == "__main__":
    harness.main(globals())
