// SPDX-License-Identifier: Apache-2.0
// A test actor on a C library: what the text of a request says, by the functions of C and POSIX
// (which an adapter turns into WASI 0.2) or by WASI itself. Errors of the C library are answered
// as "errno NAME or number".
//
//   print TEXT | part TEXT | complain TEXT     a line, a piece without its end, a line on stderr
//   env NAME | environment | arguments | stdin
//   time | clock | entropy N | seed
//   sleep MS | poll MS MS…                     poll answers with the indices that were ready
//   exit N | exit-code N | abort
//   made-up | nowhere                          functions that no host has
//   hoard                                      makes timers until the host has no room for more
//   http                                       the outcomes of each step of a request
//   fetch METHOD SCHEME AUTHORITY PATH [BODY]  METHOD and SCHEME by number; answered with the
//   status,
//                                              the values of x-a, the body, what the trailers are;
//                                              or "code" and the error code's number
//   race AUTHORITY PATH PATH MS                two requests and a timer: which were ready, what of
//   unfinished AUTHORITY                       hands over a request, drops its body
//   socket | lookup NAME                       answered with the error code's number
//   read PATH | write PATH TEXT | append PATH TEXT | create PATH | cut PATH N | size PATH
//   copy FROM TO | list PATH | make-folder PATH | remove PATH | remove-folder PATH | type PATH
//   rename FROM TO | link FROM TO | symlink TARGET PATH | read-link PATH | open N PATH
//   leak N PATH                                opens it N times and aborts
//   fill PATH N                                writes N bytes, 4 KiB at a time
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
#define EXPORT(name) __attribute__((export_name(name)))

struct span {
    uint8_t *data;
    size_t size;
};

IMPORT("wasi:clocks/monotonic-clock@0.2.0", "subscribe-duration")
int32_t subscribe_duration(uint64_t ns);
IMPORT("wasi:io/poll@0.2.0", "poll") void poll_list(const int32_t *list, size_t n, struct span *);
IMPORT("wasi:io/poll@0.2.0", "[method]pollable.block") void pollable_block(int32_t pollable);
IMPORT("wasi:io/poll@0.2.0", "[resource-drop]pollable") void pollable_drop(int32_t pollable);
IMPORT("wasi:clocks/made-up@0.2.0", "tick") void made_up(void);
IMPORT("wasi:nowhere/nothing@0.2.0", "get") int32_t nowhere(void);
IMPORT("wasi:cli/exit@0.2.0", "exit-with-code") void exit_with_code(int32_t code);
IMPORT("wasi:random/insecure-seed@0.2.0", "insecure-seed") void insecure_seed(uint64_t *two);
IMPORT("wasi:sockets/tcp-create-socket@0.2.0", "create-tcp-socket")
void create_tcp_socket(int32_t family, uint8_t *result);
IMPORT("wasi:sockets/instance-network@0.2.0", "instance-network") int32_t network(void);
IMPORT("wasi:sockets/network@0.2.0", "[resource-drop]network") void network_drop(int32_t network);
IMPORT("wasi:sockets/ip-name-lookup@0.2.0", "resolve-addresses")
void resolve_addresses(int32_t network, const char *name, size_t size, uint8_t *result);

#define HTTP "wasi:http/types@0.2.0"
IMPORT(HTTP, "[constructor]fields") int32_t fields_new(void);
IMPORT(HTTP, "[method]fields.append")
void fields_append(int32_t fields, const char *name, size_t name_size, const char *value,
                   size_t value_size, uint8_t *result);
IMPORT(HTTP, "[method]fields.get")
void fields_get(int32_t fields, const char *name, size_t name_size, struct span *result);
IMPORT(HTTP, "[resource-drop]fields") void fields_drop(int32_t fields);
IMPORT(HTTP, "[constructor]outgoing-request") int32_t request_new(int32_t fields);
IMPORT(HTTP, "[method]outgoing-request.body") void request_body(int32_t request, uint8_t *result);
IMPORT(HTTP, "[method]outgoing-request.headers") int32_t request_headers(int32_t request);
IMPORT(HTTP, "[resource-drop]outgoing-body") void body_drop(int32_t body);
IMPORT("wasi:http/outgoing-handler@0.2.0", "handle")
void http_handle(int32_t request, int32_t has_options, int32_t options, uint8_t *result);

