// SPDX-License-Identifier: Apache-2.0
#include "chain/checkpoint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"

// A checkpoint rests this many times as long as it took,
enum { REST_FACTOR = 9 };
// or until the log is so far ahead.
#define AHEAD_MOST_BYTES ((uint64_t)1 << 30)

struct checkpointer {
    // Fixed after start.
    struct chain_log *log;
    pthread_t thread;
    bool has_thread;

    // Guarded by `lock`, a leaf.
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t sealed;  // the last segment that is
    bool is_stopping;

    // Only the thread (and start, before it runs).
    struct catalogue *catalogue;  // NULL: not open yet
    struct checkpoint at;
    uint32_t uncached;  // segments up to this one were given back to the kernel
};

// ---- folding segments into rows ----------------------------------------------------------------

// The last event of a chain in the segments being folded.
struct last_event {
    uint64_t position;
    uint64_t seq;
    uint64_t time_ns;
    uint32_t number;
    uint8_t hash[SHA256_BYTES];
};

struct fold {
    struct chain_log *log;
    struct checkpoint at;  // grows while the segments are read
    uint64_t *last;        // by number - 1: position + 1, 0: no event seen
    uint64_t capacity;
    struct last_event *events;
    uint64_t event_count;
    struct window window;
    struct catalogue_session *session;
    bool is_log_bad;  // what failed was reading the log, not writing the catalogue
};

static enum status fold_frame(struct fold *fold, const struct frame *frame, struct error *error) {
    if (frame->kind == FRAME_ACTOR) {
        fold->at.chains++;
        return OK;
    }
    if (frame->actor == 0 || frame->actor > fold->at.chains) {
        return error_set(error, ERR_DAMAGED, "an event of a chain that was not declared");
    }
    if (frame->actor > fold->capacity) {
        uint64_t capacity = frame->actor + frame->actor / 2 + 1024;
        fold->last = xrealloc(fold->last, (size_t)capacity * sizeof *fold->last);
        memset(fold->last + fold->capacity, 0,
               (size_t)(capacity - fold->capacity) * sizeof *fold->last);
        fold->capacity = capacity;
    }
    fold->event_count += fold->last[frame->actor - 1] == 0 ? 1 : 0;
    fold->last[frame->actor - 1] = frame->position + 1;
    fold->at.events++;
    return OK;
}

static enum status read_segments(struct fold *fold, uint32_t last, struct error *error) {
    struct scan scan;
    scan_init(&scan, fold->log->folder, false);
    scan_begin_behind(&scan, &fold->at);
    scan.last = last;
    enum status status = OK;
    for (bool more = true; status == OK && more;) {
        struct frame frame;
        switch (scan_next(&scan, &frame, error)) {
            case SCAN_FRAME:
                status = fold_frame(fold, &frame, error);
                break;
            case SCAN_END:
                more = false;
                break;
            case SCAN_DAMAGED:
                status = scan_damage_error(&scan, error);
                break;
            case SCAN_FAILED:
                status = error->code;
                break;
        }
    }
    if (status == OK && (scan.number != last || !scan.is_finished)) {
        status = error_set(error, ERR_DAMAGED, "segment %" PRIu32 " is gone, or not sealed", last);
    }
    fold->at.segment = last;
    fold->at.position = scan.position;
    fold->at.previous_batch = scan.previous_batch;
    memcpy(fold->at.digest, scan.next_digest, SHA256_BYTES);
    scan_release(&scan);
    return status;
}

static int compare_positions(const void *one, const void *other) {
    uint64_t a = ((const struct last_event *)one)->position;
    uint64_t b = ((const struct last_event *)other)->position;
    return a < b ? -1 : a > b ? 1 : 0;
}

static int compare_numbers(const void *one, const void *other) {
    uint32_t a = ((const struct last_event *)one)->number;
    uint32_t b = ((const struct last_event *)other)->number;
    return a < b ? -1 : a > b ? 1 : 0;
}

static void list_events(struct fold *fold) {
    fold->events = xcalloc((size_t)fold->event_count, sizeof *fold->events);
    uint64_t count = 0;
    for (uint64_t i = 0; i < fold->capacity; i++) {
        if (fold->last[i] != 0) {
            fold->events[count++] =
                (struct last_event){.position = fold->last[i] - 1, .number = (uint32_t)i + 1};
        }
    }
    assert(count == fold->event_count);
}

