// SPDX-License-Identifier: Apache-2.0
#include "io/program.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void io_program_folders(struct buf *out) {
    const char *path = getenv("PATH");
    size_t before = out->size;
    while (path != NULL && *path != '\0') {
        size_t size = strcspn(path, ":");
        if (path[0] == '/') {
            buf_append_text(out, out->size > before ? ":" : "");
            buf_append(out, path, size);
        }
        path += size + (path[size] == ':');
    }
    if (out->size == before) {
        buf_append_text(out, "/usr/local/bin:/usr/bin:/bin");
    }
}

static bool is_plain_path(const char *path) {
    if (path[0] != '/') {
        return false;
    }
    for (const char *at = path + 1; *at != '\0';) {
        size_t size = strcspn(at, "/");
        bool is_dots = (size == 1 && at[0] == '.') || (size == 2 && at[0] == '.' && at[1] == '.');
        if (size == 0 || is_dots || at[size] == '\0') {
            return size > 0 && !is_dots;
        }
        at += size + 1;
    }
    return false;
}

static bool is_program(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

static enum status look_up(const char *name, char **path, struct error *error) {
    struct buf folders = {0};
    io_program_folders(&folders);
    const char *at = buf_text(&folders);
    *path = NULL;
    while (*path == NULL && *at != '\0') {
        size_t size = strcspn(at, ":");
        struct buf candidate = {0};
        buf_format(&candidate, "%.*s/%s", (int)size, at, name);
        if (is_program(buf_text(&candidate))) {
            *path = xstrdup(buf_text(&candidate));
        }
        buf_release(&candidate);
        at += size + (at[size] == ':');
    }
    buf_release(&folders);
    return *path != NULL ? OK
                         : error_set(error, ERR_NOT_FOUND,
                                     "there is no program %.200s in the node's PATH", name);
}

enum status io_program_find(struct slice name, char **path, struct error *error) {
    if (name.size == 0 || name.size >= PATH_MAX || memchr(name.data, '\0', name.size) != NULL) {
        return error_set(error, ERR_INVALID, "the name of a program has 1 to %d bytes and no NUL",
                         PATH_MAX - 1);
    }
    char *text = xstrndup(name.data, name.size);
    enum status status = OK;
    if (strchr(text, '/') == NULL) {
        status = look_up(text, path, error);
        free(text);
    } else if (!is_plain_path(text)) {
        status = error_set(error, ERR_INVALID,
                           "program %.200s: give a name, or an absolute path without \".\" and "
                           "\"..\"",
                           text);
        free(text);
    } else {
        *path = text;
    }
    return status;
}
