// SPDX-License-Identifier: Apache-2.0
// The side files of secrets, read for a replay:
//
//   <folder>/<actor id>@<16 hexadecimal digits>.cbor      one for each run that had any
//     ["theater-secrets-1", actor id, key]
//     [commitment, item] …
//
// A file that a crash left ends in a part of an item, and is read up to there.
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "actor/record_read.h"
#include "base/file.h"
#include "base/log.h"
#include "replay/internal.h"

enum { KEY_BYTES = 32, DIGITS = 16 };
#define FILE_MOST_BYTES (UINT64_C(1) << 30)

struct plain_value {
    struct slice item;
    const uint8_t *key;
};

static bool is_file_of(const char *name, const char *id) {
    size_t size = strlen(id);
    if (strncmp(name, id, size) != 0 || name[size] != '@') {
        return false;
    }
    const char *digits = name + size + 1;
    return strspn(digits, "0123456789abcdef") == DIGITS && strcmp(digits + DIGITS, ".cbor") == 0;
}

// The head of a file; gives its key.
static bool read_head(struct cbor_reader *reader, const char *id, const uint8_t **key) {
    uint64_t count = 0;
    struct slice magic, actor, bytes;
    bool is_good = cbor_read_array(reader, &count, NULL) == OK && count == 3 &&
                   cbor_read_text(reader, &magic, NULL) == OK &&
                   slice_equal_text(magic, "theater-secrets-1") &&
                   cbor_read_text(reader, &actor, NULL) == OK && slice_equal_text(actor, id) &&
                   cbor_read_bytes(reader, &bytes, NULL) == OK && bytes.size == KEY_BYTES;
    *key = is_good ? bytes.data : NULL;
    return is_good;
}

static bool read_one(struct plain_values *values, struct cbor_reader *reader, const uint8_t *key) {
    uint64_t count = 0;
    struct slice commitment, item;
    if (cbor_read_array(reader, &count, NULL) != OK || count != 2 ||
        cbor_read_bytes(reader, &commitment, NULL) != OK || commitment.size != SHA256_BYTES ||
        cbor_read_item(reader, &item, NULL) != OK) {
        return false;
    }
    struct plain_value *value = xcalloc(1, sizeof *value);
    *value = (struct plain_value){.item = item, .key = key};
    if (!map_add(&values->values, commitment, value)) {
        free(value);
    }
    return true;
}

static void read_file(struct plain_values *values, const char *path, const char *id) {
    struct bytes *bytes = NULL;
    struct error error = {0};
    if (file_read(path, FILE_MOST_BYTES, &bytes, &error) != OK) {
        log_line(LOG_WARNING, "the secrets in %s cannot be read: %s", path, error.message);
        return;
    }
    struct cbor_reader reader = cbor_reader_of(bytes_slice(bytes));
    const uint8_t *key = NULL;
    if (!read_head(&reader, id, &key)) {
        log_line(LOG_WARNING, "%s holds no secrets of %s", path, id);
        bytes_unref(bytes);
        return;
    }
    while (!cbor_at_end(&reader) && read_one(values, &reader, key)) {
    }
    values->files = xrealloc(values->files, (values->file_count + 1) * sizeof(struct bytes *));
    values->files[values->file_count++] = bytes;
}

void plain_values_read(struct plain_values *values, const char *folder, const char *id) {
    DIR *directory = folder != NULL ? opendir(folder) : NULL;
    *values = (struct plain_values){0};
    if (directory == NULL) {
        return;
    }
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        if (is_file_of(entry->d_name, id)) {
            char *path = file_join(folder, entry->d_name);
            read_file(values, path, id);
            free(path);
        }
    }
    closedir(directory);
}

void plain_values_release(struct plain_values *values) {
    uint32_t cursor = 0;
    for (struct map_entry *at = map_next(&values->values, &cursor); at != NULL;
         at = map_next(&values->values, &cursor)) {
        free(at->value);
    }
    map_release(&values->values);
    for (uint32_t i = 0; i < values->file_count; i++) {
        bytes_unref(values->files[i]);
    }
    free(values->files);
}

bool plain_values_find(const struct plain_values *values, const uint8_t commitment[SHA256_BYTES],
                       struct slice *item, const uint8_t **key) {
    const struct plain_value *value = map_get(&values->values, slice_of(commitment, SHA256_BYTES));
    if (value == NULL) {
        return false;
    }
    *item = value->item;
    *key = value->key;
    return true;
}

// Goes over the items flat: what an array, a map or a tag holds simply follows its head.
bool first_commitment(struct slice data, uint8_t commitment[SHA256_BYTES]) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t number = 0;
    struct slice bytes;
    enum status status = OK;
    while (status == OK && !cbor_at_end(&reader)) {
        switch ((int)cbor_peek(&reader)) {
            case CBOR_ARRAY:
                status = cbor_read_array(&reader, &number, NULL);
                break;
            case CBOR_MAP:
                status = cbor_read_map(&reader, &number, NULL);
                break;
            case CBOR_TAG:
                status = cbor_read_tag(&reader, &number, NULL);
                if (status == OK && number == RECORD_SECRET_TAG &&
                    cbor_read_bytes(&reader, &bytes, NULL) == OK && bytes.size == SHA256_BYTES) {
                    memcpy(commitment, bytes.data, SHA256_BYTES);
                    return true;
                }
                break;
            default:
                status = cbor_skip(&reader, NULL);
        }
    }
    return false;
}
