// SPDX-License-Identifier: Apache-2.0
#include "check.h"

#include <stdio.h>
#include <stdlib.h>

#include "codec/cbor.h"
#include "recover.h"
#include "replay/replay.h"

static void must(enum status status, const struct error *error) {
    if (status != OK) {
        fatal("%s", error->message);
    }
}

typedef void (*event_fn)(void *context, const char *id, const struct chain_event *event);

static enum status visit_events(struct world *world, const char *id, event_fn visit, void *context,
                                struct error *error) {
    struct chain_reader *reader = NULL;
    enum status status = chain_reader_open(world->log, id, 0, &reader, error);
    bool more = true;
    while (status == OK && more) {
        struct chain_event event;
        status = chain_reader_next(reader, &event, &more, error);
        if (status == OK && more) {
            visit(context, id, &event);
        }
    }
    chain_reader_close(reader);
    return status;
}

static void each_event(struct world *world, const char *id, event_fn visit, void *context) {
    struct error error = {0};
    must(visit_events(world, id, visit, context, &error), &error);
}

struct ids {
    char **items;
    uint64_t count;
};

// Of actors: the node's own chain is another matter.
static struct ids all_ids(struct world *world) {
    struct error error = {0};
    struct ids ids = {0};
    must(chain_list(world->log, &ids.items, &ids.count, &error), &error);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < ids.count; i++) {
        if (strcmp(ids.items[i], "node") == 0) {
            free(ids.items[i]);
        } else {
            ids.items[kept++] = ids.items[i];
        }
    }
    ids.count = kept;
    return ids;
}

static void free_ids(struct ids *ids) {
    for (uint64_t i = 0; i < ids->count; i++) {
        free(ids->items[i]);
    }
    free(ids->items);
}

static bool is_type(const struct chain_event *event, const char *type) {
    return slice_equal_text(event->type, type);
}

static bool holds(const struct chain_event *event, const char *text) {
    return memmem(event->data.data, event->data.size, text, strlen(text)) != NULL;
}

// The value of a key of the event's map.
static bool find_key(const struct chain_event *event, uint64_t wanted, struct cbor_reader *out) {
    *out = cbor_reader_of(event->data);
    uint64_t pairs = 0;
    if (cbor_read_map(out, &pairs, NULL) != OK) {
        return false;
    }
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t key = 0;
        if (cbor_read_uint(out, &key, NULL) != OK) {
            return false;
        }
        if (key == wanted) {
            return true;
        }
        if (cbor_skip(out, NULL) != OK) {
            return false;
        }
    }
    return false;
}

// ---- order
// ------------------------------------------------------------------------------------

enum { SENDERS_MOST = 256 };

struct order {
    struct sender {
        char id[ACTOR_ID_BYTES];
        uint64_t seq, index;
    } senders[SENDERS_MOST];
    uint32_t count;
};

static struct sender *sender_of(struct order *order, struct slice id) {
    for (uint32_t i = 0; i < order->count; i++) {
        if (slice_equal_text(id, order->senders[i].id)) {
            return &order->senders[i];
        }
    }
    if (order->count == SENDERS_MOST) {
        fatal("more than %d senders", SENDERS_MOST);
    }
    struct sender *sender = &order->senders[order->count++];
    *sender = (struct sender){0};
    memcpy(sender->id, id.data, id.size);
    return sender;
}

static bool is_message(const struct chain_event *event) {
    return is_type(event, "handle-send") || is_type(event, "handle-request") ||
           is_type(event, "handle-channel-open") || is_type(event, "handle-channel-message");
}

// Where a message came from; false for what is none, or came from outside.
static bool read_source(const struct chain_event *event, struct slice *from, uint64_t *seq,
                        uint64_t *index) {
    struct cbor_reader reader;
    uint64_t items = 0;
    return is_message(event) && find_key(event, 2, &reader) &&
           cbor_read_array(&reader, &items, NULL) == OK && items == 3 &&
           cbor_read_text(&reader, from, NULL) == OK && cbor_read_uint(&reader, seq, NULL) == OK &&
           cbor_read_uint(&reader, index, NULL) == OK;
}

