// SPDX-License-Identifier: Apache-2.0
// What the interfaces share that send HTTP requests: theater:simple/http-client and wasi:http.
#ifndef HOST_HTTP_H
#define HOST_HTTP_H

#include "host/host.h"
#include "io/http_client.h"

// Whether the actor's permissions let a request go to the URL; `error` says what was denied, for
// actor_denied.
enum status host_http_permit(const struct permissions *permissions, struct slice method,
                             const struct io_url *url, struct error *error) MUST_CHECK;

#endif
