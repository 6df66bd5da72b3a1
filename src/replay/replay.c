// SPDX-License-Identifier: Apache-2.0
// The replay of a chain. See replay.h. Start reading at replay_run, at the end.
#include "replay/replay.h"

#include <stdlib.h>

#include "actor/rerun.h"
#include "chain/format.h"
#include "codec/cbor.h"
#include "host/chain_events.h"
#include "host/host.h"
#include "replay/internal.h"
#include "wasm/wasm.h"

enum { MANIFEST_MOST_BYTES = 16 << 20, COMPONENT_MOST_BYTES = 256 << 20 };

struct replay {
    const struct replay_config *config;
    struct replay_result *result;
    struct rerun *rerun;
    struct plain_values secrets;
    const uint8_t *key;     // of the run, once a commitment told which; borrowed from `secrets`
    struct bytes *fetched;  // the last content that the record referred to
    struct bytes *before;   // the state before the event at hand; when the replay goes on
    uint8_t parent[SHA256_BYTES];  // the replay's own chain
    bool has_begun;                // `parent` is that of the event at hand
};

// ---- what the record refers to
// -------------------------------------------------------------------

static enum status find_secret(void *context, const uint8_t commitment[SHA256_BYTES],
                               struct slice *item, struct error *error) {
    struct replay *replay = context;
    const uint8_t *key = NULL;
    if (!plain_values_find(&replay->secrets, commitment, item, &key)) {
        return error_set(error, ERR_NOT_FOUND,
                         "it holds a secret whose plain value is not kept (secrets/%s@….cbor)",
                         replay->config->id);
    }
    return OK;
}

static enum status find_content(void *context, const uint8_t hash[SHA256_BYTES], uint64_t size,
                                struct slice *bytes, struct error *error) {
    struct replay *replay = context;
    const struct replay_config *config = replay->config;
    bytes_unref(replay->fetched);
    replay->fetched = NULL;
    enum status status =
        config->content(config->content_context, hash, size, &replay->fetched, error);
    *bytes = bytes_slice(replay->fetched);
    return status;
}

struct range_reading {
    const struct component_type *item;
    struct arena *arena;
    struct value *events;
    uint64_t read, count;
    uint8_t last[SHA256_BYTES];
};

static bool count_event(void *context, const struct chain_event *event) {
    struct range_reading *reading = context;
    (void)event;
    return ++reading->read < reading->count;
}

static bool add_event(void *context, const struct chain_event *event) {
    struct range_reading *reading = context;
    const struct component_type *item = reading->item;
    bool is_meta = item->items[0]->kind == COMPONENT_U64;
    struct value *out = &reading->events[reading->read];
    bool is_good = is_meta ? host_meta_event(reading->arena, event, out)
                           : host_chain_event(reading->arena, event, item->item_count, out);
    memcpy(reading->last, event->hash, SHA256_BYTES);
    reading->read += is_good;
    return is_good && reading->read < reading->count;
}

static enum status find_range(void *context, const struct component_type *list,
                              const struct record_range_read *range, struct arena *arena,
                              struct value *out, struct error *error) {
    struct replay *replay = context;
    const struct replay_config *config = replay->config;
    const struct component_type *item = list->items[0];
    if (range->count == 0 || item->kind != COMPONENT_RECORD || item->item_count < 2 ||
        range->chain.size > CHAIN_ID_MOST_BYTES) {
        return error_set(error, ERR_DAMAGED, "it has a range of a chain where there is none");
    }
    // A count is only a claim: room is made as events are found.
    char *id = xstrndup(range->chain.data, range->chain.size);
    struct range_reading reading = {.item = item, .arena = arena, .count = range->count};
    enum status status = config->visit(config->visit_context, id, range->first, range->count,
                                       count_event, &reading, error);
    if (status == OK && reading.read == range->count) {
        reading.events = ARENA_ARRAY(arena, struct value, range->count);
        reading.read = 0;
        status = config->visit(config->visit_context, id, range->first, range->count, add_event,
                               &reading, error);
    }
    if (status == OK &&
        (reading.read != range->count || memcmp(reading.last, range->hash, SHA256_BYTES) != 0)) {
        status = error_set(error, ERR_NOT_FOUND,
                           "it holds events %llu to %llu of the chain of %s, which are not there",
                           (unsigned long long)range->first,
                           (unsigned long long)(range->first + range->count - 1), id);
    }
    *out = (struct value){.items = reading.events, .count = (uint32_t)range->count};
    free(id);
    return status;
}

