// SPDX-License-Identifier: Apache-2.0
// theater run: an embedded node in this process, with one root actor, or with those that were
// running when the last node on the data folder was killed.
//
// Replies go to stdout, everything else to stderr. The first SIGINT or SIGTERM drains and stops
// children before parents; the second ends the process at once.
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "cli/cli.h"
#include "codec/cbor.h"
#include "node/node.h"

enum { ACTIONS_MOST = 100000, STATE_MOST_BYTES = 64 * 1024 * 1024, HANDLES_MOST = 1 << 20 };

struct action {
    bool is_request;
    const char *message;
};

struct run {
    // options
    const char *manifest;  // NULL: only what comes back
    const char *data;
    const char *id;
    const char *state;
    struct action *actions;
    size_t action_count;
    bool until_idle;
    bool no_recover;
    bool json;
    bool quiet;
    bool never_compile;
    const char *permit;
    const char *code;
    uint32_t workers;
    uint64_t instance_memory_bytes;  // 0: the node's default
    uint64_t timeout_ns;             // UINT64_MAX: none
    // what happens
    struct node *node;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct map ended;  // lock: id of a root actor that is gone -> &was_wish or &was_failure
    int signal;        // lock: the first one that came
};

static const bool was_wish = false;
static const bool was_failure = true;

static void root_ended(void *context, const char *id, const char *reason) {
    struct run *run = context;
    if (reason != NULL) {
        log_line(LOG_ERROR, "actor %s was stopped: %s", id, reason);
    }
    pthread_mutex_lock(&run->lock);
    (void)map_add(&run->ended, slice_text(id),
                  (void *)(uintptr_t)(reason != NULL ? &was_failure : &was_wish));
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
}

static void stop(void *context, int number, bool is_first) {
    struct run *run = context;
    if (is_first) {
        pthread_mutex_lock(&run->lock);
        run->signal = number;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->lock);
        log_line(LOG_INFO, "stopping; once more to end at once");
    }
    actor_system_request_stop(node_actors(run->node));
}

// ---- options
// -------------------------------------------------------------------------------------

// Only what was running is brought back: that needs a folder by name, and an id to talk to.
static bool check_without_manifest(const struct run *run, int *code) {
    if (run->data == NULL || run->no_recover) {
        *code = cli_usage("run",
                          "which manifest? (Without one, --data DIR brings back what was "
                          "running there)");
    } else if (run->state != NULL) {
        *code = cli_usage("run", "--state needs a manifest");
    } else if (run->action_count > 0 && run->id == NULL) {
        *code = cli_usage("run", "without a manifest, --send and --request need --id");
    } else {
        return true;
    }
    return false;
}

static bool parse_mebibytes(const char *text, uint64_t *bytes) {
    enum { DIGITS_MOST = 9 };
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > DIGITS_MOST || text[digits] != '\0') {
        return false;
    }
    *bytes = strtoull(text, NULL, 10) << 20;
    return *bytes != 0;
}

static bool parse_options(struct run *run, int argc, char **argv, int *code) {
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"id", required_argument, NULL, 'i'},
                                            {"state", required_argument, NULL, 's'},
                                            {"send", required_argument, NULL, 'm'},
                                            {"request", required_argument, NULL, 'r'},
                                            {"until-idle", no_argument, NULL, 'u'},
                                            {"timeout", required_argument, NULL, 't'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"code", required_argument, NULL, 'c'},
                                            {"no-compile", no_argument, NULL, 'n'},
                                            {"permit", required_argument, NULL, 'p'},
                                            {"instance-memory", required_argument, NULL, 'M'},
                                            {"no-recover", no_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};
    run->timeout_ns = UINT64_MAX;
    run->actions = xcalloc((size_t)argc, sizeof *run->actions);
    opterr = 0;
    for (;;) {
        int option = getopt_long(argc, argv, ":", options, NULL);
        if (option == -1) {
            break;
        }
        uint64_t seconds = 0;
        switch (option) {
            case 'd':
                run->data = optarg;
                break;
            case 'i':
                run->id = optarg;
                break;
            case 's':
                run->state = optarg;
                break;
            case 'm':
            case 'r':
                run->actions[run->action_count++] =
                    (struct action){.is_request = option == 'r', .message = optarg};
                break;
            case 'u':
                run->until_idle = true;
                break;
            case 't':
                if (!cli_parse_seconds(optarg, &run->timeout_ns)) {
                    *code = cli_usage("run", "--timeout takes seconds, not '%s'", optarg);
                    return false;
                }
                break;
            case 'j':
                run->json = true;
                break;
            case 'q':
                run->quiet = true;
                break;
            case 'c':
                run->code = optarg;
                break;
            case 'p':
                run->permit = optarg;
                break;
            case 'n':
                run->never_compile = true;
                break;
            case 'M':
                if (!parse_mebibytes(optarg, &run->instance_memory_bytes)) {
                    *code = cli_usage("run", "--instance-memory takes MiB, not '%s'", optarg);
                    return false;
                }
                break;
            case 'o':
                run->no_recover = true;
                break;
            case 'w':
                if (!cli_parse_seconds(optarg, &seconds) || seconds % 1000000000U != 0 ||
                    seconds > 1024 * 1000000000ULL) {
                    *code = cli_usage("run", "--workers takes a number, not '%s'", optarg);
                    return false;
                }
                run->workers = (uint32_t)(seconds / 1000000000U);
                break;
            case ':':
                *code = cli_usage("run", "%s needs a value", argv[optind - 1]);
                return false;
            default:
                *code = cli_usage("run", "there is no option '%s'", argv[optind - 1]);
                return false;
        }
    }
    if (optind < argc - 1) {
        *code = cli_usage("run", "one manifest only, not also '%s'", argv[optind + 1]);
        return false;
    }
    run->manifest = argv[optind];  // NULL behind the last one
    if (run->manifest == NULL) {
        return check_without_manifest(run, code);
    }
    return true;
}

