// SPDX-License-Identifier: Apache-2.0
// Variables in a manifest's text (contract §4): ${a.b}, ${a.b:default}, {{a.b}} and
// {{default a.b "text"}}, filled from the actor's initial state before the text is parsed.
//
// A value goes in as what the place needs: inside a string, its text with that string's escapes, so
// that no value can end the string; elsewhere a whole TOML value. So a state cannot add keys. Line
// numbers stay as they were. Comments are left alone. Within the room only.
#ifndef MANIFEST_SUBSTITUTE_H
#define MANIFEST_SUBSTITUTE_H

#include <jansson.h>

#include "base/bytes.h"
#include "base/status.h"
#include "codec/toml.h"

// Where a variable or a mistake in one is, in bytes of the text.
struct substitution_problem {
    size_t at;
    char message[256];
};

// A part of the text to be left as it is: an inline initial_state. Empty when `from` == `to`.
struct span {
    size_t from, to;
};

// Whether the text holds a variable outside of comments.
bool substitute_has_variables(struct slice text);
// Whether a variable begins inside `span`.
bool substitute_has_variables_in(struct slice text, struct span span);
// Appends the text with each variable outside `keep` replaced by a harmless value of the same
// length: it parses with all positions unchanged, before the values are known.
void substitute_blank(struct slice text, struct span keep, struct buf *out);
// Appends the text with each variable outside `keep` replaced from `state`. False with `problem`
// filled: a variable that is not found, malformed, or whose value cannot stand where it is, or a
// result longer than `limit_bytes`.
bool substitute_fill(struct slice text, struct span keep, const json_t *state, size_t limit_bytes,
                     struct buf *out, struct substitution_problem *problem) MUST_CHECK;

#endif
