// SPDX-License-Identifier: Apache-2.0
// Verifying a log from its files alone: one pass over all frames in the order of the log, keeping
// for each chain what its next event must continue.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "chain/chain.h"
#include "chain/format.h"
#include "chain/rows.h"
#include "chain/scan.h"
#include "chain/signed.h"
#include "codec/cbor.h"

// What is known of one chain while verifying.
struct chain_state {
    char *id;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    uint64_t next_seq;
    uint64_t last_time_ns;
    uint64_t last_position;
    uint8_t hash[SHA256_BYTES];             // the parent that its next event must name
    struct signed_range signatures;         // not met yet
    const struct signed_head *last_signed;  // NULL: none was met
};

// What the catalogue knows of one chain.
struct claim {
    char *id;
    uint64_t position;  // of the event with that number
    uint64_t seq;
    uint8_t hash[SHA256_BYTES];
};

struct verification {
    struct scan scan;
    struct checkpoint at;  // of the catalogue
    struct claim *claims;  // by number - 1
    uint64_t claim_count;
    uint64_t claim_capacity;
    struct error catalogue_problem;  // it was there and could not be used
    struct signatures *signatures;
    struct map by_id;
    struct chain_state **chains;  // by number - 1
    uint64_t count;
    uint64_t capacity;
    const char *only;  // the chain whose events are verified; NULL: all
    struct chain_verdict *verdict;
};

static void bad(struct verification *v, const struct chain_state *chain, uint64_t seq,
                uint64_t offset, const char *reason) {
    struct chain_verdict *verdict = v->verdict;
    verdict->is_good = false;
    verdict->seq = seq;
    verdict->offset = offset;
    (void)snprintf(verdict->actor, sizeof verdict->actor, "%.128s", chain == NULL ? "" : chain->id);
    segment_name(v->scan.number, verdict->segment);
    (void)snprintf(verdict->reason, sizeof verdict->reason, "%.255s", reason);
}

// ---- the catalogue -----------------------------------------------------------------------------

static enum status take_at(void *context, const struct checkpoint *at, struct error *error) {
    struct verification *v = context;
    (void)error;
    v->at = *at;
    return OK;
}

static enum status take_segment(void *context, const struct segment_claim *row,
                                struct error *error) {
    (void)context;
    (void)row;
    (void)error;
    return OK;
}

static enum status take_chain(void *context, const struct chain_row *row, struct error *error) {
    struct verification *v = context;
    (void)error;
    if (v->claim_count == v->claim_capacity) {
        v->claim_capacity = v->claim_capacity == 0 ? 64 : 2 * v->claim_capacity;
        v->claims = xrealloc(v->claims, (size_t)v->claim_capacity * sizeof *v->claims);
    }
    struct claim *claim = &v->claims[v->claim_count++];
    *claim = (struct claim){.id = xstrdup(row->id), .position = row->position, .seq = row->seq};
    memcpy(claim->hash, row->head, SHA256_BYTES);
    return OK;
}

static void forget_claims(struct verification *v) {
    for (uint64_t i = 0; i < v->claim_count; i++) {
        free(v->claims[i].id);
    }
    free(v->claims);
    v->claims = NULL;
    v->claim_count = v->claim_capacity = 0;
    v->at = (struct checkpoint){0};
}

static void read_catalogue(struct verification *v, const char *folder) {
    struct catalogue *catalogue = NULL;
    struct rows_reader reader = {
        .at = take_at, .segment = take_segment, .chain = take_chain, .context = v};
    if (!rows_exist(folder)) {
        return;
    }
    enum status status = rows_open(folder, true, false, &catalogue, &v->catalogue_problem);
    if (status == OK) {
        status = rows_read(catalogue, &reader, &v->catalogue_problem);
        catalogue_close(catalogue);
    }
    if (status != OK) {
        forget_claims(v);
    }
}

// What the catalogue knows of the chain of that number, or NULL.
static const struct claim *claim_of(const struct verification *v, uint32_t number) {
    return number <= v->claim_count ? &v->claims[number - 1] : NULL;
}

