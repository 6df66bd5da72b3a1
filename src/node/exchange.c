// SPDX-License-Identifier: Apache-2.0
#include "node/exchange.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "chain/subscribe.h"
#include "node/node.h"
#include "store/store.h"

// ---- export ------------------------------------------------------------------------------------

// Signatures of the chain that came with it, by event: those of one head alone, since only they can
// be passed on without the others' ids.
struct passed_on {
    const char *id;
    struct chain_signature *signatures;
    size_t count;
    size_t capacity;
    size_t next;
};

struct export {
    const struct node_export *what;
    struct chain_file_tally *tally;
    struct chain_file_header header;
    struct chain_file_writer *writer;
    struct store *store;  // NULL: no contents
    struct passed_on passed_on;
    uint64_t foreign;  // events
    int descriptor;
    char *part;  // written, and renamed to what->output at the end; NULL: written in place
};

static enum status take_signature(void *context, const struct chain_signed *item,
                                  struct error *error) {
    struct passed_on *passed_on = context;
    struct chain_signature signature = {.time_ns = item->time_ns};
    struct cbor_reader reader = cbor_reader_of(item->heads);
    struct slice id;
    struct slice head;
    if (item->count != 1) {
        return OK;
    }
    enum status status = chain_head_read(&reader, &id, &signature.seq, &head, error);
    if (status != OK || !slice_equal_text(id, passed_on->id)) {
        return status;
    }
    memcpy(signature.head, head.data, SHA256_BYTES);
    memcpy(signature.key, item->key.data, ED25519_PUBLIC_BYTES);
    memcpy(signature.signature, item->signature.data, ED25519_SIGNATURE_BYTES);
    if (passed_on->count == passed_on->capacity) {
        passed_on->capacity = passed_on->capacity == 0 ? 8 : 2 * passed_on->capacity;
        passed_on->signatures =
            xrealloc(passed_on->signatures, passed_on->capacity * sizeof *passed_on->signatures);
    }
    passed_on->signatures[passed_on->count++] = signature;
    return OK;
}

static int compare_signatures(const void *a, const void *b) {
    const struct chain_signature *one = a;
    const struct chain_signature *two = b;
    return (one->seq > two->seq) - (one->seq < two->seq);
}

static enum status load_signatures(struct export *export, struct error *error) {
    struct passed_on *passed_on = &export->passed_on;
    struct bytes *content = NULL;
    char *folder = file_join(export->what->folder, "imported");
    passed_on->id = export->what->id;
    enum status status = chain_signatures_read(folder, &content, error);
    if (status == OK) {
        status =
            chain_signatures_walk(bytes_slice(content), take_signature, passed_on, NULL, error);
        bytes_unref(content);
    }
    if (passed_on->count > 0) {
        qsort(passed_on->signatures, passed_on->count, sizeof *passed_on->signatures,
              compare_signatures);
    }
    free(folder);
    return status == OK ? OK : error_context(error, "signatures of imported chains");
}

// Those of the event that was put last.
static enum status put_signatures(struct export *export, uint64_t seq, struct error *error) {
    struct passed_on *passed_on = &export->passed_on;
    enum status status = OK;
    for (; status == OK && passed_on->next < passed_on->count; passed_on->next++) {
        const struct chain_signature *signature = &passed_on->signatures[passed_on->next];
        if (signature->seq > seq) {
            break;
        }
        if (signature->seq == seq) {
            status = chain_file_put_signature(export->writer, signature, error);
            export->tally->signatures++;
            export->tally->last_signature = *signature;
        }
    }
    return status;
}

static enum status put_content(void *context, const uint8_t hash[SHA256_BYTES],
                               struct error *error) {
    struct export *export = context;
    if (chain_file_has_content(export->writer, hash)) {
        return OK;
    }
    struct bytes *content = NULL;
    struct error cause = {0};
    enum status status = ERR_NOT_FOUND;
    if (export->store != NULL) {
        status = store_read(export->store, hash, CHAIN_CONTENT_MOST_BYTES, &content, &cause);
    }
    if (status == ERR_NOT_FOUND) {
        export->tally->missing++;
        return chain_file_put_missing(export->writer, hash, error);
    }
    if (status != OK) {
        return error_set(error, status, "%s", cause.message);
    }
    status = chain_file_put_content(export->writer, hash, bytes_slice(content), error);
    export->tally->contents++;
    bytes_unref(content);
    return status;
}

