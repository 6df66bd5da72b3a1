// SPDX-License-Identifier: Apache-2.0
// References to files: read from disk, and, when an actor names them, only beneath the folder that
// its rights end at. The kernel walks the path (openat2, RESOLVE_BENEATH), so that neither ".." nor
// a symbolic link leads out, also when somebody changes the folders meanwhile. What has a scheme is
// left to whoever can reach it.
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "manifest/manifest.h"
#include "manifest/paths.h"

// Bytes of the scheme that a reference begins with, "://" included; 0: it has none.
static size_t scheme_size(const char *reference) {
    size_t size = 0;
    while ((reference[size] >= 'a' && reference[size] <= 'z') ||
           (size > 0 && ((reference[size] >= '0' && reference[size] <= '9') ||
                         reference[size] == '+' || reference[size] == '-'))) {
        size++;
    }
    return size > 0 && strncmp(reference + size, "://", 3) == 0 ? size + 3 : 0;
}

bool manifest_has_scheme(const char *reference) {
    return scheme_size(reference) > 0;
}

static enum status read_all(int descriptor, uint64_t limit_bytes, struct bytes **out,
                            struct error *error) {
    struct stat about;
    if (fstat(descriptor, &about) != 0) {
        return error_set_os(error, errno, "it cannot be read");
    }
    if (!S_ISREG(about.st_mode)) {
        return error_set(error, ERR_INVALID, "it is not a regular file");
    }
    uint64_t size = (uint64_t)about.st_size;
    if (size > limit_bytes) {
        return error_set(error, ERR_LIMIT, "it has %llu bytes, at most %llu are allowed",
                         (unsigned long long)size, (unsigned long long)limit_bytes);
    }
    struct bytes *content = bytes_new((size_t)size);
    size_t at = 0;
    while (at < size) {
        ssize_t got = read(descriptor, content->data + at, (size_t)size - at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            bytes_unref(content);
            return got == 0 ? error_set(error, ERR_IO, "it became shorter while it was read")
                            : error_set_os(error, errno, "it cannot be read");
        }
        at += (size_t)got;
    }
    *out = content;
    return OK;
}

// The words of `reference` from `root` on, or NULL when they cannot lie beneath it. What is left
// of ".." is for the kernel to judge.
static const char *words_beneath(struct arena *arena, const char *root, const char *folder,
                                 const char *reference) {
    const char *start = reference[0] == '/' ? "/" : path_resolve(arena, NULL, folder);
    const char *outer = path_resolve(arena, NULL, root);
    if (reference[0] == '/') {
        reference = path_resolve(arena, NULL, reference);
        if (!path_is_beneath(outer, reference)) {
            return NULL;
        }
        reference += strlen(outer);
        while (*reference == '/') {
            reference++;
        }
        return *reference == '\0' ? "." : reference;
    }
    if (!path_is_beneath(outer, start)) {
        return NULL;
    }
    const char *rest = strcmp(outer, ".") == 0 ? start : start + strlen(outer);
    while (*rest == '/') {
        rest++;
    }
    struct buf joined = {0};
    buf_format(&joined, "%s%s%s", rest, *rest == '\0' ? "" : "/", reference);
    const char *words = arena_text(arena, buf_slice(&joined));
    buf_release(&joined);
    return words;
}

static enum status read_beneath(const char *root, const char *words, uint64_t limit_bytes,
                                struct bytes **out, struct error *error) {
    int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return error_set_os(error, errno, "its folder cannot be opened");
    }
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int descriptor = -1;
    for (int tries = 0; tries < 16 && descriptor < 0; tries++) {
        // EAGAIN: a folder was renamed meanwhile and the kernel could not be sure.
        descriptor = (int)syscall(SYS_openat2, folder, words, &how, sizeof how);
        if (descriptor < 0 && errno != EAGAIN) {
            break;
        }
    }
    int problem = errno;
    (void)close(folder);
    if (descriptor < 0 && problem == EXDEV) {
        return error_set(error, ERR_DENIED,
                         "permission denied: it lies outside the folder of the manifest");
    }
    if (descriptor < 0) {
        return error_set_os(error, problem, "it cannot be opened");
    }
    enum status status = read_all(descriptor, limit_bytes, out, error);
    (void)close(descriptor);
    return status;
}

static enum status read_file_reference(void *context, const char *folder, const char *confined_to,
                                       const char *reference, uint64_t limit_bytes,
                                       struct bytes **out, struct error *error) {
    (void)context;
    if (manifest_has_scheme(reference)) {
        return error_set(error, ERR_UNSUPPORTED, "%.*s references are not available here",
                         (int)scheme_size(reference), reference);
    }
    enum status status = OK;
    if (confined_to == NULL) {
        char *path = file_join(folder, reference);
        status = file_read(path, limit_bytes, out, error);
        free(path);
        return status;
    }
    struct arena arena;
    arena_init(&arena, UINT64_C(1) << 20);
    if (strlen(folder) + strlen(reference) + strlen(confined_to) > 64 * 1024) {
        return error_set(error, ERR_INVALID, "the path is too long");
    }
    const char *words = words_beneath(&arena, confined_to, folder, reference);
    status = words == NULL
                 ? error_set(error, ERR_DENIED,
                             "permission denied: it lies outside the folder of the manifest")
                 : read_beneath(confined_to, words, limit_bytes, out, error);
    arena_release(&arena);
    return status;
}

const struct manifest_resolver manifest_file_resolver = {.context = NULL,
                                                         .read = read_file_reference};

static enum status read_scheme(const struct manifest_references *references,
                               const struct manifest_scheme *scheme, const char *reference,
                               uint64_t limit_bytes, struct bytes **out, struct error *error) {
    bool tells = scheme->is_slow && references->wait_begins != NULL;
    if (tells) {
        references->wait_begins(references->wait_context);
    }
    enum status status =
        scheme->read(scheme->context, &references->asker, reference, limit_bytes, out, error);
    if (tells) {
        references->wait_ends(references->wait_context);
    }
    return status;
}

static enum status read_by_scheme(void *context, const char *folder, const char *confined_to,
                                  const char *reference, uint64_t limit_bytes, struct bytes **out,
                                  struct error *error) {
    struct manifest_references *references = context;
    char *joined = NULL;
    if (manifest_has_scheme(folder) && !manifest_has_scheme(reference)) {
        if (reference[0] == '/') {
            return error_set(error, ERR_DENIED,
                             "permission denied: a manifest that is no file cannot refer to one");
        }
        joined = file_join(folder, reference);
        reference = joined;
    }
    const struct manifest_scheme *scheme = NULL;
    for (size_t i = 0; scheme == NULL && i < references->scheme_count; i++) {
        if (slice_starts_with(slice_text(reference), references->schemes[i].prefix)) {
            scheme = &references->schemes[i];
        }
    }
    enum status status =
        scheme != NULL
            ? read_scheme(references, scheme, reference, limit_bytes, out, error)
            : read_file_reference(NULL, folder, confined_to, reference, limit_bytes, out, error);
    free(joined);
    return status;
}

struct manifest_resolver manifest_resolver_of(struct manifest_references *references) {
    return (struct manifest_resolver){.context = references, .read = read_by_scheme};
}