static void check_order(void *context, const char *id, const struct chain_event *event) {
    struct order *order = context;
    uint64_t seq = 0;
    uint64_t index = 0;
    struct slice from;
    if (!read_source(event, &from, &seq, &index)) {
        return;
    }
    struct sender *sender = sender_of(order, from);
    bool is_later = sender->seq < seq + 1 || (sender->seq == seq + 1 && sender->index < index + 1);
    if (!is_later) {
        fatal("actor %s handled number %llu.%llu of %s after %llu.%llu (event %llu)", id,
              (unsigned long long)seq, (unsigned long long)index, sender->id,
              (unsigned long long)sender->seq - 1, (unsigned long long)sender->index - 1,
              (unsigned long long)event->seq);
    }
    sender->seq = seq + 1;
    sender->index = index + 1;
}

static void check_source(void *context, const char *id, const struct chain_event *event) {
    struct world *world = context;
    struct slice from;
    uint64_t seq = 0;
    uint64_t index = 0;
    if (!read_source(event, &from, &seq, &index)) {
        return;
    }
    char sender[ACTOR_ID_BYTES] = "";
    memcpy(sender, from.data, from.size);
    struct error error = {0};
    struct chain_reader *reader = NULL;
    struct chain_event sent;
    bool more = false;
    must(chain_reader_open(world->log, sender, seq, &reader, &error), &error);
    must(chain_reader_next(reader, &sent, &more, &error), &error);
    chain_reader_close(reader);
    if (!more) {
        fatal("event %llu of actor %s came from event %llu of %s, which is lost",
              (unsigned long long)event->seq, id, (unsigned long long)seq, sender);
    }
}

// ---- losses
// ------------------------------------------------------------------------------------

struct search {
    const char *text;
    uint32_t handled;
    bool may_lose;
};

static void search_event(void *context, const char *id, const struct chain_event *event) {
    (void)id;
    struct search *search = context;
    struct cbor_reader reader;
    // A turn that waits has its parameters in the first leg only.
    search->handled +=
        is_type(event, "handle-send") && find_key(event, 3, &reader) && holds(event, search->text);
    // Whoever rests, stops or drops its mailbox loses what is in it, and says so.
    search->may_lose |= is_type(event, "shutdown") || is_type(event, "restarted") ||
                        is_type(event, "exited") ||
                        (is_type(event, "crashed") && !holds(event, "restart"));
}

static bool drops_mailbox(struct world *world, const char *id) {
    struct actor *actor = actor_find(world->system, slice_text(id));
    bool drops =
        actor == NULL || actor->program->manifest->mailbox_on_restart == MANIFEST_MAILBOX_DROP;
    actor_unref(actor);
    return drops;
}

static void check_note(struct world *world, const struct note *note) {
    struct search search = {.text = note->text};
    each_event(world, note->target, search_event, &search);
    bool is_accepted = false;
    bool is_refused = false;
    if (note->ask == NULL) {
        is_accepted = !note->is_unknown && note->status == OK;
        is_refused = !note->is_unknown && note->status != OK && note->status != ERR_IO;
    } else if (note->ask->is_done) {
        is_accepted = note->ask->status == OK && strcmp(note->ask->reply, "ok") == 0;
        is_refused = note->ask->status == ERR_GUEST;
    }
    if (search.handled > 1) {
        fatal("message \"%s\" was handled %u times by %s", note->text, search.handled,
              note->target);
    }
    if (is_refused && search.handled != 0) {
        fatal("message \"%s\" to %s was refused, and handled", note->text, note->target);
    }
    if (is_accepted && search.handled == 0 && !search.may_lose &&
        !drops_mailbox(world, note->target)) {
        fatal("message \"%s\" to %s was accepted, and never handled", note->text, note->target);
    }
}

