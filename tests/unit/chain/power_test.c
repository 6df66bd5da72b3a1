// SPDX-License-Identifier: Apache-2.0
// Losses of power, kills and failing disks at any moment, by the thousand. A seed is a history of
// several lives of one log: events are appended, written and synced in any order, the disk fails,
// and the life ends in a kill, a loss of power or a clean stop. Whatever happened, the log opens
// again, every event that was acknowledged is there, every chain verifies and nothing was invented.
//
//   THEATER_POWER_SEEDS=N   tries N seeds instead of a few hundred
//   THEATER_POWER_SEED=S    tries that one, with what the log says
#include <stdarg.h>

#include "chain/state.h"
#include "fault_disk.h"

enum { CHAINS = 4, LIVES = 4, STEPS_MOST = 60, EVENTS_MOST = 4096 };

struct past {
    uint8_t hash[SHA256_BYTES];
    uint64_t end;  // position behind it
};

struct history {
    uint64_t seed;
    const char *folder;
    struct env env;
    struct fault_disk *disk;
    struct chain_log *log;
    struct chain_head heads[CHAINS];
    uint8_t nonces[CHAINS][CHAIN_NONCE_BYTES];
    bool is_open[CHAINS];
    struct past *pasts[CHAINS];
    uint64_t counts[CHAINS];
    uint64_t acknowledged;  // position up to which all must be there after what ended the life
    uint64_t written;
    uint64_t synced;
    bool drops;  // pages whose sync failed, in this history
    uint64_t segment_bytes;
    uint64_t buffer_bytes;
    char problem[512];
};

static uint64_t pick(struct history *history, uint64_t below) {
    return fault_random(history->disk) % below;
}

