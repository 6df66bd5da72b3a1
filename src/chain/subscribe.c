// SPDX-License-Identifier: Apache-2.0
#include "chain/subscribe.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "chain/stretch.h"

enum {
    AHEAD_MOST = 1024,           // positions that a subscription of one chain keeps: 8 KiB
    WALK_MOST = 8 * AHEAD_MOST,  // events that it walks back over rather than read on through all
    PASS_MOST_BYTES = 16 << 20,  // of the log, in one call
    DRAIN_BYTES = 4096,
};

struct chain_subscription {
    struct chain_log *log;
    char *id;                         // NULL: all chains
    const struct chain_actor *actor;  // NULL: all chains, or the chain has not begun
    char **types;
    struct chain_filter filter;
    enum chain_level level;

    // The cursor. Of all chains: the next frame's position. Of one chain: the next event's number,
    // and a position behind the event before it, once that is known.
    uint64_t position;
    uint64_t next_seq;
    bool has_position;
    bool is_done;  // of one chain: no event before before_ns can come any more
    // Positions of the next events of one chain, the next one last.
    uint64_t *ahead;
    size_t ahead_count;
};

// ---- filters -----------------------------------------------------------------------------------

static bool is_type(const char *wanted, struct slice type) {
    size_t size = strlen(wanted);
    if (size > 0 && wanted[size - 1] == '*') {
        return type.size >= size - 1 && memcmp(type.data, wanted, size - 1) == 0;
    }
    return slice_equal_text(type, wanted);
}

bool chain_filter_matches(const struct chain_filter *filter, const struct chain_event *event) {
    bool is_good = filter->type_count == 0;
    for (size_t i = 0; i < filter->type_count && !is_good; i++) {
        is_good = is_type(filter->types[i], event->type);
    }
    return is_good && event->time_ns >= filter->since_ns &&
           (filter->before_ns == 0 || event->time_ns < filter->before_ns);
}

// ---- visible -----------------------------------------------------------------------------------

static enum status follow(struct chain_log *log, struct error *error) {
    struct error cause = {0};
    enum status status = OK;
    if (log->is_read_only) {
        (void)pthread_mutex_lock(&log->registry);
        status = log_follow(log, &cause);
        (void)pthread_mutex_unlock(&log->registry);
    }
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}

uint64_t chain_visible(struct chain_log *log, enum chain_level level) {
    (void)pthread_mutex_lock(&log->lock);
    uint64_t visible = level == CHAIN_SYNCED ? log->synced : log->written;
    (void)pthread_mutex_unlock(&log->lock);
    return visible;
}

static uint64_t due_at(uint64_t timeout_ns) {
    uint64_t now = env_monotonic_ns(env_system());
    return timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
}

// Another process writes: the system tells of changes in the folder. Should it not (some file
// systems cannot), looking twice a second is the way that is left.
static enum status wait_for_files(struct chain_log *log, uint64_t seen, uint64_t timeout_ns,
                                  struct error *error) {
    uint64_t due = due_at(timeout_ns);
    struct pollfd changes = {.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .events = POLLIN};
    bool is_told = changes.fd >= 0 && inotify_add_watch(changes.fd, log->folder,
                                                        IN_MODIFY | IN_CREATE | IN_MOVED_TO) >= 0;
    enum status status = OK;
    for (;;) {
        status = follow(log, error);
        uint64_t now = env_monotonic_ns(env_system());
        if (status != OK || chain_visible(log, CHAIN_WRITTEN) > seen) {
            break;
        }
        if (now >= due) {
            status = error_set(error, ERR_TIMEOUT, "nothing new in the log");
            break;
        }
        uint64_t rest_ms = (due - now) / 1000000U + 1;
        uint64_t most_ms = is_told ? 10000 : 500;
        (void)poll(&changes, 1, (int)(rest_ms < most_ms ? rest_ms : most_ms));
        uint8_t events[DRAIN_BYTES];
        while (changes.fd >= 0 && read(changes.fd, events, sizeof events) > 0) {
        }
    }
    if (changes.fd >= 0) {
        close(changes.fd);
    }
    return status;
}

enum status chain_wait_visible(struct chain_log *log, enum chain_level level, uint64_t seen,
                               uint64_t timeout_ns, struct error *error) {
    if (log->is_read_only) {
        return wait_for_files(log, seen, timeout_ns, error);
    }
    uint64_t due = due_at(timeout_ns);
    struct timespec deadline = {.tv_sec = (time_t)(due / 1000000000U),
                                .tv_nsec = (long)(due % 1000000000U)};
    enum status status = OK;
    (void)pthread_mutex_lock(&log->lock);
    while ((level == CHAIN_SYNCED ? log->synced : log->written) <= seen) {
        if (env_monotonic_ns(env_system()) >= due) {
            status = error_set(error, ERR_TIMEOUT, "nothing new in the log");
            break;
        }
        if (due == UINT64_MAX) {
            (void)pthread_cond_wait(&log->grown, &log->lock);
        } else {
            (void)pthread_cond_timedwait(&log->grown, &log->lock, &deadline);
        }
    }
    (void)pthread_mutex_unlock(&log->lock);
    return status;
}