// The segments ended without damage: the catalogue may know of more.
static void check_end(struct verification *v) {
    const struct claim *lost = NULL;
    uint64_t next_seq = 0;
    for (uint64_t i = 0; i < v->claim_count; i++) {
        const struct claim *claim = &v->claims[i];
        uint64_t next = i < v->count ? v->chains[i]->next_seq : 0;
        bool is_asked = v->only == NULL || strcmp(v->only, claim->id) == 0;
        if (is_asked && next <= claim->seq && (lost == NULL || claim->position < lost->position)) {
            lost = claim;
            next_seq = next;
        }
    }
    struct chain_verdict *verdict = v->verdict;
    if (lost == NULL && v->scan.position >= v->at.position) {
        return;
    }
    uint32_t number = v->scan.number == 0 ? 1 : v->scan.number;
    verdict->is_good = false;
    verdict->offset = v->scan.number == 0 ? 0 : v->scan.offset;
    segment_name(number, verdict->segment);
    if (lost == NULL) {
        (void)snprintf(verdict->reason, sizeof verdict->reason,
                       "the log ends at position %" PRIu64 "; the catalogue knows it to %" PRIu64,
                       v->scan.position, v->at.position);
        return;
    }
    verdict->seq = next_seq;
    (void)snprintf(verdict->actor, sizeof verdict->actor, "%.128s", lost->id);
    (void)snprintf(
        verdict->reason, sizeof verdict->reason,
        "the log ends before this event; the catalogue knows the chain to event %" PRIu64,
        lost->seq);
}

// ---- signatures --------------------------------------------------------------------------------

// The log lacks an event that was signed.
static void lost_signed(struct verification *v, const struct signed_head *head, uint64_t next_seq) {
    struct chain_verdict *verdict = v->verdict;
    verdict->is_good = false;
    verdict->seq = next_seq;
    verdict->offset = v->scan.number == 0 ? 0 : v->scan.offset;
    segment_name(v->scan.number == 0 ? 1 : v->scan.number, verdict->segment);
    (void)snprintf(verdict->actor, sizeof verdict->actor, "%.*s", (int)head->id.size,
                   (const char *)head->id.data);
    (void)snprintf(verdict->reason, sizeof verdict->reason,
                   "the log ends before this event; the chain was signed to event %" PRIu64,
                   head->seq);
}

// After the last event: what was signed, and whether all of that is there.
static void check_signatures(struct verification *v) {
    struct chain_verdict *verdict = v->verdict;
    const struct signed_head *unknown = signatures_unknown(v->signatures, &v->by_id);
    if (unknown != NULL && v->only == NULL) {
        lost_signed(v, unknown, 0);
    }
    for (uint64_t i = 0; verdict->is_good && i < v->count; i++) {
        const struct chain_state *chain = v->chains[i];
        if (v->only != NULL && strcmp(v->only, chain->id) != 0) {
            continue;
        }
        if (chain->signatures.next != chain->signatures.end) {
            lost_signed(v, chain->signatures.end - 1, chain->next_seq);
        } else if (chain->last_signed != NULL) {
            verdict->signed_chains++;
            verdict->signed_seq = chain->last_signed->seq;
            memcpy(verdict->signed_key, chain->last_signed->key, ED25519_PUBLIC_BYTES);
        }
    }
}

// ---- good frames -------------------------------------------------------------------------------

static bool verify_declaration(struct verification *v, const struct frame *frame) {
    uint64_t offset = scan_offset_of(&v->scan, frame->position);
    const char *id = (const char *)frame->body + CHAIN_NONCE_BYTES;
    if (frame->body_bytes < CHAIN_NONCE_BYTES ||
        !is_chain_id(id, frame->body_bytes - CHAIN_NONCE_BYTES)) {
        bad(v, NULL, UINT64_MAX, offset, "declares a chain without a proper id");
        return false;
    }
    struct chain_state *chain = xcalloc(1, sizeof *chain);
    size_t id_bytes = frame->body_bytes - CHAIN_NONCE_BYTES;
    chain->id = xstrndup(id, id_bytes);
    memcpy(chain->nonce, frame->body, CHAIN_NONCE_BYTES);
    chain->last_position = NO_POSITION;
    genesis_parent(chain->id, chain->nonce, chain->hash);
    if (frame->actor != v->count + 1 || frame->previous != NO_POSITION) {
        bad(v, chain, UINT64_MAX, offset, "declares a chain under a number that is not next");
    } else if (claim_of(v, frame->actor) != NULL &&
               strcmp(claim_of(v, frame->actor)->id, chain->id) != 0) {
        bad(v, chain, 0, offset, "the catalogue knows another chain under this number");
    } else if (!map_add(&v->by_id, slice_of(id, id_bytes), chain)) {
        bad(v, chain, UINT64_MAX, offset, "declares a chain a second time");
    } else {
        if (v->count == v->capacity) {
            v->capacity = v->capacity == 0 ? 64 : 2 * v->capacity;
            v->chains = xrealloc(v->chains, v->capacity * sizeof *v->chains);
        }
        chain->signatures = signatures_of(v->signatures, chain->id);
        v->chains[v->count++] = chain;
        return true;
    }
    free(chain->id);
    free(chain);
    return false;
}

