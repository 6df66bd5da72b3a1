// SPDX-License-Identifier: Apache-2.0
// WAVE, the WebAssembly Value Encoding: component values as text that people write and read
// (bytecodealliance/wasm-tools, crates/wasm-wave: README.md and wave_ebnf.md).
//
//   true  -7  6.02e23  nan  'x'  "text\n"  [1, 2]  (1, "two")  {field: 1, other: "x"}
//   case  case("payload")  some(1)  none  ok(1)  err("no")  {flag-a, flag-b}  // comment
//
// Values are read by a type: an option or result may be written as its payload alone ("flat") when
// that is unambiguous, record fields that are options may be left out, and so may trailing
// arguments that are. What is written reads back as the same value.
//
// Handles of resources have no form in WAVE: reading them is an error, writing shows <handle N>.
#ifndef COMPONENT_WAVE_H
#define COMPONENT_WAVE_H

#include "component/component.h"

// Reads one value, with nothing but space and comments around it, into `arena`, whose limit bounds
// what hostile text may take. ERR_INVALID says line and column (counted from 1, in characters),
// byte, what was expected and what was found; ERR_LIMIT when the arena has no room. The value
// borrows nothing from `text`.
enum status wave_read(struct slice text, const struct component_type *type, struct arena *arena,
                      struct value *out, struct error *error) MUST_CHECK;

// The same for a call's arguments: "(1, "two")" beginning at byte `at` of `text` (errors count from
// the beginning of `text`) and nothing behind it; nothing at all means no arguments. Fills `args`,
// one per parameter.
enum status wave_read_arguments(struct slice text, size_t at,
                                const struct component_func_type *type, struct arena *arena,
                                struct value *args, struct error *error) MUST_CHECK;

// Appends the value as WAVE, on one line, free of control characters.
void wave_write(const struct component_type *type, const struct value *value, struct buf *out);

// A string, quoted and escaped in the same way: for quoting input in a message. Bytes that are not
// UTF-8 are shown as U+FFFD.
void wave_write_string(struct slice text, struct buf *out);

// Whether a case of this name must be written with a % before it.
bool wave_is_keyword(struct slice word);

#endif
