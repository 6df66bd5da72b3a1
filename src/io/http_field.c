// SPDX-License-Identifier: Apache-2.0
#include "io/http_field.h"

#include <string.h>

bool io_http_is_token(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        bool is_word = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= '0' && byte <= '9');
        if (!is_word && (byte == '\0' || strchr("!#$%&'*+-.^_`|~", byte) == NULL)) {
            return false;
        }
    }
    return text.size > 0;
}

bool io_http_is_value(struct slice text) {
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            return false;
        }
    }
    return true;
}
