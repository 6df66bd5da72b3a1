// SPDX-License-Identifier: Apache-2.0
// Loading a manifest: text, then its initial state, then variables, then the tree, then every key.
// See manifest.h. What a manifest says about a component's imports is in requires.c.
#include "manifest/manifest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/toml.h"
#include "codec/toml_scan.h"
#include "codec/utf8.h"
#include "manifest/blocks.h"
#include "manifest/paths.h"
#include "manifest/state.h"
#include "manifest/substitute.h"

// Never reached: the text's size and the limits on lists bound what a load allocates.
#define ARENA_LIMIT_BYTES (UINT64_C(1) << 30)

// ---- Lifetime ----------------------------------------------------------------------------------

struct manifest *manifest_ref(struct manifest *manifest) {
    (void)atomic_fetch_add_explicit(&manifest->references, 1, memory_order_relaxed);
    return manifest;
}

void manifest_unref(struct manifest *manifest) {
    // Release pairs with the acquire of the thread that takes the last reference: all reads of the
    // others come before the free.
    if (manifest == NULL ||
        atomic_fetch_sub_explicit(&manifest->references, 1, memory_order_release) != 1) {
        return;
    }
    atomic_thread_fence(memory_order_acquire);
    bytes_unref(manifest->initial_state);
    bytes_unref(manifest->raw_text);
    bytes_unref(manifest->text);
    arena_release(&manifest->arena);
    free(manifest);
}

// ---- Text --------------------------------------------------------------------------------------

static enum status fail_at(struct reader *reader, struct slice text, size_t at, const char *what) {
    struct place place;
    toml_scan_position((const char *)text.data, at, &place.line, &place.column);
    return reader_fail(reader, place, ERR_INVALID, "%s", what);
}

static enum status check_text(struct reader *reader, struct slice text) {
    if (text.size > MANIFEST_TEXT_MAX_BYTES) {
        return error_set(reader->error, ERR_LIMIT,
                         "%s: the manifest has %zu bytes, at most %d are allowed",
                         reader->manifest->file, text.size, (int)MANIFEST_TEXT_MAX_BYTES);
    }
    const uint8_t *nul = text.size == 0 ? NULL : memchr(text.data, '\0', text.size);
    size_t valid = utf8_valid_prefix(text);
    if (nul != NULL && (size_t)(nul - text.data) <= valid) {
        return fail_at(reader, text, (size_t)(nul - text.data), "a NUL character");
    }
    return valid == text.size ? OK : fail_at(reader, text, valid, "invalid UTF-8");
}

static enum status parse_text(struct reader *reader, struct slice text,
                              struct toml_document **out) {
    struct toml_failure failure;
    *out = toml_parse((const char *)text.data, text.size, &failure);
    if (*out != NULL) {
        return OK;
    }
    return reader_fail(reader, (struct place){failure.line, failure.column}, ERR_INVALID, "%s",
                       reader->may_quote ? failure.message : "it is not valid TOML");
}

// Where the value lies, in bytes of the text.
static struct span span_of(struct slice text, const struct toml_value *value) {
    struct span span = {0};
    uint32_t line = 1, column = 1;
    for (size_t i = 0; i < text.size && value != NULL; i++) {
        if (line == value->line && column == value->column && span.to == 0) {
            span.from = i;
        }
        if (line == value->end_line && column == value->end_column) {
            span.to = i;
            return span;
        }
        if (text.data[i] == '\n') {
            line++;
            column = 1;
        } else if (i + 1 < text.size && (text.data[i + 1] & 0xC0U) != 0x80U) {
            column++;
        }
    }
    span.to = value == NULL ? 0 : text.size;
    return span;
}

// ---- Variables ---------------------------------------------------------------------------------

// The tree of a text with variables, each replaced by something harmless: it tells where the
// initial state comes from. An inline state is never a template; `keep` is its place.
static enum status parse_blanked(struct reader *reader, struct slice text, struct span *keep,
                                 struct toml_document **out) {
    *keep = (struct span){0};
    for (int pass = 0;; pass++) {
        struct buf blank = {0};
        substitute_blank(text, *keep, &blank);
        enum status status = parse_text(reader, buf_slice(&blank), out);
        buf_release(&blank);
        if (status != OK) {
            return status;
        }
        const struct toml_value *root = toml_root(*out);
        const struct toml_value *reference = toml_find(root, "init_state");
        if (reference != NULL && substitute_has_variables_in(text, span_of(text, reference))) {
            struct place at = place_of(reference);
            toml_free(*out);
            return reader_fail(reader, at, ERR_INVALID,
                               "init_state: cannot hold variables, since they come from it");
        }
        const struct toml_value *inline_text = toml_find(root, "initial_state");
        struct span found = span_of(text, inline_text);
        if (pass > 0 || !substitute_has_variables_in(text, found)) {
            *keep = found;
            return OK;
        }
        *keep = found;
        toml_free(*out);
    }
}