static enum status fetch(struct replay *replay, const uint8_t hash[SHA256_BYTES],
                         uint64_t limit_bytes, const char *what, struct bytes **out,
                         struct error *error) {
    const struct replay_config *config = replay->config;
    enum status status = config->content(config->content_context, hash, limit_bytes, out, error);
    return status == OK ? OK : error_context(error, "the %s that it names", what);
}

// Answers as the host does, but for what has an effect.
static enum status resolve(const struct manifest *manifest, const struct component_import *import,
                           struct component_host_func *out, struct error *error) {
    enum status status = host_resolve(manifest, import, out, error);
    if (status == OK && !host_is_missing(out)) {
        const struct host_function *function = out->data;
        *out = (struct component_host_func){.fn = rerun_host_call, .data = function->record_name};
    }
    return status;
}

static enum status resolve_resource(const struct component_resource *resource,
                                    struct component_host_resource *out, struct error *error) {
    enum status status = host_resolve_resource(resource, out, error);
    out->drop = NULL;
    return status;
}

// ---- the beginning of a run
// ----------------------------------------------------------------------

struct spawned {
    struct slice nonce, manifest, component;
    bool goes_on;  // the actor came back with its node, from the state that it had
    bool has_state;
    struct slice state;
};

// A byte string, or the reference that stands in its place.
static enum status read_bytes(struct replay *replay, struct cbor_reader *reader, struct slice *out,
                              struct error *error) {
    static const struct component_type byte = {.kind = COMPONENT_U8, .size = 1, .is_plain = true};
    static const struct component_type *const items[] = {&byte};
    static const struct component_type list = {
        .kind = COMPONENT_LIST, .item_count = 1, .items = items};
    struct record_source source = {
        .secret = find_secret, .content = find_content, .range = find_range, .context = replay};
    struct arena arena;
    struct value value;
    arena_init(&arena, UINT64_MAX);
    enum status status = record_read_value(reader, &list, &source, &arena, &value, error);
    if (status == OK) {
        bytes_unref(replay->fetched);
        replay->fetched = bytes_copy(slice_of(value.bytes, value.count));
        *out = bytes_slice(replay->fetched);
    }
    arena_release(&arena);
    return status;
}

static enum status read_spawned(struct replay *replay, struct slice data, struct spawned *out,
                                struct error *error) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    *out = (struct spawned){0};
    enum status status = cbor_read_map(&reader, &pairs, error);
    for (uint64_t i = 0; status == OK && i < pairs; i++) {
        uint64_t key = 0;
        status = cbor_read_uint(&reader, &key, error);
        if (status != OK) {
            break;
        }
        if (key == 1 || key == 4 || key == 5) {
            struct slice *into =
                key == 1 ? &out->nonce : (key == 4 ? &out->manifest : &out->component);
            status = cbor_read_bytes(&reader, into, error);
        } else if (key == 11) {
            out->goes_on = true;
            status = cbor_skip(&reader, error);
        } else if (key == 8) {
            out->has_state = true;
            status = read_bytes(replay, &reader, &out->state, error);
        } else {
            status = cbor_skip(&reader, error);
        }
    }
    if (status == OK &&
        (out->nonce.size != CHAIN_NONCE_BYTES || out->manifest.size != SHA256_BYTES ||
         out->component.size != SHA256_BYTES)) {
        status = error_set(error, ERR_DAMAGED, "it does not name a manifest and a component");
    }
    return status;
}