// Reads the events forwards, in the order of the log; leaves them in that of their rows, which
// SQLite then writes page by page.
static enum status read_events(struct fold *fold, struct error *error) {
    size_t count = (size_t)fold->event_count;
    enum status status = OK;
    list_events(fold);
    qsort(fold->events, count, sizeof *fold->events, compare_positions);
    for (size_t i = 0; status == OK && i < count; i++) {
        struct last_event *last = &fold->events[i];
        struct frame frame;
        struct chain_event event;
        status = window_frame(fold->log, &fold->window, last->position, false, &frame, error);
        if (status == OK) {
            status = event_decode(slice_of(frame.body, frame.body_bytes), &event, error);
        }
        if (status == OK) {
            last->seq = event.seq;
            last->time_ns = event.time_ns;
            event_hash(slice_of(frame.body, frame.body_bytes), last->hash);
        }
    }
    qsort(fold->events, count, sizeof *fold->events, compare_numbers);
    return status;
}

static enum status put_chain(struct fold *fold, const struct last_event *last,
                             struct error *error) {
    struct chain_row row = {.number = last->number,
                            .position = last->position,
                            .seq = last->seq,
                            .time_ns = last->time_ns};
    memcpy(row.head, last->hash, SHA256_BYTES);
    // The log was read further than this when it was opened, or written by us.
    (void)pthread_mutex_lock(&fold->log->registry);
    assert(last->number <= fold->log->actor_count);
    const struct chain_actor *actor = fold->log->actors[last->number - 1];
    (void)pthread_mutex_unlock(&fold->log->registry);
    memcpy(row.id, actor->id, actor->id_bytes + 1U);
    memcpy(row.nonce, actor->nonce, CHAIN_NONCE_BYTES);
    return rows_put_chain(fold->session, &row, error);
}

static enum status put_rows(struct fold *fold, uint32_t first, struct error *error) {
    enum status status = OK;
    for (uint32_t number = first; status == OK && number <= fold->at.segment; number++) {
        struct segment_claim claim;
        status = segment_look(fold->log->folder, number, &claim, error);
        fold->is_log_bad = status != OK;
        if (status == OK) {
            status = rows_put_segment(fold->session, &claim, error);
        }
    }
    for (uint64_t i = 0; status == OK && i < fold->event_count; i++) {
        status = put_chain(fold, &fold->events[i], error);
    }
    return status == OK ? rows_put_checkpoint(fold->session, &fold->at, error) : status;
}

// The catalogue cannot be used any more: the next checkpoint makes it again.
static void discard(struct checkpointer *self, const char *reason) {
    struct error error = {0};
    log_line(LOG_WARNING, "log: the catalogue of %s is made again: %s", self->log->folder, reason);
    if (self->catalogue != NULL) {
        catalogue_close(self->catalogue);
        self->catalogue = NULL;
    }
    if (rows_remove(self->log->folder, &error) != OK) {
        log_line(LOG_WARNING, "log: %s", error.message);
    }
    self->at = (struct checkpoint){.previous_batch = NO_POSITION};
}

// Takes the catalogue from its checkpoint to the end of segment `last`, all or nothing.
static enum status advance(struct checkpointer *self, uint32_t last, struct error *error) {
    struct fold fold = {.log = self->log, .at = self->at, .window = {.file = -1}};
    enum status status = OK;
    if (self->catalogue == NULL) {
        status = rows_open(self->log->folder, false, self->log->no_sync, &self->catalogue, error);
    }
    if (status == OK) {
        status = read_segments(&fold, last, error);
        fold.is_log_bad = status != OK;
    }
    if (status == OK) {
        status = read_events(&fold, error);
        fold.is_log_bad = status != OK;
    }
    if (status == OK) {
        status = catalogue_begin(self->catalogue, true, &fold.session, error);
    }
    if (status == OK) {
        status = put_rows(&fold, self->at.segment + 1, error);
        status = catalogue_end(fold.session, status, error);
    }
    if (status == OK) {
        self->at = fold.at;
    }
    if (status == ERR_DAMAGED && !fold.is_log_bad) {
        discard(self, error->message);
    }
    window_release(&fold.window);
    free(fold.last);
    free(fold.events);
    return status;
}

// ---- the thread --------------------------------------------------------------------------------

