// SPDX-License-Identifier: Apache-2.0
// Labels: names for contents of a store, each with one or several references, the newest first.
#include "codec/utf8.h"
#include "store/internal.h"

enum status label_check(struct slice label, struct error *error) {
    if (label.size == 0) {
        return error_set(error, ERR_INVALID, "a label must not be empty");
    }
    if (label.size > STORE_LABEL_MOST_BYTES) {
        return error_set(error, ERR_INVALID, "a label has at most %d bytes, not %zu",
                         STORE_LABEL_MOST_BYTES, label.size);
    }
    // Catalogue, command line and references take labels as C strings.
    if (memchr(label.data, '\0', label.size) != NULL || !utf8_is_valid(label)) {
        return error_set(error, ERR_INVALID, "a label is UTF-8 text without NUL");
    }
    return OK;
}

// store_begin, for what is done with a label.
static enum status begin(struct store *store, const struct store_place *place, struct slice label,
                         bool writes, struct catalogue_session **session, uint64_t *number,
                         struct error *error) {
    enum status status = label_check(label, error);
    return status == OK ? store_begin(store, place, writes, session, number, error) : status;
}

// ---- writing
// ---------------------------------------------------------------------------------------

static enum status count_references(struct catalogue_session *session, uint64_t number,
                                    uint64_t added, uint64_t removed, struct error *error) {
    struct catalogue_query query =
        catalogue_query(session, "UPDATE stores SET labels = labels + ? - ? WHERE number = ?");
    catalogue_bind_number(&query, 1, added);
    catalogue_bind_number(&query, 2, removed);
    catalogue_bind_number(&query, 3, number);
    enum status status = catalogue_step(&query, NULL, error);
    catalogue_done(&query);
    return status;
}

static enum status remove_references(struct catalogue_session *session, uint64_t number,
                                     struct slice label, const uint8_t *hash, struct error *error) {
    struct catalogue_query query =
        hash != NULL ? catalogue_query(
                           session, "DELETE FROM labels WHERE store = ? AND label = ? AND hash = ?")
                     : catalogue_query(session, "DELETE FROM labels WHERE store = ? AND label = ?");
    catalogue_bind_number(&query, 1, number);
    catalogue_bind_text(&query, 2, label);
    if (hash != NULL) {
        catalogue_bind_hash(&query, 3, hash);
    }
    enum status status = catalogue_step(&query, NULL, error);
    uint64_t removed = status == OK ? catalogue_changes(session) : 0;
    catalogue_done(&query);
    return removed == 0 ? status : count_references(session, number, 0, removed, error);
}

static enum status insert_reference(struct catalogue_session *session, uint64_t number,
                                    struct slice label, const uint8_t hash[SHA256_BYTES],
                                    struct error *error) {
    struct catalogue_query query = catalogue_query(
        session,
        "INSERT INTO labels (store, label, position, hash) SELECT ?1, ?2, coalesce(max(position), "
        "0) + 1, ?3 FROM labels WHERE store = ?1 AND label = ?2");
    catalogue_bind_number(&query, 1, number);
    catalogue_bind_text(&query, 2, label);
    catalogue_bind_hash(&query, 3, hash);
    enum status status = catalogue_step(&query, NULL, error);
    catalogue_done(&query);
    return status == OK ? count_references(session, number, 1, 0, error) : status;
}

static enum status read_number(struct catalogue_query *query, uint64_t *out, struct error *error) {
    enum status status = catalogue_step(query, NULL, error);
    *out = status == OK ? catalogue_number(query, 0) : 0;
    catalogue_done(query);
    return status;
}

// All labels of the owner of the store, so that what an actor may have is bounded. `freed` of them
// are about to go.
static enum status check_room(struct catalogue_session *session, uint64_t number, uint64_t freed,
                              struct error *error) {
    struct catalogue_query query = catalogue_query(
        session,
        "SELECT sum(labels) FROM stores WHERE owner = (SELECT owner FROM stores WHERE number = ?)");
    catalogue_bind_number(&query, 1, number);
    uint64_t references = 0;
    enum status status = read_number(&query, &references, error);
    if (status == OK && references >= STORE_REFERENCES_MOST + freed) {
        status = error_set(error, ERR_LIMIT,
                           "the labels of the actor's stores hold %llu references, which is the "
                           "limit",
                           (unsigned long long)references);
    }
    return status;
}