static enum status begin_run(struct replay *replay, const struct chain_event *recorded,
                             struct error *error) {
    const struct replay_config *config = replay->config;
    struct spawned spawned;
    struct bytes *manifest = NULL;
    struct bytes *component = bytes_ref(config->component);
    enum status status = read_spawned(replay, recorded->data, &spawned, error);
    if (status == OK) {
        status =
            fetch(replay, spawned.manifest.data, MANIFEST_MOST_BYTES, "manifest", &manifest, error);
    }
    if (status == OK && component == NULL) {
        status = fetch(replay, spawned.component.data, COMPONENT_MOST_BYTES, "component",
                       &component, error);
    }
    struct slice state;
    struct bytes *last = NULL;
    if (status == OK && spawned.goes_on && rerun_state(replay->rerun, &state)) {
        last = bytes_copy(state);
    }
    if (status == OK) {
        status = rerun_begin(replay->rerun, bytes_slice(manifest), component, spawned.has_state,
                             spawned.state, error);
    }
    if (status == OK && last != NULL) {
        rerun_set_state(replay->rerun, bytes_slice(last));
    }
    bytes_unref(last);
    if (status == OK && recorded->seq == 0) {
        genesis_parent(config->id, spawned.nonce.data, replay->parent);
    }
    bytes_unref(manifest);
    bytes_unref(component);
    replay->key = NULL;
    return status;
}

// ---- one event
// -----------------------------------------------------------------------------------

// A run has one key: the first commitment tells which.
static enum status find_key(struct replay *replay, const struct chain_event *recorded,
                            struct error *error) {
    uint8_t commitment[SHA256_BYTES];
    struct slice item;
    const uint8_t *key = NULL;
    if (replay->key != NULL || !first_commitment(recorded->data, commitment)) {
        return OK;
    }
    if (!plain_values_find(&replay->secrets, commitment, &item, &key)) {
        return find_secret(replay, commitment, &item, error);
    }
    replay->key = key;
    rerun_set_key(replay->rerun, key);
    return OK;
}

// The hash that the made event has in the replay's own chain.
static void hash_made(struct replay *replay, const struct chain_event *recorded,
                      struct replay_step *step) {
    uint8_t prefix[EVENT_PREFIX_MOST_BYTES];
    size_t size = event_prefix(prefix, recorded->seq, recorded->time_ns, step->type);
    struct buf event = {0};
    buf_append(&event, replay->parent, SHA256_BYTES);
    buf_append(&event, prefix, size);
    buf_append_slice(&event, step->data);
    sha256(buf_slice(&event), step->hash);
    memcpy(replay->parent, step->hash, SHA256_BYTES);
    buf_release(&event);
}

// The state that the record has after a leg: its own, or the one before it.
static enum status recorded_state(struct replay *replay, struct slice data, struct error *error) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    enum status status = cbor_read_map(&reader, &pairs, error);
    for (uint64_t i = 0; status == OK && i < pairs; i++) {
        uint64_t key = 0;
        struct slice state;
        status = cbor_read_uint(&reader, &key, error);
        if (status == OK && key == 7) {
            status = read_bytes(replay, &reader, &state, error);
            if (status == OK) {
                rerun_set_state(replay->rerun, state);
            }
            return status;
        }
        if (status == OK) {
            status = cbor_skip(&reader, error);
        }
    }
    if (status == OK && replay->before != NULL) {
        rerun_set_state(replay->rerun, bytes_slice(replay->before));
    }
    return status;
}

static void remember_state(struct replay *replay) {
    struct slice state;
    bytes_unref(replay->before);
    replay->before = NULL;
    if (replay->config->goes_on && rerun_state(replay->rerun, &state)) {
        replay->before = bytes_copy(state);
    }
}

