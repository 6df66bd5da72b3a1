// SPDX-License-Identifier: Apache-2.0
// Cuts the translator's output into parts that can be compiled by separate processes, and repairs
// it for a compiler that needs it.
//
// The output of all known versions is, by lines:
//
//     #include, #define, helpers          without the instance's type: in every part
//     static T w2c_f1(INSTANCE*, ...);    the first such line ends the helpers: in every part
//     static T data[] = { ... };          in every part
//     static T wrap_...(...) {            of 1.0.37 and later, what element segments hold: in every
//     }                                   part
//     T name(INSTANCE* instance, ...) {   from here to a line "}": in one part (long lists of
//                                         parameters take several lines)
//     }
//
// Functions that were static are visible to the other parts then (and to nobody else, wasm-rt.h
// sees to that). Two variables of 1.0.32's are written at load and belong to part 0.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "wasm/build.h"

static const uint64_t OUTPUT_BYTES_MAX = UINT64_C(2) << 30;

struct splitter {
    const char *folder;
    char instance[32];    // "(INSTANCE"
    char definition[48];  // "(INSTANCE* instance,", in the first line of a function
    bool for_tcc;
    uint32_t parts;
    uint64_t part_bytes;  // a part is full
    FILE *files[WASM_PARTS_MAX];
    uint32_t current;  // part that gets functions
    uint64_t written;  // to it
    bool declared;     // a declaration was seen: the helpers are over
    bool in_function;
    bool in_wrapper;
};

static bool starts_with(struct slice line, const char *text) {
    size_t length = strlen(text);
    return line.size >= length && memcmp(line.data, text, length) == 0;
}

static bool ends_with(struct slice line, const char *text) {
    size_t length = strlen(text);
    return line.size >= length && memcmp(line.data + line.size - length, text, length) == 0;
}

static bool has(struct slice line, const char *text) {
    return memmem(line.data, line.size, text, strlen(text)) != NULL;
}

static void put(struct splitter *s, uint32_t part, struct slice text) {
    // Errors stick to the file; close_all looks.
    (void)fwrite(text.data, 1, text.size, s->files[part]);
    if (part == s->current)
        s->written += text.size;
}

static void put_text(struct splitter *s, uint32_t part, const char *text) {
    put(s, part, slice_text(text));
}

static void put_in_all(struct splitter *s, struct slice line) {
    for (uint32_t i = 0; i < s->parts; i++)
        put(s, i, line);
}

// Without the word "static " that it begins with, if there are several parts.
static struct slice exposed(const struct splitter *s, struct slice line) {
    static const char word[] = "static ";
    if (s->parts == 1 || !starts_with(line, word))
        return line;
    return slice_of(line.data + sizeof word - 1, line.size - (sizeof word - 1));
}

// "  x = -(y);" is tcc's only wrong instruction: it keeps the sign of NaN.
static void put_in_function(struct splitter *s, struct slice line) {
    static const char negation[] = " = -(";
    const uint8_t *at =
        s->for_tcc ? memmem(line.data, line.size, negation, sizeof negation - 1) : NULL;
    if (at == NULL) {
        put(s, s->current, line);
        return;
    }
    size_t before = (size_t)(at - (const uint8_t *)line.data);
    put(s, s->current, slice_of(line.data, before));
    put_text(s, s->current, " = wasm_rt_negate(");
    at += sizeof negation - 1;
    put(s, s->current, slice_of(at, line.size - before - (sizeof negation - 1)));
}

// An entry of an element segment ends in "{NULL}, place}": the structure in braces is empty (see
// wasm-rt.h), and tcc takes no value for it.
static void put_entry_in_all(struct splitter *s, struct slice line) {
    static const char null[] = "{NULL}";
    const uint8_t *at = memmem(line.data, line.size, null, sizeof null - 1);
    if (!s->for_tcc || at == NULL) {
        put_in_all(s, line);
        return;
    }
    const uint8_t *behind = at + sizeof null - 1;
    put_in_all(s, slice_of(line.data, (size_t)(at - line.data)));
    put_in_all(s, slice_text("{}"));
    put_in_all(s, slice_of(behind, line.size - (size_t)(behind - line.data)));
}

// A variable that load writes and functions of all parts read.
static void put_shared(struct splitter *s, struct slice line) {
    line = exposed(s, line);
    put(s, 0, line);
    for (uint32_t i = 1; i < s->parts; i++) {
        put_text(s, i, "extern ");
        put(s, i, line);
    }
}

