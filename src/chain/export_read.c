// SPDX-License-Identifier: Apache-2.0
// Reading chain files, which may come from anywhere: nothing in them is believed before it was
// compared, and no length before the file is known to hold as much.
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "chain/export.h"
#include "chain/export_file.h"
#include "chain/format.h"
#include "chain/scan.h"
#include "codec/cbor.h"

enum {
    WINDOW_BYTES = 256 << 10,
    SMALL_BYTES = 512,  // an item without its long string, with room to spare
    BYTES_MAJOR = 2,
    ARRAY_MAJOR = 4,
};

// Where a content lies in the file.
struct file_content {
    uint64_t offset;
    uint64_t bytes;
};

struct chain_file {
    char *path;
    int descriptor;
    uint64_t file_bytes;
    struct chain_file_header header;
    struct chain_file_tally tally;
    uint8_t digest[SHA256_BYTES];  // of the contents so far
    bool is_ended;                 // the last item was read

    // The window: window.data[at] is the file's byte at `offset`.
    struct buf window;
    size_t at;
    uint64_t offset;

    struct buf body;      // of the event given last: parent hash and event bytes
    struct map contents;  // struct file_content *
    struct map missing;   // the values mean nothing
    chain_file_signature_fn on_signature;
    void *signature_context;
    // What was wrong, once something was.
    uint64_t bad_offset;
    char reason[256];
};

// ---- bytes -------------------------------------------------------------------------------------

static enum status bad(struct chain_file *file, struct error *error, const char *format, ...)
    PRINTF_LIKE(3, 4);
static enum status bad(struct chain_file *file, struct error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(file->reason, sizeof file->reason, format, arguments);
    va_end(arguments);
    file->bad_offset = file->offset;
    return error_set(error, ERR_DAMAGED, "%s at byte %" PRIu64 ": %s", file->path, file->offset,
                     file->reason);
}

// Makes `size` bytes from file->at on available, or as many as the file has; *got says how many.
static enum status fill(struct chain_file *file, size_t size, size_t *got, struct error *error) {
    size_t held = file->window.size - file->at;
    if (held < size) {
        if (held > 0) {
            memmove(file->window.data, file->window.data + file->at, held);
        }
        file->window.size = held;
        file->at = 0;
        size_t want = (size > WINDOW_BYTES ? size : WINDOW_BYTES) - held;
        uint8_t *into = buf_reserve(&file->window, want);
        size_t more = 0;
        struct error cause = {0};
        if (read_at(file->descriptor, file->offset + held, into, want, &more, &cause) != OK) {
            return error_set(error, cause.code, "%s: %s", file->path, cause.message);
        }
        file->window.size += more;
        held += more;
    }
    *got = held < size ? held : size;
    return OK;
}

static void pass(struct chain_file *file, size_t size) {
    assert(size <= file->window.size - file->at);
    file->at += size;
    file->offset += size;
}

// Reads the head of a byte string in `reader` and says how long the string is; the file holds it.
static enum status string_head(struct chain_file *file, struct cbor_reader *reader,
                               uint64_t limit_bytes, uint64_t *size, struct error *error) {
    const uint8_t *at = reader->next;
    size_t left = (size_t)(reader->end - at);
    unsigned info = left == 0 ? 0 : at[0] & 31U;
    size_t more = info < 24 ? 0 : info < 28 ? (size_t)1 << (info - 24) : left;
    if (left == 0 || at[0] >> 5 != BYTES_MAJOR || more >= left) {
        return bad(file, error, "a byte string belongs here");
    }
    uint64_t value = info < 24 ? info : 0;
    for (size_t i = 1; i <= more; i++) {
        value = value << 8 | at[i];
    }
    if (cbor_head_bytes(value) != 1 + more) {
        return bad(file, error, "a length is not in its shortest encoding");
    }
    uint64_t before = (uint64_t)(at - (file->window.data + file->at)) + 1 + more;
    if (value > limit_bytes) {
        return bad(file, error, "%" PRIu64 " bytes where at most %" PRIu64 " may stand", value,
                   limit_bytes);
    }
    if (file->offset + before + value > file->file_bytes) {
        return bad(file, error, "the file ends within this item");
    }
    reader->next = at + 1 + more;
    *size = value;
    return OK;
}

// ---- items -------------------------------------------------------------------------------------

