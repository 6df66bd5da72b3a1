// SPDX-License-Identifier: Apache-2.0
// Reading a damaged log: every event that is still whole, and what is missing in between. A frame
// is taken for whole when its checksum fits at its position, wherever it stands between damage: the
// position is part of the checksum, so that bytes which only look like a frame do not pass.
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "chain/rows.h"

// What is known of one chain while reading.
struct remains {
    char *id;  // NULL: its declaration is lost
    uint64_t next_seq;
    uint64_t last_position;
    uint64_t known_seq;  // the last event that the catalogue knows, with has_known
    bool has_known;
};

struct salvage {
    struct scan scan;
    struct remains *chains;  // by number - 1; numbers may be missing
    uint64_t count;
    uint64_t capacity;
    chain_visit_fn visit;
    chain_loss_fn lose;
    void *context;
    char name[32];  // of a chain whose declaration is lost
};

enum { CHAINS_MOST = 1 << 28 };  // what a damaged log may make us allocate

static struct remains *remains_of(struct salvage *self, uint32_t number) {
    if (number == 0 || number > CHAINS_MOST) {
        return NULL;
    }
    if (number > self->capacity) {
        uint64_t capacity = number + number / 2 + 64;
        self->chains = xrealloc(self->chains, (size_t)capacity * sizeof *self->chains);
        self->capacity = capacity;
    }
    while (self->count < number) {
        self->chains[self->count++] = (struct remains){.last_position = NO_POSITION};
    }
    return &self->chains[number - 1];
}

static const char *name_of(struct salvage *self, const struct remains *chain) {
    if (chain->id == NULL) {
        (void)snprintf(self->name, sizeof self->name, "?%" PRIu64,
                       (uint64_t)(chain - self->chains) + 1);
        return self->name;
    }
    return chain->id;
}

// ---- the catalogue -----------------------------------------------------------------------------

static enum status pass_at(void *context, const struct checkpoint *at, struct error *error) {
    (void)context;
    (void)at;
    (void)error;
    return OK;
}

static enum status pass_segment(void *context, const struct segment_claim *row,
                                struct error *error) {
    (void)context;
    (void)row;
    (void)error;
    return OK;
}

static enum status take_row(void *context, const struct chain_row *row, struct error *error) {
    struct remains *chain = remains_of(context, row->number);
    (void)error;
    if (chain != NULL && chain->id == NULL) {
        chain->id = xstrdup(row->id);
        chain->known_seq = row->seq;
        chain->has_known = true;
    }
    return OK;
}

// It knows ids whose declarations are lost, and how far the chains went. Nothing depends on it.
static void read_catalogue(struct salvage *self, const char *folder) {
    struct catalogue *catalogue = NULL;
    struct rows_reader reader = {pass_at, pass_segment, take_row, self};
    if (rows_exist(folder) && rows_open(folder, true, false, &catalogue, NULL) == OK) {
        (void)!rows_read(catalogue, &reader, NULL);
        catalogue_close(catalogue);
    }
}

// ---- going on behind damage --------------------------------------------------------------------

// A whole event or actor frame at `at` of the region in scan->batch.
static bool is_frame(const struct scan *scan, size_t at, struct frame *frame) {
    size_t left = scan->batch.size - at;
    if (left < FRAME_HEADER_BYTES) {
        return false;
    }
    *frame = frame_read(scan->batch.data + at, scan->position + at);
    return (frame->kind == FRAME_EVENT || frame->kind == FRAME_ACTOR) && frame->actor != 0 &&
           frame->body_bytes <= left - FRAME_HEADER_BYTES &&
           frame_is_intact(scan->batch.data + at, frame);
}

