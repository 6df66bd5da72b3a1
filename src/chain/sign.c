// SPDX-License-Identifier: Apache-2.0
#include "chain/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

// ---- what is signed ----------------------------------------------------------------------------

void chain_head_write(struct buf *heads, const char *id, uint64_t seq,
                      const uint8_t head[SHA256_BYTES]) {
    cbor_array(heads, 3);
    cbor_text_z(heads, id);
    cbor_uint(heads, seq);
    cbor_bytes(heads, slice_of(head, SHA256_BYTES));
}

// The text keeps the signature from meaning anything elsewhere.
static void message_of(struct buf *out, uint64_t position, uint64_t time_ns, struct slice heads,
                       uint64_t count) {
    cbor_array(out, 4);
    cbor_text_z(out, "theater-signature-1");
    cbor_uint(out, position);
    cbor_uint(out, time_ns);
    cbor_array(out, count);
    cbor_raw(out, heads);
}

static void message_of_one(struct buf *out, const char *id,
                           const struct chain_signature *signature) {
    struct buf heads = {0};
    chain_head_write(&heads, id, signature->seq, signature->head);
    message_of(out, 0, signature->time_ns, buf_slice(&heads), 1);
    buf_release(&heads);
}

void chain_sign(const struct ed25519_key *key, const char *id, struct chain_signature *signature) {
    struct buf message = {0};
    message_of_one(&message, id, signature);
    ed25519_public(key, signature->key);
    ed25519_sign(key, buf_slice(&message), signature->signature);
    buf_release(&message);
}

bool chain_signature_is_good(const char *id, const struct chain_signature *signature) {
    struct buf message = {0};
    message_of_one(&message, id, signature);
    bool is_good = ed25519_verify(signature->key, buf_slice(&message), signature->signature);
    buf_release(&message);
    return is_good;
}

// ---- one signature in a chain file -------------------------------------------------------------

void chain_signature_write(struct buf *out, const struct chain_signature *signature) {
    cbor_uint(out, signature->seq);
    cbor_uint(out, signature->time_ns);
    cbor_bytes(out, slice_of(signature->head, SHA256_BYTES));
    cbor_bytes(out, slice_of(signature->key, ED25519_PUBLIC_BYTES));
    cbor_bytes(out, slice_of(signature->signature, ED25519_SIGNATURE_BYTES));
}

static enum status read_exactly(struct cbor_reader *reader, struct slice *out, size_t size,
                                struct error *error) {
    enum status status = cbor_read_bytes(reader, out, error);
    if (status == OK && out->size != size) {
        return error_set(error, ERR_INVALID, "%zu bytes where %zu belong", out->size, size);
    }
    return status;
}

enum status chain_signature_read(struct cbor_reader *reader, struct chain_signature *signature,
                                 struct error *error) {
    struct slice head;
    struct slice key;
    struct slice bytes;
    enum status status = cbor_read_uint(reader, &signature->seq, error);
    if (status == OK) {
        status = cbor_read_uint(reader, &signature->time_ns, error);
    }
    if (status == OK) {
        status = read_exactly(reader, &head, SHA256_BYTES, error);
    }
    if (status == OK) {
        status = read_exactly(reader, &key, ED25519_PUBLIC_BYTES, error);
    }
    if (status == OK) {
        status = read_exactly(reader, &bytes, ED25519_SIGNATURE_BYTES, error);
    }
    if (status == OK) {
        memcpy(signature->head, head.data, SHA256_BYTES);
        memcpy(signature->key, key.data, ED25519_PUBLIC_BYTES);
        memcpy(signature->signature, bytes.data, ED25519_SIGNATURE_BYTES);
    }
    return status;
}

// ---- items of the file -------------------------------------------------------------------------

static void put_item(struct buf *out, uint64_t position, uint64_t time_ns, struct slice key,
                     struct slice signature, struct slice heads, uint64_t count) {
    cbor_array(out, 5);
    cbor_uint(out, position);
    cbor_uint(out, time_ns);
    cbor_bytes(out, key);
    cbor_bytes(out, signature);
    cbor_array(out, count);
    cbor_raw(out, heads);
}

