// SPDX-License-Identifier: Apache-2.0
// theater chain export (to a file), import, verify and key.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/chain.h"
#include "node/exchange.h"

static const char *plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

static void print_key(FILE *out, const uint8_t key[ED25519_PUBLIC_BYTES]) {
    for (size_t i = 0; i < ED25519_PUBLIC_BYTES; i++) {
        fprintf(out, "%02x", key[i]);
    }
}

static void print_signed(uint64_t seq, const uint8_t key[ED25519_PUBLIC_BYTES]) {
    printf(", signed to %" PRIu64 " by ", seq);
    print_key(stdout, key);
    putchar('\n');
}

// ---- export and import -------------------------------------------------------------------------

int cli_chain_export(struct chain_command *command, const char *name) {
    struct error error = {0};
    char *id = NULL;
    struct node_export what = {.folder = command->data,
                               .from = command->from,
                               .until = command->until,
                               .without_contents = command->without_contents,
                               .is_unsigned = command->is_unsigned};
    struct chain_file_tally tally;
    uint64_t foreign = 0;
    bool is_stdout = strcmp(command->output, "-") == 0;
    if (is_stdout && isatty(STDOUT_FILENO)) {
        return cli_usage("chain", "a chain file is not for a terminal; --output FILE");
    }
    if (command->type_count != 0 || command->since_ns != 0 || command->before_ns != UINT64_MAX) {
        return cli_usage("chain",
                         "a chain file holds all events from --from to --until, not those "
                         "of a type or a time");
    }
    what.output = is_stdout ? NULL : command->output;
    enum status status = cli_chain_open(command, &error);
    if (status == OK) {
        status = cli_chain_find(command, name, &id, &what.log, &error);
    }
    if (status == OK) {
        what.id = id;
        what.is_imported = what.log == command->imported;
        status = node_export_chain(&what, &tally, &foreign, &error);
    }
    free(id);
    if (status != OK) {
        return cli_error(&error);
    }
    fprintf(stderr, "%" PRIu64 " event%s, %" PRIu64 " content%s, %s\n", tally.events,
            plural(tally.events), tally.contents, plural(tally.contents),
            tally.signatures != 0 ? "signed" : "unsigned");
    if (tally.missing != 0 && !command->without_contents) {
        fprintf(stderr,
                "theater: %" PRIu64
                " content%s that the chain refers to %s not in the store, nor in "
                "the file\n",
                tally.missing, plural(tally.missing), tally.missing == 1 ? "is" : "are");
    }
    if (foreign != 0) {
        fprintf(stderr,
                "theater: %" PRIu64
                " event%s of the chain had events of other chains as results; to "
                "replay them, take those chains along\n",
                foreign, plural(foreign));
    }
    return EXIT_GOOD;
}

int cli_chain_import(struct chain_command *command, const char *path) {
    struct error error = {0};
    struct node_imported imported;
    enum status status = node_import_chain(command->data, path, &imported, &error);
    if (status != OK) {
        (void)cli_error(&error);
        return status == ERR_DAMAGED ? EXIT_BAD_CHAIN : EXIT_ERROR;
    }
    printf("%s: %" PRIu64 " new event%s, %" PRIu64 " content%s", imported.id, imported.appended,
           plural(imported.appended), imported.contents, plural(imported.contents));
    if (imported.missing != 0) {
        printf(", %" PRIu64 " missing", imported.missing);
    }
    putchar('\n');
    return EXIT_GOOD;
}

int cli_chain_key(struct chain_command *command) {
    struct error error = {0};
    struct ed25519_key *key = NULL;
    uint8_t public[ED25519_PUBLIC_BYTES];
    enum status status = file_make_folders(command->data, 0700, &error);
    if (status == OK) {
        status = node_signing_key(command->data, &key, &error);
    }
    if (status != OK) {
        return cli_error(&error);
    }
    ed25519_public(key, public);
    ed25519_free(key);
    print_key(stdout, public);
    putchar('\n');
    return EXIT_GOOD;
}

// ---- verify ------------------------------------------------------------------------------------

