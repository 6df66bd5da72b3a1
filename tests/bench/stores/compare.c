// SPDX-License-Identifier: Apache-2.0
// The same events in SQLite and in LMDB, for comparison with the log (theater-log-bench): appending
// with a durable commit for each group, opening again, and finding one chain's last events. What
// the log does besides, hashing each event onto its chain and checksums, they are spared.
//
//   compare [folder [events [chains [group]]]]     default: stores-bench.tmp 1000000 10000 5000
//
// Built by script/bench, not by CMake: it needs liblmdb, which nothing else does.
#include <lmdb.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// As a frame of 170 bytes of data: header, parent hash, what encodes the event.
enum { EVENT_BYTES = 270, LAST_EVENTS = 100, LOOKUPS = 300 };

static const char *folder = "stores-bench.tmp";
static uint64_t events = 1000000;
static uint64_t chains = 10000;
static uint64_t group = 5000;
static uint64_t *next_seq;  // by chain

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void stop(const char *what, const char *why) {
    fprintf(stderr, "compare: %s: %s\n", what, why);
    exit(1);
}

// The chain of the next event: each once, then any, as in theater-log-bench.
static uint64_t pick(uint64_t index, uint64_t *state) {
    if (index < chains) {
        return index;
    }
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % chains;
}

static void path_of(const char *name, char *out, size_t size) {
    snprintf(out, size, "%s/%s", folder, name);
    remove(out);
}

static int compare(const void *one, const void *other) {
    uint64_t a = *(const uint64_t *)one;
    uint64_t b = *(const uint64_t *)other;
    return a < b ? -1 : a > b ? 1 : 0;
}

static void print_lookups(uint64_t *times, uint64_t found) {
    qsort(times, LOOKUPS, sizeof *times, compare);
    printf("  last %d events of one chain: %.3f ms in the middle, %.3f ms at 99 %% (%.0f each)\n",
           LAST_EVENTS, (double)times[LOOKUPS / 2] / 1e6, (double)times[LOOKUPS * 99 / 100] / 1e6,
           (double)found / LOOKUPS);
}

static void print_append(const char *what, uint64_t took) {
    printf("%s\n  append, a durable commit for %llu events: %.0f events/s\n", what,
           (unsigned long long)group, (double)events * 1e9 / (double)took);
}

// ---- SQLite ------------------------------------------------------------------------------------

static sqlite3 *sqlite_open(const char *path) {
    sqlite3 *base = NULL;
    if (sqlite3_open(path, &base) != SQLITE_OK ||
        sqlite3_exec(base, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", 0, 0, 0)) {
        stop("SQLite", sqlite3_errmsg(base));
    }
    return base;
}

static void sqlite_do(sqlite3 *base, const char *sql) {
    if (sqlite3_exec(base, sql, NULL, NULL, NULL) != SQLITE_OK) {
        stop("SQLite", sqlite3_errmsg(base));
    }
}

static void sqlite_fill(sqlite3 *base, const uint8_t *event) {
    uint64_t state = 88172645463325252U;
    sqlite3_stmt *insert = NULL;
    if (sqlite3_prepare_v2(base, "INSERT INTO events (chain, seq, event) VALUES (?1, ?2, ?3)", -1,
                           &insert, NULL) != SQLITE_OK) {
        stop("SQLite", sqlite3_errmsg(base));
    }
    sqlite_do(base, "BEGIN");
    for (uint64_t i = 0; i < events; i++) {
        uint64_t chain = pick(i, &state);
        sqlite3_bind_int64(insert, 1, (sqlite3_int64)chain);
        sqlite3_bind_int64(insert, 2, (sqlite3_int64)next_seq[chain]++);
        sqlite3_bind_blob(insert, 3, event, EVENT_BYTES, SQLITE_STATIC);
        if (sqlite3_step(insert) != SQLITE_DONE) {
            stop("SQLite", sqlite3_errmsg(base));
        }
        sqlite3_reset(insert);
        if ((i + 1) % group == 0) {
            sqlite_do(base, "COMMIT; BEGIN");
        }
    }
    sqlite_do(base, "COMMIT");
    sqlite3_finalize(insert);
}

static uint64_t sqlite_look_up(sqlite3 *base, uint64_t *times) {
    sqlite3_stmt *select = NULL;
    uint64_t found = 0;
    if (sqlite3_prepare_v2(base,
                           "SELECT seq, event FROM events WHERE chain = ?1 ORDER BY seq DESC"
                           " LIMIT ?2",
                           -1, &select, NULL) != SQLITE_OK) {
        stop("SQLite", sqlite3_errmsg(base));
    }
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        uint64_t start = now_ns();
        sqlite3_bind_int64(select, 1, (sqlite3_int64)(i * 7919 % chains));
        sqlite3_bind_int(select, 2, LAST_EVENTS);
        while (sqlite3_step(select) == SQLITE_ROW) {
            found += sqlite3_column_bytes(select, 1) == EVENT_BYTES ? 1 : 0;
        }
        sqlite3_reset(select);
        times[i] = now_ns() - start;
    }
    sqlite3_finalize(select);
    return found;
}

