// SPDX-License-Identifier: Apache-2.0
#include "store/catalogue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONNECTIONS_KEPT = 8,  // more than may block at once hardly ever exist
    STATEMENTS_MOST = 48,  // literals in this room
    BUSY_MOST_MS = 10000,  // for another process that opens or closes it
};

// The store's schema.
static const char *const store_versions[] = {
    // `number` keeps the rows of `contents` and `labels` short. `contents`, `bytes` and `labels`
    // count the rows and sum the sizes below, so that nothing has to be read to tell.
    "CREATE TABLE stores ("
    "  number INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  owner TEXT NOT NULL,"
    "  made_ms INTEGER NOT NULL,"
    "  contents INTEGER NOT NULL DEFAULT 0,"
    "  bytes INTEGER NOT NULL DEFAULT 0,"
    "  labels INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE INDEX stores_by_owner ON stores (owner);"
    "CREATE TABLE contents ("
    "  store INTEGER NOT NULL,"
    "  hash BLOB NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  PRIMARY KEY (store, hash)"
    ") STRICT, WITHOUT ROWID;"
    // A label's references: the one with the largest position is the newest.
    "CREATE TABLE labels ("
    "  store INTEGER NOT NULL,"
    "  label TEXT NOT NULL,"
    "  position INTEGER NOT NULL,"
    "  hash BLOB NOT NULL,"
    "  PRIMARY KEY (store, label, position)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX labels_by_hash ON labels (store, label, hash);",
};

struct catalogue_session {
    struct catalogue *catalogue;
    sqlite3 *connection;
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } statements[STATEMENTS_MOST];
    uint32_t statement_count;
    bool writes;
    struct catalogue_session *next;  // of those kept
};

struct catalogue {
    char *path;
    bool read_only, no_sync, has_journal;
    const char *const *versions;
    size_t version_count;
    pthread_mutex_t writing;  // held by the session that writes
    pthread_mutex_t lock;     // leaf; for what follows
    struct catalogue_session *kept;
    uint32_t kept_count;
};

// ---- errors
// ----------------------------------------------------------------------------------------

static enum status fail(sqlite3 *connection, int code, struct error *error) {
    switch (code & 0xff) {
        case SQLITE_FULL:
            return error_set(error, ERR_IO, "the catalogue cannot be written: no space left");
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
        case SQLITE_ERROR:  // statements are ours: a table or column that they name is not there
            return error_set(error, ERR_DAMAGED, "the catalogue is damaged: %s",
                             sqlite3_errmsg(connection));
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return error_set(error, ERR_BUSY, "the catalogue is in use by another process");
        case SQLITE_CANTOPEN:
            return error_set(error, ERR_IO, "the catalogue cannot be opened");
        default:
            return error_set(error, ERR_IO, "the catalogue cannot be used: %s",
                             sqlite3_errmsg(connection));
    }
}

