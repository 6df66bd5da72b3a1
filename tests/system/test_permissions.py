# SPDX-License-Identifier: Apache-2.0
"""Permissions: what is denied is an error for the guest and an event in the chain, and no
restriction is lost on the way down the supervision tree."""
import os
import shutil

import harness
from harness import ERROR, OK, REQUEST_FAILED, check


RANDOM_4 = "max_bytes = 4, max_int = 100, allow_crypto_secure = false"


def policy(kind, config=None, type="restrict"):
    text = "[permission_policy.%s]\ntype = \"%s\"\n" % (kind, type)
    return text + ("config = { %s }\n" % config if config else "")


def denials(t, actor):
    """The data of the actor's permission-denied events, oldest first."""
    return [event["data"] for event in t.events(actor) if event["type"] == "permission-denied"]


# ---- events ----------------------------------------------------------------------------------------

def test_a_denial_is_an_error_and_an_event(t):
    run = t.requests(t.probe(policy("random", RANDOM_4)), "random 4", "random 5")
    run.expect(REQUEST_FAILED, err="permission denied: 5 random bytes are over the limit of 4")
    found = denials(t, "a")
    check(len(found) == 1, "one event", found)
    check(found[0] == {"1": "random", "2": "random.random-bytes",
                       "3": "5 random bytes are over the limit of 4"}, "what and why", found)


def test_the_event_of_a_denial_stands_before_that_of_its_leg(t):
    t.requests(t.probe(policy("random", RANDOM_4)), "random 5").expect(REQUEST_FAILED)
    types = [event["type"] for event in t.events("a")]
    at = types.index("permission-denied")
    check(types[at + 1] == "handle-request" and "handle-request" not in types[:at], "order", types)
    t.run("chain", "verify").expect(OK)


def test_a_forbidden_interface_is_denied_at_each_call(t):
    manifest = t.probe(policy("timing", type="disallow") + policy("supervisor", type="disallow"))
    run = t.requests(manifest, "sleep 1", "children")
    run.expect(REQUEST_FAILED, err="permission denied: timing.sleep is not permitted (timing)")
    check(run.out.splitlines() == [""], "no children, no list", run)
    check([one["2"] for one in denials(t, "a")] == ["timing.sleep", "supervisor.list-children"],
          "both are recorded", denials(t, "a"))


def test_a_forbidden_function_that_cannot_fail_traps(t):
    run = t.requests(t.probe(policy("timing", type="disallow")), "now").expect(REQUEST_FAILED)
    check("permission denied: timing.now is not permitted (timing)" in run.err, "the trap", run)
    check(len(denials(t, "a")) == 1, "recorded before the crash", denials(t, "a"))


def test_messages_may_be_forbidden(t):
    manifest = t.probe(policy("message_server", type="disallow"))
    run = t.requests(manifest, "send a x").expect(REQUEST_FAILED)
    check("permission denied: the actor may not send messages to a" in run.err, "the error", run)


def test_whom_an_actor_may_not_address_it_cannot_find_out(t):
    manifest = t.probe(policy("message_server", 'targets = ["parent"]'))
    run = t.requests(manifest, "send a x", "send nobody x").expect(REQUEST_FAILED)
    for target in ("a", "nobody"):
        check("permission denied: the actor may not send messages to " + target in run.err,
              "the same for " + target, run)
    check(len(denials(t, "a")) == 2, "both are recorded", denials(t, "a"))


def test_a_manifest_out_of_reach_is_a_denial(t):
    t.probe(file="outside.toml")
    os.makedirs(os.path.join(t.folder, "inner"))
    shutil.copy(harness.guest("probe/probe.wasm"), os.path.join(t.folder, "inner", "probe.wasm"))
    parent = t.probe(file="inner/parent.toml")
    run = t.requests(parent, "spawn ../outside.toml", "spawn missing.toml").expect(REQUEST_FAILED)
    check("permission denied: it lies outside the folder of the manifest" in run.err, "why", run)
    found = denials(t, "a")
    check(len(found) == 1 and found[0]["2"] == "supervisor.spawn", "recorded, once", found)


# ---- down the tree ---------------------------------------------------------------------------------