static enum status put_event(struct export *export, const struct chain_event *event,
                             struct error *error) {
    if (export->writer == NULL) {
        const char *output = export->what->output;
        memcpy(export->header.parent, event->parent, SHA256_BYTES);
        export->writer = chain_file_begin(
            export->descriptor, output != NULL ? output : "standard output", &export->header);
    }
    export->foreign += actor_event_needs_others(event) ? 1 : 0;
    enum status status = actor_event_contents(event, put_content, export, error);
    if (status == OK) {
        status = chain_file_put_event(export->writer, event, error);
    }
    struct chain_file_tally *tally = export->tally;
    tally->events++;
    tally->next_seq = event->seq + 1;
    memcpy(tally->head, event->hash, SHA256_BYTES);
    return status == OK ? put_signatures(export, event->seq, error) : status;
}

static enum status put_next(void *context, const struct chain_event *event, struct error *error) {
    struct export *export = context;
    const struct chain_file_tally *tally = export->tally;
    if (tally->events > 0 && memcmp(event->parent, tally->head, SHA256_BYTES) != 0) {
        return error_set(error, ERR_DAMAGED,
                         "chain '%s': the parent hash of event %" PRIu64
                         " is not the hash of the event before",
                         export->what->id, event->seq);
    }
    return put_event(export, event, error);
}

static enum status put_events(struct export *export, struct error *error) {
    const struct node_export *what = export->what;
    struct chain_file_tally *tally = export->tally;
    struct chain_subscription_config config = {.id = what->id, .from = what->from};
    struct chain_subscription *subscription = NULL;
    struct chain_head head;
    bool is_found = false;
    enum status status =
        chain_head_open(what->log, what->id, &head, export->header.nonce, &is_found, error);
    if (status == OK) {
        status = chain_subscribe(what->log, &config, &subscription, error);
    }
    if (status == OK) {
        (void)snprintf(export->header.id, sizeof export->header.id, "%s", head.id);
        export->header.first = what->from;
    }
    // A live chain may grow faster than it is written out.
    uint64_t end = status == OK && what->until >= head.next_seq ? head.next_seq : what->until + 1;
    for (bool more = true; status == OK && more && tally->next_seq < end;) {
        uint64_t given = 0;
        status = chain_subscription_read(subscription, end - tally->next_seq, put_next, export,
                                         &given, &more, error);
        more |= given > 0;
    }
    chain_subscription_close(subscription);
    if (status == OK && tally->events == 0) {
        status =
            error_set(error, ERR_INVALID, "the chain '%s' has no event %" PRIu64 "%s", what->id,
                      what->from, what->until < what->from ? " that is not behind --until" : "");
    }
    return status;
}

static enum status put_signature(struct export *export, struct error *error) {
    struct ed25519_key *key = NULL;
    enum status status = node_signing_key(export->what->folder, &key, error);
    if (status != OK) {
        return status;
    }
    struct chain_file_tally *tally = export->tally;
    struct chain_signature *signature = &tally->last_signature;
    *signature =
        (struct chain_signature){.seq = tally->next_seq - 1, .time_ns = env_wall_ns(env_system())};
    memcpy(signature->head, tally->head, SHA256_BYTES);
    chain_sign(key, export->what->id, signature);
    tally->signatures++;
    ed25519_free(key);
    return chain_file_put_signature(export->writer, signature, error);
}

// Opens the output: beside the file that it will replace, unless that is a device or a pipe.
static enum status open_output(struct export *export, struct error *error) {
    const char *output = export->what->output;
    if (output == NULL) {
        export->descriptor = STDOUT_FILENO;
        return OK;
    }
    struct stat about;
    const char *path = output;
    int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY;
    if (stat(output, &about) != 0 || S_ISREG(about.st_mode)) {
        struct buf name = {0};
        buf_format(&name, "%s.%ld.part", output, (long)getpid());
        export->part = xstrdup(buf_text(&name));
        buf_release(&name);
        path = export->part;
        flags |= O_CREAT | O_EXCL | O_NOFOLLOW;
    }
    export->descriptor = open(path, flags, 0600);
    if (export->descriptor >= 0) {
        return OK;
    }
    int reason = errno;
    free(export->part);
    export->part = NULL;
    return error_set_os(error, reason, "cannot write %s", path);
}

static enum status finish_output(struct export *export, enum status status, struct error *error) {
    const char *output = export->what->output;
    if (output == NULL) {
        return status;
    }
    if (status == OK && export->part != NULL && fsync(export->descriptor) != 0) {
        status = error_set_os(error, errno, "cannot sync %s", output);
    }
    if (close(export->descriptor) != 0 && status == OK) {
        status = error_set_os(error, errno, "cannot write %s", output);
    }
    if (status == OK && export->part != NULL && rename(export->part, output) != 0) {
        status = error_set_os(error, errno, "cannot write %s", output);
    }
    if (status != OK && export->part != NULL) {
        (void)unlink(export->part);
    }
    free(export->part);
    return status;
}

