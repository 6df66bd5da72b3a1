// SPDX-License-Identifier: Apache-2.0
#include "codec/crc32c.h"

#include <string.h>

// The instruction exists only on some processors of an architecture, so its use is compiled for
// those and chosen at run time. This is the project's only code that needs that.
#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
#define FAST_TARGET __attribute__((target("sse4.2,pclmul")))
#define FAST_IS_AVAILABLE() (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
#define FAST_MULTIPLY(a, b)       \
    ((uint64_t)_mm_cvtsi128_si64( \
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)(a)), _mm_cvtsi64_si128(b), 0)))
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

#if defined(__x86_64__)
enum { LANE_BYTES = 64, BLOCK_BYTES = 3 * LANE_BYTES };

static inline uint64_t load(const uint8_t *at) {
    uint64_t word = 0;
    memcpy(&word, at, sizeof word);
    return word;
}

// One block in three lanes at once, because the instruction takes three cycles but one may begin in
// each. A lane's checksum is moved over the lanes behind it by a carry-less product with
// x^(bits - 33) modulo the polynomial; the instruction itself then reduces the product.
FAST_TARGET static uint32_t crc32c_block(uint32_t crc, const uint8_t *at) {
    uint64_t lanes[3] = {crc, 0, 0};
    for (size_t i = 0; i < LANE_BYTES; i += 8) {
        lanes[0] = _mm_crc32_u64(lanes[0], load(at + i));
        lanes[1] = _mm_crc32_u64(lanes[1], load(at + LANE_BYTES + i));
        lanes[2] = _mm_crc32_u64(lanes[2], load(at + 2 * LANE_BYTES + i));
    }
    uint64_t moved = FAST_MULTIPLY(lanes[0], 0xd3b6092) ^ FAST_MULTIPLY(lanes[1], 0x9e4addf8);
    return (uint32_t)(_mm_crc32_u64(0, moved) ^ lanes[2]);
}
#else
enum { BLOCK_BYTES = INT32_MAX };  // the processors' own overlap is left to them

static inline uint32_t crc32c_block(uint32_t crc, const uint8_t *at) {
    (void)at;
    return crc;
}
#endif

FAST_TARGET static uint32_t crc32c_fast(uint32_t before, struct slice input) {
    uint32_t crc = ~before;
    const uint8_t *at = input.data;
    size_t left = input.size;
    for (; BLOCK_BYTES != INT32_MAX && left >= BLOCK_BYTES;
         left -= BLOCK_BYTES, at += BLOCK_BYTES) {
        crc = crc32c_block(crc, at);
    }
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