// The reason why `event` cannot follow in `chain`, or NULL.
static const char *event_problem(const struct chain_state *chain, const struct frame *frame,
                                 const struct chain_event *event) {
    if (event->seq != chain->next_seq) {
        return event->seq < chain->next_seq ? "an event of this number came before"
                                            : "the events before this one are missing";
    }
    if (frame->previous != chain->last_position) {
        return "does not point to the chain's event before it";
    }
    if (memcmp(event->parent, chain->hash, SHA256_BYTES) != 0) {
        return event->seq == 0 ? "its parent hash is not the chain's beginning"
                               : "its parent hash is not the hash of the event before";
    }
    if (event->time_ns < chain->last_time_ns) {
        return "its time is before that of the event before";
    }
    if (cbor_check(event->bytes, true, NULL) != OK) {
        return "its bytes are not deterministic CBOR";
    }
    if (event->seq == 0 && !holds_nonce(event->data, chain->nonce)) {
        return "the chain's first event does not hold its nonce";
    }
    return NULL;
}

static bool verify_event(struct verification *v, const struct frame *frame) {
    uint64_t offset = scan_offset_of(&v->scan, frame->position);
    if (frame->actor == 0 || frame->actor > v->count) {
        bad(v, NULL, UINT64_MAX, offset, "an event of a chain that was not declared");
        return false;
    }
    struct chain_state *chain = v->chains[frame->actor - 1];
    if (v->only != NULL && strcmp(v->only, chain->id) != 0) {
        return true;
    }
    struct slice body = slice_of(frame->body, frame->body_bytes);
    struct chain_event event = {0};
    struct error error = {0};
    const char *problem = event_decode(body, &event, &error) != OK
                              ? error.message
                              : event_problem(chain, frame, &event);
    const struct claim *claim = claim_of(v, frame->actor);
    if (problem == NULL && claim != NULL && event.seq == claim->seq &&
        (frame->position != claim->position ||
         memcmp(frame->hash, claim->hash, SHA256_BYTES) != 0)) {
        problem = "is not the event that the catalogue knows: its hash or position differs";
    }
    if (problem == NULL &&
        !signatures_meet(&chain->signatures, event.seq, frame->hash, &chain->last_signed)) {
        problem = "was signed with another hash";
    }
    if (problem != NULL) {
        bad(v, chain, chain->next_seq, offset, problem);
        return false;
    }
    memcpy(chain->hash, frame->hash, SHA256_BYTES);
    chain->next_seq++;
    chain->last_time_ns = event.time_ns;
    chain->last_position = frame->position;
    v->verdict->events++;
    return true;
}

// ---- damaged frames ----------------------------------------------------------------------------

// How many of a damaged frame's claims fit what the chain's next event must say.
static int fit(const struct chain_state *chain, const struct frame *frame, uint64_t body_left) {
    int score = frame->previous == chain->last_position ? 1 : 0;
    if (body_left < SHA256_BYTES) {
        return score;
    }
    score += memcmp(frame->body, chain->hash, SHA256_BYTES) == 0 ? 2 : 0;
    struct cbor_reader reader =
        cbor_reader_of(slice_of(frame->body + SHA256_BYTES, (size_t)(body_left - SHA256_BYTES)));
    uint64_t value = 0;
    bool has_seq = cbor_read_array(&reader, &value, NULL) == OK &&
                   cbor_read_uint(&reader, &value, NULL) == OK &&
                   cbor_read_uint(&reader, &value, NULL) == OK;
    return score + (has_seq && value == chain->next_seq ? 1 : 0);
}