void chain_sign_heads(const struct ed25519_key *key, uint64_t position, uint64_t time_ns,
                      struct slice heads, uint64_t count, struct buf *out) {
    uint8_t public[ED25519_PUBLIC_BYTES];
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    struct buf message = {0};
    message_of(&message, position, time_ns, heads, count);
    ed25519_public(key, public);
    ed25519_sign(key, buf_slice(&message), signature);
    put_item(out, position, time_ns, slice_of(public, sizeof public),
             slice_of(signature, sizeof signature), heads, count);
    buf_release(&message);
}

void chain_signature_item(const char *id, const struct chain_signature *signature,
                          struct buf *out) {
    struct buf heads = {0};
    chain_head_write(&heads, id, signature->seq, signature->head);
    put_item(out, 0, signature->time_ns, slice_of(signature->key, ED25519_PUBLIC_BYTES),
             slice_of(signature->signature, ED25519_SIGNATURE_BYTES), buf_slice(&heads), 1);
    buf_release(&heads);
}

bool chain_signed_is_good(const struct chain_signed *item) {
    struct buf message = {0};
    message_of(&message, item->position, item->time_ns, item->heads, item->count);
    bool is_good = ed25519_verify(item->key.data, buf_slice(&message), item->signature.data);
    buf_release(&message);
    return is_good;
}

enum status chain_head_read(struct cbor_reader *reader, struct slice *id, uint64_t *seq,
                            struct slice *head, struct error *error) {
    uint64_t count = 0;
    enum status status = cbor_read_array(reader, &count, error);
    if (status == OK && count != 3) {
        return error_set(error, ERR_INVALID, "an array of %" PRIu64 " where 3 belong", count);
    }
    if (status == OK) {
        status = cbor_read_text(reader, id, error);
    }
    if (status == OK) {
        status = cbor_read_uint(reader, seq, error);
    }
    if (status == OK) {
        status = read_exactly(reader, head, SHA256_BYTES, error);
    }
    return status;
}

static enum status read_heads(struct cbor_reader *reader, struct chain_signed *item,
                              struct error *error) {
    enum status status = cbor_read_array(reader, &item->count, error);
    if (status == OK && item->count > CHAIN_HEADS_MOST) {
        return error_set(error, ERR_LIMIT, "%" PRIu64 " heads, more than %d", item->count,
                         CHAIN_HEADS_MOST);
    }
    const uint8_t *start = reader->next;
    for (uint64_t i = 0; status == OK && i < item->count; i++) {
        struct slice id;
        struct slice head;
        uint64_t seq = 0;
        status = chain_head_read(reader, &id, &seq, &head, error);
    }
    item->heads = slice_of(start, (size_t)(reader->next - start));
    return status;
}

static enum status read_item(struct cbor_reader *reader, struct chain_signed *item,
                             struct error *error) {
    uint64_t count = 0;
    enum status status = cbor_read_array(reader, &count, error);
    if (status == OK && count != 5) {
        return error_set(error, ERR_INVALID, "an array of %" PRIu64 " where 5 belong", count);
    }
    if (status == OK) {
        status = cbor_read_uint(reader, &item->position, error);
    }
    if (status == OK) {
        status = cbor_read_uint(reader, &item->time_ns, error);
    }
    if (status == OK) {
        status = read_exactly(reader, &item->key, ED25519_PUBLIC_BYTES, error);
    }
    if (status == OK) {
        status = read_exactly(reader, &item->signature, ED25519_SIGNATURE_BYTES, error);
    }
    return status == OK ? read_heads(reader, item, error) : status;
}

// ---- the file ----------------------------------------------------------------------------------

static char *path_of(const char *log_folder) {
    return file_join(log_folder, "signed/heads");
}

