// SPDX-License-Identifier: Apache-2.0
// theater chain list and show (and export as JSON lines, which is show for programs).
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/chain.h"
#include "codec/cbor.h"

// ---- times -------------------------------------------------------------------------------------

static void append_time(struct buf *line, uint64_t time_ns) {
    time_t seconds = (time_t)(time_ns / 1000000000U);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    buf_format(line, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", parts.tm_year + 1900, parts.tm_mon + 1,
               parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
               (unsigned)(time_ns / 1000U % 1000000U));
}

static bool parse_ago(const char *text, uint64_t now_ns, uint64_t *out_ns) {
    static const struct {
        char unit;
        uint64_t ns;
    } units[] = {{'s', 1000000000U},
                 {'m', 60 * UINT64_C(1000000000)},
                 {'h', 3600 * UINT64_C(1000000000)},
                 {'d', 86400 * UINT64_C(1000000000)}};
    char *end = NULL;
    uint64_t count = strtoull(text, &end, 10);
    for (size_t i = 0; *text >= '0' && *text <= '9' && i < COUNT_OF(units); i++) {
        if (end[0] == units[i].unit && end[1] == '\0' && count <= now_ns / units[i].ns) {
            *out_ns = now_ns - count * units[i].ns;
            return true;
        }
    }
    return false;
}

bool cli_parse_time(const char *text, uint64_t now_ns, uint64_t *out_ns) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, end = 0;
    uint64_t fraction_ns = 0;
    if (parse_ago(text, now_ns, out_ns)) {
        return true;
    }
    if (sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &end) != 3) {
        return false;
    }
    const char *rest = text + end;
    if (*rest != '\0') {
        end = 0;
        if (sscanf(rest, "T%2d:%2d:%2d%n", &hour, &minute, &second, &end) != 3 || end == 0) {
            return false;
        }
        rest += end;
        uint64_t unit = 100000000U;
        for (rest += *rest == '.' ? 1 : 0; *rest >= '0' && *rest <= '9'; rest++) {
            fraction_ns += (uint64_t)(*rest - '0') * unit;
            unit /= 10;
        }
        if (strcmp(rest, "Z") != 0) {
            return false;
        }
    }
    struct tm parts = {.tm_year = year - 1900,
                       .tm_mon = month - 1,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_sec = second};
    struct tm given = parts;
    time_t seconds = timegm(&parts);
    // timegm takes the 31st of June for the 1st of July.
    bool is_date = parts.tm_mon == given.tm_mon && parts.tm_mday == given.tm_mday &&
                   parts.tm_hour == given.tm_hour && parts.tm_min == given.tm_min;
    if (seconds < 0 || !is_date || year > 2500) {
        return false;
    }
    *out_ns = (uint64_t)seconds * 1000000000U + fraction_ns;
    return true;
}

// ---- list --------------------------------------------------------------------------------------

static enum status print_chain(const struct chain_command *command, struct chain_log *log,
                               const char *id, struct error *error) {
    if (!command->json && !command->is_long) {
        puts(id);
        return OK;
    }
    struct chain_head head;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    bool is_found = false;
    enum status status = chain_head_open(log, id, &head, nonce, &is_found, error);
    if (status != OK) {
        return status;
    }
    bool is_imported = log == command->imported;
    char hash[SHA256_TEXT_BYTES];
    sha256_text(head.hash, hash);
    struct buf line = {0};
    if (command->json) {
        buf_format(&line,
                   "{\"actor\":\"%s\",\"events\":%" PRIu64 ",\"last_time\":%" PRIu64
                   ",\"head\":\"%s\",\"imported\":%s}\n",
                   id, head.next_seq, head.last_time_ns, hash, is_imported ? "true" : "false");
    } else {
        buf_format(&line, "%10" PRIu64 "  ", head.next_seq);
        append_time(&line, head.last_time_ns);
        buf_format(&line, "  %.12s  %s%s\n", hash, id, is_imported ? "  (imported)" : "");
    }
    fwrite(line.data, 1, line.size, stdout);
    buf_release(&line);
    return OK;
}

static enum status print_chains(const struct chain_command *command, struct chain_log *log,
                                struct error *error) {
    char **ids = NULL;
    uint64_t count = 0;
    enum status status = log == NULL ? OK : chain_list(log, &ids, &count, error);
    for (uint64_t i = 0; status == OK && i < count; i++) {
        status = print_chain(command, log, ids[i], error);
    }
    cli_chain_free_ids(ids, count);
    return status;
}

