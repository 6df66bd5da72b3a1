// SPDX-License-Identifier: Apache-2.0
// theater replay: a chain again, with its recorded results. Read-only; works beside a live node.
// The chain is one of a data folder, imported ones included, or of a chain file.
#include "replay/replay.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "chain/export.h"
#include "cli/chain.h"
#include "codec/cbor.h"
#include "node/node.h"
#include "store/content.h"

enum { COMPONENT_MOST_BYTES = 256 << 20 };

struct replay_command {
    struct chain_command chains;  // data folder and logs
    const char *component_path;
    const char *name;
    uint64_t from, until;
    bool steps;
    bool goes_on;
    // Opened.
    char *secrets_folder, *id;
    struct chain_log *log;  // that holds the chain; NULL: `file` does
    struct chain_file *file;
    struct content_folder *contents;  // NULL: there are none
    struct chain_reader *reader;
    struct wasm_compiler *compiler;
    struct bytes *component;
};

// ---- options
// -------------------------------------------------------------------------------------

static bool parse_options(struct replay_command *command, int argc, char **argv, int *code) {
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"component", required_argument, NULL, 'c'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"until", required_argument, NULL, 'u'},
                                            {"diff", no_argument, NULL, 'g'},
                                            {"step", no_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    opterr = 0;
    command->until = UINT64_MAX;
    for (;;) {
        int option = getopt_long(argc, argv, ":", options, NULL);
        char *end = NULL;
        if (option == -1) {
            break;
        }
        switch (option) {
            case 'd':
                free(command->chains.data);
                command->chains.data = xstrdup(optarg);
                break;
            case 'c':
                command->component_path = optarg;
                break;
            case 'f':
            case 'u':
                *(option == 'f' ? &command->from : &command->until) = strtoull(optarg, &end, 10);
                if (*optarg < '0' || *optarg > '9' || *end != '\0') {
                    *code = cli_usage("replay", "--%s takes a number, not '%s'",
                                      option == 'f' ? "from" : "until", optarg);
                    return false;
                }
                break;
            case 'g':
                command->goes_on = true;
                break;
            case 's':
                command->steps = true;
                break;
            case ':':
                *code = cli_usage("replay", "%s needs a value", argv[optind - 1]);
                return false;
            default:
                *code = cli_usage("replay", "there is no option '%s'", argv[optind - 1]);
                return false;
        }
    }
    if (optind >= argc) {
        *code = cli_usage("replay", "which actor?");
        return false;
    }
    if (optind + 1 < argc) {
        *code = cli_usage("replay", "one actor only, not also '%s'", argv[optind + 1]);
        return false;
    }
    command->name = argv[optind];
    return true;
}

// ---- what it takes
// -------------------------------------------------------------------------------

static enum status open_compiler(struct replay_command *command, struct error *error) {
    char *folder = NULL;
    enum status status = node_code_folder(&folder, error);
    if (status == OK) {
        status = file_make_folders(folder, 0700, error);
    }
    if (status == OK) {
        struct wasm_compiler_config config = {.cache_folder = folder};
        status = wasm_compiler_new(&config, &command->compiler, error);
    }
    free(folder);
    return status;
}

static enum status open_file(struct replay_command *command, struct error *error) {
    enum status status = chain_file_open(command->name, &command->file, error);
    if (status == OK) {
        command->id = xstrdup(chain_file_header(command->file)->id);
    }
    return status;
}

static enum status open_chain(struct replay_command *command, struct error *error) {
    if (cli_chain_is_file(&command->chains, command->name)) {
        return open_file(command, error);
    }
    enum status status = cli_chain_open(&command->chains, error);
    if (status == OK) {
        status =
            cli_chain_find(&command->chains, command->name, &command->id, &command->log, error);
    }
    if (status == OK) {
        status = chain_reader_open(command->log, command->id, 0, &command->reader, error);
    }
    return status;
}

// A chain file may hold all that it refers to, and what lacks is told where it is asked for.
static enum status open_contents(struct replay_command *command, struct error *error) {
    struct error why = {0};
    char *path = file_join(command->chains.data, "store");
    enum status status = content_open(path, true, true, &command->contents, &why);
    free(path);
    return status == OK || status == ERR_NOT_FOUND || command->file != NULL
               ? OK
               : error_set(error, status, "%s", why.message);
}

static enum status open_all(struct replay_command *command, struct error *error) {
    struct chain_command *chains = &command->chains;
    enum status status = chains->data != NULL ? OK : node_default_folder(&chains->data, error);
    if (status != OK) {
        return status;
    }
    chains->log_folder = file_join(chains->data, "log");
    command->secrets_folder = file_join(chains->data, "secrets");
    status = open_chain(command, error);
    if (status == OK) {
        status = open_contents(command, error);
    }
    if (status == OK && command->component_path != NULL) {
        status =
            file_read(command->component_path, COMPONENT_MOST_BYTES, &command->component, error);
    }
    return status == OK ? open_compiler(command, error) : status;
}

static void release(struct replay_command *command) {
    if (command->reader != NULL) {
        chain_reader_close(command->reader);
    }
    if (command->file != NULL) {
        chain_file_close(command->file);
    }
    (void)chain_log_close(command->chains.log, NULL);
    (void)chain_log_close(command->chains.imported, NULL);
    if (command->contents != NULL) {
        content_close(command->contents);
    }
    if (command->compiler != NULL) {
        wasm_compiler_free(command->compiler);
    }
    bytes_unref(command->component);
    free(command->chains.data);
    free(command->chains.log_folder);
    free(command->secrets_folder);
    free(command->id);
}

// ---- what the replay asks for
// --------------------------------------------------------------------

