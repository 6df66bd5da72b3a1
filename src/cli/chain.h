// SPDX-License-Identifier: Apache-2.0
// What the files of `theater chain` share: its options, and finding the chain that a user means.
#ifndef CLI_CHAIN_H
#define CLI_CHAIN_H

#include "chain/subscribe.h"
#include "cli/cli.h"

enum { CHAIN_TYPES_MOST = 16 };

struct chain_command {
    char *data;
    uint64_t from, until;  // sequence numbers
    uint64_t since_ns, before_ns;
    const char *types[CHAIN_TYPES_MOST];
    size_t type_count;
    const char *output;
    bool json;
    bool is_long;
    bool follow;
    bool without_contents;
    bool fills_in;  // contents in place of references
    bool has_at;
    uint64_t at;         // where to fork
    const char *new_id;  // of the fork; NULL: generated
    bool is_unsigned;

    char *log_folder;
    struct chain_log *log;       // the node's own; NULL: not opened
    struct chain_log *imported;  // NULL: not opened, or there are none
    struct store *store;         // with fills_in
};

// Opens both logs for reading, unless they are open.
enum status cli_chain_open(struct chain_command *command, struct error *error) MUST_CHECK;
// Gives the full id for an id or a unique beginning of one, to free with free, and the log that
// holds the chain.
enum status cli_chain_find(struct chain_command *command, const char *name, char **id,
                           struct chain_log **log, struct error *error) MUST_CHECK;
// Whether a chain file is meant: a path is given, or there is such a file and no chain of that
// name.
bool cli_chain_is_file(struct chain_command *command, const char *name);
// Which events the options ask for, but for their numbers; borrows from the command.
struct chain_filter cli_chain_filter(const struct chain_command *command);
// Prints the event, if its type, time and number are wanted.
void cli_chain_print(const struct chain_command *command, const struct chain_event *event);
void cli_chain_free_ids(char **ids, uint64_t count);

// The commands; each returns an exit code.
int cli_chain_list(struct chain_command *command);
int cli_chain_show(struct chain_command *command, const char *name);
int cli_chain_follow(struct chain_command *command, const char *name);  // NULL: all actors
int cli_chain_verify(struct chain_command *command, const char *name);
int cli_chain_verify_file(const char *path);
int cli_chain_export(struct chain_command *command, const char *name);
int cli_chain_import(struct chain_command *command, const char *path);
int cli_chain_fork(struct chain_command *command, const char *name);
int cli_chain_key(struct chain_command *command);

// The same for a log that does not open or cannot be read because of `damage`, which they report:
// what is still whole, and what is missing. The exit code is that of a bad chain.
int cli_chain_list_damaged(const struct chain_command *command, const struct error *damage);
int cli_chain_show_damaged(const struct chain_command *command, const char *name,
                           const struct error *damage);
// Prints how much of a bad log can still be read, and what not.
void cli_chain_survey(const char *log_folder);

// A point in time: "2026-11-21", "2026-11-21T07:04:34.5Z", or "90s", "5m", "2h", "1d" before
// `now_ns`. Nanoseconds since 1970; false when `text` is none.
bool cli_parse_time(const char *text, uint64_t now_ns, uint64_t *out_ns);

#endif
