// SPDX-License-Identifier: Apache-2.0
// Runs converted test files of the core specification and of the component model:
//
//   theater-conformance [--list] [-j N] [--cache FOLDER] [--tables FOLDER] [--quick]
//       FILE.json…
//
// Prints a line per failure, per file the reasons of what was skipped and the counts, and last the
// sum: "N passed, N failed, N skipped". With --list, every command's result. Each file has a
// process of its own, so that a crash is one file's failure; N of them (default: one per CPU) run
// at once. tests/conformance/known-failures.txt says what is expected to fail and why (skipped; a
// failure if it passes), tests/conformance/core-files.txt which files are left out and why;
// --tables names another folder for both.
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suite.h"

#define TABLES SOURCE_FOLDER "/tests/conformance"

struct job {
    const char *path;
    pid_t process;  // 0: not started or ended
    FILE *output;
    off_t size;  // of the file: the largest are started first
};

struct runner {
    struct driver driver;
    struct table known;
    struct table left_out;
    bool is_listed;
    unsigned slots;
    struct job *jobs;
    size_t job_count;
    struct suite_counts *counts;  // per job, shared with the processes
};

// ---- in the process of a file -----------------------------------------------------------------

static int body(struct driver *driver) {
    struct suite *suite = driver->data;
    struct error error = {.code = OK};
    if (!suite_run(suite, &error)) {
        (void)printf("FAILED %s: %s\n", suite->path, error.message);
        return 1;
    }
    suite->counts->is_complete = true;
    return 0;
}

NO_RETURN static void run_file(struct runner *runner, size_t i) {
    struct driver driver = runner->driver;
    struct suite suite = {.driver = &driver,
                          .path = runner->jobs[i].path,
                          .is_listed = runner->is_listed,
                          .known = &runner->known,
                          .left_out = &runner->left_out,
                          .counts = &runner->counts[i]};
    if (dup2(fileno(runner->jobs[i].output), STDOUT_FILENO) < 0)
        exit(2);
    driver.body = body;
    driver.data = &suite;
    wasm_watchdog_start();
    int result = driver_run(&driver);
    wasm_watchdog_stop();
    (void)fflush(stdout);
    exit(result);
}

// ---- in the process that was called ------------------------------------------------------------

static void start_job(struct runner *runner, size_t i) {
    struct job *job = &runner->jobs[i];
    job->output = tmpfile();
    (void)fflush(stdout);
    job->process = job->output == NULL ? -1 : fork();
    if (job->process < 0) {
        perror(job->path);
        exit(2);
    }
    if (job->process == 0)
        run_file(runner, i);
}

static void copy_output(FILE *from) {
    char chunk[8192];
    rewind(from);
    for (size_t size; (size = fread(chunk, 1, sizeof chunk, from)) > 0;)
        (void)fwrite(chunk, 1, size, stdout);
    (void)fclose(from);
}

// A file that did not come to its end is a failure, whatever it counted.
static void end_job(struct runner *runner, size_t i, int state) {
    struct job *job = &runner->jobs[i];
    struct suite_counts *counts = &runner->counts[i];
    job->process = 0;
    copy_output(job->output);
    if (WIFEXITED(state) && WEXITSTATUS(state) == 0 && counts->is_complete)
        return;
    counts->failed++;
    if (WIFSIGNALED(state))
        (void)printf("FAILED %s: the process was ended by signal %d\n", job->path, WTERMSIG(state));
    else
        (void)printf("FAILED %s: the process ended with exit code %d\n", job->path,
                     WEXITSTATUS(state));
}

// Waits for one process to end; false when there is none.
static bool wait_job(struct runner *runner) {
    int state;
    pid_t process;
    do
        process = waitpid(-1, &state, 0);
    while (process < 0 && errno == EINTR);
    for (size_t i = 0; process > 0 && i < runner->job_count; i++)
        if (runner->jobs[i].process == process)
            end_job(runner, i, state);
    return process > 0;
}

static int larger_first(const void *a, const void *b) {
    const struct job *first = a, *second = b;
    if (first->size != second->size)
        return first->size > second->size ? -1 : 1;
    return strcmp(first->path, second->path);
}

static int run_all(struct runner *runner) {
    size_t bytes = runner->job_count * sizeof *runner->counts;
    runner->counts = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (runner->counts == MAP_FAILED) {
        perror("shared memory");
        return 2;
    }
    qsort(runner->jobs, runner->job_count, sizeof *runner->jobs, larger_first);
    for (size_t i = 0; i < runner->job_count; i++) {
        if (i >= runner->slots)
            (void)wait_job(runner);
        start_job(runner, i);
    }
    while (wait_job(runner)) {
    }
    struct suite_counts sum = {0};
    for (size_t i = 0; i < runner->job_count; i++) {
        sum.passed += runner->counts[i].passed;
        sum.failed += runner->counts[i].failed;
        sum.skipped += runner->counts[i].skipped;
    }
    (void)printf("%u passed, %u failed, %u skipped\n", sum.passed, sum.failed, sum.skipped);
    (void)munmap(runner->counts, bytes);
    return sum.failed == 0 ? 0 : 1;
}

static int usage(const char *name) {
    (void)fprintf(stderr,
                  "usage: %s [--list] [-j N] [--cache FOLDER] [--tables FOLDER] [--quick] "
                  "FILE.json...\n",
                  name);
    return 2;
}

static void add_job(struct runner *runner, const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL || fseeko(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(2);
    }
    runner->jobs[runner->job_count++] = (struct job){.path = path, .size = ftello(file)};
    (void)fclose(file);
}

static void load_table(struct table *table, const char *folder, const char *name, bool has_lines) {
    char *path = file_join(folder, name);
    table_load(table, path, has_lines);
    free(path);
}

int main(int argc, char **argv) {
    const char *tables = TABLES;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct runner runner = {.driver = {.argc = argc, .argv = argv}};
    runner.slots = cpus < 1 ? 1 : (unsigned)cpus;
    driver_open(&runner.driver);
    runner.jobs = xcalloc((size_t)argc, sizeof *runner.jobs);
    for (int i = 1; i < runner.driver.argc; i++) {
        if (strcmp(argv[i], "--list") == 0)
            runner.is_listed = true;
        else if (strcmp(argv[i], "-j") == 0 && i + 1 < runner.driver.argc)
            runner.slots = (unsigned)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--tables") == 0 && i + 1 < runner.driver.argc)
            tables = argv[++i];
        else if (argv[i][0] == '-')
            return usage(argv[0]);
        else
            add_job(&runner, argv[i]);
    }
    if (runner.job_count == 0 || runner.slots == 0)
        return usage(argv[0]);
    load_table(&runner.known, tables, "known-failures.txt", true);
    load_table(&runner.left_out, tables, "core-files.txt", false);
    int result = run_all(&runner);
    table_release(&runner.known);
    table_release(&runner.left_out);
    free(runner.jobs);
    driver_close(&runner.driver);
    return result;
}