// ---- what it does
// --------------------------------------------------------------------------------

static uint64_t time_left(const struct run *run, uint64_t start_ns) {
    if (run->timeout_ns == UINT64_MAX) {
        return UINT64_MAX;
    }
    uint64_t spent = env_monotonic_ns(env_system()) - start_ns;
    return spent >= run->timeout_ns ? 0 : run->timeout_ns - spent;
}

static void print_json_bytes(const char *key, struct slice content) {
    struct buf item = {0};
    struct buf line = {0};
    cbor_bytes(&item, content);
    buf_format(&line, "{\"%s\":", key);
    cbor_to_json(buf_slice(&item), &line);
    buf_append_text(&line, "}\n");
    fwrite(line.data, 1, line.size, stdout);
    buf_release(&item);
    buf_release(&line);
}

static int do_request(struct run *run, const char *id, const char *message, uint64_t left_ns) {
    struct error error = {0};
    struct bytes *reply = NULL;
    enum status status = actor_request_from_outside(node_actors(run->node), id, slice_text(message),
                                                    left_ns, &reply, &error);
    if (status != OK) {
        if (run->json) {
            print_json_bytes("error", slice_text(error.message));
        }
        log_line(LOG_ERROR, "request failed: %s", error.message);
        fflush(stdout);
        return status == ERR_TIMEOUT ? EXIT_TIMEOUT : EXIT_REPLY_ERROR;
    }
    if (run->json) {
        print_json_bytes("reply", bytes_slice(reply));
    } else {
        fwrite(reply->data, 1, reply->size, stdout);
        fputc('\n', stdout);
    }
    fflush(stdout);
    bytes_unref(reply);
    return EXIT_GOOD;
}

static int do_actions(struct run *run, const char *id, uint64_t start_ns) {
    int code = EXIT_GOOD;
    for (size_t i = 0; i < run->action_count; i++) {
        struct error error = {0};
        int one = EXIT_GOOD;
        if (run->actions[i].is_request) {
            one = do_request(run, id, run->actions[i].message, time_left(run, start_ns));
        } else if (actor_send_from_outside(node_actors(run->node), id,
                                           slice_text(run->actions[i].message), &error) != OK) {
            one = cli_error(&error);
        }
        code = code == EXIT_GOOD ? one : code;
    }
    return code;
}

// With the lock held: the actor that was asked for is gone; without one, all that came back are.
static bool has_ended(struct run *run, const char *id) {
    return run->manifest != NULL ? map_get_text(&run->ended, id) != NULL
                                 : actor_system_count(node_actors(run->node)) == 0;
}

// Waits for the end of what runs, a signal, or the time-out.
static int wait_for_end(struct run *run, const char *id, uint64_t start_ns) {
    int code = EXIT_GOOD;
    pthread_mutex_lock(&run->lock);
    while (!has_ended(run, id) && run->signal == 0) {
        uint64_t left = time_left(run, start_ns);
        if (left == 0) {
            code = EXIT_TIMEOUT;
            break;
        }
        uint64_t due =
            env_monotonic_ns(env_system()) + (left < 3600000000000U ? left : 3600000000000U);
        struct timespec at = {.tv_sec = (time_t)(due / 1000000000U),
                              .tv_nsec = (long)(due % 1000000000U)};
        pthread_cond_timedwait(&run->changed, &run->lock, &at);
    }
    pthread_mutex_unlock(&run->lock);
    return code;
}

