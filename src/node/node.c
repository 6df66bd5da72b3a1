// SPDX-License-Identifier: Apache-2.0
#include "node/node.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "chain/signer.h"
#include "host/host.h"
#include "io/http_client.h"
#include "io/http_server.h"
#include "io/loop.h"
#include "io/pool.h"
#include "io/process.h"
#include "node/exchange.h"
#include "node/rebuild.h"
#include "node/recover.h"
#include "node/reference.h"
#include "wasm/wasm.h"

// The layout of a data folder; a folder of another version is refused.
static const char data_version[] = "1\n";

enum { NODE_SCHEMES_MOST = 4 };

// How long a chain that goes on stays unsigned.
#define SIGN_INTERVAL_NS (UINT64_C(600) * 1000000000U)

struct node {
    int lock;
    bool has_watchdog;
    struct wasm_compiler *compiler;
    struct sched *sched;
    struct io_pool *files;  // where what may block is done
    struct host_services services;
    struct manifest_scheme schemes[NODE_SCHEMES_MOST];  // what manifests may refer to
    size_t scheme_count;
    char *folder;  // of the data; NULL for a bare node
    struct chain_log *log;
    struct chain_signer *signer;
    char *secrets_folder;
    struct arena bound_lists;
    struct permissions bound;
    struct actor_system *actors;
    struct actor_recovered recovered;
    struct node_rebuilder rebuilder;
    struct node_recovery *recovery;
};

static enum status home_folder(const char *variable, const char *beneath_home, char **out,
                               struct error *error) {
    const char *set = getenv(variable);
    if (set != NULL && set[0] != '\0') {
        *out = xstrdup(set);
        return OK;
    }
    const char *home = getenv("HOME");
    if (home == NULL || home[0] == '\0') {
        return error_set(error, ERR_NOT_FOUND, "neither $%s nor $HOME is set", variable);
    }
    *out = file_join(home, beneath_home);
    return OK;
}

enum status node_default_folder(char **out, struct error *error) {
    return home_folder("THEATER_HOME", ".theater", out, error);
}

enum status node_code_folder(char **out, struct error *error) {
    char *cache = NULL;
    enum status status = home_folder("XDG_CACHE_HOME", ".cache", &cache, error);
    if (status == OK) {
        *out = file_join(cache, "theater/code");
        free(cache);
    }
    return status;
}

static enum status check_version(const char *folder, struct error *error) {
    char *path = file_join(folder, "VERSION");
    struct bytes *content = NULL;
    enum status status = file_read(path, 64, &content, NULL);
    if (status == ERR_NOT_FOUND) {
        status = file_write_atomic(path, slice_text(data_version), 0600, error);
    } else if (status != OK) {
        status = error_set(error, status, "cannot read %s", path);
    } else if (!slice_equal_text(bytes_slice(content), data_version)) {
        status =
            error_set(error, ERR_UNSUPPORTED,
                      "%s was written by another version of theater; use another --data", folder);
    }
    bytes_unref(content);
    free(path);
    return status;
}

static enum status take_lock(const char *folder, int *out, struct error *error) {
    char *path = file_join(folder, "lock");
    enum status status = OK;
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0) {
        status = error_set_os(error, errno, "cannot open %s", path);
    } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        char holder[32] = "";
        ssize_t got = pread(lock, holder, sizeof holder - 1, 0);
        holder[got > 0 ? got : 0] = '\0';
        holder[strcspn(holder, "\n")] = '\0';
        status = error_set(error, ERR_BUSY,
                           "the data folder %s is in use by process %s; stop it, or choose another "
                           "folder with --data",
                           folder, holder[0] != '\0' ? holder : "(unknown)");
        close(lock);
    } else {
        char text[32];
        int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        if (ftruncate(lock, 0) != 0 || pwrite(lock, text, (size_t)size, 0) != size) {
            status = error_set_os(error, errno, "cannot write %s", path);
            close(lock);
        }
    }
    free(path);
    *out = lock;
    return status;
}