static enum status run_event(struct replay *replay, const struct chain_event *recorded,
                             struct replay_step *step, struct error *error) {
    struct rerun_made made;
    remember_state(replay);
    enum status status = find_key(replay, recorded, error);
    if (status == OK) {
        status = rerun_event(replay->rerun, recorded, &made, error);
    }
    if (status != OK) {
        return status;
    }
    step->type = made.type;
    step->data = made.data;
    step->is_copied = made.is_copied;
    step->note = made.note;
    step->is_different = !made.is_copied && (!slice_equal(made.type, recorded->type) ||
                                             !slice_equal(made.data, recorded->data));
    return OK;
}

static void count(struct replay *replay, const struct replay_step *step) {
    struct replay_result *result = replay->result;
    result->events++;
    result->legs += step->is_copied ? 0 : 1;
    if (!step->is_different) {
        return;
    }
    if (result->different == 0) {
        result->first_different = step->recorded->seq;
    }
    result->different += step->data.size > 0 || result->different == 0 ? 1 : 0;
    result->not_run += step->data.size > 0 ? 0 : 1;
}

static enum status replay_one(struct replay *replay, const struct chain_event *recorded, bool *more,
                              struct error *error) {
    const struct replay_config *config = replay->config;
    struct replay_step step = {
        .recorded = recorded, .type = recorded->type, .data = recorded->data, .is_copied = true};
    bool begins =
        slice_equal_text(recorded->type, "spawned") || slice_equal_text(recorded->type, "resumed");
    enum status status = OK;
    if (begins && event_keeps_instance(recorded)) {
        // The same program, with a key of its own for secrets.
        rerun_go_on(replay->rerun);
        replay->key = NULL;
    } else {
        status =
            begins ? begin_run(replay, recorded, error) : run_event(replay, recorded, &step, error);
    }
    if (status != OK) {
        return error_context(error, "event %llu, %.*s", (unsigned long long)recorded->seq,
                             (int)recorded->type.size, (const char *)recorded->type.data);
    }
    hash_made(replay, recorded, &step);
    memcpy(replay->result->head, step.hash, SHA256_BYTES);
    memcpy(replay->result->recorded_head, recorded->hash, SHA256_BYTES);
    count(replay, &step);
    step.has_state = rerun_state(replay->rerun, &step.state);
    bool goes_on = config->step == NULL || config->step(config->step_context, &step);
    if (step.is_different && config->goes_on) {
        status = recorded_state(replay, recorded->data, error);
        rerun_renew_instance(replay->rerun);
    }
    *more = goes_on && recorded->seq < config->until && (!step.is_different || config->goes_on);
    return status;
}

// ---- from an instance on
// ---------------------------------------------------------------------------

struct folding {
    struct fold fold;
    enum status status;
    struct error *error;
};

static bool fold_one(void *context, const struct chain_event *event) {
    struct folding *folding = context;
    folding->status = fold_event(&folding->fold, event, folding->error);
    return folding->status == OK;
}

// The item of a state, as a run's first event or a leg has it.
static enum status set_state_item(struct replay *replay, struct bytes *item, struct error *error) {
    struct cbor_reader reader = cbor_reader_of(bytes_slice(item));
    struct slice state;
    enum status status = item != NULL ? read_bytes(replay, &reader, &state, error) : OK;
    if (status == OK && item != NULL) {
        rerun_set_state(replay->rerun, state);
    }
    return status;
}

// Prepares for the event of the instance; *at is its number.
static enum status begin_at_instance(struct replay *replay, uint64_t *at, struct error *error) {
    const struct replay_config *config = replay->config;
    struct folding folding = {
        .fold = {.content = config->content, .content_context = config->content_context},
        .error = error};
    struct fold *fold = &folding.fold;
    uint64_t count = config->from < UINT64_MAX ? config->from + 1 : UINT64_MAX;
    enum status status =
        config->visit(config->visit_context, config->id, 0, count, fold_one, &folding, error);
    status = status == OK ? folding.status : status;
    if (status == OK && !fold->instance.is_there) {
        status = error_set(error, ERR_NOT_FOUND, "there is no instance at event %llu",
                           (unsigned long long)config->from);
    }
    if (status == OK) {
        const struct chain_event begun = {.data = bytes_slice(fold->instance.begun)};
        *at = fold->instance.at;
        status = begin_run(replay, &begun, error);
    }
    if (status == OK) {
        status = set_state_item(replay, fold->instance.state, error);
    }
    fold_release(fold);
    return status;
}

