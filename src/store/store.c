// SPDX-License-Identifier: Apache-2.0
// Stores and what is in them. Labels are in label.c, questions about all stores in survey.c.
#include "store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "store/internal.h"

static enum status stop_at_first(void *context, const uint8_t hash[SHA256_BYTES],
                                 struct error *error) {
    (void)hash;
    *(bool *)context = true;
    return error_set(error, ERR_EXISTS, "there is one");
}

// Who lost the catalogue, and not the contents, should hear of it before new labels are made.
static void warn_of_new_catalogue(const struct store *store, const char *path) {
    bool has_contents = false;
    enum status status = content_walk(store->contents, stop_at_first, &has_contents, NULL);
    if (status == ERR_EXISTS && has_contents) {
        log_line(LOG_WARNING,
                 "%s was not there, though there are contents: it is made anew, without the stores "
                 "and labels that it held; put it back from a backup",
                 path);
    }
}

enum status store_open(const struct store_config *config, struct store **out, struct error *error) {
    struct store *store = xcalloc(1, sizeof *store);
    store->env = config->env;
    char *folder = file_join(config->data_folder, "store");
    char *database = file_join(config->data_folder, "catalogue.db");
    struct catalogue_config catalogue = {
        .path = database, .read_only = config->read_only, .no_sync = config->no_sync};
    enum status status =
        content_open(folder, config->read_only, config->no_sync, &store->contents, error);
    bool has_catalogue = access(database, F_OK) == 0;
    if (status == OK) {
        status = catalogue_open(&catalogue, &store->catalogue, error);
    }
    if (status == OK && !has_catalogue) {
        warn_of_new_catalogue(store, database);
    }
    free(folder);
    free(database);
    if (status != OK) {
        store_close(store);
        return status;
    }
    *out = store;
    return OK;
}

void store_close(struct store *store) {
    if (store->catalogue != NULL) {
        catalogue_close(store->catalogue);
    }
    if (store->contents != NULL) {
        content_close(store->contents);
    }
    free(store);
}

// ---- finding
// ---------------------------------------------------------------------------------------

static enum status find_store(struct catalogue_session *session, const struct store_place *place,
                              uint64_t *number, struct error *error) {
    struct catalogue_query query =
        place->actor != NULL
            ? catalogue_query(session, "SELECT number FROM stores WHERE id = ? AND owner = ?")
            : catalogue_query(session, "SELECT number FROM stores WHERE id = ?");
    catalogue_bind_text(&query, 1, place->id);
    if (place->actor != NULL) {
        catalogue_bind_text(&query, 2, slice_text(place->actor));
    }
    bool found = false;
    enum status status = catalogue_step(&query, &found, error);
    if (status == OK && !found) {
        status = error_set(error, ERR_NOT_FOUND, "store not found");
    } else if (status == OK) {
        *number = catalogue_number(&query, 0);
    }
    catalogue_done(&query);
    return status;
}

enum status store_begin(struct store *store, const struct store_place *place, bool writes,
                        struct catalogue_session **session, uint64_t *number, struct error *error) {
    enum status status = catalogue_begin(store->catalogue, writes, session, error);
    if (status != OK) {
        return status;
    }
    status = find_store(*session, place, number, error);
    return status == OK ? OK : catalogue_end(*session, status, error);
}

enum status store_find(struct catalogue_session *session, uint64_t number,
                       const uint8_t hash[SHA256_BYTES], bool *found, uint64_t *size,
                       struct error *error) {
    struct catalogue_query query =
        catalogue_query(session, "SELECT size FROM contents WHERE store = ? AND hash = ?");
    catalogue_bind_number(&query, 1, number);
    catalogue_bind_hash(&query, 2, hash);
    enum status status = catalogue_step(&query, found, error);
    if (status == OK && *found && size != NULL) {
        *size = catalogue_number(&query, 0);
    }
    catalogue_done(&query);
    return status;
}

enum status store_no_content(const uint8_t hash[SHA256_BYTES], struct error *error) {
    char text[SHA256_TEXT_BYTES];
    sha256_text(hash, text);
    return error_set(error, ERR_NOT_FOUND, "content does not exist: %s", text);
}

enum status store_parse_hash(struct slice text, uint8_t hash[SHA256_BYTES], struct error *error) {
    if (sha256_parse(text, hash)) {
        return OK;
    }
    return error_set(error, ERR_INVALID,
                     "a content is named by the 64 lower-case hexadecimal digits of its SHA-256, "
                     "not by \"%.*s\"",
                     (int)(text.size < 100 ? text.size : 100), (const char *)text.data);
}

// ---- making
// ----------------------------------------------------------------------------------------

// What the actor's stores hold together.
struct holdings {
    uint64_t stores, contents, bytes, references;
};

static enum status sum_holdings(struct catalogue_session *session, struct slice owner,
                                struct holdings *out, struct error *error) {
    struct catalogue_query query = catalogue_query(
        session,
        "SELECT count(*), sum(contents), sum(bytes), sum(labels) FROM stores WHERE owner = ?");
    catalogue_bind_text(&query, 1, owner);
    enum status status = catalogue_step(&query, NULL, error);
    if (status == OK) {
        *out = (struct holdings){.stores = catalogue_number(&query, 0),
                                 .contents = catalogue_number(&query, 1),
                                 .bytes = catalogue_number(&query, 2),
                                 .references = catalogue_number(&query, 3)};
    }
    catalogue_done(&query);
    return status;
}

