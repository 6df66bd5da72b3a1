// SPDX-License-Identifier: Apache-2.0
// theater:simple/store: contents by their hash, with labels. Everything here touches the disk, so
// every function waits: a job carries copies of what the guest gave, and of what it gets.
#include <stdlib.h>

#include "host/host.h"
#include "store/store.h"

// Arguments, and results once the job is done. Owns all of it.
struct store_job {
    struct actor_job job;
    void (*operate)(struct store_job *job);
    struct store *store;
    char actor[ACTOR_ID_BYTES];
    struct bytes *id, *label, *content;
    uint8_t hash[SHA256_BYTES];
    struct store_limits limits;
    uint64_t most_bytes;  // of what goes to the guest
    enum store_change change;
    // results
    struct bytes *got;
    struct buf list;  // of a label its size as 4 bytes and itself; of a content its hash
    uint32_t count;
    uint64_t list_bytes;  // that the list takes in the guest
    uint64_t number;
    bool found;
};

static struct store_job *job_of(struct actor_job *job) {
    return CONTAINER_OF(job, struct store_job, job);
}

static void run_job(struct actor_job *job) {
    job_of(job)->operate(job_of(job));
}

static void release_job(struct actor_job *actor_job) {
    struct store_job *job = job_of(actor_job);
    bytes_unref(job->id);
    bytes_unref(job->label);
    bytes_unref(job->content);
    bytes_unref(job->got);
    buf_release(&job->list);
    free(job);
}

static struct store_place place_of(const struct store_job *job) {
    return (struct store_place){.actor = job->actor, .id = bytes_slice(job->id)};
}

// ---- before and after the job
// ----------------------------------------------------------------------

// A job for the store in args[0]. NULL: refused, and `error` says why.
static struct store_job *new_job(struct component_call *call, const struct value *args,
                                 void (*operate)(struct store_job *job), struct error *error) {
    struct actor *self = host_self(call);
    const struct host_services *services = actor_host(self);
    const struct permissions *permissions = actor_permissions(self);
    if (services == NULL || services->store == NULL) {
        error_set(error, ERR_UNSUPPORTED, "this node has no store");
        return NULL;
    }
    struct store_job *job = xcalloc(1, sizeof *job);
    actor_job_init(&job->job, run_job, release_job);
    job->operate = operate;
    job->store = services->store;
    memcpy(job->actor, actor_id(self), strlen(actor_id(self)) + 1);
    job->id = args != NULL ? bytes_copy(host_bytes(&args[0])) : NULL;
    job->limits = (struct store_limits){.bytes = permissions->store.max_bytes,
                                        .contents = permissions->store.max_contents};
    job->most_bytes = actor_manifest(self)->limits.message_bytes;
    return job;
}

// The hash of a content-ref.
static enum status read_hash(const struct value *reference, struct store_job *job,
                             struct error *error) {
    return store_parse_hash(host_bytes(&reference->items[0]), job->hash, error);
}

// Ends a call that gives nothing but ok. `status` is what came of reading its arguments; when it is
// an error, `job` may be NULL.
static bool answer_plain(struct component_call *call, struct store_job *job, enum status status,
                         struct error *error, struct value *result) {
    if (status == OK) {
        status = actor_run_job(host_self(call), &job->job, error);
    }
    if (job != NULL) {
        actor_job_unref(&job->job);
    }
    return host_done(call, status, error, result);
}

static bool copy_hash(struct component_call *call, const uint8_t hash[SHA256_BYTES],
                      struct value *reference) {
    char text[SHA256_TEXT_BYTES];
    sha256_text(hash, text);
    struct value *field = host_alloc(call, 1, sizeof *field);
    *reference = (struct value){.items = field, .count = 1};
    return field != NULL && host_copy(call, slice_text(text), field);
}

// ---- new, store, get, exists
// -----------------------------------------------------------------------

static void make_store(struct store_job *job) {
    char id[STORE_ID_BYTES] = {0};
    memcpy(id, job->id->data, job->id->size);
    job->job.status = store_new(job->store, job->actor, id, &job->job.error);
}