// `item` is the event's hash and its bytes.
static enum status take_event(struct chain_file *file, struct slice item, struct chain_event *event,
                              struct error *error) {
    struct chain_file_tally *tally = &file->tally;
    struct error cause = {0};
    if (item.size < SHA256_BYTES) {
        return bad(file, error, "event %" PRIu64 " has no hash", tally->next_seq);
    }
    struct slice bytes = slice_of(item.data + SHA256_BYTES, item.size - SHA256_BYTES);
    buf_clear(&file->body);
    buf_append(&file->body, tally->head, SHA256_BYTES);
    buf_append_slice(&file->body, bytes);
    uint64_t seq = tally->next_seq;
    event->id = file->header.id;
    event->position = NO_POSITION;
    if (event_decode(buf_slice(&file->body), event, &cause) != OK ||
        cbor_check(event->bytes, true, &cause) != OK) {
        return bad(file, error, "event %" PRIu64 ": %.200s", seq, cause.message);
    }
    if (event->seq != seq) {
        return bad(file, error, "event %" PRIu64 " where event %" PRIu64 " belongs", event->seq,
                   seq);
    }
    if (event->time_ns < tally->last_time_ns) {
        return bad(file, error, "event %" PRIu64 ": its time is before that of the event before",
                   seq);
    }
    if (memchr(event->type.data, '\0', event->type.size) != NULL) {
        return bad(file, error, "event %" PRIu64 ": its type holds a NUL", seq);
    }
    if (seq == 0 && !holds_nonce(event->data, file->header.nonce)) {
        return bad(file, error, "event 0 does not hold the nonce of the chain");
    }
    event_hash(buf_slice(&file->body), event->hash);
    if (memcmp(event->hash, item.data, SHA256_BYTES) != 0) {
        return bad(file, error,
                   "event %" PRIu64 ": its hash is not that of its parent and its bytes", seq);
    }
    memcpy(tally->head, event->hash, SHA256_BYTES);
    tally->last_time_ns = event->time_ns;
    tally->next_seq++;
    tally->events++;
    return OK;
}

static enum status read_hash(struct chain_file *file, struct cbor_reader *reader,
                             struct slice *hash, struct error *error) {
    if (cbor_read_bytes(reader, hash, NULL) != OK || hash->size != SHA256_BYTES) {
        return bad(file, error, "a hash of 32 bytes belongs here");
    }
    return OK;
}

static bool is_known(const struct chain_file *file, struct slice hash) {
    return map_get(&file->contents, hash) != NULL || map_get(&file->missing, hash) != NULL;
}

static enum status take_content(struct chain_file *file, struct cbor_reader reader,
                                struct error *error) {
    struct slice hash;
    uint64_t size = 0;
    enum status status = read_hash(file, &reader, &hash, error);
    if (status == OK) {
        status = string_head(file, &reader, CHAIN_CONTENT_MOST_BYTES, &size, error);
    }
    if (status != OK) {
        return status;
    }
    size_t before = (size_t)(reader.next - (file->window.data + file->at));
    uint8_t key[SHA256_BYTES];
    memcpy(key, hash.data, SHA256_BYTES);  // filling may move the window
    size_t got = 0;
    status = fill(file, before + (size_t)size, &got, error);
    if (status != OK) {
        return status;
    }
    if (got < before + size) {
        return bad(file, error, "the file ends within this item");
    }
    uint8_t actual[SHA256_BYTES];
    sha256(slice_of(file->window.data + file->at + before, (size_t)size), actual);
    char name[SHA256_TEXT_BYTES];
    sha256_text(key, name);
    if (memcmp(actual, key, SHA256_BYTES) != 0) {
        return bad(file, error, "the content %s has another hash", name);
    }
    if (is_known(file, slice_of(key, SHA256_BYTES))) {
        return bad(file, error, "the content %s a second time", name);
    }
    struct file_content *content = xmalloc(sizeof *content);
    *content = (struct file_content){.offset = file->offset + before, .bytes = size};
    (void)map_add(&file->contents, slice_of(key, SHA256_BYTES), content);
    chain_file_digest(file->digest, FILE_CONTENT, key);
    file->tally.contents++;
    pass(file, before + (size_t)size);
    return OK;
}

