// SPDX-License-Identifier: Apache-2.0
// The public C API (include/theater/theater.h) over the node room.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "node/node.h"
#include "node/public.h"

struct theater_node {
    struct node *node;
};

static theater_status public_status(enum status status) {
    switch (status) {
        case OK:
            return THEATER_OK;
        case ERR_INVALID:
            return THEATER_INVALID;
        case ERR_UNSUPPORTED:
            return THEATER_UNSUPPORTED;
        case ERR_NOT_FOUND:
            return THEATER_NOT_FOUND;
        case ERR_DENIED:
            return THEATER_DENIED;
        case ERR_BUSY:
            return THEATER_BUSY;
        case ERR_TIMEOUT:
            return THEATER_TIMEOUT;
        case ERR_STOPPING:
        case ERR_CLOSED:
        case ERR_TRAP:
            return THEATER_CLOSED;
        case ERR_GUEST:
            return THEATER_ACTOR_ERROR;
        case ERR_DAMAGED:
            return THEATER_DAMAGED;
        case ERR_LIMIT:
        case ERR_EXISTS:
        case ERR_IO:
        case ERR_DEADLOCK:
        case ERR_INTERNAL:
        case STATUS_COUNT:
            break;
    }
    return THEATER_FAILED;
}

theater_status public_report(enum status status, const struct error *from,
                             struct theater_error *to) {
    theater_status result = public_status(status);
    if (to != NULL) {
        to->status = result;
        (void)snprintf(to->message, sizeof to->message, "%s", status == OK ? "" : from->message);
    }
    return result;
}

struct node *public_node(theater_node *node) {
    return node->node;
}

uint64_t public_nanoseconds(uint64_t milliseconds) {
    return milliseconds > UINT64_MAX / 1000000U ? UINT64_MAX : milliseconds * 1000000U;
}

const char *theater_version(void) {
    return THEATER_VERSION;
}

theater_status theater_node_open(const struct theater_node_config *config, theater_node **node,
                                 struct theater_error *error) {
    struct node_config wanted = {.data_folder = config->data_folder,
                                 .workers = config->workers,
                                 .never_compile = config->never_compile != 0,
                                 .quiet = config->quiet != 0};
    struct error reason = {0};
    struct node *opened = NULL;
    enum status status = node_open(&wanted, &opened, &reason);
    if (status == OK) {
        *node = xcalloc(1, sizeof **node);
        (*node)->node = opened;
    }
    return public_report(status, &reason, error);
}

theater_status theater_node_close(theater_node *node, struct theater_error *error) {
    struct error reason = {0};
    enum status status = node_close(node->node, &reason);
    free(node);
    return public_report(status, &reason, error);
}

theater_status theater_actor_start(theater_node *node, const char *manifest, const char *id,
                                   const void *state, size_t state_size,
                                   char written_id[THEATER_ID_BYTES], struct theater_error *error) {
    static_assert(THEATER_ID_BYTES == ACTOR_ID_BYTES, "the header says how long an id is");
    struct actor_start start = {.manifest = manifest,
                                .id = id,
                                .has_state = state != NULL,
                                .state = slice_of(state, state_size)};
    struct error reason = {0};
    enum status status = actor_start_root(node_actors(node->node), &start, written_id, &reason);
    return public_report(status, &reason, error);
}

theater_status theater_actor_send(theater_node *node, const char *id, const void *message,
                                  size_t size, struct theater_error *error) {
    struct error reason = {0};
    enum status status =
        actor_send_from_outside(node_actors(node->node), id, slice_of(message, size), &reason);
    return public_report(status, &reason, error);
}

theater_status theater_actor_stop(theater_node *node, const char *id, const char *why,
                                  struct theater_error *error) {
    struct error reason = {0};
    enum status status = actor_stop_from_outside(node_actors(node->node), id, why, &reason);
    return public_report(status, &reason, error);
}

theater_status theater_actor_request(theater_node *node, const char *id, const void *message,
                                     size_t size, uint64_t timeout_ms, void **reply,
                                     size_t *reply_size, struct theater_error *error) {
    struct error reason = {0};
    struct bytes *answer = NULL;
    enum status status =
        actor_request_from_outside(node_actors(node->node), id, slice_of(message, size),
                                   public_nanoseconds(timeout_ms), &answer, &reason);
    if (status == OK) {
        *reply = xstrndup(answer->data, answer->size);
        *reply_size = answer->size;
        bytes_unref(answer);
    }
    return public_report(status, &reason, error);
}

int theater_node_wait_idle(theater_node *node, uint64_t timeout_ms) {
    return actor_system_wait_idle(node_actors(node->node), public_nanoseconds(timeout_ms)) ? 1 : 0;
}

uint64_t theater_node_actor_count(theater_node *node) {
    return actor_system_count(node_actors(node->node));
}

struct listing {
    int (*visit)(void *context, const struct theater_actor_info *info);
    void *context;
};

static bool list_one(void *context, const struct actor_info *info) {
    const struct listing *listing = context;
    char parent[THEATER_ID_BYTES];
    (void)snprintf(parent, sizeof parent, "%.*s", (int)info->parent.size,
                   info->parent.size > 0 ? (const char *)info->parent.data : "");
    struct theater_actor_info one = {.id = info->id,
                                     .name = info->name,
                                     .parent = info->parent.size > 0 ? parent : NULL,
                                     .status = actor_life_text(info->life),
                                     .mailbox_messages = info->mailbox_messages,
                                     .mailbox_bytes = info->mailbox_bytes,
                                     .memory_bytes = info->memory_bytes};
    return listing->visit(listing->context, &one) != 0;
}

void theater_actor_list(theater_node *node,
                        int (*visit)(void *context, const struct theater_actor_info *info),
                        void *context) {
    struct listing listing = {.visit = visit, .context = context};
    actor_system_list(node_actors(node->node), list_one, &listing);
}

theater_status theater_chain_verify(const char *data_folder, const char *actor, uint64_t *events,
                                    struct theater_error *error) {
    struct error reason = {0};
    struct chain_verdict verdict = {0};
    char *folder = file_join(data_folder, "log");
    enum status status = chain_verify(folder, actor, &verdict, &reason);
    free(folder);
    if (status == OK && !verdict.is_good) {
        status = error_set(&reason, ERR_DAMAGED, "actor %s, event %llu (%s at byte %llu): %s",
                           verdict.actor[0] != '\0' ? verdict.actor : "(unknown)",
                           (unsigned long long)verdict.seq, verdict.segment,
                           (unsigned long long)verdict.offset, verdict.reason);
    }
    if (events != NULL) {
        *events = verdict.events;
    }
    return public_report(status, &reason, error);
}

void theater_free(void *memory) {
    free(memory);
}