IMPORT(HTTP, "[method]outgoing-request.set-method")
int32_t set_method(int32_t request, int32_t method, const char *other, size_t size);
IMPORT(HTTP, "[method]outgoing-request.set-scheme")
int32_t set_scheme(int32_t request, int32_t has, int32_t scheme, const char *other, size_t size);
IMPORT(HTTP, "[method]outgoing-request.set-authority")
int32_t set_authority(int32_t request, int32_t has, const char *text, size_t size);
IMPORT(HTTP, "[method]outgoing-request.set-path-with-query")
int32_t set_path(int32_t request, int32_t has, const char *text, size_t size);
IMPORT(HTTP, "[method]outgoing-body.write") void body_write(int32_t body, uint8_t *result);
IMPORT(HTTP, "[static]outgoing-body.finish")
void body_finish(int32_t body, int32_t has, int32_t trailers, uint8_t *result);
IMPORT(HTTP, "[method]future-incoming-response.subscribe") int32_t future_subscribe(int32_t future);
IMPORT(HTTP, "[method]future-incoming-response.get")
void future_get(int32_t future, uint8_t *result);
IMPORT(HTTP, "[resource-drop]future-incoming-response") void future_drop(int32_t future);
IMPORT(HTTP, "[method]incoming-response.status") int32_t response_status(int32_t response);
IMPORT(HTTP, "[method]incoming-response.headers") int32_t response_headers(int32_t response);
IMPORT(HTTP, "[method]incoming-response.consume")
void response_consume(int32_t response, uint8_t *result);
IMPORT(HTTP, "[resource-drop]incoming-response") void response_drop(int32_t response);
IMPORT(HTTP, "[method]incoming-body.stream") void incoming_stream(int32_t body, uint8_t *result);
IMPORT(HTTP, "[static]incoming-body.finish") int32_t incoming_finish(int32_t body);
IMPORT(HTTP, "[method]future-trailers.get") void trailers_get(int32_t trailers, uint8_t *result);
IMPORT(HTTP, "[resource-drop]future-trailers") void trailers_drop(int32_t trailers);
#define STREAMS "wasi:io/streams@0.2.0"
IMPORT(STREAMS, "[method]input-stream.read")
void stream_read(int32_t stream, uint64_t most, uint8_t *result);
IMPORT(STREAMS, "[resource-drop]input-stream") void input_drop(int32_t stream);
IMPORT(STREAMS, "[method]output-stream.blocking-write-and-flush")
void stream_write(int32_t stream, const char *data, size_t size, uint8_t *result);
IMPORT(STREAMS, "[resource-drop]output-stream") void output_drop(int32_t stream);

enum { ANSWER_MOST = 1 << 16, WORDS = 8 };
static char answer[ANSWER_MOST];

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
    size_t used = strlen(answer);
    va_list args;
    va_start(args, format);
    vsnprintf(answer + used, sizeof answer - used, format, args);
    va_end(args);
}

