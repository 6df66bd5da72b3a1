// SPDX-License-Identifier: Apache-2.0
// theater-rawlog: the yardstick of the log. Copies frames of one size into buffers and gives those
// to preallocated files, written and synced in the same pattern as the log (two buffers, one thread
// that writes, one that syncs back to back), without hashes, checksums or chains. Prints events/s.
// With --uncache it also gives the pages of older files back, as the log does.
//
//   theater-rawlog [--uncache] [folder [events [frame bytes [buffer bytes [segment bytes]]]]]
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/env.h"
#include "base/file.h"

struct raw {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint8_t *data[2];
    uint64_t buffer_bytes;
    uint64_t segment_bytes;
    uint64_t full_bytes;  // of the buffer that the writer has, 0: it has none
    int full;
    uint64_t written;
    uint64_t synced;
    uint64_t syncs;
    bool is_done;
    bool is_syncing;
    const char *folder;
    int file;
    uint64_t offset;
    unsigned number;
    bool uncaches;
};

static void stop(const char *what) {
    perror(what);
    exit(1);
}

static char *path_of(const struct raw *raw, unsigned number) {
    char name[32];
    (void)snprintf(name, sizeof name, "%u.raw", number);
    return file_join(raw->folder, name);
}

static void uncache(const struct raw *raw, unsigned number) {
    char *path = path_of(raw, number);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0) {
        stop("uncache");
    }
    close(file);
    free(path);
}

static void next_file(struct raw *raw) {
    enum { CACHED_FILES = 4 };
    char *path = path_of(raw, ++raw->number);
    if (raw->uncaches && raw->number > CACHED_FILES + 1) {
        uncache(raw, raw->number - CACHED_FILES - 1);
    }
    if (raw->file >= 0) {
        if (ftruncate(raw->file, (off_t)raw->offset) != 0 || fsync(raw->file) != 0) {
            stop("trim");
        }
        close(raw->file);
    }
    raw->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    free(path);
    if (raw->file < 0 || fallocate(raw->file, 0, 0, (off_t)raw->segment_bytes) != 0 ||
        fsync(raw->file) != 0) {
        stop("create");
    }
    raw->offset = 0;
}

static void write_buffer(struct raw *raw, uint64_t size) {
    const uint8_t *at = raw->data[raw->full];
    for (uint64_t done = 0; done < size;) {
        ssize_t put = pwrite(raw->file, at + done, size - done, (off_t)(raw->offset + done));
        if (put <= 0) {
            stop("write");
        }
        done += (uint64_t)put;
    }
}

static void *run_writer(void *argument) {
    struct raw *raw = argument;
    (void)pthread_mutex_lock(&raw->lock);
    for (;;) {
        while (raw->full_bytes == 0 && !raw->is_done) {
            (void)pthread_cond_wait(&raw->changed, &raw->lock);
        }
        uint64_t size = raw->full_bytes;
        if (size == 0) {
            break;
        }
        bool must_roll = raw->file < 0 || raw->offset + size > raw->segment_bytes;
        while (must_roll && raw->is_syncing) {
            (void)pthread_cond_wait(&raw->changed, &raw->lock);
        }
        if (must_roll) {  // under the lock, so that the syncer keeps out
            next_file(raw);
            raw->synced = raw->written;
        }
        (void)pthread_mutex_unlock(&raw->lock);
        write_buffer(raw, size);
        (void)pthread_mutex_lock(&raw->lock);
        raw->offset += size;
        raw->written += size;
        raw->full_bytes = 0;
        (void)pthread_cond_broadcast(&raw->changed);
    }
    (void)pthread_mutex_unlock(&raw->lock);
    return NULL;
}

static void *run_sync(void *argument) {
    struct raw *raw = argument;
    (void)pthread_mutex_lock(&raw->lock);
    for (;;) {
        if (raw->written == raw->synced) {
            if (raw->is_done && raw->full_bytes == 0) {
                break;
            }
            (void)pthread_cond_wait(&raw->changed, &raw->lock);
            continue;
        }
        uint64_t target = raw->written;
        int file = raw->file;
        raw->is_syncing = true;
        (void)pthread_mutex_unlock(&raw->lock);
        if (fdatasync(file) != 0) {
            stop("sync");
        }
        (void)pthread_mutex_lock(&raw->lock);
        raw->is_syncing = false;
        raw->synced = target;
        raw->syncs++;
        (void)pthread_cond_broadcast(&raw->changed);
    }
    (void)pthread_mutex_unlock(&raw->lock);
    return NULL;
}

