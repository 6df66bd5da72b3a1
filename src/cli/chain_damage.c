// SPDX-License-Identifier: Apache-2.0
// What `theater chain` shows of a damaged log: events that are still whole, and what is missing.
// Events go to standard output as ever, what is missing to standard error, in its place.
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "cli/chain.h"

enum { LOSSES_SHOWN = 20 };

static void print_loss(FILE *out, const char *indent, const struct chain_loss *loss) {
    (void)fputs(indent, out);
    if (loss->id != NULL) {
        (void)fprintf(out, "actor %s: ", loss->id);
    }
    if (loss->segment[0] != '\0' && loss->end == UINT64_MAX) {
        (void)fprintf(out, "%s from byte %" PRIu64 " on: ", loss->segment, loss->offset);
    } else if (loss->segment[0] != '\0') {
        (void)fprintf(out, "%s, bytes %" PRIu64 " to %" PRIu64 ": ", loss->segment, loss->offset,
                      loss->end);
    }
    (void)fprintf(out, "%s\n", loss->reason);
}

// ---- names -------------------------------------------------------------------------------------

struct names {
    const char *name;  // or a beginning of it; NULL: all
    struct map ids;    // each stands for itself
    const char *first;
    bool is_exact;
};

static enum status take_name(void *context, const struct chain_event *event, struct error *error) {
    struct names *names = context;
    (void)error;
    if (names->name != NULL && strncmp(event->id, names->name, strlen(names->name)) != 0) {
        return OK;
    }
    if (map_get_text(&names->ids, event->id) == NULL) {
        char *id = xstrdup(event->id);
        bool is_new = map_add(&names->ids, slice_text(id), id);
        assert(is_new);
        (void)is_new;
        names->first = names->first == NULL ? id : names->first;
        names->is_exact =
            names->is_exact || (names->name != NULL && strcmp(event->id, names->name) == 0);
    }
    return OK;
}

static void free_names(struct names *names) {
    uint32_t cursor = 0;
    for (struct map_entry *entry = map_next(&names->ids, &cursor); entry != NULL;
         entry = map_next(&names->ids, &cursor)) {
        free(entry->value);
    }
    map_release(&names->ids);
}

static void pass_loss(void *context, const struct chain_loss *loss) {
    (void)context;
    (void)loss;
}

static enum status find_name(const struct chain_command *command, const char *name, char **id,
                             struct error *error) {
    struct names names = {.name = name};
    enum status status = chain_salvage(command->log_folder, take_name, pass_loss, &names, error);
    if (status == OK && names.ids.live_count == 0) {
        status = error_set(error, ERR_NOT_FOUND, "nothing of an actor '%s' can be read in %s", name,
                           command->log_folder);
    } else if (status == OK && names.ids.live_count > 1 && !names.is_exact) {
        status = error_set(error, ERR_INVALID,
                           "'%s' is the beginning of %" PRIu64 " ids; give more of it", name,
                           (uint64_t)names.ids.live_count);
    }
    if (status == OK) {
        *id = xstrdup(names.is_exact ? name : names.first);
    }
    free_names(&names);
    return status;
}

int cli_chain_list_damaged(const struct chain_command *command, const struct error *damage) {
    struct names names = {0};
    struct error error = {0};
    (void)cli_error(damage);
    enum status status = chain_salvage(command->log_folder, take_name, pass_loss, &names, &error);
    uint32_t cursor = 0;
    for (struct map_entry *entry = map_next(&names.ids, &cursor); entry != NULL;
         entry = map_next(&names.ids, &cursor)) {
        puts(entry->value);
    }
    free_names(&names);
    return status == OK ? EXIT_BAD_CHAIN : cli_error(&error);
}

// ---- events ------------------------------------------------------------------------------------

struct showing {
    const struct chain_command *command;
    const char *id;
};

static enum status show_event(void *context, const struct chain_event *event, struct error *error) {
    const struct showing *showing = context;
    (void)error;
    if (strcmp(event->id, showing->id) != 0 || event->seq < showing->command->from) {
        return OK;
    }
    cli_chain_print(showing->command, event);
    return OK;
}

static void show_loss(void *context, const struct chain_loss *loss) {
    const struct showing *showing = context;
    bool is_ours = loss->id == NULL || strcmp(loss->id, showing->id) == 0;
    if (is_ours && (loss->first_seq == UINT64_MAX || loss->last_seq >= showing->command->from)) {
        (void)fflush(stdout);
        print_loss(stderr, "theater: ", loss);
    }
}

int cli_chain_show_damaged(const struct chain_command *command, const char *name,
                           const struct error *damage) {
    struct showing showing = {.command = command};
    struct error error = {0};
    char *id = NULL;
    (void)cli_error(damage);
    (void)fputs("theater: what is still whole of it follows\n", stderr);
    enum status status = find_name(command, name, &id, &error);
    if (status == OK) {
        showing.id = id;
        status = chain_salvage(command->log_folder, show_event, show_loss, &showing, &error);
    }
    free(id);
    (void)fflush(stdout);
    return status == OK ? EXIT_BAD_CHAIN : cli_error(&error);
}

// ---- all of it ---------------------------------------------------------------------------------

struct survey {
    uint64_t events;
    uint64_t losses;
    struct chain_loss shown[LOSSES_SHOWN];
    char *ids[LOSSES_SHOWN];
};

static enum status count_event(void *context, const struct chain_event *event,
                               struct error *error) {
    struct survey *survey = context;
    (void)event;
    (void)error;
    survey->events++;
    return OK;
}

static void count_loss(void *context, const struct chain_loss *loss) {
    struct survey *survey = context;
    if (survey->losses < LOSSES_SHOWN) {
        struct chain_loss *kept = &survey->shown[survey->losses];
        *kept = *loss;
        kept->id = survey->ids[survey->losses] = loss->id == NULL ? NULL : xstrdup(loss->id);
    }
    survey->losses++;
}

void cli_chain_survey(const char *log_folder) {
    struct survey *survey = xcalloc(1, sizeof *survey);
    struct error error = {0};
    if (chain_salvage(log_folder, count_event, count_loss, survey, &error) != OK) {
        (void)cli_error(&error);
    } else {
        printf("%" PRIu64 " events can still be read with 'theater chain show'%s\n", survey->events,
               survey->losses > 0 ? "; damaged or missing:" : "");
        for (uint64_t i = 0; i < survey->losses && i < LOSSES_SHOWN; i++) {
            print_loss(stdout, "  ", &survey->shown[i]);
        }
        if (survey->losses > LOSSES_SHOWN) {
            printf("  and %" PRIu64 " more\n", survey->losses - LOSSES_SHOWN);
        }
    }
    for (size_t i = 0; i < LOSSES_SHOWN; i++) {
        free(survey->ids[i]);
    }
    free(survey);
}