static void say_error(void) {
    static const struct {
        int code;
        const char *name;
    } names[] = {{EACCES, "EACCES"},       {ENOENT, "ENOENT"},           {EPERM, "EPERM"},
                 {EROFS, "EROFS"},         {EEXIST, "EEXIST"},           {ELOOP, "ELOOP"},
                 {ENOTDIR, "ENOTDIR"},     {EISDIR, "EISDIR"},           {EBADF, "EBADF"},
                 {ENOTEMPTY, "ENOTEMPTY"}, {ENOTCAPABLE, "ENOTCAPABLE"}, {ENOMEM, "ENOMEM"},
                 {EXDEV, "EXDEV"},         {EINVAL, "EINVAL"},           {ENOTSUP, "ENOTSUP"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (names[i].code == errno) {
            say("errno %s", names[i].name);
            return;
        }
    }
    say("errno %d", errno);
}

static int number(const char *text) {
    return (int)strtol(text, NULL, 10);
}

static void say_outcome(int outcome) {
    if (outcome != 0) {
        say_error();
    } else {
        say("ok");
    }
}

// ---- files
// ---------------------------------------------------------------------------------------

static void read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        say_error();
        return;
    }
    size_t size = fread(answer, 1, sizeof answer - 1, file);
    answer[size] = '\0';
    if (ferror(file) != 0) {
        say_error();
    }
    fclose(file);
}

static void write_file(const char *path, const char *mode, const char *text) {
    FILE *file = fopen(path, mode);
    if (file == NULL || (text != NULL && fputs(text, file) < 0) || fclose(file) != 0) {
        say_error();
        return;
    }
    say("ok");
}

static void fill_file(const char *path, long size) {
    static char block[4096];
    memset(block, 'x', sizeof block);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    for (long done = 0; file >= 0 && done < size;) {
        long part = size - done < (long)sizeof block ? size - done : (long)sizeof block;
        ssize_t written = write(file, block, (size_t)part);
        if (written < 0) {
            say_error();
            break;
        }
        done += written;
    }
    if (file < 0 || close(file) != 0) {
        say_error();
    } else if (answer[0] == '\0') {
        say("ok");
    }
}

static void copy_file(const char *from, const char *to) {
    char block[512];
    int in = open(from, O_RDONLY);
    int out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (in < 0 || out < 0) {
        say_error();
        return;
    }
    long total = 0;
    ssize_t size = 0;
    while ((size = read(in, block, sizeof block)) > 0 && write(out, block, (size_t)size) == size) {
        total += size;
    }
    close(in);
    close(out);
    say("%ld", total);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_folder(const char *path) {
    DIR *folder = opendir(path);
    if (folder == NULL) {
        say_error();
        return;
    }
    char *names[256];
    size_t count = 0;
    for (struct dirent *at = readdir(folder); at != NULL && count < 256; at = readdir(folder)) {
        if (strcmp(at->d_name, ".") != 0 && strcmp(at->d_name, "..") != 0) {
            names[count++] = strdup(at->d_name);
        }
    }
    closedir(folder);
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        say("%s%s", i == 0 ? "" : " ", names[i]);
        free(names[i]);
    }
}

static void say_type(const char *path, int is_size) {
    struct stat info;
    if ((is_size ? stat(path, &info) : lstat(path, &info)) != 0) {
        say_error();
    } else if (is_size) {
        say("%lld", (long long)info.st_size);
    } else {
        say(S_ISDIR(info.st_mode)   ? "folder"
            : S_ISLNK(info.st_mode) ? "link"
            : S_ISREG(info.st_mode) ? "file"
                                    : "other");
    }
}

static void read_link(const char *path) {
    ssize_t size = readlink(path, answer, sizeof answer - 1);
    if (size < 0) {
        say_error();
    } else {
        answer[size] = '\0';
    }
}

// Opens one file many times and leaves all of them open until the end.
static void open_many(long count, const char *path) {
    int *files = calloc((size_t)count, sizeof *files);
    long opened = 0;
    while (opened < count && (files[opened] = open(path, O_RDONLY)) >= 0) {
        opened++;
    }
    say("%ld ", opened);
    if (opened < count) {
        say_error();
    }
    while (opened > 0) {
        close(files[--opened]);
    }
    free(files);
}

// Opens files, keeps them, and ends in the middle of it.
static void leak(int count, const char *path) {
    while (count-- > 0 && open(path, O_RDONLY) >= 0) {
    }
    abort();
}