static enum status insert_store(struct catalogue_session *session, struct env *env,
                                const char *actor, const char *id, struct error *error) {
    struct holdings holdings = {0};
    enum status status = sum_holdings(session, slice_text(actor), &holdings, error);
    if (status == OK && holdings.stores >= STORE_MOST_PER_ACTOR) {
        return error_set(error, ERR_LIMIT, "an actor may have %d stores and has that many",
                         STORE_MOST_PER_ACTOR);
    }
    struct catalogue_query query =
        catalogue_query(session, "INSERT INTO stores (id, owner, made_ms) VALUES (?, ?, ?)");
    catalogue_bind_text(&query, 1, slice_text(id));
    catalogue_bind_text(&query, 2, slice_text(actor));
    catalogue_bind_number(&query, 3, env_wall_ns(env) / 1000000U);
    if (status == OK) {
        status = catalogue_step(&query, NULL, error);
    }
    catalogue_done(&query);
    return status;
}

enum status store_new(struct store *store, const char *actor, const char *id, struct error *error) {
    assert(actor != NULL && strlen(id) + 1 == STORE_ID_BYTES);
    struct catalogue_session *session = NULL;
    enum status status = catalogue_begin(store->catalogue, true, &session, error);
    if (status != OK) {
        return status;
    }
    status = insert_store(session, store->env, actor, id, error);
    return catalogue_end(session, status, error);
}

// ---- putting and getting
// ---------------------------------------------------------------------------

static enum status check_limits(struct catalogue_session *session, const struct store_place *place,
                                uint64_t more_bytes, const struct store_limits *limits,
                                struct error *error) {
    struct holdings holdings = {0};
    enum status status = sum_holdings(session, slice_text(place->actor), &holdings, error);
    if (status != OK) {
        return status;
    }
    if (holdings.contents >= limits->contents) {
        return error_set(error, ERR_LIMIT,
                         "the actor's stores hold %llu contents, and %llu is the limit "
                         "(max_contents of the store)",
                         (unsigned long long)holdings.contents,
                         (unsigned long long)limits->contents);
    }
    if (more_bytes > limits->bytes || holdings.bytes > limits->bytes - more_bytes) {
        return error_set(error, ERR_LIMIT,
                         "the actor's stores hold %llu bytes; with %llu more that is over the "
                         "limit of %llu (max_bytes of the store)",
                         (unsigned long long)holdings.bytes, (unsigned long long)more_bytes,
                         (unsigned long long)limits->bytes);
    }
    return OK;
}

// Before anything is written: whether it may be. *is_known: the store has it already.
static enum status check_put(struct store *store, const struct store_place *place,
                             const struct store_content *content, const struct store_limits *limits,
                             bool *is_known, struct error *error) {
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    enum status status = content->label != NULL ? label_check(*content->label, error) : OK;
    if (status == OK) {
        status = store_begin(store, place, false, &session, &number, error);
    }
    if (status != OK) {
        return status;
    }
    status = store_find(session, number, content->hash, is_known, NULL, error);
    if (status == OK && !*is_known) {
        status = check_limits(session, place, content->content.size, limits, error);
        if (status == OK && content->label != NULL) {
            status = label_check_room(session, number, *content->label, content->change, error);
        }
    }
    return catalogue_end(session, status, error);
}

static enum status insert_content(struct catalogue_session *session, uint64_t number,
                                  const struct store_content *content, struct error *error) {
    struct catalogue_query query = catalogue_query(
        session, "INSERT OR IGNORE INTO contents (store, hash, size) VALUES (?, ?, ?)");
    catalogue_bind_number(&query, 1, number);
    catalogue_bind_hash(&query, 2, content->hash);
    catalogue_bind_number(&query, 3, content->content.size);
    enum status status = catalogue_step(&query, NULL, error);
    bool is_new = status == OK && catalogue_changes(session) > 0;
    catalogue_done(&query);
    if (status != OK || !is_new) {
        return status;
    }
    query = catalogue_query(
        session, "UPDATE stores SET contents = contents + 1, bytes = bytes + ? WHERE number = ?");
    catalogue_bind_number(&query, 1, content->content.size);
    catalogue_bind_number(&query, 2, number);
    status = catalogue_step(&query, NULL, error);
    catalogue_done(&query);
    return status;
}

enum status store_put(struct store *store, const struct store_place *place,
                      const struct store_content *content, const struct store_limits *limits,
                      struct error *error) {
    assert(place->actor != NULL);
    bool is_known = false;
    enum status status = check_put(store, place, content, limits, &is_known, error);
    if (status == OK) {
        status = content_put(store->contents, content->content, content->hash, is_known, error);
    }
    if (status != OK || (is_known && content->label == NULL)) {
        return status;
    }
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    status = store_begin(store, place, true, &session, &number, error);
    if (status != OK) {
        return status;
    }
    status = insert_content(session, number, content, error);
    if (status == OK && content->label != NULL) {
        status = label_set(session, number, *content->label, content->change, content->hash, error);
    }
    return catalogue_end(session, status, error);
}

