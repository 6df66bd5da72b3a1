// SPDX-License-Identifier: Apache-2.0
// The tables of fields.h.
#include "manifest/fields.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)
#define DAY_MS UINT64_C(86400000)
#define YEAR_MS (366 * DAY_MS)
#define REFERENCE_MAX UINT64_C(4096)

#define TOP(member) .offset = offsetof(struct manifest, member)
#define RANGE(from, to) .least = (from), .most = (to)
#define SECTION(title, table) \
    { .name = (title), .fields = (table), .count = COUNT_OF(table) }

static const struct field top_fields[] = {
    {.key = "name",
     .kind = FIELD_WORD,
     TOP(name),
     RANGE(1, MANIFEST_NAME_MAX_BYTES),
     .required = true,
     .about = "What people call the actor."},
    {.key = "version",
     .kind = FIELD_WORD,
     TOP(version),
     RANGE(0, 256),
     .fallback_text = "",
     .about = "The actor's version; shown, not interpreted."},
    {.key = "description",
     .kind = FIELD_TEXT,
     TOP(description),
     RANGE(0, 64 * KIB),
     .fallback_text = "",
     .about = "What the actor is for."},
    {.key = "long_description", .kind = FIELD_IGNORED, .about = "For catalogues."},
    {.key = "short_description", .kind = FIELD_IGNORED, .about = "For catalogues."},
    {.key = "component",
     .kind = FIELD_WORD,
     TOP(component),
     RANGE(1, REFERENCE_MAX),
     .required = true,
     .about = "Reference to the WebAssembly component."},
    {.key = "component_path",
     .kind = FIELD_WORD,
     TOP(component),
     RANGE(1, REFERENCE_MAX),
     .about = "Older spelling of `component`."},
    {.key = "package",
     .kind = FIELD_WORD,
     TOP(component),
     RANGE(1, REFERENCE_MAX),
     .about = "Other spelling of `component`."},
    {.key = "id",
     .kind = FIELD_WORD,
     TOP(id),
     RANGE(1, MANIFEST_ID_MAX_BYTES),
     .about = "A stable actor id; without it one is generated."},
    {.key = "init_state",
     .kind = FIELD_WORD,
     TOP(init_state),
     RANGE(1, REFERENCE_MAX),
     .about = "Reference to a JSON document: the initial state."},
    {.key = "initial_state", .kind = FIELD_NESTED, .about = "The initial state as inline JSON."},
    {.key = "save_chain",
     .kind = FIELD_FLAG,
     TOP(save_chain),
     .about = "Export the chain when the actor stops; does not lower durability."},
    {.key = "static_package",
     .kind = FIELD_FLAG,
     TOP(static_package),
     .about = "The component behind the reference never changes."},
    {.key = "stateless_instance",
     .kind = FIELD_FLAG,
     TOP(stateless_instance),
     .about = "The instance may be dropped at any turn boundary."},
    {.key = "hibernate_after_ms",
     .kind = FIELD_NUMBER,
     TOP(hibernate_after_ms),
     RANGE(0, YEAR_MS),
     .fallback = 0,
     .about =
         "Milliseconds without an event after which a stateless instance is dropped until the next "
         "message; 0: only when the node's instances take too much memory."},
    {.key = "on_error",
     .kind = FIELD_CHOICE,
     TOP(on_error),
     .choices = {"continue", "crash"},
     .about = "What an `err` from an export is: an application error, or a crash."},
    {.key = "recover",
     .kind = FIELD_CHOICE,
     TOP(recover),
     .choices = {"resume", "init", "replay"},
     .about = "How the actor comes back when the node was killed ([recovery.md](recovery.md))."},
    {.key = "restart",
     .kind = FIELD_CHOICE,
     TOP(restart),
     .fallback = MANIFEST_TEMPORARY,
     .choices = {"permanent", "transient", "temporary"},
     .about =
         "Whether its supervisor restarts it: always, also when it ended itself with `shutdown`; "
         "after a crash; never."},
    {.key = "restart_state",
     .kind = FIELD_CHOICE,
     TOP(restart_state),
     .choices = {"initial", "last"},
     .about = "The state that a policy restart starts from."},
    {.key = "mailbox_on_restart",
     .kind = FIELD_CHOICE,
     TOP(mailbox_on_restart),
     .choices = {"keep", "drop"},
     .about = "What a policy restart does with queued messages."},
    {.key = "durability",
     .kind = FIELD_CHOICE,
     TOP(durability),
     .fallback = MANIFEST_ASYNC,
     .choices = {"memory", "async", "sync"},
     .about = "What is on disk before the world hears of it; see below."},
    {.key = "supervision", .kind = FIELD_NESTED, .about = "How its children are restarted."},
    {.key = "limits", .kind = FIELD_NESTED, .about = "What the actor may use."},
    {.key = "permission_policy",
     .kind = FIELD_NESTED,
     .about = "What it and its children may do at most."},
    {.key = "handler", .kind = FIELD_NESTED, .about = "The interfaces it uses."},
    {.key = "handlers", .kind = FIELD_NESTED, .about = "Older spelling of `handler`."},
    {.key = "interface", .kind = FIELD_IGNORED, .about = "Written by older tools."},
};
const struct section section_top = SECTION("", top_fields);

