// SPDX-License-Identifier: Apache-2.0
// What the user asks about all stores: which there are, and whether everything is as it was put.
#include <stdio.h>

#include "store/internal.h"

static enum status visit_info(struct catalogue_query *query, store_info_fn visit, void *context,
                              struct error *error) {
    struct store_info info = {.made_ms = catalogue_number(query, 2),
                              .contents = catalogue_number(query, 3),
                              .bytes = catalogue_number(query, 4),
                              .references = catalogue_number(query, 5)};
    struct slice id = catalogue_column(query, 0);
    info.owner = catalogue_column(query, 1);
    (void)snprintf(info.id, sizeof info.id, "%.*s", (int)id.size, (const char *)id.data);
    return visit(context, &info, error);
}

enum status store_list(struct store *store, store_info_fn visit, void *context,
                       struct error *error) {
    struct catalogue_session *session = NULL;
    enum status status = catalogue_begin(store->catalogue, false, &session, error);
    if (status != OK) {
        return status;
    }
    struct catalogue_query query = catalogue_query(
        session, "SELECT id, owner, made_ms, contents, bytes, labels FROM stores ORDER BY number");
    bool has_row = true;
    while (status == OK && has_row) {
        status = catalogue_step(&query, &has_row, error);
        if (status == OK && has_row) {
            status = visit_info(&query, visit, context, error);
        }
    }
    catalogue_done(&query);
    return catalogue_end(session, status, error);
}

// ---- verifying
// -------------------------------------------------------------------------------------

enum { CONTENT_MOST_BYTES = 1 << 30 };  // more than any limit lets in

struct survey {
    struct store *store;
    struct catalogue_session *session;
    void (*complain)(void *context, const char *text);
    void *context;
    struct store_verdict *verdict;
};

static void complain(struct survey *survey, const char *text) {
    survey->complain(survey->context, text);
}

static enum status check_content(void *context, const uint8_t hash[SHA256_BYTES],
                                 struct error *error) {
    struct survey *survey = context;
    struct bytes *content = NULL;
    struct error problem = {0};
    enum status status =
        content_get(survey->store->contents, hash, CONTENT_MOST_BYTES, &content, &problem);
    if (status == ERR_NOT_FOUND) {
        return OK;  // it was there when the folder was read: another process removed it
    }
    survey->verdict->contents++;
    if (status == OK) {
        survey->verdict->bytes += content->size;
        bytes_unref(content);
        return OK;
    }
    if (status != ERR_DAMAGED) {
        return error_set(error, status, "%s", problem.message);
    }
    survey->verdict->damaged++;
    complain(survey, problem.message);
    return OK;
}

static enum status check_row(struct survey *survey, struct catalogue_query *query) {
    struct slice hash = catalogue_column(query, 0);
    struct slice id = catalogue_column(query, 1);
    char text[SHA256_TEXT_BYTES] = "(not a hash)";
    uint64_t size = 0;
    bool is_there =
        hash.size == SHA256_BYTES && content_size(survey->store->contents, hash.data, &size);
    if (is_there) {
        return OK;
    }
    if (hash.size == SHA256_BYTES) {
        sha256_text(hash.data, text);
    }
    struct buf line = {0};
    buf_format(&line, "content %s is missing: store %.*s names it", text, (int)id.size,
               (const char *)id.data);
    complain(survey, buf_text(&line));
    buf_release(&line);
    survey->verdict->missing++;
    return OK;
}

// Calls `check` for each row of a statement.
static enum status each_row(struct survey *survey, const char *sql,
                            enum status (*check)(struct survey *survey,
                                                 struct catalogue_query *query),
                            struct error *error) {
    struct catalogue_query query = catalogue_query(survey->session, sql);
    bool has_row = true;
    enum status status = OK;
    while (status == OK && has_row) {
        status = catalogue_step(&query, &has_row, error);
        if (status == OK && has_row) {
            status = check(survey, &query);
        }
    }
    catalogue_done(&query);
    return status;
}

static enum status check_soundness(struct survey *survey, struct catalogue_query *query) {
    struct slice text = catalogue_column(query, 0);
    if (!slice_equal_text(text, "ok")) {
        struct buf line = {0};
        buf_format(&line, "the catalogue is damaged: %.*s", (int)text.size,
                   (const char *)text.data);
        complain(survey, buf_text(&line));
        buf_release(&line);
        survey->verdict->damaged++;
    }
    return OK;
}

static enum status check_count(struct survey *survey, struct catalogue_query *query) {
    struct slice id = catalogue_column(query, 0);
    struct buf line = {0};
    buf_format(&line, "the catalogue is damaged: its counts for store %.*s are wrong", (int)id.size,
               (const char *)id.data);
    complain(survey, buf_text(&line));
    buf_release(&line);
    survey->verdict->damaged++;
    return OK;
}

enum status store_verify(struct store *store, void (*tell)(void *context, const char *text),
                         void *context, struct store_verdict *out, struct error *error) {
    *out = (struct store_verdict){0};
    struct survey survey = {.store = store, .complain = tell, .context = context, .verdict = out};
    enum status status = catalogue_begin(store->catalogue, false, &survey.session, error);
    if (status != OK) {
        return status;
    }
    status = each_row(&survey, "PRAGMA integrity_check", check_soundness, error);
    if (status == OK && out->damaged == 0) {
        status = each_row(&survey,
                          "SELECT id FROM stores WHERE contents != (SELECT count(*) FROM contents "
                          "WHERE store = number) OR bytes != (SELECT coalesce(sum(size), 0) FROM "
                          "contents WHERE store = number) OR labels != (SELECT count(*) FROM "
                          "labels WHERE store = number)",
                          check_count, error);
    }
    if (status == OK && out->damaged == 0) {
        status = each_row(&survey, "SELECT hash, id FROM contents JOIN stores ON number = store",
                          check_row, error);
    }
    if (status == OK && out->damaged == 0) {
        status = each_row(&survey,
                          "SELECT labels.hash, id FROM labels JOIN stores ON number = labels.store "
                          "WHERE NOT EXISTS (SELECT 1 FROM contents WHERE contents.store = "
                          "labels.store AND contents.hash = labels.hash)",
                          check_row, error);
    }
    status = catalogue_end(survey.session, status, error);
    return status == OK ? content_walk(store->contents, check_content, &survey, error) : status;
}
