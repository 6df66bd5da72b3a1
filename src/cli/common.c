// SPDX-License-Identifier: Apache-2.0
// What several commands need: signals, and options that are numbers.
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"

// How long the wish to stop waits before it is repeated, for what began after it.
static const struct timespec REPEAT = {.tv_nsec = 100000000};

static void signal_set(sigset_t *set) {
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGUSR1);
}

void cli_signals_block(void) {
    sigset_t set;
    signal_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

// SIGUSR1 ends the thread; it is sent by this process only, at the end.
static void *wait_for_signals(void *argument) {
    struct cli_signals *signals = argument;
    sigset_t set;
    signal_set(&set);
    int first = 0;
    for (;;) {
        int number = sigtimedwait(&set, NULL, first != 0 ? &REPEAT : NULL);
        if (number == SIGUSR1) {
            return NULL;
        }
        if (number > 0 && first != 0) {
            log_line(LOG_WARNING, "ended at once");
            _exit(128 + number);
        }
        bool is_first = number > 0;
        first = is_first ? number : first;
        if (first != 0 && (is_first || errno == EAGAIN)) {
            signals->stop(signals->context, first, is_first);
        }
    }
}

void cli_signals_start(struct cli_signals *signals) {
    if (pthread_create(&signals->thread, NULL, wait_for_signals, signals) != 0) {
        fatal("cannot start the signal thread");
    }
}

void cli_signals_end(struct cli_signals *signals) {
    pthread_kill(signals->thread, SIGUSR1);
    pthread_join(signals->thread, NULL);
}

bool cli_parse_seconds(const char *text, uint64_t *out_ns) {
    // By hand, because strtod follows the locale's decimal point.
    uint64_t whole = 0;
    uint64_t nanos = 0;
    const char *at = text;
    if (*at < '0' || *at > '9') {
        return false;
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        whole = whole * 10 + (uint64_t)(*at - '0');
        if (whole > 1000000000U) {
            return false;
        }
    }
    if (*at == '.') {
        uint64_t unit = 100000000U;
        for (at++; *at >= '0' && *at <= '9'; at++) {
            nanos += (uint64_t)(*at - '0') * unit;
            unit /= 10;
        }
    }
    *out_ns = whole * 1000000000U + nanos;
    return *at == '\0';
}
