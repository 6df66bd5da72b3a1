// SPDX-License-Identifier: Apache-2.0
#include "chain/signer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/log.h"
#include "chain/state.h"

enum { PENDING_MOST_BYTES = 8 << 20 };  // of items, before they are written

struct chain_signer {
    struct chain_signer_config config;
    pthread_t thread;

    // One signing at a time; taken before `lock`, and before the log's locks.
    pthread_mutex_t signing;
    struct ed25519_key *key;  // NULL until it is needed
    bool is_started;          // `position` was read from the file
    uint64_t position;        // no chain that has no event behind it needs a signature
    bool has_complained;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_stopping;  // guarded by `lock`
};

// One signing.
struct run {
    struct chain_signer *signer;
    struct window window;
    uint64_t position;  // end of the log when it began
    struct buf heads;   // of the signature in the making
    uint64_t head_count;
    struct buf items;
    uint64_t total;
};

// ---- heads -------------------------------------------------------------------------------------

// Writes the signatures made so far, once the events that they are of are on disk.
static enum status write_items(struct run *run, struct error *error) {
    struct chain_log *log = run->signer->config.log;
    struct chain_stats stats;
    if (run->items.size == 0) {
        return OK;
    }
    chain_log_stats(log, &stats);
    enum status status = chain_wait(log, stats.bytes, CHAIN_SYNCED, error);
    if (status == OK) {
        status = chain_signatures_append(log->folder, buf_slice(&run->items), log->no_sync, error);
    }
    buf_clear(&run->items);
    return status;
}

// Makes a signature of the heads gathered; `position` is what its item says.
static enum status sign_heads(struct run *run, uint64_t position, struct error *error) {
    struct chain_signer *signer = run->signer;
    if (run->head_count == 0) {
        return OK;
    }
    chain_sign_heads(signer->key, position, env_wall_ns(signer->config.env), buf_slice(&run->heads),
                     run->head_count, &run->items);
    buf_clear(&run->heads);
    run->head_count = 0;
    return run->items.size < PENDING_MOST_BYTES ? OK : write_items(run, error);
}

static enum status take_head(struct run *run, const struct chain_actor *actor, uint64_t last,
                             struct error *error) {
    struct chain_log *log = run->signer->config.log;
    struct frame frame;
    struct chain_event event;
    uint8_t hash[SHA256_BYTES];
    enum status status = window_frame(log, &run->window, last, false, &frame, error);
    if (status == OK) {
        status = event_decode(slice_of(frame.body, frame.body_bytes), &event, error);
    }
    if (status != OK) {
        return error_context(error, "chain '%s'", actor->id);
    }
    event_hash(slice_of(frame.body, frame.body_bytes), hash);
    chain_head_write(&run->heads, actor->id, event.seq, hash);
    run->head_count++;
    run->total++;
    return run->head_count < CHAIN_HEADS_MOST ? OK : sign_heads(run, run->signer->position, error);
}

// The records of the next chains by number; they last as long as the log.
static size_t next_actors(struct chain_log *log, uint64_t from, const struct chain_actor **out,
                          size_t most) {
    (void)pthread_mutex_lock(&log->registry);
    size_t count = 0;
    for (; count < most && from + count < log->actor_count; count++) {
        out[count] = log->actors[from + count];
    }
    (void)pthread_mutex_unlock(&log->registry);
    return count;
}

static enum status take_heads(struct run *run, struct error *error) {
    const struct chain_actor *actors[256];
    enum status status = OK;
    size_t count = COUNT_OF(actors);
    for (uint64_t at = 0; status == OK && count == COUNT_OF(actors); at += count) {
        count = next_actors(run->signer->config.log, at, actors, COUNT_OF(actors));
        for (size_t i = 0; status == OK && i < count; i++) {
            // Partner: the release store in chain_append.
            uint64_t last = atomic_load_explicit(&actors[i]->last_position, memory_order_acquire);
            if (last != NO_POSITION && last >= run->signer->position) {
                status = take_head(run, actors[i], last, error);
            }
        }
    }
    return status == OK ? sign_heads(run, run->position, error) : status;
}

// ---- signing -----------------------------------------------------------------------------------

static enum status take_position(void *context, const struct chain_signed *item,
                                 struct error *error) {
    struct chain_signer *signer = context;
    (void)error;
    signer->position = item->position > signer->position ? item->position : signer->position;
    return OK;
}