static bool store_interface_new(struct component_call *call, const struct value *args,
                                struct value *result) {
    (void)args;
    struct error error = {0};
    struct store_job *job = new_job(call, NULL, make_store, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    char id[STORE_ID_BYTES];
    env_uuid(actor_env(host_self(call)), id);
    job->id = bytes_copy(slice_text(id));
    enum status status = actor_run_job(host_self(call), &job->job, &error);
    actor_job_unref(&job->job);
    return status == OK ? host_ok_bytes(call, slice_text(id), result)
                        : host_fail(call, &error, result);
}

static void put_content(struct store_job *job) {
    struct store_place place = place_of(job);
    struct slice label = bytes_slice(job->label);
    struct store_content content = {.content = bytes_slice(job->content),
                                    .label = job->label != NULL ? &label : NULL,
                                    .change = job->change};
    memcpy(content.hash, job->hash, sizeof content.hash);
    job->job.status = store_put(job->store, &place, &content, &job->limits, &job->job.error);
}

// `label` is NULL for a content without one.
static bool put(struct component_call *call, const struct value *args, const struct value *label,
                const struct value *content, enum store_change change, struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, put_content, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    job->label = label != NULL ? bytes_copy(host_bytes(label)) : NULL;
    job->content = bytes_copy(host_bytes(content));
    job->change = change;
    actor_hash(host_self(call), bytes_slice(job->content), job->hash);
    actor_record_by_hash(host_self(call), host_bytes(content), job->hash);
    enum status status = actor_run_job(host_self(call), &job->job, &error);
    struct value reference;
    bool good = status == OK ? copy_hash(call, job->hash, &reference) &&
                                   host_ok_value(call, reference, result)
                             : host_fail(call, &error, result);
    actor_job_unref(&job->job);
    return good;
}

static bool store_interface_store(struct component_call *call, const struct value *args,
                                  struct value *result) {
    return put(call, args, NULL, &args[1], STORE_ADD, result);
}

static bool store_at_label(struct component_call *call, const struct value *args,
                           struct value *result) {
    return put(call, args, &args[1], &args[2], STORE_ADD, result);
}

static bool replace_content_at_label(struct component_call *call, const struct value *args,
                                     struct value *result) {
    return put(call, args, &args[1], &args[2], STORE_REPLACE, result);
}

static void get_content(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status =
        store_get(job->store, &place, job->hash, job->most_bytes, &job->got, &job->job.error);
    if (job->job.status == ERR_LIMIT) {
        error_context(&job->job.error, "limits.message_bytes");
    }
}

static bool store_interface_get(struct component_call *call, const struct value *args,
                                struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, get_content, &error);
    enum status status = job == NULL ? error.code : read_hash(&args[1], job, &error);
    if (status == OK) {
        status = actor_run_job(host_self(call), &job->job, &error);
    }
    bool good = true;
    if (status == OK) {
        struct value content;
        good = host_copy(call, bytes_slice(job->got), &content) &&
               host_ok_value(call, content, result);
        if (good) {
            actor_record_by_hash(host_self(call), host_bytes(&content), job->hash);
        }
    } else {
        good = host_fail(call, &error, result);
    }
    if (job != NULL) {
        actor_job_unref(&job->job);
    }
    return good;
}

static void find_content(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status = store_has(job->store, &place, job->hash, &job->found, &job->job.error);
}

static bool store_interface_exists(struct component_call *call, const struct value *args,
                                   struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, find_content, &error);
    enum status status = job == NULL ? error.code : read_hash(&args[1], job, &error);
    if (status == OK) {
        status = actor_run_job(host_self(call), &job->job, &error);
    }
    struct value found = {.bits = status == OK && job->found};
    if (job != NULL) {
        actor_job_unref(&job->job);
    }
    return status == OK ? host_ok_value(call, found, result) : host_fail(call, &error, result);
}

// ---- labels
// ----------------------------------------------------------------------------------------

static void set_label(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status = store_label(job->store, &place, bytes_slice(job->label), job->change,
                                  job->hash, &job->job.error);
}