// With `lock` held: sleeps until `until`, or the log is far ahead of segment `done` or being
// closed.
static void rest(struct checkpointer *self, uint32_t done, uint64_t until) {
    struct timespec deadline = {.tv_sec = (time_t)(until / 1000000000U),
                                .tv_nsec = (long)(until % 1000000000U)};
    while (!self->is_stopping && env_monotonic_ns(env_system()) < until &&
           (self->sealed - done) * self->log->segment_bytes < AHEAD_MOST_BYTES) {
        (void)pthread_cond_timedwait(&self->changed, &self->lock, &deadline);
    }
}

static void *run(void *argument) {
    struct checkpointer *self = argument;
    uint32_t tried = self->at.segment;  // not tried again before the next one is sealed
    (void)pthread_mutex_lock(&self->lock);
    for (;;) {
        if (self->sealed == tried) {
            if (self->is_stopping) {
                break;
            }
            (void)pthread_cond_wait(&self->changed, &self->lock);
            continue;
        }
        tried = self->sealed;
        (void)pthread_mutex_unlock(&self->lock);
        struct error error = {0};
        uint64_t start = env_monotonic_ns(env_system());
        enum status status = advance(self, tried, &error);
        if (status != OK && self->at.segment == 0) {
            error_clear(&error);
            status = advance(self, tried, &error);  // it was discarded
        }
        if (status != OK) {
            log_line(LOG_WARNING, "log: the catalogue of %s stays at segment %" PRIu32 ": %s",
                     self->log->folder, self->at.segment, error.message);
        }
        for (; self->uncached + CACHED_SEGMENTS < tried; self->uncached++) {
            segment_uncache(self->log, self->uncached + 1);
        }
        uint64_t now = env_monotonic_ns(env_system());
        (void)pthread_mutex_lock(&self->lock);
        rest(self, tried, now + REST_FACTOR * (now - start));
    }
    (void)pthread_mutex_unlock(&self->lock);
    return NULL;
}

enum status checkpoint_start(struct chain_log *log, struct error *error) {
    struct checkpointer *self = log->checkpointer;
    self->sealed = log->segment_number;
    self->uncached = self->at.segment;
    int reason = pthread_create(&self->thread, NULL, run, self);
    if (reason != 0) {
        return error_set_os(error, reason, "cannot start the thread of the catalogue");
    }
    self->has_thread = true;
    return OK;
}

void checkpoint_sealed(struct chain_log *log, uint32_t number) {
    struct checkpointer *self = log->checkpointer;
    if (self != NULL) {
        (void)pthread_mutex_lock(&self->lock);
        self->sealed = number;
        (void)pthread_cond_signal(&self->changed);
        (void)pthread_mutex_unlock(&self->lock);
    }
}

void checkpoint_stop(struct chain_log *log) {
    struct checkpointer *self = log->checkpointer;
    if (self == NULL) {
        return;
    }
    if (self->has_thread) {
        (void)pthread_mutex_lock(&self->lock);
        self->is_stopping = true;
        (void)pthread_cond_signal(&self->changed);
        (void)pthread_mutex_unlock(&self->lock);
        (void)pthread_join(self->thread, NULL);
    }
    if (self->catalogue != NULL) {
        catalogue_close(self->catalogue);
    }
    (void)pthread_mutex_destroy(&self->lock);
    (void)pthread_cond_destroy(&self->changed);
    free(self);
    log->checkpointer = NULL;
}

// ---- opening -----------------------------------------------------------------------------------

struct load {
    struct chain_log *log;
    struct checkpoint at;
    bool is_other;        // the segments are not what the rows say
    struct error reason;  // why, then
};

static enum status load_at(void *context, const struct checkpoint *at, struct error *error) {
    struct load *load = context;
    (void)error;
    load->at = *at;
    return OK;
}

// The file of a segment against its row: its place and digests, not its content.
static enum status load_segment(void *context, const struct segment_claim *row,
                                struct error *error) {
    struct load *load = context;
    struct segment_claim claim;
    enum status status = segment_look(load->log->folder, row->header.number, &claim, &load->reason);
    bool is_same = status == OK && rows_same_segment(&claim, row);
    if (!is_same) {
        load->is_other = true;
        (void)error_set(&load->reason, ERR_DAMAGED, "segment %" PRIu32 " is another one",
                        row->header.number);
        return error_set(error, ERR_DAMAGED, "%s", load->reason.message);
    }
    segments_add(load->log, row->header.number, row->header.base);
    return OK;
}