static enum status begin(struct chain_signer *signer, struct error *error) {
    const struct chain_signer_config *config = &signer->config;
    if (signer->is_started) {
        return OK;
    }
    struct bytes *content = NULL;
    enum status status = chain_signatures_read(config->log->folder, &content, error);
    if (status == OK) {
        status = chain_signatures_walk(bytes_slice(content), take_position, signer, NULL, error);
        bytes_unref(content);
    }
    if (status == OK) {
        status = config->key(config->context, &signer->key, error);
    }
    signer->is_started = status == OK;
    return status;
}

static enum status sign_locked(struct chain_signer *signer, uint64_t *heads, struct error *error) {
    struct chain_log *log = signer->config.log;
    struct run run = {.signer = signer, .window = {.file = -1}};
    struct chain_stats stats;
    chain_log_stats(log, &stats);
    run.position = stats.bytes;
    enum status status = OK;
    *heads = 0;
    // A log that nothing was appended to is left alone, its file and the key unread.
    if (stats.events == 0 || (signer->is_started && run.position <= signer->position)) {
        return OK;
    }
    status = begin(signer, error);
    if (status == OK && signer->position > run.position) {
        signer->position = 0;  // of another log, it seems: sign all
    }
    if (status == OK) {
        status = take_heads(&run, error);
    }
    if (status == OK) {
        status = write_items(&run, error);
    }
    if (status == OK) {
        signer->position = run.position;
        *heads = run.total;
    }
    window_release(&run.window);
    buf_release(&run.heads);
    buf_release(&run.items);
    return status;
}

enum status chain_signer_sign(struct chain_signer *signer, uint64_t *heads, struct error *error) {
    uint64_t ignored = 0;
    (void)pthread_mutex_lock(&signer->signing);
    enum status status = sign_locked(signer, heads != NULL ? heads : &ignored, error);
    (void)pthread_mutex_unlock(&signer->signing);
    return status == OK ? OK : error_context(error, "signing the chains");
}

// ---- the thread --------------------------------------------------------------------------------

// Sleeps for an interval; false when the signer is to end.
static bool rest(struct chain_signer *signer) {
    uint64_t interval = signer->config.interval_ns;
    uint64_t due = interval == UINT64_MAX ? UINT64_MAX : env_monotonic_ns(env_system()) + interval;
    struct timespec deadline = {.tv_sec = (time_t)(due / 1000000000U),
                                .tv_nsec = (long)(due % 1000000000U)};
    (void)pthread_mutex_lock(&signer->lock);
    while (!signer->is_stopping &&
           (interval == UINT64_MAX || env_monotonic_ns(env_system()) < due)) {
        if (interval == UINT64_MAX) {
            (void)pthread_cond_wait(&signer->wake, &signer->lock);
        } else {
            (void)pthread_cond_timedwait(&signer->wake, &signer->lock, &deadline);
        }
    }
    bool goes_on = !signer->is_stopping;
    (void)pthread_mutex_unlock(&signer->lock);
    return goes_on;
}

static void *run_signer(void *argument) {
    struct chain_signer *signer = argument;
    while (rest(signer)) {
        struct error error = {0};
        if (chain_signer_sign(signer, NULL, &error) != OK && !signer->has_complained) {
            log_line(LOG_WARNING, "%s", error.message);
            signer->has_complained = true;
        }
    }
    return NULL;
}

struct chain_signer *chain_signer_start(const struct chain_signer_config *config) {
    assert(!config->log->is_read_only && config->key != NULL);
    struct chain_signer *signer = xcalloc(1, sizeof *signer);
    signer->config = *config;
    pthread_condattr_t attributes;
    bool is_good = pthread_mutex_init(&signer->signing, NULL) == 0 &&
                   pthread_mutex_init(&signer->lock, NULL) == 0 &&
                   pthread_condattr_init(&attributes) == 0 &&
                   pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
                   pthread_cond_init(&signer->wake, &attributes) == 0 &&
                   pthread_create(&signer->thread, NULL, run_signer, signer) == 0;
    if (!is_good) {
        fatal("cannot start the signer's thread");
    }
    (void)pthread_condattr_destroy(&attributes);
    return signer;
}

enum status chain_signer_stop(struct chain_signer *signer, struct error *error) {
    (void)pthread_mutex_lock(&signer->lock);
    signer->is_stopping = true;
    (void)pthread_cond_signal(&signer->wake);
    (void)pthread_mutex_unlock(&signer->lock);
    (void)pthread_join(signer->thread, NULL);
    enum status status = chain_signer_sign(signer, NULL, error);
    ed25519_free(signer->key);
    (void)pthread_mutex_destroy(&signer->signing);
    (void)pthread_mutex_destroy(&signer->lock);
    (void)pthread_cond_destroy(&signer->wake);
    free(signer);
    return status;
}
