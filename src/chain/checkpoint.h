// SPDX-License-Identifier: Apache-2.0
// Keeping the log's catalogue up, and opening a log with it.
//
// A thread of its own reads each sealed segment back (from the page cache, mostly) and writes the
// rows of the chains that have events in it, with a new checkpoint, in one transaction. It follows
// the writer at its own pace: after each checkpoint it rests nine times as long as that took, so
// that a busy log costs it a tenth of a processor, but only until the log is a gigabyte ahead: so
// much, and what is appended during one checkpoint, an opening must read. No appender ever waits
// for it. Segments stay in the page cache until it has read them.
#ifndef CHAIN_CHECKPOINT_H
#define CHAIN_CHECKPOINT_H

#include "chain/rows.h"
#include "chain/state.h"

struct checkpointer;

// Fills registry and segments from the catalogue and leaves log->scan where the checkpoint is: what
// follows is read from the segments. Without a catalogue, or with one that cannot be used, the log
// is left empty and the scan at its beginning: all is read. ERR_DAMAGED when the segments are not
// what the catalogue knows. Before the log is shared.
enum status checkpoint_load(struct chain_log *log, struct error *error) MUST_CHECK;

// Begins to keep the catalogue up: when the writer runs, before anybody appends.
enum status checkpoint_start(struct chain_log *log, struct error *error) MUST_CHECK;
// A segment was sealed: any thread, never waits for more than a lock of a few instructions.
void checkpoint_sealed(struct chain_log *log, uint32_t number);
// Brings the catalogue up to the last segment that was sealed and ends the thread.
void checkpoint_stop(struct chain_log *log);

#endif
