// SPDX-License-Identifier: Apache-2.0
#include "codec/crc32c.h"

#include <string.h>

// The instruction exists only on some processors of an architecture, so its use is compiled for
// those and chosen at run time. This is the project's only code that needs that.
#if defined(__x86_64__)
#include <nmmintrin.h>
#define FAST_TARGET __attribute__((target("sse4.2")))
#define FAST_IS_AVAILABLE() __builtin_cpu_supports("sse4.2")
#define FAST_8(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))
#define FAST_1(crc, byte) (_mm_crc32_u8((crc), (byte)))
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#if defined(__clang__)
#define FAST_TARGET __attribute__((target("crc")))
#else
#define FAST_TARGET __attribute__((target("+crc")))
#endif
#define FAST_IS_AVAILABLE() ((getauxval(AT_HWCAP) & (1UL << 7)) != 0)  // HWCAP_CRC32
#define FAST_8(crc, word) (__crc32cd((crc), (word)))
#define FAST_1(crc, byte) (__crc32cb((crc), (byte)))
#else
#define FAST_TARGET
#define FAST_IS_AVAILABLE() 0
#define FAST_8(crc, word) (crc)
#define FAST_1(crc, byte) (crc)
#endif

// The remainders of all bytes, for the reflected polynomial 0x82f63b78; two steps of four bits each
// keep the table small enough to write down.
static const uint32_t nibbles[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

uint32_t crc32c_by_table(uint32_t before, struct slice input) {
    uint32_t crc = ~before;
    for (size_t i = 0; i < input.size; i++) {
        crc ^= input.data[i];
        crc = crc >> 4 ^ nibbles[crc & 15U];
        crc = crc >> 4 ^ nibbles[crc & 15U];
    }
    return ~crc;
}

FAST_TARGET static uint32_t crc32c_fast(uint32_t before, struct slice input) {
    uint32_t crc = ~before;
    const uint8_t *at = input.data;
    size_t left = input.size;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word = 0;
        memcpy(&word, at, sizeof word);
        crc = FAST_8(crc, word);
    }
    for (; left != 0; left--, at++) {
        crc = FAST_1(crc, *at);
    }
    return ~crc;
}

uint32_t crc32c(uint32_t before, struct slice input) {
    return FAST_IS_AVAILABLE() ? crc32c_fast(before, input) : crc32c_by_table(before, input);
}
