// SPDX-License-Identifier: Apache-2.0
// Pack files: many contents in one file, appended one behind the other (docs/formats/store.md).
//
//   store/packs/00000001.pack
//     header    0  8  "THpacks\n"
//               8  4  version, 1
//              12  4  number, as in the file's name
//     records, one behind the other
//
//   record      0  4  CRC-32C of bytes 4 to 47
//               4  4  kind: 1 content, 2 index
//               8  8  size of its data
//              16 32  SHA-256 of its data
//              48     the data
//
//   data of an index   for each content before it: SHA-256 (32), offset of its record (8), size
//   (8);
//                      then 0 8  offset of this index's record
//                           8 8  "THindexd"
//
// All integers are little-endian. A file that ends with an index is complete. Without one, after a
// crash, the records say what is there: a content whose data does not have its hash was being
// written, and the next record lies behind it all the same; the first header that is not intact is
// the end. Records behind an index are fine: more was appended in a later run.
//
// This file knows the bytes; pack.h which packs there are, and who writes.
#ifndef STORE_PACK_FILE_H
#define STORE_PACK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/sha256.h"

enum { PACK_START = 16, PACK_RECORD_BYTES = 48 };

// A content of a pack.
struct pack_entry {
    uint8_t hash[SHA256_BYTES];
    uint64_t offset;  // of its record
    uint64_t bytes;   // of its data
};
struct pack_entries {
    struct pack_entry *items;
    size_t count, capacity;
};
void pack_entries_add(struct pack_entries *entries, const struct pack_entry *entry);
void pack_entries_release(struct pack_entries *entries);

// All of `size` bytes at `offset`; errno, or 0.
int pack_write_at(int file, const void *data, size_t size, uint64_t offset);
// The file's first bytes; errno, or 0.
int pack_write_start(int file, uint32_t number);
void pack_content_header(uint8_t out[PACK_RECORD_BYTES], struct slice content,
                         const uint8_t hash[SHA256_BYTES]);
// Appends an index at `offset`; *end is where it ends. Errno, or 0.
int pack_write_index(int file, uint64_t offset, const struct pack_entries *entries, uint64_t *end);

// Adds the contents of a file that ends with an index; false when it does not, or not with an
// intact one, and then adds nothing. What a crash left without an index may end with a content that
// was made to look like one: with `is_walked` that is found out, by reading the headers before it.
bool pack_read_index(int file, bool is_walked, struct pack_entries *entries);
// Adds the contents, by the records themselves. `is_checked`: only those whose data has its hash.
// Gives the offset behind the last record; *is_clean: that is the end of the file, and nothing was
// left out. Error: the file cannot be read, or is no pack of this number.
enum status pack_scan(int file, uint32_t number, bool is_checked, struct pack_entries *entries,
                      uint64_t *end, bool *is_clean, struct error *error) MUST_CHECK;
// Gives a content, checked against its hash: ERR_DAMAGED otherwise.
enum status pack_read_content(int file, const struct pack_entry *entry, struct bytes **out,
                              struct error *error) MUST_CHECK;

#endif