enum status store_has(struct store *store, const struct store_place *place,
                      const uint8_t hash[SHA256_BYTES], bool *out, struct error *error) {
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    enum status status = store_begin(store, place, false, &session, &number, error);
    if (status != OK) {
        return status;
    }
    status = store_find(session, number, hash, out, NULL, error);
    return catalogue_end(session, status, error);
}

enum status store_get(struct store *store, const struct store_place *place,
                      const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes, struct bytes **out,
                      struct error *error) {
    bool found = false;
    enum status status = store_has(store, place, hash, &found, error);
    if (status == OK && !found) {
        status = store_no_content(hash, error);
    }
    return status == OK ? content_get(store->contents, hash, limit_bytes, out, error) : status;
}

enum status store_list_contents(struct store *store, const struct store_place *place,
                                store_visit_fn visit, void *context, struct error *error) {
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    enum status status = store_begin(store, place, false, &session, &number, error);
    if (status != OK) {
        return status;
    }
    struct catalogue_query query =
        catalogue_query(session, "SELECT hash FROM contents WHERE store = ? ORDER BY hash");
    catalogue_bind_number(&query, 1, number);
    bool has_row = true;
    while (status == OK && has_row) {
        status = catalogue_step(&query, &has_row, error);
        if (status == OK && has_row) {
            uint8_t hash[SHA256_BYTES];
            status = catalogue_hash(&query, 0, hash, error);
            if (status == OK) {
                status = visit(context, slice_of(NULL, 0), hash, error);
            }
        }
    }
    catalogue_done(&query);
    return catalogue_end(session, status, error);
}

enum status store_total_bytes(struct store *store, const struct store_place *place, uint64_t *bytes,
                              struct error *error) {
    struct catalogue_session *session = NULL;
    uint64_t number = 0;
    enum status status = store_begin(store, place, false, &session, &number, error);
    if (status != OK) {
        return status;
    }
    struct catalogue_query query =
        catalogue_query(session, "SELECT bytes FROM stores WHERE number = ?");
    catalogue_bind_number(&query, 1, number);
    status = catalogue_step(&query, NULL, error);
    *bytes = status == OK ? catalogue_number(&query, 0) : 0;
    catalogue_done(&query);
    return catalogue_end(session, status, error);
}

// ---- contents outside of any store
// ---------------------------------------------------------------

enum status store_keep(struct store *store, struct slice content, const uint8_t hash[SHA256_BYTES],
                       struct error *error) {
    uint64_t size = 0;
    if (content_size(store->contents, hash, &size) && size == content.size) {
        return OK;
    }
    return content_put(store->contents, content, hash, false, error);
}

enum status store_keep_value(struct store *store, struct slice content,
                             const uint8_t hash[SHA256_BYTES], struct error *error) {
    return content_note(store->contents, content, hash, error);
}

enum status store_sync(struct store *store, struct error *error) {
    return content_sync(store->contents, error);
}

bool store_holds(struct store *store, const uint8_t hash[SHA256_BYTES]) {
    return content_size(store->contents, hash, &(uint64_t){0});
}

enum status store_read(struct store *store, const uint8_t hash[SHA256_BYTES], uint64_t limit_bytes,
                       struct bytes **out, struct error *error) {
    return content_get(store->contents, hash, limit_bytes, out, error);
}

// ---- references
// ------------------------------------------------------------------------------------

static enum status resolve(struct store *store, const struct store_place *place, struct slice rest,
                           uint8_t hash[SHA256_BYTES], struct error *error) {
    if (slice_starts_with(rest, "hash/") && rest.size == 5 + 2 * SHA256_BYTES &&
        sha256_parse(slice_of(rest.data + 5, rest.size - 5), hash)) {
        return OK;
    }
    bool found = false;
    enum status status = store_find_label(store, place, rest, &found, hash, error);
    if (status == OK && !found) {
        status = error_set(error, ERR_NOT_FOUND, "label not found: %.*s", (int)rest.size,
                           (const char *)rest.data);
    }
    return status;
}

enum status store_read_reference(struct store *store, const char *actor, const char *reference,
                                 uint64_t limit_bytes, struct bytes **out, struct error *error) {
    static const char scheme[] = "store://";
    const char *id = reference + sizeof scheme - 1;
    bool is_ours = slice_starts_with(slice_text(reference), scheme);
    const char *slash = is_ours ? strchr(id, '/') : NULL;
    if (slash == NULL || slash == id || slash[1] == '\0') {
        return error_set(error, ERR_INVALID,
                         "a reference into a store is store://ID/LABEL or store://ID/hash/SHA256");
    }
    struct store_place place = {.actor = actor, .id = slice_of(id, (size_t)(slash - id))};
    uint8_t hash[SHA256_BYTES];
    enum status status = resolve(store, &place, slice_text(slash + 1), hash, error);
    return status == OK ? store_get(store, &place, hash, limit_bytes, out, error) : status;
}
