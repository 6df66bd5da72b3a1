// SPDX-License-Identifier: Apache-2.0
// JSON (RFC 8259) through jansson, set strict: no duplicate keys, nothing behind the value, valid
// UTF-8, integers of 64 bits, nesting as deep as jansson allows (2,048). Errors say where and what,
// and never quote the text, which may be somebody else's.
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include <jansson.h>

#include "base/bytes.h"
#include "base/status.h"

// Gives any JSON value; release with json_decref. ERR_INVALID otherwise, the message being
// "line 3, column 7: what". Any thread; not on a fiber (it recurses).
enum status json_parse(struct slice text, json_t **out, struct error *error) MUST_CHECK;
// Appends the value in its shortest form: keys in the order of the object, no space, reals with 17
// digits (they read back as the same number), a point in every locale.
void json_write(const json_t *value, struct buf *out);
// Appends `text` (valid UTF-8) as a JSON string with its quotes.
void json_write_text(struct slice text, struct buf *out);

#endif
