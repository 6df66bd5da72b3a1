// SPDX-License-Identifier: Apache-2.0
// Walks over TOML text knowing only where strings and comments begin and end: enough to bound
// nesting before parsing, and to substitute variables into text that does not parse yet.
#ifndef CODEC_TOML_SCAN_H
#define CODEC_TOML_SCAN_H

#include <stddef.h>

#include "codec/toml.h"

#ifdef __cplusplus
extern "C" {
#endif

enum toml_context {
    TOML_IN_BARE,           // keys, numbers, brackets, space
    TOML_IN_COMMENT,        // # …
    TOML_IN_BASIC,          // "…"
    TOML_IN_LITERAL,        // '…'
    TOML_IN_BASIC_LINES,    // """…"""
    TOML_IN_LITERAL_LINES,  // '''…'''
};

// Start with `at` 0 and the context TOML_IN_BARE.
struct toml_scan {
    const char *text;
    size_t size;
    size_t at;
    enum toml_context context;  // of the byte at `at`
};

// Moves over one byte, escape or delimiter; `at` < `size` before.
void toml_scan_step(struct toml_scan *scan);
// False, with `failure` filled, when brackets or key parts pass the limits of codec/toml.h.
bool toml_scan_shape(const char *text, size_t size, struct toml_failure *failure);
// Position of byte `at` as toml_parse counts them.
void toml_scan_position(const char *text, size_t at, uint32_t *line, uint32_t *column);

#ifdef __cplusplus
}
#endif

#endif