// Makes manifest->text and gives its tree.
static enum status substitute(struct reader *reader, struct slice text,
                              struct toml_document **out) {
    struct manifest *manifest = reader->manifest;
    struct span keep;
    struct toml_document *blanked;
    enum status status = parse_blanked(reader, text, &keep, &blanked);
    if (status != OK) {
        return status;
    }
    json_t *json = NULL;
    status = state_read(reader, toml_root(blanked), &manifest->initial_state, &json);
    toml_free(blanked);
    if (status != OK) {
        return status;
    }
    if (json == NULL) {
        reader_warn(reader, (struct place){0},
                    "the text holds variables but there is no initial state to fill them from");
        manifest->text = bytes_ref(manifest->raw_text);
        return parse_text(reader, text, out);
    }
    struct buf filled = {0};
    struct substitution_problem problem = {0};
    if (substitute_fill(text, keep, json, MANIFEST_TEXT_MAX_BYTES, &filled, &problem)) {
        manifest->text = bytes_copy(buf_slice(&filled));
        status = parse_text(reader, buf_slice(&filled), out);
        if (status != OK) {
            status = error_context(reader->error, "after substitution");
        }
    } else {
        status = fail_at(reader, text, problem.at,
                         reader->may_quote ? problem.message : "a variable cannot be filled");
    }
    buf_release(&filled);
    json_decref(json);
    return status;
}

static enum status resolve_text(struct reader *reader, struct slice text,
                                struct toml_document **out) {
    struct manifest *manifest = reader->manifest;
    enum status status = check_text(reader, text);
    if (status != OK) {
        return status;
    }
    manifest->raw_text = bytes_copy(text);
    text = bytes_slice(manifest->raw_text);
    if (reader->options->is_resolved) {
        manifest->text = bytes_ref(manifest->raw_text);
        return parse_text(reader, text, out);
    }
    if (substitute_has_variables(text)) {
        return substitute(reader, text, out);
    }
    manifest->text = bytes_ref(manifest->raw_text);
    status = parse_text(reader, text, out);
    if (status != OK) {
        return status;
    }
    json_t *json = NULL;
    status = state_read(reader, toml_root(*out), &manifest->initial_state, &json);
    json_decref(json);
    if (status != OK) {
        toml_free(*out);
    }
    return status;
}

// ---- Keys --------------------------------------------------------------------------------------

static enum status check_together(struct reader *reader, const struct toml_value *root) {
    const struct manifest *manifest = reader->manifest;
    const struct toml_value *id = toml_find(root, "id");
    struct error problem = {0};
    if (manifest->id != NULL && manifest_check_id(slice_text(manifest->id), &problem) != OK) {
        return reader_fail(reader, place_of(id), ERR_INVALID, "id: %s", problem.message);
    }
    const struct toml_value *supervision = toml_find(root, "supervision");
    if (manifest->supervision.backoff_initial_ms > manifest->supervision.backoff_max_ms) {
        return reader_fail(reader, place_of(supervision), ERR_INVALID,
                           "supervision.backoff_initial_ms: %llu is more than backoff_max_ms, "
                           "%llu",
                           (unsigned long long)manifest->supervision.backoff_initial_ms,
                           (unsigned long long)manifest->supervision.backoff_max_ms);
    }
    size_t state_size = manifest->initial_state == NULL ? 0 : manifest->initial_state->size;
    if (state_size > manifest->limits.state_bytes) {
        return error_set(reader->error, ERR_LIMIT,
                         "%s: the initial state has %zu bytes, limits.state_bytes is %llu",
                         manifest->file, state_size,
                         (unsigned long long)manifest->limits.state_bytes);
    }
    return OK;
}

