// SPDX-License-Identifier: Apache-2.0
// theater store: list, labels, get, verify, gc. All but gc only read, also beside a live node.
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/cli.h"
#include "codec/cbor.h"
#include "node/node.h"
#include "store/store.h"

// More than any content that was let in.
#define CONTENT_MOST_BYTES (UINT64_C(1) << 30)

struct store_command {
    char *data;
    bool json;
    bool dry_run;
    struct store *store;
};

static bool parse_options(struct store_command *command, int argc, char **argv, int *code) {
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"dry-run", no_argument, NULL, 'n'},
                                            {NULL, 0, NULL, 0}};
    opterr = 0;
    for (;;) {
        int option = getopt_long(argc, argv, ":", options, NULL);
        switch (option) {
            case -1:
                return true;
            case 'd':
                free(command->data);
                command->data = xstrdup(optarg);
                break;
            case 'j':
                command->json = true;
                break;
            case 'n':
                command->dry_run = true;
                break;
            case ':':
                *code = cli_usage("store", "%s needs a value", argv[optind - 1]);
                return false;
            default:
                *code = cli_usage("store", "there is no option '%s'", argv[optind - 1]);
                return false;
        }
    }
}

// ---- list
// ------------------------------------------------------------------------------------------

static enum status print_store(void *context, const struct store_info *info, struct error *error) {
    (void)error;
    const struct store_command *command = context;
    struct buf line = {0};
    if (command->json) {
        buf_format(&line, "{\"id\":\"%s\",\"owner\":", info->id);
        cbor_json_text(info->owner, &line);
        buf_format(&line,
                   ",\"contents\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"references\":%" PRIu64
                   ",\"made_ms\":%" PRIu64 "}\n",
                   info->contents, info->bytes, info->references, info->made_ms);
    } else {
        time_t seconds = (time_t)(info->made_ms / 1000U);
        struct tm parts;
        gmtime_r(&seconds, &parts);
        buf_format(&line, "%s  %04d-%02d-%02dT%02d:%02d:%02dZ %9" PRIu64 " %13" PRIu64 " %9" PRIu64,
                   info->id, parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                   parts.tm_min, parts.tm_sec, info->contents, info->bytes, info->references);
        buf_format(&line, "  %.*s\n", (int)info->owner.size, (const char *)info->owner.data);
    }
    fwrite(line.data, 1, line.size, stdout);
    buf_release(&line);
    return OK;
}

static enum status list(struct store_command *command, struct error *error) {
    if (!command->json) {
        printf("%-36s  %-20s %9s %13s %9s  %s\n", "STORE", "MADE", "CONTENTS", "BYTES", "LABELLED",
               "ACTOR");
    }
    return store_list(command->store, print_store, command, error);
}

// ---- labels
// ----------------------------------------------------------------------------------------

struct store_search {
    const char *name;
    char id[STORE_ID_BYTES];
    uint64_t matches;
};

static enum status match(void *context, const struct store_info *info, struct error *error) {
    (void)error;
    struct store_search *search = context;
    if (strncmp(info->id, search->name, strlen(search->name)) == 0) {
        memcpy(search->id, info->id, sizeof search->id);
        search->matches++;
    }
    return OK;
}

static enum status print_label(void *context, struct slice label, const uint8_t hash[SHA256_BYTES],
                               struct error *error) {
    (void)error;
    const struct store_command *command = context;
    char digits[SHA256_TEXT_BYTES];
    sha256_text(hash, digits);
    struct buf line = {0};
    // A label may hold anything, line ends included: as JSON it is one line, and text.
    if (command->json) {
        buf_append_text(&line, "{\"label\":");
        cbor_json_text(label, &line);
        buf_format(&line, ",\"hash\":\"%s\"}\n", digits);
    } else {
        buf_format(&line, "%s  ", digits);
        cbor_json_text(label, &line);
        buf_append_byte(&line, '\n');
    }
    fwrite(line.data, 1, line.size, stdout);
    buf_release(&line);
    return OK;
}

static enum status labels(struct store_command *command, const char *name, struct error *error) {
    struct store_search search = {.name = name};
    enum status status = store_list(command->store, match, &search, error);
    if (status != OK) {
        return status;
    }
    if (search.matches != 1) {
        return search.matches == 0
                   ? error_set(error, ERR_NOT_FOUND,
                               "there is no store '%s'; 'theater store list' shows them", name)
                   : error_set(error, ERR_INVALID,
                               "'%s' is the beginning of %" PRIu64 " ids; give more of it", name,
                               search.matches);
    }
    struct store_place place = {.id = slice_text(search.id)};
    return store_list_labels(command->store, &place, print_label, command, error);
}

// ---- get
// -------------------------------------------------------------------------------------------

