// SPDX-License-Identifier: Apache-2.0
// The shim over toml++: parses, keeps the library's tree for the texts in it, and lays a tree of
// plain structs over it. Every exception ends here. See toml.h.
#include "codec/toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <deque>
#include <new>
#include <string_view>
#include <vector>

#include "codec/toml_scan.h"

struct toml_document {
    toml::table table;  // owns the texts
    std::deque<std::vector<toml_entry>> entries;
    std::deque<std::vector<toml_value>> items;
    toml_value root;
};

namespace {

void set_position(toml_value &out, const toml::source_region &source) {
    out.line = source.begin.line;
    out.column = source.begin.column;
    out.end_line = source.end.line;
    out.end_column = source.end.column;
}

void convert(toml_document &document, const toml::node &node, toml_value &out);

void convert_table(toml_document &document, const toml::table &table, toml_value &out) {
    out.kind = TOML_TABLE;
    document.entries.emplace_back();
    std::vector<toml_entry> &list = document.entries.back();
    list.reserve(table.size());
    for (auto &&[key, node] : table) {
        toml_entry entry{};
        entry.key = key.data();
        entry.key_size = key.length();
        entry.line = key.source().begin.line;
        entry.column = key.source().begin.column;
        convert(document, node, entry.value);
        list.push_back(entry);
    }
    std::stable_sort(list.begin(), list.end(), [](const toml_entry &a, const toml_entry &b) {
        return a.line != b.line ? a.line < b.line : a.column < b.column;
    });
    out.entries = list.data();
    out.count = list.size();
}

void convert_array(toml_document &document, const toml::array &array, toml_value &out) {
    out.kind = TOML_ARRAY;
    document.items.emplace_back();
    std::vector<toml_value> &list = document.items.back();
    list.reserve(array.size());
    for (const toml::node &node : array) {
        toml_value item{};
        convert(document, node, item);
        list.push_back(item);
    }
    out.items = list.data();
    out.count = list.size();
}

// Recursion is bounded: toml_scan_shape has limited what the text can nest.
void convert(toml_document &document, const toml::node &node, toml_value &out) {
    set_position(out, node.source());
    if (const toml::table *table = node.as_table()) {
        convert_table(document, *table, out);
    } else if (const toml::array *array = node.as_array()) {
        convert_array(document, *array, out);
    } else if (const auto *text = node.as_string()) {
        out.kind = TOML_STRING;
        out.text = text->get().data();
        out.text_size = text->get().size();
    } else if (const auto *integer = node.as_integer()) {
        out.kind = TOML_INTEGER;
        out.integer = integer->get();
    } else if (const auto *real = node.as_floating_point()) {
        out.kind = TOML_FLOAT;
        out.real = real->get();
    } else if (const auto *boolean = node.as_boolean()) {
        out.kind = TOML_BOOLEAN;
        out.integer = boolean->get() ? 1 : 0;
    } else {
        out.kind = TOML_DATE_TIME;
    }
}

void fail(toml_failure *failure, std::string_view message, uint32_t line, uint32_t column) {
    failure->line = line;
    failure->column = column;
    (void)std::snprintf(failure->message, sizeof failure->message, "%.*s",
                        static_cast<int>(std::min<size_t>(message.size(), TOML_FAILURE_MAX)),
                        message.data());
}

}  // namespace

extern "C" struct toml_document *toml_parse(const char *text, size_t size,
                                            struct toml_failure *failure) {
    *failure = toml_failure{};
    if (!toml_scan_shape(text, size, failure)) {
        return nullptr;
    }
    toml_document *document = nullptr;
    try {
        document = new toml_document{};
        document->table = toml::parse(std::string_view(size == 0 ? "" : text, size));
        convert(*document, document->table, document->root);
        return document;
    } catch (const toml::parse_error &problem) {
        fail(failure, problem.description(), problem.source().begin.line,
             problem.source().begin.column);
    } catch (const std::bad_alloc &) {
        fail(failure, "out of memory", 1, 1);
    } catch (const std::exception &problem) {
        fail(failure, problem.what(), 1, 1);
    } catch (...) {
        fail(failure, "the parser failed", 1, 1);
    }
    delete document;
    return nullptr;
}

extern "C" const struct toml_value *toml_root(const struct toml_document *document) {
    return &document->root;
}

extern "C" void toml_free(struct toml_document *document) {
    delete document;
}

extern "C" const struct toml_value *toml_find(const struct toml_value *table, const char *key) {
    size_t size = std::strlen(key);
    for (size_t i = 0; i < table->count && table->kind == TOML_TABLE; i++) {
        const toml_entry &entry = table->entries[i];
        if (entry.key_size == size && std::memcmp(entry.key, key, size) == 0) {
            return &entry.value;
        }
    }
    return nullptr;
}

extern "C" const char *toml_kind_text(enum toml_kind kind) {
    static const char *const texts[] = {"a table", "an array",  "a string",   "an integer",
                                        "a float", "a boolean", "a date-time"};
    return texts[kind];
}