static void run_sqlite(const uint8_t *event, int has_index) {
    char path[512];
    uint64_t times[LOOKUPS];
    path_of("compare.db-wal", path, sizeof path);
    path_of("compare.db", path, sizeof path);
    memset(next_seq, 0, chains * sizeof *next_seq);
    sqlite3 *base = sqlite_open(path);
    sqlite_do(base, "CREATE TABLE events (chain INTEGER, seq INTEGER, event BLOB)");
    if (has_index) {
        sqlite_do(base, "CREATE UNIQUE INDEX by_chain ON events (chain, seq)");
    }
    uint64_t start = now_ns();
    sqlite_fill(base, event);
    print_append(has_index ? "SQLite, rows with an index by chain"
                           : "SQLite, rows only, which no chain can be read from",
                 now_ns() - start);
    sqlite3_close(base);
    if (!has_index) {
        return;
    }
    start = now_ns();
    base = sqlite_open(path);
    (void)sqlite_look_up(base, times);
    printf("  open, and %d look-ups: %.3f s\n", LOOKUPS, (double)(now_ns() - start) / 1e9);
    print_lookups(times, sqlite_look_up(base, times));
    sqlite3_close(base);
}

// ---- LMDB --------------------------------------------------------------------------------------

static void lmdb_check(int code) {
    if (code != 0) {
        stop("LMDB", mdb_strerror(code));
    }
}

static void put_key(uint8_t key[16], uint64_t chain, uint64_t seq) {
    for (int i = 0; i < 8; i++) {
        key[i] = (uint8_t)(chain >> (56 - 8 * i));
        key[8 + i] = (uint8_t)(seq >> (56 - 8 * i));
    }
}

static MDB_env *lmdb_open(const char *path) {
    MDB_env *env = NULL;
    lmdb_check(mdb_env_create(&env));
    lmdb_check(mdb_env_set_mapsize(env, (size_t)events * 1024 + ((size_t)1 << 30)));
    lmdb_check(mdb_env_open(env, path, MDB_NOSUBDIR, 0600));
    return env;
}

static void lmdb_fill(MDB_env *env, uint8_t *event) {
    uint64_t state = 88172645463325252U;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    lmdb_check(mdb_txn_begin(env, NULL, 0, &txn));
    lmdb_check(mdb_dbi_open(txn, NULL, 0, &dbi));
    for (uint64_t i = 0; i < events; i++) {
        uint64_t chain = pick(i, &state);
        uint8_t key[16];
        put_key(key, chain, next_seq[chain]++);
        MDB_val name = {.mv_size = sizeof key, .mv_data = key};
        MDB_val value = {.mv_size = EVENT_BYTES, .mv_data = event};
        lmdb_check(mdb_put(txn, dbi, &name, &value, 0));
        if ((i + 1) % group == 0) {
            lmdb_check(mdb_txn_commit(txn));
            lmdb_check(mdb_txn_begin(env, NULL, 0, &txn));
        }
    }
    lmdb_check(mdb_txn_commit(txn));
}

static uint64_t lmdb_look_up(MDB_env *env, uint64_t *times) {
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    MDB_cursor *cursor = NULL;
    uint64_t found = 0;
    lmdb_check(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
    lmdb_check(mdb_dbi_open(txn, NULL, 0, &dbi));
    lmdb_check(mdb_cursor_open(txn, dbi, &cursor));
    for (uint64_t i = 0; i < LOOKUPS; i++) {
        uint64_t start = now_ns();
        uint64_t chain = i * 7919 % chains;
        uint8_t key[16];
        uint8_t event[EVENT_BYTES];
        put_key(key, chain + 1, 0);
        MDB_val name = {.mv_size = sizeof key, .mv_data = key};
        MDB_val value;
        int code = mdb_cursor_get(cursor, &name, &value, MDB_SET_RANGE);
        code = mdb_cursor_get(cursor, &name, &value, code == 0 ? MDB_PREV : MDB_LAST);
        for (int n = 0; code == 0 && n < LAST_EVENTS; n++) {
            put_key(key, chain, 0);
            if (memcmp(name.mv_data, key, 8) != 0) {
                break;
            }
            memcpy(event, value.mv_data, sizeof event);
            found += event[0] == 0x5a ? 1 : 0;
            code = mdb_cursor_get(cursor, &name, &value, MDB_PREV);
        }
        times[i] = now_ns() - start;
    }
    mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return found;
}

static void run_lmdb(uint8_t *event) {
    char path[512];
    uint64_t times[LOOKUPS];
    path_of("compare.mdb", path, sizeof path);
    memset(next_seq, 0, chains * sizeof *next_seq);
    MDB_env *env = lmdb_open(path);
    uint64_t start = now_ns();
    lmdb_fill(env, event);
    print_append("LMDB, keys of chain and sequence number", now_ns() - start);
    mdb_env_close(env);
    start = now_ns();
    env = lmdb_open(path);
    (void)lmdb_look_up(env, times);
    printf("  open, and %d look-ups: %.3f s\n", LOOKUPS, (double)(now_ns() - start) / 1e9);
    print_lookups(times, lmdb_look_up(env, times));
    mdb_env_close(env);
}

int main(int count, char **arguments) {
    uint8_t event[EVENT_BYTES];
    folder = count > 1 ? arguments[1] : folder;
    events = count > 2 ? strtoull(arguments[2], NULL, 10) : events;
    chains = count > 3 ? strtoull(arguments[3], NULL, 10) : chains;
    group = count > 4 ? strtoull(arguments[4], NULL, 10) : group;
    if (chains == 0 || group == 0 || events < chains) {
        stop("arguments", "at least one chain, an event for each, and a group");
    }
    memset(event, 0x5a, sizeof event);
    next_seq = calloc(chains, sizeof *next_seq);
    if (next_seq == NULL || (mkdir(folder, 0700) != 0 && access(folder, W_OK) != 0)) {
        stop(folder, "cannot be used");
    }
    run_sqlite(event, 0);
    run_sqlite(event, 1);
    run_lmdb(event);
    char path[512];
    static const char *const names[] = {"compare.db", "compare.db-wal", "compare.db-shm",
                                        "compare.mdb", "compare.mdb-lock"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_of(names[i], path, sizeof path);
    }
    free(next_seq);
    return 0;
}