static const struct field supervision_fields[] = {
    {.key = "strategy",
     .kind = FIELD_CHOICE,
     TOP(supervision.strategy),
     .choices = {"one-for-one", "one-for-all", "rest-for-one"},
     .about = "Which children are restarted when one is: that one, all, or that one and those "
              "started after it."},
    {.key = "max_restarts",
     .kind = FIELD_NUMBER,
     TOP(supervision.max_restarts),
     RANGE(0, 1000000),
     .fallback = 3,
     .about = "Restarts within `window_ms` before the supervisor itself crashes."},
    {.key = "window_ms",
     .kind = FIELD_NUMBER,
     TOP(supervision.window_ms),
     RANGE(1, YEAR_MS),
     .fallback = 5000,
     .about = "The window that `max_restarts` counts in."},
    {.key = "backoff_initial_ms",
     .kind = FIELD_NUMBER,
     TOP(supervision.backoff_initial_ms),
     RANGE(0, DAY_MS),
     .fallback = 100,
     .about = "Wait before the second restart in a window; doubled for each further one."},
    {.key = "backoff_max_ms",
     .kind = FIELD_NUMBER,
     TOP(supervision.backoff_max_ms),
     RANGE(0, DAY_MS),
     .fallback = 10000,
     .about = "The longest wait before a restart."},
};
const struct section section_supervision = SECTION("supervision", supervision_fields);

