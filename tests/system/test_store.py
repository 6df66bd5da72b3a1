# SPDX-License-Identifier: Apache-2.0
"""The content store: what actors keep in it, who may read it, and what no crash, damage or full disk
may do to it."""
import glob
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess

import harness
from harness import BAD_CHAIN, ERROR, OK, REQUEST_FAILED, USAGE, check

HANDLERS = ("store", "supervisor")
CHUNK = 4096  # larger contents are in the chain by their hash
REFERENCE_TAG = 29285


def sha(content):
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def keeper(t, text="", handlers=HANDLERS, file="keeper.toml"):
    """A manifest for the keeper (tests/guests/keeper), whose component lies beside it."""
    if not os.path.exists(os.path.join(t.folder, "keeper.wasm")):
        shutil.copy(harness.guest("keeper/keeper.wasm"), os.path.join(t.folder, "keeper.wasm"))
    blocks = "".join('\n[[handler]]\ntype = "%s"\n' % name for name in handlers)
    return t.manifest("keeper.wasm", blocks + text, name="keeper", file=file)


def ask(t, *messages, actor="a", code=OK, manifest=None, **options):
    """Runs the keeper as `actor` with these requests, in order; gives the answers. "@" in a request
    is the store that new_store made for the actor."""
    argv = ["run", manifest or keeper(t), "--id", actor]
    own = getattr(t, "stores", {}).get(actor)
    for message in messages:
        argv += ["--request", message.replace(" @", " " + own, 1) if own else message]
    run = t.run(*argv, "--until-idle", **options).expect(code)
    return run.err if code != OK else run.out.splitlines()


def new_store(t, actor="a", manifest=None):
    t.stores = getattr(t, "stores", {})
    t.stores[actor] = ask(t, "new", actor=actor, manifest=manifest)[0]
    return t.stores[actor]


def content_file(t, digits):
    return os.path.join(t.data, "store", digits[:2], digits[2:])


def put_file(t, content):
    """A content that nothing names, as a crash may leave one."""
    path = content_file(t, sha(content))
    with open(path, "wb") as file:
        file.write(content.encode())
    return path


def tags(value):
    """All references in an event's data."""
    if isinstance(value, dict):
        if value.get("tag") == REFERENCE_TAG:
            return [(value["value"][0]["hex"], value["value"][1])]
        return [found for item in value.values() for found in tags(item)]
    return [found for item in value for found in tags(item)] if isinstance(value, list) else []


def test_contents_and_labels_do_what_the_interface_says(t):
    one, two, three = sha("one"), sha("two"), sha("three")
    store = new_store(t)
    check(len(store) == 36, "a store's id is a UUID", store)
    answers = ask(
        t, "put @ one", "put @ one", "get @ " + one, "exists @ " + one, "exists @ " + two,
        "total @", "contents @", "labels @", "find @ l", "label @ l " + one, "find @ l",
        "put-at @ l two", "find @ l", "label @ l " + one, "find @ l", "put-at @ a/b two",
        "labels @", "remove-from @ l " + one, "find @ l", "put @ three",
        "replace-label @ l " + three, "find @ l", "remove-from @ l " + three, "find @ l",
        "replace @ l one", "put-at @ l two", "replace @ l three", "find @ l", "remove @ l",
        "find @ l", "remove @ l", "get @ " + three, "total @", "contents @")
    check(answers == [
        one, one, "one", "1", "0", "3", one, "", "none", "ok", one, two, two, "ok", one, two,
        "a/b l", "ok", two, three, "ok", three, "ok", "none", one, two, three, three, "ok", "none",
        "ok", "three", "11", " ".join(sorted([one, two, three]))], "answers", answers)


def test_errors_say_what_is_wrong(t):
    new_store(t)
    absent = sha("absent")
    cases = (
        ("get @ " + absent, "content does not exist: " + absent),
        ("label @ l " + absent, "content does not exist: " + absent),
        ("get @ " + absent.upper(), "64 lower-case hexadecimal digits"),
        ("get @ ../../../etc/passwd", "64 lower-case hexadecimal digits"),
        ("put ../x text", "store not found"),
        ("total 00000000-0000-4000-8000-000000000000", "store not found"),
        ("put-at @ %s text" % ("x" * 1025), "a label has at most 1024 bytes, not 1025"),
    )
    for message, text in cases:
        error = ask(t, message, code=REQUEST_FAILED)
        check(text in error, "%r answers %r" % (message, text), error)
        check(t.data not in error, "and names no path of the host", error)


