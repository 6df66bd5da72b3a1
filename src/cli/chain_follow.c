// SPDX-License-Identifier: Apache-2.0
// theater chain show --follow: the events of one actor, or of all, as they are written.
#include <stdio.h>
#include <stdlib.h>

#include "cli/chain.h"

enum { EVENTS_AT_ONCE = 1000 };

struct follower {
    const struct chain_command *command;
    bool is_one;  // one actor's events
    bool is_done;
};

static enum status print(void *context, const struct chain_event *event, struct error *error) {
    struct follower *follower = context;
    const struct chain_command *command = follower->command;
    (void)error;
    if (follower->is_one && event->seq > command->until) {
        follower->is_done = true;
    } else {
        if (!follower->is_one && !command->json) {
            printf("%-24s ", event->id);
        }
        cli_chain_print(command, event);
        follower->is_done = follower->is_one && event->seq == command->until;
    }
    return OK;
}

static enum status follow(struct follower *follower, struct chain_log *log,
                          struct chain_subscription *subscription, struct error *error) {
    uint64_t before_ns = follower->command->before_ns;
    enum status status = OK;
    while (status == OK && !follower->is_done) {
        bool is_behind = false;
        uint64_t now_ns = env_wall_ns(env_system());
        uint64_t seen = chain_visible(log, CHAIN_WRITTEN);
        status = chain_subscription_read(subscription, EVENTS_AT_ONCE, print, follower, NULL,
                                         &is_behind, error);
        if (fflush(stdout) != 0) {
            return status == OK ? error_set(error, ERR_IO, "cannot write the events") : status;
        }
        if (status != OK || is_behind || follower->is_done) {
            continue;
        }
        if (now_ns >= before_ns) {
            break;
        }
        uint64_t rest_ns = before_ns == UINT64_MAX ? UINT64_MAX : before_ns - now_ns;
        status = chain_wait_visible(log, CHAIN_WRITTEN, seen, rest_ns, error);
        if (status == ERR_TIMEOUT) {
            error_clear(error);
            status = OK;
        }
    }
    return status;
}

// The actor's id; one that has no chain yet is taken as it stands.
static enum status choose(struct chain_command *command, const char *name, char **id,
                          struct error *error) {
    struct chain_log *log = NULL;
    struct error cause = {0};
    enum status status = cli_chain_find(command, name, id, &log, &cause);
    if (status == ERR_NOT_FOUND) {
        fprintf(stderr, "theater: no chain of an actor '%s' yet\n", name);
        *id = xstrdup(name);
        return OK;
    }
    if (status == OK && log != command->log) {
        return error_set(error, ERR_INVALID, "the chain '%s' is imported: nothing is added to it",
                         *id);
    }
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}

int cli_chain_follow(struct chain_command *command, const char *name) {
    struct error error = {0};
    struct follower follower = {.command = command, .is_one = name != NULL};
    struct chain_subscription *subscription = NULL;
    char *id = NULL;
    enum status status = cli_chain_open(command, &error);
    if (status == OK && name != NULL) {
        status = choose(command, name, &id, &error);
    }
    if (status == OK) {
        struct chain_subscription_config config = {
            .id = id,
            .from = name != NULL ? command->from : 0,
            .from_now = name == NULL && command->since_ns == 0,
            .filter = cli_chain_filter(command)};
        status = chain_subscribe(command->log, &config, &subscription, &error);
    }
    if (status == OK) {
        status = follow(&follower, command->log, subscription, &error);
    }
    chain_subscription_close(subscription);
    free(id);
    if (status == ERR_DAMAGED) {
        (void)cli_error(&error);
        return EXIT_BAD_CHAIN;
    }
    return status == OK ? EXIT_GOOD : cli_error(&error);
}
