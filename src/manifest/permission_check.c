// SPDX-License-Identifier: Apache-2.0
// Permissions: how names match, and the checks that interfaces make at each operation.
#include <assert.h>
#include <stdio.h>
#include <strings.h>

#include "manifest/paths.h"
#include "manifest/permission.h"
#include "manifest/permission_match.h"

enum { WORD_MAX_BYTES = 8192 };  // longer names are never permitted by a bounded list

// ---- Matching ----------------------------------------------------------------------------------

// Splits "name:port", "[v6]:port", "name"; `port` is "" when absent.
static void split_host(const char *host, struct slice *name, const char **port) {
    const char *end = strchr(host, '\0'), *colon = strrchr(host, ':');
    if (colon != NULL && host[0] == '[') {
        colon = colon > host && colon[-1] == ']' ? colon : NULL;
    } else if (colon != NULL && strchr(host, ':') != colon) {
        colon = NULL;  // an IPv6 address without brackets
    }
    *name = slice_of(host, (size_t)((colon != NULL ? colon : end) - host));
    *port = colon != NULL ? colon + 1 : "";
}

static bool covers_host(const char *outer, const char *inner) {
    struct slice outer_name, inner_name;
    const char *outer_port, *inner_port;
    split_host(outer, &outer_name, &outer_port);
    split_host(inner, &inner_name, &inner_port);
    if (outer_port[0] != '\0' && strcmp(outer_port, inner_port) != 0) {
        return false;
    }
    if (slice_equal_text(outer_name, "*")) {
        return true;
    }
    if (slice_starts_with(outer_name, "*.") && inner_name.size >= outer_name.size) {
        size_t tail = outer_name.size - 1;  // ".suffix"
        return strncasecmp((const char *)outer_name.data + 1,
                           (const char *)inner_name.data + inner_name.size - tail, tail) == 0;
    }
    return outer_name.size == inner_name.size &&
           strncasecmp((const char *)outer_name.data, (const char *)inner_name.data,
                       outer_name.size) == 0;
}

// "https://a.example" must not cover "https://a.example.evil" nor "https://a.example@evil", and
// "https://a.example/x" not "https://a.example/x/../y".
static bool covers_url(const char *outer, const char *inner) {
    size_t size = strlen(outer);
    if (strncmp(outer, inner, size) != 0 || size == 0) {
        return false;
    }
    const char *rest = inner + size;
    if (strstr(rest, "..") != NULL || strchr(rest, '\\') != NULL ||
        strcasestr(rest, "%2e") != NULL) {
        return false;
    }
    return outer[size - 1] == '/' || rest[0] == '\0' || rest[0] == '/' || rest[0] == '?' ||
           rest[0] == '#';
}

bool match_covers(enum match match, const char *outer, const char *inner) {
    switch (match) {
        case MATCH_WORD:
            return strcmp(outer, inner) == 0;
        case MATCH_PREFIX:
            return strncmp(outer, inner, strlen(outer)) == 0;
        case MATCH_FOLDER:
            return path_is_beneath(outer, inner);
        case MATCH_METHOD:
            return strcmp(outer, "*") == 0 || strcasecmp(outer, inner) == 0;
        case MATCH_HOST:
            return covers_host(outer, inner);
        case MATCH_URL:
            return covers_url(outer, inner);
    }
    return false;
}

bool match_list(enum match match, const struct permission_list *list, const char *word) {
    if (list->everything) {
        return true;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (match_covers(match, list->items[i], word)) {
            return true;
        }
    }
    return false;
}

// ---- Checks ------------------------------------------------------------------------------------

// A word from outside, NUL-terminated; false when it cannot be one of ours.
static bool take_word(struct slice word, char out[WORD_MAX_BYTES]) {
    if (word.size >= WORD_MAX_BYTES || word.size == 0 ||
        memchr(word.data, '\0', word.size) != NULL) {
        return false;
    }
    memcpy(out, word.data, word.size);
    out[word.size] = '\0';
    return true;
}

static bool allow_word(enum match match, const struct permission_list *list, struct slice word) {
    char text[WORD_MAX_BYTES];
    return take_word(word, text) && match_list(match, list, text);
}

