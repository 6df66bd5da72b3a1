// SPDX-License-Identifier: Apache-2.0
// Paths as words; see paths.h.
#include "manifest/paths.h"

#include <assert.h>

// Takes the last name off what has been built, and tells whether there was one that could be.
static bool drop_name(const char *out, size_t root, size_t *size) {
    if (*size == root || (*size >= 2 && out[*size - 1] == '.' && out[*size - 2] == '.' &&
                          (*size == 2 || out[*size - 3] == '/'))) {
        return false;
    }
    while (*size > root && out[*size - 1] != '/') {
        --*size;
    }
    if (*size > root) {
        --*size;  // the slash before it
    }
    return true;
}

char *path_resolve(struct arena *arena, const char *folder, const char *path) {
    assert(path != NULL);
    bool joined = folder != NULL && path[0] != '/';
    size_t folder_size = joined ? strlen(folder) : 0, path_size = strlen(path);
    char *input = ARENA_ARRAY(arena, char, folder_size + path_size + 2);
    if (joined) {
        memcpy(input, folder, folder_size);
        input[folder_size] = '/';
        memcpy(input + folder_size + 1, path, path_size);
    } else {
        memcpy(input, path, path_size);
    }
    char *out = ARENA_ARRAY(arena, char, folder_size + path_size + 3);
    size_t root = input[0] == '/' && (!joined || folder_size > 0) ? 1 : 0, size = root;
    out[0] = '/';
    for (const char *at = input; *at != '\0';) {
        size_t name = strcspn(at, "/");
        bool up = name == 2 && at[0] == '.' && at[1] == '.';
        bool skip = name == 0 || (name == 1 && at[0] == '.');
        if (up) {
            skip = drop_name(out, root, &size) || root == 1;
        }
        if (!skip) {
            if (size > root) {
                out[size++] = '/';
            }
            memcpy(out + size, at, name);
            size += name;
        }
        at += name;
        at += *at == '/' ? 1 : 0;
    }
    if (size == 0) {
        out[size++] = '.';
    }
    out[size] = '\0';
    return out;
}

bool path_is_beneath(const char *outer, const char *inner) {
    if (strcmp(outer, ".") == 0) {
        return inner[0] != '/' && strcmp(inner, "..") != 0 && strncmp(inner, "../", 3) != 0;
    }
    size_t size = strlen(outer);
    if (strncmp(outer, inner, size) != 0) {
        return false;
    }
    return inner[size] == '\0' || inner[size] == '/' || outer[size - 1] == '/';
}