// ---- one call ----------------------------------------------------------------------------------

struct reading {
    struct chain_subscription *subscription;
    uint64_t most;
    uint64_t given;
    uint64_t limit;   // what is visible
    uint64_t passed;  // bytes of the log
    bool is_behind;
    chain_visit_fn visit;
    void *context;
};

static const char *id_of(struct chain_log *log, uint32_t number) {
    (void)pthread_mutex_lock(&log->registry);
    const char *id = number != 0 && number <= log->actor_count ? log->actors[number - 1]->id : NULL;
    (void)pthread_mutex_unlock(&log->registry);
    return id;
}

static enum status not_next(const struct chain_subscription *subscription, uint64_t position,
                            struct error *error) {
    return error_set(error, ERR_DAMAGED,
                     "chain '%s': what is at position %" PRIu64 " is not event %" PRIu64,
                     subscription->id, position, subscription->next_seq);
}

// Takes an event: gives it if it is wanted, and moves the cursor behind it.
static enum status take(struct reading *reading, const struct frame *frame, struct error *error) {
    struct chain_subscription *subscription = reading->subscription;
    struct slice body = slice_of(frame->body, frame->body_bytes);
    struct chain_event event = {.position = frame->position};
    enum status status = event_decode(body, &event, error);
    if (status != OK) {
        return error_context(error, "position %" PRIu64, frame->position);
    }
    if (subscription->id != NULL && event.seq != subscription->next_seq) {
        return not_next(subscription, frame->position, error);
    }
    uint64_t before_ns = subscription->filter.before_ns;
    if (subscription->id != NULL && before_ns != 0 && event.time_ns >= before_ns) {
        subscription->is_done = true;  // times do not go back within a chain
        return OK;
    }
    if (chain_filter_matches(&subscription->filter, &event)) {
        event.id = id_of(subscription->log, frame->actor);
        if (event.id == NULL) {
            return error_set(error, ERR_DAMAGED, "position %" PRIu64 " is of a chain that is none",
                             frame->position);
        }
        event_hash(body, event.hash);
        status = reading->visit(reading->context, &event, error);
        reading->given += status == OK ? 1 : 0;
    }
    if (status == OK) {
        subscription->next_seq = event.seq + 1;
        subscription->position = frame->position + FRAME_HEADER_BYTES + frame->body_bytes;
        subscription->has_position = true;
    }
    return status;
}

// Reads on through the log from the cursor, past the events of other chains. When one chain is
// wanted, until there is nothing more of it or the call has done enough.
static enum status read_on(struct reading *reading, struct error *error) {
    struct chain_subscription *subscription = reading->subscription;
    struct stretch stretch = stretch_of(subscription->log, subscription->position, reading->limit);
    enum status status = OK;
    while (status == OK && !subscription->is_done) {
        struct frame frame;
        bool more = false;
        reading->is_behind = reading->given == reading->most || reading->passed >= PASS_MOST_BYTES;
        if (reading->is_behind && stretch.position < reading->limit) {
            break;
        }
        reading->is_behind = false;
        status = stretch_next(&stretch, &frame, &more, error);
        if (status != OK || !more) {
            break;
        }
        reading->passed += FRAME_HEADER_BYTES + (uint64_t)frame.body_bytes;
        bool is_wanted = frame.kind == FRAME_EVENT &&
                         (subscription->id == NULL || frame.actor == subscription->actor->number);
        if (is_wanted) {
            status = take(reading, &frame, error);
        } else {
            subscription->position = stretch.position;
        }
    }
    stretch_release(&stretch);
    return status;
}

// ---- one chain ---------------------------------------------------------------------------------

static enum status frame_at(struct reading *reading, struct window *window, uint64_t position,
                            bool backward, struct frame *frame, struct error *error) {
    struct chain_log *log = reading->subscription->log;
    enum status status = window_frame(log, window, position, backward, frame, error);
    if (status == OK && frame->kind != FRAME_EVENT) {
        status = error_set(error, ERR_DAMAGED, "position %" PRIu64 " holds no event", position);
    }
    return status;
}

