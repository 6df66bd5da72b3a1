# SPDX-License-Identifier: Apache-2.0
"""Permissions: what is denied is an error for the guest and an event in the chain, and no
restriction is lost on the way down the supervision tree."""
import harness
from harness import OK, REQUEST_FAILED, check


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


harness.main(globals())