static bool change_label(struct component_call *call, const struct value *args,
                         enum store_change change, struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, set_label, &error);
    enum status status = job == NULL ? error.code : read_hash(&args[2], job, &error);
    if (job != NULL) {
        job->label = bytes_copy(host_bytes(&args[1]));
        job->change = change;
    }
    return answer_plain(call, job, status, &error, result);
}

static bool store_interface_label(struct component_call *call, const struct value *args,
                                  struct value *result) {
    return change_label(call, args, STORE_ADD, result);
}

static bool replace_at_label(struct component_call *call, const struct value *args,
                             struct value *result) {
    return change_label(call, args, STORE_REPLACE, result);
}

static void find_label(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status = store_find_label(job->store, &place, bytes_slice(job->label), &job->found,
                                       job->hash, &job->job.error);
}

static bool get_by_label(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, find_label, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    job->label = bytes_copy(host_bytes(&args[1]));
    bool good = true;
    if (actor_run_job(host_self(call), &job->job, &error) != OK) {
        good = host_fail(call, &error, result);
    } else if (!job->found) {
        good = host_ok_value(call, (struct value){.items = NULL, .which = 0}, result);
    } else {
        struct value *reference = host_alloc(call, 1, sizeof *reference);
        good = reference != NULL && copy_hash(call, job->hash, reference) &&
               host_ok_value(call, (struct value){.items = reference, .which = 1}, result);
    }
    actor_job_unref(&job->job);
    return good;
}

static void remove_whole_label(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status =
        store_unlabel(job->store, &place, bytes_slice(job->label), NULL, &job->job.error);
}

static bool remove_label(struct component_call *call, const struct value *args,
                         struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, remove_whole_label, &error);
    if (job != NULL) {
        job->label = bytes_copy(host_bytes(&args[1]));
    }
    return answer_plain(call, job, error.code, &error, result);
}

static void remove_reference(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status =
        store_unlabel(job->store, &place, bytes_slice(job->label), job->hash, &job->job.error);
}

static bool remove_from_label(struct component_call *call, const struct value *args,
                              struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, remove_reference, &error);
    enum status status = job == NULL ? error.code : read_hash(&args[2], job, &error);
    if (job != NULL) {
        job->label = bytes_copy(host_bytes(&args[1]));
    }
    return answer_plain(call, job, status, &error, result);
}

// ---- lists and sizes
// -------------------------------------------------------------------------------

// What an item takes in the guest besides its text: a pointer and a length.
enum { ITEM_BYTES = 8 };

static enum status add_item(struct store_job *job, uint64_t size, struct error *error) {
    job->list_bytes += size + ITEM_BYTES;
    job->count++;
    if (job->list_bytes <= job->most_bytes) {
        return OK;
    }
    return error_set(error, ERR_LIMIT,
                     "the list would take more than %llu bytes (limits.message_bytes)",
                     (unsigned long long)job->most_bytes);
}

static enum status add_label(void *context, struct slice label, const uint8_t hash[SHA256_BYTES],
                             struct error *error) {
    (void)hash;
    struct store_job *job = context;
    uint32_t size = (uint32_t)label.size;
    buf_append(&job->list, &size, sizeof size);
    buf_append_slice(&job->list, label);
    return add_item(job, label.size, error);
}

static enum status add_content(void *context, struct slice label, const uint8_t hash[SHA256_BYTES],
                               struct error *error) {
    (void)label;
    struct store_job *job = context;
    buf_append(&job->list, hash, SHA256_BYTES);
    return add_item(job, SHA256_TEXT_BYTES - 1, error);
}

static void read_labels(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status = store_list_labels(job->store, &place, add_label, job, &job->job.error);
}

static void read_contents(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status = store_list_contents(job->store, &place, add_content, job, &job->job.error);
}

static bool take_label(struct component_call *call, const struct store_job *job, size_t *at,
                       struct value *item) {
    uint32_t size = 0;
    memcpy(&size, job->list.data + *at, sizeof size);
    *at += sizeof size;
    struct slice label = slice_of(job->list.data + *at, size);
    *at += size;
    return host_copy(call, label, item);
}

