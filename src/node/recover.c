// SPDX-License-Identifier: Apache-2.0
// The snapshot of the world, so that opening need not read the whole log: a file `world` in the
// data folder, derived from the log and never needed.
//
//   "theater-world-1\n" | CRC-32C of the rest (4, little-endian) | the world (actor/recovery.h)
//
// It is written at a clean stop, and meanwhile by a thread that reads what the log has gained, when
// nobody else wants the CPU.
#include "node/recover.h"

#include <endian.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "codec/crc32c.h"

static const char magic[] = "theater-world-1\n";

enum { HEAD_BYTES = sizeof magic - 1 + 4, PAUSE_S = 2 };
#define WORLD_MOST_BYTES ((uint64_t)4 << 30)
#define SNAPSHOT_EVERY_BYTES ((uint64_t)64 << 20)
#define LAST_MOST_BYTES ((uint64_t)1 << 20)  // the last event begins within as much

struct node_recovery {
    struct chain_log *log;
    char *path;
    bool is_everything_back;  // nobody is running in the log who is not in the system
    // The thread's, and the opener's before it.
    struct world *world;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;  // for what follows
    pthread_cond_t wake;
    bool is_ending;
};

// ---- the file ----------------------------------------------------------------------------------

static void save(const struct node_recovery *recovery, const struct world *world) {
    struct buf file = {0};
    buf_append(&file, magic, sizeof magic - 1);
    buf_append(&file, "\0\0\0\0", 4);
    world_save(world, &file);
    uint32_t check = htole32(crc32c(0, slice_of(file.data + HEAD_BYTES, file.size - HEAD_BYTES)));
    memcpy(file.data + HEAD_BYTES - 4, &check, sizeof check);
    struct error error = {0};
    if (file_write_atomic(recovery->path, buf_slice(&file), 0600, &error) != OK) {
        log_line(LOG_WARNING, "no snapshot was made, so the next start reads more: %s",
                 error.message);
    }
    buf_release(&file);
}

// Whether the world was made from this log: its last event stands where the world says.
static bool is_of(struct chain_log *log, const struct world *world) {
    uint64_t position = 0;
    uint8_t parent[SHA256_BYTES];
    if (!world_last(world, &position, parent)) {
        return false;
    }
    struct chain_at *at = chain_at_open(log);
    struct chain_event event;
    bool is_it = chain_at_event(at, position, &event, NULL) == OK &&
                 memcmp(event.parent, parent, SHA256_BYTES) == 0;
    chain_at_close(at);
    return is_it;
}

// The world of the snapshot, or an empty one.
static struct world *load(const struct node_recovery *recovery) {
    struct bytes *file = NULL;
    struct world *world = NULL;
    if (file_read(recovery->path, WORLD_MOST_BYTES, &file, NULL) == OK && file->size > HEAD_BYTES &&
        memcmp(file->data, magic, sizeof magic - 1) == 0) {
        uint32_t check = 0;
        struct slice item = slice_of(file->data + HEAD_BYTES, file->size - HEAD_BYTES);
        memcpy(&check, file->data + HEAD_BYTES - 4, sizeof check);
        bool is_good = le32toh(check) == crc32c(0, item) && world_load(item, &world, NULL) == OK;
        if (is_good && !is_of(recovery->log, world)) {
            world_free(world);
            world = NULL;
        }
    }
    bytes_unref(file);
    return world != NULL ? world : world_new();
}

// ---- while the node runs
// -----------------------------------------------------------------------------

static uint64_t written(struct chain_log *log) {
    struct chain_stats stats;
    chain_log_stats(log, &stats);
    return stats.written_bytes;
}

// False: the node ends.
static bool pause_a_while(struct node_recovery *recovery) {
    struct timespec due;
    (void)clock_gettime(CLOCK_MONOTONIC, &due);
    due.tv_sec += PAUSE_S;
    (void)pthread_mutex_lock(&recovery->lock);
    if (!recovery->is_ending) {
        (void)pthread_cond_timedwait(&recovery->wake, &recovery->lock, &due);
    }
    bool goes_on = !recovery->is_ending;
    (void)pthread_mutex_unlock(&recovery->lock);
    return goes_on;
}

static enum status fold_one(void *context, const struct chain_event *event, struct error *error) {
    struct node_recovery *recovery = context;
    (void)pthread_mutex_lock(&recovery->lock);
    bool is_ending = recovery->is_ending;
    (void)pthread_mutex_unlock(&recovery->lock);
    return is_ending ? ERR_STOPPING : world_fold(recovery->world, event, error);
}

