// SPDX-License-Identifier: Apache-2.0
// Secrets: values that the chain holds as commitments, so that it can be shown, exported and
// verified without giving them away.
//
//   in the chain   tag 29541 (HMAC-SHA256(key, item)), where item is the CBOR of the value
//   beside it      <folder>/<actor id>@<16 hex digits>.cbor, mode 0600, a CBOR sequence:
//                    ["theater-secrets-1", actor id, key]      key: 32 random bytes
//                    [commitment, item]                        as often as there are values
//
// One key and one file for each run of an actor. A replay takes the values from there; without the
// file chains verify as before, and nobody can tell the values.
//
// While a record is written, possibly on a fiber, the commitment is 32 zero bytes and the value
// waits with its place; on the worker, where hashing belongs, the places are filled.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actor/internal.h"
#include "actor/record_read.h"
#include "base/file.h"
#include "base/log.h"
#include "codec/cbor.h"

enum {
    HMAC_BLOCK_BYTES = 64,
    KNOWN_MOST = 4096,  // commitments remembered, so that a value is written once
};

struct secrets {
    uint8_t key[SECRET_KEY_BYTES];
    char *path;        // NULL: plain values are not kept
    struct map known;  // commitments that the file has
};

// In a buffer of secrets; the item follows.
struct place {
    size_t offset;  // of the 32 bytes
    size_t item_bytes;
};

void secret_put(struct buf *out, struct buf *secrets, struct slice plain) {
    static const uint8_t empty[SHA256_BYTES];
    cbor_tag(out, RECORD_SECRET_TAG);
    cbor_bytes(out, slice_of(empty, sizeof empty));
    struct place place = {.offset = out->size - sizeof empty, .item_bytes = plain.size};
    buf_append(secrets, &place, sizeof place);
    buf_append_slice(secrets, plain);
}

bool secret_is_header(struct slice name) {
    static const char *const names[] = {"authorization", "cookie", "proxy-authorization",
                                        "set-cookie"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (slice_equal_any_case(name, names[i])) {
            return true;
        }
    }
    return false;
}

// RFC 2104.
static void commit(const uint8_t key[SECRET_KEY_BYTES], struct slice item,
                   uint8_t out[SHA256_BYTES]) {
    uint8_t inner[HMAC_BLOCK_BYTES], outer[HMAC_BLOCK_BYTES];
    memset(inner, 0x36, sizeof inner);
    memset(outer, 0x5c, sizeof outer);
    for (size_t i = 0; i < SECRET_KEY_BYTES; i++) {
        inner[i] ^= key[i];
        outer[i] ^= key[i];
    }
    uint8_t digest[SHA256_BYTES];
    sha256_pair(slice_of(inner, sizeof inner), item, digest);
    sha256_pair(slice_of(outer, sizeof outer), slice_of(digest, sizeof digest), out);
}

static struct secrets *secrets_of(struct actor *actor) {
    if (actor->secrets != NULL) {
        return actor->secrets;
    }
    struct secrets *secrets = xcalloc(1, sizeof *secrets);
    struct env *env = actor->system->config.env;
    env_random(env, secrets->key, sizeof secrets->key);
    if (actor->system->config.secrets_folder != NULL) {
        uint64_t run = 0;
        struct buf name = {0};
        env_random(env, &run, sizeof run);
        buf_format(&name, "%s@%016llx.cbor", actor_id(actor), (unsigned long long)run);
        secrets->path = file_join(actor->system->config.secrets_folder, buf_text(&name));
        buf_release(&name);
    }
    actor->secrets = secrets;
    return secrets;
}

void secrets_use(struct actor *actor, const uint8_t key[SECRET_KEY_BYTES]) {
    secrets_free(actor->secrets);
    actor->secrets = xcalloc(1, sizeof *actor->secrets);
    memcpy(actor->secrets->key, key, SECRET_KEY_BYTES);
}

void secrets_free(struct secrets *secrets) {
    if (secrets != NULL) {
        explicit_bzero(secrets->key, sizeof secrets->key);
        map_release(&secrets->known);
        free(secrets->path);
        free(secrets);
    }
}

// Appends `items` to the side file, whole or not at all: 0 or errno.
static int append_items(struct actor *actor, const struct secrets *secrets, struct slice items) {
    int file = open(secrets->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat info;
    if (file < 0) {
        return errno;
    }
    int code = fstat(file, &info) != 0 ? errno : 0;
    struct buf text = {0};
    if (code == 0 && info.st_size == 0) {
        cbor_array(&text, 3);
        cbor_text_z(&text, "theater-secrets-1");
        cbor_text_z(&text, actor_id(actor));
        cbor_bytes(&text, slice_of(secrets->key, sizeof secrets->key));
    }
    buf_append_slice(&text, items);
    code = code != 0 ? code : file_write_all(file, text.data, text.size);
    if (code != 0 && ftruncate(file, info.st_size) != 0) {
        log_line(LOG_ERROR, "%s ends in a part of a value", secrets->path);
    }
    explicit_bzero(text.data, text.size);
    buf_release(&text);
    close(file);
    return code;
}

bool secrets_seal(struct actor *actor, struct buf *out, struct buf *pending) {
    if (pending->size == 0) {
        return true;
    }
    struct secrets *secrets = secrets_of(actor);
    if (secrets->known.live_count >= KNOWN_MOST) {
        map_release(&secrets->known);
    }
    struct buf items = {0};
    for (size_t at = 0; at < pending->size;) {
        struct place place;
        memcpy(&place, pending->data + at, sizeof place);
        at += sizeof place;
        struct slice item = slice_of(pending->data + at, place.item_bytes);
        at += place.item_bytes;
        uint8_t *commitment = out->data + place.offset;
        commit(secrets->key, item, commitment);
        if (secrets->path != NULL &&
            map_add(&secrets->known, slice_of(commitment, SHA256_BYTES), secrets)) {
            cbor_array(&items, 2);
            cbor_bytes(&items, slice_of(commitment, SHA256_BYTES));
            cbor_raw(&items, item);
        }
    }
    explicit_bzero(pending->data, pending->size);
    buf_clear(pending);
    int code = items.size > 0 ? append_items(actor, secrets, buf_slice(&items)) : 0;
    if (items.size > 0) {
        explicit_bzero(items.data, items.size);
    }
    buf_release(&items);
    if (code != 0) {
        // What was not kept is tried again.
        map_release(&secrets->known);
        log_line(LOG_ERROR, "actor %s: cannot keep its secrets in %s: %s", actor_id(actor),
                 secrets->path, strerror(code));
    }
    return code == 0;
}