static enum status open_compiler(struct node *node, const struct node_config *config,
                                 struct error *error) {
    char *folder = NULL;
    enum status status = OK;
    if (config->code_folder != NULL) {
        folder = xstrdup(config->code_folder);
    } else {
        status = node_code_folder(&folder, error);
    }
    if (status == OK) {
        status = file_make_folders(folder, 0700, error);
    }
    if (status == OK) {
        struct wasm_compiler_config compiler = {.cache_folder = folder,
                                                .never_compile = config->never_compile};
        status = wasm_compiler_new(&compiler, &node->compiler, error);
    }
    free(folder);
    return status;
}

// What events name by its hash is on disk before they are.
static enum status sync_contents(void *context, struct error *error) {
    return store_sync(context, error);
}

static enum status signing_key(void *context, struct ed25519_key **key, struct error *error) {
    return node_signing_key(context, key, error);
}

static enum status find_content(void *context, const uint8_t hash[SHA256_BYTES],
                                struct error *error) {
    return store_holds(context, hash) ? OK
                                      : error_set(error, ERR_NOT_FOUND, "a content is missing");
}

static bool has_contents(void *context, struct slice data) {
    return actor_event_needs(data, find_content, context, NULL) != ERR_NOT_FOUND;
}

enum status node_open_log(const char *folder, struct store *store, struct chain_log **out,
                          struct error *error) {
    char *path = file_join(folder, "log");
    struct chain_log_config config = {.folder = path,
                                      .with_catalogue = true,
                                      .env = env_system(),
                                      .before_sync = sync_contents,
                                      .before_sync_context = store,
                                      .is_whole = has_contents,
                                      .is_whole_context = store};
    enum status status = chain_log_open(&config, out, error);
    free(path);
    return status;
}

static enum status open_log(struct node *node, const char *folder, struct error *error) {
    struct error cause = {0};
    enum status status = node_open_log(folder, node->services.store, &node->log, &cause);
    if (status == ERR_DAMAGED) {
        (void)error_set(
            error, status,
            "the log is damaged; nothing was changed, and no node starts on it. %s. "
            "'theater chain verify --data %s' tells what is damaged, 'theater chain show "
            "ACTOR --data %s' shows what is still readable; put back a copy of %s/log, or "
            "start on another data folder",
            cause.message, folder, folder, folder);
    } else if (status != OK) {
        (void)error_set(error, status, "%s", cause.message);
    }
    if (status == OK) {
        struct chain_signer_config signer = {.log = node->log,
                                             .key = signing_key,
                                             .context = node->folder,
                                             .interval_ns = SIGN_INTERVAL_NS,
                                             .env = env_system()};
        node->signer = chain_signer_start(&signer);
    }
    return status;
}

static enum status open_store(struct node *node, const char *folder, struct error *error) {
    struct store_config config = {.data_folder = folder, .env = env_system()};
    enum status status = store_open(&config, &node->services.store, error);
    if (status == OK) {
        node->schemes[node->scheme_count++] = node_store_scheme(node->services.store);
    }
    return status;
}

// On workers.
static enum status keep_value(void *context, struct slice content, const uint8_t hash[SHA256_BYTES],
                              struct error *error) {
    return store_keep_value(context, content, hash, error);
}

// What chains pin, on a thread of the loader.
static enum status keep(void *context, struct slice content, const uint8_t hash[SHA256_BYTES],
                        struct error *error) {
    return store_keep(context, content, hash, error);
}

enum { KEPT_MOST_BYTES = 256 * 1024 * 1024 };

static enum status fetch(void *context, const uint8_t hash[SHA256_BYTES], struct bytes **out,
                         struct error *error) {
    return store_read(context, hash, KEPT_MOST_BYTES, out, error);
}

static void warn(void *context, const char *text) {
    (void)context;
    log_line(LOG_WARNING, "%s", text);
}

