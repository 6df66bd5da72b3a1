// SPDX-License-Identifier: Apache-2.0
#include "node/reference.h"

static enum status read_store(void *context, const struct manifest_asker *asker,
                              const char *reference, uint64_t limit_bytes, struct bytes **out,
                              struct error *error) {
    if (asker->permissions != NULL && !asker->permissions->allowed[PERMISSION_STORE]) {
        return error_set(error, ERR_DENIED, "permission denied: the store is not permitted");
    }
    return store_read_reference(context, asker->actor, reference, limit_bytes, out, error);
}

struct manifest_scheme node_store_scheme(struct store *store) {
    return (struct manifest_scheme){.prefix = "store://", .context = store, .read = read_store};
}