static enum status execute(sqlite3 *connection, const char *sql, struct error *error) {
    int code = sqlite3_exec(connection, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : fail(connection, code, error);
}

// ---- connections
// -----------------------------------------------------------------------------------

static void session_free(struct catalogue_session *session) {
    for (uint32_t i = 0; i < session->statement_count; i++) {
        sqlite3_finalize(session->statements[i].statement);
    }
    // Not sqlite3_close_v2: nothing is left that could keep it open.
    int code = sqlite3_close(session->connection);
    assert(code == SQLITE_OK);
    (void)code;
    free(session);
}

static enum status connect(struct catalogue *catalogue, struct catalogue_session **out,
                           struct error *error) {
    struct catalogue_session *session = xcalloc(1, sizeof *session);
    session->catalogue = catalogue;
    int flags =
        catalogue->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    // One thread at a time uses a connection.
    int code =
        sqlite3_open_v2(catalogue->path, &session->connection, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (session->connection == NULL) {
        fatal("no memory for a connection to the catalogue");
    }
    enum status status = code == SQLITE_OK ? OK : fail(session->connection, code, error);
    sqlite3_busy_timeout(session->connection, BUSY_MOST_MS);
    if (status == OK && !catalogue->read_only && !catalogue->has_journal) {
        status = execute(session->connection, "PRAGMA journal_mode = WAL", error);
    }
    if (status == OK) {
        status =
            execute(session->connection,
                    catalogue->no_sync ? "PRAGMA synchronous = OFF; PRAGMA trusted_schema = 0"
                                       : "PRAGMA synchronous = FULL; PRAGMA trusted_schema = 0",
                    error);
    }
    if (status != OK) {
        session_free(session);
        return status;
    }
    *out = session;
    return OK;
}

static enum status take(struct catalogue *catalogue, struct catalogue_session **out,
                        struct error *error) {
    pthread_mutex_lock(&catalogue->lock);
    struct catalogue_session *session = catalogue->kept;
    if (session != NULL) {
        catalogue->kept = session->next;
        catalogue->kept_count--;
    }
    pthread_mutex_unlock(&catalogue->lock);
    *out = session;
    return session != NULL ? OK : connect(catalogue, out, error);
}

static void give(struct catalogue_session *session) {
    struct catalogue *catalogue = session->catalogue;
    pthread_mutex_lock(&catalogue->lock);
    bool is_kept = catalogue->kept_count < CONNECTIONS_KEPT;
    if (is_kept) {
        session->next = catalogue->kept;
        catalogue->kept = session;
        catalogue->kept_count++;
    }
    pthread_mutex_unlock(&catalogue->lock);
    if (!is_kept) {
        session_free(session);
    }
}

// ---- opening
// ---------------------------------------------------------------------------------------

static enum status read_version(struct catalogue_session *session, uint64_t *version,
                                struct error *error) {
    struct catalogue_query query = catalogue_query(session, "PRAGMA user_version");
    bool has_row = false;
    enum status status = catalogue_step(&query, &has_row, error);
    *version = status == OK && has_row ? catalogue_number(&query, 0) : 0;
    catalogue_done(&query);
    return status;
}

// In one transaction, so that a crash leaves one version or the other.
static enum status upgrade(struct catalogue_session *session, struct error *error) {
    uint64_t version = 0;
    size_t count = session->catalogue->version_count;
    enum status status = read_version(session, &version, error);
    if (status == OK && version > count) {
        return error_set(error, ERR_UNSUPPORTED,
                         "it was written by a later release of theater (its version is %llu, this "
                         "release knows %zu)",
                         (unsigned long long)version, count);
    }
    if (status == OK && version < count && session->catalogue->read_only) {
        return error_set(
            error, ERR_UNSUPPORTED,
            "it was written by an earlier release of theater; start a node on it once");
    }
    for (uint64_t i = version; status == OK && i < count; i++) {
        status = execute(session->connection, session->catalogue->versions[i], error);
    }
    if (status == OK && version < count) {
        struct buf text = {0};
        buf_format(&text, "PRAGMA user_version = %zu", count);
        status = execute(session->connection, buf_text(&text), error);
        buf_release(&text);
    }
    return status;
}

enum status catalogue_open(const struct catalogue_config *config, struct catalogue **out,
                           struct error *error) {
    if (config->read_only && access(config->path, F_OK) != 0) {
        return error_set_os(error, errno, "cannot open %s", config->path);
    }
    struct catalogue *catalogue = xcalloc(1, sizeof *catalogue);
    catalogue->path = xstrdup(config->path);
    catalogue->read_only = config->read_only;
    catalogue->no_sync = config->no_sync;
    catalogue->has_journal = config->has_journal;
    catalogue->versions = config->versions != NULL ? config->versions : store_versions;
    catalogue->version_count =
        config->versions != NULL ? config->version_count : COUNT_OF(store_versions);
    pthread_mutex_init(&catalogue->writing, NULL);
    pthread_mutex_init(&catalogue->lock, NULL);
    struct error cause = {0};
    struct catalogue_session *session = NULL;
    enum status status = catalogue_begin(catalogue, !config->read_only, &session, &cause);
    if (status == OK) {
        status = upgrade(session, &cause);
        status = catalogue_end(session, status, &cause);
    }
    if (status != OK) {
        catalogue_close(catalogue);
        return error_set(error, status, "%s: %s", config->path, cause.message);
    }
    *out = catalogue;
    return OK;
}

void catalogue_close(struct catalogue *catalogue) {
    while (catalogue->kept != NULL) {
        struct catalogue_session *session = catalogue->kept;
        catalogue->kept = session->next;
        session_free(session);
    }
    pthread_mutex_destroy(&catalogue->writing);
    pthread_mutex_destroy(&catalogue->lock);
    free(catalogue->path);
    free(catalogue);
}

// ---- sessions
// --------------------------------------------------------------------------------------

enum status catalogue_begin(struct catalogue *catalogue, bool writes,
                            struct catalogue_session **out, struct error *error) {
    assert(!(writes && catalogue->read_only));
    struct catalogue_session *session = NULL;
    enum status status = take(catalogue, &session, error);
    if (status != OK) {
        return status;
    }
    session->writes = writes;
    if (writes) {
        pthread_mutex_lock(&catalogue->writing);
    }
    status = execute(session->connection, writes ? "BEGIN IMMEDIATE" : "BEGIN", error);
    if (status != OK) {
        if (writes) {
            pthread_mutex_unlock(&catalogue->writing);
        }
        session_free(session);
        return status;
    }
    *out = session;
    return OK;
}

enum status catalogue_commit(struct catalogue_session *session, struct error *error) {
    return execute(session->connection, "COMMIT", error);
}

enum status catalogue_end(struct catalogue_session *session, enum status status,
                          struct error *error) {
    struct catalogue *catalogue = session->catalogue;
    sqlite3 *connection = session->connection;
    if (status == OK && !sqlite3_get_autocommit(connection)) {
        status = catalogue_commit(session, error);
    }
    // A failure may have ended the transaction already.
    if (!sqlite3_get_autocommit(connection)) {
        (void)execute(connection, "ROLLBACK", NULL);
    }
    bool is_clean = sqlite3_get_autocommit(connection) != 0;
    if (session->writes) {
        pthread_mutex_unlock(&catalogue->writing);
    }
    if (is_clean) {
        give(session);
    } else {
        session_free(session);
    }
    return status;
}

// ---- queries
// ---------------------------------------------------------------------------------------

static sqlite3_stmt *find_statement(struct catalogue_session *session, const char *sql) {
    for (uint32_t i = 0; i < session->statement_count; i++) {
        if (session->statements[i].sql == sql) {
            return session->statements[i].statement;
        }
    }
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v3(session->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                           NULL) != SQLITE_OK) {
        return NULL;
    }
    assert(session->statement_count < STATEMENTS_MOST);
    session->statements[session->statement_count].sql = sql;
    session->statements[session->statement_count++].statement = statement;
    return statement;
}

struct catalogue_query catalogue_query(struct catalogue_session *session, const char *sql) {
    return (struct catalogue_query){.session = session, .statement = find_statement(session, sql)};
}

// Binding fails only when there is no memory, or for a text of more than a gigabyte.
static void check_bound(int code) {
    if (code != SQLITE_OK) {
        fatal("cannot bind a parameter of a statement: %s", sqlite3_errstr(code));
    }
}

void catalogue_bind_number(struct catalogue_query *query, int at, uint64_t number) {
    assert(number <= INT64_MAX);
    if (query->statement != NULL) {
        check_bound(sqlite3_bind_int64(query->statement, at, (sqlite3_int64)number));
    }
}

void catalogue_bind_text(struct catalogue_query *query, int at, struct slice text) {
    // A NULL pointer would bind NULL, which an empty text is not.
    const void *data = text.size > 0 ? (const void *)text.data : "";
    if (query->statement != NULL) {
        check_bound(
            sqlite3_bind_text64(query->statement, at, data, text.size, SQLITE_STATIC, SQLITE_UTF8));
    }
}

void catalogue_bind_blob(struct catalogue_query *query, int at, struct slice blob) {
    const void *data = blob.size > 0 ? (const void *)blob.data : "";
    if (query->statement != NULL) {
        check_bound(sqlite3_bind_blob64(query->statement, at, data, blob.size, SQLITE_STATIC));
    }
}

void catalogue_bind_hash(struct catalogue_query *query, int at, const uint8_t hash[SHA256_BYTES]) {
    catalogue_bind_blob(query, at, slice_of(hash, SHA256_BYTES));
}

enum status catalogue_step(struct catalogue_query *query, bool *has_row, struct error *error) {
    sqlite3 *connection = query->session->connection;
    if (query->statement == NULL) {
        return fail(connection, sqlite3_errcode(connection), error);
    }
    int code = sqlite3_step(query->statement);
    if (has_row != NULL) {
        *has_row = code == SQLITE_ROW;
    }
    return code == SQLITE_ROW || code == SQLITE_DONE ? OK : fail(connection, code, error);
}

uint64_t catalogue_number(struct catalogue_query *query, int column) {
    sqlite3_int64 number = sqlite3_column_int64(query->statement, column);
    return number < 0 ? 0 : (uint64_t)number;
}

struct slice catalogue_column(struct catalogue_query *query, int column) {
    const void *data = sqlite3_column_blob(query->statement, column);
    return slice_of(data, (size_t)sqlite3_column_bytes(query->statement, column));
}

enum status catalogue_hash(struct catalogue_query *query, int column, uint8_t hash[SHA256_BYTES],
                           struct error *error) {
    struct slice content = catalogue_column(query, column);
    if (content.size != SHA256_BYTES) {
        return error_set(error, ERR_DAMAGED, "the catalogue is damaged: not a hash");
    }
    memcpy(hash, content.data, SHA256_BYTES);
    return OK;
}

void catalogue_done(struct catalogue_query *query) {
    if (query->statement != NULL) {
        // Its code is that of the last step, which was looked at.
        (void)sqlite3_reset(query->statement);
        (void)sqlite3_clear_bindings(query->statement);
    }
}

uint64_t catalogue_changes(struct catalogue_session *session) {
    return (uint64_t)sqlite3_changes64(session->connection);
}

enum status catalogue_run(struct catalogue_session *session, const char *sql, struct error *error) {
    return execute(session->connection, sql, error);
}