// Gives the filled buffer to the writer, once that has finished the other one.
static void hand_over(struct raw *raw, int buffer, uint64_t size) {
    (void)pthread_mutex_lock(&raw->lock);
    while (raw->full_bytes != 0) {
        (void)pthread_cond_wait(&raw->changed, &raw->lock);
    }
    raw->full = buffer;
    raw->full_bytes = size;
    (void)pthread_cond_broadcast(&raw->changed);
    (void)pthread_mutex_unlock(&raw->lock);
}

static void run(struct raw *raw, uint64_t events, uint64_t frame_bytes) {
    uint8_t frame[4096];
    memset(frame, 0x5a, sizeof frame);
    int buffer = 0;
    uint64_t used = 0;
    for (uint64_t i = 0; i < events; i++) {
        if (used + frame_bytes > raw->buffer_bytes) {
            hand_over(raw, buffer, used);
            buffer = 1 - buffer;
            used = 0;
        }
        memcpy(raw->data[buffer] + used, frame, frame_bytes);
        used += frame_bytes;
    }
    hand_over(raw, buffer, used);
    (void)pthread_mutex_lock(&raw->lock);
    raw->is_done = true;
    (void)pthread_cond_broadcast(&raw->changed);
    while (raw->synced < events * frame_bytes) {
        (void)pthread_cond_wait(&raw->changed, &raw->lock);
    }
    (void)pthread_mutex_unlock(&raw->lock);
}

static uint64_t argument_or(int count, char **arguments, int index, uint64_t fallback) {
    return count > index ? strtoull(arguments[index], NULL, 10) : fallback;
}

int main(int count, char **arguments) {
    bool uncaches = count > 1 && strcmp(arguments[1], "--uncache") == 0;
    arguments += uncaches;
    count -= uncaches;
    struct raw raw = {.uncaches = uncaches,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER,
                      .file = -1,
                      .folder = count > 1 ? arguments[1] : "rawlog.tmp"};
    uint64_t events = argument_or(count, arguments, 2, 1000000);
    uint64_t frame_bytes = argument_or(count, arguments, 3, 256);
    raw.buffer_bytes = argument_or(count, arguments, 4, (uint64_t)8 << 20);
    raw.segment_bytes = argument_or(count, arguments, 5, (uint64_t)64 << 20);
    struct error error = {0};
    if (events == 0 || frame_bytes == 0 || frame_bytes > 4096 || raw.buffer_bytes < frame_bytes ||
        raw.segment_bytes < raw.buffer_bytes) {
        (void)fprintf(stderr, "a buffer holds a frame of 1 to 4096 bytes, a segment a buffer\n");
        return 2;
    }
    if (file_make_folders(raw.folder, 0700, &error) != OK) {
        (void)fprintf(stderr, "theater-rawlog: %s\n", error.message);
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        raw.data[i] = xmalloc(raw.buffer_bytes);
        memset(raw.data[i], 1, raw.buffer_bytes);  // page faults before the clock starts
    }
    pthread_t writer;
    pthread_t sync = pthread_self();
    uint64_t start = env_monotonic_ns(env_system());
    if (pthread_create(&writer, NULL, run_writer, &raw) != 0 ||
        pthread_create(&sync, NULL, run_sync, &raw) != 0) {
        stop("threads");
    }
    run(&raw, events, frame_bytes);
    uint64_t took = env_monotonic_ns(env_system()) - start;
    (void)pthread_join(writer, NULL);
    (void)pthread_join(sync, NULL);
    close(raw.file);
    (void)printf("raw%s: %.0f events/s, %.1f MB/s, %llu syncs\n",
                 uncaches ? ", pages given back" : "", (double)events * 1e9 / (double)took,
                 (double)(events * frame_bytes) * 1e3 / (double)took,
                 (unsigned long long)raw.syncs);
    free(raw.data[0]);
    free(raw.data[1]);
    return file_remove_tree(raw.folder, &error) == OK ? 0 : 1;
}