static int do_files(char **words, int count) {
    const char *name = words[0], *first = words[1], *second = words[2];
    if (count == 2 && strcmp(name, "read") == 0) {
        read_file(first);
    } else if (count == 3 && strcmp(name, "write") == 0) {
        write_file(first, "wb", second);
    } else if (count == 3 && strcmp(name, "append") == 0) {
        write_file(first, "ab", second);
    } else if (count == 2 && strcmp(name, "create") == 0) {
        int file = open(first, O_WRONLY | O_CREAT | O_EXCL, 0644);
        say_outcome(file < 0 ? -1 : close(file));
    } else if (count == 3 && strcmp(name, "cut") == 0) {
        int file = open(first, O_WRONLY);
        say_outcome(file < 0 || ftruncate(file, number(second)) != 0 ? -1 : close(file));
    } else if (count == 3 && strcmp(name, "fill") == 0) {
        fill_file(first, number(second));
    } else if (count == 2 && strcmp(name, "size") == 0) {
        say_type(first, 1);
    } else if (count == 2 && strcmp(name, "type") == 0) {
        say_type(first, 0);
    } else if (count == 3 && strcmp(name, "copy") == 0) {
        copy_file(first, second);
    } else if (count == 2 && strcmp(name, "list") == 0) {
        list_folder(first);
    } else if (count == 2 && strcmp(name, "make-folder") == 0) {
        say_outcome(mkdir(first, 0755));
    } else if (count == 2 && strcmp(name, "remove") == 0) {
        say_outcome(unlink(first));
    } else if (count == 2 && strcmp(name, "remove-folder") == 0) {
        say_outcome(rmdir(first));
    } else if (count == 3 && strcmp(name, "rename") == 0) {
        say_outcome(rename(first, second));
    } else if (count == 3 && strcmp(name, "link") == 0) {
        say_outcome(link(first, second));
    } else if (count == 3 && strcmp(name, "symlink") == 0) {
        say_outcome(symlink(first, second));
    } else if (count == 2 && strcmp(name, "read-link") == 0) {
        read_link(first);
    } else if (count == 3 && strcmp(name, "leak") == 0) {
        leak(number(first), second);
    } else if (count == 3 && strcmp(name, "open") == 0) {
        open_many(number(first), second);
    } else {
        return 0;
    }
    return 1;
}

// ---- the rest
// ------------------------------------------------------------------------------------

extern char **environ;

static void poll_timers(char **words, int count) {
    int32_t timers[WORDS];
    struct span ready = {NULL, 0};
    for (int i = 0; i < count; i++) {
        timers[i] = subscribe_duration(strtoull(words[i], NULL, 10) * 1000000u);
    }
    poll_list(timers, (size_t)count, &ready);
    const uint32_t *indices = (const uint32_t *)(const void *)ready.data;
    for (size_t i = 0; i < ready.size; i++) {
        say("%s%u", i == 0 ? "" : " ", (unsigned)indices[i]);
    }
    free(ready.data);
    for (int i = 0; i < count; i++) {
        pollable_drop(timers[i]);
    }
}

static void sleep_ms(const char *text) {
    int32_t timer = subscribe_duration(strtoull(text, NULL, 10) * 1000000u);
    pollable_block(timer);
    pollable_drop(timer);
    say("ok");
}

static int do_clocks(char **words, int count) {
    struct timespec now;
    if (strcmp(words[0], "time") == 0) {
        say("%lld", (long long)time(NULL));
    } else if (strcmp(words[0], "clock") == 0) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        say("%lld.%09ld", (long long)now.tv_sec, now.tv_nsec);
    } else if (count == 2 && strcmp(words[0], "sleep") == 0) {
        sleep_ms(words[1]);
    } else if (count > 1 && strcmp(words[0], "poll") == 0) {
        poll_timers(words + 1, count - 1);
    } else if (count == 2 && strcmp(words[0], "entropy") == 0) {
        uint8_t bytes[256];
        size_t size = strtoul(words[1], NULL, 10) % (sizeof bytes + 1);
        if (getentropy(bytes, size) != 0) {
            say_error();
        }
        for (size_t i = 0; i < size; i++) {
            say("%02x", bytes[i]);
        }
    } else if (strcmp(words[0], "seed") == 0) {
        uint64_t two[2];
        insecure_seed(two);
        say("%llu %llu", (unsigned long long)two[0], (unsigned long long)two[1]);
    } else {
        return 0;
    }
    return 1;
}