void check_messages(struct world *world, const struct note *notes, uint32_t count) {
    struct ids ids = all_ids(world);
    struct order *order = xcalloc(1, sizeof *order);
    for (uint64_t i = 0; i < ids.count; i++) {
        *order = (struct order){0};
        each_event(world, ids.items[i], check_order, order);
    }
    free(order);
    for (uint32_t i = 0; i < count; i++) {
        bool has_chain = false;
        for (uint64_t j = 0; j < ids.count; j++) {
            has_chain |= strcmp(ids.items[j], notes[i].target) == 0;
        }
        if (has_chain) {
            check_note(world, &notes[i]);
        }
    }
    free_ids(&ids);
}

// ---- ends
// ------------------------------------------------------------------------------------

struct end {
    char type[64];
    char parent[ACTOR_ID_BYTES];
    uint8_t hash[SHA256_BYTES];
    uint64_t position;
    uint64_t crashed_seq;  // of a crash that a restart was promised for; 0: none is open
};

static void note_end(void *context, const char *id, const struct chain_event *event) {
    struct end *end = context;
    struct cbor_reader reader;
    struct slice parent;
    size_t size = event->type.size < sizeof end->type - 1 ? event->type.size : sizeof end->type - 1;
    memcpy(end->type, event->type.data, size);
    end->type[size] = '\0';
    memcpy(end->hash, event->hash, SHA256_BYTES);
    end->position = event->position;
    if (is_type(event, "spawned") && find_key(event, 2, &reader) &&
        cbor_read_text(&reader, &parent, NULL) == OK) {
        memcpy(end->parent, parent.data, parent.size);
    }
    bool is_start = is_type(event, "instance-created") || is_type(event, "shutdown") ||
                    is_type(event, "restarted") || is_type(event, "crashed") ||
                    is_type(event, "aborted") || is_type(event, "resumed");
    // What others did to its mailbox meanwhile.
    if (is_type(event, "limit-reached")) {
        return;
    }
    if (end->crashed_seq != 0 && !is_start) {
        fatal("actor %s crashed in event %llu, and went on with %s", id,
              (unsigned long long)end->crashed_seq, end->type);
    }
    end->crashed_seq = is_type(event, "crashed") ? event->seq : 0;
}

void check_ends(struct world *world, uint8_t digest[SHA256_BYTES]) {
    struct ids ids = all_ids(world);
    struct end *ends = xcalloc(ids.count + 1, sizeof *ends);
    struct buf heads = {0};
    for (uint64_t i = 0; i < ids.count; i++) {
        each_event(world, ids.items[i], note_end, &ends[i]);
        // What a loss of power cut off has no end.
        bool is_of_now = ends[i].position >= world->boot_position;
        if (is_of_now && !is_node_chain(ids.items[i]) && strcmp(ends[i].type, "shutdown") != 0) {
            fatal("the last event of actor %s is %s", ids.items[i], ends[i].type);
        }
        buf_append(&heads, ends[i].hash, SHA256_BYTES);
    }
    for (uint64_t i = 0; i < ids.count; i++) {
        for (uint64_t j = 0; j < ids.count && ends[i].parent[0] != '\0'; j++) {
            if (strcmp(ids.items[j], ends[i].parent) == 0 && ends[j].position < ends[i].position &&
                ends[j].position >= world->boot_position) {
                fatal("actor %s ended before its child %s", ids.items[j], ids.items[i]);
            }
        }
    }
    sha256(buf_slice(&heads), digest);
    buf_release(&heads);
    free(ends);
    free_ids(&ids);
}

// ---- what a loss of power leaves
// -------------------------------------------------------------------------------

struct past {
    struct ids ids;
    struct past_chain {
        struct past_event {
            uint8_t hash[SHA256_BYTES];
            uint64_t position;
        } * events;
        uint64_t count, capacity;
        bool is_unknown;  // the disk had lost what was written and not synced
    } * chains;
    uint64_t synced;
};