static const struct field limits_fields[] = {
    {.key = "memory_bytes",
     .kind = FIELD_NUMBER,
     TOP(limits.memory_bytes),
     RANGE(64 * KIB, 64 * GIB),
     .fallback = 256 * MIB,
     .about = "Linear memories and tables of the instance."},
    {.key = "stack_bytes",
     .kind = FIELD_NUMBER,
     TOP(limits.stack_bytes),
     RANGE(128 * KIB, 64 * MIB),
     .fallback = 256 * KIB,
     .about = "Stack of a turn."},
    {.key = "state_bytes",
     .kind = FIELD_NUMBER,
     TOP(limits.state_bytes),
     RANGE(0, GIB),
     .fallback = 16 * MIB,
     .about = "The state."},
    {.key = "message_bytes",
     .kind = FIELD_NUMBER,
     TOP(limits.message_bytes),
     RANGE(1, GIB),
     .fallback = 16 * MIB,
     .about = "One message; also what `get-chain` may return."},
    {.key = "mailbox_messages",
     .kind = FIELD_NUMBER,
     TOP(limits.mailbox_messages),
     RANGE(1, 10000000),
     .fallback = 10000,
     .about = "Messages that may wait."},
    {.key = "mailbox_bytes",
     .kind = FIELD_NUMBER,
     TOP(limits.mailbox_bytes),
     RANGE(1, 64 * GIB),
     .fallback = 64 * MIB,
     .about = "Bytes of the messages that wait."},
    {.key = "requests",
     .kind = FIELD_NUMBER,
     TOP(limits.requests),
     RANGE(1, 1000000),
     .fallback = 10000,
     .about = "Requests that were delivered to it and that it has not answered."},
    {.key = "channels",
     .kind = FIELD_NUMBER,
     TOP(limits.channels),
     RANGE(0, 1000000),
     .fallback = 10000,
     .about = "Channels that it takes part in."},
    {.key = "children",
     .kind = FIELD_NUMBER,
     TOP(limits.children),
     RANGE(0, 10000000),
     .fallback = 10000,
     .about = "Children that live."},
    {.key = "spawns_per_second",
     .kind = FIELD_NUMBER,
     TOP(limits.spawns_per_second),
     RANGE(1, 1000000000),
     .fallback = 10000,
     .about = "Children that it may begin to make in a second, by `spawn` and `resume`."},
    {.key = "handles",
     .kind = FIELD_NUMBER,
     TOP(limits.handles),
     RANGE(0, 1000000),
     .fallback = 8000,
     .about = "WASI resources that it holds: streams, descriptors, requests and so on."},
    {.key = "websockets",
     .kind = FIELD_NUMBER,
     TOP(limits.websockets),
     RANGE(0, 1000000),
     .fallback = 10000,
     .about = "WebSocket connections to its servers."},
    {.key = "request_timeout_ms",
     .kind = FIELD_NUMBER,
     TOP(limits.request_timeout_ms),
     RANGE(1, YEAR_MS),
     .fallback = 300000,
     .about = "How long `request` waits for the answer."},
    {.key = "send_timeout_ms",
     .kind = FIELD_NUMBER,
     TOP(limits.send_timeout_ms),
     RANGE(0, YEAR_MS),
     .fallback = 5000,
     .about = "How long a sender waits for room in a full mailbox."},
    {.key = "stop_timeout_ms",
     .kind = FIELD_NUMBER,
     TOP(limits.stop_timeout_ms),
     RANGE(0, YEAR_MS),
     .fallback = 5000,
     .about = "How long a turn may go on once the actor is stopping."},
    {.key = "init_timeout_ms",
     .kind = FIELD_NUMBER,
     TOP(limits.init_timeout_ms),
     RANGE(1, YEAR_MS),
     .fallback = 300000,
     .about = "How long `init` may take that waits for something."},
    {.key = "turn_cpu_ms",
     .kind = FIELD_NUMBER,
     TOP(limits.turn_cpu_ms),
     RANGE(1, DAY_MS),
     .fallback = 10000,
     .about = "CPU time of one turn."},
    {.key = "chain_bytes",
     .kind = FIELD_NUMBER,
     TOP(limits.chain_bytes),
     RANGE(0, INT64_MAX),
     .about = "Length of the chain in the log at which the actor is stopped; 0 means no limit."},
    {.key = "on_full",
     .kind = FIELD_CHOICE,
     TOP(limits.on_full),
     .choices = {"stop", "prune"},
     .about = "What happens at `chain_bytes`; only `stop` is available yet."},
};
const struct section section_limits = SECTION("limits", limits_fields);

const char *manifest_limit_named(struct slice text) {
    static const char prefix[] = "limits.";
    const uint8_t *at = text.data;
    const uint8_t *end = text.size > 0 ? text.data + text.size : text.data;
    while (at < end && (at = memmem(at, (size_t)(end - at), prefix, sizeof prefix - 1)) != NULL) {
        at += sizeof prefix - 1;
        size_t size = 0;
        while (at + size < end && (at[size] == '_' || (at[size] >= 'a' && at[size] <= 'z'))) {
            size++;
        }
        for (size_t i = 0; i < COUNT_OF(limits_fields); i++) {
            if (slice_equal_text(slice_of(at, size), limits_fields[i].key)) {
                return limits_fields[i].key;
            }
        }
    }
    return NULL;
}

