// SPDX-License-Identifier: Apache-2.0
#include "store/pack_file.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/crc32c.h"

enum {
    VERSION = 1,
    KIND_CONTENT = 1,
    KIND_INDEX = 2,
    INDEX_ENTRY_BYTES = SHA256_BYTES + 8 + 8,
    TRAILER_BYTES = 16,
};

static const uint8_t magic[8] = {'T', 'H', 'p', 'a', 'c', 'k', 's', '\n'};
static const uint8_t index_magic[8] = {'T', 'H', 'i', 'n', 'd', 'e', 'x', 'd'};

static void put_u32(uint8_t *at, uint32_t value) {
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static void put_u64(uint8_t *at, uint64_t value) {
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint32_t get_u32(const uint8_t *at) {
    uint32_t value = 0;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint64_t get_u64(const uint8_t *at) {
    uint64_t value = 0;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

void pack_entries_add(struct pack_entries *entries, const struct pack_entry *entry) {
    if (entries->count == entries->capacity) {
        entries->capacity = entries->capacity == 0 ? 256 : entries->capacity * 2;
        entries->items = xrealloc(entries->items, entries->capacity * sizeof *entries->items);
    }
    entries->items[entries->count++] = *entry;
}

void pack_entries_release(struct pack_entries *entries) {
    free(entries->items);
    *entries = (struct pack_entries){0};
}

// ---- writing
// ---------------------------------------------------------------------------------------

int pack_write_at(int file, const void *data, size_t size, uint64_t offset) {
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t put = pwrite(file, at, size, (off_t)offset);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return put < 0 ? errno : EIO;
        }
        at += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

int pack_write_start(int file, uint32_t number) {
    uint8_t start[PACK_START];
    memcpy(start, magic, sizeof magic);
    put_u32(start + 8, VERSION);
    put_u32(start + 12, number);
    return pack_write_at(file, start, sizeof start, 0);
}

static void write_header(uint8_t out[PACK_RECORD_BYTES], uint32_t kind, uint64_t bytes,
                         const uint8_t hash[SHA256_BYTES]) {
    put_u32(out + 4, kind);
    put_u64(out + 8, bytes);
    memcpy(out + 16, hash, SHA256_BYTES);
    put_u32(out, crc32c(0, slice_of(out + 4, PACK_RECORD_BYTES - 4)));
}

void pack_content_header(uint8_t out[PACK_RECORD_BYTES], struct slice content,
                         const uint8_t hash[SHA256_BYTES]) {
    write_header(out, KIND_CONTENT, content.size, hash);
}

int pack_write_index(int file, uint64_t offset, const struct pack_entries *entries, uint64_t *end) {
    size_t bytes = entries->count * INDEX_ENTRY_BYTES + TRAILER_BYTES;
    uint8_t *record = xmalloc(PACK_RECORD_BYTES + bytes);
    uint8_t *at = record + PACK_RECORD_BYTES;
    for (size_t i = 0; i < entries->count; i++, at += INDEX_ENTRY_BYTES) {
        memcpy(at, entries->items[i].hash, SHA256_BYTES);
        put_u64(at + SHA256_BYTES, entries->items[i].offset);
        put_u64(at + SHA256_BYTES + 8, entries->items[i].bytes);
    }
    put_u64(at, offset);
    memcpy(at + 8, index_magic, sizeof index_magic);
    uint8_t hash[SHA256_BYTES];
    sha256(slice_of(record + PACK_RECORD_BYTES, bytes), hash);
    write_header(record, KIND_INDEX, bytes, hash);
    int code = pack_write_at(file, record, PACK_RECORD_BYTES + bytes, offset);
    free(record);
    *end = offset + PACK_RECORD_BYTES + bytes;
    return code;
}

// ---- reading
// ---------------------------------------------------------------------------------------

// All of `size` bytes; false with errno, 0 when the file ends before.
static bool read_at(int file, void *out, size_t size, uint64_t offset) {
    uint8_t *at = out;
    while (size > 0) {
        ssize_t got = pread(file, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got == 0 ? 0 : errno;
            return false;
        }
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    errno = 0;
    return true;
}

struct record {
    uint32_t kind;
    uint64_t bytes;
    uint8_t hash[SHA256_BYTES];
};

// False unless there is an intact header whose data ends within `size` bytes of the file.
static bool read_header(int file, uint64_t offset, uint64_t size, struct record *out) {
    uint8_t header[PACK_RECORD_BYTES];
    errno = 0;
    if (offset > size || size - offset < sizeof header ||
        !read_at(file, header, sizeof header, offset) ||
        get_u32(header) != crc32c(0, slice_of(header + 4, sizeof header - 4))) {
        return false;
    }
    out->kind = get_u32(header + 4);
    out->bytes = get_u64(header + 8);
    memcpy(out->hash, header + 16, SHA256_BYTES);
    return (out->kind == KIND_CONTENT || out->kind == KIND_INDEX) &&
           out->bytes <= size - offset - sizeof header;
}

// Gives the data of a record whose header was read; NULL with errno, 0 when it has another hash.
static struct bytes *read_data(int file, uint64_t offset, const struct record *record) {
    struct bytes *data = bytes_new((size_t)record->bytes);
    uint8_t actual[SHA256_BYTES];
    bool good = read_at(file, data->data, data->size, offset + PACK_RECORD_BYTES);
    if (good) {
        sha256(bytes_slice(data), actual);
        good = memcmp(actual, record->hash, SHA256_BYTES) == 0;
        errno = 0;
    }
    if (!good) {
        bytes_unref(data);
        return NULL;
    }
    return data;
}

static bool file_bytes(int file, uint64_t *size) {
    struct stat info;
    if (fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
        return false;
    }
    *size = (uint64_t)info.st_size;
    return true;
}

// Adds the entries of an index, all of which must lie before it.
static bool take_index(struct slice data, uint64_t offset, struct pack_entries *entries) {
    size_t count = (data.size - TRAILER_BYTES) / INDEX_ENTRY_BYTES;
    size_t before = entries->count;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = data.data + i * INDEX_ENTRY_BYTES;
        struct pack_entry entry = {.offset = get_u64(at + SHA256_BYTES),
                                   .bytes = get_u64(at + SHA256_BYTES + 8)};
        memcpy(entry.hash, at, SHA256_BYTES);
        if (entry.offset > offset || offset - entry.offset < PACK_RECORD_BYTES ||
            entry.bytes > offset - entry.offset - PACK_RECORD_BYTES) {
            entries->count = before;
            return false;
        }
        pack_entries_add(entries, &entry);
    }
    return true;
}

// Whether `offset` lies within a record, as far as headers can be read.
static bool is_within_record(int file, uint64_t offset, uint64_t size) {
    struct record record;
    uint64_t at = PACK_START;
    while (at < offset && read_header(file, at, size, &record)) {
        at += PACK_RECORD_BYTES + record.bytes;
    }
    return at > offset;
}

bool pack_read_index(int file, bool is_walked, struct pack_entries *entries) {
    uint64_t size = 0;
    uint8_t trailer[TRAILER_BYTES];
    struct record record;
    if (!file_bytes(file, &size) || size < PACK_START + PACK_RECORD_BYTES + TRAILER_BYTES ||
        !read_at(file, trailer, sizeof trailer, size - sizeof trailer) ||
        memcmp(trailer + 8, index_magic, sizeof index_magic) != 0) {
        return false;
    }
    uint64_t offset = get_u64(trailer);
    if (!read_header(file, offset, size, &record) || record.kind != KIND_INDEX ||
        offset + PACK_RECORD_BYTES + record.bytes != size || record.bytes < TRAILER_BYTES ||
        (record.bytes - TRAILER_BYTES) % INDEX_ENTRY_BYTES != 0 ||
        (is_walked && is_within_record(file, offset, size))) {
        return false;
    }
    struct bytes *data = read_data(file, offset, &record);
    bool good = data != NULL && take_index(bytes_slice(data), offset, entries);
    bytes_unref(data);
    return good;
}

enum status pack_scan(int file, uint32_t number, bool is_checked, struct pack_entries *entries,
                      uint64_t *end, bool *is_clean, struct error *error) {
    uint64_t size = 0;
    uint8_t start[PACK_START];
    errno = 0;
    if (!file_bytes(file, &size)) {
        return error_set_os(error, errno != 0 ? errno : EINVAL, "pack %u cannot be read", number);
    }
    // A crash may have come before the first bytes.
    *end = 0;
    *is_clean = false;
    if (size < sizeof start) {
        return OK;
    }
    if (!read_at(file, start, sizeof start, 0)) {
        return error_set_os(error, errno, "pack %u cannot be read", number);
    }
    if (memcmp(start, magic, sizeof magic) != 0 || get_u32(start + 8) != VERSION ||
        get_u32(start + 12) != number) {
        return error_set(error, ERR_DAMAGED, "pack %u of the store is damaged: not its header",
                         number);
    }
    uint64_t at = sizeof start;
    struct record record;
    bool is_whole = true;
    while (read_header(file, at, size, &record)) {
        struct bytes *data =
            record.kind == KIND_CONTENT && is_checked ? read_data(file, at, &record) : NULL;
        if (record.kind == KIND_CONTENT && (data != NULL || !is_checked)) {
            struct pack_entry entry = {.offset = at, .bytes = record.bytes};
            memcpy(entry.hash, record.hash, SHA256_BYTES);
            pack_entries_add(entries, &entry);
        } else if (record.kind == KIND_CONTENT) {
            is_whole = false;
        }
        bytes_unref(data);
        at += PACK_RECORD_BYTES + record.bytes;
    }
    *end = at;
    *is_clean = is_whole && at == size;
    return OK;
}

enum status pack_read_content(int file, const struct pack_entry *entry, struct bytes **out,
                              struct error *error) {
    uint64_t size = 0;
    struct record record;
    struct bytes *data = NULL;
    errno = 0;
    if (file_bytes(file, &size) && read_header(file, entry->offset, size, &record) &&
        record.kind == KIND_CONTENT && memcmp(record.hash, entry->hash, SHA256_BYTES) == 0) {
        data = read_data(file, entry->offset, &record);
    }
    if (data != NULL) {
        *out = data;
        return OK;
    }
    if (errno != 0) {
        return error_set_os(error, errno, "the store cannot be read");
    }
    char text[SHA256_TEXT_BYTES];
    sha256_text(entry->hash, text);
    return error_set(error, ERR_DAMAGED, "content %s is damaged: its bytes have another hash",
                     text);
}
