// SPDX-License-Identifier: Apache-2.0
// Programs of actors that ran before the node was started: from what the store kept under the
// hashes in their chains, so that neither a manifest nor a component that changed since, or is
// gone, makes a difference.
#include <stdlib.h>

#include "actor/internal.h"
#include "base/log.h"
#include "codec/cbor.h"
#include "codec/sha256.h"

// A manifest's relative references and its confinement are no part of its text:
// [folder, confined to or null, how errors name it].
enum status program_keep_origin(struct actor_system *system, struct program *program,
                                struct error *error) {
    const struct manifest *manifest = program->manifest;
    if (system->config.keep == NULL) {
        return OK;
    }
    struct buf origin = {0};
    cbor_array(&origin, 3);
    cbor_text_z(&origin, manifest->folder);
    if (manifest->confined_to != NULL) {
        cbor_text_z(&origin, manifest->confined_to);
    } else {
        cbor_null(&origin);
    }
    cbor_text_z(&origin, manifest->file);
    sha256(buf_slice(&origin), program->origin);
    enum status status = system->config.keep(system->config.keep_context, buf_slice(&origin),
                                             program->origin, error);
    program->has_origin = status == OK;
    buf_release(&origin);
    return status;
}

struct origin {
    char *folder, *confined_to, *file;
};

static char *take_text(struct cbor_reader *reader) {
    struct slice text;
    return cbor_read_text(reader, &text, NULL) == OK ? xstrndup(text.data, text.size) : NULL;
}

static enum status read_origin(struct bytes *content, struct origin *origin, struct error *error) {
    struct cbor_reader reader = cbor_reader_of(bytes_slice(content));
    uint64_t count = 0;
    if (cbor_read_array(&reader, &count, NULL) == OK && count == 3) {
        origin->folder = take_text(&reader);
        origin->confined_to = cbor_take_null(&reader) ? NULL : take_text(&reader);
        origin->file = take_text(&reader);
    }
    return origin->folder != NULL && origin->file != NULL
               ? OK
               : error_set(error, ERR_DAMAGED, "it does not say where the manifest came from");
}

static enum status fetch(struct actor_system *system, const char *what,
                         const uint8_t hash[SHA256_BYTES], struct bytes **out,
                         struct error *error) {
    const struct actor_config *config = &system->config;
    enum status status = config->fetch != NULL
                             ? config->fetch(config->keep_context, hash, out, error)
                             : error_set(error, ERR_NOT_FOUND, "this node has no store");
    if (status != OK) {
        char text[SHA256_TEXT_BYTES];
        sha256_text(hash, text);
        error_context(error, "its %s, %s, is not to be had from the store", what, text);
    }
    return status;
}

static void warn(void *context, const char *text) {
    (void)context;
    log_line(LOG_DEBUG, "%s", text);
}

enum status program_recover(struct actor_system *system, const uint8_t manifest_hash[SHA256_BYTES],
                            const uint8_t component_hash[SHA256_BYTES],
                            const uint8_t origin_hash[SHA256_BYTES], struct program **out,
                            struct error *error) {
    struct bytes *text = NULL, *component = NULL, *where = NULL;
    struct origin origin = {0};
    struct manifest *manifest = NULL;
    enum status status = fetch(system, "manifest", manifest_hash, &text, error);
    if (status == OK) {
        status = fetch(system, "component", component_hash, &component, error);
    }
    if (status == OK && origin_hash != NULL) {
        status = fetch(system, "manifest's origin", origin_hash, &where, error);
        if (status == OK) {
            status = read_origin(where, &origin, error);
        }
    }
    if (status == OK) {
        struct manifest_options options = {
            .is_resolved = true, .confined_to = origin.confined_to, .warn = warn};
        status = manifest_load_text(bytes_slice(text), origin.folder != NULL ? origin.folder : "/",
                                    &options, &manifest, error);
    }
    if (status == OK) {
        status = program_of_manifest(system, manifest, component, out, error);
    }
    if (status == OK && origin_hash != NULL) {
        (*out)->has_origin = true;
        memcpy((*out)->origin, origin_hash, SHA256_BYTES);
    }
    free(origin.folder);
    free(origin.confined_to);
    free(origin.file);
    bytes_unref(text);
    bytes_unref(component);
    bytes_unref(where);
    return status;
}