static int print_bad(const struct chain_verdict *verdict) {
    printf("BAD: ");
    if (verdict->actor[0] != '\0') {
        printf("actor %s, ", verdict->actor);
    }
    if (verdict->seq != UINT64_MAX) {
        printf("event %" PRIu64 ", ", verdict->seq);
    }
    printf("%s at byte %" PRIu64 ": %s\n", verdict->segment, verdict->offset, verdict->reason);
    printf("%" PRIu64 " events before it verify\n", verdict->events);
    return EXIT_BAD_CHAIN;
}

int cli_chain_verify_file(const char *path) {
    struct error error = {0};
    struct chain_verdict verdict;
    struct chain_file_tally tally;
    if (chain_file_verify(path, &verdict, &tally, &error) != OK) {
        return cli_error(&error);
    }
    if (!verdict.is_good) {
        return print_bad(&verdict);
    }
    printf("good: %" PRIu64 " event%s of %s, %" PRIu64 " to %" PRIu64 ", %" PRIu64 " content%s",
           tally.events, plural(tally.events), verdict.actor, tally.next_seq - tally.events,
           tally.next_seq - 1, tally.contents, plural(tally.contents));
    if (tally.missing != 0) {
        printf(", %" PRIu64 " missing", tally.missing);
    }
    if (tally.signatures == 0) {
        printf(", unsigned\n");
    } else {
        print_signed(tally.last_signature.seq, tally.last_signature.key);
    }
    return EXIT_GOOD;
}

static enum status verify_folder(const char *folder, const char *id, struct chain_verdict *verdict,
                                 struct error *error) {
    enum status status = chain_verify(folder, id, verdict, error);
    if (status == OK && !verdict->is_good) {
        (void)print_bad(verdict);
        cli_chain_survey(folder);
    }
    return status;
}

// All of both logs.
static enum status verify_all(struct chain_command *command, struct chain_verdict *sum,
                              struct error *error) {
    char *imported = file_join(command->data, "imported");
    struct chain_verdict more = {.is_good = true};
    bool has_imported = access(imported, F_OK) == 0 || errno != ENOENT;
    enum status status = verify_folder(command->log_folder, NULL, sum, error);
    if (status == OK && has_imported) {
        status = verify_folder(imported, NULL, &more, error);
        sum->is_good &= more.is_good;
        sum->events += more.events;
        sum->chains += more.chains;
        sum->signed_chains += more.signed_chains;
    }
    free(imported);
    return status;
}

static enum status verify_one(struct chain_command *command, const char *name,
                              struct chain_verdict *verdict, struct error *error) {
    char *id = NULL;
    struct chain_log *log = NULL;
    char *imported = file_join(command->data, "imported");
    // A damaged log may not open: then the name is taken as it stands.
    if ((command->log == NULL && cli_chain_open(command, NULL) != OK) ||
        cli_chain_find(command, name, &id, &log, NULL) != OK) {
        id = xstrdup(name);
    }
    bool is_imported = log != NULL && log == command->imported;
    enum status status =
        verify_folder(is_imported ? imported : command->log_folder, id, verdict, error);
    free(imported);
    free(id);
    return status;
}

int cli_chain_verify(struct chain_command *command, const char *name) {
    struct error error = {0};
    struct chain_verdict verdict;
    enum status status = name != NULL ? verify_one(command, name, &verdict, &error)
                                      : verify_all(command, &verdict, &error);
    if (status != OK) {
        return cli_error(&error);
    }
    if (!verdict.is_good) {
        return EXIT_BAD_CHAIN;
    }
    printf("good: %" PRIu64 " events in %" PRIu64 " chain%s", verdict.events, verdict.chains,
           plural(verdict.chains));
    if (name == NULL) {
        printf(", %" PRIu64 " of them signed\n", verdict.signed_chains);
    } else if (verdict.signed_seq == UINT64_MAX) {
        printf(", unsigned\n");
    } else {
        print_signed(verdict.signed_seq, verdict.signed_key);
    }
    if (verdict.reason[0] != '\0') {
        fprintf(stderr, "theater: %s\n", verdict.reason);
    }
    return EXIT_GOOD;
}