def tree(t, top="", middle="", bottom="", leaf="probe"):
    """Manifests of a parent, its child "mid" and the child's child "leaf", each with its policy.
    Gives the parent's."""
    t.probe('id = "mid"\n' + middle, file="mid.toml")
    if leaf == "files":
        shutil.copy(harness.guest("files/files.wasm"), os.path.join(t.folder, "files.wasm"))
        blocks = ('[[handler]]\ntype = "environment"\nallow_list_all = true\n'
                  'allowed_prefixes = ["FILES_"]\n[[handler]]\ntype = "filesystem"\n'
                  'path = "root"\nexecute = false\n')
        t.manifest("files.wasm", 'id = "leaf"\n' + bottom + blocks, name="leaf", file="leaf.toml")
        os.makedirs(os.path.join(t.folder, "root", "open"), exist_ok=True)
    else:
        t.probe('id = "leaf"\n' + bottom, file="leaf.toml")
    return t.probe(top)


def ask_leaf(t, parent, *messages, **options):
    """Starts the tree and asks the leaf. Gives its answers, and the errors."""
    run = t.requests(parent, "spawn mid.toml", "request mid spawn leaf.toml",
                     *["request mid request leaf " + message for message in messages], **options)
    check(run.out.splitlines()[:2] == ["mid", "leaf"], "the tree is there", run)
    errors = [line.split("request failed: ", 1)[1] for line in run.err.splitlines()
              if "request failed: " in line]
    return run.out.splitlines()[2:], errors


def random_at_most(number):
    return policy("random", "max_bytes = %d, max_int = 1000, allow_crypto_secure = true" % number)


def test_the_smallest_number_of_three_levels_rules(t):
    for bounds in ((4, 100, 100), (100, 4, 100), (100, 100, 4)):
        parent = tree(t, *[random_at_most(bound) for bound in bounds])
        answers, errors = ask_leaf(t, parent, "random 4", "random 5")
        check(len(answers) == 1, "four are right", bounds, answers)
        check(errors == ["permission denied: 5 random bytes are over the limit of 4"], "five", errors)
        shutil.rmtree(t.data)


def test_the_narrowest_list_of_three_levels_rules(t):
    env = t.env(FILES_A="a", FILES_B="b", FILES_C="c", FILES_D="d")
    asked = ["var FILES_" + letter for letter in "ABCD"] + ["vars"]
    lists = ('allowed_vars = ["FILES_A", "FILES_B"], allow_list_all = true',
             'allowed_prefixes = ["FILES_"], denied_vars = ["FILES_A"], allow_list_all = true',
             'allowed_vars = ["FILES_A", "FILES_B", "FILES_C"], allow_list_all = true')
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        layers = [policy("environment", lists[index]) for index in order]
        answers, _ = ask_leaf(t, tree(t, *layers, leaf="files"), *asked, env=env)
        check(answers == ["(not set)", "b", "(not set)", "(not set)", "FILES_B=b"], "B alone", answers)
        check([one["2"] for one in denials(t, "leaf")] == ["environment.get-var"] * 3, "recorded")
        shutil.rmtree(t.data)


def test_an_empty_list_permits_nothing_and_an_absent_one_what_is_above(t):
    env = t.env(FILES_A="a")
    rights = "read = true, write = true, execute = false"
    for top, middle, reads, var in (
            (policy("file_system", rights + ", allowed_paths = []"), "", False, True),
            (policy("file_system", rights), policy("file_system", rights), True, True),
            ("", policy("environment", "allow_list_all = true"), True, False),
            (policy("environment", "allow_list_all = true, allowed_vars = []"),
             policy("environment", 'allow_list_all = true, allowed_vars = ["FILES_A"]'), True, False)):
        parent = tree(t, top, middle, leaf="files")
        answers, errors = ask_leaf(t, parent, "var FILES_A", "list .", env=env)
        check(answers[0] == ("a" if var else "(not set)"), "the variable", top, middle, answers)
        check(answers[1:] == (["open"] if reads else []), "the folder", top, middle, answers)
        check(errors == ([] if reads else ["permission denied: . is not permitted (allowed_paths)"]),
              "the error", errors)
        shutil.rmtree(t.data)


def test_folders_and_flags_narrow_on_every_level(t):
    rights = "read = true, write = %s, execute = true, allowed_paths = [%s]"
    layers = [policy("file_system", rights % pair) for pair in (
        ("true", '"root/open", "other"'), ("false", '"."'), ("true", '"root"'))]
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        parent = tree(t, *[layers[index] for index in order], leaf="files")
        answers, errors = ask_leaf(t, parent, "list open", "list .", "write open/a x")
        check(answers == [""], "only this folder", order, answers)
        check(errors == ["permission denied: . is not permitted (allowed_paths)",
                         "permission denied: writing is not permitted (write)"], "", order, errors)
        shutil.rmtree(t.data)