static int drive(struct run *run, const char *id, uint64_t start_ns) {
    int code = do_actions(run, id, start_ns);
    if (run->until_idle) {
        if (!actor_system_wait_idle(node_actors(run->node), time_left(run, start_ns)) &&
            code == EXIT_GOOD) {
            code = EXIT_TIMEOUT;
        }
    } else {
        int end = wait_for_end(run, id, start_ns);
        code = code == EXIT_GOOD ? end : code;
    }
    if (code == EXIT_TIMEOUT) {
        log_line(LOG_ERROR, "the time-out passed; stopping");
    }
    pthread_mutex_lock(&run->lock);
    if (run->signal != 0) {
        code = 128 + run->signal;
    } else if (code == EXIT_GOOD && run->manifest != NULL &&
               map_get_text(&run->ended, id) == &was_failure) {
        code = EXIT_ERROR;
    }
    pthread_mutex_unlock(&run->lock);
    return code;
}

static enum status read_state(const char *state, struct bytes **out, struct error *error) {
    if (access(state, F_OK) == 0) {
        return file_read(state, STATE_MOST_BYTES, out, error);
    }
    // A mistyped file name should not be told that it is bad JSON.
    if (strchr("{[\"-0123456789tfn \t\n", state[0]) == NULL || strchr(state, '/') == state) {
        return error_set(error, ERR_NOT_FOUND, "--state %s: neither a file that exists nor JSON",
                         state);
    }
    *out = bytes_copy(slice_text(state));
    return OK;
}

// What ended while it was being brought back is not what is asked for now.
static void forget_ended(struct run *run) {
    pthread_mutex_lock(&run->lock);
    map_release(&run->ended);
    pthread_mutex_unlock(&run->lock);
}

static int start_and_drive(struct run *run) {
    struct error error = {0};
    struct bytes *state = NULL;
    if (run->state != NULL && read_state(run->state, &state, &error) != OK) {
        return cli_error(&error);
    }
    uint64_t start_ns = env_monotonic_ns(env_system());
    struct actor_start start = {.manifest = run->manifest,
                                .id = run->id,
                                .has_state = state != NULL,
                                .state = bytes_slice(state),
                                .may_attach = true};
    char id[ACTOR_ID_BYTES];
    int code = EXIT_GOOD;
    forget_ended(run);
    if (run->manifest == NULL) {
        return drive(run, run->id != NULL ? run->id : "", start_ns);
    }
    if (actor_start_root(node_actors(run->node), &start, id, &error) != OK) {
        code = cli_error(&error);
    } else {
        log_line(LOG_INFO, "actor %s started", id);
        code = drive(run, id, start_ns);
    }
    bytes_unref(state);
    return code;
}

// Connections and files need handles, and the usual soft limit is for programs that use select().
// Programs that actors start get the usual one.
static void raise_handles(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < HANDLES_MOST) {
        limit.rlim_cur = limit.rlim_max < HANDLES_MOST ? limit.rlim_max : HANDLES_MOST;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int cli_run(int argc, char **argv) {
    struct run run = {0};
    int code = EXIT_GOOD;
    if (!parse_options(&run, argc, argv, &code)) {
        free(run.actions);
        return code;
    }
    cli_signals_block();
    raise_handles();
    pthread_mutex_init(&run.lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&run.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    struct node_config config = {.data_folder = run.data,
                                 .workers = run.workers,
                                 .instance_memory_bytes = run.instance_memory_bytes,
                                 .quiet = run.quiet,
                                 .code_folder = run.code,
                                 .never_compile = run.never_compile,
                                 .permit = run.permit,
                                 .no_recover = run.no_recover,
                                 .root_ended = root_ended,
                                 .root_context = &run};
    struct error error = {0};
    if (node_open(&config, &run.node, &error) != OK) {
        code = cli_error(&error);
    } else {
        struct cli_signals signals = {.stop = stop, .context = &run};
        cli_signals_start(&signals);
        code = start_and_drive(&run);
        // From here on a signal has nobody to stop: the node is being closed.
        cli_signals_end(&signals);
        if (node_close(run.node, &error) != OK) {
            code = cli_error(&error);
        }
    }
    pthread_cond_destroy(&run.changed);
    pthread_mutex_destroy(&run.lock);
    map_release(&run.ended);
    free(run.actions);
    return code;
}