static enum status take_missing(struct chain_file *file, struct cbor_reader *reader,
                                struct error *error) {
    struct slice hash;
    enum status status = read_hash(file, reader, &hash, error);
    if (status == OK && is_known(file, hash)) {
        return bad(file, error, "a missing content a second time");
    }
    if (status == OK) {
        (void)map_add(&file->missing, hash, file);
        chain_file_digest(file->digest, FILE_MISSING, hash.data);
        file->tally.missing++;
    }
    return status;
}

static enum status take_signature(struct chain_file *file, struct cbor_reader *reader,
                                  struct error *error) {
    struct chain_signature signature;
    struct error cause = {0};
    const struct chain_file_tally *tally = &file->tally;
    if (chain_signature_read(reader, &signature, &cause) != OK) {
        return bad(file, error, "signature: %.200s", cause.message);
    }
    if (tally->events == 0 || signature.seq != tally->next_seq - 1 ||
        memcmp(signature.head, tally->head, SHA256_BYTES) != 0) {
        return bad(file, error,
                   "a signature of event %" PRIu64 " that is not of the event before it",
                   signature.seq);
    }
    if (!chain_signature_is_good(file->header.id, &signature)) {
        return bad(file, error, "event %" PRIu64 ": the signature is wrong", signature.seq);
    }
    file->tally.signatures++;
    file->tally.last_signature = signature;
    return file->on_signature == NULL
               ? OK
               : file->on_signature(file->signature_context, &signature, error);
}

static enum status take_end(struct chain_file *file, struct cbor_reader *reader,
                            struct error *error) {
    uint64_t events = 0;
    struct slice head;
    struct slice digest;
    const struct chain_file_tally *tally = &file->tally;
    if (cbor_read_uint(reader, &events, NULL) != OK || cbor_read_bytes(reader, &head, NULL) != OK ||
        cbor_read_bytes(reader, &digest, NULL) != OK || events == 0 || events != tally->events ||
        !slice_equal(head, slice_of(tally->head, SHA256_BYTES)) ||
        !slice_equal(digest, slice_of(file->digest, SHA256_BYTES))) {
        return bad(file, error, "the end does not say what the file holds");
    }
    file->is_ended = true;
    return OK;
}

// An item in an array; everything but a content fits into SMALL_BYTES.
static enum status take_array(struct chain_file *file, size_t got, struct error *error) {
    static const uint64_t counts[] = {
        [FILE_END] = 4, [FILE_CONTENT] = 3, [FILE_MISSING] = 2, [FILE_SIGNATURE] = 6};
    struct cbor_reader reader = cbor_reader_of(slice_of(file->window.data + file->at, got));
    reader.is_strict = true;
    uint64_t kind = UINT64_MAX;
    uint64_t count = 0;
    if (cbor_read_array(&reader, &count, NULL) != OK ||
        cbor_read_uint(&reader, &kind, NULL) != OK || kind >= COUNT_OF(counts) ||
        count != counts[kind]) {
        return bad(
            file, error,
            got < 3 ? "the file ends within this item" : "an item that chain files do not have");
    }
    enum status status = OK;
    switch ((enum chain_file_item)kind) {
        case FILE_CONTENT:
            return take_content(file, reader, error);
        case FILE_MISSING:
            status = take_missing(file, &reader, error);
            break;
        case FILE_SIGNATURE:
            status = take_signature(file, &reader, error);
            break;
        case FILE_END:
            status = take_end(file, &reader, error);
            break;
    }
    if (status == OK) {
        pass(file, (size_t)(reader.next - (file->window.data + file->at)));
    }
    return status;
}

static enum status read_event(struct chain_file *file, size_t got, struct chain_event *event,
                              struct error *error) {
    struct cbor_reader reader = cbor_reader_of(slice_of(file->window.data + file->at, got));
    uint64_t size = 0;
    enum status status =
        string_head(file, &reader, CHAIN_DATA_MOST_BYTES + EVENT_PREFIX_MOST_BYTES, &size, error);
    if (status != OK) {
        return status;
    }
    size_t before = (size_t)(reader.next - (file->window.data + file->at));
    status = fill(file, before + (size_t)size, &got, error);
    if (status == OK && got < before + size) {
        status = bad(file, error, "the file ends within this item");
    }
    if (status == OK) {
        struct slice item = slice_of(file->window.data + file->at + before, (size_t)size);
        status = take_event(file, item, event, error);
    }
    if (status == OK) {
        pass(file, before + (size_t)size);
    }
    return status;
}