// Whether what could not be read, from `start` on, is an item whose end was not written: it is no
// whole one, and all of it is right up to a part at the end that is shorter than any part of one.
static bool is_unfinished(struct cbor_reader start, struct cbor_reader failed) {
    enum { PART_MOST_BYTES = CBOR_HEAD_MOST_BYTES + CHAIN_ID_MOST_BYTES };
    return failed.end - failed.next < PART_MOST_BYTES && cbor_skip(&start, NULL) != OK;
}

enum status chain_signatures_walk(struct slice content, chain_signed_fn visit, void *context,
                                  uint64_t *end, struct error *error) {
    struct cbor_reader reader = cbor_reader_of(content);
    enum status status = OK;
    uint64_t ignored = 0;
    end = end != NULL ? end : &ignored;
    *end = 0;
    reader.is_strict = true;
    while (status == OK && !cbor_at_end(&reader)) {
        struct cbor_reader start = reader;
        struct chain_signed item = {.offset = *end};
        struct error cause = {0};
        if (read_item(&reader, &item, &cause) != OK) {
            return is_unfinished(start, reader)
                       ? OK
                       : error_set(error, ERR_DAMAGED, "at byte %" PRIu64 ": %s", *end,
                                   cause.message);
        }
        status = visit(context, &item, error);
        *end = (uint64_t)(reader.next - content.data);
    }
    return status;
}

enum status chain_signatures_read(const char *log_folder, struct bytes **out, struct error *error) {
    char *path = path_of(log_folder);
    struct error cause = {0};
    *out = NULL;
    enum status status = file_read(path, CHAIN_SIGNATURE_FILE_MOST_BYTES, out, &cause);
    free(path);
    return status == OK || status == ERR_NOT_FOUND ? OK
                                                   : error_set(error, status, "%s", cause.message);
}

// ---- thinning ----------------------------------------------------------------------------------

struct thinning {
    struct chain_signed *items;
    size_t count;
    size_t capacity;
    struct map later;  // chain and key of the signatures behind; the values mean nothing
};

static enum status note_item(void *context, const struct chain_signed *item, struct error *error) {
    struct thinning *thinning = context;
    (void)error;
    if (thinning->count == thinning->capacity) {
        thinning->capacity = thinning->capacity == 0 ? 64 : 2 * thinning->capacity;
        thinning->items = xrealloc(thinning->items, thinning->capacity * sizeof *thinning->items);
    }
    thinning->items[thinning->count++] = *item;
    return OK;
}

// Whether one of the item's chains has no later signature; all of them have one now.
static bool is_last(struct thinning *thinning, const struct chain_signed *item) {
    struct cbor_reader reader = cbor_reader_of(item->heads);
    struct buf name = {0};
    bool has_last = false;
    for (uint64_t i = 0; i < item->count; i++) {
        struct slice id;
        struct slice head;
        uint64_t seq = 0;
        if (chain_head_read(&reader, &id, &seq, &head, NULL) != OK) {
            has_last = true;  // it was read before: never
            break;
        }
        buf_clear(&name);
        buf_append_slice(&name, item->key);
        buf_append_slice(&name, id);
        has_last |= map_add(&thinning->later, buf_slice(&name), thinning);
    }
    buf_release(&name);
    return has_last;
}

static enum status rewrite(struct thinning *thinning, const char *path, struct error *error) {
    struct buf out = {0};
    for (size_t i = thinning->count; i-- > 0;) {
        thinning->items[i].count =
            is_last(thinning, &thinning->items[i]) ? thinning->items[i].count : 0;
    }
    for (size_t i = 0; i < thinning->count; i++) {
        const struct chain_signed *item = &thinning->items[i];
        if (item->count > 0) {
            put_item(&out, item->position, item->time_ns, item->key, item->signature, item->heads,
                     item->count);
        }
    }
    enum status status = file_write_atomic(path, buf_slice(&out), 0600, error);
    buf_release(&out);
    return status;
}

