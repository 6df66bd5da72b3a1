// SPDX-License-Identifier: Apache-2.0
// What may stand in a header field, in a request and in an answer, sent and received (RFC 9110,
// section 5). Any thread.
#ifndef IO_HTTP_FIELD_H
#define IO_HTTP_FIELD_H

#include "base/bytes.h"

// A token (RFC 9110, section 5.6.2): a field's name, a method.
bool io_http_is_token(struct slice text);
// What may stand in a field: no control characters but tabs.
bool io_http_is_value(struct slice text);

#endif
