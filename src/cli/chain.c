// SPDX-License-Identifier: Apache-2.0
// theater chain: list, show, export, verify. Read-only; works beside a live node.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "chain/chain.h"
#include "cli/cli.h"
#include "codec/cbor.h"
#include "node/node.h"

struct chain_command {
    const char *data;
    uint64_t from;
    bool json;
    char *log_folder;
    struct chain_log *log;
};

static bool parse_options(struct chain_command *command, int argc, char **argv, int *code) {
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    opterr = 0;
    for (;;) {
        int option = getopt_long(argc, argv, ":", options, NULL);
        char *end = NULL;
        if (option == -1) {
            return true;
        }
        switch (option) {
            case 'd':
                command->data = optarg;
                break;
            case 'f':
                command->from = strtoull(optarg, &end, 10);
                if (*optarg < '0' || *optarg > '9' || *end != '\0') {
                    *code = cli_usage("chain", "--from takes a number, not '%s'", optarg);
                    return false;
                }
                break;
            case 'j':
                command->json = true;
                break;
            case ':':
                *code = cli_usage("chain", "%s needs a value", argv[optind - 1]);
                return false;
            default:
                *code = cli_usage("chain", "there is no option '%s'", argv[optind - 1]);
                return false;
        }
    }
}

static enum status find_log_folder(struct chain_command *command, struct error *error) {
    char *data = NULL;
    if (command->data != NULL) {
        data = xstrdup(command->data);
    } else {
        enum status status = node_default_folder(&data, error);
        if (status != OK) {
            return status;
        }
    }
    command->log_folder = file_join(data, "log");
    free(data);
    return OK;
}

static enum status open_log(struct chain_command *command, struct error *error) {
    struct chain_log_config config = {.folder = command->log_folder,
                                      .read_only = true,
                                      .with_catalogue = true,
                                      .env = env_system()};
    return chain_log_open(&config, &command->log, error);
}

static void free_ids(char **ids, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        free(ids[i]);
    }
    free(ids);
}

// Gives the full id for an id or a unique beginning of one. Free with free.
static enum status find_actor(struct chain_command *command, const char *name, char **out,
                              struct error *error) {
    char **ids = NULL;
    uint64_t count = 0;
    enum status status = chain_list(command->log, &ids, &count, error);
    if (status != OK) {
        return status;
    }
    const char *found = NULL;
    uint64_t matches = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (strcmp(ids[i], name) == 0) {
            found = ids[i];
            matches = 1;
            break;
        }
        if (strncmp(ids[i], name, strlen(name)) == 0) {
            found = ids[i];
            matches++;
        }
    }
    if (matches == 1) {
        *out = xstrdup(found);
    } else if (matches == 0) {
        status = error_set(error, ERR_NOT_FOUND,
                           "no chain of an actor '%s' in %s; 'theater chain list' shows them", name,
                           command->log_folder);
    } else {
        status = error_set(error, ERR_INVALID, "'%s' is the beginning of %llu ids; give more of it",
                           name, (unsigned long long)matches);
    }
    free_ids(ids, count);
    return status;
}

static void print_line(const struct chain_event *event) {
    struct buf line = {0};
    time_t seconds = (time_t)(event->time_ns / 1000000000U);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    char hash[SHA256_TEXT_BYTES];
    sha256_text(event->hash, hash);
    buf_format(&line, "%6llu  %04d-%02d-%02dT%02d:%02d:%02d.%06uZ  %.12s  %-22.*s ",
               (unsigned long long)event->seq, parts.tm_year + 1900, parts.tm_mon + 1,
               parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
               (unsigned)(event->time_ns / 1000U % 1000000U), hash, (int)event->type.size,
               (const char *)event->type.data);
    cbor_to_json(event->data, &line);
    if (line.size > 400) {
        line.size = 400;
        while (line.size > 0 && (line.data[line.size] & 0xc0U) == 0x80U) {
            line.size--;
        }
        buf_append_text(&line, "…");
    }
    buf_append_byte(&line, '\n');
    fwrite(line.data, 1, line.size, stdout);
    buf_release(&line);
}

