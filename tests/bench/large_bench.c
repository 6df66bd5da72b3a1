// SPDX-License-Identifier: Apache-2.0
// theater-large-bench [SECONDS]: turns whose values are so large that the chain holds them by their
// hash, on a node with a log and a store, asked from outside by two threads, each an actor of its
// own. Per line: turns in a second, CPU of the process for each, and what reached the disk.
//
//   state    a new state of 8 KiB, which comes as a parameter of the same size
//   body     16 KiB as parameter, and as answer, as an echo over HTTP has them
//   answer   the same answer of 100 KiB again and again
//   small    the same turns with values of 100 bytes
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/file.h"
#include "chain/chain.h"
#include "node/node.h"

#define COMPONENT SOURCE_FOLDER "/tests/guests/probe/probe.wasm"

enum { CLIENTS = 2, CONTENT_MOST_BYTES = 200000 };

static void must(enum status status, const struct error *error) {
    if (status != OK) {
        fprintf(stderr, "theater-large-bench: %s: %s\n", status_text(status), error->message);
        exit(EXIT_FAILURE);
    }
}

static double cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

struct load {
    struct actor_system *actors;
    const char *command;
    size_t bytes;
    bool is_unique;
    uint64_t until_ns;
    uint32_t number;  // of the client
    uint64_t turns;
};

static void *ask(void *argument) {
    struct load *load = argument;
    char id[16];
    (void)snprintf(id, sizeof id, "actor-%u", load->number);
    char *text = xmalloc(CONTENT_MOST_BYTES);
    size_t size = strlen(load->command) + load->bytes;
    memset(text, 'x', size);
    memcpy(text, load->command, strlen(load->command));
    text[size] = '\0';
    while (env_monotonic_ns(env_system()) < load->until_ns) {
        struct error error = {0};
        struct bytes *reply = NULL;
        if (load->is_unique) {
            char *end = text + size - 32;
            (void)snprintf(end, 32, "%08x-%020llu", load->number, (unsigned long long)load->turns);
            end[29] = 'x';
        }
        must(actor_request_from_outside(load->actors, id, slice_of(text, size), 60000000000U,
                                        &reply, &error),
             &error);
        bytes_unref(reply);
        load->turns++;
    }
    free(text);
    return NULL;
}

static void request(struct actor_system *actors, const char *id, const char *text) {
    struct error error = {0};
    struct bytes *reply = NULL;
    must(actor_request_from_outside(actors, id, slice_text(text), 60000000000U, &reply, &error),
         &error);
    bytes_unref(reply);
}

// Of the log and of the store.
static uint64_t folder_bytes(const char *folder) {
    struct buf command = {0};
    char line[64] = "";
    buf_format(&command, "du -sb '%s/log' '%s/store' | awk '{s += $1} END {print s}'", folder,
               folder);
    FILE *pipe = popen(buf_text(&command), "r");
    char *end = pipe != NULL ? fgets(line, sizeof line, pipe) : NULL;
    buf_release(&command);
    if (pipe != NULL) {
        (void)pclose(pipe);
    }
    return end != NULL ? strtoull(line, NULL, 10) : 0;
}

static void measure(const char *name, const char *command, size_t bytes, bool is_unique,
                    double seconds) {
    char folder[] = "/tmp/theater-large-XXXXXX";
    struct error error = {0};
    if (mkdtemp(folder) == NULL) {
        fatal("no folder");
    }
    char *data = file_join(folder, "data");
    struct node_config config = {.data_folder = data, .quiet = true};
    struct node *node = NULL;
    must(node_open(&config, &node, &error), &error);
    struct actor_system *actors = node_actors(node);
    static const char manifest[] = "name = \"large\"\ncomponent = \"" COMPONENT
                                   "\"\n"
                                   "[[handler]]\ntype = \"supervisor\"\n"
                                   "[[handler]]\ntype = \"timing\"\n"
                                   "[[handler]]\ntype = \"random\"\n";
    struct load loads[CLIENTS];
    pthread_t threads[CLIENTS];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        char id[ACTOR_ID_BYTES], name_of[16];
        (void)snprintf(name_of, sizeof name_of, "actor-%u", i);
        struct actor_start start = {.manifest = manifest, .id = name_of};
        must(actor_start_root(actors, &start, id, &error), &error);
        if (!is_unique) {
            request(actors, name_of, "grow-state 100000");
        }
    }
    uint64_t from = env_monotonic_ns(env_system());
    double cpu = cpu_s();
    for (uint32_t i = 0; i < CLIENTS; i++) {
        loads[i] = (struct load){.actors = actors,
                                 .command = command,
                                 .bytes = bytes,
                                 .is_unique = is_unique,
                                 .until_ns = from + (uint64_t)(seconds * 1e9),
                                 .number = i};
        (void)pthread_create(&threads[i], NULL, ask, &loads[i]);
    }
    uint64_t turns = 0;
    for (uint32_t i = 0; i < CLIENTS; i++) {
        (void)pthread_join(threads[i], NULL);
        turns += loads[i].turns;
    }
    double elapsed = (double)(env_monotonic_ns(env_system()) - from) / 1e9;
    cpu = cpu_s() - cpu;
    must(node_close(node, &error), &error);
    printf("%s: %.0f turns/s, %.1f us of CPU each, %.0f bytes on disk each\n", name,
           (double)turns / elapsed, cpu * 1e6 / (double)turns,
           (double)folder_bytes(data) / (double)turns);
    fflush(stdout);
    free(data);
    must(file_remove_tree(folder, &error), &error);
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 5;
    measure("state", "set-state ", 8192, true, seconds);
    measure("body", "echo ", 16384, true, seconds);
    measure("answer", "state", 0, false, seconds);
    measure("small", "echo ", 100, true, seconds);
    return EXIT_SUCCESS;
}