// ---- Handlers ----------------------------------------------------------------------------------

#define OF(member) .offset = offsetof(struct manifest_handler, member)
#define LIST(name, member, what, text) \
    { .key = (name), .kind = FIELD_LIST, OF(member), .items = (what), .about = (text) }
#define NUMBER(name, member, from, to, usual, text)                                            \
    {                                                                                          \
        .key = (name), .kind = FIELD_NUMBER, OF(member), RANGE(from, to), .fallback = (usual), \
        .about = (text)                                                                        \
    }
#define FLAG(name, member, usual, text) \
    { .key = (name), .kind = FIELD_FLAG, OF(member), .fallback = (usual), .about = (text) }

static const struct field supervisor_fields[] = {
    LIST("allowed_sources", supervisor.allowed_sources, ITEMS_URLS,
         "Beginnings of URLs that manifests and components of children may come from."),
};
static const struct field store_fields[] = {
    {.key = "base_path",
     .kind = FIELD_WORD,
     OF(store.base_path),
     RANGE(1, REFERENCE_MAX),
     .about = "No effect, with a warning: contents lie in the data folder."},
    {.key = "store_id",
     .kind = FIELD_WORD,
     OF(store.store_id),
     RANGE(1, 256),
     .about = "No effect, with a warning: stores are made by `new`."},
    NUMBER("max_bytes", store.max_bytes, 0, INT64_MAX, UINT64_C(16) << 30,
           "Bytes of contents in all of the actor's stores."),
    NUMBER("max_contents", store.max_contents, 0, INT64_MAX, 2000000,
           "Contents in all of the actor's stores."),
};
static const struct field http_client_fields[] = {
    LIST("allowed_methods", http_client.allowed_methods, ITEMS_METHODS, "Methods it may use."),
    LIST("allowed_hosts", http_client.allowed_hosts, ITEMS_HOSTS,
         "Hosts it may reach: `name`, `name:port` or `*.suffix`; checked on every redirect."),
    NUMBER("max_redirects", http_client.max_redirects, 0, 100, 10, "Redirects followed."),
    NUMBER("timeout", http_client.timeout, 1, DAY_MS, 30000, "Milliseconds for one exchange."),
    NUMBER("max_response_size", http_client.max_response_size, 0, GIB, 100 * MIB,
           "Bytes of a response's body."),
};
static const struct field http_framework_fields[] = {
    LIST("allowed_routes", http_framework.allowed_routes, ITEMS_ROUTES,
         "Beginnings of the paths it may serve."),
    LIST("allowed_methods", http_framework.allowed_methods, ITEMS_METHODS, "Methods it may serve."),
    NUMBER("max_request_size", http_framework.max_request_size, 0, GIB, 100 * MIB,
           "Bytes of a request's body."),
    NUMBER("max_connections", http_framework.max_connections, 1, 1000000, 1000,
           "Connections of each server at a time; more are answered 503."),
    NUMBER("header_timeout", http_framework.header_timeout, 1, DAY_MS, 10000,
           "Milliseconds for the header of a request."),
    NUMBER("body_timeout", http_framework.body_timeout, 1, DAY_MS, 30000,
           "Milliseconds for its body, and a second more for each KiB of it that came."),
    NUMBER("idle_timeout", http_framework.idle_timeout, 1, DAY_MS, 60000,
           "Milliseconds between two requests of a connection."),
    NUMBER("write_timeout", http_framework.write_timeout, 1, DAY_MS, 30000,
           "Milliseconds without the client taking anything of an answer."),
};
static const struct field filesystem_fields[] = {
    {.key = "path",
     .kind = FIELD_WORD,
     OF(filesystem.path),
     RANGE(1, REFERENCE_MAX),
     .about = "The root: nothing outside it can be reached."},
    FLAG("new_dir", filesystem.new_dir, false, "Use a fresh temporary folder as root."),
    FLAG("read", filesystem.read, true, "Files may be read."),
    FLAG("write", filesystem.write, true, "Files may be written and deleted."),
    FLAG("execute", filesystem.execute, true, "Allowed commands may be run."),
    LIST("allowed_commands", filesystem.allowed_commands, ITEMS_PLAIN,
         "Programs that commands may run; absent means none."),
};
static const struct field timing_fields[] = {
    NUMBER("max_sleep_duration", timing.max_sleep_duration, 0, INT64_MAX, 3600000,
           "The longest sleep, in milliseconds."),
    NUMBER("min_sleep_duration", timing.min_sleep_duration, 0, INT64_MAX, 1,
           "The shortest sleep, in milliseconds."),
};
static const struct field process_fields[] = {
    NUMBER("max_processes", process.max_processes, 0, 10000, 10, "Processes at a time."),
    NUMBER("max_output_buffer", process.max_output_buffer, 0, GIB, MIB,
           "Bytes of output held for the actor, per stream."),
    LIST("allowed_programs", process.allowed_programs, ITEMS_PLAIN,
         "Programs that may be started; absent means none."),
    LIST("allowed_paths", process.allowed_paths, ITEMS_FOLDERS, "Working folders."),
};
static const struct field environment_fields[] = {
    LIST("allowed_vars", environment.allowed_vars, ITEMS_PLAIN, "Variables it may read."),
    LIST("denied_vars", environment.denied_vars, ITEMS_PLAIN,
         "Variables it may not read, whatever else is said."),
    LIST("allowed_prefixes", environment.allowed_prefixes, ITEMS_PLAIN,
         "Beginnings of the names of variables it may read."),
    FLAG("allow_list_all", environment.allow_list_all, false,
         "Whether `list-vars` lists what may be read."),
    LIST("secret_vars", environment.secret_vars, ITEMS_PLAIN,
         "Variables whose values the chain holds as commitments only."),
};
static const struct field random_fields[] = {
    {.key = "seed",
     .kind = FIELD_SEED,
     OF(random.seed),
     RANGE(0, INT64_MAX),
     .has_offset = offsetof(struct manifest_handler, random.has_seed),
     .about = "Makes every result, UUIDs too, follow from this number."},
    NUMBER("max_bytes", random.max_bytes, 0, GIB, MIB, "Bytes per `random-bytes`."),
    NUMBER("max_int", random.max_int, 0, INT64_MAX, INT64_MAX, "Largest `max` of `random-range`."),
    FLAG("allow_crypto_secure", random.allow_crypto_secure, false,
         "Kept for manifests that name it; randomness is always the kernel's without a seed."),
};
static const struct field websocket_server_fields[] = {
    {.key = "port",
     .kind = FIELD_NUMBER,
     OF(websocket_server.port),
     RANGE(0, 65535),
     .required = true,
     .about = "TCP port to listen on; 0: any that is free, named in the actor's log."},
    {.key = "host",
     .kind = FIELD_WORD,
     OF(websocket_server.host),
     RANGE(1, 256),
     .fallback_text = "127.0.0.1",
     .about = "Address to listen on."},
};

