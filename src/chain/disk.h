// SPDX-License-Identifier: Apache-2.0
// What the log does to its folder, as a table of functions: everything that makes, changes, syncs
// or names a file goes through it (reading does not). The default is the operating system; tests
// put a disk in its place that loses power, runs full or fails (tests/unit/chain/fault_disk.h).
//
// A call is made per batch or per segment, never per event.
#ifndef CHAIN_DISK_H
#define CHAIN_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// Functions give 0 or an errno value unless said otherwise; paths are whole, `file` is a
// descriptor. Any thread, but a file by one thread at a time, except that `sync` may run beside
// `write` on the same file.
struct chain_disk {
    void *context;  // first argument of each
    // Makes an empty file, or empties the one of that name. A descriptor, or minus an errno value.
    int (*create)(void *context, const char *path);
    // Opens an existing file to read and write. A descriptor, or minus an errno value.
    int (*open)(void *context, const char *path);
    void (*close)(void *context, int file);
    // Bytes written, at least 1 and possibly fewer than asked for, or minus an errno value.
    ssize_t (*write)(void *context, int file, const void *data, size_t size, uint64_t offset);
    // Makes the file `size` bytes long with room on the disk for all of them, zeros where nothing
    // was written. EOPNOTSUPP where the file system cannot.
    int (*reserve)(void *context, int file, uint64_t size);
    // Cuts the file off behind `size` bytes.
    int (*trim)(void *context, int file, uint64_t size);
    // On the disk when it returns: what was written, and with `is_whole` what is not needed to
    // read that back as well.
    int (*sync)(void *context, int file, bool is_whole);
    // Gives a file another name, in place of the file that had it.
    int (*rename)(void *context, const char *from, const char *to);
    int (*remove)(void *context, const char *path);
    // Names given and taken in the folder are on the disk when it returns.
    int (*sync_folder)(void *context, const char *path);
};

// The operating system.
const struct chain_disk *chain_disk_system(void);

// Writes all of `data`: short writes go on. An errno value or 0.
int disk_write_all(const struct chain_disk *disk, int file, const void *data, uint64_t size,
                   uint64_t offset);

#endif
