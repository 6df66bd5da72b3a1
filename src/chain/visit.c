// SPDX-License-Identifier: Apache-2.0
// All events of a log, in its order: for questions that concern every chain at once.
#include <inttypes.h>
#include <stdlib.h>

#include "chain/state.h"

struct visit {
    struct scan scan;
    uint64_t from;  // position
    chain_visit_fn call;
    void *context;
    struct chain_log *log;  // knows the ids; NULL: `ids` does
    char **ids;             // by number - 1
    uint64_t id_count;
    uint64_t id_capacity;
};

static enum status wrong(const struct visit *visit, const struct frame *frame, const char *problem,
                         struct error *error) {
    char name[SEGMENT_NAME_BYTES];
    segment_name(visit->scan.number, name);
    return error_set(error, ERR_DAMAGED, "%s/%s at byte %" PRIu64 ": %s", visit->scan.folder, name,
                     scan_offset_of(&visit->scan, frame->position), problem);
}

static enum status declare(struct visit *visit, const struct frame *frame, struct error *error) {
    const char *id = (const char *)frame->body + CHAIN_NONCE_BYTES;
    if (visit->log != NULL) {
        return OK;
    }
    if (frame->body_bytes < CHAIN_NONCE_BYTES ||
        !is_chain_id(id, frame->body_bytes - CHAIN_NONCE_BYTES) ||
        frame->actor != visit->id_count + 1) {
        return wrong(visit, frame, "declares a chain without a proper id or number", error);
    }
    if (visit->id_count == visit->id_capacity) {
        visit->id_capacity = visit->id_capacity == 0 ? 64 : 2 * visit->id_capacity;
        visit->ids = xrealloc(visit->ids, (size_t)visit->id_capacity * sizeof *visit->ids);
    }
    visit->ids[visit->id_count++] = xstrndup(id, frame->body_bytes - CHAIN_NONCE_BYTES);
    return OK;
}

static const char *id_of(const struct visit *visit, uint32_t number) {
    const char *id = NULL;
    if (visit->log == NULL) {
        return number != 0 && number <= visit->id_count ? visit->ids[number - 1] : NULL;
    }
    (void)pthread_mutex_lock(&visit->log->registry);
    if (number != 0 && number <= visit->log->actor_count) {
        id = visit->log->actors[number - 1]->id;
    }
    (void)pthread_mutex_unlock(&visit->log->registry);
    return id;
}

static enum status visit_frame(struct visit *visit, const struct frame *frame,
                               struct error *error) {
    struct chain_event event = {.position = frame->position};
    struct error problem = {0};
    if (frame->kind != FRAME_EVENT) {
        return declare(visit, frame, error);
    }
    if (frame->position < visit->from) {
        return OK;
    }
    if (event_decode(slice_of(frame->body, frame->body_bytes), &event, &problem) != OK) {
        return wrong(visit, frame, problem.message, error);
    }
    event.id = id_of(visit, frame->actor);
    if (event.id == NULL) {
        return wrong(visit, frame, "an event of a chain that was not declared", error);
    }
    return visit->call(visit->context, &event, error);
}

static enum status visit_all(struct visit *visit, struct error *error) {
    enum status status = OK;
    for (bool more = true; status == OK && more;) {
        struct frame frame;
        switch (scan_next(&visit->scan, &frame, error)) {
            case SCAN_FRAME:
                status = visit_frame(visit, &frame, error);
                break;
            case SCAN_END:
                more = false;
                break;
            case SCAN_DAMAGED:
                status = scan_damage_error(&visit->scan, error);
                break;
            case SCAN_FAILED:
                status = error != NULL && error->code != OK ? error->code : ERR_IO;
                break;
        }
    }
    scan_release(&visit->scan);
    for (uint64_t i = 0; i < visit->id_count; i++) {
        free(visit->ids[i]);
    }
    free(visit->ids);
    return status;
}

enum status chain_visit_log(const char *folder, chain_visit_fn visit, void *context,
                            struct error *error) {
    struct visit whole = {.call = visit, .context = context};
    scan_init(&whole.scan, folder, false);
    return visit_all(&whole, error);
}

enum status chain_visit_from(struct chain_log *log, uint64_t from, chain_visit_fn visit,
                             void *context, struct error *error) {
    struct visit rest = {.from = from, .call = visit, .context = context, .log = log};
    struct log_segment segment = {0};
    enum status status = OK;
    if (log->is_read_only) {
        (void)pthread_mutex_lock(&log->registry);
        status = log_follow(log, error);
        (void)pthread_mutex_unlock(&log->registry);
    }
    if (status != OK) {
        return status;
    }
    (void)pthread_mutex_lock(&log->lock);
    uint64_t written = log->written;
    bool is_found = find_segment(log, from, &segment);
    (void)pthread_mutex_unlock(&log->lock);
    if (from > written) {
        return error_set(error, ERR_INVALID,
                         "the log ends at position %" PRIu64 ", before position %" PRIu64, written,
                         from);
    }
    scan_init(&rest.scan, log->folder, false);
    if (is_found) {
        scan_begin_at(&rest.scan, segment.number, segment.base);
    }
    return visit_all(&rest, error);
}