enum status label_check_room(struct catalogue_session *session, uint64_t number, struct slice label,
                             enum store_change change, struct error *error) {
    uint64_t freed = 0;
    enum status status = OK;
    if (change == STORE_REPLACE) {
        struct catalogue_query query =
            catalogue_query(session, "SELECT count(*) FROM labels WHERE store = ? AND label = ?");
        catalogue_bind_number(&query, 1, number);
        catalogue_bind_text(&query, 2, label);
        status = read_number(&query, &freed, error);
    }
    return status == OK ? check_room(session, number, freed, error) : status;
}

enum status label_set(struct catalogue_session *session, uint64_t number, struct slice label,
                      enum store_change change, const uint8_t hash[SHA256_BYTES],
                      struct error *error) {
    // A reference that is there already becomes the newest.
    enum status status =
        remove_references(session, number, label, change == STORE_REPLACE ? NULL : hash, error);
    if (status == OK) {
        status = check_room(session, number, 0, error);
    }
    return status == OK ? insert_reference(session, number, label, hash, error) : status;
}

enum status store_label(struct store *store, const struct store_place *place, struct slice label,
                        enum store_change change, const uint8_t hash[SHA256_BYTES],
                        struct error *error) {
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    enum status status = begin(store, place, label, true, &session, &number, error);
    if (status != OK) {
        return status;
    }
    bool found = false;
    status = store_find(session, number, hash, &found, NULL, error);
    if (status == OK && !found) {
        status = store_no_content(hash, error);
    }
    if (status == OK) {
        status = label_set(session, number, label, change, hash, error);
    }
    return catalogue_end(session, status, error);
}

enum status store_unlabel(struct store *store, const struct store_place *place, struct slice label,
                          const uint8_t *hash, struct error *error) {
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    enum status status = begin(store, place, label, true, &session, &number, error);
    if (status != OK) {
        return status;
    }
    status = remove_references(session, number, label, hash, error);
    return catalogue_end(session, status, error);
}

// ---- reading
// ---------------------------------------------------------------------------------------

enum status store_find_label(struct store *store, const struct store_place *place,
                             struct slice label, bool *found, uint8_t hash[SHA256_BYTES],
                             struct error *error) {
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    enum status status = begin(store, place, label, false, &session, &number, error);
    if (status != OK) {
        return status;
    }
    struct catalogue_query query =
        catalogue_query(session,
                        "SELECT hash FROM labels WHERE store = ? AND label = ? "
                        "ORDER BY position DESC LIMIT 1");
    catalogue_bind_number(&query, 1, number);
    catalogue_bind_text(&query, 2, label);
    status = catalogue_step(&query, found, error);
    if (status == OK && *found) {
        status = catalogue_hash(&query, 0, hash, error);
    }
    catalogue_done(&query);
    return catalogue_end(session, status, error);
}

// The first label behind `after`, which it becomes.
static enum status next_label(struct catalogue_session *session, uint64_t number, struct buf *after,
                              bool *found, uint8_t hash[SHA256_BYTES], struct error *error) {
    // One step in the index for each label, however many references it has.
    struct catalogue_query query = catalogue_query(
        session,
        "SELECT label, (SELECT hash FROM labels AS newest WHERE newest.store = ?1 AND newest.label "
        "= labels.label ORDER BY position DESC LIMIT 1) FROM labels WHERE store = ?1 AND label > "
        "?2 ORDER BY label LIMIT 1");
    catalogue_bind_number(&query, 1, number);
    catalogue_bind_text(&query, 2, buf_slice(after));
    enum status status = catalogue_step(&query, found, error);
    struct buf label = {0};
    if (status == OK && *found) {
        buf_append_slice(&label, catalogue_column(&query, 0));
        status = catalogue_hash(&query, 1, hash, error);
    }
    catalogue_done(&query);
    buf_release(after);
    *after = label;
    return status;
}

enum status store_list_labels(struct store *store, const struct store_place *place,
                              store_visit_fn visit, void *context, struct error *error) {
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    enum status status = store_begin(store, place, false, &session, &number, error);
    if (status != OK) {
        return status;
    }
    struct buf label = {0};
    bool found = true;
    while (status == OK && found) {
        uint8_t hash[SHA256_BYTES];
        status = next_label(session, number, &label, &found, hash, error);
        if (status == OK && found) {
            status = visit(context, buf_slice(&label), hash, error);
        }
    }
    buf_release(&label);
    return catalogue_end(session, status, error);
}