#define BLOCK(title, table) \
    { .name = "handler." title, .fields = (table), .count = COUNT_OF(table), .is_block = true }
#define EMPTY_BLOCK(title) \
    { .name = "handler." title, .is_block = true }
#define FOREIGN(title)                                                                             \
    {                                                                                              \
        .type = (title), .section = {.name = "handler." title, .is_block = true, .is_open = true}, \
        .permission = PERMISSION_COUNT                                                             \
    }

const struct handler_row handler_rows[HANDLER_TYPE_COUNT] = {
    [HANDLER_RUNTIME] = {"runtime", EMPTY_BLOCK("runtime"), PERMISSION_RUNTIME, true},
    [HANDLER_MESSAGE_SERVER] = {"message-server", EMPTY_BLOCK("message-server"),
                                PERMISSION_MESSAGE_SERVER, true},
    [HANDLER_SUPERVISOR] = {"supervisor", BLOCK("supervisor", supervisor_fields),
                            PERMISSION_SUPERVISOR, true},
    [HANDLER_STORE] = {"store", BLOCK("store", store_fields), PERMISSION_STORE, true},
    [HANDLER_HTTP_CLIENT] = {"http-client", BLOCK("http-client", http_client_fields),
                             PERMISSION_HTTP_CLIENT, true},
    [HANDLER_HTTP_FRAMEWORK] = {"http-framework", BLOCK("http-framework", http_framework_fields),
                                PERMISSION_HTTP_FRAMEWORK, true},
    [HANDLER_FILESYSTEM] = {"filesystem", BLOCK("filesystem", filesystem_fields),
                            PERMISSION_FILE_SYSTEM, true},
    [HANDLER_TIMING] = {"timing", BLOCK("timing", timing_fields), PERMISSION_TIMING, true},
    [HANDLER_PROCESS] = {"process", BLOCK("process", process_fields), PERMISSION_PROCESS, true},
    [HANDLER_ENVIRONMENT] = {"environment", BLOCK("environment", environment_fields),
                             PERMISSION_ENVIRONMENT, true},
    [HANDLER_RANDOM] = {"random", BLOCK("random", random_fields), PERMISSION_RANDOM, true},
    [HANDLER_WEBSOCKET_SERVER] = {"websocket-server",
                                  BLOCK("websocket-server", websocket_server_fields),
                                  PERMISSION_WEBSOCKET_SERVER, true},
    [HANDLER_WASI_HTTP] = FOREIGN("wasi-http"),
    [HANDLER_REPLAY] = FOREIGN("replay"),
    [HANDLER_TCP] = FOREIGN("tcp"),
    [HANDLER_RPC] = FOREIGN("rpc"),
    [HANDLER_TERMINAL] = FOREIGN("terminal"),
    [HANDLER_TIMER] = FOREIGN("timer"),
    [HANDLER_LOOP] = FOREIGN("loop"),
    [HANDLER_PODMAN] = FOREIGN("podman"),
};

