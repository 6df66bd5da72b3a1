// SPDX-License-Identifier: Apache-2.0
// Carrying chains between data folders: chain files with the contents that their events refer to,
// and the log of chains that came from elsewhere.
//
// Such chains are kept in imported/ of the data folder, a log like the node's own: they can be
// read, verified, replayed and exported again, and no node runs them. Signatures that came with
// them lie in signatures of that folder.
#ifndef NODE_EXCHANGE_H
#define NODE_EXCHANGE_H

#include "chain/export.h"

struct node_export {
    const char *folder;     // the data folder
    struct chain_log *log;  // that holds the chain, read-only
    const char *id;
    uint64_t from, until;   // first and last event; UINT64_MAX: to the end, as it is now
    const char *output;     // the file, replaced when all is written; NULL: standard output
    bool without_contents;  // call all of them missing
    bool is_unsigned;       // no signature of the node's; else its key is made when there is none
    bool is_imported;  // `log` is the one of imported chains: they keep the signatures they have
};
// Writes a chain file. ERR_INVALID when the chain has no event `from`. *tally says what is in it;
// *foreign how many of the events name events of other chains as results, which are not in it: to
// replay those, the other chains must be at hand.
enum status node_export_chain(const struct node_export *what, struct chain_file_tally *tally,
                              uint64_t *foreign, struct error *error) MUST_CHECK;

struct node_imported {
    char id[CHAIN_ID_MOST_BYTES + 1];
    uint64_t events;    // that the chain has now, or the file: what is more
    uint64_t appended;  // of these
    uint64_t contents;  // that the store keeps now
    uint64_t missing;   // contents that the file lacks
};
// Verifies the chain file at `path` to its end and takes over what is new in it. Takes the data
// folder's lock, makes the folder when there is none. ERR_DAMAGED when the file does not verify;
// ERR_EXISTS when there is a chain of that id with another history, or the node's own is shorter
// than the file. Repeating it is harmless.
enum status node_import_chain(const char *folder, const char *path, struct node_imported *out,
                              struct error *error) MUST_CHECK;

// Opens the log of imported chains for reading; *out is NULL when there are none.
enum status node_open_imported(const char *folder, struct chain_log **out,
                               struct error *error) MUST_CHECK;

// Gives the node's signing key, `key` in the data folder; makes it when there is none. ERR_DENIED
// when others may read the file.
enum status node_signing_key(const char *folder, struct ed25519_key **out,
                             struct error *error) MUST_CHECK;

#endif