enum status chain_file_next(struct chain_file *file, struct chain_event *event, bool *more,
                            struct error *error) {
    *more = false;
    while (!file->is_ended) {
        size_t got = 0;
        enum status status = fill(file, SMALL_BYTES, &got, error);
        if (status != OK) {
            return status;
        }
        if (got == 0) {
            return bad(file, error, "the file ends without its last item: it is not whole");
        }
        unsigned major = file->window.data[file->at] >> 5;
        if (major == BYTES_MAJOR) {
            *more = true;
            status = read_event(file, got, event, error);
            *more = status == OK;
            return status;
        }
        status = major == ARRAY_MAJOR ? take_array(file, got, error)
                                      : bad(file, error, "an item that chain files do not have");
        if (status != OK) {
            return status;
        }
    }
    return file->offset == file->file_bytes ? OK : bad(file, error, "bytes behind the last item");
}

// ---- opening -----------------------------------------------------------------------------------

static enum status read_header(struct chain_file *file, struct error *error) {
    size_t got = 0;
    enum status status = fill(file, SMALL_BYTES, &got, error);
    if (status != OK) {
        return status;
    }
    struct chain_file_header *header = &file->header;
    struct cbor_reader reader = cbor_reader_of(slice_of(file->window.data, got));
    reader.is_strict = true;
    struct slice label;
    struct slice id;
    struct slice nonce;
    struct slice parent;
    uint64_t count = 0;
    if (cbor_read_array(&reader, &count, NULL) != OK || count != 5 ||
        cbor_read_text(&reader, &label, NULL) != OK || !slice_equal_text(label, CHAIN_FILE_LABEL)) {
        return error_set(error, ERR_INVALID, "%s is no chain file", file->path);
    }
    if (cbor_read_text(&reader, &id, NULL) != OK || !is_chain_id((const char *)id.data, id.size) ||
        cbor_read_bytes(&reader, &nonce, NULL) != OK || nonce.size != CHAIN_NONCE_BYTES ||
        cbor_read_uint(&reader, &header->first, NULL) != OK ||
        cbor_read_bytes(&reader, &parent, NULL) != OK || parent.size != SHA256_BYTES) {
        return bad(file, error, "the first item does not say which chain this is");
    }
    memcpy(header->id, id.data, id.size);
    memcpy(header->nonce, nonce.data, CHAIN_NONCE_BYTES);
    memcpy(header->parent, parent.data, SHA256_BYTES);
    uint8_t genesis[SHA256_BYTES];
    genesis_parent(header->id, header->nonce, genesis);
    if (header->first == 0 && memcmp(genesis, header->parent, SHA256_BYTES) != 0) {
        return bad(file, error, "the parent hash is not the beginning of this chain");
    }
    memcpy(file->tally.head, header->parent, SHA256_BYTES);
    file->tally.next_seq = header->first;
    pass(file, (size_t)(reader.next - file->window.data));
    return OK;
}

// Opens a regular file and never waits for one that is not.
static int open_regular(const char *path, uint64_t *size, struct error *error) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat about;
    if (descriptor < 0 || fstat(descriptor, &about) != 0) {
        (void)error_set_os(error, errno, "cannot open %s", path);
    } else if (!S_ISREG(about.st_mode)) {
        (void)error_set(error, ERR_INVALID, "%s is not a regular file", path);
    } else {
        *size = (uint64_t)about.st_size;
        return descriptor;
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    return -1;
}

static enum status open_file(const char *path, struct chain_file **out, struct error *error) {
    struct error cause = {0};
    uint64_t size = 0;
    int descriptor = open_regular(path, &size, &cause);
    if (descriptor < 0) {
        return error_set(error, cause.code, "%s", cause.message);
    }
    struct chain_file *file = xcalloc(1, sizeof *file);
    file->path = xstrdup(path);
    file->descriptor = descriptor;
    file->file_bytes = size;
    *out = file;
    return read_header(file, error);
}

enum status chain_file_open(const char *path, struct chain_file **out, struct error *error) {
    struct chain_file *file = NULL;
    enum status status = open_file(path, &file, error);
    if (status == OK) {
        *out = file;
    } else {
        chain_file_close(file);
    }
    return status;
}