def test_another_actors_store_does_not_exist(t):
    one = sha("one")
    store = new_store(t)
    ask(t, "put-at @ l one")
    for command in ("get %s " + one, "put %s x", "exists %s " + one, "find %s l", "labels %s",
                    "label %s l " + one, "contents %s", "total %s", "put-at %s l x",
                    "replace %s l x", "replace-label %s l " + one, "remove %s l",
                    "remove-from %s l " + one):
        error = ask(t, command % store, actor="b", code=REQUEST_FAILED)
        check("store not found" in error, "%r is refused" % command, error)
    # Nor does its content, under whatever hash, in a store of one's own.
    new_store(t, actor="b")
    error = ask(t, "get @ " + one, actor="b", code=REQUEST_FAILED, manifest=keeper(t))
    check("store not found" in error or "content does not exist" in error, "b has nothing", error)
    check(ask(t, "find %s l" % store, "get %s %s" % (store, one)) == [one, "one"], "a has it all")


def test_a_store_outlives_its_actors_instances(t):
    store = new_store(t)
    ask(t, "put-at %s l one" % store)
    check(ask(t, "find %s l" % store, "total %s" % store) == [sha("one"), "3"], "in a later run")
    lines = [json.loads(line) for line in t.run("store", "list", "--json").expect(OK).out.splitlines()]
    check([(line["id"], line["owner"], line["contents"], line["bytes"], line["references"])
           for line in lines] == [(store, "a", 1, 3, 1)], "theater store list", lines)
    listed = t.run("store", "labels", store[:8]).expect(OK).out
    check(listed == '%s  "l"\n' % sha("one"), "theater store labels", listed)
    t.run("store", "get", sha("one")).expect(OK, ["one"])
    t.run("store", "get", "store://%s/l" % store).expect(OK, ["one"])
    t.run("store", "get", "store://%s/none" % store).expect(ERROR, err="label not found: none")
    t.run("store", "get", sha("two")).expect(ERROR, err="content does not exist")


def test_large_contents_are_in_the_chain_by_their_hash(t):
    new_store(t)
    small, large = sha("b" * CHUNK), sha("b" * (CHUNK + 1))
    answers = ask(t, "big @ %d" % CHUNK, "big @ %d" % (CHUNK + 1), "measure @ " + small,
                  "measure @ " + large)
    check(answers == [small, large, str(CHUNK), str(CHUNK + 1)], "answers", answers)
    events = t.events("a")
    found = [tag for event in events for tag in tags(event["data"])]
    check(found == [(large, CHUNK + 1)] * 2, "what was put and what was got", found)
    inline = [event for event in events if "b" * CHUNK in json.dumps(event["data"])]
    check(len(inline) == 2 and not any("b" * (CHUNK + 1) in json.dumps(event) for event in events),
          "the small one is in the chain itself, twice")
    t.run("chain", "verify").expect(OK)


def test_component_and_manifest_are_kept_for_the_chain(t):
    manifest = keeper(t)
    ask(t, "new", manifest=manifest)
    with open(os.path.join(t.folder, "keeper.wasm"), "rb") as file:
        component = file.read()
    spawned = t.events("a")[0]["data"]
    check(spawned["5"]["hex"] == sha(component), "the chain names the component")
    with open(content_file(t, sha(component)), "rb") as file:
        check(file.read() == component, "and the store has it")
    with open(content_file(t, spawned["4"]["hex"])) as file, open(manifest) as original:
        check(file.read() == original.read(), "and the manifest")


def test_the_handler_is_needed_and_a_policy_can_forbid_it(t):
    run = t.run("run", keeper(t, handlers=("supervisor",)), "--until-idle").expect(ERROR)
    check('add [[handler]] type = "store"' in run.err, "the block to add is named", run)
    policy = '\n[permission_policy.store]\ntype = "disallow"\n'
    run = t.run("run", keeper(t, policy), "--id", "a", "--request", "new", "--until-idle")
    run.expect(REQUEST_FAILED, err="permission denied: ")
    kinds = [event["type"] for event in t.events("a")]
    check("permission-denied" in kinds, "the denial is an event", kinds)


