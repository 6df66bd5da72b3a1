// SPDX-License-Identifier: Apache-2.0
// Results of a file: counting, printing, and the tables that say what is expected to fail, what is
// left out, and what a binary needs.
#include "suite.h"

#include <fnmatch.h>
#include <stdarg.h>

enum { LINE_MAX_BYTES = 1024 };

// ---- tables ------------------------------------------------------------------------------------

static void table_error(const char *path, unsigned number, const char *what) {
    (void)fprintf(stderr, "%s:%u: %s\n", path, number, what);
    exit(2);
}

void table_load(struct table *table, const char *path, bool has_lines) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    char text[LINE_MAX_BYTES];
    for (unsigned number = 1; fgets(text, sizeof text, file) != NULL; number++) {
        text[strcspn(text, "\n")] = 0;
        if (text[0] == '#' || text[0] == 0)
            continue;
        size_t size = strcspn(text, " \t");
        char *reason = text + size + strspn(text + size, " \t");
        if (*reason == 0)
            table_error(path, number, "a path, then a reason");
        text[size] = 0;
        struct table_row row = {.line = 0};
        char *colon = strrchr(text, ':');
        if (has_lines != (colon != NULL))
            table_error(path, number, has_lines ? "no ':LINE' behind the path" : "a ':'");
        if (has_lines) {
            char *end = NULL;
            row.line = strtol(colon + 1, &end, 10);
            if (row.line <= 0 || *end != 0)
                table_error(path, number, "the line is not a number");
            *colon = 0;
        }
        row.path = xstrdup(text);
        row.reason = xstrdup(reason);
        table->rows = xrealloc(table->rows, (table->count + 1) * sizeof row);
        table->rows[table->count++] = row;
    }
    (void)fclose(file);
}

void table_release(struct table *table) {
    for (size_t i = 0; i < table->count; i++) {
        free(table->rows[i].path);
        free(table->rows[i].reason);
    }
    free(table->rows);
    *table = (struct table){0};
}

static bool is_of_file(const struct table_row *row, const struct suite *suite) {
    char pattern[LINE_MAX_BYTES + 2];
    (void)snprintf(pattern, sizeof pattern, "*/%s", row->path);
    return fnmatch(pattern, suite->path, 0) == 0;
}

static struct table_row *find_row(const struct table *table, const struct suite *suite, long line) {
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].line == line && is_of_file(&table->rows[i], suite))
            return &table->rows[i];
    return NULL;
}

const char *suite_left_out(const struct suite *suite) {
    const struct table_row *row = find_row(suite->left_out, suite, 0);
    return row == NULL ? NULL : row->reason;
}

// ---- features ----------------------------------------------------------------------------------

void suite_find_manifest(struct suite *suite) {
    char *folder = xstrdup(suite->folder);
    for (int i = 0; i < 4 && suite->manifest == NULL; i++) {
        char *path = file_join(folder, "manifest.json");
        suite->manifest = json_load_file(path, 0, NULL);
        if (suite->manifest != NULL && json_object_get(suite->manifest, "files") == NULL) {
            json_decref(suite->manifest);
            suite->manifest = NULL;
        }
        if (suite->manifest != NULL && strncmp(suite->path, folder, strlen(folder)) == 0)
            suite->manifest_key = xstrdup(suite->path + strlen(folder) + 1);
        free(path);
        char *parent = file_folder(folder);
        free(folder);
        folder = parent;
    }
    free(folder);
}

char *suite_features(const struct suite *suite, const char *binary) {
    if (suite->manifest_key == NULL)
        return NULL;
    const json_t *file =
        json_object_get(json_object_get(suite->manifest, "files"), suite->manifest_key);
    const json_t *features = json_object_get(json_object_get(file, "per_file"), binary);
    struct buf text = {0};
    for (size_t i = 0; i < json_array_size(features); i++)
        buf_format(&text, "%s%s", i == 0 ? "" : ", ",
                   json_string_value(json_array_get(features, i)));
    char *given = text.size == 0 ? NULL : xstrdup(buf_text(&text));
    buf_release(&text);
    return given;
}

// ---- results -----------------------------------------------------------------------------------

static long line_of(const struct suite *suite) {
    return (long)json_integer_value(json_object_get(suite->command, "line"));
}

// "assert_return add" and the like.
static void print_command(const struct suite *suite, const char *result) {
    const json_t *action = json_object_get(suite->command, "action");
    const char *file = json_string_value(json_object_get(suite->command, "filename"));
    const char *field = json_string_value(json_object_get(action, "field"));
    (void)printf("%s %s:%ld: %s %s", result, suite->path, line_of(suite),
                 json_string_value(json_object_get(suite->command, "type")),
                 field != NULL  ? field
                 : file != NULL ? file
                                : "");
}

void suite_pass(struct suite *suite) {
    suite->counts->passed++;
    if (suite->is_listed) {
        print_command(suite, "passed");
        (void)printf("\n");
    }
}

static void count_reason(struct suite *suite, const char *reason) {
    unsigned *counter = map_get_text(&suite->reasons, reason);
    if (counter == NULL) {
        counter = xcalloc(1, sizeof *counter);
        (void)map_add(&suite->reasons, slice_text(reason), counter);
    }
    ++*counter;
    suite->counts->skipped++;
}

void suite_skip(struct suite *suite, const char *format, ...) {
    char reason[LINE_MAX_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    count_reason(suite, reason);
    if (suite->is_listed) {
        print_command(suite, "skipped");
        (void)printf(": %s\n", reason);
    }
}

void suite_fail(struct suite *suite, const char *format, ...) {
    struct table_row *known = find_row(suite->known, suite, line_of(suite));
    if (known != NULL) {
        known->was_met = true;
        count_reason(suite, "known failure");
    } else {
        suite->counts->failed++;
    }
    if (known == NULL || suite->is_listed) {
        print_command(suite, known == NULL ? "FAILED" : "known");
        (void)printf(": ");
        va_list arguments;
        va_start(arguments, format);
        (void)vprintf(format, arguments);
        va_end(arguments);
        if (known != NULL)
            (void)printf(" (known: %s)", known->reason);
        (void)printf("\n");
    }
}

void suite_close_report(struct suite *suite) {
    for (size_t i = 0; i < suite->known->count; i++) {
        const struct table_row *row = &suite->known->rows[i];
        if (row->was_met || !is_of_file(row, suite))
            continue;
        suite->counts->failed++;
        (void)printf("FAILED %s:%ld: this known failure did not fail: take it out of the table\n",
                     suite->path, row->line);
    }
    uint32_t cursor = 0;
    for (struct map_entry *entry; (entry = map_next(&suite->reasons, &cursor)) != NULL;) {
        (void)printf("%s: %u skipped: %.*s\n", suite->path, *(unsigned *)entry->value,
                     (int)entry->key.size, (const char *)entry->key.data);
        free(entry->value);
    }
    map_release(&suite->reasons);
    (void)printf("%s: %u passed, %u failed, %u skipped\n", suite->path, suite->counts->passed,
                 suite->counts->failed, suite->counts->skipped);
}
