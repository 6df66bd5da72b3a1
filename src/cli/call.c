// SPDX-License-Identifier: Apache-2.0
// theater call: one function of a component, with arguments and result as WAVE text.
//
// The component runs as an actor without a chain that has every harmless handler and whose only
// turn is this call, so that a host function that waits, waits. The result goes to stdout,
// everything else to stderr.
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/cli.h"
#include "component/wave.h"
#include "node/node.h"

enum {
    COMPONENT_MOST_BYTES = 256 * 1024 * 1024,
    EXPRESSION_MOST_BYTES = 64 * 1024 * 1024,  // from stdin
    ARGUMENTS_MOST_BYTES = 1024 * 1024 * 1024,
    CANDIDATES_MOST = 100,
    PATIENCE = 10,  // wishes to stop, before a word about it
};

struct call {
    // options
    const char *path;
    const char *given;  // the expression, or "-"
    bool quiet;
    uint64_t timeout_ns;  // UINT64_MAX: none
    // what happens
    struct bytes *expression;
    struct component *component;
    uint32_t export;  // number in its export list
    const struct component_func_type *type;
    struct arena arena;  // arguments
    struct value *args;
    struct node *node;
    struct buf result;  // WAVE
    _Atomic int signal;
    unsigned stops;  // of the signal thread
};

// ---- options -----------------------------------------------------------------------------------

static bool parse_options(struct call *call, int argc, char **argv) {
    static const struct option options[] = {{"timeout", required_argument, NULL, 't'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {NULL, 0, NULL, 0}};
    call->timeout_ns = UINT64_MAX;
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
        if (option == 't' && cli_parse_seconds(optarg, &call->timeout_ns)) {
            continue;
        }
        if (option == 'q') {
            call->quiet = true;
            continue;
        }
        if (option == 't') {
            (void)cli_usage("call", "--timeout takes seconds, not '%s'", optarg);
        } else if (option == ':') {
            (void)cli_usage("call", "%s needs a value", argv[optind - 1]);
        } else {
            (void)cli_usage("call", "there is no option '%s'", argv[optind - 1]);
        }
        return false;
    }
    if (optind == argc) {
        (void)cli_usage("call", "which component?");
        return false;
    }
    if (argc - optind > 2) {
        (void)cli_usage("call",
                        "one component and one call, not also '%s'; put the call in single quotes",
                        argv[optind + 2]);
        return false;
    }
    call->path = argv[optind];
    call->given = optind + 1 < argc ? argv[optind + 1] : "";
    return true;
}

// ---- finding the function ----------------------------------------------------------------------

// How a name may be written: each way is tried only when those before it found nothing.
enum naming {
    NAME_FULL,        // ns:pkg/iface@1.0.0.func
    NAME_NO_VERSION,  // ns:pkg/iface.func
    NAME_INTERFACE,   // iface.func
    NAME_FUNCTION,    // func
    NAME_WAYS
};

// How the export is written in one of the ways. World-level functions have no interface.
static void export_name(const struct component_export *export, enum naming way, char separator,
                        struct buf *out) {
    struct slice interface = export->interface;
    const uint8_t *version =
        interface.size == 0 ? NULL : memchr(interface.data, '@', interface.size);
    if (way >= NAME_NO_VERSION && version != NULL) {
        interface.size = (size_t)(version - interface.data);
    }
    const uint8_t *slash = interface.size == 0 ? NULL : memchr(interface.data, '/', interface.size);
    if (way == NAME_INTERFACE && slash != NULL) {
        size_t skipped = (size_t)(slash - interface.data) + 1;
        interface = slice_of(interface.data + skipped, interface.size - skipped);
    }
    buf_clear(out);
    if (interface.size > 0 && way != NAME_FUNCTION) {
        buf_append_slice(out, interface);
        buf_append_byte(out, (uint8_t)separator);
    }
    buf_append_slice(out, export->name);
}

static bool is_named(const struct component_export *export, enum naming way, struct slice name) {
    struct buf text = {0};
    export_name(export, way, '.', &text);
    bool is = slice_equal(buf_slice(&text), name);
    if (!is) {
        // As core modules name such exports.
        export_name(export, way, '#', &text);
        is = slice_equal(buf_slice(&text), name);
    }
    buf_release(&text);
    return is;
}

static void print_candidate(const struct component_export *export) {
    const struct component_func_type *type = export->type;
    struct buf line = {0};
    struct buf name = {0};
    export_name(export, NAME_FULL, '.', &name);
    buf_format(&line, "  %s(", buf_text(&name));
    for (uint32_t i = 0; i < type->param_count; i++) {
        buf_append_text(&line, i == 0 ? "" : ", ");
        buf_append_slice(&line, type->param_names[i]);
        buf_append_text(&line, ": ");
        component_type_print(type->params[i], &line);
    }
    buf_append_byte(&line, ')');
    if (type->result != NULL) {
        buf_append_text(&line, " -> ");
        component_type_print(type->result, &line);
    }
    fprintf(stderr, "%s\n", buf_text(&line));
    buf_release(&name);
    buf_release(&line);
}

