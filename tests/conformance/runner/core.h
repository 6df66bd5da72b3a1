// SPDX-License-Identifier: Apache-2.0
// The host module of the core suites.
#ifndef TESTS_CONFORMANCE_RUNNER_CORE_H
#define TESTS_CONFORMANCE_RUNNER_CORE_H

#include "base/bytes.h"
#include "wasm/wasm.h"

// The function of "spectest" with this name, or NULL. They do nothing. Static storage.
const struct wasm_func *spectest_function(struct slice name);
// The module that holds its memory, table and globals.
#define SPECTEST_PATH SOURCE_FOLDER "/tests/conformance/runner/spectest.wasm"

#endif