// The file offset of the next whole batch frame behind scan->offset, or `limit`.
static enum status next_batch(struct scan *scan, uint64_t limit, uint64_t *offset,
                              struct error *error) {
    enum { WINDOW = 1 << 20 };
    uint8_t *window = xmalloc(WINDOW);
    enum status status = OK;
    *offset = limit;
    for (uint64_t start = scan->offset + 1; *offset == limit && start < limit;) {
        size_t got = 0;
        status = read_at(scan->file, start, window, WINDOW, &got, error);
        if (status != OK || got < BATCH_FRAME_BYTES) {
            break;
        }
        for (size_t i = 0; i + BATCH_FRAME_BYTES <= got && start + i < limit; i++) {
            struct batch batch;
            if (window[i + FRAME_HEADER_BYTES] == batch_magic[0] &&
                batch_read(window + i, scan->position + (start + i - scan->offset), &batch)) {
                *offset = start + i;
                break;
            }
        }
        start += got - BATCH_FRAME_BYTES + 1;
    }
    free(window);
    return status;
}

// Loads what lies at scan->offset up to where the next batch must begin. *is_last: nothing says
// that one does.
static enum status load_region(struct scan *scan, bool *is_last, struct error *error) {
    uint8_t head[BATCH_FRAME_BYTES];
    size_t got = 0;
    struct batch batch = {0};
    uint64_t end = scan->footer_offset != 0 ? scan->footer_offset : scan->file_bytes;
    enum status status = read_at(scan->file, scan->offset, head, sizeof head, &got, error);
    bool has_header = status == OK && got == sizeof head &&
                      batch_read(head, scan->position, &batch) &&
                      batch.end - scan->position <= scan->file_bytes - scan->offset;
    if (has_header) {
        uint64_t limit = end;
        end = scan->offset + (batch.end - scan->position);
        scan->ignores_footer = scan->ignores_footer || end > limit;  // the trailer is wrong, too
    } else if (status == OK) {
        uint64_t limit = end;
        status = next_batch(scan, limit, &end, error);
        *is_last = end == limit;
    }
    uint64_t size = end > scan->offset ? end - scan->offset : 0;
    size = size > BATCH_MOST_BYTES ? BATCH_MOST_BYTES : size;
    buf_clear(&scan->batch);
    if (status == OK) {
        status = read_at(scan->file, scan->offset, buf_reserve(&scan->batch, (size_t)size),
                         (size_t)size, &scan->batch.size, error);
    }
    return status;
}

static void finish_file(struct scan *scan) {
    scan->is_finished = true;
    scan->knows_position = false;
    scan->has_next_digest = false;
    scan->has_previous_batch = false;
    scan->is_damaged = false;
    scan->ignores_footer = false;
    buf_clear(&scan->batch);
    scan->at = 0;
}

// A segment that could not be begun: its header may be all that is wrong.
static enum status skip_header(struct scan *scan, struct error *error) {
    uint8_t bytes[SEGMENT_HEADER_BYTES + BATCH_FRAME_BYTES];
    struct segment_header header;
    struct batch batch;
    size_t got = 0;
    bool knew_position = scan->knows_position;
    finish_file(scan);
    if (scan->file < 0 || scan->file_number != scan->number) {
        uint32_t next = 0;  // it is missing
        enum status listed = segment_after(scan->folder, scan->number, &next, error);
        scan->number = listed == OK && next != 0 ? next - 1 : scan->number;
        return listed;
    }
    enum status status = read_at(scan->file, 0, bytes, sizeof bytes, &got, error);
    if (status != OK) {
        error_clear(error);  // a folder in its place, say: on with the next one
        return OK;
    }
    if (knew_position && got == sizeof bytes && !segment_header_read(bytes, &header) &&
        batch_read(bytes + SEGMENT_HEADER_BYTES, scan->position, &batch)) {
        scan->base = scan->position;
        scan->offset = SEGMENT_HEADER_BYTES;
        scan->is_finished = false;
        scan->is_lossy = true;
        memset(&scan->sum, 0, sizeof scan->sum);
    }
    return OK;
}