// The exports that are meant by `name` in this way; all of them when it is NULL.
static void print_candidates(const struct component *component, const struct slice *name,
                             enum naming way) {
    uint32_t printed = 0;
    uint32_t count = component_export_count(component);
    for (uint32_t i = 0; i < count; i++) {
        const struct component_export *export = component_export_at(component, i);
        if (name != NULL && !is_named(export, way, *name)) {
            continue;
        }
        if (printed++ < CANDIDATES_MOST) {
            print_candidate(export);
        }
    }
    if (printed > CANDIDATES_MOST) {
        fprintf(stderr, "  and %u more\n", printed - CANDIDATES_MOST);
    }
}

static struct slice trim(struct slice text) {
    static const char SPACE[] = " \t\r\n";
    while (text.size > 0 && memchr(SPACE, text.data[0], 4) != NULL) {
        text = slice_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && memchr(SPACE, text.data[text.size - 1], 4) != NULL) {
        text.size--;
    }
    return text;
}

// What stands before the arguments; *at is where these begin.
static struct slice function_name(struct slice expression, size_t *at) {
    const uint8_t *open =
        expression.size == 0 ? NULL : memchr(expression.data, '(', expression.size);
    *at = open == NULL ? expression.size : (size_t)(open - expression.data);
    return trim(slice_of(expression.data, *at));
}

// Says what is wrong with the name, and which functions there are, or are meant by it.
static bool no_function(const struct call *call, struct slice name, bool is_ambiguous,
                        enum naming way) {
    struct slice shown = slice_of(name.data, name.size < 200 ? name.size : 200);
    struct buf quoted = {0};
    wave_write_string(shown, &quoted);
    fprintf(stderr, "theater: %s", call->path);
    if (component_export_count(call->component) == 0) {
        fprintf(stderr, " exports no functions\n");
    } else if (is_ambiguous) {
        fprintf(stderr, ": %s may mean any of\n", buf_text(&quoted));
        print_candidates(call->component, &name, way);
    } else {
        if (name.size == 0) {
            fprintf(stderr, ": which function? It exports\n");
        } else {
            fprintf(stderr, ": there is no function %s; it exports\n", buf_text(&quoted));
        }
        print_candidates(call->component, NULL, way);
    }
    buf_release(&quoted);
    return false;
}

static bool find_function(struct call *call, struct slice name) {
    uint32_t count = component_export_count(call->component);
    for (enum naming way = NAME_FULL; way < NAME_WAYS; way++) {
        uint32_t matches = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (is_named(component_export_at(call->component, i), way, name)) {
                call->export = i;
                matches++;
            }
        }
        if (matches > 1) {
            return no_function(call, name, true, way);
        }
        if (matches == 1) {
            return true;
        }
    }
    return no_function(call, name, false, NAME_FULL);
}

// ---- the manifest ------------------------------------------------------------------------------

// Handlers that reach nothing outside the process, with the keys that keep them so.
static const struct {
    enum manifest_handler_type type;
    const char *keys;
} harmless[] = {
    {HANDLER_RUNTIME, ""},
    {HANDLER_MESSAGE_SERVER, ""},
    {HANDLER_TIMING, ""},
    {HANDLER_RANDOM, ""},
    {HANDLER_SUPERVISOR, "allowed_sources = []\n"},
};

// Generous where an actor's defaults are careful: whoever calls sits before it and can end it.
static const char limits[] =
    "[limits]\n"
    "memory_bytes = 4294967296\n"
    "stack_bytes = 8388608\n"
    "message_bytes = 67108864\n"
    "stop_timeout_ms = 0\n"
    "turn_cpu_ms = 86400000\n";

static void make_manifest(struct buf *out) {
    buf_append_text(out, "name = \"call\"\ncomponent = \"call\"\nid = \"call\"\n");
    buf_append_text(out, limits);
    for (size_t i = 0; i < COUNT_OF(harmless); i++) {
        buf_format(out, "[[handler]]\ntype = \"%s\"\n%s", manifest_handler_name(harmless[i].type),
                   harmless[i].keys);
    }
}

// Refuses a component that needs a handler which is not among them.
static enum status check_needs(const struct component *component, struct error *error) {
    for (uint32_t i = 0; i < component_interface_count(component); i++) {
        struct slice interface = component_interface_at(component, i);
        enum manifest_handler_type type;
        bool is_given = manifest_requires(interface, &type) != MANIFEST_NEED_HANDLER;
        for (size_t k = 0; !is_given && k < COUNT_OF(harmless); k++) {
            is_given = harmless[k].type == type;
        }
        if (!is_given) {
            return error_set(error, ERR_DENIED,
                             "the component imports %.*s, which 'theater call' does not grant; run "
                             "it as an actor with [[handler]] type = \"%s\" in its manifest",
                             (int)(interface.size < 200 ? interface.size : 200),
                             (const char *)interface.data, manifest_handler_name(type));
        }
    }
    return OK;
}

// ---- the call ----------------------------------------------------------------------------------