// ---- permission_policy -------------------------------------------------------------------------

#define IN(member) .offset = offsetof(struct permissions, member)
#define BOUND(name, member, what) \
    { .key = (name), .kind = FIELD_BOUND, IN(member), .items = (what), .about = "At most these." }
#define BOUND_OR_NOTHING(name, member, what)                                    \
    {                                                                           \
        .key = (name), .kind = FIELD_BOUND, IN(member), .items = (what),        \
        .absent_is_nothing = true, .about = "At most these; absent means none." \
    }
#define MOST(name, member, must)                                              \
    {                                                                         \
        .key = (name), .kind = FIELD_NUMBER, IN(member), RANGE(0, INT64_MAX), \
        .fallback = UINT64_MAX, .required = (must), .about = "At most this."  \
    }
#define MAY(name, member, usual, must)                                                          \
    {                                                                                           \
        .key = (name), .kind = FIELD_FLAG, IN(member), .fallback = (usual), .required = (must), \
        .about = "Whether it may."                                                              \
    }

static const struct field policy_message_server[] = {
    {.key = "targets",
     .kind = FIELD_NESTED,
     .items = ITEMS_TARGETS,
     .about = "Whom it may address: `parent`, `children`, `siblings` or ids."},
};
static const struct field policy_file_system[] = {
    MAY("read", file_system.read, false, true),
    MAY("write", file_system.write, false, true),
    MAY("execute", file_system.execute, false, true),
    MAY("new_dir", file_system.new_dir, true, false),
    BOUND("allowed_paths", file_system.paths, ITEMS_FOLDERS),
    BOUND_OR_NOTHING("allowed_commands", file_system.commands, ITEMS_PLAIN),
};
static const struct field policy_http_client[] = {
    BOUND("allowed_methods", http_client.methods, ITEMS_METHODS),
    BOUND("allowed_hosts", http_client.hosts, ITEMS_HOSTS),
    MOST("max_redirects", http_client.max_redirects, false),
    MOST("timeout", http_client.timeout_ms, false),
    MOST("max_response_size", http_client.max_response_bytes, false),
};
static const struct field policy_http_framework[] = {
    BOUND("allowed_routes", http_framework.routes, ITEMS_ROUTES),
    BOUND("allowed_methods", http_framework.methods, ITEMS_METHODS),
    MOST("max_request_size", http_framework.max_request_bytes, false),
};
static const struct field policy_supervisor[] = {
    BOUND("allowed_sources", supervisor.sources, ITEMS_URLS),
};
static const struct field policy_timing[] = {
    MOST("max_sleep_duration", timing.max_sleep_ms, true),
    {.key = "min_sleep_duration",
     .kind = FIELD_NUMBER,
     IN(timing.min_sleep_ms),
     RANGE(0, INT64_MAX),
     .required = true,
     .about = "At least this."},
};
static const struct field policy_process[] = {
    MOST("max_processes", process.max_processes, true),
    MOST("max_output_buffer", process.max_output_bytes, true),
    BOUND_OR_NOTHING("allowed_programs", process.programs, ITEMS_PLAIN),
    BOUND("allowed_paths", process.paths, ITEMS_FOLDERS),
};
static const struct field policy_environment[] = {
    BOUND_OR_NOTHING("allowed_vars", environment.vars, ITEMS_PLAIN),
    BOUND_OR_NOTHING("allowed_prefixes", environment.prefixes, ITEMS_PLAIN),
    {.key = "denied_vars",
     .kind = FIELD_BOUND,
     IN(environment.denied),
     .items = ITEMS_PLAIN,
     .absent_is_nothing = true,
     .about = "Never these."},
    MAY("allow_list_all", environment.list_all, false, true),
};
static const struct field policy_random[] = {
    MOST("max_bytes", random.max_bytes, true),
    MOST("max_int", random.max_int, true),
    MAY("allow_crypto_secure", random.crypto_secure, false, true),
};