// Finds out whose event a frame with a wrong checksum was: by the number it names, if one more
// claim fits that chain, or else by the chain that fits best.
static const struct chain_state *attribute(const struct verification *v,
                                           const struct damage *damage) {
    const struct frame *frame = &damage->frame;
    const struct chain_state *best = NULL;
    int best_fit = 1;
    bool has_number = frame->actor != 0 && frame->actor <= v->count;
    if (has_number && fit(v->chains[frame->actor - 1], frame, damage->body_left) > 0) {
        return v->chains[frame->actor - 1];
    }
    for (uint64_t i = 0; i < v->count; i++) {
        int score = fit(v->chains[i], frame, damage->body_left);
        if (score > best_fit) {
            best = v->chains[i];
            best_fit = score;
        }
    }
    return best;
}

static void take_damage(struct verification *v) {
    const struct damage *damage = &v->scan.damage;
    const struct chain_state *chain = damage->has_frame ? attribute(v, damage) : NULL;
    bad(v, chain, chain == NULL ? UINT64_MAX : chain->next_seq, damage->offset, damage->reason);
    memcpy(v->verdict->segment, damage->segment, sizeof v->verdict->segment);
}

// ---- the pass ----------------------------------------------------------------------------------

static enum status run(struct verification *v, struct error *error) {
    for (;;) {
        struct frame frame;
        switch (scan_next(&v->scan, &frame, error)) {
            case SCAN_FAILED:
                return error->code;
            case SCAN_DAMAGED:
                take_damage(v);
                return OK;
            case SCAN_END:
                if (v->scan.has_tail) {
                    (void)snprintf(v->verdict->reason, sizeof v->verdict->reason,
                                   "good up to byte %" PRIu64 " of segment %" PRIu32
                                   "; what follows is an unfinished write",
                                   v->scan.offset, v->scan.number);
                }
                if (v->verdict->is_good) {
                    check_end(v);
                }
                if (v->verdict->is_good) {
                    check_signatures(v);
                }
                return OK;
            case SCAN_FRAME:
                break;
        }
        bool is_good =
            frame.kind == FRAME_ACTOR ? verify_declaration(v, &frame) : verify_event(v, &frame);
        if (!is_good) {
            return OK;
        }
    }
}

enum status chain_verify(const char *folder, const char *id, struct chain_verdict *verdict,
                         struct error *error) {
    *verdict = (struct chain_verdict){.is_good = true, .seq = UINT64_MAX, .signed_seq = UINT64_MAX};
    struct verification v = {.only = id, .verdict = verdict};
    struct error cause = {0};
    scan_init(&v.scan, folder, true);
    read_catalogue(&v, folder);
    enum status status = signatures_load(folder, &v.signatures, verdict, &cause);
    if (status == OK) {
        status = run(&v, &cause);
    }
    if (status == OK && verdict->is_good && v.catalogue_problem.code != OK) {
        (void)snprintf(verdict->reason, sizeof verdict->reason,
                       "whether the log once was longer cannot be told: %.200s",
                       v.catalogue_problem.message);
    }
    bool is_known = id == NULL || map_get_text(&v.by_id, id) != NULL;
    if (status == OK && verdict->is_good && !is_known) {
        status = error_set(&cause, ERR_NOT_FOUND, "no chain '%.128s' in %s", id, folder);
    }
    verdict->chains = id == NULL ? v.count : is_known ? 1 : 0;
    for (uint64_t i = 0; i < v.count; i++) {
        free(v.chains[i]->id);
        free(v.chains[i]);
    }
    free(v.chains);
    map_release(&v.by_id);
    forget_claims(&v);
    signatures_free(v.signatures);
    scan_release(&v.scan);
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}

void chain_verdict_text(const struct chain_verdict *verdict, struct buf *out) {
    buf_format(out, "%s at byte %" PRIu64 ": ", verdict->segment, verdict->offset);
    if (verdict->actor[0] != '\0') {
        buf_format(out, "actor %s, ", verdict->actor);
    }
    if (verdict->seq != UINT64_MAX) {
        buf_format(out, "event %" PRIu64 ": ", verdict->seq);
    }
    buf_append_text(out, verdict->reason);
}
