// SPDX-License-Identifier: Apache-2.0
// theater-storm-node DATA CODE RELAY WEB SENDERS FROM: a node that is to be killed
// (script/soak-kill).
//
// Two root actors, started or brought back: "relay", a probe with a child to which it passes on
// what it gets, and "web", with an HTTP server. Each of SENDERS threads sends "send CHILD log m S
// N" to the relay, N from FROM on, and prints "S N" when the node has acknowledged that: so what is
// printed may never be lost. Ends when its standard input does.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actor/recovery.h"
#include "base/file.h"
#include "node/node.h"

enum { SENDERS_MOST = 16, MESSAGES_MOST = 400 };

struct storm {
    struct actor_system *actors;
    char child[ACTOR_ID_BYTES];
    unsigned long from;
    _Atomic bool is_over;
};

struct sender {
    struct storm *storm;
    pthread_t thread;
    unsigned number;
};

static void must(enum status status, const struct error *error) {
    if (status != OK) {
        fprintf(stderr, "theater-storm-node: %s\n", error->message);
        exit(EXIT_FAILURE);
    }
}

static void start(struct storm *storm, const char *manifest, const char *id) {
    struct error error = {0};
    char written[ACTOR_ID_BYTES];
    struct actor_start start = {.manifest = manifest, .id = id, .may_attach = true};
    must(actor_start_root(storm->actors, &start, written, &error), &error);
}

static struct bytes *ask(struct storm *storm, const char *question) {
    struct error error = {0};
    struct bytes *reply = NULL;
    must(actor_request_from_outside(storm->actors, "relay", slice_text(question), 60000000000U,
                                    &reply, &error),
         &error);
    return reply;
}

// The relay's child, which it gets when it has none.
static void find_child(struct storm *storm) {
    struct bytes *children = ask(storm, "children");
    if (children->size == 0) {
        bytes_unref(children);
        children = ask(storm, "spawn probe.toml");
    }
    size_t size = children->size < ACTOR_ID_BYTES ? children->size : ACTOR_ID_BYTES - 1;
    memcpy(storm->child, children->data, size);
    storm->child[strcspn(storm->child, " ")] = '\0';
    bytes_unref(children);
}

static void *send_all(void *argument) {
    struct sender *sender = argument;
    struct storm *storm = sender->storm;
    for (unsigned long i = 0; i < MESSAGES_MOST && !atomic_load(&storm->is_over); i++) {
        char text[256];
        char line[64];
        struct error error = {0};
        (void)snprintf(text, sizeof text, "send %s log m %u %lu.", storm->child, sender->number,
                       storm->from + i);
        enum status status =
            actor_send_from_outside(storm->actors, "relay", slice_text(text), &error);
        if (status == OK) {
            // One write, so that a line is there or is not.
            int size = snprintf(line, sizeof line, "%u %lu\n", sender->number, storm->from + i);
            if (write(STDOUT_FILENO, line, (size_t)size) != size) {
                break;
            }
        } else if (status != ERR_BUSY) {
            must(status, &error);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 7) {
        fprintf(stderr, "usage: theater-storm-node DATA CODE RELAY WEB SENDERS FROM\n");
        return EXIT_FAILURE;
    }
    struct error error = {0};
    struct node *node = NULL;
    struct storm storm = {.from = strtoul(argv[6], NULL, 10)};
    struct node_config config = {.data_folder = argv[1], .code_folder = argv[2], .quiet = true};
    must(node_open(&config, &node, &error), &error);
    storm.actors = node_actors(node);
    start(&storm, argv[3], "relay");
    start(&storm, argv[4], "web");
    find_child(&storm);
    struct sender senders[SENDERS_MOST];
    unsigned count = (unsigned)strtoul(argv[5], NULL, 10);
    count = count < SENDERS_MOST ? count : SENDERS_MOST;
    for (unsigned i = 0; i < count; i++) {
        senders[i] = (struct sender){.storm = &storm, .number = i};
        if (pthread_create(&senders[i].thread, NULL, send_all, &senders[i]) != 0) {
            fprintf(stderr, "theater-storm-node: no thread\n");
            return EXIT_FAILURE;
        }
    }
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    atomic_store(&storm.is_over, true);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(senders[i].thread, NULL);
    }
    (void)actor_system_wait_idle(storm.actors, 60000000000U);
    must(node_close(node, &error), &error);
    return EXIT_SUCCESS;
}