// Walks back from `last` to the cursor and keeps the positions of the first events behind it. What
// is not visible yet is passed over. The first walk also finds where events of since_ns begin.
static enum status look_ahead(struct reading *reading, struct window *window, uint64_t last,
                              struct error *error) {
    struct chain_subscription *subscription = reading->subscription;
    uint64_t *ring = xcalloc(AHEAD_MOST, sizeof *ring);
    uint64_t count = 0;
    enum status status = OK;
    uint64_t at = last;
    while (at != NO_POSITION && (!subscription->has_position || at >= subscription->position)) {
        struct frame frame;
        struct chain_event event;
        status = frame_at(reading, window, at, true, &frame, error);
        if (status == OK) {
            status = event_decode(slice_of(frame.body, frame.body_bytes), &event, error);
        }
        if (status == OK && frame.previous != NO_POSITION && frame.previous >= at) {
            status = error_set(error, ERR_DAMAGED, "position %" PRIu64 " points forwards", at);
        }
        if (status != OK || event.seq < subscription->next_seq) {
            break;
        }
        if (event.time_ns < subscription->filter.since_ns) {
            subscription->next_seq = event.seq + 1;
            break;
        }
        if (at < reading->limit) {
            ring[count++ % AHEAD_MOST] = at;
        }
        at = frame.previous;
    }
    size_t kept = count < AHEAD_MOST ? (size_t)count : AHEAD_MOST;
    if (status == OK && kept > 0 && subscription->ahead == NULL) {
        subscription->ahead = xcalloc(AHEAD_MOST, sizeof *subscription->ahead);
    }
    for (size_t i = 0; status == OK && i < kept; i++) {
        subscription->ahead[i] = ring[(count - kept + i) % AHEAD_MOST];
    }
    subscription->ahead_count = status == OK ? kept : 0;
    free(ring);
    return status;
}

static enum status give_ahead(struct reading *reading, struct window *window, struct error *error) {
    struct chain_subscription *subscription = reading->subscription;
    enum status status = OK;
    while (status == OK && subscription->ahead_count > 0 && !subscription->is_done &&
           reading->given < reading->most) {
        struct frame frame;
        uint64_t position = subscription->ahead[subscription->ahead_count - 1];
        status = frame_at(reading, window, position, false, &frame, error);
        if (status == OK && frame.actor != subscription->actor->number) {
            status = not_next(subscription, position, error);
        }
        if (status == OK) {
            status = take(reading, &frame, error);
        }
        if (status == OK) {
            subscription->ahead_count--;
        }
    }
    return status;
}

// How many events of the chain may lie before the cursor and its end; 0 when there is none.
static enum status count_backlog(struct reading *reading, struct window *window, uint64_t last,
                                 uint64_t *backlog, struct error *error) {
    const struct chain_subscription *subscription = reading->subscription;
    struct frame frame;
    struct chain_event event;
    *backlog = 0;
    if (last == NO_POSITION ||
        (subscription->has_position &&
         (last < subscription->position || subscription->position >= reading->limit))) {
        return OK;
    }
    enum status status = frame_at(reading, window, last, true, &frame, error);
    if (status == OK) {
        status = event_decode(slice_of(frame.body, frame.body_bytes), &event, error);
    }
    if (status == OK && event.seq >= subscription->next_seq) {
        *backlog = event.seq - subscription->next_seq + 1;
    }
    return status;
}

static enum status read_chain(struct reading *reading, struct window *window, struct error *error) {
    struct chain_subscription *subscription = reading->subscription;
    enum status status = OK;
    while (status == OK && !subscription->is_done) {
        uint64_t backlog = 0;
        if (subscription->ahead_count > 0) {
            status = give_ahead(reading, window, error);
            reading->is_behind = reading->given == reading->most;
            if (reading->is_behind) {
                break;
            }
            continue;
        }
        // Partner: the release store in chain_append.
        uint64_t last =
            atomic_load_explicit(&subscription->actor->last_position, memory_order_acquire);
        status = count_backlog(reading, window, last, &backlog, error);
        if (status != OK || backlog == 0) {
            break;
        }
        if (subscription->has_position && backlog > WALK_MOST) {
            return read_on(reading, error);
        }
        status = look_ahead(reading, window, last, error);
        if (subscription->ahead_count == 0) {
            break;  // there is more, and none of it is visible
        }
    }
    return status;
}

// ---- subscriptions -----------------------------------------------------------------------------