static enum status write_all(struct export *export, struct error *error) {
    enum status status = put_events(export, error);
    if (status == OK && !export->what->is_unsigned && !export->what->is_imported) {
        status = put_signature(export, error);
    }
    if (status == OK) {
        status = chain_file_end(export->writer, error);
        export->writer = NULL;
    }
    chain_file_abandon(export->writer);
    return status;
}

enum status node_export_chain(const struct node_export *what, struct chain_file_tally *tally,
                              uint64_t *foreign, struct error *error) {
    *tally = (struct chain_file_tally){.next_seq = what->from};
    struct export export = {.what = what, .tally = tally, .descriptor = -1};
    struct store_config config = {
        .data_folder = what->folder, .env = env_system(), .read_only = true};
    enum status status = OK;
    if (!what->without_contents) {
        status = store_open(&config, &export.store, error);
        if (status == ERR_NOT_FOUND) {
            error_clear(error);
            status = OK;
        }
    }
    if (status == OK && what->is_imported) {
        status = load_signatures(&export, error);
    }
    if (status == OK) {
        status = open_output(&export, error);
    }
    if (status == OK) {
        status = finish_output(&export, write_all(&export, error), error);
    }
    if (export.store != NULL) {
        store_close(export.store);
    }
    free(export.passed_on.signatures);
    *foreign = export.foreign;
    return status;
}

// ---- import ------------------------------------------------------------------------------------

static enum status verify_file(const char *path, struct node_imported *out, struct error *error) {
    struct chain_verdict verdict;
    struct chain_file_tally tally;
    enum status status = chain_file_verify(path, &verdict, &tally, error);
    if (status == OK && !verdict.is_good) {
        return error_set(error, ERR_DAMAGED, "%s does not verify: at byte %" PRIu64 ": %s", path,
                         verdict.offset, verdict.reason);
    }
    if (status == OK) {
        memcpy(out->id, verdict.actor, sizeof out->id);
        out->events = tally.next_seq;
        out->missing = tally.missing;
    }
    return status;
}

// Compares with the chain that the node runs itself. *is_own says that there is one, and that it
// holds all that the file does.
static enum status compare_own(struct chain_log *log, struct chain_file *file, bool *is_own,
                               struct error *error) {
    const struct chain_file_header *header = chain_file_header(file);
    struct chain_reader *reader = NULL;
    struct error cause = {0};
    *is_own = false;
    enum status status = chain_reader_open(log, header->id, header->first, &reader, &cause);
    if (status == ERR_NOT_FOUND) {
        return OK;
    }
    bool more = true;
    while (status == OK) {
        struct chain_event theirs;
        struct chain_event ours;
        bool is_there = false;
        status = chain_file_next(file, &theirs, &more, &cause);
        if (status != OK || !more) {
            break;
        }
        status = chain_reader_next(reader, &ours, &is_there, &cause);
        if (status == OK && !is_there) {
            status = error_set(&cause, ERR_EXISTS,
                               "the chain '%s' is this node's own and has no event %" PRIu64
                               ": what goes on elsewhere is not taken over",
                               header->id, theirs.seq);
        } else if (status == OK && memcmp(theirs.hash, ours.hash, SHA256_BYTES) != 0) {
            status = error_set(&cause, ERR_EXISTS,
                               "the chain '%s' of this node has another history: event %" PRIu64
                               " differs",
                               header->id, theirs.seq);
        }
    }
    chain_reader_close(reader);
    *is_own = status == OK;
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}

static enum status check_own(const char *folder, const char *path, bool *is_own,
                             struct error *error) {
    char *log_folder = file_join(folder, "log");
    struct chain_log_config config = {.folder = log_folder, .read_only = true, .env = env_system()};
    struct chain_log *log = NULL;
    struct chain_file *file = NULL;
    struct error cause = {0};
    *is_own = false;
    // A folder that chains are only imported into gets an empty log of its own, like any other.
    enum status status = file_make_folders(log_folder, 0700, &cause);
    if (status == OK) {
        status = chain_log_open(&config, &log, &cause);
    }
    if (status == OK) {
        status = chain_file_open(path, &file, &cause);
    }
    if (status == OK) {
        status = compare_own(log, file, is_own, &cause);
    }
    chain_file_close(file);
    (void)chain_log_close(log, NULL);
    free(log_folder);
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}

struct keeping {
    struct chain_file *file;
    struct store *store;
    struct node_imported *out;
};

