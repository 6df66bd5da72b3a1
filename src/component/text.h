// SPDX-License-Identifier: Apache-2.0
// The three string encodings of the canonical ABI (CanonicalABI.md, "Loading" and "Storing"): UTF-8
// on our side, UTF-8, UTF-16 or Latin-1 on the guest's. Pure functions over bytes; the guest's side
// may be unaligned.
#ifndef COMPONENT_TEXT_H
#define COMPONENT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// How many leading bytes are plain ASCII.
size_t text_ascii_prefix(const uint8_t *data, size_t size);
// Whether the bytes are well-formed UTF-8 (Unicode 15, table 3-7): no overlong forms, surrogates or
// values past U+10FFFF.
bool text_is_utf8(const uint8_t *data, size_t size);
// Reads one code point of well-formed UTF-8 at *at and moves *at behind it.
uint32_t text_next_utf8(const uint8_t *data, size_t *at);

// Of well-formed UTF-8: how many UTF-16 code units it takes, and whether all of it fits Latin-1
// (then *latin1_size is its size in bytes).
size_t text_utf16_units(const uint8_t *data, size_t size);
bool text_fits_latin1(const uint8_t *data, size_t size, size_t *latin1_size);
// Writes the well-formed UTF-8 text as UTF-16 (little-endian) or Latin-1; `out` has the size that
// the two functions above gave.
void text_to_utf16(const uint8_t *data, size_t size, uint8_t *out);
void text_to_latin1(const uint8_t *data, size_t size, uint8_t *out);

// The size in UTF-8 of `units` UTF-16 code units (little-endian); false at an unpaired surrogate.
bool text_utf16_size(const uint8_t *data, size_t units, size_t *utf8_size);
void text_from_utf16(const uint8_t *data, size_t units, uint8_t *out);
// The same for Latin-1, where every byte is valid.
size_t text_latin1_size(const uint8_t *data, size_t size);
void text_from_latin1(const uint8_t *data, size_t size, uint8_t *out);

#endif