static bool wrong(struct history *history, const char *format, ...) PRINTF_LIKE(2, 3);
static bool wrong(struct history *history, const char *format, ...) {
    if (history->problem[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(history->problem, sizeof history->problem, format, arguments);
        va_end(arguments);
    }
    return false;
}

static enum status try_open(struct history *history, struct error *error) {
    struct chain_log_config config = {.folder = history->folder,
                                      .segment_bytes = history->segment_bytes,
                                      .buffer_bytes = history->buffer_bytes,
                                      .pending_most_bytes = 32 << 10,
                                      .is_inline = true,
                                      .with_catalogue = history->seed % 2 == 0,
                                      .disk = &history->disk->table,
                                      .env = &history->env};
    return chain_log_open(&config, &history->log, error);
}

// ---- what must hold ----------------------------------------------------------------------------

// Compares one chain with what was appended to it; what is missing must not be acknowledged, and is
// forgotten.
static bool check_chain(struct history *history, uint32_t chain) {
    char id[16];
    (void)snprintf(id, sizeof id, "chain-%u", chain);
    struct past *past = history->pasts[chain];
    struct chain_reader *reader = NULL;
    struct error error = {0};
    uint64_t count = 0;
    enum status status = chain_reader_open(history->log, id, 0, &reader, &error);
    bool more = status == OK;
    while (more && status == OK) {
        struct chain_event event;
        error_clear(&error);
        status = chain_reader_next(reader, &event, &more, &error);
        if (status != OK) {
            chain_reader_close(reader);
            return wrong(history, "%s", error.message);
        }
        if (!more) {
            break;
        }
        if (count == history->counts[chain] ||
            memcmp(event.hash, past[count].hash, SHA256_BYTES) != 0) {
            chain_reader_close(reader);
            return wrong(history, "%s: event %llu is invented", id, (unsigned long long)count);
        }
        count++;
    }
    chain_reader_close(reader);
    if (count < history->counts[chain] && past[count].end <= history->acknowledged) {
        return wrong(history, "%s: event %llu was acknowledged (%llu <= %llu) and is gone", id,
                     (unsigned long long)count, (unsigned long long)past[count].end,
                     (unsigned long long)history->acknowledged);
    }
    history->counts[chain] = count;
    return true;
}

static bool check_all(struct history *history) {
    struct chain_verdict verdict;
    struct error error = {0};
    uint64_t events = 0;
    for (uint32_t chain = 0; chain < CHAINS; chain++) {
        if (!check_chain(history, chain)) {
            return false;
        }
        events += history->counts[chain];
    }
    if (chain_verify(history->folder, NULL, &verdict, &error) != OK) {
        return wrong(history, "verify: %s", error.message);
    }
    if (!verdict.is_good || verdict.events != events) {
        return wrong(history, "verify: %llu of %llu events, %s at %llu: %s",
                     (unsigned long long)verdict.events, (unsigned long long)events,
                     verdict.segment, (unsigned long long)verdict.offset, verdict.reason);
    }
    return true;
}

// ---- a life ------------------------------------------------------------------------------------

static void note_acknowledged(struct history *history) {
    struct chain_stats stats;
    chain_log_stats(history->log, &stats);
    history->written = stats.written_bytes;
    history->synced = stats.synced_bytes;
}

// Opens what the last life left, with power losses in the middle of opening now and then.
static bool begin_life(struct history *history) {
    struct error error = {0};
    fault_disk_mend(history->disk);
    while (pick(history, 3) == 0) {
        history->disk->die_after = history->disk->calls + 1 + pick(history, 8);
        if (try_open(history, &error) == OK) {
            (void)chain_log_close(history->log, NULL);
        } else if (error.code == ERR_DAMAGED) {
            return wrong(history, "opening with a crash: %s", error.message);
        }
        error_clear(&error);
        history->acknowledged = history->synced;
        fault_disk_lose_power(history->disk, (uint32_t)pick(history, 1001));
        fault_disk_mend(history->disk);
    }
    if (try_open(history, &error) != OK) {
        return wrong(history, "does not open: %s", error.message);
    }
    memset(history->is_open, 0, sizeof history->is_open);
    bool is_good = check_all(history);
    note_acknowledged(history);
    return is_good;
}

static bool append_one(struct history *history) {
    uint32_t chain = (uint32_t)pick(history, CHAINS);
    struct chain_head *head = &history->heads[chain];
    struct error error = {0};
    if (history->counts[chain] == EVENTS_MOST) {
        return true;
    }
    if (!history->is_open[chain]) {
        char id[16];
        bool found = false;
        (void)snprintf(id, sizeof id, "chain-%u", chain);
        if (chain_head_open(history->log, id, head, history->nonces[chain], &found, &error) != OK ||
            head->next_seq != history->counts[chain]) {
            return wrong(history, "%s: head: %s", id, error.message);
        }
        history->is_open[chain] = true;
    }
    struct buf data = {0};
    uint64_t end = 0;
    event_data(&data, history->nonces[chain], head->next_seq,
               (size_t)pick(history, pick(history, 12) == 0 ? 6000 : 400));
    enum status status = chain_append(history->log, head, "x", buf_slice(&data), &end, &error);
    buf_release(&data);
    if (status == OK) {
        struct past *past = &history->pasts[chain][history->counts[chain]++];
        memcpy(past->hash, head->hash, SHA256_BYTES);
        past->end = end;
    } else if (strstr(error.message, history->folder) == NULL) {
        return wrong(history, "a failed append does not name the folder: %s", error.message);
    }
    return true;
}

static void change_faults(struct history *history) {
    static const uint32_t chances[] = {0, 0, 0, 20, 100, 400};
    struct fault_disk *disk = history->disk;
    disk->short_writes = chances[pick(history, COUNT_OF(chances))];
    disk->write_errors = chances[pick(history, COUNT_OF(chances))];
    disk->sync_errors = chances[pick(history, COUNT_OF(chances))];
    disk->room_errors = chances[pick(history, COUNT_OF(chances))];
    disk->is_full = pick(history, 8) == 0;
    disk->drops_pages = history->drops;
}

static bool live(struct history *history) {
    uint64_t steps = pick(history, STEPS_MOST);
    bool is_faulty = pick(history, 2) == 0;
    if (pick(history, 2) == 0) {
        history->disk->die_after = history->disk->calls + 1 + pick(history, 40);
    }
    for (uint64_t i = 0; i < steps && !history->disk->is_dead; i++) {
        switch (pick(history, is_faulty ? 9 : 8)) {
            case 0:
            case 1:
                (void)writer_step(history->log);
                break;
            case 2:
                (void)sync_step(history->log);
                break;
            case 8:
                change_faults(history);
                break;
            default:
                if (!append_one(history)) {
                    return false;
                }
        }
        note_acknowledged(history);
    }
    return true;
}

// Ends the life; what the disk then holds is what the next one finds.
static bool end_life(struct history *history) {
    struct fault_disk *disk = history->disk;
    struct error error = {0};
    uint64_t way = pick(history, 4);
    struct chain_log *log = history->log;
    history->log = NULL;
    if (way == 0) {  // a clean stop, if the disk lets it
        bool was_faulty = history->drops && disk->failed_syncs > 0;
        fault_disk_mend(disk);
        if (chain_log_close(log, &error) == OK) {
            history->acknowledged = history->synced = UINT64_MAX;
        } else if (!was_faulty) {
            return wrong(history, "does not close: %s", error.message);
        } else {
            history->acknowledged = history->synced;
        }
    } else if (way == 1 && !history->drops) {  // a kill: what was written stays
        history->acknowledged = history->written;
        disk->is_dead = true;
        (void)chain_log_close(log, NULL);
    } else {
        history->acknowledged = history->synced;
        disk->is_dead = true;
        (void)chain_log_close(log, NULL);
        static const uint32_t parts[] = {0, 1000, 500, 100, 900};
        fault_disk_lose_power(disk, parts[pick(history, COUNT_OF(parts))]);
    }
    return true;
}

static bool run_seed(uint64_t seed, char problem[512]) {
    struct history history = {.seed = seed, .folder = fresh_folder("power")};
    REQUIRE(mkdir(history.folder, 0700) == 0);
    env_init_seeded(&history.env, seed, 1000000);
    history.disk = fault_disk_new(history.folder, seed);
    history.drops = pick(&history, 4) == 0;
    history.segment_bytes = 4096 << pick(&history, 3);
    history.buffer_bytes = 1024 << pick(&history, 3);
    for (uint32_t i = 0; i < CHAINS; i++) {
        history.pasts[i] = xmalloc(EVENTS_MOST * sizeof *history.pasts[i]);
    }
    bool is_good = true;
    for (int i = 0; is_good && i < LIVES; i++) {
        is_good = begin_life(&history) && live(&history) && end_life(&history);
    }
    is_good = is_good && begin_life(&history);
    if (history.log != NULL) {
        (void)chain_log_close(history.log, NULL);
    }
    for (uint32_t i = 0; i < CHAINS; i++) {
        free(history.pasts[i]);
    }
    fault_disk_free(history.disk);
    memcpy(problem, history.problem, sizeof history.problem);
    return is_good;
}

TEST(nothing_acknowledged_is_lost) {
    const char *single = getenv("THEATER_POWER_SEED");
    const char *many = getenv("THEATER_POWER_SEEDS");
    uint64_t first = single != NULL ? strtoull(single, NULL, 10) : 1;
    uint64_t seeds = single != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : 400;
    int saved = dup(2);
    if (single == NULL) {
        REQUIRE(freopen("/dev/null", "w", stderr) != NULL);
    }
    char problem[512] = "";
    uint64_t seed = first;
    bool is_good = true;
    while (is_good && seed < first + seeds) {
        is_good = run_seed(seed++, problem);
    }
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    if (!is_good) {
        test_report(__FILE__, __LINE__, "THEATER_POWER_SEED=%llu: %s",
                    (unsigned long long)(seed - 1), problem);
    }
}

int main(void) {
    return test_main();
}