def test_keys_without_effect_are_warned_of(t):
    manifest = t.manifest("keeper.wasm", '[[handler]]\ntype = "supervisor"\n[[handler]]\n'
                          'type = "store"\nbase_path = "x"\nstore_id = "y"\n')
    shutil.copy(harness.guest("keeper/keeper.wasm"), t.folder)
    run = t.run("run", manifest, "--until-idle").expect(OK)
    run.expect(OK, err=["handler.store.base_path has no effect", "handler.store.store_id has no"])


def test_quotas_end_with_an_error(t):
    manifest = t.manifest("keeper.wasm", '[[handler]]\ntype = "supervisor"\n[[handler]]\n'
                          'type = "store"\nmax_bytes = 10\nmax_contents = 3\n')
    shutil.copy(harness.guest("keeper/keeper.wasm"), t.folder)
    new_store(t, manifest=manifest)
    ask(t, "put @ 12345678", manifest=manifest)
    error = ask(t, "put @ 123", manifest=manifest, code=REQUEST_FAILED)
    check("over the limit of 10 (max_bytes" in error, "bytes", error)
    ask(t, "put @ a", "put @ b", manifest=manifest)
    error = ask(t, "put @ ", manifest=manifest, code=REQUEST_FAILED)
    check("3 is the limit (max_contents" in error, "contents", error)
    check(ask(t, "put @ a", "total @", manifest=manifest)[1] == "10", "what is there may be put")


def test_a_policy_narrows_the_quotas(t):
    policy = ('\n[permission_policy.store]\ntype = "restrict"\n'
              '[permission_policy.store.config]\nmax_bytes = 5\n')
    manifest = keeper(t, policy)
    keeper(t, file="child.toml")
    new_store(t, manifest=manifest)
    error = ask(t, "put @ 123456", manifest=manifest, code=REQUEST_FAILED)
    check("over the limit of 5 (max_bytes" in error, "the actor's own", error)
    run = t.run("run", manifest, "--id", "p", "--request", "family 1 1 child.toml", "--until-idle")
    run.expect(OK, err="failed: the actor's stores hold 0 bytes; with 9 more that is over")


def test_a_list_that_is_too_long_is_an_error(t):
    manifest = keeper(t, "\n[limits]\nmessage_bytes = 3000\n")
    new_store(t, manifest=manifest)
    ask(t, "many @ 40", manifest=manifest)
    check(len(ask(t, "labels @", manifest=manifest)[0].split()) == 40, "40 labels fit")
    error = ask(t, "many @ 50", "contents @", manifest=manifest, code=REQUEST_FAILED)
    check("more than 3000 bytes (limits.message_bytes)" in error, "50 hashes do not", error)
    ask(t, "big @ 2900", manifest=manifest)
    error = ask(t, "big @ 3001", "measure @ " + sha("b" * 3001), manifest=manifest,
                code=REQUEST_FAILED)
    check("limits.message_bytes" in error, "nor does a content", error)


# ---- references --------------------------------------------------------------------------------


def test_manifests_components_and_states_come_from_stores(t):
    store = new_store(t)
    with open(harness.guest("keeper/keeper.wasm"), "rb") as file:
        component = file.read()
    text = ('name = "child"\nversion = "1"\ncomponent = "store://%s/code"\n'
            'init_state = "store://%s/hash/%s"\n'
            '[[handler]]\ntype = "store"\n[[handler]]\ntype = "supervisor"\n'
            % (store, store, sha('"state"')))
    ask(t, "hex-at @ code " + component.hex(), 'put @ "state"', "put-at @ child/manifest " + text)
    reference = "store://%s/child/manifest" % store
    # The actor itself, from the whole of it and from a text that refers to it.
    for manifest in (reference, text):
        child = ask(t, "spawn " + manifest)[0]
        spawned = t.events(child)[0]["data"]
        check(spawned["5"]["hex"] == sha(component), "the component is that", spawned)
        check(spawned["8"]["text"] == '"state"', "and the state", spawned)
    # The user, who may read every store.
    t.run("run", reference, "--until-idle").expect(OK)
    # Another actor may not.
    for manifest in (reference, text):
        error = ask(t, "spawn " + manifest, actor="b", code=REQUEST_FAILED)
        check("store not found" in error, "b is refused", error)
    error = ask(t, "spawn store://%s/none" % store, code=REQUEST_FAILED)
    check("label not found: none" in error, "no such label", error)
    # Beside the manifest that came from a store is that store, never a file of the host.
    ask(t, "put-at @ rel/manifest " + text.replace("store://%s/code" % store, "../keeper.wasm"))
    error = ask(t, "spawn store://%s/rel/manifest" % store, code=REQUEST_FAILED)
    check("label not found" in error, "nothing beside it", error)


