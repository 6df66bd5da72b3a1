// SPDX-License-Identifier: Apache-2.0
// theater:simple/websocket-server, the older interface: a server for each handler block, begun
// before init is called, so that an address that cannot be had is an error of the start. The events
// of those who connect early wait in the mailbox until init has returned.
#include <stdio.h>
#include <stdlib.h>

#include "host/websocket.h"
#include "io/loop.h"

// Listening is the loop's.
struct listen_job {
    struct actor_job job;
    struct io_post post;
    struct websockets *sockets;
    char *host;
    uint16_t port, bound;
};

static void release_job(struct actor_job *actor_job) {
    struct listen_job *job = CONTAINER_OF(actor_job, struct listen_job, job);
    websockets_unref(job->sockets);
    free(job->host);
    free(job);
}

static void listen_on_loop(struct io_post *post) {
    struct listen_job *job = CONTAINER_OF(post, struct listen_job, post);
    job->job.status =
        websockets_listen(job->sockets, job->host, job->port, &job->bound, &job->job.error);
    actor_job_done(&job->job);
}

static void begin_job(struct actor_job *actor_job) {
    struct listen_job *job = CONTAINER_OF(actor_job, struct listen_job, job);
    job->post.run = listen_on_loop;
    io_loop_post(websockets_loop(job->sockets), &job->post);
}

static void log_address(struct actor *self, const struct listen_job *job) {
    bool is_v6 = strchr(job->host, ':') != NULL;
    struct buf line = {0};
    buf_format(&line, "websocket-server: listening on ws://%s%s%s:%d", is_v6 ? "[" : "", job->host,
               is_v6 ? "]" : "", job->bound);
    actor_log(self, buf_slice(&line));
    buf_release(&line);
}

static enum status start_server(struct actor *self, const struct manifest_handler *block,
                                struct error *error) {
    struct listen_job *job = xcalloc(1, sizeof *job);
    actor_job_init(&job->job, NULL, release_job);
    job->job.begin = begin_job;
    job->sockets = websockets_ref(websockets_of(self));
    job->host = xstrdup(block->websocket_server.host);
    job->port = (uint16_t)block->websocket_server.port;
    enum status status = actor_run_job(self, &job->job, error);
    if (status == OK) {
        log_address(self, job);
    }
    actor_job_unref(&job->job);
    return status;
}

static enum status check(struct actor *self, struct error *error) {
    if (!actor_permissions(self)->allowed[PERMISSION_WEBSOCKET_SERVER]) {
        return error_set(error, ERR_DENIED, "permission denied: %s",
                         permission_kind_name(PERMISSION_WEBSOCKET_SERVER));
    }
    if (!actor_handles(self, ACTOR_WEBSOCKET_EVENT)) {
        return error_set(error, ERR_INVALID,
                         "the component does not export theater:simple/websocket-server");
    }
    return host_services(self)->http != NULL
               ? OK
               : error_set(error, ERR_UNSUPPORTED, "this node runs no servers");
}

enum status host_instance_made(struct actor *actor, struct error *error) {
    const struct manifest *manifest = actor_manifest(actor);
    for (uint32_t i = 0; i < manifest->handler_count; i++) {
        const struct manifest_handler *block = &manifest->handlers[i];
        if (block->type != HANDLER_WEBSOCKET_SERVER) {
            continue;
        }
        enum status status = check(actor, error);
        if (status == OK) {
            status = start_server(actor, block, error);
        }
        if (status != OK) {
            return error_context(error, "[[handler]] websocket-server in line %u", block->line);
        }
    }
    return OK;
}