// Finds where a subscription of all chains begins.
static enum status place(struct chain_subscription *subscription,
                         const struct chain_subscription_config *config, struct error *error) {
    struct chain_log *log = subscription->log;
    uint64_t visible = chain_visible(log, subscription->level);
    if (config->from_now) {
        subscription->position = visible;
        return OK;
    }
    if (config->from > visible) {
        return error_set(error, ERR_INVALID,
                         "position %" PRIu64 " is not in the log yet, which ends at %" PRIu64,
                         config->from, visible);
    }
    uint64_t from = config->from;
    enum status status = OK;
    if (subscription->filter.since_ns != 0) {
        uint64_t by_time = 0;
        status = stretch_seek_time(log, subscription->filter.since_ns, &by_time, error);
        from = status == OK && by_time > from && by_time <= visible ? by_time : from;
    }
    if (status == OK) {
        struct stretch stretch = stretch_of(log, 0, visible);
        status = stretch_seek(&stretch, from, error);
        subscription->position = stretch.position;
        stretch_release(&stretch);
    }
    return status;
}

// Finds the chain, if it has begun by now.
static void find_actor(struct chain_subscription *subscription) {
    struct chain_log *log = subscription->log;
    if (subscription->actor == NULL) {
        (void)pthread_mutex_lock(&log->registry);
        subscription->actor = registry_find(log, subscription->id);
        (void)pthread_mutex_unlock(&log->registry);
    }
}

static enum status place_chain(struct chain_subscription *subscription,
                               const struct chain_subscription_config *config,
                               struct error *error) {
    if (!is_chain_id(config->id, strnlen(config->id, CHAIN_ID_MOST_BYTES + 1))) {
        return error_set(error, ERR_INVALID, "a chain's id has 1 to %d of A-Z a-z 0-9 . _ -",
                         CHAIN_ID_MOST_BYTES);
    }
    subscription->id = xstrdup(config->id);
    subscription->next_seq = config->from;
    find_actor(subscription);
    if (!config->from_now || subscription->actor == NULL) {
        return OK;
    }
    struct reading reading = {.subscription = subscription};
    struct window window = {.file = -1};
    struct frame frame;
    struct chain_event event;
    enum status status = OK;
    uint64_t visible = chain_visible(subscription->log, subscription->level);
    uint64_t at = atomic_load_explicit(&subscription->actor->last_position, memory_order_acquire);
    subscription->next_seq = 0;
    // What is appended and not visible yet is to come.
    while (status == OK && at != NO_POSITION) {
        status = frame_at(&reading, &window, at, true, &frame, error);
        if (status == OK && at < visible) {
            status = event_decode(slice_of(frame.body, frame.body_bytes), &event, error);
            subscription->next_seq = status == OK ? event.seq + 1 : 0;
            break;
        }
        at = frame.previous;
    }
    window_release(&window);
    return status;
}

enum status chain_subscribe(struct chain_log *log, const struct chain_subscription_config *config,
                            struct chain_subscription **out, struct error *error) {
    struct chain_subscription *subscription = xcalloc(1, sizeof *subscription);
    const struct chain_filter *filter = &config->filter;
    subscription->log = log;
    subscription->level = config->level;
    subscription->filter = *filter;
    subscription->types = xcalloc(filter->type_count + 1, sizeof *subscription->types);
    for (size_t i = 0; i < filter->type_count; i++) {
        subscription->types[i] = xstrdup(filter->types[i]);
    }
    subscription->filter.types = (const char *const *)subscription->types;
    enum status status = follow(log, error);
    if (status == OK) {
        status = config->id != NULL ? place_chain(subscription, config, error)
                                    : place(subscription, config, error);
    }
    if (status != OK) {
        chain_subscription_close(subscription);
        return status;
    }
    *out = subscription;
    return OK;
}

void chain_subscription_close(struct chain_subscription *subscription) {
    if (subscription != NULL) {
        for (size_t i = 0; i < subscription->filter.type_count; i++) {
            free(subscription->types[i]);
        }
        free(subscription->types);
        free(subscription->ahead);
        free(subscription->id);
        free(subscription);
    }
}

enum status chain_subscription_read(struct chain_subscription *subscription, uint64_t most,
                                    chain_visit_fn visit, void *context, uint64_t *given,
                                    bool *is_behind, struct error *error) {
    struct error cause = {0};
    struct reading reading = {
        .subscription = subscription, .most = most, .visit = visit, .context = context};
    enum status status = follow(subscription->log, &cause);
    reading.limit = chain_visible(subscription->log, subscription->level);
    if (subscription->id != NULL) {
        find_actor(subscription);
    }
    if (status == OK && subscription->id == NULL) {
        status = read_on(&reading, &cause);
    } else if (status == OK && subscription->actor != NULL) {
        struct window window = {.file = -1};
        status = read_chain(&reading, &window, &cause);
        window_release(&window);
    }
    if (subscription->ahead_count == 0) {
        free(subscription->ahead);
        subscription->ahead = NULL;
    }
    if (given != NULL) {
        *given = reading.given;
    }
    *is_behind = reading.is_behind;
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}