static enum status get(struct store_command *command, const char *name, struct error *error) {
    struct bytes *content = NULL;
    uint8_t hash[SHA256_BYTES];
    enum status status = OK;
    if (strncmp(name, "store://", 8) == 0) {
        status =
            store_read_reference(command->store, NULL, name, CONTENT_MOST_BYTES, &content, error);
    } else {
        status = store_parse_hash(slice_text(name), hash, error);
        if (status == OK) {
            status = store_read(command->store, hash, CONTENT_MOST_BYTES, &content, error);
        }
    }
    if (status == OK && fwrite(content->data, 1, content->size, stdout) != content->size) {
        status = error_set(error, ERR_IO, "cannot write to standard output");
    }
    bytes_unref(content);
    return status;
}

// ---- verify, gc
// ------------------------------------------------------------------------------------

static void complain(void *context, const char *text) {
    (void)context;
    printf("BAD: %s\n", text);
}

static enum status verify(struct store_command *command, int *code, struct error *error) {
    struct store_verdict verdict;
    enum status status = store_verify(command->store, complain, NULL, &verdict, error);
    if (status != OK) {
        return status;
    }
    bool is_good = verdict.damaged + verdict.missing == 0;
    printf("%s: %" PRIu64 " contents with %" PRIu64 " bytes", is_good ? "good" : "read",
           verdict.contents, verdict.bytes);
    if (is_good) {
        printf("\n");
    } else {
        printf("; damaged: %" PRIu64 ", missing: %" PRIu64 "\n", verdict.damaged, verdict.missing);
        *code = EXIT_BAD_CHAIN;
    }
    return OK;
}

static enum status collect(const struct store_command *command, struct error *error) {
    struct store_collected result = {0};
    enum status status = node_collect_garbage(command->data, command->dry_run, &result, error);
    if (status == OK) {
        printf("%s %" PRIu64 " contents with %" PRIu64 " bytes; %" PRIu64 " with %" PRIu64
               " bytes are in use\n",
               command->dry_run ? "would remove" : "removed", result.removed, result.removed_bytes,
               result.kept, result.kept_bytes);
    }
    return status;
}

// ---- the command
// -----------------------------------------------------------------------------------

static enum status open_store(struct store_command *command, struct error *error) {
    struct store_config config = {
        .data_folder = command->data, .env = env_system(), .read_only = true};
    return store_open(&config, &command->store, error);
}

static int run(struct store_command *command, const char *word, const char *name) {
    struct error error = {0};
    int code = EXIT_GOOD;
    enum status status = OK;
    bool is_collection = strcmp(word, "gc") == 0;
    if (!is_collection) {
        status = open_store(command, &error);
    }
    if (status == OK && is_collection) {
        status = collect(command, &error);
    } else if (status == OK && strcmp(word, "list") == 0) {
        status = list(command, &error);
    } else if (status == OK && strcmp(word, "labels") == 0) {
        status = labels(command, name, &error);
    } else if (status == OK && strcmp(word, "get") == 0) {
        status = get(command, name, &error);
    } else if (status == OK) {
        status = verify(command, &code, &error);
    }
    if (fflush(stdout) != 0 && status == OK) {
        status = error_set(&error, ERR_IO, "cannot write to standard output");
    }
    return status == OK ? code : cli_error(&error);
}

static int dispatch(struct store_command *command, int argc, char **argv) {
    static const struct {
        const char *word;
        const char *wants;  // what its argument is; NULL: it has none
    } words[] = {{"list", NULL},
                 {"labels", "which store?"},
                 {"get", "which content? its SHA-256, or store://STORE/LABEL"},
                 {"verify", NULL},
                 {"gc", NULL}};
    const char *word = argc > 0 ? argv[0] : "";
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcmp(words[i].word, word) != 0) {
            continue;
        }
        bool has_argument = words[i].wants != NULL;
        if (has_argument && argc < 2) {
            return cli_usage("store", "%s: %s", word, words[i].wants);
        }
        if (argc > (has_argument ? 2 : 1)) {
            return cli_usage("store", "%s does not take '%s'", word, argv[argc - 1]);
        }
        if (command->dry_run && strcmp(word, "gc") != 0) {
            return cli_usage("store", "--dry-run is for gc");
        }
        return run(command, word, has_argument ? argv[1] : NULL);
    }
    return cli_usage("store", "list, labels STORE, get CONTENT, verify or gc, not '%s'", word);
}

int cli_store(int argc, char **argv) {
    struct store_command command = {0};
    struct error error = {0};
    int code = EXIT_GOOD;
    if (parse_options(&command, argc, argv, &code)) {
        bool is_known = command.data != NULL || node_default_folder(&command.data, &error) == OK;
        code = is_known ? dispatch(&command, argc - optind, argv + optind) : cli_error(&error);
    }
    if (command.store != NULL) {
        store_close(command.store);
    }
    free(command.data);
    return code;
}