// Declares the function that the line begins to the parts behind, unless the output does so itself.
// Those are its own, such as init_globals: without a declaration, and their heads take one line.
static void declare_own(struct splitter *s, struct slice line) {
    if (s->parts == 1 || !starts_with(line, "static ") || !ends_with(line, " {\n"))
        return;
    line = exposed(s, line);
    for (uint32_t i = s->current + 1; i < s->parts; i++) {
        put(s, i, slice_of(line.data, line.size - 3));
        put_text(s, i, ";\n");
    }
}

// Whether a line at the top level begins a function.
static bool begins_function(const struct splitter *s, struct slice line) {
    return has(line, s->definition) || (ends_with(line, "{\n") && !ends_with(line, "= {\n"));
}

static void put_line(struct splitter *s, struct slice line) {
    if (s->in_function) {
        put_in_function(s, line);
        s->in_function = !starts_with(line, "}");
        if (!s->in_function && s->written > s->part_bytes && s->current + 1 < s->parts) {
            s->current++;
            s->written = 0;
        }
        return;
    }
    if (s->in_wrapper) {
        put_in_all(s, line);
        s->in_wrapper = !starts_with(line, "}");
        return;
    }
    bool is_word = line.size > 0 && ((line.data[0] >= 'a' && line.data[0] <= 'z') ||
                                     (line.data[0] >= 'A' && line.data[0] <= 'Z'));
    if (is_word && ends_with(line, ");\n") && has(line, s->instance)) {
        s->declared = true;
        put_in_all(s, exposed(s, line));
    } else if (starts_with(line, "static u32 func_types[")) {
        put_shared(s, line);
    } else if (starts_with(line, "static ") && has(line, " wrap_w2c_") && ends_with(line, "{\n")) {
        s->in_wrapper = true;
        put_in_all(s, line);
    } else if (s->declared && is_word && begins_function(s, line)) {
        s->in_function = true;
        declare_own(s, line);
        put_in_function(s, exposed(s, line));
    } else if (starts_with(line, "  {")) {
        put_entry_in_all(s, line);
    } else {
        put_in_all(s, line);
    }
}

static enum status open_all(struct splitter *s, struct error *error) {
    for (uint32_t i = 0; i < s->parts; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "part%u.c", i);
        char *path = file_join(s->folder, name);
        // What the translator may have left under the name is an error, not followed.
        int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        s->files[i] = descriptor < 0 ? NULL : fdopen(descriptor, "w");
        if (s->files[i] == NULL) {
            enum status status = error_set_os(error, errno, "writing %s", path);
            if (descriptor >= 0)
                (void)close(descriptor);
            free(path);
            return status;
        }
        free(path);
    }
    return OK;
}

static enum status close_all(struct splitter *s, struct error *error) {
    bool fine = true;
    for (uint32_t i = 0; i < s->parts && s->files[i] != NULL; i++) {
        fine &= ferror(s->files[i]) == 0;
        fine &= fclose(s->files[i]) == 0;
    }
    return fine ? OK : error_set(error, ERR_IO, "cannot write to %s", s->folder);
}

enum status wasm_split(const char *folder, enum wabt_version version, uint32_t parts, bool for_tcc,
                       struct error *error) {
    assert(parts >= 1 && parts <= WASM_PARTS_MAX);
    struct splitter *s = xcalloc(1, sizeof *s);
    *s = (struct splitter){.folder = folder, .for_tcc = for_tcc, .parts = parts};
    const char *instance = wasm_glue_instance(version);
    (void)snprintf(s->instance, sizeof s->instance, "(%s", instance);
    (void)snprintf(s->definition, sizeof s->definition, "(%s* instance,", instance);
    char *path = file_join(folder, "m.c");
    struct bytes *output = NULL;
    enum status status = file_read(path, OUTPUT_BYTES_MAX, &output, error);
    if (status == OK) {
        s->part_bytes = output->size / parts;
        status = open_all(s, error);
    }
    for (size_t at = 0; status == OK && at < output->size;) {
        const uint8_t *line = output->data + at;
        const uint8_t *end = memchr(line, '\n', output->size - at);
        size_t size = end == NULL ? output->size - at : (size_t)(end - line) + 1;
        put_line(s, slice_of(line, size));
        at += size;
    }
    enum status closed = close_all(s, status == OK ? error : NULL);
    bytes_unref(output);
    free(path);
    free(s);
    return status == OK ? closed : status;
}