static enum status keep_content(void *context, const uint8_t hash[SHA256_BYTES],
                                struct error *error) {
    struct keeping *keeping = context;
    struct bytes *content = NULL;
    enum status status =
        chain_file_content(keeping->file, hash, CHAIN_CONTENT_MOST_BYTES, &content, error);
    if (status == OK) {
        status = store_keep(keeping->store, bytes_slice(content), hash, error);
        bytes_unref(content);
        keeping->out->contents++;
    }
    return status;
}

static enum status keep_contents(const char *folder, struct chain_file *file,
                                 struct node_imported *out, struct error *error) {
    struct store_config config = {.data_folder = folder, .env = env_system()};
    struct keeping keeping = {.file = file, .out = out};
    enum status status = store_open(&config, &keeping.store, error);
    if (status == OK) {
        status = chain_file_visit_contents(file, keep_content, &keeping, error);
        store_close(keeping.store);
    }
    return status;
}

// The signatures of a file, those that the folder has left out.
struct incoming {
    const char *id;
    struct map known;  // the values mean nothing
    struct buf items;
};

static enum status know_signature(void *context, const struct chain_signed *item,
                                  struct error *error) {
    struct incoming *incoming = context;
    (void)error;
    (void)map_add(&incoming->known, item->signature, incoming);
    return OK;
}

static enum status take_incoming(void *context, const struct chain_signature *signature,
                                 struct error *error) {
    struct incoming *incoming = context;
    (void)error;
    if (map_add(&incoming->known, slice_of(signature->signature, ED25519_SIGNATURE_BYTES),
                incoming)) {
        chain_signature_item(incoming->id, signature, &incoming->items);
    }
    return OK;
}

static enum status know_signatures(const char *log_folder, struct incoming *incoming,
                                   struct error *error) {
    struct bytes *content = NULL;
    enum status status = chain_signatures_read(log_folder, &content, error);
    if (status == OK) {
        status = chain_signatures_walk(bytes_slice(content), know_signature, incoming, NULL, error);
        bytes_unref(content);
    }
    return status == OK ? OK : error_context(error, "signatures of imported chains");
}

static enum status append_events(const char *folder, struct chain_file *file,
                                 struct node_imported *out, struct error *error) {
    char *log_folder = file_join(folder, "imported");
    struct env env;
    env_init_seeded(&env, 0, 0);
    struct chain_log_config config = {.folder = log_folder, .env = &env};
    struct chain_log *log = NULL;
    struct incoming incoming = {.id = chain_file_header(file)->id};
    enum status status = know_signatures(log_folder, &incoming, error);
    if (status == OK) {
        status = chain_log_open(&config, &log, error);
    }
    if (status == OK) {
        chain_file_on_signature(file, take_incoming, &incoming);
        status = chain_import(log, &env, file, &out->appended, error);
        enum status closed = chain_log_close(log, status == OK ? error : NULL);
        status = status == OK ? closed : status;
    }
    if (status == OK && incoming.items.size > 0) {
        status = chain_signatures_append(log_folder, buf_slice(&incoming.items), false, error);
    }
    map_release(&incoming.known);
    buf_release(&incoming.items);
    free(log_folder);
    return status;
}

static enum status take_over(const char *folder, const char *path, struct node_imported *out,
                             struct error *error) {
    struct chain_file *file = NULL;
    bool is_own = false;
    enum status status = check_own(folder, path, &is_own, error);
    if (status != OK || is_own) {
        return status;
    }
    status = chain_file_open(path, &file, error);
    if (status == OK) {
        status = append_events(folder, file, out, error);
    }
    if (status == OK) {
        status = keep_contents(folder, file, out, error);
    }
    chain_file_close(file);
    return status;
}

enum status node_import_chain(const char *folder, const char *path, struct node_imported *out,
                              struct error *error) {
    *out = (struct node_imported){0};
    int lock = -1;
    enum status status = verify_file(path, out, error);
    if (status == OK) {
        status = file_make_folders(folder, 0700, error);
    }
    if (status == OK) {
        status = node_lock_folder(folder, &lock, error);
    }
    if (status == OK) {
        status = take_over(folder, path, out, error);
    }
    if (lock >= 0) {
        close(lock);
    }
    return status;
}

enum status node_open_imported(const char *folder, struct chain_log **out, struct error *error) {
    char *log_folder = file_join(folder, "imported");
    struct chain_log_config config = {.folder = log_folder, .read_only = true, .env = env_system()};
    *out = NULL;
    enum status status = OK;
    if (access(log_folder, F_OK) == 0 || errno != ENOENT) {
        status = chain_log_open(&config, out, error);
    }
    free(log_folder);
    return status;
}