static enum status read_keys(struct reader *reader, const struct toml_value *root) {
    struct manifest *manifest = reader->manifest;
    enum status status = reader_section(reader, &section_top, NULL, root, manifest);
    if (status == OK) {
        status = reader_section(reader, &section_supervision, NULL, toml_find(root, "supervision"),
                                manifest);
    }
    if (status == OK) {
        status = reader_section(reader, &section_limits, NULL, toml_find(root, "limits"), manifest);
    }
    if (status == OK) {
        status = policy_read(reader, toml_find(root, "permission_policy"));
    }
    if (status == OK) {
        status = blocks_read(reader, root);
    }
    return status == OK ? check_together(reader, root) : status;
}

// ---- Entry points ------------------------------------------------------------------------------

// A path in full, so that it means the same wherever the process goes. NULL when that cannot be
// told: the current folder was removed.
static const char *full_path(struct arena *arena, const char *path) {
    if (path[0] == '/' || strstr(path, "://") != NULL) {
        return path[0] == '/' ? path_resolve(arena, NULL, path)
                              : arena_text(arena, slice_text(path));
    }
    char *current = getcwd(NULL, 0);
    if (current == NULL) {
        return NULL;
    }
    const char *full = path_resolve(arena, current, path);
    free(current);
    return full;
}

static enum status set_folders(struct manifest *manifest, const char *folder,
                               const char *confined_to, struct error *error) {
    manifest->folder = full_path(&manifest->arena, folder);
    bool is_known = manifest->folder != NULL;
    if (confined_to != NULL) {
        manifest->confined_to = full_path(&manifest->arena, confined_to);
        is_known = is_known && manifest->confined_to != NULL;
    }
    return is_known
               ? OK
               : error_set(error, ERR_NOT_FOUND,
                           "%s: relative to the current folder, which was removed", manifest->file);
}

static enum status load(struct slice text, const char *file, const char *folder, bool may_quote,
                        const struct manifest_options *options, struct manifest **out,
                        struct error *error) {
    struct error own = {0};
    struct manifest *manifest = xcalloc(1, sizeof *manifest);
    atomic_init(&manifest->references, 1);
    arena_init(&manifest->arena, ARENA_LIMIT_BYTES);
    manifest->file = arena_text(&manifest->arena, slice_text(file));
    struct manifest_options used = *options;
    if (used.resolver == NULL) {
        used.resolver = &manifest_file_resolver;
    }
    struct reader reader = {.manifest = manifest,
                            .arena = &manifest->arena,
                            .options = &used,
                            .may_quote = may_quote,
                            .error = &own};
    struct toml_document *document = NULL;
    enum status status = set_folders(manifest, folder, options->confined_to, &own);
    if (status == OK) {
        status = resolve_text(&reader, text, &document);
    }
    if (status == OK) {
        status = read_keys(&reader, toml_root(document));
        toml_free(document);
    }
    if (status != OK) {
        manifest_unref(manifest);
        return error_set(error, status, "%s", own.message);
    }
    sha256(bytes_slice(manifest->text), manifest->text_hash);
    *out = manifest;
    return OK;
}

static enum status read_bound(struct reader *reader, struct slice text) {
    struct toml_document *document = NULL;
    enum status status = check_text(reader, text);
    if (status == OK) {
        status = parse_text(reader, text, &document);
    }
    const struct toml_value *root = status == OK ? toml_root(document) : NULL;
    for (size_t i = 0; status == OK && i < root->count; i++) {
        const struct toml_entry *entry = &root->entries[i];
        // An error, not a warning: a restriction must not be lost to a slip of the pen.
        if (!slice_equal_text(slice_of(entry->key, entry->key_size), "permission_policy")) {
            status = reader_fail(reader, (struct place){entry->line, entry->column}, ERR_INVALID,
                                 "%s: there is only permission_policy here",
                                 reader_quote(reader, entry->key, entry->key_size));
        }
    }
    if (status == OK) {
        status = policy_read(reader, toml_find(root, "permission_policy"));
    }
    if (document != NULL) {
        toml_free(document);
    }
    return status;
}

static const struct manifest_options no_options;

