// SPDX-License-Identifier: Apache-2.0
// Component values from the JSON of the suites: {"type", "value"}, where integers and floats (as
// bit patterns) are decimal text, records lists of [name, value], variants {"case", "payload"},
// results {"Ok"} or {"Err"}, options null or a value, flags lists of names.
#ifndef TESTS_CONFORMANCE_RUNNER_VALUES_H
#define TESTS_CONFORMANCE_RUNNER_VALUES_H

#include <jansson.h>

#include "component/component.h"

// False when the JSON is not a value of this type. Texts point into `json`, the rest lies in
// `arena`.
bool value_parse(struct arena *arena, const struct component_type *type, const json_t *json,
                 struct value *out);
// Whether two values of the type are the same; floats by their bits.
bool value_same(const struct component_type *type, const struct value *a, const struct value *b);
// Appends the value for a reader, long ones shortened.
void value_print(const struct component_type *type, const struct value *value, struct buf *out);

#endif