static bool allow_folder(const struct permission_list *list, struct slice path) {
    char text[WORD_MAX_BYTES];
    if (!take_word(path, text) || text[0] != '/') {
        return false;
    }
    struct arena arena;
    arena_init(&arena, 4 * (uint64_t)WORD_MAX_BYTES);
    bool allowed = match_list(MATCH_FOLDER, list, path_resolve(&arena, NULL, text));
    arena_release(&arena);
    return allowed;
}

bool permissions_allow_target(const struct permissions *permissions,
                              const struct permission_relation *target) {
    assert(target->id != NULL);
    if (!permissions->allowed[PERMISSION_MESSAGE_SERVER]) {
        return false;
    }
    const struct permission_targets *targets = &permissions->message_server.targets;
    for (uint32_t i = 0; i < targets->layer_count; i++) {
        const struct permission_list *layer = &targets->layers[i];
        if (!match_list(MATCH_WORD, layer, target->id) &&
            !(target->parent && match_list(MATCH_WORD, layer, "parent")) &&
            !(target->child && match_list(MATCH_WORD, layer, "children")) &&
            !(target->sibling && match_list(MATCH_WORD, layer, "siblings"))) {
            return false;
        }
    }
    return true;
}

bool permissions_allow_variable(const struct permissions *permissions, struct slice name) {
    char text[WORD_MAX_BYTES];
    if (!permissions->allowed[PERMISSION_ENVIRONMENT] || !take_word(name, text) ||
        match_list(MATCH_WORD, &permissions->environment.denied, text)) {
        return false;
    }
    return match_list(MATCH_WORD, &permissions->environment.vars, text) ||
           match_list(MATCH_PREFIX, &permissions->environment.prefixes, text);
}

bool permissions_allow_http(const struct permissions *permissions, struct slice method,
                            struct slice host, uint16_t port) {
    char name[WORD_MAX_BYTES], joined[WORD_MAX_BYTES + 16];
    if (!permissions->allowed[PERMISSION_HTTP_CLIENT] || !take_word(host, name) ||
        !allow_word(MATCH_METHOD, &permissions->http_client.methods, method)) {
        return false;
    }
    bool bare_v6 = name[0] != '[' && strchr(name, ':') != NULL;
    (void)snprintf(joined, sizeof joined, "%s%s%s", bare_v6 ? "[" : "", name, bare_v6 ? "]" : "");
    if (port != 0) {
        size_t size = strlen(joined);
        (void)snprintf(joined + size, sizeof joined - size, ":%u", port);
    }
    return match_list(MATCH_HOST, &permissions->http_client.hosts, joined);
}

bool permissions_allow_route(const struct permissions *permissions, struct slice method,
                             struct slice route) {
    return permissions->allowed[PERMISSION_HTTP_FRAMEWORK] &&
           allow_word(MATCH_METHOD, &permissions->http_framework.methods, method) &&
           allow_folder(&permissions->http_framework.routes, route);
}

bool permissions_allow_path(const struct permissions *permissions, struct slice path) {
    return permissions->allowed[PERMISSION_FILE_SYSTEM] &&
           allow_folder(&permissions->file_system.paths, path);
}

bool permissions_allow_command(const struct permissions *permissions, struct slice command) {
    return permissions->allowed[PERMISSION_FILE_SYSTEM] && permissions->file_system.execute &&
           allow_word(MATCH_WORD, &permissions->file_system.commands, command);
}

bool permissions_allow_program(const struct permissions *permissions, struct slice program) {
    return permissions->allowed[PERMISSION_PROCESS] &&
           allow_word(MATCH_WORD, &permissions->process.programs, program);
}

bool permissions_allow_process_folder(const struct permissions *permissions, struct slice path) {
    return permissions->allowed[PERMISSION_PROCESS] &&
           allow_folder(&permissions->process.paths, path);
}

bool permissions_allow_source(const struct permissions *permissions, struct slice url) {
    if (!permissions->allowed[PERMISSION_SUPERVISOR]) {
        return false;
    }
    if (permissions->supervisor.sources.everything) {
        return slice_starts_with(url, "https://");
    }
    return allow_word(MATCH_URL, &permissions->supervisor.sources, url);
}
