// SPDX-License-Identifier: Apache-2.0
// Validation and transcoding of strings at the component boundary. Text is nearly always ASCII, so
// every scan goes eight bytes at a time until it meets something else.
#include "component/text.h"

#include <assert.h>
#include <string.h>

static const uint64_t HIGH_BITS = 0x8080808080808080u;

size_t text_ascii_prefix(const uint8_t *data, size_t size) {
    size_t at = 0;
    while (size - at >= 8) {
        uint64_t word;
        memcpy(&word, data + at, 8);
        if ((word & HIGH_BITS) != 0) {
            break;
        }
        at += 8;
    }
    while (at < size && data[at] < 0x80) {
        at++;
    }
    return at;
}

// The length of the well-formed sequence of more than one byte at `data`, or 0.
static size_t sequence_length(const uint8_t *data, size_t size) {
    uint8_t first = data[0];
    size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                    : first >= 0xe0 && first <= 0xef ? 3
                    : first >= 0xf0 && first <= 0xf4 ? 4
                                                     : 0;
    if (length == 0 || size < length) {
        return 0;
    }
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    if (first == 0xe0) {
        low = 0xa0;
    } else if (first == 0xed) {
        high = 0x9f;
    } else if (first == 0xf0) {
        low = 0x90;
    } else if (first == 0xf4) {
        high = 0x8f;
    }
    if (data[1] < low || data[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

bool text_is_utf8(const uint8_t *data, size_t size) {
    size_t at = 0;
    for (;;) {
        at += text_ascii_prefix(data + at, size - at);
        if (at == size) {
            return true;
        }
        // Stay here for runs of other scripts; go back to whole words at the next ASCII byte.
        while (at < size && data[at] >= 0x80) {
            size_t length = sequence_length(data + at, size - at);
            if (length == 0) {
                return false;
            }
            at += length;
        }
    }
}

uint32_t text_next_utf8(const uint8_t *data, size_t *at) {
    const uint8_t *p = data + *at;
    if (p[0] < 0x80) {
        *at += 1;
        return p[0];
    }
    if (p[0] < 0xe0) {
        *at += 2;
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    }
    if (p[0] < 0xf0) {
        *at += 3;
        return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    }
    *at += 4;
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

size_t text_utf16_units(const uint8_t *data, size_t size) {
    size_t units = 0;
    for (size_t i = 0; i < size; i++) {
        // One unit per sequence, one more for the sequences of four bytes.
        units += (size_t)((data[i] & 0xc0) != 0x80) + (size_t)(data[i] >= 0xf0);
    }
    return units;
}

bool text_fits_latin1(const uint8_t *data, size_t size, size_t *latin1_size) {
    size_t count = 0;
    for (size_t i = 0; i < size; i++) {
        if (data[i] > 0xc3) {  // C2 and C3 lead U+0080 to U+00FF
            return false;
        }
        count += (data[i] & 0xc0) != 0x80;
    }
    *latin1_size = count;
    return true;
}

static uint8_t *put_unit(uint8_t *out, uint32_t unit) {
    out[0] = (uint8_t)unit;
    out[1] = (uint8_t)(unit >> 8);
    return out + 2;
}

void text_to_utf16(const uint8_t *data, size_t size, uint8_t *out) {
    size_t at = 0;
    while (at < size) {
        uint32_t point = text_next_utf8(data, &at);
        if (point >= 0x10000) {
            point -= 0x10000;
            out = put_unit(out, 0xd800 | point >> 10);
            out = put_unit(out, 0xdc00 | (point & 0x3ff));
        } else {
            out = put_unit(out, point);
        }
    }
    assert(at == size);
}

void text_to_latin1(const uint8_t *data, size_t size, uint8_t *out) {
    size_t at = 0;
    while (at < size) {
        *out++ = (uint8_t)text_next_utf8(data, &at);
    }
    assert(at == size);
}

static uint32_t get_unit(const uint8_t *data, size_t index) {
    return (uint32_t)(data[index * 2] | data[index * 2 + 1] << 8);
}

bool text_utf16_size(const uint8_t *data, size_t units, size_t *utf8_size) {
    size_t size = 0;
    for (size_t i = 0; i < units; i++) {
        uint32_t unit = get_unit(data, i);
        if (unit < 0x80) {
            size += 1;
        } else if (unit < 0x800) {
            size += 2;
        } else if (unit < 0xd800 || unit > 0xdfff) {
            size += 3;
        } else {
            if (unit > 0xdbff || i + 1 == units || (get_unit(data, i + 1) & 0xfc00) != 0xdc00) {
                return false;
            }
            size += 4;
            i++;
        }
    }
    *utf8_size = size;
    return true;
}

static uint8_t *put_point(uint8_t *out, uint32_t point) {
    if (point < 0x80) {
        *out++ = (uint8_t)point;
    } else if (point < 0x800) {
        *out++ = (uint8_t)(0xc0 | point >> 6);
        *out++ = (uint8_t)(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        *out++ = (uint8_t)(0xe0 | point >> 12);
        *out++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (point & 0x3f));
    } else {
        *out++ = (uint8_t)(0xf0 | point >> 18);
        *out++ = (uint8_t)(0x80 | (point >> 12 & 0x3f));
        *out++ = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        *out++ = (uint8_t)(0x80 | (point & 0x3f));
    }
    return out;
}

void text_from_utf16(const uint8_t *data, size_t units, uint8_t *out) {
    for (size_t i = 0; i < units; i++) {
        uint32_t point = get_unit(data, i);
        if ((point & 0xfc00) == 0xd800) {
            assert(i + 1 < units);
            point = 0x10000 + ((point & 0x3ff) << 10) + (get_unit(data, ++i) & 0x3ff);
        }
        out = put_point(out, point);
    }
}

size_t text_latin1_size(const uint8_t *data, size_t size) {
    size_t result = size;
    for (size_t i = 0; i < size; i++) {
        result += data[i] >> 7;
    }
    return result;
}

void text_from_latin1(const uint8_t *data, size_t size, uint8_t *out) {
    for (size_t i = 0; i < size; i++) {
        out = put_point(out, data[i]);
    }
}
