// SPDX-License-Identifier: Apache-2.0
// The initial state, what is merged over it, and the variables that are filled from it.
#include "base/file.h"
#include "load.h"

#define EXPECT_STATE(loaded, text)                                               \
    do {                                                                         \
        REQUIRE_OK((loaded).status, (loaded).error);                             \
        struct buf copy_ = {0};                                                  \
        buf_append_slice(&copy_, bytes_slice((loaded).manifest->initial_state)); \
        EXPECT_TEXT(buf_text(&copy_), text);                                     \
        buf_release(&copy_);                                                     \
    } while (0)

// The manifest's text after substitution is `wanted` when filled from `state`.
static void expect_filled(int line, const char *text, const char *state, const char *wanted) {
    struct buf whole = {0}, expected = {0};
    buf_format(&whole, HEAD "%s\n", text);
    buf_format(&expected, HEAD "%s\n", wanted);
    struct loaded loaded = load_state(buf_text(&whole), state);
    if (loaded.status != OK) {
        test_report(__FILE__, line, "failed: %s", loaded.error.message);
    } else if (!slice_equal(bytes_slice(loaded.manifest->text), buf_slice(&expected))) {
        test_report(__FILE__, line, "text is \"%.*s\"", (int)loaded.manifest->text->size,
                    (const char *)loaded.manifest->text->data);
    }
    drop(&loaded);
    buf_release(&whole);
    buf_release(&expected);
}
#define EXPECT_FILLED(text, state, wanted) expect_filled(__LINE__, text, state, wanted)

static void expect_refused(int line, const char *text, const char *state, const char *part) {
    struct loaded loaded = load_state(text, state);
    if (loaded.status == OK || strstr(loaded.error.message, part) == NULL) {
        test_report(__FILE__, line, "error is \"%s\"", loaded.error.message);
    }
    drop(&loaded);
}
#define EXPECT_REFUSED(text, state, part) expect_refused(__LINE__, text, state, part)

TEST(inline_state_stays_as_it_was_written) {
    struct loaded loaded = load_text(HEAD "initial_state = ' {\"a\": 0.10} '\n");
    EXPECT_STATE(loaded, "{\"a\": 0.10}");
    drop(&loaded);
    EXPECT_ERROR(HEAD "initial_state = '{\"a\": }'\n",
                 "manifest:3:17: initial_state: not a JSON document: line 1, column 7: not JSON");
    EXPECT_ERROR(HEAD "initial_state = '{\"a\": 1, \"a\": 2}'\n", "a key appears twice");
    EXPECT_ERROR(HEAD "initial_state = 3\n", "expected a string that holds JSON");
    EXPECT_ERROR(HEAD "initial_state = '1'\ninit_state = 'x'\n", "keep one of them");
}

TEST(state_given_at_start_is_merged) {
    struct loaded loaded = load_state(HEAD "initial_state = '{\"a\": 1, \"b\": {\"c\": 2}}'\n",
                                      "{\"b\": {\"d\": 3}, \"e\": null}");
    EXPECT_STATE(loaded, "{\"a\":1,\"b\":{\"d\":3},\"e\":null}");
    drop(&loaded);
    loaded = load_state(HEAD "initial_state = '{\"a\": 1}'\n", "[1, 2]");
    EXPECT_STATE(loaded, "[1, 2]");
    drop(&loaded);
    loaded = load_state(HEAD, " 17\n");
    EXPECT_STATE(loaded, "17");
    drop(&loaded);
    EXPECT_REFUSED(HEAD, "not json", "the state given at start is not a JSON document");
    EXPECT_REFUSED(HEAD, "", "the text ends too early");
}

TEST(exact_state_is_any_bytes) {
    struct manifest_options options = {
        .has_state = true, .exact_state = true, .state = slice_of("\xFF\0x", 3)};
    struct loaded loaded = load_with(HEAD "initial_state = '{\"a\": 1}'\n", options);
    REQUIRE_OK(loaded.status, loaded.error);
    EXPECT(slice_equal(bytes_slice(loaded.manifest->initial_state), slice_of("\xFF\0x", 3)));
    drop(&loaded);
    options.state = slice_of(NULL, 0);
    loaded = load_with(HEAD, options);
    REQUIRE_OK(loaded.status, loaded.error);
    REQUIRE(loaded.manifest->initial_state != NULL);
    EXPECT_U64(loaded.manifest->initial_state->size, 0);
    drop(&loaded);
    options.state = slice_text("{\"n\": \"Ann\"}");
    loaded = load_with("name = \"${n}\"\ncomponent = \"a\"\n", options);
    REQUIRE_OK(loaded.status, loaded.error);
    EXPECT_TEXT(loaded.manifest->name, "Ann");
    EXPECT_STATE(loaded, "{\"n\": \"Ann\"}");
    drop(&loaded);
}

TEST(a_state_above_its_limit_is_refused) {
    EXPECT_ERROR(HEAD "initial_state = '[1,2,3]'\n[limits]\nstate_bytes = 6\n",
                 "the initial state has 7 bytes, limits.state_bytes is 6");
}

