// SPDX-License-Identifier: Apache-2.0
#include "chain/signed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

struct signatures {
    struct bytes *content;      // of the file, which the heads borrow from
    struct signed_head *heads;  // by id and sequence number
    uint64_t count;
    uint64_t capacity;
    struct chain_verdict *verdict;  // while loading
};

static int compare_ids(struct slice a, struct slice b) {
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static int compare_heads(const void *a, const void *b) {
    const struct signed_head *one = a;
    const struct signed_head *two = b;
    int order = compare_ids(one->id, two->id);
    return order != 0 ? order : (one->seq > two->seq) - (one->seq < two->seq);
}

// ---- loading -----------------------------------------------------------------------------------

static void bad(struct chain_verdict *verdict, uint64_t offset, const char *reason) {
    verdict->is_good = false;
    verdict->offset = offset;
    (void)snprintf(verdict->segment, sizeof verdict->segment, "signed/heads");
    (void)snprintf(verdict->reason, sizeof verdict->reason, "%.255s", reason);
}

static void name_event(struct chain_verdict *verdict, const struct signed_head *head) {
    (void)snprintf(verdict->actor, sizeof verdict->actor, "%.*s", (int)head->id.size,
                   (const char *)head->id.data);
    verdict->seq = head->seq;
}

static enum status take_item(void *context, const struct chain_signed *item, struct error *error) {
    struct signatures *signatures = context;
    struct chain_verdict *verdict = signatures->verdict;
    struct cbor_reader reader = cbor_reader_of(item->heads);
    enum status status = OK;
    uint64_t first = signatures->count;
    for (uint64_t i = 0; status == OK && i < item->count; i++) {
        struct signed_head head = {.key = item->key.data};
        struct slice hash;
        status = chain_head_read(&reader, &head.id, &head.seq, &hash, error);
        head.head = hash.data;
        if (signatures->count == signatures->capacity) {
            signatures->capacity = signatures->capacity == 0 ? 64 : 2 * signatures->capacity;
            signatures->heads = xrealloc(signatures->heads,
                                         (size_t)signatures->capacity * sizeof *signatures->heads);
        }
        signatures->heads[signatures->count++] = head;
    }
    if (status == OK && !chain_signed_is_good(item)) {
        if (verdict->is_good) {
            bad(verdict, item->offset, "the signature is not one of these heads by this key");
        }
        if (verdict->offset == item->offset && item->count > 0) {
            name_event(verdict, &signatures->heads[first]);
        }
        signatures->count = first;  // they say nothing
    }
    return status;
}

enum status signatures_load(const char *log_folder, struct signatures **out,
                            struct chain_verdict *verdict, struct error *error) {
    struct signatures *signatures = xcalloc(1, sizeof *signatures);
    signatures->verdict = verdict;
    *out = signatures;
    struct error cause = {0};
    uint64_t end = 0;
    enum status status = chain_signatures_read(log_folder, &signatures->content, error);
    if (status != OK) {
        return status;
    }
    status = chain_signatures_walk(bytes_slice(signatures->content), take_item, signatures, &end,
                                   &cause);
    if (status != OK && verdict->is_good) {
        bad(verdict, end, cause.message);
    } else if (status == OK && signatures->content != NULL && end < signatures->content->size) {
        (void)snprintf(verdict->reason, sizeof verdict->reason,
                       "the signatures are good up to byte %" PRIu64
                       "; what follows is an unfinished write",
                       end);
    }
    if (signatures->count > 0) {
        qsort(signatures->heads, (size_t)signatures->count, sizeof *signatures->heads,
              compare_heads);
    }
    return OK;
}

void signatures_free(struct signatures *signatures) {
    if (signatures != NULL) {
        bytes_unref(signatures->content);
        free(signatures->heads);
        free(signatures);
    }
}

// ---- comparing ---------------------------------------------------------------------------------

// The first head that does not come before `wanted`.
static const struct signed_head *first_from(const struct signatures *signatures,
                                            const struct signed_head *wanted) {
    uint64_t low = 0;
    uint64_t high = signatures->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (compare_heads(&signatures->heads[middle], wanted) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return signatures->heads + low;
}

struct signed_range signatures_of(const struct signatures *signatures, const char *id) {
    struct signed_range range = {0};
    if (signatures->count > 0) {
        struct signed_head wanted = {.id = slice_text(id)};
        range.next = first_from(signatures, &wanted);
        range.end = range.next;
        while (range.end < signatures->heads + signatures->count &&
               slice_equal(range.end->id, wanted.id)) {
            range.end++;
        }
    }
    return range;
}

bool signatures_meet(struct signed_range *range, uint64_t seq, const uint8_t hash[SHA256_BYTES],
                     const struct signed_head **last) {
    for (; range->next < range->end && range->next->seq <= seq; range->next++) {
        // Those of earlier events are of a part that the log does not hold any more.
        if (range->next->seq == seq) {
            *last = range->next;
            if (memcmp(range->next->head, hash, SHA256_BYTES) != 0) {
                return false;
            }
        }
    }
    return true;
}

const struct signed_head *signatures_unknown(const struct signatures *signatures,
                                             const struct map *chains) {
    for (uint64_t i = 0; i < signatures->count; i++) {
        const struct signed_head *head = &signatures->heads[i];
        bool is_next = i == 0 || !slice_equal(head->id, head[-1].id);
        if (is_next && map_get(chains, head->id) == NULL) {
            return head;
        }
    }
    return NULL;
}