int cli_chain_list(struct chain_command *command) {
    struct error error = {0};
    enum status status = cli_chain_open(command, &error);
    if (status == OK && command->is_long && !command->json) {
        printf("%10s  %-27s  %-12s  %s\n", "EVENTS", "LAST", "HEAD", "ACTOR");
    }
    if (status == OK) {
        status = print_chains(command, command->log, &error);
    }
    if (status == OK) {
        status = print_chains(command, command->imported, &error);
    }
    fflush(stdout);
    if (status == ERR_DAMAGED && command->log == NULL) {
        return cli_chain_list_damaged(command, &error);
    }
    return status == OK ? EXIT_GOOD : cli_error(&error);
}

// ---- show --------------------------------------------------------------------------------------

void cli_print_event(const struct chain_event *event) {
    struct buf line = {0};
    char hash[SHA256_TEXT_BYTES];
    sha256_text(event->hash, hash);
    buf_format(&line, "%6" PRIu64 "  ", event->seq);
    append_time(&line, event->time_ns);
    buf_format(&line, "  %.12s  %-22.*s ", hash, (int)event->type.size,
               (const char *)event->type.data);
    cbor_to_json(event->data, &line);
    if (line.size > 400) {
        line.size = 400;
        while (line.size > 0 && (line.data[line.size] & 0xc0U) == 0x80U) {
            line.size--;
        }
        buf_append_text(&line, "…");
    }
    buf_append_byte(&line, '\n');
    fwrite(line.data, 1, line.size, stdout);
    buf_release(&line);
}

static void print_event(const struct chain_command *command, const char *id,
                        const struct chain_event *event) {
    if (!command->json) {
        cli_print_event(event);
        return;
    }
    struct buf line = {0};
    chain_event_json(id, event, &line);
    fwrite(line.data, 1, line.size, stdout);
    buf_release(&line);
}

static enum status print_filled(const struct chain_command *command, const char *id,
                                struct chain_event *event, struct error *error) {
    struct buf data = {0};
    enum status status = OK;
    if (command->store != NULL) {
        status = cli_fill_in(command->store, event->data, &data, error);
        event->data = buf_slice(&data);
    }
    if (status == OK) {
        print_event(command, id, event);
    }
    buf_release(&data);
    return status;
}

struct chain_filter cli_chain_filter(const struct chain_command *command) {
    return (struct chain_filter){.types = command->types,
                                 .type_count = command->type_count,
                                 .since_ns = command->since_ns,
                                 .before_ns = command->before_ns};
}

static bool is_wanted(const struct chain_command *command, const struct chain_event *event) {
    struct chain_filter filter = cli_chain_filter(command);
    return chain_filter_matches(&filter, event);
}

void cli_chain_print(const struct chain_command *command, const struct chain_event *event) {
    if (event->seq <= command->until && is_wanted(command, event)) {
        print_event(command, event->id, event);
    }
}

// *is_log_bad: what failed was reading the chain, which has been printed up to before
// command->from.
static enum status print_events(struct chain_command *command, struct chain_log *log,
                                const char *id, bool *is_log_bad, struct error *error) {
    struct chain_reader *reader = NULL;
    enum status status = chain_reader_open(log, id, command->from, &reader, error);
    bool more = status == OK;
    *is_log_bad = status != OK;
    while (status == OK && more) {
        struct chain_event event;
        status = chain_reader_next(reader, &event, &more, error);
        *is_log_bad = status != OK;
        if (status != OK || !more || event.seq > command->until ||
            event.time_ns >= command->before_ns) {
            break;
        }
        command->from = event.seq + 1;
        if (is_wanted(command, &event)) {
            status = print_filled(command, id, &event, error);
        }
    }
    chain_reader_close(reader);
    return status;
}

int cli_chain_show(struct chain_command *command, const char *name) {
    struct error error = {0};
    char *id = NULL;
    struct chain_log *log = NULL;
    enum status status = cli_chain_open(command, &error);
    if (status == OK) {
        status = cli_chain_find(command, name, &id, &log, &error);
    }
    bool is_log_bad = status != OK;
    if (status == OK && command->fills_in) {
        struct store_config config = {
            .data_folder = command->data, .read_only = true, .env = env_system()};
        status = store_open(&config, &command->store, &error);
    }
    if (status == OK) {
        status = print_events(command, log, id, &is_log_bad, &error);
    }
    free(id);
    fflush(stdout);
    // A content that the store holds damaged is another matter.
    if (status == ERR_DAMAGED && is_log_bad && (log == NULL || log == command->log)) {
        return cli_chain_show_damaged(command, name, &error);
    }
    return status == OK ? EXIT_GOOD : cli_error(&error);
}