// Appends a field; says ok, or the number of the error.
static void append_field(int32_t fields, const char *name, const char *value) {
    uint8_t result[2];
    fields_append(fields, name, strlen(name), value, strlen(value), result);
    if (result[0] == 0) {
        say("ok ");
    } else {
        say("%u ", result[1]);
    }
}

// Makes a request as far as that goes, and has it refused.
static void try_http(void) {
    int32_t fields = fields_new();
    append_field(fields, "X-Name", "value");
    append_field(fields, "host", "elsewhere");
    append_field(fields, "bad name", "value");
    append_field(fields, "x-line", "two\r\nlines");
    struct span found = {NULL, 0};
    fields_get(fields, "x-name", 6, &found);
    say("%u ", (unsigned)found.size);
    int32_t request = request_new(fields);
    int32_t headers = request_headers(request);
    append_field(headers, "x-late", "value");
    fields_drop(headers);
    _Alignas(4) uint8_t body[8];
    request_body(request, body);
    say(body[0] == 0 ? "ok " : "no ");
    int32_t handle;
    memcpy(&handle, body + 4, sizeof handle);
    body_drop(handle);
    request_body(request, body);
    say(body[0] == 0 ? "ok " : "no ");
    _Alignas(8) uint8_t result[64];
    http_handle(request, 0, 0, result);
    say("%u %u", result[0], result[8]);
}

static int32_t handle_at(const uint8_t *at) {
    int32_t handle;
    memcpy(&handle, at, sizeof handle);
    return handle;
}

static int32_t make_request(int method, int scheme, const char *authority, const char *path) {
    int32_t fields = fields_new();
    append_field(fields, "x-one", "1");
    answer[0] = '\0';
    int32_t request = request_new(fields);
    if (set_method(request, method, "", 0) != 0 || set_scheme(request, 1, scheme, "", 0) != 0 ||
        set_authority(request, 1, authority, strlen(authority)) != 0 ||
        set_path(request, 1, path, strlen(path)) != 0) {
        say("not set ");
    }
    return request;
}

// The future, or -1 after saying the code.
static int32_t hand_over(int32_t request) {
    _Alignas(8) uint8_t result[64];
    http_handle(request, 0, 0, result);
    if (result[0] != 0) {
        say("code %u", result[8]);
        return -1;
    }
    return handle_at(result + 8);
}

// Writes the body and finishes it.
static void write_all(int32_t body, const char *text) {
    _Alignas(8) uint8_t result[64];
    body_write(body, result);
    int32_t stream = handle_at(result + 4);
    size_t size = strlen(text);
    for (size_t at = 0; at < size; at += 4096) {
        stream_write(stream, text + at, size - at < 4096 ? size - at : 4096, result);
    }
    output_drop(stream);
    body_finish(body, 0, 0, result);
    if (result[0] != 0) {
        say("finish %u ", result[8]);
    }
}

static void say_body(int32_t response) {
    _Alignas(8) uint8_t result[64];
    response_consume(response, result);
    int32_t body = handle_at(result + 4);
    response_consume(response, result);
    say(result[0] == 1 ? "once " : "twice ");
    incoming_stream(body, result);
    int32_t stream = handle_at(result + 4);
    for (stream_read(stream, 1000, result); result[0] == 0; stream_read(stream, 1000, result)) {
        struct span got;
        memcpy(&got, result + 4, sizeof got);
        say("%.*s", (int)got.size, (const char *)got.data);
    }
    say(result[4] == 1 ? " closed" : " failed");
    input_drop(stream);
    int32_t trailers = incoming_finish(body);
    trailers_get(trailers, result);
    // some(ok(ok(none)))
    say(result[0] == 1 && result[8] == 0 && result[16] == 0 && result[24] == 0 ? " none"
                                                                               : " trailers");
    trailers_drop(trailers);
}