static enum status print_events(struct chain_command *command, const char *id, bool as_json,
                                struct error *error) {
    struct chain_reader *reader = NULL;
    enum status status = chain_reader_open(command->log, id, command->from, &reader, error);
    bool more = status == OK;
    while (status == OK && more) {
        struct chain_event event;
        status = chain_reader_next(reader, &event, &more, error);
        if (status != OK || !more) {
            break;
        }
        if (as_json) {
            struct buf line = {0};
            chain_event_json(id, &event, &line);
            if (line.size == 0 || line.data[line.size - 1] != '\n') {
                buf_append_byte(&line, '\n');
            }
            fwrite(line.data, 1, line.size, stdout);
            buf_release(&line);
        } else {
            print_line(&event);
        }
    }
    if (reader != NULL) {
        chain_reader_close(reader);
    }
    return status;
}

static int show(struct chain_command *command, const char *name, bool as_json) {
    struct error error = {0};
    char *id = NULL;
    enum status status = open_log(command, &error);
    if (status == OK) {
        status = find_actor(command, name, &id, &error);
    }
    if (status == OK) {
        status = print_events(command, id, as_json, &error);
    }
    free(id);
    fflush(stdout);
    return status == OK ? EXIT_GOOD : cli_error(&error);
}

static int list(struct chain_command *command) {
    struct error error = {0};
    char **ids = NULL;
    uint64_t count = 0;
    enum status status = open_log(command, &error);
    if (status == OK) {
        status = chain_list(command->log, &ids, &count, &error);
    }
    if (status != OK) {
        return cli_error(&error);
    }
    for (uint64_t i = 0; i < count; i++) {
        puts(ids[i]);
    }
    free_ids(ids, count);
    return EXIT_GOOD;
}

static int verify(struct chain_command *command, const char *name) {
    struct error error = {0};
    struct chain_verdict verdict;
    char *id = NULL;
    enum status status = OK;
    if (name != NULL) {
        // A damaged log may not open: then the name is taken as it stands.
        if (open_log(command, NULL) != OK || find_actor(command, name, &id, NULL) != OK) {
            id = xstrdup(name);
        }
    }
    status = chain_verify(command->log_folder, id, &verdict, &error);
    free(id);
    if (status != OK) {
        return cli_error(&error);
    }
    if (verdict.is_good) {
        printf("good: %llu events in %llu chain%s\n", (unsigned long long)verdict.events,
               (unsigned long long)verdict.chains, verdict.chains == 1 ? "" : "s");
        return EXIT_GOOD;
    }
    printf("BAD: ");
    if (verdict.actor[0] != '\0') {
        printf("actor %s, ", verdict.actor);
    }
    if (verdict.seq != UINT64_MAX) {
        printf("event %llu, ", (unsigned long long)verdict.seq);
    }
    printf("%s at byte %llu: %s\n", verdict.segment, (unsigned long long)verdict.offset,
           verdict.reason);
    printf("%llu events before it verify\n", (unsigned long long)verdict.events);
    return EXIT_BAD_CHAIN;
}

static int dispatch(struct chain_command *command, int argc, char **argv) {
    const char *word = argc > 0 ? argv[0] : "";
    const char *name = argc > 1 ? argv[1] : NULL;
    if (argc > 2) {
        return cli_usage("chain", "one actor only, not also '%s'", argv[2]);
    }
    if (strcmp(word, "list") == 0 && name == NULL) {
        return list(command);
    }
    if (strcmp(word, "verify") == 0) {
        return verify(command, name);
    }
    if (strcmp(word, "show") == 0 || strcmp(word, "export") == 0) {
        if (name == NULL) {
            return cli_usage("chain", "%s which actor?", word);
        }
        return show(command, name, command->json || word[0] == 'e');
    }
    return cli_usage("chain", "list, show ACTOR, export ACTOR or verify [ACTOR], not '%s'", word);
}

int cli_chain(int argc, char **argv) {
    struct chain_command command = {0};
    struct error error = {0};
    int code = EXIT_GOOD;
    if (!parse_options(&command, argc, argv, &code)) {
        return code;
    }
    if (find_log_folder(&command, &error) != OK) {
        return cli_error(&error);
    }
    code = dispatch(&command, argc - optind, argv + optind);
    if (command.log != NULL) {
        (void)chain_log_close(command.log, NULL);
    }
    free(command.log_folder);
    return code;
}
