// SPDX-License-Identifier: Apache-2.0
// What host functions ask of the actor that called them, as far as it is no messaging and no
// supervision: identity, the record of the call, log, sleep, shutdown.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"
#include "base/log.h"
#include "manifest/paths.h"

const char *actor_id(const struct actor *self) {
    // Not the chain's: others may find an actor before its chain is open.
    return (const char *)self->id->data;
}

const struct manifest *actor_manifest(const struct actor *self) {
    return self->program->manifest;
}

const struct permissions *actor_permissions(const struct actor *self) {
    return &self->authority->effective;
}

// The widest of the folders around `path`, `found` among them.
static const char *widest_around(const struct permission_list *folders, const char *path,
                                 const char *found) {
    for (uint32_t i = 0; i < folders->count; i++) {
        bool is_around = path_is_beneath(folders->items[i], path);
        found = is_around && (found == NULL || strlen(folders->items[i]) < strlen(found))
                    ? folders->items[i]
                    : found;
    }
    return found;
}

const char *actor_folder_around(const struct actor *self, const char *path) {
    const char *found = NULL;
    // Up to the root actor, and then the node: whoever stands above says what those below are held
    // to.
    for (const struct authority *at = self->authority; at->program != NULL; at = at->parent) {
        found = widest_around(&at->program->manifest->policy.file_system.paths, path, found);
    }
    return widest_around(&self->system->node.bound.file_system.paths, path, found);
}

struct env *actor_env(const struct actor *self) {
    return self->system->config.env;
}

void *actor_host_data(struct actor *self, size_t size) {
    if (self->host_data == NULL) {
        self->host_data = xcalloc(1, size);
    }
    return self->host_data;
}

void *actor_host(const struct actor *self) {
    return self->system->config.host;
}

struct slice actor_state(const struct actor *self) {
    return bytes_slice(self->state);
}

void actor_call_begin(struct actor *self, const char *name, const struct component_func_type *type,
                      const struct value *args) {
    struct turn *turn = self->turn;
    assert(turn->call_name == NULL);
    turn->call_name = name;
    turn->call_type = type;
    turn->call_args = args;
    turn->call_waited = false;
    turn->by_hash.content = slice_of(NULL, 0);
    turn->by_range.events = NULL;
}

void actor_record_by_hash(struct actor *self, struct slice content,
                          const uint8_t hash[SHA256_BYTES]) {
    struct record_reference *reference = &self->turn->by_hash;
    if (content.size > ACTOR_INLINE_MOST_BYTES) {
        reference->content = content;
        memcpy(reference->hash, hash, SHA256_BYTES);
    }
}

void actor_record_by_range(struct actor *self, const struct value *events) {
    self->turn->by_range.events = events;
}

struct hash_job {
    struct slice content;
    uint8_t *hash;
};

static void hash_on_worker(void *argument) {
    const struct hash_job *job = argument;
    sha256(job->content, job->hash);
}

void actor_hash(struct actor *self, struct slice content, uint8_t hash[SHA256_BYTES]) {
    struct hash_job job = {.content = content, .hash = hash};
    turn_on_worker(self->turn, hash_on_worker, &job);
}

// Of an event, which holds besides them the state and, in the first leg, the parameters.
#define FIRST_LEG_CALLS_MOST_BYTES (32U * 1024U * 1024U)

bool actor_call_end(struct actor *self, const struct value *result) {
    struct turn *turn = self->turn;
    if (self->program->call == NULL) {
        record_call(turn, result);
    }
    size_t bytes =
        turn->calls.size + turn->call_secrets.size + turn->call_large.size + turn->denials.size;
    size_t most = turn->leg == 0 ? FIRST_LEG_CALLS_MOST_BYTES : ACTOR_LEG_CALLS_MOST_BYTES;
    if (bytes > most) {
        return false;  // the host function traps: it is in progress still
    }
    turn->call_name = NULL;
    return true;
}

struct slice actor_error_text(const struct actor *self, const struct error *error) {
    struct slice whole = bytes_slice(self->turn->refusal);
    struct slice text = slice_text(error->message);
    // What was cut has this length, and the cut text is made again to tell whether it is this one.
    if (whole.size >= ERROR_MESSAGE_MAX) {
        struct error cut = {0};
        error_set(&cut, error->code, "%.*s", (int)whole.size, (const char *)whole.data);
        return strcmp(cut.message, error->message) == 0 ? whole : text;
    }
    return text;
}

void actor_note_failure(struct actor *self, const struct error *error) {
    self->turn->failure = *error;
}

struct log_job {
    const struct actor *self;
    struct slice text;
};

static void write_log(void *argument) {
    const struct log_job *job = argument;
    log_actor(actor_id(job->self), job->text);
}

void actor_log(struct actor *self, struct slice text) {
    struct log_job job = {.self = self, .text = text};
    if (self->system->config.quiet) {
        return;
    }
    if (self->turn != NULL) {
        // Formatting and the write system call belong on the worker's stack.
        turn_on_worker(self->turn, write_log, &job);
    } else {
        write_log(&job);
    }
}

void actor_shutdown(struct actor *self, bool has_data, struct slice data) {
    bytes_unref(self->exit_data);
    self->has_exit_data = has_data;
    self->exit_data = bytes_copy(data);
    self->wants_shutdown = true;
}

void actor_exit(struct actor *self) {
    actor_shutdown(self, false, slice_of(NULL, 0));
    self->turn->is_exit = true;
}

enum status actor_sleep(struct actor *self, uint64_t nanoseconds, struct error *error) {
    if (nanoseconds == 0) {
        return OK;
    }
    system_lock(self->system);
    turn_prepare_wait(self->turn);
    return turn_wait(self->turn, NULL, NULL, nanoseconds, OK, NULL, error);
}