// What came of a future that is ready. Drops it.
static void say_response(int32_t future) {
    _Alignas(8) uint8_t result[64];
    future_get(future, result);
    if (result[0] == 0) {
        say("not ready");
    } else if (result[16] != 0) {
        say("code %u", result[24]);
    } else {
        int32_t response = handle_at(result + 24), headers = response_headers(response);
        struct span found = {NULL, 0};
        fields_get(headers, "X-A", 3, &found);
        say("%d %u ", response_status(response), (unsigned)found.size);
        fields_drop(headers);
        say_body(response);
        response_drop(response);
    }
    future_drop(future);
}

static void fetch(char **words, int count) {
    int32_t request = make_request(number(words[1]), number(words[2]), words[3], words[4]);
    int32_t body = -1;
    if (count > 5) {
        _Alignas(4) uint8_t result[8];
        request_body(request, result);
        body = handle_at(result + 4);
    }
    int32_t future = hand_over(request);
    if (future < 0) {
        return;
    }
    if (body >= 0) {
        write_all(body, words[5]);
    }
    int32_t pollable = future_subscribe(future);
    pollable_block(pollable);
    pollable_drop(pollable);
    say_response(future);
}

static void race(char **words) {
    int32_t futures[2], list[3];
    for (int i = 0; i < 2; i++) {
        futures[i] = hand_over(make_request(0, 0, words[1], words[2 + i]));
        list[i] = future_subscribe(futures[i]);
    }
    list[2] = subscribe_duration((uint64_t)number(words[4]) * 1000000u);
    struct span ready = {NULL, 0};
    poll_list(list, 3, &ready);
    for (size_t i = 0; i < ready.size; i++) {
        uint32_t index = ((uint32_t *)(void *)ready.data)[i];
        say("[%u] ", (unsigned)index);
    }
    for (int i = 0; i < 3; i++) {
        pollable_drop(list[i]);
    }
    say_response(futures[0]);
    say(" | ");
    say_response(futures[1]);
}

static void unfinished(const char *authority) {
    _Alignas(4) uint8_t result[8];
    int32_t request = make_request(2, 0, authority, "/");
    request_body(request, result);
    int32_t body = handle_at(result + 4), future = hand_over(request);
    if (future >= 0) {
        body_drop(body);
        say_response(future);
    }
}

static int do_http(char **words, int count) {
    if (count > 4 && strcmp(words[0], "fetch") == 0) {
        fetch(words, count);
    } else if (count == 5 && strcmp(words[0], "race") == 0) {
        race(words);
    } else if (count == 2 && strcmp(words[0], "unfinished") == 0) {
        unfinished(words[1]);
    } else {
        return 0;
    }
    return 1;
}

// Makes timers until the host has no room for more.
static void hoard(void) {
    for (;;) {
        (void)subscribe_duration(1);
    }
}

static int do_network(char **words, int count) {
    uint8_t result[8] = {0};
    if (strcmp(words[0], "http") == 0) {
        try_http();
        return 1;
    } else if (strcmp(words[0], "hoard") == 0) {
        hoard();
    } else if (strcmp(words[0], "socket") == 0) {
        create_tcp_socket(0, result);
    } else if (count == 2 && strcmp(words[0], "lookup") == 0) {
        int32_t handle = network();
        resolve_addresses(handle, words[1], strlen(words[1]), result);
        network_drop(handle);
    } else {
        return 0;
    }
    say(result[0] == 1 ? "error %u" : "ok %u", result[4]);
    return 1;
}

