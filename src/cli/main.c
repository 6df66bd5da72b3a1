// SPDX-License-Identifier: Apache-2.0
// theater: run actors that are WebAssembly components; look at and verify their chains.
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"

static const char help[] =
    "theater - actors that are WebAssembly components, with a verifiable history\n"
    "\n"
    "  theater run [MANIFEST] [options]    start an actor in a node of its own\n"
    "      --data DIR        data folder (default $THEATER_HOME, else ~/.theater)\n"
    "      --id ID           the actor's id (default: the manifest's, else generated)\n"
    "      --state FILE|JSON initial state, merged over the manifest's\n"
    "      --send MSG        send a message; may be repeated\n"
    "      --request MSG     send a request and print the reply; may be repeated\n"
    "      --until-idle      end when nothing is left to do\n"
    "      --timeout S       end after S seconds with exit code 4\n"
    "      --json            replies as JSON\n"
    "      --quiet           no log lines of actors on stderr\n"
    "      --workers N       worker threads (default: as many as CPUs)\n"
    "      --instance-memory MIB  above it, idle actors that may do so hibernate (default:\n"
    "                        half of the memory)\n"
    "      --code DIR        folder of compiled code (default ~/.cache/theater/code)\n"
    "      --no-compile      run only what is compiled already\n"
    "      --no-recover      leave actors of a node that was killed as they are\n"
    "      --permit FILE     what actors may do at most (default: permissions.toml in the data\n"
    "                        folder, else everything)\n"
    "  theater call COMPONENT CALL         call one function of a component, for instance\n"
    "                                      theater call a.wasm 'ns:pkg/iface.f(1, \"two\")'\n"
    "      --timeout S       end after S seconds with exit code 4\n"
    "      --quiet           no log lines of the component on stderr\n"
    "  theater chain list                  the actors with a chain (--long: more about each)\n"
    "  theater chain show ACTOR            its events, one line each (--json for all of it)\n"
    "  theater chain export ACTOR          its events as JSON lines; with -o FILE as a chain file\n"
    "  theater chain import FILE           take over a chain file: to be read, not run\n"
    "  theater chain verify [ACTOR|FILE]   check every hash; exit code 5 names the first bad\n"
    "                                      event\n"
    "  theater chain fork ACTOR --at N     a new actor from that event on, which comes up with "
    "the\n"
    "                                      next node\n"
    "  theater chain key                   the public key that this node signs with\n"
    "      --data DIR        data folder\n"
    "      --from N          first event to show or export, by its number\n"
    "      --until N         last one\n"
    "      --since TIME      show: not before 2026-01-31, 2026-01-31T12:00:00Z, or 5m (minutes "
    "ago)\n"
    "      --before TIME     show: before that time\n"
    "      --follow          show: go on with what is written; without ACTOR, of all actors\n"
    "      --type TYPE       show: only such events; \"handle-*\" for all that begin so; may be\n"
    "                        repeated\n"
    "      --contents        show: large values themselves, which the chain holds by their hash\n"
    "      --at N            fork: the event after which it begins\n"
    "      --id ID           fork: the new actor's id (default: generated)\n"
    "      -o, --output FILE export: a chain file, \"-\" for standard output\n"
    "      --no-contents     export: without the contents that the chain refers to\n"
    "      --unsigned        export: without this node's signature\n"
    "  theater replay ACTOR|FILE           run its chain again, without the world, to the same\n"
    "                                      head; exit code 6 shows the first difference\n"
    "      --data DIR        data folder\n"
    "      --component FILE  with another component: what would have been different\n"
    "      --from N          begin with the instance that event N belongs to\n"
    "      --until N         up to event N, and print the state then\n"
    "      --diff            go on after a difference, from the recorded state\n"
    "      --step            print each event, and wait for Enter on a terminal\n"
    "  theater store list                  the stores of actors, and what they hold\n"
    "  theater store labels STORE          a store's labels, each with its newest content\n"
    "  theater store get CONTENT           a content, by its SHA-256 or store://STORE/LABEL\n"
    "  theater store verify                read every content and check it; exit code 5 if one\n"
    "                                      is damaged or missing\n"
    "  theater store gc                    remove what no label and no chain refers to\n"
    "      --data DIR        data folder\n"
    "      --json            lists as JSON lines\n"
    "      --dry-run         gc: only count\n"
    "  theater compile MANIFEST|FILE...    compile ahead of time, into the cache\n"
    "      -o, --output DIR  into this folder instead, for run --code\n"
    "      --quick           the quick tier instead of the optimised one\n"
    "  theater inspect FILE                a component's world as WIT, and what it needs\n"
    "  theater help, theater --version\n"
    "\n"
    "ACTOR is an id, or the beginning of one if it is unique.\n"
    "Exit codes: 0 good, 1 error, 2 usage, 3 a request was answered with an error, 4 timeout,\n"
    "5 a chain or a content does not verify, 6 a replay differs, 7 a chain cannot be replayed, 130 "
    "or 143 ended by SIGINT or SIGTERM. Of theater "
    "call: 0 the\n"
    "function returned, 1 error or wrong usage, 2 trap.\n";

int cli_error(const struct error *error) {
    fprintf(stderr, "theater: %s\n", error->message);
    return EXIT_ERROR;
}

int cli_usage(const char *command, const char *format, ...) {
    fprintf(stderr, "theater%s%s: ", command[0] != '\0' ? " " : "", command);
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry 'theater help'.\n");
    return EXIT_USAGE;
}

// A process may be started with these closed. Then the first files that it opens, a chain for
// instance, would get their numbers, and log lines and results would be written into them.
static bool open_standard_streams(void) {
    int descriptor;
    do {
        descriptor = open("/dev/null", O_RDWR);
    } while (descriptor >= 0 && descriptor <= 2);
    if (descriptor > 2) {
        (void)close(descriptor);
    }
    return descriptor > 2;
}

// $THEATER_LOG: the least important lines of the log that are wanted.
static bool set_log_level(void) {
    static const char *const names[] = {"error", "warning", "info", "debug"};
    const char *wanted = getenv("THEATER_LOG");
    if (wanted == NULL || wanted[0] == '\0') {
        return true;
    }
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (strcmp(wanted, names[level]) == 0) {
            log_set_level((enum log_level)level);
            return true;
        }
    }
    return false;
}

static bool asks_for_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {{"run", cli_run},        {"call", cli_call},   {"chain", cli_chain},
                    {"replay", cli_replay},  {"store", cli_store}, {"inspect", cli_inspect},
                    {"compile", cli_compile}};
    if (!open_standard_streams()) {
        return EXIT_ERROR;
    }
    if (!set_log_level()) {
        return cli_usage("", "THEATER_LOG is not error, warning, info or debug");
    }
    if (argc < 2) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "help") == 0 || asks_for_help(word) || (argc > 2 && asks_for_help(argv[2]))) {
        fputs(help, stdout);
        return EXIT_GOOD;
    }
    if (strcmp(word, "--version") == 0) {
        puts("theater 0.1.0");
        return EXIT_GOOD;
    }
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        if (strcmp(word, commands[i].name) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return cli_usage("", "there is no command '%s'", word);
}