TEST(init_state_is_read_beside_the_manifest) {
    const char *folder = test_folder();
    char *state = file_join(folder, "state.json"), *text = file_join(folder, "m.toml");
    struct error error = {0};
    REQUIRE_OK(file_write_atomic(state, slice_text("{\"a\": [1, 2]}\n"), 0600, &error), error);
    REQUIRE_OK(file_write_atomic(text,
                                 slice_text("name = \"n${a.1}\"\ncomponent = \"a\"\n"
                                            "init_state = \"state.json\"\n"),
                                 0600, &error),
               error);
    struct manifest *manifest = NULL;
    REQUIRE_OK(manifest_load_file(text, NULL, &manifest, &error), error);
    EXPECT_TEXT(manifest->name, "n2");
    EXPECT_TEXT(manifest->init_state, "state.json");
    EXPECT_TEXT(manifest->folder, folder);
    EXPECT(slice_equal_text(bytes_slice(manifest->initial_state), "{\"a\": [1, 2]}"));
    manifest_unref(manifest);
    REQUIRE_OK(file_write_atomic(state, slice_text("{\n  secret: 1}"), 0600, &error), error);
    EXPECT(manifest_load_file(text, NULL, &manifest, &error) == ERR_INVALID);
    EXPECT_CONTAINS(error.message,
                    "m.toml:3:14: init_state: \"state.json\": not a JSON document: "
                    "line 2, column 8");
    EXPECT(strstr(error.message, "secret") == NULL);
    free(state);
    free(text);
}

TEST(variables_in_both_spellings) {
    static const char state[] =
        "{\"a\": {\"b\": \"x y\"}, \"n\": 5, \"r\": 1.5, \"t\": true, \"l\": [10, {\"x\": \"in\"}],"
        " \"z\": null}";
    EXPECT_FILLED("k = \"${a.b}\"", state, "k = \"x y\"");
    EXPECT_FILLED("k = \"{{a.b}}\"", state, "k = \"x y\"");
    EXPECT_FILLED("k = \"{{ a.b }} {{{a.b}}}\"", state, "k = \"x y x y\"");
    EXPECT_FILLED("k = ${a.b}", state, "k = \"x y\"");
    EXPECT_FILLED("k = {{a.b}}", state, "k = \"x y\"");
    EXPECT_FILLED("k = ${n}", state, "k = 5");
    EXPECT_FILLED("k = ${r}", state, "k = 1.5");
    EXPECT_FILLED("k = ${t}", state, "k = true");
    EXPECT_FILLED("k = \"${n}-${t}\"", state, "k = \"5-true\"");
    EXPECT_FILLED("k = \"${l.1.x}\"", state, "k = \"in\"");
    EXPECT_FILLED("k = \"${l[1].x}\"", state, "k = \"in\"");
    EXPECT_FILLED("k = \"{{l.[1].x}}\"", state, "k = \"in\"");
    EXPECT_FILLED("k = ${l}", state, "k = [10, {\"x\" = \"in\"}]");
    EXPECT_FILLED("k = ${a}", state, "k = {\"b\" = \"x y\"}");
    EXPECT_FILLED("k = '${a}'", state, "k = '{\"b\":\"x y\"}'");
    EXPECT_FILLED("k = \"${a}\"", state, "k = \"{\\\"b\\\":\\\"x y\\\"}\"");
    EXPECT_FILLED("k = 80${n}", state, "k = 805");
    EXPECT_FILLED("k = \"\"\"\n${a.b}\"\"\"", state, "k = \"\"\"\nx y\"\"\"");
    EXPECT_FILLED("k = 1 # ${none} {{none", state, "k = 1 # ${none} {{none");
}

TEST(defaults_of_variables) {
    EXPECT_FILLED("k = ${a.b:5000}", "{}", "k = 5000");
    EXPECT_FILLED("k = \"${a.b:http://x:1/}\"", "{}", "k = \"http://x:1/\"");
    EXPECT_FILLED("k = ${a:[1, 2]}", "{}", "k = [1, 2]");
    EXPECT_FILLED("k = ${a:{b = {c = 1}}}", "{}", "k = {b = {c = 1}}");
    EXPECT_FILLED("k = \"${a:}\"", "{}", "k = \"\"");
    EXPECT_FILLED("k = ${z:7}", "{\"z\": null}", "k = 7");
    EXPECT_FILLED("k = {{default a.b \"x } y\"}}", "{}", "k = \"x } y\"");
    EXPECT_FILLED("k = \"{{default a.b \"x\"}}\"", "{}", "k = \"x\"");
    EXPECT_FILLED("k = {{default a 12}}", "{}", "k = 12");
    EXPECT_FILLED("k = {{default a 12}}", "{\"a\": 3}", "k = 3");
    EXPECT_FILLED("k = \"[{{none}}]\"", "{}", "k = \"[]\"");
}

