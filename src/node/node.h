// SPDX-License-Identifier: Apache-2.0
// The node: the composition root. Opens the data folder, wires the rooms together, starts and stops
// everything.
//
// Data folder (mode 0700): VERSION, lock (held by the live node, with its process id), log/ (the
// chain), store/ and catalogue.db (contents, stores and their labels),
// secrets/ (docs/formats/chain.md), imported/ and key (node/exchange.h), permissions.toml (of the
// operator, may be absent). Compiled code lies in $XDG_CACHE_HOME/theater/code, shared by all data
// folders, unless another folder is given.
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "actor/actor.h"

struct node;

struct node_config {
    const char *data_folder;  // NULL: node_default_folder
    uint32_t workers;         // 0: as many as CPUs
    const char *code_folder;  // of compiled code, NULL: node_code_folder
    bool never_compile;       // only what that folder holds
    const char *permit;       // file with the node's bound (manifest_load_permissions); NULL:
                              // permissions.toml of the data folder, if it is there
    bool is_bare;             // no data folder and no chain: for actor_call_export
    bool no_recover;          // actors that were running stay as they are in the log
    uint64_t instance_memory_bytes;  // actor_config; 0: half of what the machine, or the control
                                     // group, lets the process have
    bool quiet;                      // actors' log lines are not written to stderr
    actor_root_ended_fn root_ended;  // may be NULL
    void *root_context;
};

// Gives $THEATER_HOME, else ~/.theater. ERR_NOT_FOUND when there is no home either. Free with free.
enum status node_default_folder(char **out, struct error *error) MUST_CHECK;
// Gives the folder of compiled code. Free with free.
enum status node_code_folder(char **out, struct error *error) MUST_CHECK;

// Takes the lock of a data folder that exists, for a command that must be alone with it; close the
// file to give it back. ERR_BUSY names the process that holds it.
enum status node_lock_folder(const char *folder, int *lock, struct error *error) MUST_CHECK;
// Opens the log of a data folder to append to it, whose lock the caller has. What its events name
// lies in `store`, which is open to be written and is closed after the log: events whose contents
// did not reach the disk are cut from the end, and none is synced before its contents are.
struct store;
enum status node_open_log(const char *folder, struct store *store, struct chain_log **out,
                          struct error *error) MUST_CHECK;
// Removes the contents of the data folder's store that neither a label nor a chain refers to
// (`is_trial`: counts them only). Takes the lock meanwhile. ERR_DAMAGED, with nothing removed, when
// the log cannot be read to its end, or ended later once.
struct store_collected;
enum status node_collect_garbage(const char *folder, bool is_trial, struct store_collected *out,
                                 struct error *error) MUST_CHECK;

// ERR_BUSY names the process that holds the data folder.
enum status node_open(const struct node_config *config, struct node **out,
                      struct error *error) MUST_CHECK;
// What came back when it was opened.
struct actor_recovered;
const struct actor_recovered *node_recovered(const struct node *node);
struct actor_system *node_actors(struct node *node);
// NULL for a bare node.
struct chain_log *node_log(struct node *node);
// Stops all actors, children first, writes and syncs the log, frees. An error is one of writing the
// log; the node is gone all the same.
enum status node_close(struct node *node, struct error *error);

#endif
