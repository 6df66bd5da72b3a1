// SPDX-License-Identifier: Apache-2.0
// All events of a log, in its order: for questions that concern every chain at once.
#include "chain/chain.h"
#include "chain/format.h"
#include "chain/scan.h"

static enum status visit_frame(struct scan *scan, const struct frame *frame, chain_visit_fn visit,
                               void *context, struct error *error) {
    struct chain_event event;
    struct error problem = {0};
    if (frame->kind != FRAME_EVENT) {
        return OK;
    }
    if (event_decode(slice_of(frame->body, frame->body_bytes), &event, &problem) != OK) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(scan->number, name);
        return error_set(error, ERR_DAMAGED, "%s at byte %llu: %s", name,
                         (unsigned long long)scan_offset_of(scan, frame->position),
                         problem.message);
    }
    return visit(context, &event, error);
}

enum status chain_visit_log(const char *folder, chain_visit_fn visit, void *context,
                            struct error *error) {
    struct scan scan;
    scan_init(&scan, folder, false);
    enum status status = OK;
    for (bool more = true; status == OK && more;) {
        struct frame frame;
        switch (scan_next(&scan, &frame, error)) {
            case SCAN_FRAME:
                status = visit_frame(&scan, &frame, visit, context, error);
                break;
            case SCAN_END:
                more = false;
                break;
            case SCAN_DAMAGED:
                status = scan_damage_error(&scan, error);
                break;
            case SCAN_FAILED:
                status = error != NULL && error->code != OK ? error->code : ERR_IO;
                break;
        }
    }
    scan_release(&scan);
    return status;
}