static enum status next_event(void *context, struct chain_event *event, bool *more,
                              struct error *error) {
    struct replay_command *command = context;
    return command->file != NULL ? chain_file_next(command->file, event, more, error)
                                 : chain_reader_next(command->reader, event, more, error);
}

static enum status read_content(void *context, const uint8_t hash[SHA256_BYTES],
                                uint64_t limit_bytes, struct bytes **out, struct error *error) {
    struct replay_command *command = context;
    enum status status =
        error_set(error, ERR_NOT_FOUND, "there is no store in %s", command->chains.data);
    if (command->file != NULL) {
        error_clear(error);
        status = chain_file_content(command->file, hash, limit_bytes, out, error);
    }
    if (status == ERR_NOT_FOUND && command->contents != NULL) {
        error_clear(error);
        status = content_get(command->contents, hash, limit_bytes, out, error);
    }
    return status;
}

// The file has its own chain only; it is read from its beginning.
static enum status visit_file(const struct replay_command *command, const char *id, uint64_t first,
                              uint64_t count, actor_visit_fn visit, void *visit_context,
                              struct error *error) {
    struct chain_file *file = NULL;
    if (strcmp(id, command->id) != 0) {
        return error_set(error, ERR_NOT_FOUND,
                         "it holds events of the chain of %s, which is not in the file", id);
    }
    enum status status = chain_file_open(command->name, &file, error);
    bool more = status == OK;
    uint64_t visited = 0;
    while (status == OK && more && visited < count) {
        struct chain_event event;
        status = chain_file_next(file, &event, &more, error);
        if (status == OK && more && event.seq >= first) {
            more = visit(visit_context, &event);
            visited++;
        }
    }
    if (file != NULL) {
        chain_file_close(file);
    }
    return status;
}

static enum status visit_chain(void *context, const char *id, uint64_t first, uint64_t count,
                               actor_visit_fn visit, void *visit_context, struct error *error) {
    const struct replay_command *command = context;
    return command->file != NULL
               ? visit_file(command, id, first, count, visit, visit_context, error)
               : replay_visit_log(command->log, id, first, count, visit, visit_context, error);
}

// ---- what is shown
// -------------------------------------------------------------------------------

static void write_out(struct buf *text) {
    (void)fwrite(text->data, 1, text->size, stdout);
    buf_release(text);
}

static void print_state(bool has_state, struct slice state) {
    struct buf item = {0};
    struct buf line = {0};
    if (has_state) {
        cbor_bytes(&item, state);
    } else {
        cbor_null(&item);
    }
    buf_append_text(&line, "state: ");
    cbor_to_json(buf_slice(&item), &line);
    buf_append_byte(&line, '\n');
    buf_release(&item);
    write_out(&line);
}

// On a terminal: until Enter. False at the end of the input.
static bool wait_for_enter(void) {
    if (!isatty(STDIN_FILENO)) {
        return true;
    }
    (void)fflush(stdout);
    int byte = 0;
    do {
        byte = getchar();
    } while (byte != '\n' && byte != EOF);
    return byte != EOF;
}

static bool show_step(void *context, const struct replay_step *step) {
    struct replay_command *command = context;
    if (command->steps) {
        cli_print_event(step->recorded);
    }
    if (step->is_different) {
        struct buf text = {0};
        buf_append_text(&text, "differs at ");
        replay_describe(step, &text);
        write_out(&text);
    }
    return !command->steps || wait_for_enter();
}

static int report(const struct replay_command *command, const struct replay_result *result) {
    char head[SHA256_TEXT_BYTES];
    if (command->until != UINT64_MAX) {
        print_state(result->state != NULL, bytes_slice(result->state));
    }
    if (result->different > 0) {
        printf("different: %llu of %llu turns' parts, the first at event %llu",
               (unsigned long long)result->different, (unsigned long long)result->legs,
               (unsigned long long)result->first_different);
        if (result->not_run > 0) {
            printf("; %llu could not be run", (unsigned long long)result->not_run);
        }
        putchar('\n');
        return EXIT_DIFFERENT;
    }
    sha256_text(result->head, head);
    printf("same: %llu events, %llu of them run again, head %s\n",
           (unsigned long long)result->events, (unsigned long long)result->legs, head);
    return EXIT_GOOD;
}

static int run(struct replay_command *command) {
    struct error error = {0};
    struct replay_result result;
    if (open_all(command, &error) != OK) {
        return cli_error(&error);
    }
    struct replay_config config = {.id = command->id,
                                   .next = next_event,
                                   .next_context = command,
                                   .content = read_content,
                                   .content_context = command,
                                   .visit = visit_chain,
                                   .visit_context = command,
                                   .secrets_folder = command->secrets_folder,
                                   .compiler = command->compiler,
                                   .component = command->component,
                                   .goes_on = command->goes_on,
                                   .from = command->from,
                                   .until = command->until,
                                   .step = show_step,
                                   .step_context = command};
    enum status status = replay_run(&config, &result, &error);
    int code = EXIT_NO_REPLAY;
    if (status == OK) {
        code = report(command, &result);
    } else {
        (void)fflush(stdout);
        fprintf(stderr, "theater: %s cannot be replayed%s: %s\n", command->id,
                result.events > 0 ? " to its end" : "", error.message);
    }
    bytes_unref(result.state);
    return code;
}

int cli_replay(int argc, char **argv) {
    struct replay_command command = {0};
    int code = EXIT_GOOD;
    if (!parse_options(&command, argc, argv, &code)) {
        return code;
    }
    code = run(&command);
    (void)fflush(stdout);
    release(&command);
    return code;
}