static enum status replay_all(struct replay *replay, struct error *error) {
    const struct replay_config *config = replay->config;
    bool more = true;
    uint64_t first = 0;
    enum status status = config->from > 0 ? begin_at_instance(replay, &first, error) : OK;
    while (status == OK && more) {
        struct chain_event event;
        status = config->next(config->next_context, &event, &more, error);
        if (status != OK || !more || event.seq < first) {
            continue;
        }
        if (!replay->has_begun) {
            memcpy(replay->parent, event.parent, SHA256_BYTES);
            replay->has_begun = true;
        }
        status = replay_one(replay, &event, &more, error);
    }
    bool is_same = replay->result->different == 0 &&
                   memcmp(replay->result->head, replay->result->recorded_head, SHA256_BYTES) != 0;
    if (status == OK && is_same) {
        status = error_set(error, ERR_DAMAGED,
                           "every event was made again as it stands, but not its hash: the chain "
                           "is damaged; theater chain verify says where");
    }
    return status;
}

static enum status take_instance(struct replay *replay, struct error *error) {
    const struct replay_result *result = replay->result;
    if (result->different > 0) {
        return error_set(error, ERR_DAMAGED, "event %llu was made otherwise",
                         (unsigned long long)result->first_different);
    }
    *replay->config->instance = rerun_take_instance(replay->rerun);
    return *replay->config->instance != NULL
               ? OK
               : error_set(error, ERR_NOT_FOUND, "there is no instance, or a turn is in progress");
}

enum status replay_run(const struct replay_config *config, struct replay_result *result,
                       struct error *error) {
    *result = (struct replay_result){0};
    struct replay replay = {.config = config, .result = result};
    struct rerun_config rerun = {.id = config->id,
                                 .compiler = config->compiler,
                                 .resolve = resolve,
                                 .resolve_resource = resolve_resource,
                                 .source = {.secret = find_secret,
                                            .content = find_content,
                                            .range = find_range,
                                            .context = &replay},
                                 .component = config->known,
                                 .budget = config->budget,
                                 .is_other = config->component != NULL};
    plain_values_read(&replay.secrets, config->secrets_folder, config->id);
    wasm_thread_enter();
    wasm_watchdog_start();
    enum status status = rerun_new(&rerun, &replay.rerun, error);
    if (status == OK) {
        struct slice state;
        status = replay_all(&replay, error);
        if (status == OK && config->instance != NULL) {
            status = take_instance(&replay, error);
        }
        result->state = rerun_state(replay.rerun, &state) ? bytes_copy(state) : NULL;
    }
    rerun_free(replay.rerun);
    wasm_watchdog_stop();
    wasm_thread_leave();
    bytes_unref(replay.fetched);
    bytes_unref(replay.before);
    plain_values_release(&replay.secrets);
    return status;
}

enum status replay_visit_log(struct chain_log *log, const char *id, uint64_t first, uint64_t count,
                             actor_visit_fn visit, void *visit_context, struct error *error) {
    struct chain_reader *reader = NULL;
    enum status status = chain_reader_open(log, id, first, &reader, error);
    bool more = true;
    for (uint64_t i = 0; status == OK && more && i < count; i++) {
        struct chain_event event;
        status = chain_reader_next(reader, &event, &more, error);
        more = status == OK && more && visit(visit_context, &event);
    }
    chain_reader_close(reader);
    return status;
}