static void note_past(void *context, const char *id, const struct chain_event *event) {
    struct past_chain *chain = context;
    (void)id;
    if (chain->count == chain->capacity) {
        chain->capacity = chain->capacity == 0 ? 64 : 2 * chain->capacity;
        chain->events = xrealloc(chain->events, chain->capacity * sizeof *chain->events);
    }
    struct past_event *past = &chain->events[chain->count++];
    memcpy(past->hash, event->hash, SHA256_BYTES);
    past->position = event->position;
}

struct past *past_of(struct world *world) {
    struct past *past = xcalloc(1, sizeof *past);
    struct chain_stats stats;
    chain_log_stats(world->log, &stats);
    past->synced = stats.synced_bytes;
    past->ids = all_ids(world);
    past->chains = xcalloc(past->ids.count + 1, sizeof *past->chains);
    for (uint64_t i = 0; i < past->ids.count; i++) {
        struct error error = {0};
        enum status status =
            visit_events(world, past->ids.items[i], note_past, &past->chains[i], &error);
        past->chains[i].is_unknown = status == ERR_DAMAGED && stats.is_standing;
        must(past->chains[i].is_unknown ? OK : status, &error);
    }
    return past;
}

struct surviving {
    const struct past_chain *past;
    uint64_t count;
};

static void check_survivor(void *context, const char *id, const struct chain_event *event) {
    struct surviving *surviving = context;
    if (event->seq >= surviving->past->count ||
        memcmp(event->hash, surviving->past->events[event->seq].hash, SHA256_BYTES) != 0) {
        fatal("event %llu of actor %s was another before the power went",
              (unsigned long long)event->seq, id);
    }
    surviving->count++;
}

static uint64_t find_past(const struct past *past, const char *id) {
    for (uint64_t i = 0; i < past->ids.count; i++) {
        if (strcmp(past->ids.items[i], id) == 0) {
            return i;
        }
    }
    fatal("actor %s was not there before the power went", id);
}

void check_survivors(struct world *world, struct past *past) {
    struct ids ids = all_ids(world);
    uint64_t *left = xcalloc(past->ids.count + 1, sizeof *left);
    for (uint64_t i = 0; i < ids.count; i++) {
        uint64_t at = find_past(past, ids.items[i]);
        struct surviving surviving = {.past = &past->chains[at]};
        if (!surviving.past->is_unknown) {
            each_event(world, ids.items[i], check_survivor, &surviving);
        }
        left[at] = surviving.count;
    }
    for (uint64_t i = 0; i < past->ids.count; i++) {
        const struct past_chain *chain = &past->chains[i];
        if (!chain->is_unknown && left[i] < chain->count &&
            chain->events[left[i]].position < past->synced) {
            fatal("event %llu of actor %s was synced, and is lost", (unsigned long long)left[i],
                  past->ids.items[i]);
        }
        free(chain->events);
    }
    // Whoever handled a message has a sender that knows of it.
    for (uint64_t i = 0; i < ids.count; i++) {
        each_event(world, ids.items[i], check_source, world);
    }
    free(left);
    free(past->chains);
    free_ids(&past->ids);
    free(past);
    free_ids(&ids);
}

// ---- running again
// ---------------------------------------------------------------------------------

struct replaying {
    struct world *world;
    struct chain_reader *reader;
    const char *id;
};

static enum status next_event(void *context, struct chain_event *event, bool *more,
                              struct error *error) {
    struct replaying *replaying = context;
    return chain_reader_next(replaying->reader, event, more, error);
}

static enum status kept_content(void *context, const uint8_t hash[SHA256_BYTES],
                                uint64_t limit_bytes, struct bytes **out, struct error *error) {
    struct replaying *replaying = context;
    struct bytes *content = map_get(&replaying->world->kept, slice_of(hash, SHA256_BYTES));
    if (content == NULL || content->size > limit_bytes) {
        return error_set(error, ERR_NOT_FOUND, "a content that was not kept");
    }
    *out = bytes_ref(content);
    return OK;
}

