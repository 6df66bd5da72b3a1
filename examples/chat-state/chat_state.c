// SPDX-License-Identifier: Apache-2.0
// The state of one conversation. It starts the actor that answers, keeps its settings in a store
// under a label of the conversation, answers questions late, and tells everybody who opened a
// channel to it what is said.
//
// The state is text: the answering child, the store and the conversation in its first line, then a
// line "ask REQUEST TEXT", "watch CHANNEL" or "said TEXT" for each thing it remembers. A question
// is put into the state and worked off in a turn that the actor asks of itself, so that other
// requests come in between.
//
// Requests: "settings" and "settings TEXT" read and set, "history" lists, "ask TEXT" asks.
#include "theater-store.h"

struct chat {
    struct theater_bytes child, store, conversation;
    struct theater_bytes lines;
};

static struct chat read_state(struct theater_bytes state) {
    struct chat chat = {.lines = state};
    struct theater_bytes line = theater_line(&chat.lines);
    chat.child = theater_word(&line);
    chat.store = theater_word(&line);
    chat.conversation = line;
    return chat;
}

static struct theater_bytes write_state(const struct chat *chat) {
    return theater_join(chat->child, " ", chat->store, " ", chat->conversation, "\n", chat->lines);
}

static struct theater_bytes label_of(const struct chat *chat) {
    return theater_join("settings_", chat->conversation);
}

static struct theater_result on_init(struct theater_bytes state, struct theater_bytes own_id) {
    (void)own_id;
    struct chat chat = {.conversation = theater_json_field(state, "conversation"),
                        .lines = theater_text("")};
    struct theater_bytes manifest = theater_json_field(state, "answers");
    if (theater_is_none(chat.conversation) || theater_is_none(manifest)) {
        return theater_error("the state must be {\"conversation\": …, \"answers\": manifest}");
    }
    struct theater_outcome outcome = theater_store_new();
    if (!outcome.ok) {
        return theater_error("no store: ", outcome.error);
    }
    chat.store = outcome.value;
    outcome = theater_store_replace_at_label(chat.store, label_of(&chat), "tone=plain");
    if (outcome.ok) {
        outcome = theater_spawn(manifest, THEATER_NONE);
    }
    if (!outcome.ok) {
        return theater_error("the conversation did not start: ", outcome.error);
    }
    chat.child = outcome.value;
    // At once: the child may be used from the moment that it has an id.
    outcome = theater_request(chat.child, "hello");
    if (!outcome.ok) {
        return theater_error("the answering actor does not answer: ", outcome.error);
    }
    chat.lines = theater_join("said ", outcome.value, "\n");
    return theater_ok(write_state(&chat));
}

static struct theater_result on_settings(const struct chat *chat, struct theater_bytes text) {
    if (text.size != 0) {
        struct theater_outcome set =
            theater_store_replace_at_label(chat->store, label_of(chat), text);
        return set.ok ? theater_reply(THEATER_NONE, set.value) : theater_error(set.error);
    }
    struct theater_outcome found = theater_store_find(chat->store, label_of(chat));
    if (found.ok) {
        found = theater_store_get(chat->store, found.value);
    }
    return found.ok ? theater_reply(THEATER_NONE, found.value) : theater_error(found.error);
}

static struct theater_result on_request(struct theater_bytes state, struct theater_bytes request_id,
                                        struct theater_bytes message) {
    struct chat chat = read_state(state);
    struct theater_bytes text = message, order = theater_word(&text);
    if (theater_text_equal(order, "settings")) {
        return on_settings(&chat, text);
    }
    if (theater_text_equal(order, "history")) {
        return theater_reply(THEATER_NONE, chat.lines);
    }
    if (!theater_text_equal(order, "ask")) {
        return theater_error("ask \"settings\", \"history\" or \"ask TEXT\"");
    }
    struct theater_outcome outcome = theater_send(theater_self(), "continue");
    if (!outcome.ok) {
        return theater_error(outcome.error);
    }
    chat.lines = theater_join(chat.lines, "ask ", request_id, " ", text, "\n");
    return theater_reply_later(write_state(&chat));
}

// Tells those who watch. One that cannot be reached is about to be reported as closed.
static void tell(const struct chat *chat, struct theater_bytes text) {
    struct theater_bytes rest = chat->lines;
    while (rest.size != 0) {
        struct theater_bytes line = theater_line(&rest);
        if (theater_text_equal(theater_word(&line), "watch")) {
            (void)theater_send_on_channel(line, text);
        }
    }
}

// Works off the oldest question.
static struct theater_result on_send(struct theater_bytes state, struct theater_bytes message) {
    (void)message;
    struct chat chat = read_state(state);
    struct theater_bytes rest = chat.lines;
    while (rest.size != 0) {
        struct theater_bytes before = {chat.lines.data, chat.lines.size - rest.size};
        struct theater_bytes question = theater_line(&rest);
        if (!theater_text_equal(theater_word(&question), "ask")) {
            continue;
        }
        struct theater_bytes request = theater_word(&question);
        struct theater_outcome outcome = theater_request(chat.child, question);
        struct theater_bytes answer =
            outcome.ok ? outcome.value : theater_join("no answer: ", outcome.error);
        tell(&chat, answer);
        (void)theater_respond(request, answer);
        chat.lines = theater_join(before, rest, "said ", answer, "\n");
        return theater_ok(write_state(&chat));
    }
    return theater_ok(state);
}

static struct theater_result on_open(struct theater_bytes state, struct theater_bytes channel,
                                     struct theater_bytes first) {
    (void)first;
    struct chat chat = read_state(state);
    chat.lines = theater_join(chat.lines, "watch ", channel, "\n");
    return theater_accept(write_state(&chat), "watching");
}

static struct theater_result on_close(struct theater_bytes state, struct theater_bytes channel) {
    struct chat chat = read_state(state);
    struct theater_bytes rest = chat.lines;
    while (rest.size != 0) {
        struct theater_bytes before = {chat.lines.data, chat.lines.size - rest.size};
        struct theater_bytes line = theater_line(&rest);
        if (theater_text_equal(theater_word(&line), "watch") && theater_text_equal(line, channel)) {
            chat.lines = theater_join(before, rest);
            return theater_ok(write_state(&chat));
        }
    }
    return theater_ok(state);
}

THEATER_INIT(on_init);
THEATER_HANDLE_SEND(on_send);
THEATER_HANDLE_REQUEST(on_request);
THEATER_HANDLE_CHANNEL_OPEN(on_open);
THEATER_HANDLE_CHANNEL_CLOSE(on_close);
