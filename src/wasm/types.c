// SPDX-License-Identifier: Apache-2.0
// Ids of function types, shared by all modules of the process so that an indirect call between
// instances of different modules compares one number. Types are never removed: there are as many
// as distinct signatures in the code loaded so far.
#include <assert.h>
#include <pthread.h>

#include "base/map.h"
#include "wasm/internal.h"

// `ids_lock` guards `ids`: key = parameters, 0, results; value = id.
static pthread_mutex_t ids_lock = PTHREAD_MUTEX_INITIALIZER;
static struct map ids;

uint32_t wasm_type_id(const struct wasm_func_type *type) {
    struct buf key = {0};
    buf_append(&key, type->params, type->param_count);
    buf_append_byte(&key, 0);
    buf_append(&key, type->results, type->result_count);
    pthread_mutex_lock(&ids_lock);
    uintptr_t id = (uintptr_t)map_get(&ids, buf_slice(&key));
    if (id == 0) {
        id = ids.live_count + 1u;
        bool added = map_add(&ids, buf_slice(&key), (void *)id);
        assert(added);
        (void)added;
    }
    pthread_mutex_unlock(&ids_lock);
    buf_release(&key);
    return (uint32_t)id;
}