// Sets scan->at and the end of the region to the next run of whole frames at or behind `from`.
// False when there is none.
static bool find_run(struct scan *scan, size_t from) {
    struct frame frame;
    size_t at = from;
    while (at < scan->batch.size && !is_frame(scan, at, &frame)) {
        at++;
    }
    if (at >= scan->batch.size) {
        return false;
    }
    size_t end = at;
    while (end < scan->batch.size && is_frame(scan, end, &frame)) {
        end += FRAME_HEADER_BYTES + (size_t)frame.body_bytes;
    }
    scan->at = at;
    scan->good_bytes = end;
    return true;
}

// After SCAN_DAMAGED: sets the scan on what is whole behind the damage, in the batch, the segment
// or the next one. *end is the file offset up to which bytes are passed over, UINT64_MAX for the
// rest of the file.
static enum status skip(struct scan *scan, uint64_t *end, struct error *error) {
    *end = UINT64_MAX;
    scan->is_lossy = true;
    if (scan->is_finished) {
        return skip_header(scan, error);
    }
    if (scan->footer_offset != 0 && scan->offset > scan->footer_offset) {
        scan->ignores_footer = true;  // it is the trailer that is wrong
        return OK;
    }
    if (scan->footer_offset != 0 && scan->offset == scan->footer_offset) {
        uint64_t position = scan->position;
        finish_file(scan);
        scan->knows_position = true;
        scan->position = position;
        return OK;
    }
    size_t from =
        scan->damage.offset > scan->offset ? (size_t)(scan->damage.offset - scan->offset) : 0;
    bool is_last = false;
    enum status status = load_region(scan, &is_last, error);
    if (status != OK) {
        return status;
    }
    size_t size = scan->batch.size;
    is_last = is_last || scan->offset + size >= scan->file_bytes;
    if (!find_run(scan, from + 1)) {
        *end = scan->offset + size;
        if (is_last) {
            finish_file(scan);
            return OK;
        }
        scan->good_bytes = scan->at = size;
    } else {
        *end = scan->offset + scan->at;
    }
    scan->batch_position = scan->position;
    scan->batch_offset = scan->offset;
    if (scan->good_bytes < size) {  // more damage in the same region
        scan->batch.size = scan->good_bytes;
        scan->is_damaged = true;
        scan->damage.offset = scan->offset + scan->good_bytes;
        scan->damage.has_frame = false;
        (void)snprintf(scan->damage.reason, sizeof scan->damage.reason, "no whole frame");
        return OK;
    }
    scan->is_damaged = false;
    scan->previous_batch = scan->position;
    scan->has_previous_batch = false;
    scan->position += size;
    scan->offset += size;
    return OK;
}

// ---- giving ------------------------------------------------------------------------------------

static void lose(struct salvage *self, struct chain_loss *loss) {
    self->lose(self->context, loss);
}

// The events from the chain's next one to before `seq` are nowhere.
static void lose_events(struct salvage *self, const struct remains *chain, uint64_t seq) {
    struct chain_loss loss = {
        .id = name_of(self, chain), .first_seq = chain->next_seq, .last_seq = seq - 1};
    if (chain->next_seq == seq - 1) {
        (void)snprintf(loss.reason, sizeof loss.reason, "event %" PRIu64 " is missing", seq - 1);
    } else {
        (void)snprintf(loss.reason, sizeof loss.reason,
                       "events %" PRIu64 " to %" PRIu64 " are missing", chain->next_seq, seq - 1);
    }
    lose(self, &loss);
}

static void take_declaration(struct salvage *self, const struct frame *frame) {
    const char *id = (const char *)frame->body + CHAIN_NONCE_BYTES;
    struct remains *chain = remains_of(self, frame->actor);
    if (chain != NULL && chain->id == NULL && frame->body_bytes > CHAIN_NONCE_BYTES &&
        is_chain_id(id, frame->body_bytes - CHAIN_NONCE_BYTES)) {
        chain->id = xstrndup(id, frame->body_bytes - CHAIN_NONCE_BYTES);
    }
}

