// SPDX-License-Identifier: Apache-2.0
// What the files of the conformance runner share: one converted test file that is being run, where
// its results go, and what a kind of file (core modules, components) does for the commands.
//
//   main.c    options, a process per file, the sums
//   suite.c   the commands of a file, the same for both kinds
//   report.c  results, and the tables of known failures, left-out files and needed features
//   core.c, spectest.c        core modules
//   component.c, values.c     components
#ifndef TESTS_CONFORMANCE_RUNNER_SUITE_H
#define TESTS_CONFORMANCE_RUNNER_SUITE_H

#include <jansson.h>

#include "../driver.h"
#include "base/map.h"

// ---- results (report.c) ------------------------------------------------------------------------

// Shared between the process of a file, which writes, and the one that sums up.
struct suite_counts {
    unsigned passed;
    unsigned failed;
    unsigned skipped;  // known failures among them
    bool is_complete;
};

// A line of known-failures.txt or core-files.txt.
struct table_row {
    char *path;  // end of a file's path; may hold * and ?
    long line;   // of the command; 0: the whole file
    char *reason;
    bool was_met;  // it failed as the table says
};
struct table {
    struct table_row *rows;
    size_t count;
};
// Reads `path`; ends the program when a line is not understood. `has_lines`: "path:line reason".
void table_load(struct table *table, const char *path, bool has_lines);
void table_release(struct table *table);

struct suite {
    struct driver *driver;
    const char *path;  // of the JSON file
    char *folder;      // where its modules lie
    bool is_listed;    // print every result, not only failures
    const struct suite_kind *kind;
    void *state;         // the kind's
    json_t *manifest;    // of the suite, or NULL
    char *manifest_key;  // this file in it, or NULL
    struct table *known;
    struct table *left_out;
    struct suite_counts *counts;
    struct map reasons;     // of skips: text to a counter
    const json_t *command;  // the current one
    struct suite_instance *current;
    struct map definitions;                     // by name
    struct map instances;                       // by name
    struct suite_definition *first_definition;  // all, newest first
    struct suite_instance *first_instance;
};

// The result of the current command.
void suite_pass(struct suite *suite);
void suite_fail(struct suite *suite, const char *format, ...) PRINTF_LIKE(2, 3);
void suite_skip(struct suite *suite, const char *format, ...) PRINTF_LIKE(2, 3);
// The reason why the file is left out, or NULL.
const char *suite_left_out(const struct suite *suite);
// Finds the manifest of the suite that the file belongs to, in its folder or above.
void suite_find_manifest(struct suite *suite);
// The features outside of what is aimed at that a binary needs, as "async, threads", or NULL. Says
// nothing of files without a manifest. Free with free.
char *suite_features(const struct suite *suite, const char *binary);
// Reports known failures of this file that did not fail, and prints the file's line.
void suite_close_report(struct suite *suite);

// ---- kinds -------------------------------------------------------------------------------------

// Where a definition or an instance is missing because of an earlier command, `missing` says why,
// and what depends on it is skipped.
struct suite_definition {
    void *handle;
    char *missing;
    struct suite_definition *next;
};
struct suite_instance {
    void *handle;
    char *missing;
    struct suite_instance *next;
};

enum invocation {
    INVOKE_AS_EXPECTED,
    INVOKE_DIFFERENT,    // the error says "expected …, got …", or why it cannot be asked
    INVOKE_TRAPPED,      // the error is the trap's text
    INVOKE_UNSUPPORTED,  // the runner cannot do it; the error says what
};

struct suite_kind {
    const char *name;                                         // as in the commands' "kind"
    void *(*open)(struct suite *suite, struct error *error);  // NULL on error
    void (*close)(void *state);
    // Loads, validates and compiles; gives the definition.
    enum status (*define)(void *state, struct bytes *bytes, void **out, struct error *error);
    void (*definition_free)(void *definition);
    // Whether an error of `define` is a feature that is not aimed at; gives its name (free) or
    // NULL. `features` is what the manifest says of the binary, or NULL.
    char *(*unsupported)(const struct error *error, const char *features);
    // ERR_TRAP for a trap, ERR_NOT_FOUND for a missing import, ERR_INVALID for one that does not
    // fit, ERR_UNSUPPORTED as in `define`.
    enum status (*instantiate)(void *state, void *definition, void **out, struct error *error);
    void (*instance_free)(void *instance);
    // "register". `instance` is NULL when there is none, for the reason `missing`.
    void (*publish)(void *state, const char *name, void *instance, const char *missing);
    // `expected` is the JSON array of results, NULL when any will do.
    enum invocation (*invoke)(void *state, void *instance, const json_t *action,
                              const json_t *expected, struct error *error);
    // What else traps that the suites expect are called here.
    const struct trap_text *trap_texts;
};

// A text that a suite expects of a trap, and one that ours may contain instead.
struct trap_text {
    const char *expected;  // NULL ends the table
    const char *ours;
};

extern const struct suite_kind core_kind;
extern const struct suite_kind component_kind;

// Runs all commands of the file into the suite's counts. False, with the error, when the file
// cannot be read.
bool suite_run(struct suite *suite, struct error *error) MUST_CHECK;

#endif
