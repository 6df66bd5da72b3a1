// SPDX-License-Identifier: Apache-2.0
// theater:simple/environment and theater:simple/filesystem for actors in C. See theater.h.
//
// What an actor may read, write and run is in its manifest: the blocks `environment` and
// `filesystem`. Paths are relative to the folder that the block names; nothing leads out of it.
#ifndef THEATER_FILES_H
#define THEATER_FILES_H

#include "theater.h"

// ---- environment -------------------------------------------------------------------------------

// A variable: its name and its value.
struct theater_variable {
    struct theater_bytes name, value;
};

THEATER__IMPORT("environment", "get-var")
void theater__import_get_var(const uint8_t *, size_t, void *);
THEATER__IMPORT("environment", "list-vars") void theater__import_list_vars(void *);
THEATER__IMPORT("environment", "exists") int theater__import_var_exists(const uint8_t *, size_t);

THEATER__INTERNAL struct theater_bytes theater__get_var(struct theater_bytes name) {
    struct {
        uint8_t has;
        struct theater_bytes value;
    } area;
    theater__import_get_var(name.data, name.size, &area);
    return area.has ? theater__parameter(1, area.value.data, area.value.size) : THEATER_NONE;
}

THEATER__INTERNAL bool theater__var_exists(struct theater_bytes name) {
    return theater__import_var_exists(name.data, name.size) != 0;
}

// A variable's value; none when there is no such variable, or the actor may not see it.
#define theater_get_var(name) theater__get_var(theater_text(name))
#define theater_var_exists(name) theater__var_exists(theater_text(name))

THEATER__INTERNAL const struct theater_variable *theater_list_vars(size_t *count) {
    struct {
        const struct theater_variable *items;
        size_t count;
    } list;
    theater__import_list_vars(&list);
    *count = list.count;
    return list.items;
}

// ---- filesystem --------------------------------------------------------------------------------

// What a command wrote, and how it ended. A command that could not run, or was killed, has only
// `message`.
struct theater_command {
    bool has_run;
    struct theater_bytes output, errors;
    int32_t exit_code;
    struct theater_bytes message;
};

#define THEATER__IMPORT_PATH(name, c_name) \
    THEATER__IMPORT("filesystem", name)    \
    void theater__import_##c_name(const uint8_t *, size_t, void *)

THEATER__IMPORT_PATH("read-file", read_file);
THEATER__IMPORT_PATH("list-files", list_files);
THEATER__IMPORT_PATH("delete-file", delete_file);
THEATER__IMPORT_PATH("create-dir", create_dir);
THEATER__IMPORT_PATH("delete-dir", delete_dir);
THEATER__IMPORT_PATH("path-exists", path_exists);
THEATER__IMPORT("filesystem", "write-file")
void theater__import_write_file(const uint8_t *, size_t, const uint8_t *, size_t, void *);
THEATER__IMPORT("filesystem", "execute-command")
void theater__import_execute_command(const uint8_t *, size_t, const uint8_t *, size_t, const void *,
                                     size_t, void *);
THEATER__IMPORT("filesystem", "execute-nix-command")
void theater__import_execute_nix_command(const uint8_t *, size_t, const uint8_t *, size_t, void *);

THEATER__INTERNAL struct theater_outcome theater__read_file(struct theater_bytes path) {
    struct theater__result_area area;
    theater__import_read_file(path.data, path.size, &area);
    return theater__outcome(&area);
}

THEATER__INTERNAL struct theater_outcome theater__write_file(struct theater_bytes path,
                                                             struct theater_bytes content) {
    struct theater__result_area area;
    theater__import_write_file(path.data, path.size, content.data, content.size, &area);
    return theater__done(&area);
}

THEATER__INTERNAL struct theater_outcome theater__list_files(struct theater_bytes path,
                                                             struct theater_list *names) {
    struct theater__result_area area;
    theater__import_list_files(path.data, path.size, &area);
    *names = area.failed ? (struct theater_list){0}
                         : (struct theater_list){(const void *)area.bytes.data, area.bytes.size};
    return theater__done(&area);
}

#define THEATER__PATH_FUNCTION(c_name)                                                      \
    THEATER__INTERNAL struct theater_outcome theater__##c_name(struct theater_bytes path) { \
        struct theater__result_area area;                                                   \
        theater__import_##c_name(path.data, path.size, &area);                              \
        return theater__done(&area);                                                        \
    }
THEATER__PATH_FUNCTION(delete_file)
THEATER__PATH_FUNCTION(create_dir)
THEATER__PATH_FUNCTION(delete_dir)

THEATER__INTERNAL struct theater_outcome theater__path_exists(struct theater_bytes path,
                                                              bool *exists) {
    struct theater__word_area area;
    theater__import_path_exists(path.data, path.size, &area);
    *exists = !area.failed && area.of.byte != 0;
    return theater__word(&area);
}

// The content is in `value`.
#define theater_read_file(path) theater__read_file(theater_text(path))
// Replaces the file as a whole. The content must be UTF-8.
#define theater_write_file(path, content) \
    theater__write_file(theater_text(path), theater_text(content))
#define theater_list_files(path, names) theater__list_files(theater_text(path), names)
#define theater_delete_file(path) theater__delete_file(theater_text(path))
#define theater_create_dir(path) theater__create_dir(theater_text(path))
#define theater_delete_dir(path) theater__delete_dir(theater_text(path))
#define theater_path_exists(path, exists) theater__path_exists(theater_text(path), exists)

// result<command-result, string>
struct theater__command_area {
    uint8_t failed;
    union {
        struct {
            uint8_t is_error;            // at 4
            struct theater_bytes first;  // at 8: what it wrote, or the message
            struct theater_bytes errors;
            int32_t exit_code;
        } ok;
        struct theater_bytes error;  // at 4
    } of;
};
_Static_assert(offsetof(struct theater__command_area, of.ok.exit_code) == 24, "canonical ABI");

THEATER__INTERNAL struct theater_outcome theater__command(const struct theater__command_area *area,
                                                          struct theater_command *command) {
    *command = (struct theater_command){0};
    if (area->failed) {
        return (struct theater_outcome){.error = area->of.error};
    }
    if (area->of.ok.is_error) {
        command->message = area->of.ok.first;
    } else {
        *command = (struct theater_command){true, area->of.ok.first, area->of.ok.errors,
                                            area->of.ok.exit_code, THEATER_NONE};
    }
    return (struct theater_outcome){.ok = true};
}

THEATER__INTERNAL struct theater_outcome theater__execute(struct theater_bytes folder,
                                                          struct theater_bytes program,
                                                          const struct theater_bytes *arguments,
                                                          size_t count,
                                                          struct theater_command *command) {
    struct theater__command_area area;
    theater__import_execute_command(folder.data, folder.size, program.data, program.size, arguments,
                                    count, &area);
    return theater__command(&area, command);
}

THEATER__INTERNAL struct theater_outcome theater__execute_nix(struct theater_bytes folder,
                                                              struct theater_bytes line,
                                                              struct theater_command *command) {
    struct theater__command_area area;
    theater__import_execute_nix_command(folder.data, folder.size, line.data, line.size, &area);
    return theater__command(&area, command);
}

// Runs a program in a folder and waits for its end; its arguments are an array of theater_bytes.
#define theater_execute(folder, program, arguments, count, command) \
    theater__execute(theater_text(folder), theater_text(program), arguments, count, command)
#define theater_execute_nix(folder, line, command) \
    theater__execute_nix(theater_text(folder), theater_text(line), command)

#endif