static enum status take_event(struct salvage *self, const struct frame *frame,
                              struct error *error) {
    struct remains *chain = remains_of(self, frame->actor);
    struct chain_event event = {0};
    struct slice body = slice_of(frame->body, frame->body_bytes);
    struct chain_loss loss = {.first_seq = UINT64_MAX, .last_seq = UINT64_MAX};
    struct error problem = {0};
    segment_name(self->scan.number, loss.segment);
    loss.offset = scan_offset_of(&self->scan, frame->position);
    loss.end = loss.offset + FRAME_HEADER_BYTES + frame->body_bytes;
    if (chain == NULL || event_decode(body, &event, &problem) != OK) {
        (void)snprintf(loss.reason, sizeof loss.reason, "%.200s",
                       chain == NULL ? "an event of an impossible chain" : problem.message);
        lose(self, &loss);
        return OK;
    }
    if (event.seq > chain->next_seq) {
        lose_events(self, chain, event.seq);
    } else if (event.seq < chain->next_seq) {
        (void)snprintf(loss.reason, sizeof loss.reason, "event %" PRIu64 " again", event.seq);
        loss.id = name_of(self, chain);
        lose(self, &loss);
        return OK;
    }
    event_hash(body, event.hash);
    event.id = name_of(self, chain);
    event.position = frame->position;
    chain->next_seq = event.seq + 1;
    chain->last_position = frame->position;
    return self->visit(self->context, &event, error);
}

static enum status take_damage(struct salvage *self, struct error *error) {
    const struct damage *damage = &self->scan.damage;
    struct chain_loss loss = {
        .offset = damage->offset, .first_seq = UINT64_MAX, .last_seq = UINT64_MAX};
    (void)snprintf(loss.segment, sizeof loss.segment, "%s", damage->segment);
    (void)snprintf(loss.reason, sizeof loss.reason, "%.255s", damage->reason);
    enum status status = skip(&self->scan, &loss.end, error);
    if (status == OK) {
        lose(self, &loss);
    }
    return status;
}

static void take_end(struct salvage *self) {
    const struct scan *scan = &self->scan;
    if (scan->has_tail) {
        struct chain_loss loss = {.offset = scan->offset,
                                  .end = UINT64_MAX,
                                  .first_seq = UINT64_MAX,
                                  .last_seq = UINT64_MAX};
        segment_name(scan->number, loss.segment);
        (void)snprintf(loss.reason, sizeof loss.reason, "an unfinished write");
        lose(self, &loss);
    }
    for (uint64_t i = 0; i < self->count; i++) {
        const struct remains *chain = &self->chains[i];
        if (chain->has_known && chain->known_seq >= chain->next_seq) {
            lose_events(self, chain, chain->known_seq + 1);
        }
    }
}

static enum status run(struct salvage *self, struct error *error) {
    enum status status = OK;
    while (status == OK) {
        struct frame frame;
        switch (scan_next(&self->scan, &frame, error)) {
            case SCAN_FRAME:
                if (frame.kind == FRAME_ACTOR) {
                    take_declaration(self, &frame);
                } else {
                    status = take_event(self, &frame, error);
                }
                break;
            case SCAN_END:
                take_end(self);
                return OK;
            case SCAN_DAMAGED:
                status = take_damage(self, error);
                break;
            case SCAN_FAILED:
                status = error->code;
                break;
        }
    }
    return status;
}

enum status chain_salvage(const char *folder, chain_visit_fn visit, chain_loss_fn lose_fn,
                          void *context, struct error *error) {
    struct salvage self = {.visit = visit, .lose = lose_fn, .context = context};
    struct error cause = {0};
    scan_init(&self.scan, folder, false);
    read_catalogue(&self, folder);
    enum status status = run(&self, &cause);
    for (uint64_t i = 0; i < self.count; i++) {
        free(self.chains[i].id);
    }
    free(self.chains);
    scan_release(&self.scan);
    return status == OK ? OK : error_set(error, status, "%s", cause.message);
}