void chain_file_close(struct chain_file *file) {
    if (file == NULL) {
        return;
    }
    uint32_t cursor = 0;
    struct map_entry *entry = NULL;
    while ((entry = map_next(&file->contents, &cursor)) != NULL) {
        free(entry->value);
    }
    map_release(&file->contents);
    map_release(&file->missing);
    buf_release(&file->window);
    buf_release(&file->body);
    close(file->descriptor);
    free(file->path);
    free(file);
}

const struct chain_file_header *chain_file_header(const struct chain_file *file) {
    return &file->header;
}

const struct chain_file_tally *chain_file_tally(const struct chain_file *file) {
    return &file->tally;
}

void chain_file_on_signature(struct chain_file *file, chain_file_signature_fn visit,
                             void *context) {
    file->on_signature = visit;
    file->signature_context = context;
}

bool chain_file_is_one(const char *path) {
    struct chain_file *file = NULL;
    struct error error = {0};
    enum status status = chain_file_open(path, &file, &error);
    if (status == OK) {
        chain_file_close(file);
    }
    return status == OK || status == ERR_DAMAGED;
}

// ---- contents ----------------------------------------------------------------------------------

enum status chain_file_content(struct chain_file *file, const uint8_t hash[SHA256_BYTES],
                               uint64_t limit_bytes, struct bytes **out, struct error *error) {
    char name[SHA256_TEXT_BYTES];
    sha256_text(hash, name);
    const struct file_content *content = map_get(&file->contents, slice_of(hash, SHA256_BYTES));
    if (content == NULL) {
        return error_set(error, ERR_NOT_FOUND, "%s does not hold the content %s", file->path, name);
    }
    if (content->bytes > limit_bytes) {
        return error_set(error, ERR_LIMIT,
                         "the content %s has %" PRIu64 " bytes, more than %" PRIu64, name,
                         content->bytes, limit_bytes);
    }
    struct bytes *bytes = bytes_new((size_t)content->bytes);
    size_t got = 0;
    enum status status = read_at(file->descriptor, content->offset, bytes->data,
                                 (size_t)content->bytes, &got, error);
    uint8_t actual[SHA256_BYTES];
    sha256(slice_of(bytes->data, got), actual);
    if (status == OK && memcmp(actual, hash, SHA256_BYTES) != 0) {
        status = error_set(error, ERR_DAMAGED, "%s was changed while it was read", file->path);
    }
    if (status != OK) {
        bytes_unref(bytes);
        return status;
    }
    *out = bytes;
    return OK;
}

enum status chain_file_visit_contents(struct chain_file *file, chain_file_content_fn visit,
                                      void *context, struct error *error) {
    enum status status = OK;
    uint32_t cursor = 0;
    struct map_entry *entry = NULL;
    while (status == OK && (entry = map_next(&file->contents, &cursor)) != NULL) {
        status = visit(context, entry->key.data, error);
    }
    return status;
}

// ---- verifying ---------------------------------------------------------------------------------

static void take_verdict(const struct chain_file *file, struct chain_verdict *verdict) {
    const char *slash = strrchr(file->path, '/');
    verdict->is_good = false;
    verdict->seq = file->tally.next_seq;
    verdict->offset = file->bad_offset;
    (void)snprintf(verdict->segment, sizeof verdict->segment, "%.63s",
                   slash != NULL ? slash + 1 : file->path);
    (void)snprintf(verdict->reason, sizeof verdict->reason, "%s", file->reason);
}

enum status chain_file_verify(const char *path, struct chain_verdict *verdict,
                              struct chain_file_tally *tally, struct error *error) {
    *verdict = (struct chain_verdict){.is_good = true, .seq = UINT64_MAX, .chains = 1};
    struct chain_file *file = NULL;
    struct error cause = {0};
    enum status status = open_file(path, &file, &cause);
    bool more = status == OK;
    while (more && status == OK) {
        struct chain_event event;
        status = chain_file_next(file, &event, &more, &cause);
    }
    if (file != NULL) {
        (void)snprintf(verdict->actor, sizeof verdict->actor, "%s", file->header.id);
        verdict->events = file->tally.events;
        if (status == ERR_DAMAGED) {
            take_verdict(file, verdict);
            status = OK;
        }
        if (tally != NULL) {
            *tally = file->tally;
        }
        chain_file_close(file);
    }
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}
