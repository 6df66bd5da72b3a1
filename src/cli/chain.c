// SPDX-License-Identifier: Apache-2.0
// theater chain: its options, and which chain is meant. All commands but import and key only read,
// and work beside a live node.
#include "cli/chain.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "node/exchange.h"
#include "node/node.h"

// ---- options -----------------------------------------------------------------------------------

enum {
    OPTION_UNTIL = 256,
    OPTION_SINCE,
    OPTION_BEFORE,
    OPTION_AT,
    OPTION_ID,
    OPTION_NO_CONTENTS,
    OPTION_UNSIGNED,
    OPTION_CONTENTS
};

static bool take_number(const char *name, uint64_t *out, int *code) {
    char *end = NULL;
    *out = strtoull(optarg, &end, 10);
    if (*optarg < '0' || *optarg > '9' || *end != '\0') {
        *code = cli_usage("chain", "--%s takes a number, not '%s'", name, optarg);
        return false;
    }
    return true;
}

static bool take_time(const char *name, uint64_t *out, int *code) {
    if (!cli_parse_time(optarg, env_wall_ns(env_system()), out)) {
        *code = cli_usage("chain",
                          "--%s takes a time such as 2026-01-31, 2026-01-31T12:00:00Z or 5m (five "
                          "minutes ago), not '%s'",
                          name, optarg);
        return false;
    }
    return true;
}

static bool take_option(struct chain_command *command, int option, const char *argument,
                        int *code) {
    switch (option) {
        case 'd':
            free(command->data);
            command->data = xstrdup(optarg);
            return true;
        case 'f':
            return take_number("from", &command->from, code);
        case OPTION_UNTIL:
            return take_number("until", &command->until, code);
        case OPTION_AT:
            command->has_at = true;
            return take_number("at", &command->at, code);
        case OPTION_ID:
            command->new_id = optarg;
            return true;
        case OPTION_SINCE:
            return take_time("since", &command->since_ns, code);
        case OPTION_BEFORE:
            return take_time("before", &command->before_ns, code);
        case 't':
            if (command->type_count == CHAIN_TYPES_MOST) {
                *code = cli_usage("chain", "--type at most %d times", CHAIN_TYPES_MOST);
                return false;
            }
            command->types[command->type_count++] = optarg;
            return true;
        case 'o':
            command->output = optarg;
            return true;
        case 'j':
            command->json = true;
            return true;
        case 'l':
            command->is_long = true;
            return true;
        case 'F':
            command->follow = true;
            return true;
        case OPTION_NO_CONTENTS:
            command->without_contents = true;
            return true;
        case OPTION_CONTENTS:
            command->fills_in = true;
            return true;
        case OPTION_UNSIGNED:
            command->is_unsigned = true;
            return true;
        case ':':
            *code = cli_usage("chain", "%s needs a value", argument);
            return false;
        default:
            *code = cli_usage("chain", "there is no option '%s'", argument);
            return false;
    }
}

static bool parse_options(struct chain_command *command, int argc, char **argv, int *code) {
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"until", required_argument, NULL, OPTION_UNTIL},
                                            {"at", required_argument, NULL, OPTION_AT},
                                            {"id", required_argument, NULL, OPTION_ID},
                                            {"since", required_argument, NULL, OPTION_SINCE},
                                            {"before", required_argument, NULL, OPTION_BEFORE},
                                            {"type", required_argument, NULL, 't'},
                                            {"output", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"long", no_argument, NULL, 'l'},
                                            {"follow", no_argument, NULL, 'F'},
                                            {"no-contents", no_argument, NULL, OPTION_NO_CONTENTS},
                                            {"contents", no_argument, NULL, OPTION_CONTENTS},
                                            {"unsigned", no_argument, NULL, OPTION_UNSIGNED},
                                            {NULL, 0, NULL, 0}};
    opterr = 0;
    for (;;) {
        int option = getopt_long(argc, argv, ":o:l", options, NULL);
        if (option == -1) {
            return true;
        }
        if (!take_option(command, option, argv[optind - 1], code)) {
            return false;
        }
    }
}

// ---- finding a chain ---------------------------------------------------------------------------

void cli_chain_free_ids(char **ids, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        free(ids[i]);
    }
    free(ids);
}

enum status cli_chain_open(struct chain_command *command, struct error *error) {
    if (command->log != NULL || command->imported != NULL) {
        return OK;
    }
    struct chain_log_config config = {.folder = command->log_folder,
                                      .read_only = true,
                                      .with_catalogue = true,
                                      .env = env_system()};
    enum status status = node_open_imported(command->data, &command->imported, error);
    if (status != OK) {
        return error_context(error, "imported chains");
    }
    return chain_log_open(&config, &command->log, error);
}

struct search {
    const char *name;
    char *found;
    struct chain_log *log;
    uint64_t matches;
    bool is_exact;
};

