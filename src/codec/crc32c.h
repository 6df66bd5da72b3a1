// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli polynomial, as in RFC 3720): finds accidental damage in frames of the log. By
// the processor's own instruction where it has one, by table elsewhere.
#ifndef CODEC_CRC32C_H
#define CODEC_CRC32C_H

#include <stdint.h>

#include "base/bytes.h"

// The checksum of `input` continuing from `before`, the checksum of what comes before it (0 at the
// start): crc32c(crc32c(0, a), b) is the checksum of a followed by b. Any thread.
uint32_t crc32c(uint32_t before, struct slice input);
// The same by table, on every processor: what tests compare against.
uint32_t crc32c_by_table(uint32_t before, struct slice input);

#endif
