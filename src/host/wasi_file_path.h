// SPDX-License-Identifier: Apache-2.0
// What the operations on open files (wasi_file.c) and those by path (wasi_file_path.c) share.
#ifndef HOST_WASI_FILE_PATH_H
#define HOST_WASI_FILE_PATH_H

#include <time.h>

#include "host/wasi_file.h"

// The case for an error of the system.
enum wasi_failure wasi_failure_of(int code);
// False with errno.
bool wasi_file_info_of(int handle, struct wasi_file_info *out);
// From job->info into job->hash.
void wasi_file_hash(struct wasi_file_job *job);
// The times that the job asks for; false with errno.
bool wasi_file_times_of(const struct wasi_file_job *job, struct timespec out[2]);

#endif
