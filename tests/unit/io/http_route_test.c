// SPDX-License-Identifier: Apache-2.0
// Routes: which one answers, what its parameters are, and what is refused.
#include "io/http_route.h"

#include "test.h"

static struct http_router router;
static uint64_t next_id;

static enum status add(const char *method, const char *pattern) {
    next_id++;
    enum status status =
        http_router_add(&router, next_id, slice_text(pattern), slice_text(method), next_id, NULL);
    return status;
}

// "id name=value …", or "404", "405 methods", "400".
static const char *find(const char *method, const char *target) {
    static struct buf text;
    buf_clear(&text);
    struct http_path path;
    struct http_match match;
    struct buf allow = {0};
    if (!http_path_parse(slice_text(target), &path)) {
        buf_append_text(&text, "400");
    } else {
        enum http_match_outcome outcome =
            http_router_find(&router, &path, slice_text(method), &match, &allow);
        if (outcome == HTTP_NO_PATH) {
            buf_append_text(&text, "404");
        } else if (outcome == HTTP_NO_METHOD) {
            buf_format(&text, "405 %s", buf_text(&allow));
        } else {
            buf_format(&text, "%llu", (unsigned long long)match.handler);
            for (uint32_t i = 0; i < match.param_count; i++) {
                buf_format(&text, " %.*s=%.*s", (int)match.params[i].name.size,
                           (const char *)match.params[i].name.data, (int)match.params[i].value.size,
                           (const char *)match.params[i].value.data);
            }
        }
    }
    buf_release(&allow);
    http_path_release(&path);
    return buf_text(&text);
}

static void clear(void) {
    http_router_release(&router);
    next_id = 0;
}

TEST(the_most_special_pattern_wins) {
    EXPECT(add("GET", "/{*rest}") == OK);           // 1
    EXPECT(add("GET", "/a/{id}") == OK);            // 2
    EXPECT(add("GET", "/a/b") == OK);               // 3
    EXPECT(add("GET", "/a/{id}/c/{*tail}") == OK);  // 4
    EXPECT(add("GET", "/") == OK);                  // 5
    EXPECT(add("GET", "/{x}/b/c") == OK);           // 6
    EXPECT_TEXT(find("GET", "/"), "5");
    EXPECT_TEXT(find("GET", "/a"), "1 rest=a");
    EXPECT_TEXT(find("GET", "/a/"), "1 rest=a/");
    EXPECT_TEXT(find("GET", "/a/b"), "3");
    EXPECT_TEXT(find("GET", "/a/x?y=/z"), "2 id=x");
    EXPECT_TEXT(find("GET", "/a/b/c"), "6 x=a");
    EXPECT_TEXT(find("GET", "/a/b/c/d/e"), "4 id=b tail=d/e");
    EXPECT_TEXT(find("GET", "/q/b/d"), "1 rest=q/b/d");
    EXPECT(http_router_remove(&router, 1));
    EXPECT(!http_router_remove(&router, 1));
    EXPECT_TEXT(find("GET", "/q/b/d"), "404");
    clear();
}

TEST(methods_are_looked_at_after_the_path) {
    EXPECT(add("GET", "/a") == OK);         // 1
    EXPECT(add("*", "/a") == OK);           // 2
    EXPECT(add("GET", "/b") == OK);         // 3
    EXPECT(add("POST", "/b") == OK);        // 4
    EXPECT(add("DELETE", "/{any}") == OK);  // 5
    EXPECT_TEXT(find("GET", "/a"), "1");
    EXPECT_TEXT(find("HEAD", "/a"), "1");
    EXPECT_TEXT(find("DELETE", "/a"), "2");
    EXPECT_TEXT(find("HEAD", "/b"), "3");
    EXPECT_TEXT(find("DELETE", "/b"), "5 any=b");
    EXPECT_TEXT(find("PUT", "/b"), "405 GET, HEAD, POST, DELETE");
    EXPECT_TEXT(find("PUT", "/c"), "405 DELETE");
    EXPECT_TEXT(find("PUT", "/c/d"), "404");
    clear();
}

TEST(paths_are_decoded_after_they_were_split) {
    EXPECT(add("GET", "/f/{name}") == OK);
    EXPECT(add("GET", "/caf\xc3\xa9") == OK);
    EXPECT_TEXT(find("GET", "/f/a%2Fb%20c%3f"), "1 name=a/b c?");
    EXPECT_TEXT(find("GET", "/caf%C3%a9"), "2");
    EXPECT_TEXT(find("GET", "/f/"), "404");
    EXPECT_TEXT(find("GET", "/f//"), "404");
    static const char *const refused[] = {"/f/..", "/f/../f/x", "/f/%2e%2E", "/./f/x",    "/f/%",
                                          "/f/%2", "/f/%zz",    "/f/%00",    "/f/%0d%0a", "/f/%ff",
                                          "f/x",   "?",         "*"};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        EXPECT_TEXT(find("GET", refused[i]), "400");
    }
    EXPECT_TEXT(find("GET", "/f/..."), "1 name=...");
    clear();
}

TEST(what_is_no_route_is_refused) {
    static const char *const patterns[] = {"",     "a",     "/{",        "/{}",      "/{*}",
                                           "/a}",  "/{a}b", "/{*a}/b",   "/{a}/{a}", "/*",
                                           "/a?b", "/\n",   "/{a\r\nb}", "/{a b}"};
    for (size_t i = 0; i < COUNT_OF(patterns); i++) {
        EXPECT(add("GET", patterns[i]) == ERR_INVALID);
    }
    EXPECT(add("get", "/") == ERR_INVALID);
    EXPECT(add("", "/") == ERR_INVALID);
    EXPECT(add("GET POST", "/") == ERR_INVALID);
    EXPECT(add("PROPFIND", "/{a}/b") == OK);
    EXPECT(add("PROPFIND", "/{other}/b") == ERR_EXISTS);
    EXPECT(add("GET", "/{other}/b") == OK);
    clear();
}

TEST(middleware_runs_in_the_order_of_registration) {
    struct http_path path;
    uint64_t handlers[HTTP_PREFIXES_MOST];
    EXPECT(http_router_add_prefix(&router, 1, slice_text("/a"), 10, NULL) == OK);
    EXPECT(http_router_add_prefix(&router, 2, slice_text("/"), 20, NULL) == OK);
    EXPECT(http_router_add_prefix(&router, 3, slice_text("/a/*"), 30, NULL) == OK);
    EXPECT(http_router_add_prefix(&router, 4, slice_text("b"), 40, NULL) == ERR_INVALID);
    EXPECT(http_router_add_prefix(&router, 4, slice_text("/{a}"), 40, NULL) == ERR_INVALID);
    // Encoded letters are no way around it.
    REQUIRE(http_path_parse(slice_text("/%61/b"), &path));
    REQUIRE(http_router_middleware(&router, &path, handlers) == 3);
    EXPECT(handlers[0] == 10 && handlers[1] == 20 && handlers[2] == 30);
    EXPECT(http_router_remove_prefix(&router, 2));
    EXPECT(!http_router_remove_prefix(&router, 2));
    EXPECT_U64(http_router_middleware(&router, &path, handlers), 2);
    http_path_release(&path);
    REQUIRE(http_path_parse(slice_text("/b"), &path));
    EXPECT_U64(http_router_middleware(&router, &path, handlers), 0);
    http_path_release(&path);
    clear();
}

int main(void) {
    return test_main();
}
