// SPDX-License-Identifier: Apache-2.0
// theater:simple/store for actors in C: content by its hash, and labels for it. See theater.h.
#ifndef THEATER_STORE_H
#define THEATER_STORE_H

#include "theater.h"

#define THEATER__IMPORT_STORE(name, c_name) \
    THEATER__IMPORT("store", name)          \
    void theater__import_store_##c_name(const uint8_t *, size_t, const uint8_t *, size_t, void *)
#define THEATER__IMPORT_STORE_LABEL(name, c_name)                                         \
    THEATER__IMPORT("store", name)                                                        \
    void theater__import_store_##c_name(const uint8_t *, size_t, const uint8_t *, size_t, \
                                        const uint8_t *, size_t, void *)

THEATER__IMPORT("store", "new") void theater__import_store_new(void *);
THEATER__IMPORT_STORE("store", put);
THEATER__IMPORT_STORE("get", get);
THEATER__IMPORT_STORE("exists", exists);
THEATER__IMPORT_STORE("get-by-label", find);
THEATER__IMPORT_STORE("remove-label", remove_label);
THEATER__IMPORT_STORE_LABEL("label", label);
THEATER__IMPORT_STORE_LABEL("remove-from-label", remove_from_label);
THEATER__IMPORT_STORE_LABEL("replace-at-label", replace_label);
THEATER__IMPORT_STORE_LABEL("store-at-label", put_at_label);
THEATER__IMPORT_STORE_LABEL("replace-content-at-label", replace_at_label);
THEATER__IMPORT("store", "list-labels")
void theater__import_store_list_labels(const uint8_t *, size_t, void *);
THEATER__IMPORT("store", "list-all-content")
void theater__import_store_list_contents(const uint8_t *, size_t, void *);
THEATER__IMPORT("store", "calculate-total-size")
void theater__import_store_total(const uint8_t *, size_t, void *);

// Makes a store; its id is in `value`.
THEATER__INTERNAL struct theater_outcome theater_store_new(void) {
    struct theater__result_area area;
    theater__import_store_new(&area);
    return theater__outcome(&area);
}

THEATER__INTERNAL struct theater_outcome theater__store_put(struct theater_bytes store,
                                                            struct theater_bytes content) {
    struct theater__result_area area;
    theater__import_store_put(store.data, store.size, content.data, content.size, &area);
    return theater__outcome(&area);
}

THEATER__INTERNAL struct theater_outcome theater__store_get(struct theater_bytes store,
                                                            struct theater_bytes hash) {
    struct theater__result_area area;
    theater__import_store_get(store.data, store.size, hash.data, hash.size, &area);
    return theater__outcome(&area);
}

THEATER__INTERNAL struct theater_outcome theater__store_exists(struct theater_bytes store,
                                                               struct theater_bytes hash,
                                                               bool *exists) {
    struct theater__word_area area;
    theater__import_store_exists(store.data, store.size, hash.data, hash.size, &area);
    *exists = !area.failed && area.of.byte != 0;
    return theater__word(&area);
}

THEATER__INTERNAL struct theater_outcome theater__store_find(struct theater_bytes store,
                                                             struct theater_bytes label) {
    struct {
        uint8_t failed;
        union {
            struct {
                uint8_t has;
                struct theater_bytes hash;
            } ok;
            struct theater_bytes error;
        } of;
    } area;
    theater__import_store_find(store.data, store.size, label.data, label.size, &area);
    if (area.failed) {
        return (struct theater_outcome){.error = area.of.error};
    }
    return (struct theater_outcome){.ok = true,
                                    .value = area.of.ok.has ? area.of.ok.hash : THEATER_NONE};
}

THEATER__INTERNAL struct theater_outcome theater__store_remove_label(struct theater_bytes store,
                                                                     struct theater_bytes label) {
    struct theater__result_area area;
    theater__import_store_remove_label(store.data, store.size, label.data, label.size, &area);
    return theater__done(&area);
}

#define THEATER__STORE_LABEL(c_name, ending)                                                       \
    THEATER__INTERNAL struct theater_outcome theater__store_##c_name(                              \
        struct theater_bytes store, struct theater_bytes label, struct theater_bytes third) {      \
        struct theater__result_area area;                                                          \
        theater__import_store_##c_name(store.data, store.size, label.data, label.size, third.data, \
                                       third.size, &area);                                         \
        return ending(&area);                                                                      \
    }
THEATER__STORE_LABEL(label, theater__done)
THEATER__STORE_LABEL(remove_from_label, theater__done)
THEATER__STORE_LABEL(replace_label, theater__done)
THEATER__STORE_LABEL(put_at_label, theater__outcome)
THEATER__STORE_LABEL(replace_at_label, theater__outcome)

THEATER__INTERNAL struct theater_outcome theater__store_total(struct theater_bytes store,
                                                              uint64_t *bytes) {
    struct theater__number_area area;
    theater__import_store_total(store.data, store.size, &area);
    return theater__number(&area, bytes);
}

THEATER__INTERNAL struct theater_outcome theater__store_list(
    const struct theater__result_area *area, struct theater_list *list) {
    *list = (struct theater_list){0};
    if (!area->failed) {
        *list = (struct theater_list){(const void *)area->bytes.data, area->bytes.size};
    }
    return theater__done(area);
}

THEATER__INTERNAL struct theater_outcome theater__store_list_labels(struct theater_bytes store,
                                                                    struct theater_list *labels) {
    struct theater__result_area area;
    theater__import_store_list_labels(store.data, store.size, &area);
    return theater__store_list(&area, labels);
}

THEATER__INTERNAL struct theater_outcome theater__store_list_contents(struct theater_bytes store,
                                                                      struct theater_list *hashes) {
    struct theater__result_area area;
    theater__import_store_list_contents(store.data, store.size, &area);
    return theater__store_list(&area, hashes);
}

// Puts content into a store; its hash, 64 hexadecimal digits, is in `value`, and gets it back.
#define theater_store_put(store, content) \
    theater__store_put(theater_text(store), theater_text(content))
#define theater_store_get(store, hash) theater__store_get(theater_text(store), theater_text(hash))
#define theater_store_exists(store, hash, exists) \
    theater__store_exists(theater_text(store), theater_text(hash), exists)

// Labels hold hashes, the newest first: these add one, and put content and add its hash.
#define theater_store_label(store, label, hash) \
    theater__store_label(theater_text(store), theater_text(label), theater_text(hash))
#define theater_store_put_at_label(store, label, content) \
    theater__store_put_at_label(theater_text(store), theater_text(label), theater_text(content))
// The same, instead of what the label held.
#define theater_store_replace_label(store, label, hash) \
    theater__store_replace_label(theater_text(store), theater_text(label), theater_text(hash))
#define theater_store_replace_at_label(store, label, content) \
    theater__store_replace_at_label(theater_text(store), theater_text(label), theater_text(content))
// The newest hash of a label, in `value`; none if there is no such label.
#define theater_store_find(store, label) \
    theater__store_find(theater_text(store), theater_text(label))
#define theater_store_remove_label(store, label) \
    theater__store_remove_label(theater_text(store), theater_text(label))
#define theater_store_remove_from_label(store, label, hash) \
    theater__store_remove_from_label(theater_text(store), theater_text(label), theater_text(hash))

// All labels, in order; all hashes; the bytes of all contents.
#define theater_store_list_labels(store, labels) \
    theater__store_list_labels(theater_text(store), labels)
#define theater_store_list_contents(store, hashes) \
    theater__store_list_contents(theater_text(store), hashes)
#define theater_store_total(store, bytes) theater__store_total(theater_text(store), bytes)

#endif