def test_what_a_parent_may_not_give_it_cannot_give(t):
    # The middle one asks for everything; its parent forbids timing.
    parent = tree(t, policy("timing", type="disallow"), policy("timing", type="inherit"),
                  policy("timing", "max_sleep_duration = 1000, min_sleep_duration = 0"))
    _, errors = ask_leaf(t, parent, "sleep 1")
    check(errors == ["permission denied: timing.sleep is not permitted (timing)"], "", errors)
    check(len(denials(t, "leaf")) == 1, "in the leaf's own chain", denials(t, "leaf"))


def test_a_child_of_one_that_may_not_supervise_cannot_either(t):
    tree(t)
    parent = t.probe(policy("supervisor", type="inherit"))
    t.probe('id = "mid"\n' + policy("supervisor", type="disallow"), file="mid.toml")
    run = t.requests(parent, "spawn mid.toml", "request mid spawn leaf.toml")
    run.expect(REQUEST_FAILED, out=["mid"],
               err="permission denied: supervisor.spawn is not permitted (supervisor)")


def test_targets_must_be_named_on_every_level(t):
    parent = tree(t, policy("message_server", 'targets = ["children", "parent"]'),
                  policy("message_server", 'targets = ["parent", "children", "a"]'))
    answers, errors = ask_leaf(t, parent, "send mid hello", "send a hello", "send leaf hello")
    check(answers == ["ok"], "its parent", answers)
    check(errors == ["permission denied: the actor may not send messages to a",
                     "permission denied: the actor may not send messages to leaf"], "", errors)


# ---- the node --------------------------------------------------------------------------------------

def permit(t, *arguments, file="bound.toml", text=None):
    t.write(file, text if text is not None else random_at_most(4))
    argv = ["run", t.probe(), "--id", "a", "--request", "random 4", "--request", "random 5",
            "--until-idle"]
    return t.run(*argv, *arguments)


def test_the_node_may_be_bounded_by_a_file(t):
    permit(t, "--permit", "bound.toml").expect(REQUEST_FAILED, err="over the limit of 4")
    permit(t).expect(OK)


def test_the_nodes_bound_may_lie_in_its_data_folder(t):
    permit(t, file="data/permissions.toml").expect(REQUEST_FAILED, err="over the limit of 4")
    permit(t, "--permit", "wide.toml", file="wide.toml", text="").expect(OK)


def test_the_nodes_bound_reaches_grandchildren(t):
    t.write("data/permissions.toml", random_at_most(4))
    _, errors = ask_leaf(t, tree(t), "random 5")
    check(errors == ["permission denied: 5 random bytes are over the limit of 4"], "", errors)


def test_a_bound_that_cannot_be_read_starts_nothing(t):
    for text, said in (("[permission_polcy.random]\ntype = \"disallow\"\n", "permission_polcy"),
                       ("[permission_policy.randon]\ntype = \"disallow\"\n", 'did you mean "random"'),
                       ("[permission_policy.random]\ntype = \"restrict\"\n", "is missing"),
                       ("not toml", "bound.toml:1"), (b"\xff", "invalid UTF-8")):
        permit(t, "--permit", "bound.toml", text=text).expect(ERROR, out=[], err=said)
    permit(t, "--permit", "missing.toml").expect(ERROR, out=[], err="missing.toml")


def test_a_link_in_the_nodes_folder_leads_nobody_out(t):
    os.makedirs(os.path.join(t.folder, "root"))
    os.makedirs(os.path.join(t.folder, "outside", "open"))
    os.symlink("../outside", os.path.join(t.folder, "root", "way"))
    shutil.copy(harness.guest("files/files.wasm"), os.path.join(t.folder, "files.wasm"))
    blocks = ('[[handler]]\ntype = "environment"\nallowed_vars = []\n[[handler]]\n'
              'type = "filesystem"\npath = "root/way"\nexecute = false\n')
    manifest = t.manifest("files.wasm", blocks)
    t.write("bound.toml", policy("file_system", 'read = true, write = true, execute = true, '
                                                'allowed_paths = ["root"]'))
    t.requests(manifest, "list .").expect(OK, out=["open"])
    run = t.run("run", manifest, "--request", "list .", "--until-idle", "--permit", "bound.toml")
    run.expect(REQUEST_FAILED, out=[], err="the folder of the filesystem handler")


harness.main(globals())