static int do_process(char **words, int count) {
    if (count == 2 && strcmp(words[0], "env") == 0) {
        const char *found = getenv(words[1]);
        say("%s", found == NULL ? "(not set)" : found);
    } else if (strcmp(words[0], "environment") == 0) {
        for (char **at = environ; *at != NULL; at++) {
            say("%s ", *at);
        }
    } else if (strcmp(words[0], "stdin") == 0) {
        say("%d", getchar());
    } else if (count == 2 && strcmp(words[0], "exit") == 0) {
        exit(number(words[1]));
    } else if (count == 2 && strcmp(words[0], "exit-code") == 0) {
        exit_with_code(number(words[1]));
    } else if (strcmp(words[0], "abort") == 0) {
        abort();
    } else if (strcmp(words[0], "made-up") == 0) {
        made_up();
    } else if (strcmp(words[0], "nowhere") == 0) {
        say("%d", (int)nowhere());
    } else {
        return 0;
    }
    return 1;
}

static void do_print(const char *name, const char *text) {
    if (strcmp(name, "print") == 0) {
        puts(text);
    } else if (strcmp(name, "part") == 0) {
        fputs(text, stdout);
    } else {
        fprintf(stderr, "%s\n", text);
    }
    fflush(stdout);
    say("ok");
}

// Splits at blanks; the third word and what follows stay together for commands that take a text.
static void run(char *line) {
    char *blank = strchr(line, ' ');
    if (strncmp(line, "print ", 6) == 0 || strncmp(line, "part ", 5) == 0 ||
        strncmp(line, "complain ", 9) == 0) {
        *blank = '\0';
        do_print(line, blank + 1);
        return;
    }
    char *words[WORDS] = {line};
    int count = 1;
    bool is_long = strncmp(line, "poll ", 5) == 0 || strncmp(line, "fetch ", 6) == 0 ||
                   strncmp(line, "race ", 5) == 0;
    int most = is_long ? WORDS : 3;
    for (; blank != NULL && count < most; blank = strchr(blank + 1, ' ')) {
        *blank = '\0';
        words[count++] = blank + 1;
    }
    if (!do_files(words, count) && !do_clocks(words, count) && !do_network(words, count) &&
        !do_http(words, count) && !do_process(words, count)) {
        say("what?");
    }
}

// ---- the canonical ABI of the two exports
// --------------------------------------------------------

EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
    (void)old_size;
    return size == 0 ? (void *)align : realloc(old, size);
}

static uint32_t results[8];

// result<tuple<option<list<u8>>>, string>: ok(none)
EXPORT("theater:simple/actor#init")
uint32_t *init(int32_t has_state, void *state, size_t state_size, void *id, size_t id_size) {
    if (has_state) {
        free(state);
    }
    free(id);
    (void)state_size;
    (void)id_size;
    memset(results, 0, sizeof results);
    return results;
}

static void obey(char *text, size_t size) {
    char *line = malloc(size + 1);
    memcpy(line, text, size);
    line[size] = '\0';
    if (size > 0) {
        free(text);
    }
    answer[0] = '\0';
    run(line);
    free(line);
    memset(results, 0, sizeof results);
}

// As init; the answer is logged.
EXPORT("theater:simple/message-server-client#handle-send")
uint32_t *handle_send(int32_t has_state, void *state, size_t state_size, char *text, size_t size) {
    if (has_state) {
        free(state);
    }
    (void)state_size;
    obey(text, size);
    puts(answer);
    fflush(stdout);
    return results;
}

// result<tuple<option<list<u8>>, tuple<option<list<u8>>>>, string>: ok(none, some(answer))
EXPORT("theater:simple/message-server-client#handle-request")
uint32_t *handle_request(int32_t has_state, void *state, size_t state_size, void *id,
                         size_t id_size, char *text, size_t size) {
    if (has_state) {
        free(state);
    }
    free(id);
    (void)state_size;
    (void)id_size;
    obey(text, size);
    results[4] = 1;
    results[5] = (uint32_t)(uintptr_t)answer;
    results[6] = (uint32_t)strlen(answer);
    return results;
}
