// SPDX-License-Identifier: Apache-2.0
// A proxy for an API on the web: it holds the key, so that those who ask need not, and tries again
// when the API is busy.
//
// The state is {"base":"https://api.example"}; a request is a path beneath it. The key is in the
// variable API_KEY, which the manifest marks as secret.
#include "theater-files.h"
#include "theater-http.h"

enum { TRIES = 5, FIRST_PAUSE_MS = 100 };

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    if (theater_is_none(theater_get_var("API_KEY"))) {
        return theater_error("set API_KEY");
    }
    if (theater_is_none(theater_json_field(state, "base"))) {
        return theater_error("the state must be {\"base\": \"https://…\"}");
    }
    return theater_ok(state);
}

// Whether another try may help.
static bool is_passing(const struct theater_outcome *outcome, uint16_t status) {
    return !outcome->ok || status == 429 || status >= 500;
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes path) {
    (void)request_id;
    struct theater_header headers[] = {
        {theater_text("authorization"), theater_join("Bearer ", theater_get_var("API_KEY"))},
        {theater_text("accept"), theater_text("application/json")},
    };
    struct theater_http_request request = {
        .method = theater_text("GET"),
        .uri = theater_join(theater_json_field(state, "base"), path),
        .headers = headers,
        .header_count = sizeof headers / sizeof headers[0],
    };
    struct theater_http_response response;
    struct theater_outcome outcome = theater_http_send(&request, &response);
    uint64_t pause_ms = FIRST_PAUSE_MS;
    for (int tries = 1; is_passing(&outcome, response.status) && tries < TRIES; tries++) {
        theater_log("try ", tries,
                    " failed: ", outcome.ok ? theater_text(response.status) : outcome.error);
        (void)theater_sleep_ms(pause_ms);
        pause_ms *= 2;
        outcome = theater_http_send(&request, &response);
    }
    if (!outcome.ok) {
        return theater_error("the API cannot be reached: ", outcome.error);
    }
    if (response.status != 200) {
        return theater_error("the API answered ", response.status);
    }
    return theater_reply(state, response.body);
}

THEATER_INIT(on_init);
THEATER_HANDLE_REQUEST(on_request);
