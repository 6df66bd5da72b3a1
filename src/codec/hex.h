// SPDX-License-Identifier: Apache-2.0
// Hexadecimal digits, in either case. (Hashes are read and written by codec/sha256.h, in lower case
// only.)
#ifndef CODEC_HEX_H
#define CODEC_HEX_H

// The digit's value; -1 for what is no digit, such as an end given as -1.
static inline int hex_read_digit(int character) {
    if (character >= '0' && character <= '9') {
        return character - '0';
    }
    int lower = character | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

#endif