enum status manifest_load_permissions(const char *path, const struct manifest_options *options,
                                      struct arena *arena, struct permissions *out,
                                      struct error *error) {
    struct error own = {0};
    struct bytes *text = NULL;
    enum status status = file_read(path, MANIFEST_TEXT_MAX_BYTES, &text, &own);
    if (status != OK) {
        return error_set(error, status, "%s", own.message);
    }
    // Only what reading a policy needs of a manifest.
    struct manifest *manifest = xcalloc(1, sizeof *manifest);
    atomic_init(&manifest->references, 1);
    arena_init(&manifest->arena, ARENA_LIMIT_BYTES);
    manifest->file = arena_text(&manifest->arena, slice_text(path));
    struct reader reader = {.manifest = manifest,
                            .arena = &manifest->arena,
                            .options = options != NULL ? options : &no_options,
                            .may_quote = true,
                            .error = &own};
    char *folder = file_folder(path);
    status = set_folders(manifest, folder, NULL, &own);
    free(folder);
    if (status == OK) {
        status = read_bound(&reader, bytes_slice(text));
    }
    if (status == OK) {
        permissions_copy(&manifest->policy, arena, out);
    }
    bytes_unref(text);
    manifest_unref(manifest);
    return status == OK ? OK : error_set(error, status, "%s", own.message);
}

enum status manifest_load_text(struct slice text, const char *folder,
                               const struct manifest_options *options, struct manifest **out,
                               struct error *error) {
    assert(folder != NULL && out != NULL);
    options = options != NULL ? options : &no_options;
    return load(text, "manifest", folder, true, options, out, error);
}

static enum status load_reference(const char *reference, const char *folder,
                                  const struct manifest_options *options, struct manifest **out,
                                  struct error *error) {
    const struct manifest_resolver *resolver =
        options->resolver != NULL ? options->resolver : &manifest_file_resolver;
    struct manifest place = {.file = reference};  // only for its folders
    arena_init(&place.arena, ARENA_LIMIT_BYTES);
    struct bytes *text = NULL;
    struct error problem = {0};
    enum status status = set_folders(&place, folder, options->confined_to, &problem);
    if (status == OK) {
        status = resolver->read(resolver->context, place.folder, place.confined_to, reference,
                                MANIFEST_TEXT_MAX_BYTES, &text, &problem);
    }
    if (status != OK) {
        status = error_set(error, status, "manifest %s: %s", reference, problem.message);
    } else {
        bool is_url = strstr(reference, "://") != NULL;
        char *path = is_url ? xstrdup(reference) : file_join(place.folder, reference);
        char *own_folder = file_folder(path);
        status = load(bytes_slice(text), reference, own_folder, options->confined_to == NULL,
                      options, out, error);
        free(own_folder);
        free(path);
    }
    bytes_unref(text);
    arena_release(&place.arena);
    return status;
}

enum status manifest_load_file(const char *path, const struct manifest_options *options,
                               struct manifest **out, struct error *error) {
    assert(path != NULL && out != NULL);
    return load_reference(path, ".", options != NULL ? options : &no_options, out, error);
}

bool manifest_is_text(struct slice argument) {
    if (argument.size == 0) {
        return false;
    }
    if (memchr(argument.data, '\n', argument.size) != NULL) {
        return true;
    }
    bool is_url = slice_starts_with(argument, "https://") ||
                  slice_starts_with(argument, "http://") || slice_starts_with(argument, "store://");
    bool is_path = argument.size > 5 && memcmp(argument.data + argument.size - 5, ".toml", 5) == 0;
    return !is_url && !is_path &&
           (argument.data[0] == '[' || memchr(argument.data, '=', argument.size) != NULL);
}

enum status manifest_load(struct slice argument, const char *folder,
                          const struct manifest_options *options, struct manifest **out,
                          struct error *error) {
    enum { REFERENCE_MAX_BYTES = 4096 };
    options = options != NULL ? options : &no_options;
    if (manifest_is_text(argument)) {
        return manifest_load_text(argument, folder, options, out, error);
    }
    if (argument.size == 0 || argument.size > REFERENCE_MAX_BYTES ||
        memchr(argument.data, '\0', argument.size) != NULL || !utf8_is_valid(argument)) {
        return error_set(error, ERR_INVALID,
                         "the manifest is neither a path, a URL nor a TOML text");
    }
    char *reference = xstrndup(argument.data, argument.size);
    enum status status = load_reference(reference, folder, options, out, error);
    free(reference);
    return status;
}

enum status manifest_read_component(const struct manifest *manifest,
                                    const struct manifest_resolver *resolver, uint64_t limit_bytes,
                                    struct bytes **out, struct error *error) {
    resolver = resolver != NULL ? resolver : &manifest_file_resolver;
    struct error problem = {0};
    enum status status = resolver->read(resolver->context, manifest->folder, manifest->confined_to,
                                        manifest->component, limit_bytes, out, &problem);
    return status == OK ? OK
                        : error_set(error, status, "%s: component \"%s\": %s", manifest->file,
                                    manifest->component, problem.message);
}
