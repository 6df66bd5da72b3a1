// SPDX-License-Identifier: Apache-2.0
// Telling who does not want to block that the log was synced up to a position. Watches stand in a
// list in the order of their positions; whoever makes progress takes those that are due and calls
// them without the lock.
#include <assert.h>

#include "chain/state.h"

bool chain_is_synced(const struct chain_log *log, uint64_t position) {
    // Partner: the release store in note_progress. Orders nothing else.
    return atomic_load_explicit(&log->synced_seen, memory_order_acquire) >= position;
}

// With `lock` held. Almost always behind the last one.
static void insert(struct chain_log *log, struct chain_watch *watch) {
    struct chain_watch **place = &log->watches;
    if (log->last_watch != NULL && log->last_watch->position <= watch->position) {
        place = &log->last_watch->next;
    }
    while (*place != NULL && (*place)->position <= watch->position) {
        place = &(*place)->next;
    }
    watch->next = *place;
    *place = watch;
    log->last_watch = watch->next == NULL ? watch : log->last_watch;
}

// With `lock` held: it will never come to that.
static bool is_hopeless(const struct chain_log *log) {
    return log->failure.code != OK || log->watches_ended;
}

void chain_watch_sync(struct chain_log *log, struct chain_watch *watch) {
    assert(!log->is_read_only);
    (void)pthread_mutex_lock(&log->lock);
    bool is_due = log->synced >= watch->position;
    bool is_over = is_due || is_hopeless(log);
    if (!is_over) {
        insert(log, watch);
        if (log->written < watch->position) {
            log->flush_now = true;
            (void)pthread_cond_signal(&log->wake_writer);
        }
    }
    (void)pthread_mutex_unlock(&log->lock);
    if (is_over) {
        watch->reached(watch, is_due);
    } else if (log->is_inline) {
        (void)writer_step(log);
        (void)sync_step(log);
    }
}

void watches_call(struct chain_log *log) {
    while (log->watches != NULL) {
        struct chain_watch *watch = log->watches;
        bool is_due = log->synced >= watch->position;
        if (!is_due && !is_hopeless(log)) {
            return;
        }
        log->watches = watch->next;
        log->last_watch = watch->next == NULL ? NULL : log->last_watch;
        log->watches_called++;
        (void)pthread_mutex_unlock(&log->lock);
        watch->reached(watch, is_due);
        (void)pthread_mutex_lock(&log->lock);
        log->watches_called--;
        (void)pthread_cond_broadcast(&log->progress);
    }
}

void chain_watches_end(struct chain_log *log) {
    (void)pthread_mutex_lock(&log->lock);
    while (log->watches != NULL && check_standing(log, NULL) == OK) {
        wait_for_progress(log);
    }
    log->watches_ended = true;
    watches_call(log);
    while (log->watches_called > 0) {  // by other threads
        (void)pthread_cond_wait(&log->progress, &log->lock);
    }
    (void)pthread_mutex_unlock(&log->lock);
}