# ---- collection --------------------------------------------------------------------------------


def collected(run):
    words = run.expect(OK).out.split()
    numbers = [int(word) for word in words if word.isdigit()]
    return numbers[0], numbers[2]  # removed, in use


def test_collection_keeps_what_labels_and_chains_refer_to(t):
    new_store(t)
    ask(t, "put-at @ l labelled", "put @ mentioned", "big @ 5000")
    stray = put_file(t, "stray")
    kept = 3 + 3  # with component, manifest, and where that came from
    check(collected(t.run("store", "gc", "--dry-run")) == (1, kept), "it would remove the stray")
    check(os.path.exists(stray), "but did not yet")
    check(collected(t.run("store", "gc")) == (1, kept), "it removes the stray")
    check(not os.path.exists(stray), "and it is gone")
    check(ask(t, "get @ " + sha("mentioned"), "find @ l", "measure @ " + sha("b" * 5000)) ==
          ["mentioned", sha("labelled"), "5000"], "the rest is there")
    t.run("store", "verify").expect(OK)
    # Without the chains there are the labels.
    shutil.rmtree(os.path.join(t.data, "log"))
    os.mkdir(os.path.join(t.data, "log"))
    check(collected(t.run("store", "gc")) == (5, 1), "only the label's content stays")
    t.run("store", "verify").expect(OK)
    listed = json.loads(t.run("store", "list", "--json").expect(OK).out)
    check((listed["contents"], listed["bytes"]) == (1, len("labelled")), "and is counted", listed)


def test_collection_is_alone_and_needs_a_good_log(t):
    live = t.start("run", keeper(t), "--id", "a", "--request", "new")
    live.wait_line("started")
    t.run("store", "gc").expect(ERROR, err="is in use by process %d" % live.pid)
    t.run("store", "list").expect(OK)
    live.signal(signal.SIGINT)
    live.wait()
    stray = put_file(t, "stray")
    segment = harness.log_segments(t.data)[0]
    harness.flip_byte(segment, 200)
    run = t.run("store", "gc").expect(ERROR)
    check(os.path.basename(segment) in run.err, "the damage is located", run)
    check(os.path.exists(stray), "and nothing was removed")


def test_collection_removes_nothing_when_the_log_lost_its_end(t):
    for name in ("a", "b"):
        t.run("run", keeper(t), "--id", name, "--request", "new", "--until-idle").expect(OK)
    stray = put_file(t, "stray")
    segment = harness.log_segments(t.data)[-1]
    os.rename(segment, segment + ".away")
    t.run("store", "gc").expect(ERROR, err="the catalogue knows")
    check(os.path.exists(stray), "nothing was removed")
    os.rename(segment + ".away", segment)
    t.run("store", "gc").expect(OK)
    check(not os.path.exists(stray), "with all of the log it is removed")


# ---- damage and crashes ------------------------------------------------------------------------


def test_damage_is_an_error_and_never_wrong_bytes(t):
    new_store(t)
    ask(t, "put @ one", "put @ two", "big @ 5000")
    damaged, missing = sha("one"), sha("two")
    os.chmod(content_file(t, damaged), 0o600)
    harness.flip_byte(content_file(t, damaged), 1)
    os.remove(content_file(t, missing))
    error = ask(t, "get @ " + damaged, code=REQUEST_FAILED)
    check("content %s is damaged" % damaged in error, "the actor is told", error)
    run = t.run("store", "verify").expect(BAD_CHAIN)
    check("content %s is damaged" % damaged in run.out, "verify names it", run)
    check("content %s is missing" % missing in run.out, "and what is gone", run)
    check("damaged: 1, missing: 1" in run.out, "and counts", run)
    t.run("store", "get", damaged).expect(ERROR, out=[], err="is damaged")
    check(ask(t, "put @ one", "put @ two", "get @ " + damaged) == [damaged, missing, "one"],
          "storing them again repairs")
    t.run("store", "verify").expect(OK)


