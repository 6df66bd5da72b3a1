# SPDX-License-Identifier: Apache-2.0
"""Wrong input of every kind gets an exit code and one sentence that says what, where, what to do."""
import os

import harness
from harness import ERROR, OK, check

CORE_MODULE = b"\0asm\1\0\0\0"
EMPTY_COMPONENT = b"\0asm\x0d\0\1\0"


def refused(t, *argv, err, code=ERROR):
    """Runs, expects a refusal without replies or crash reports, in a few lines."""
    run = t.run(*argv).expect(code, out=[], err=err)
    check(len(run.err.splitlines()) <= 6, "the refusal is short", run)
    return run


def test_missing_manifest(t):
    refused(t, "run", "nowhere.toml", err="nowhere.toml")


def test_manifest_is_a_folder(t):
    refused(t, "run", t.folder, err=t.folder)


def test_manifest_is_not_toml(t):
    path = t.write("bad.toml", "name = = 1\n")
    refused(t, "run", path, err="bad.toml:1:")


def test_manifest_is_binary(t):
    path = t.write("bad.toml", bytes(range(256)) * 16)
    refused(t, "run", path, err="bad.toml")


def test_manifest_is_empty(t):
    refused(t, "run", t.write("empty.toml", ""), err="name")


def test_wrong_type_has_line_and_column(t):
    path = t.write("typed.toml", 'name = "x"\nversion = "1"\ncomponent = 7\n')
    refused(t, "run", path, err="typed.toml:3:")


def test_unknown_key_warns_with_line(t):
    component = t.write("empty.wasm", EMPTY_COMPONENT)
    path = t.manifest(component, "initial_stat = 1")
    run = t.run("run", path, "--until-idle")
    check("actor.toml:4" in run.err and "initial_stat" in run.err, "a warning with the line", run)
    check("initial_state" in run.err, "the nearest known key", run)


def test_missing_component(t):
    path = t.manifest("no-such-file.wasm")
    refused(t, "run", path, err="no-such-file.wasm")


def test_function_body_is_invalid(t):
    body = b"\0\x42\0\x0b"  # i64.const 0, where the type says i32
    module = CORE_MODULE + b"\1\5\1\x60\0\1\x7f" + b"\3\2\1\0" + b"\x0a\6\1\4" + body
    t.write("typed.wasm", EMPTY_COMPONENT + b"\1" + bytes([len(module)]) + module)
    refused(t, "run", t.manifest("typed.wasm"),
            err=["typed.wasm", "byte 26, function 0: type mismatch in end: expected i32, found i64"])


def test_component_is_garbage(t):
    t.write("garbage.wasm", b"MZ this is something else entirely" * 10)
    refused(t, "run", t.manifest("garbage.wasm"), err="garbage.wasm")


def test_component_is_empty_file(t):
    t.write("nothing.wasm", b"")
    refused(t, "run", t.manifest("nothing.wasm"), err="nothing.wasm")


def test_component_is_a_core_module(t):
    t.write("core.wasm", CORE_MODULE)
    refused(t, "run", t.manifest("core.wasm"), err=["core.wasm", "component"])


def test_component_is_text(t):
    t.write("text.wasm", "(component)\n")
    refused(t, "run", t.manifest("text.wasm"), err="text.wasm")


def test_component_without_init(t):
    t.write("bare.wasm", EMPTY_COMPONENT)
    refused(t, "run", t.manifest("bare.wasm"), err=["actor", "init"])


def test_truncated_components_are_refused(t):
    manifest = harness.example("counter")
    folder = os.path.dirname(manifest)
    wasm = [name for name in sorted(os.listdir(folder)) if name.endswith(".wasm")]
    if not wasm:
        raise harness.Skip("the example's component is not there")
    with open(os.path.join(folder, wasm[0]), "rb") as file:
        content = file.read()
    for part in range(1, 8):
        t.write("cut.wasm", content[:len(content) * part // 8])
        refused(t, "run", t.manifest("cut.wasm"), err="cut.wasm")


def test_bad_id(t):
    for bad in ("", "a b", "../x", "ä", "x" * 129):
        run = t.run("run", harness.example("counter"), "--id", bad, "--until-idle")
        check(run.code in (ERROR, harness.USAGE), "id %r is refused" % bad, run)
        check("id" in run.err, "the message says it is the id", run)


def test_bad_id_in_manifest(t):
    component = t.write("empty.wasm", EMPTY_COMPONENT)
    refused(t, "run", t.manifest(component, 'id = "no/slash"'), err=["actor.toml:4", "id"])


def test_state_that_is_not_json(t):
    refused(t, "run", harness.example("counter"), "--state", "{broken", "--until-idle", err="state")


def test_state_file_that_is_missing(t):
    refused(t, "run", harness.example("counter"), "--state", "missing.json", "--until-idle",
            err="state")


def test_data_folder_is_a_file(t):
    path = t.write("file", "x")
    refused(t, "run", harness.example("counter"), "--data", path, "--until-idle", err=path)


def test_data_folder_of_another_version(t):
    os.makedirs(t.data, mode=0o700)
    t.write("data/VERSION", "999\n")
    refused(t, "run", harness.example("counter"), "--until-idle", err="VERSION")


def test_chain_of_unknown_actor(t):
    t.run("run", harness.example("counter"), "--id", "counter", "--until-idle").expect(OK)
    refused(t, "chain", "show", "nobody", err="nobody")


def test_chain_without_a_data_folder(t):
    run = t.run("chain", "list", "--data", os.path.join(t.folder, "absent"))
    run.expect(ERROR, err="absent")
    check(not os.path.exists(os.path.join(t.folder, "absent")), "a reading command makes nothing")


harness.main(globals())