static enum status load_chain(void *context, const struct chain_row *row, struct error *error) {
    const struct load *load = context;
    if (registry_find(load->log, row->id) != NULL) {
        return error_set(error, ERR_DAMAGED, "two rows for the chain '%s'", row->id);
    }
    struct chain_actor *actor = registry_add(load->log, row->id, row->nonce);
    registry_number(load->log, actor);
    // Relaxed: the log is not shared yet.
    atomic_store_explicit(&actor->last_position, row->position, memory_order_relaxed);
    return OK;
}

// What was loaded is of no use.
static void forget(struct chain_log *log) {
    registry_reset(log);
    log->segment_count = 0;
    scan_release(&log->scan);
    scan_init(&log->scan, log->folder, false);
}

// The segments are not what the catalogue knows: what exactly is wrong takes reading all of them.
static enum status explain(struct load *load, struct error *error) {
    struct chain_verdict verdict;
    log_line(LOG_WARNING, "log: %s is not as its catalogue knows it (%s): reading all of it",
             load->log->folder, load->reason.message);
    enum status status = chain_verify(load->log->folder, NULL, &verdict, error);
    if (status != OK || verdict.is_good) {
        return status;
    }
    struct buf text = {0};
    chain_verdict_text(&verdict, &text);
    status = error_set(error, ERR_DAMAGED, "%s/%s", load->log->folder, buf_text(&text));
    buf_release(&text);
    return status;
}

static enum status load_rows(struct load *load, struct catalogue *catalogue, struct error *error) {
    struct chain_log *log = load->log;
    struct rows_reader reader = {
        .at = load_at, .segment = load_segment, .chain = load_chain, .context = load};
    enum status status = rows_read(catalogue, &reader, error);
    if (status == OK && load->at.segment != 0) {
        scan_begin_behind(&log->scan, &load->at);
        log->written = log->synced = load->at.position;
    }
    return status;
}

static struct checkpointer *new_checkpointer(struct chain_log *log) {
    struct checkpointer *self = xcalloc(1, sizeof *self);
    pthread_condattr_t attributes;
    self->log = log;
    self->at = (struct checkpoint){.previous_batch = NO_POSITION};
    bool is_good = pthread_mutex_init(&self->lock, NULL) == 0 &&
                   pthread_condattr_init(&attributes) == 0 &&
                   pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&self->changed, &attributes) == 0;
    if (!is_good) {
        fatal("cannot create the locks of the log's catalogue");
    }
    (void)pthread_condattr_destroy(&attributes);
    return self;
}

enum status checkpoint_load(struct chain_log *log, struct error *error) {
    struct load load = {.log = log, .at = {.previous_batch = NO_POSITION}};
    struct catalogue *catalogue = NULL;
    struct error cause = {0};
    // Not made here: the first checkpoint does that, on its thread.
    enum status status = rows_exist(log->folder) ? OK : ERR_NOT_FOUND;
    if (status == OK) {
        status = rows_open(log->folder, log->is_read_only, log->no_sync, &catalogue, &cause);
    }
    if (status == OK) {
        status = load_rows(&load, catalogue, &cause);
    }
    if (status != OK && catalogue != NULL) {
        catalogue_close(catalogue);
        catalogue = NULL;
    }
    if (load.is_other) {
        forget(log);
        enum status explained = explain(&load, error);
        if (explained != OK) {
            return explained;
        }
    } else if (status != OK && status != ERR_NOT_FOUND) {
        forget(log);
        log_line(LOG_WARNING,
                 "log: the catalogue of %s cannot be used (%s): reading the whole log%s; whether "
                 "the log once was longer cannot be told",
                 log->folder, cause.message,
                 log->is_read_only ? "" : ", and making the catalogue again");
    }
    if (log->is_read_only) {
        if (catalogue != NULL) {
            catalogue_close(catalogue);
        }
        return OK;
    }
    if ((status == ERR_DAMAGED || status == ERR_UNSUPPORTED) &&
        rows_remove(log->folder, error) != OK) {
        return error->code;
    }
    log->checkpointer = new_checkpointer(log);
    log->checkpointer->catalogue = catalogue;
    log->checkpointer->at = status == OK ? load.at : log->checkpointer->at;
    return OK;
}