def test_kill_at_any_moment_leaves_a_sound_store(t):
    chance = random.Random(4)
    store = new_store(t)
    for _ in range(8):
        live = t.start("run", keeper(t), "--id", "a", "--send", "many %s 1000000" % store)
        wanted = len(glob.glob(os.path.join(t.data, "store", "??", "*"))) + chance.randrange(60)
        harness.wait_until(lambda: len(glob.glob(os.path.join(t.data, "store", "??", "*"))) >= wanted,
                           what="contents")
        live.signal(signal.SIGKILL)
        live.process.wait()
        t.run("store", "verify").expect(OK)
        t.run("chain", "verify").expect(OK)
    # Whatever the chain says was stored is there.
    stored = [call[0][1][0] for event in t.events("a") for call in event["data"].get("5", [])
              if len(call) == 1 and isinstance(call[0], list) and call[0][0] == 0 and
              isinstance(call[0][1], list)]
    check(len(stored) > 8, "the chain has results of store-at-label", stored[:3])
    for digits in stored:
        with open(content_file(t, digits), "rb") as file:
            check(sha(file.read()) == digits, "and their contents are there", digits)
    labels = ask(t, "labels @", "find @ 0", "get @ " + sha("content 0"))
    check(labels[1:] == [sha("content 0"), "content 0"], "what was put is there", labels)
    left = glob.glob(os.path.join(t.data, "store", "new", "*"))
    check(left == [], "nothing unfinished is left", left)


def test_stopping_in_the_middle_leaves_a_sound_store(t):
    store = new_store(t)
    live = t.start("run", keeper(t), "--id", "a", "--send", "many %s 1000000" % store)
    harness.wait_until(lambda: len(glob.glob(os.path.join(t.data, "store", "??", "*"))) > 20,
                       what="contents")
    live.signal(signal.SIGTERM)
    live.wait().expect(harness.SIGTERM_EXIT)
    t.run("store", "verify").expect(OK)
    t.run("chain", "verify").expect(OK)


def test_many_actors_store_at_once(t):
    """Each in a store of its own, the same contents in all of them."""
    members, count = 12, 40
    t.run("run", keeper(t), "--id", "boss", "--request",
          "family %d %d keeper.toml" % (members, count), "--until-idle").expect(OK)
    lines = [json.loads(line) for line in t.run("store", "list", "--json").expect(OK).out.splitlines()]
    check(len(set(line["owner"] for line in lines)) == members, "each has one", lines)
    check(all((line["contents"], line["references"]) == (count, count) for line in lines),
          "and all contents and labels", lines)
    files = glob.glob(os.path.join(t.data, "store", "??", "*"))
    # With component and manifest, and where that came from: for the user, and for an actor.
    check(len(files) == count + 4, "each content is kept once", len(files))
    t.run("store", "verify").expect(OK)
    t.run("chain", "verify").expect(OK)


def test_a_full_disk_is_an_error_of_the_call(t):
    new_store(t)
    folder = os.path.join(t.data, "store")
    os.rename(folder, folder + ".old")
    os.mkdir(folder)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder],
                           stderr=subprocess.DEVNULL, check=False)
    if mount.returncode != 0:
        raise harness.Skip("mounting a small disk needs root")
    t.mounts.append(folder)
    error = ask(t, "big @ 2000000", code=REQUEST_FAILED)
    check("No space left on device" in error, "it says why", error)
    check(t.data not in error.split("reply")[-1] or "cannot be stored" in error, "as an error", error)
    large = sha("b" * 100000)
    check(ask(t, "big @ 100000", "measure @ " + large, "total @") == [large, "100000", "100000"],
          "and the store goes on")
    t.run("store", "verify").expect(OK)


def test_wrong_usage_is_explained(t):
    for argv, text in ((["frobnicate"], "list, labels STORE"), (["get"], "which content?"),
                       (["labels"], "which store?"), (["list", "x"], "does not take 'x'"),
                       (["list", "--dry-run"], "--dry-run is for gc"),
                       (["gc", "--frobnicate"], "no option"), ([], "list, labels STORE")):
        t.run("store", *argv).expect(USAGE, err=text)
    t.run("store", "list").expect(ERROR, err="cannot open")
    t.run("store", "gc").expect(ERROR)
    check(not os.path.exists(t.data), "asking makes no data folder")
    new_store(t)
    t.run("store", "get", "abc").expect(ERROR, err="64 lower-case hexadecimal digits")
    t.run("store", "labels", "zzz").expect(ERROR, err="there is no store 'zzz'")


harness.main(globals())