TEST(values_cannot_break_out_of_their_string) {
    static const char evil[] = "{\"v\": \"x\\\"\\nid = \\\"evil\\\\\\u0000\\t\"}";
    EXPECT_FILLED("k = \"${v}\"", evil, "k = \"x\\\"\\u000Aid = \\\"evil\\\\\\u0000\\u0009\"");
    EXPECT_FILLED("k = \"\"\"${v}\"\"\"", evil,
                  "k = \"\"\"x\\\"\\u000Aid = \\\"evil\\\\\\u0000\\u0009\"\"\"");
    EXPECT_FILLED("k = ${v}", evil, "k = \"x\\\"\\u000Aid = \\\"evil\\\\\\u0000\\u0009\"");
    EXPECT_REFUSED(HEAD "k = '${v}'\n", evil,
                   "manifest:3:6: the value of 'v' cannot stand in a "
                   "literal string");
    EXPECT_REFUSED(HEAD "k = '''${v}'''\n", "{\"v\": \"'''\"}", "cannot stand");
    struct loaded loaded =
        load_state("name = \"${v}\"\ncomponent = \"a\"\n", "{\"v\": \"q\\\" # ${v} {{v}}\"}");
    REQUIRE_OK(loaded.status, loaded.error);
    EXPECT_TEXT(loaded.manifest->name, "q\" # ${v} {{v}}");
    drop(&loaded);
}

TEST(mistakes_in_variables_tell_their_place) {
    EXPECT_REFUSED(HEAD "k = \"${x}\"\n", "{}",
                   "manifest:3:6: variable 'x' not found and no default provided");
    EXPECT_REFUSED(HEAD "k = \"${s.f}\"\n", "{\"s\": \"t\"}", "leads into a value that has no");
    EXPECT_REFUSED(HEAD "k = \"${x\"\n", "{}", "\"${\" without its \"}\"");
    EXPECT_REFUSED(HEAD "k = \"{{x}\"\n", "{}", "\"{{\" without its \"}}\"");
    EXPECT_REFUSED(HEAD "k = \"{{#if x}}\"\n", "{}", "only {{path}} and");
    EXPECT_REFUSED(HEAD "k = \"${a b}\"\n", "{}", "a path has letters");
    EXPECT_REFUSED(HEAD "k = \"${}\"\n", "{}", "a path has letters");
    EXPECT_REFUSED(HEAD "k = \"${a..b}\"\n", "{\"a\": {}}", "malformed");
    EXPECT_REFUSED(HEAD "k = ${z}\n", "{\"z\": null}", "is null");
    EXPECT_REFUSED(HEAD "k = \"${l.9}\"\n", "{\"l\": [1]}", "not found");
    EXPECT_REFUSED(HEAD "init_state = \"${x}\"\n", "{}",
                   "manifest:3:14: init_state: cannot hold variables");
    EXPECT_REFUSED(HEAD "save_chain = ${x}\n", "{\"x\": 3}",
                   "manifest:3:14: save_chain: expected a boolean, got an integer");
    EXPECT_REFUSED(HEAD "k = 1${x}\n", "{\"x\": \"s\"}", "after substitution: manifest:3:6: ");
}

TEST(an_inline_state_is_no_template) {
    struct loaded loaded = load_state(
        "name = \"${n}\"\ncomponent = \"a\"\ninitial_state = '{\"p\": \"${who} {{x}}\"}'\n",
        "{\"n\": \"N\"}");
    EXPECT_STATE(loaded, "{\"p\":\"${who} {{x}}\",\"n\":\"N\"}");
    EXPECT_TEXT(loaded.manifest->name, "N");
    drop(&loaded);
}

TEST(without_a_state_variables_stay_and_a_warning_says_so) {
    struct loaded loaded = load_text("name = \"${n}\"\ncomponent = \"a\"\n");
    REQUIRE_OK(loaded.status, loaded.error);
    EXPECT_TEXT(loaded.manifest->name, "${n}");
    EXPECT_CONTAINS(buf_text(&loaded.warnings), "there is no initial state");
    drop(&loaded);
}

TEST(substitution_cannot_blow_the_text_up) {
    struct buf text = {0}, state = {0};
    buf_append_text(&text, HEAD);
    for (int i = 0; i < 100; i++) {
        buf_format(&text, "k%d = \"${v}\"\n", i);
    }
    buf_append_text(&state, "{\"v\": \"");
    for (int i = 0; i < 20000; i++) {
        buf_append_byte(&state, 'x');
    }
    buf_append_text(&state, "\"}");
    EXPECT_REFUSED(buf_text(&text), buf_text(&state), "longer than 1048576 bytes");
    buf_release(&text);
    buf_release(&state);
}

TEST(lines_stay_where_they_were) {
    struct loaded loaded = load_state(HEAD "a = \"${v}\"\nb = ${v}\nsave_chain = 3\n",
                                      "{\"v\": \"one\\ntwo\\nthree\"}");
    EXPECT_CONTAINS(loaded.error.message, "manifest:5:14: save_chain");
    drop(&loaded);
}

int main(void) {
    return test_main();
}
