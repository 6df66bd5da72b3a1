// SPDX-License-Identifier: Apache-2.0
// The key that a node signs heads with: `key` in the data folder, as PEM, for nobody else to read.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "node/exchange.h"

enum { KEY_FILE_MOST_BYTES = 4096 };

// The content is wiped by whoever reads it.
static enum status read_key(const char *path, struct ed25519_key **out, struct error *error) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) {
        return error_set_os(error, errno, "cannot open %s", path);
    }
    char text[KEY_FILE_MOST_BYTES];
    struct stat about;
    enum status status = OK;
    ssize_t got = 0;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
        status = error_set(error, ERR_INVALID, "%s is not a regular file", path);
    } else if ((about.st_mode & 077U) != 0) {
        status = error_set(error, ERR_DENIED,
                           "%s may be read by others than its owner; whoever did can sign as this "
                           "node. If nobody did: chmod 600",
                           path);
    } else if ((got = read(file, text, sizeof text)) < 0) {
        status = error_set_os(error, errno, "cannot read %s", path);
    } else {
        status = ed25519_parse(slice_of(text, (size_t)got), out, error);
        explicit_bzero(text, sizeof text);
        status = status == OK ? OK : error_context(error, "%s", path);
    }
    close(file);
    return status;
}

// Puts a new key there, complete or not at all; if another process was faster, its key stays.
static enum status make_key(const char *folder, const char *path, struct error *error) {
    struct ed25519_key *key = NULL;
    struct buf pem = {0};
    struct buf name = {0};
    enum status status = ed25519_generate(env_system(), &key, error);
    if (status == OK) {
        status = ed25519_write(key, &pem, error);
    }
    ed25519_free(key);
    buf_format(&name, "%s/key.%ld", folder, (long)getpid());
    const char *fresh = buf_text(&name);
    if (status == OK) {
        status = file_write_atomic(fresh, buf_slice(&pem), 0600, error);
    }
    if (status == OK && link(fresh, path) != 0 && errno != EEXIST) {
        status = error_set_os(error, errno, "cannot make %s", path);
    }
    (void)unlink(fresh);
    if (pem.size != 0) {
        explicit_bzero(pem.data, pem.size);
    }
    buf_release(&pem);
    buf_release(&name);
    return status;
}

enum status node_signing_key(const char *folder, struct ed25519_key **out, struct error *error) {
    char *path = file_join(folder, "key");
    struct error cause = {0};
    enum status status = read_key(path, out, &cause);
    if (status == ERR_NOT_FOUND) {
        error_clear(&cause);
        status = make_key(folder, path, &cause);
        if (status == OK) {
            status = read_key(path, out, &cause);
        }
    }
    free(path);
    return status == OK ? OK : error_set(error, status, "signing key: %s", cause.message);
}