static bool take_content(struct component_call *call, const struct store_job *job, size_t *at,
                         struct value *item) {
    const uint8_t *hash = job->list.data + *at;
    *at += SHA256_BYTES;
    return copy_hash(call, hash, item);
}

static bool list(struct component_call *call, const struct value *args,
                 void (*operate)(struct store_job *job),
                 bool (*take)(struct component_call *call, const struct store_job *job, size_t *at,
                              struct value *item),
                 struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, operate, &error);
    if (job == NULL) {
        return host_fail(call, &error, result);
    }
    bool good = true;
    if (actor_run_job(host_self(call), &job->job, &error) != OK) {
        good = host_fail(call, &error, result);
    } else {
        struct value *items = host_alloc(call, job->count, sizeof *items);
        size_t at = 0;
        good = items != NULL;
        for (uint32_t i = 0; good && i < job->count; i++) {
            good = take(call, job, &at, &items[i]);
        }
        good = good &&
               host_ok_value(call, (struct value){.items = items, .count = job->count}, result);
    }
    actor_job_unref(&job->job);
    return good;
}

static bool list_labels(struct component_call *call, const struct value *args,
                        struct value *result) {
    return list(call, args, read_labels, take_label, result);
}

static bool list_all_content(struct component_call *call, const struct value *args,
                             struct value *result) {
    return list(call, args, read_contents, take_content, result);
}

static void read_total(struct store_job *job) {
    struct store_place place = place_of(job);
    job->job.status = store_total_bytes(job->store, &place, &job->number, &job->job.error);
}

static bool calculate_total_size(struct component_call *call, const struct value *args,
                                 struct value *result) {
    struct error error = {0};
    struct store_job *job = new_job(call, args, read_total, &error);
    enum status status =
        job == NULL ? error.code : actor_run_job(host_self(call), &job->job, &error);
    struct value total = {.bits = status == OK ? job->number : 0};
    if (job != NULL) {
        actor_job_unref(&job->job);
    }
    return status == OK ? host_ok_value(call, total, result) : host_fail(call, &error, result);
}

#define REFERENCE "record{hash: string}"
static const struct host_function functions[] = {
    {"new", "store.new", store_interface_new, {"func() -> result<string, string>"}},
    {"store",
     "store.store",
     store_interface_store,
     {"func(string, list<u8>) -> result<" REFERENCE ", string>"}},
    {"get",
     "store.get",
     store_interface_get,
     {"func(string, " REFERENCE ") -> result<list<u8>, string>"}},
    {"exists",
     "store.exists",
     store_interface_exists,
     {"func(string, " REFERENCE ") -> result<bool, string>"}},
    {"label",
     "store.label",
     store_interface_label,
     {"func(string, string, " REFERENCE ") -> result<_, string>"}},
    {"get-by-label",
     "store.get-by-label",
     get_by_label,
     {"func(string, string) -> result<option<" REFERENCE ">, string>"}},
    {"remove-label",
     "store.remove-label",
     remove_label,
     {"func(string, string) -> result<_, string>"}},
    {"remove-from-label",
     "store.remove-from-label",
     remove_from_label,
     {"func(string, string, " REFERENCE ") -> result<_, string>"}},
    {"store-at-label",
     "store.store-at-label",
     store_at_label,
     {"func(string, string, list<u8>) -> result<" REFERENCE ", string>"}},
    {"replace-content-at-label",
     "store.replace-content-at-label",
     replace_content_at_label,
     {"func(string, string, list<u8>) -> result<" REFERENCE ", string>"}},
    {"replace-at-label",
     "store.replace-at-label",
     replace_at_label,
     {"func(string, string, " REFERENCE ") -> result<_, string>"}},
    {"list-labels",
     "store.list-labels",
     list_labels,
     {"func(string) -> result<list<string>, string>"}},
    {"list-all-content",
     "store.list-all-content",
     list_all_content,
     {"func(string) -> result<list<" REFERENCE ">, string>"}},
    {"calculate-total-size",
     "store.calculate-total-size",
     calculate_total_size,
     {"func(string) -> result<u64, string>"}},
};
const struct host_interface host_store = {"store", functions, COUNT_OF(functions)};