// What the node's actors may do at most. `folder` is NULL for a bare node.
static enum status read_bound(struct node *node, const char *file, const char *folder,
                              struct error *error) {
    struct manifest_options options = {.warn = warn};
    char *own = file == NULL && folder != NULL ? file_join(folder, "permissions.toml") : NULL;
    enum status status = OK;
    // Only a file that is certainly not there means that nothing was restricted.
    if (file == NULL && (own == NULL || (access(own, F_OK) != 0 && errno == ENOENT))) {
        permissions_everything(&node->bound);
    } else {
        status = manifest_load_permissions(file != NULL ? file : own, &options, &node->bound_lists,
                                           &node->bound, error);
    }
    free(own);
    return status;
}

// Half of the memory that there is for the process: of the machine, or of its control group.
static uint64_t instance_memory(const struct node_config *config) {
    if (config->instance_memory_bytes != 0) {
        return config->instance_memory_bytes;
    }
    long pages = sysconf(_SC_PHYS_PAGES);
    long page_bytes = sysconf(_SC_PAGESIZE);
    uint64_t bytes =
        pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_MAX;
    FILE *file = fopen("/sys/fs/cgroup/memory.max", "re");
    unsigned long long most = 0;
    // A group without a bound says "max".
    if (file != NULL && fscanf(file, "%llu", &most) == 1 && most < bytes) {
        bytes = most;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return bytes / 2;
}

static void run_blocking(void *context, void (*run)(void *argument), void *argument) {
    io_pool_submit(context, run, argument);
}

enum status node_lock_folder(const char *folder, int *lock, struct error *error) {
    enum status status = take_lock(folder, lock, error);
    if (status == OK) {
        status = check_version(folder, error);
        if (status != OK) {
            close(*lock);
        }
    }
    if (status != OK) {
        *lock = -1;
    }
    return status;
}

static enum status open_folder(struct node *node, const char *folder, struct error *error) {
    enum status status = file_make_folders(folder, 0700, error);
    return status == OK ? node_lock_folder(folder, &node->lock, error) : status;
}

// `folder` is NULL for a bare node.
static enum status open_parts(struct node *node, const struct node_config *config,
                              const char *folder, struct error *error) {
    enum status status = folder != NULL ? open_folder(node, folder, error) : OK;
    if (status == OK) {
        status = read_bound(node, config->permit, folder, error);
    }
    if (status == OK) {
        status = open_compiler(node, config, error);
    }
    if (status == OK && folder != NULL) {
        status = open_store(node, folder, error);
    }
    if (status == OK && folder != NULL) {
        status = open_log(node, folder, error);
    }
    if (status == OK && folder != NULL) {
        node->secrets_folder = file_join(folder, "secrets");
        status = file_make_folders(node->secrets_folder, 0700, error);
    }
    if (status == OK) {
        wasm_watchdog_start();
        node->has_watchdog = true;
        struct sched_config sched = {.workers = config->workers,
                                     .extra_workers = 4,
                                     .env = env_system(),
                                     .thread_enter = wasm_thread_enter,
                                     .thread_leave = wasm_thread_leave};
        status = sched_new(&sched, &node->sched, error);
    }
    if (status == OK) {
        status = io_pool_new(0, &node->files, error);
    }
    if (status == OK) {
        node->services.pool = node->files;
        status = io_loop_new(&node->services.loop, error);
    }
    if (status == OK) {
        struct io_http_client_config http = {.loop = node->services.loop};
        status = io_http_client_new(&http, &node->services.http_client, error);
    }
    if (status == OK) {
        node->schemes[node->scheme_count++] = node_https_scheme(node->services.http_client);
        node->schemes[node->scheme_count++] = node_http_scheme(node->services.http_client);
    }
    if (status == OK) {
        struct http_common_config http = {.loop = node->services.loop, .env = env_system()};
        node->services.http = http_common_new(&http);
        node->services.processes = io_processes_new(node->services.loop, NULL, 0);
    }
    if (status == OK) {
        struct actor_config actors = {.env = env_system(),
                                      .sched = node->sched,
                                      .log = node->log,
                                      .bound = &node->bound,
                                      .secrets_folder = node->secrets_folder,
                                      .compiler = node->compiler,
                                      .resolve = host_resolve,
                                      .resolve_resource = host_resolve_resource,
                                      .instance_made = host_instance_made,
                                      .instance_ended = host_instance_ended,
                                      .hibernated = host_hibernated,
                                      .instance_memory_bytes = instance_memory(config),
                                      .came_back = host_came_back,
                                      .host = &node->services,
                                      .keep = node->services.store != NULL ? keep : NULL,
                                      .fetch = node->services.store != NULL ? fetch : NULL,
                                      .keep_context = node->services.store,
                                      .schemes = node->schemes,
                                      .scheme_count = node->scheme_count,
                                      .run_blocking = run_blocking,
                                      .blocking_context = node->files,
                                      .root_ended = config->root_ended,
                                      .root_context = config->root_context,
                                      .quiet = config->quiet};
        if (node->services.store != NULL) {
            actors.keep_value = keep_value;
            node->rebuilder = (struct node_rebuilder){.log = node->log,
                                                      .store = node->services.store,
                                                      .secrets_folder = node->secrets_folder,
                                                      .compiler = node->compiler};
            actors.rebuild = node_rebuild;
            actors.rebuild_context = &node->rebuilder;
        }
        status = actor_system_new(&actors, &node->actors, error);
    }
    if (status == OK && folder != NULL) {
        status = node_recover(node->log, node->actors, folder, config->no_recover, &node->recovered,
                              &node->recovery, error);
    }
    return status;
}

enum status node_open(const struct node_config *config, struct node **out, struct error *error) {
    struct node *node = xcalloc(1, sizeof *node);
    node->lock = -1;
    arena_init(&node->bound_lists, UINT64_MAX);
    enum status status = OK;
    if (config->data_folder != NULL && !config->is_bare) {
        node->folder = xstrdup(config->data_folder);
    } else if (!config->is_bare) {
        status = node_default_folder(&node->folder, error);
    }
    if (status == OK) {
        status = open_parts(node, config, node->folder, error);
    }
    if (status != OK) {
        (void)node_close(node, NULL);
        return status;
    }
    *out = node;
    return OK;
}

const struct actor_recovered *node_recovered(const struct node *node) {
    return &node->recovered;
}

struct actor_system *node_actors(struct node *node) {
    return node->actors;
}

struct chain_log *node_log(struct node *node) {
    return node->log;
}

enum status node_close(struct node *node, struct error *error) {
    enum status status = OK;
    if (node->actors != NULL) {
        actor_system_request_stop(node->actors);
        // What is fetched for a child that will not be: its loader is waited for.
        io_http_client_stop(node->services.http_client);
        actor_system_stop(node->actors);
    }
    node_recovery_stop(node->recovery, true);
    if (node->services.http_client != NULL) {
        io_http_client_free(node->services.http_client);
    }
    // What actors left behind wakes nobody any more, but may still refer to them.
    if (node->services.processes != NULL) {
        io_processes_stop(node->services.processes);
    }
    if (node->services.loop != NULL) {
        io_loop_free(node->services.loop);
    }
    if (node->services.http != NULL) {
        http_common_free(node->services.http);
    }
    if (node->files != NULL) {
        io_pool_free(node->files);
    }
    io_processes_free(node->services.processes);
    if (node->sched != NULL) {
        sched_free(node->sched);
    }
    if (node->actors != NULL) {
        actor_system_free(node->actors);
    }
    if (node->signer != NULL) {
        struct error unsigned_for = {0};
        if (chain_signer_stop(node->signer, &unsigned_for) != OK) {
            log_line(LOG_WARNING, "%s", unsigned_for.message);
        }
    }
    if (node->log != NULL) {
        status = chain_log_close(node->log, error);
    }
    // Its last events may name what the store has not synced yet.
    if (node->services.store != NULL) {
        store_close(node->services.store);
    }
    if (node->compiler != NULL) {
        wasm_compiler_free(node->compiler);
    }
    if (node->has_watchdog) {
        wasm_watchdog_stop();
    }
    if (node->lock >= 0) {
        close(node->lock);
    }
    free(node->secrets_folder);
    free(node->folder);
    arena_release(&node->bound_lists);
    free(node);
    return status;
}
