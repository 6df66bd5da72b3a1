// SPDX-License-Identifier: Apache-2.0
// Says in a shared object that it needs no executable stack. tcc does not write that, and without
// it glibc makes the stacks of the process executable when it loads the object; from 2.41 on it
// refuses to load it. The mark is a program header, PT_GNU_STACK. The table of these lies at the
// beginning of the file, with no room behind it; a copy with one more entry goes to the end, where
// the loader reads it as well.
//
//   before:  header, table, segments ...
//   after:   header, (table), segments ..., table with the mark
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "wasm/build.h"

enum { HEADERS_MAX = 64 };

struct object {
    const char *path;
    int descriptor;
    Elf64_Ehdr header;
    Elf64_Phdr table[HEADERS_MAX + 1];
};

static bool read_at(const struct object *object, void *out, size_t size, uint64_t offset) {
    return pread(object->descriptor, out, size, (off_t)offset) == (ssize_t)size;
}

static bool write_at(const struct object *object, const void *data, size_t size, uint64_t offset) {
    return pwrite(object->descriptor, data, size, (off_t)offset) == (ssize_t)size;
}

static enum status read_table(struct object *object, struct error *error) {
    Elf64_Ehdr *header = &object->header;
    bool is_known =
        read_at(object, header, sizeof *header, 0) &&
        memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
        header->e_type == ET_DYN && header->e_phentsize == sizeof(Elf64_Phdr) &&
        header->e_phnum <= HEADERS_MAX &&
        read_at(object, object->table, header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff);
    return is_known ? OK
                    : error_set(error, ERR_INVALID, "%s is no shared object as it should be",
                                object->path);
}

static enum status write_table(struct object *object, struct error *error) {
    Elf64_Ehdr *header = &object->header;
    struct stat info;
    if (fstat(object->descriptor, &info) != 0)
        return error_set_os(error, errno, "%s", object->path);
    object->table[header->e_phnum++] =
        (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W, .p_align = 16};
    header->e_phoff = ((uint64_t)info.st_size + 15) / 16 * 16;
    errno = 0;
    // The header last: until then the file is what it was.
    if (!write_at(object, object->table, header->e_phnum * sizeof(Elf64_Phdr), header->e_phoff) ||
        !write_at(object, header, sizeof *header, 0))
        return error_set_os(error, errno == 0 ? ENOSPC : errno, "writing %s", object->path);
    return OK;
}

enum status wasm_mark_stack(const char *path, struct error *error) {
    struct object object = {.path = path};
    object.descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (object.descriptor < 0)
        return error_set_os(error, errno, "%s", path);
    enum status status = read_table(&object, error);
    bool is_marked = false;
    for (unsigned i = 0; status == OK && i < object.header.e_phnum; i++)
        is_marked |= object.table[i].p_type == PT_GNU_STACK;
    if (status == OK && !is_marked)
        status = write_table(&object, error);
    (void)close(object.descriptor);
    return status;
}