static enum status visit_range(void *context, const char *id, uint64_t first, uint64_t count,
                               actor_visit_fn visit, void *visit_context, struct error *error) {
    struct replaying *replaying = context;
    struct chain_reader *reader = NULL;
    enum status status = chain_reader_open(replaying->world->log, id, first, &reader, error);
    bool more = status == OK;
    for (uint64_t i = 0; more && i < count; i++) {
        struct chain_event event;
        status = chain_reader_next(reader, &event, &more, error);
        more = status == OK && more && visit(visit_context, &event);
    }
    if (reader != NULL) {
        chain_reader_close(reader);
    }
    return status;
}

static bool show_difference(void *context, const struct replay_step *step) {
    const struct replaying *replaying = context;
    if (step->is_different) {
        struct buf text = {0};
        replay_describe(step, &text);
        fatal("the chain of %s runs differently in event %llu: %s", replaying->id,
              (unsigned long long)step->recorded->seq, buf_text(&text));
    }
    return true;
}

static void replay_one(struct world *world, const char *id) {
    struct error error = {0};
    struct replaying replaying = {.world = world, .id = id};
    struct replay_result result = {0};
    struct replay_config config = {.id = id,
                                   .next = next_event,
                                   .next_context = &replaying,
                                   .content = kept_content,
                                   .content_context = &replaying,
                                   .visit = visit_range,
                                   .visit_context = &replaying,
                                   .compiler = world->stage->compiler,
                                   .until = UINT64_MAX,
                                   .step = show_difference,
                                   .step_context = &replaying};
    must(chain_reader_open(world->log, id, 0, &replaying.reader, &error), &error);
    enum status status = replay_run(&config, &result, &error);
    chain_reader_close(replaying.reader);
    bytes_unref(result.state);
    if (status != OK) {
        fatal("the chain of %s does not run again: %s", id, error.message);
    }
    if (memcmp(result.head, result.recorded_head, SHA256_BYTES) != 0) {
        fatal("the chain of %s comes to another head when it runs again", id);
    }
}

void check_replays(struct world *world) {
    enum { REPLAYS_MOST = 3 };
    struct ids ids = all_ids(world);
    // A replay brings its own worker.
    wasm_thread_leave();
    for (int i = 0; i < REPLAYS_MOST && ids.count > 0; i++) {
        const char *id = ids.items[chance(world, (uint32_t)ids.count)];
        if (map_get_text(&world->bent, id) == NULL && !is_node_chain(id)) {
            replay_one(world, id);
        }
    }
    wasm_thread_enter();
    free_ids(&ids);
}

static void count_type(void *context, const char *id, const struct chain_event *event) {
    (void)id;
    struct map *counts = context;
    uintptr_t before = (uintptr_t)map_remove(counts, event->type);
    (void)map_add(counts, event->type, (void *)(before + 1));  // NOLINT: a number
}

void print_events(struct world *world) {
    struct ids ids = all_ids(world);
    struct map counts = {0};
    for (uint64_t i = 0; i < ids.count; i++) {
        each_event(world, ids.items[i], count_type, &counts);
    }
    uint32_t cursor = 0;
    printf("          %llu chains:", (unsigned long long)ids.count);
    for (struct map_entry *entry = map_next(&counts, &cursor); entry != NULL;
         entry = map_next(&counts, &cursor)) {
        printf(" %.*s %llu", (int)entry->key.size, (const char *)entry->key.data,
               (unsigned long long)(uintptr_t)entry->value);
    }
    printf("\n");
    map_release(&counts);
    free_ids(&ids);
}

void check_files(struct world *world) {
    struct error error = {0};
    struct chain_verdict verdict = {0};
    must(chain_verify(world->log_folder, NULL, &verdict, &error), &error);
    if (!verdict.is_good) {
        fatal("chain of %s is not good at event %llu (%s, offset %llu): %s", verdict.actor,
              (unsigned long long)verdict.seq, verdict.segment, (unsigned long long)verdict.offset,
              verdict.reason);
    }
}