static void stop(void *context, int number, bool is_first) {
    struct call *call = context;
    if (is_first) {
        atomic_store(&call->signal, number);
    }
    // A compiler that is running is not interrupted.
    if (++call->stops == PATIENCE) {
        log_line(LOG_INFO, "stopping; once more to end at once");
    }
    actor_system_request_stop(node_actors(call->node));
}

static void returned(void *context, const struct value *result) {
    struct call *call = context;
    if (call->type->result == NULL) {
        buf_append_text(&call->result, "()");
    } else {
        wave_write(call->type->result, result, &call->result);
    }
}

static int outcome(const struct call *call, enum status status, const struct error *error) {
    int number = atomic_load(&call->signal);
    if (number != 0) {
        return 128 + number;
    }
    if (status == ERR_TRAP) {
        fprintf(stderr, "trap: %s\n", error->message);
        return EXIT_TRAP;
    }
    if (status == ERR_TIMEOUT) {
        log_line(LOG_ERROR, "the time-out passed; stopping");
        return EXIT_TIMEOUT;
    }
    return status == OK ? EXIT_GOOD : cli_error(error);
}

static int call_in_node(struct call *call) {
    struct buf manifest = {0};
    struct error error = {0};
    make_manifest(&manifest);
    struct actor_call actor_call = {.manifest = buf_text(&manifest),
                                    .component = call->component,
                                    .export = call->export,
                                    .args = call->args,
                                    .returned = returned,
                                    .context = call};
    struct cli_signals signals = {.stop = stop, .context = call};
    cli_signals_start(&signals);
    enum status status =
        actor_call_export(node_actors(call->node), &actor_call, call->timeout_ns, &error);
    int code = outcome(call, status, &error);
    if (code == EXIT_GOOD) {
        buf_append_byte(&call->result, '\n');
        if (fwrite(call->result.data, 1, call->result.size, stdout) != call->result.size ||
            fflush(stdout) != 0) {
            (void)error_set_os(&error, errno, "cannot write the result");
            code = cli_error(&error);
        }
    }
    // A call that was given up may still run, with what it was called with, until the node is
    // closed. Its code must go before the node's compiler.
    cli_signals_end(&signals);
    component_unref(call->component);
    call->component = NULL;
    error_clear(&error);
    if (node_close(call->node, &error) != OK && code == EXIT_GOOD) {
        code = cli_error(&error);
    }
    buf_release(&manifest);
    return code;
}

static int run_call(struct call *call) {
    struct error error = {0};
    struct node_config config = {.workers = 1, .is_bare = true, .quiet = call->quiet};
    cli_signals_block();
    if (check_needs(call->component, &error) != OK ||
        node_open(&config, &call->node, &error) != OK) {
        return cli_error(&error);
    }
    return call_in_node(call);
}

static enum status read_stdin(struct bytes **out, struct error *error) {
    struct buf text = {0};
    size_t got;
    do {
        got = fread(buf_reserve(&text, 65536), 1, 65536, stdin);
        text.size += got;
    } while (got > 0 && text.size <= EXPRESSION_MOST_BYTES);
    enum status status = OK;
    if (ferror(stdin)) {
        status = error_set_os(error, errno, "cannot read the call from standard input");
    } else if (text.size > EXPRESSION_MOST_BYTES) {
        status = error_set(error, ERR_LIMIT, "the call on standard input is over %d bytes",
                           EXPRESSION_MOST_BYTES);
    } else {
        *out = bytes_copy(buf_slice(&text));
    }
    buf_release(&text);
    return status;
}

static enum status load(struct call *call, struct error *error) {
    struct bytes *bytes = NULL;
    enum status status = file_read(call->path, COMPONENT_MOST_BYTES, &bytes, error);
    if (status == OK) {
        status = component_load(bytes, NULL, &call->component, error);
        if (status != OK) {
            (void)error_context(error, "%s", call->path);
        }
    }
    bytes_unref(bytes);
    if (status != OK) {
        return status;
    }
    if (strcmp(call->given, "-") == 0) {
        return read_stdin(&call->expression, error);
    }
    call->expression = bytes_copy(slice_text(call->given));
    return OK;
}

static int load_and_run(struct call *call) {
    struct error error = {0};
    if (load(call, &error) != OK) {
        return cli_error(&error);
    }
    struct slice expression = bytes_slice(call->expression);
    size_t at;
    struct slice name = function_name(expression, &at);
    if (!find_function(call, name)) {
        return EXIT_ERROR;
    }
    call->type = component_export_at(call->component, call->export)->type;
    call->args = ARENA_ARRAY(&call->arena, struct value, call->type->param_count + 1);
    if (wave_read_arguments(expression, at, call->type, &call->arena, call->args, &error) != OK) {
        return cli_error(&error);
    }
    return run_call(call);
}

int cli_call(int argc, char **argv) {
    struct call call = {0};
    if (!parse_options(&call, argc, argv)) {
        return EXIT_ERROR;
    }
    arena_init(&call.arena, ARGUMENTS_MOST_BYTES);
    int code = load_and_run(&call);
    buf_release(&call.result);
    arena_release(&call.arena);
    if (call.component != NULL) {
        component_unref(call.component);
    }
    bytes_unref(call.expression);
    return code;
}