static enum status search_log(struct search *search, struct chain_log *log, struct error *error) {
    char **ids = NULL;
    uint64_t count = 0;
    if (log == NULL) {
        return OK;
    }
    enum status status = chain_list(log, &ids, &count, error);
    for (uint64_t i = 0; status == OK && i < count && !search->is_exact; i++) {
        if (strncmp(ids[i], search->name, strlen(search->name)) != 0) {
            continue;
        }
        free(search->found);
        search->found = xstrdup(ids[i]);
        search->log = log;
        search->matches++;
        search->is_exact = strcmp(ids[i], search->name) == 0;
    }
    cli_chain_free_ids(ids, count);
    return status;
}

enum status cli_chain_find(struct chain_command *command, const char *name, char **id,
                           struct chain_log **log, struct error *error) {
    struct search search = {.name = name};
    enum status status = search_log(&search, command->log, error);
    if (status == OK) {
        status = search_log(&search, command->imported, error);
    }
    if (status == OK && search.matches == 0) {
        status = error_set(error, ERR_NOT_FOUND,
                           "no chain of an actor '%s' in %s; 'theater chain list' shows them", name,
                           command->log_folder);
    } else if (status == OK && search.matches > 1 && !search.is_exact) {
        status = error_set(error, ERR_INVALID, "'%s' is the beginning of %llu ids; give more of it",
                           name, (unsigned long long)search.matches);
    }
    if (status != OK) {
        free(search.found);
        return status;
    }
    *id = search.found;
    *log = search.log;
    return OK;
}

// ---- commands ----------------------------------------------------------------------------------

bool cli_chain_is_file(struct chain_command *command, const char *name) {
    struct stat about;
    if (strchr(name, '/') != NULL) {
        return true;
    }
    if (stat(name, &about) != 0 || !S_ISREG(about.st_mode) || !chain_file_is_one(name)) {
        return false;
    }
    char *id = NULL;
    struct chain_log *log = NULL;
    bool is_chain =
        cli_chain_open(command, NULL) == OK && cli_chain_find(command, name, &id, &log, NULL) == OK;
    free(id);
    return !is_chain;
}

static int with_name(struct chain_command *command, const char *word, const char *name) {
    if (strcmp(word, "import") == 0) {
        return name == NULL ? cli_usage("chain", "import which file?")
                            : cli_chain_import(command, name);
    }
    if (strcmp(word, "fork") == 0) {
        return cli_chain_fork(command, name);
    }
    bool is_show = strcmp(word, "show") == 0;
    if (!is_show && strcmp(word, "export") != 0) {
        return cli_usage("chain",
                         "list, show ACTOR, export ACTOR, import FILE, verify [ACTOR|FILE], "
                         "fork ACTOR --at N or key, not '%s'",
                         word);
    }
    if (is_show && command->follow) {
        return command->fills_in ? cli_usage("chain", "--contents and --follow do not go together")
                                 : cli_chain_follow(command, name);
    }
    if (name == NULL) {
        return cli_usage("chain", "%s which actor?", word);
    }
    // Without a file to write, an export is for programs to read.
    if (!is_show && command->output != NULL) {
        return cli_chain_export(command, name);
    }
    if (!is_show && command->fills_in) {
        return cli_usage("chain", "--contents is for show: an export holds what was hashed");
    }
    command->json |= !is_show;
    return cli_chain_show(command, name);
}

static int dispatch(struct chain_command *command, int argc, char **argv) {
    const char *word = argc > 0 ? argv[0] : "";
    const char *name = argc > 1 ? argv[1] : NULL;
    if (argc > 2) {
        return cli_usage("chain", "one actor or file only, not also '%s'", argv[2]);
    }
    if (strcmp(word, "list") == 0 && name == NULL) {
        return cli_chain_list(command);
    }
    if (strcmp(word, "key") == 0 && name == NULL) {
        return cli_chain_key(command);
    }
    if (strcmp(word, "verify") == 0) {
        return name != NULL && cli_chain_is_file(command, name) ? cli_chain_verify_file(name)
                                                                : cli_chain_verify(command, name);
    }
    return with_name(command, word, name);
}

int cli_chain(int argc, char **argv) {
    struct chain_command command = {.until = UINT64_MAX, .before_ns = UINT64_MAX};
    struct error error = {0};
    int code = EXIT_GOOD;
    if (!parse_options(&command, argc, argv, &code)) {
        goto out;
    }
    if (command.data == NULL && node_default_folder(&command.data, &error) != OK) {
        code = cli_error(&error);
        goto out;
    }
    command.log_folder = file_join(command.data, "log");
    code = dispatch(&command, argc - optind, argv + optind);
out:
    (void)chain_log_close(command.log, NULL);
    (void)chain_log_close(command.imported, NULL);
    if (command.store != NULL) {
        store_close(command.store);
    }
    free(command.log_folder);
    free(command.data);
    return code;
}