enum status chain_signatures_thin(const char *log_folder, struct error *error) {
    struct thinning thinning = {0};
    struct bytes *content = NULL;
    char *path = path_of(log_folder);
    enum status status = chain_signatures_read(log_folder, &content, error);
    if (status == OK && content != NULL) {
        uint64_t end = 0;
        status = chain_signatures_walk(bytes_slice(content), note_item, &thinning, &end, error);
        // An unfinished end is cut by the next append, which keeps it aside.
        if (status == OK && end == content->size) {
            status = rewrite(&thinning, path, error);
        }
    }
    bytes_unref(content);
    map_release(&thinning.later);
    free(thinning.items);
    free(path);
    return status;
}

// ---- appending ---------------------------------------------------------------------------------

static enum status pass_item(void *context, const struct chain_signed *item, struct error *error) {
    (void)context;
    (void)item;
    (void)error;
    return OK;
}

// Keeps what a crash left of an item aside, and cuts the file there.
static enum status cut_rest(int file, const char *path, uint64_t end, uint64_t size,
                            struct error *error) {
    struct buf name = {0};
    buf_format(&name, "%s.cut-%" PRIu64, path, env_wall_ns(env_system()));
    struct buf rest = {0};
    size_t want = (size_t)(size - end);
    uint8_t *at = buf_reserve(&rest, want);
    ssize_t got = pread(file, at, want, (off_t)end);
    enum status status = OK;
    if (got < 0 || (size_t)got != want) {
        status = error_set_os(error, got < 0 ? errno : EIO, "cannot read %s", path);
    } else {
        status = file_write_atomic(buf_text(&name), slice_of(at, want), 0600, error);
    }
    if (status == OK && ftruncate(file, (off_t)end) != 0) {
        status = error_set_os(error, errno, "cannot cut %s", path);
    }
    if (status == OK) {
        log_line(LOG_WARNING, "%s ended in an unfinished write; its %zu bytes are in %s", path,
                 want, buf_text(&name));
    }
    buf_release(&rest);
    buf_release(&name);
    return status;
}

static enum status append(int file, const char *path, uint64_t end, struct slice items,
                          bool no_sync, struct error *error) {
    struct stat about;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
        return error_set(error, ERR_INVALID, "%s is not a regular file", path);
    }
    enum status status = (uint64_t)about.st_size > end
                             ? cut_rest(file, path, end, (uint64_t)about.st_size, error)
                             : OK;
    if (status != OK) {
        return status;
    }
    int reason = lseek(file, (off_t)end, SEEK_SET) < 0
                     ? errno
                     : file_write_all(file, items.data, items.size);
    if (reason == 0 && !no_sync && fdatasync(file) != 0) {
        reason = errno;
    }
    if (reason != 0) {
        (void)ftruncate(file, (off_t)end);  // what is left is removed by the next one else
        return error_set_os(error, reason, "cannot write %s", path);
    }
    return OK;
}

enum status chain_signatures_append(const char *log_folder, struct slice items, bool no_sync,
                                    struct error *error) {
    uint64_t end = 0;
    bool is_large = false;
    struct bytes *content = NULL;
    char *path = path_of(log_folder);
    enum status status = chain_signatures_read(log_folder, &content, error);
    if (status == OK) {
        struct error cause = {0};
        status = chain_signatures_walk(bytes_slice(content), pass_item, NULL, &end, &cause);
        status = status == OK ? OK : error_set(error, status, "%s %s", path, cause.message);
        is_large = content != NULL && content->size > CHAIN_SIGNATURES_THIN_BYTES;
        bytes_unref(content);
    }
    if (status == OK) {
        char *folder = file_folder(path);
        status = file_make_folders(folder, 0700, error);
        free(folder);
    }
    if (status != OK) {
        free(path);
        return status;
    }
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (file < 0) {
        status = error_set_os(error, errno, "cannot open %s", path);
    } else {
        status = append(file, path, end, items, no_sync, error);
        close(file);
    }
    free(path);
    return status == OK && is_large ? chain_signatures_thin(log_folder, error) : status;
}