// A snapshot never knows more than the log has after a power loss: else the next node would write
// other events to where it says that the last one stands.
static enum status wait_for_disk(const struct node_recovery *recovery, struct error *error) {
    struct chain_stats stats;
    chain_log_stats(recovery->log, &stats);
    return chain_wait(recovery->log, stats.bytes, CHAIN_SYNCED, error);
}

static void *follow(void *argument) {
    struct node_recovery *recovery = argument;
    struct sched_param none = {0};
    (void)pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
    uint64_t saved = world_position(recovery->world);
    bool is_good = true;
    while (is_good && pause_a_while(recovery)) {
        struct error error = {0};
        if (written(recovery->log) < saved + SNAPSHOT_EVERY_BYTES) {
            continue;
        }
        enum status status = chain_visit_from(recovery->log, world_position(recovery->world),
                                              fold_one, recovery, &error);
        is_good = status == OK;
        if (status == OK && wait_for_disk(recovery, &error) == OK) {
            save(recovery, recovery->world);
            saved = world_position(recovery->world);
        } else if (status == OK) {
            log_line(LOG_WARNING, "no snapshot was made: %s", error.message);
        } else if (status != ERR_STOPPING) {
            log_line(LOG_WARNING, "no further snapshots are made: %s", error.message);
        }
    }
    return NULL;
}

static void start_thread(struct node_recovery *recovery) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&recovery->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&recovery->lock, NULL);
    recovery->has_thread = pthread_create(&recovery->thread, NULL, follow, recovery) == 0;
}

// Everybody has ended, so there is nothing to remember but the last event of the log.
static void save_end(const struct node_recovery *recovery) {
    struct world *world = world_new();
    struct error error = {0};
    struct chain_stats stats;
    uint64_t position = 0;
    uint8_t parent[SHA256_BYTES];
    chain_log_stats(recovery->log, &stats);
    uint64_t from = stats.bytes > LAST_MOST_BYTES ? stats.bytes - LAST_MOST_BYTES : 0;
    if (stats.bytes > 0 && wait_for_disk(recovery, &error) == OK &&
        chain_visit_from(recovery->log, from, world_fold, world, &error) == OK &&
        world_last(world, &position, parent)) {
        world_forget(world);
        save(recovery, world);
    }
    world_free(world);
}

void node_recovery_stop(struct node_recovery *recovery, bool is_clean) {
    if (recovery == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&recovery->lock);
    recovery->is_ending = true;
    (void)pthread_cond_signal(&recovery->wake);
    (void)pthread_mutex_unlock(&recovery->lock);
    if (recovery->has_thread) {
        pthread_join(recovery->thread, NULL);
    }
    if (is_clean && recovery->is_everything_back) {
        save_end(recovery);
    }
    world_free(recovery->world);
    pthread_mutex_destroy(&recovery->lock);
    pthread_cond_destroy(&recovery->wake);
    free(recovery->path);
    free(recovery);
}

// ---- opening
// -------------------------------------------------------------------------------------

static void report(const struct actor_recovered *out) {
    if (out->actors + out->ended + out->missing > 0) {
        log_line(LOG_INFO,
                 "actors that were running: %llu came back, with %llu messages; %llu were about to "
                 "end; %llu are missing",
                 (unsigned long long)out->actors, (unsigned long long)out->messages,
                 (unsigned long long)out->ended, (unsigned long long)out->missing);
    }
}

// The world is used up when the actors are made of it: the thread gets one of its own.
static void keep_copy(struct node_recovery *recovery, const struct world *world) {
    struct buf saved = {0};
    world_save(world, &saved);
    if (world_load(buf_slice(&saved), &recovery->world, NULL) != OK) {
        fatal("a world that was just saved cannot be loaded");
    }
    buf_release(&saved);
}

enum status node_recover(struct chain_log *log, struct actor_system *actors, const char *folder,
                         bool is_left, struct actor_recovered *out, struct node_recovery **keeps,
                         struct error *error) {
    struct node_recovery *recovery = xcalloc(1, sizeof *recovery);
    recovery->log = log;
    recovery->path = file_join(folder, "world");
    struct world *world = load(recovery);
    enum status status = chain_visit_from(log, world_position(world), world_fold, world, error);
    uint64_t count = world_count(world);
    keep_copy(recovery, world);
    if (status == OK && is_left && count > 0) {
        log_line(LOG_WARNING, "%llu actors that were running are left as they are",
                 (unsigned long long)count);
    } else if (status == OK && !is_left) {
        status = actor_system_recover(actors, world, out, error);
        report(out);
    }
    // After an error nobody knows who is not back.
    recovery->is_everything_back = status == OK && (count == 0 || (!is_left && out->missing == 0));
    world_free(world);
    start_thread(recovery);
    *keeps = recovery;
    return status;
}