static const struct field policy_store[] = {
    MOST("max_bytes", store.max_bytes, false),
    MOST("max_contents", store.max_contents, false),
};

#define POLICY(kind, table)                \
    [kind] = {.name = "permission_policy", \
              .fields = (table),           \
              .count = COUNT_OF(table),    \
              .is_block = true}
#define EMPTY_POLICY(kind) [kind] = {.name = "permission_policy", .is_block = true}

const struct section policy_sections[PERMISSION_COUNT] = {
    POLICY(PERMISSION_MESSAGE_SERVER, policy_message_server),
    POLICY(PERMISSION_FILE_SYSTEM, policy_file_system),
    POLICY(PERMISSION_HTTP_CLIENT, policy_http_client),
    POLICY(PERMISSION_HTTP_FRAMEWORK, policy_http_framework),
    EMPTY_POLICY(PERMISSION_RUNTIME),
    POLICY(PERMISSION_SUPERVISOR, policy_supervisor),
    POLICY(PERMISSION_STORE, policy_store),
    POLICY(PERMISSION_TIMING, policy_timing),
    POLICY(PERMISSION_PROCESS, policy_process),
    POLICY(PERMISSION_ENVIRONMENT, policy_environment),
    POLICY(PERMISSION_RANDOM, policy_random),
    EMPTY_POLICY(PERMISSION_WEBSOCKET_SERVER),
};
