// SPDX-License-Identifier: Apache-2.0
// Contexts, calls into guest code, and the ways out of it: traps raised by generated code, faults
// of the stack's guard page, and the watchdog's signal. All of them jump to the innermost frame of
// the context, without the signal mask (saving it would cost two system calls per call).
//
// A jump out of a signal handler is safe because `in_guest` is 1 only while generated code runs:
// it holds no lock and owns nothing. Every call out of it (host functions, growth of memories)
// clears the flag first and looks for an interruption that came meanwhile when it sets it again.
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "wasm/internal.h"

enum { SIGNAL_STACK_BYTES = 64 << 10, HOST_STACK_BYTES = 64 << 10 };

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE};
// What was installed before us, put back when a fault is not ours. Written once, under `once`.
static struct sigaction previous_actions[COUNT_OF(fault_signals)];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static _Thread_local struct wasm_thread *current_thread;

const char *wasm_trap_text(enum wasm_trap trap) {
    static const char *const texts[WASM_TRAP_COUNT] = {
        [WASM_TRAP_NONE] = "no trap",
        [WASM_TRAP_UNREACHABLE] = "unreachable",
        [WASM_TRAP_MEMORY_BOUNDS] = "out of bounds memory access",
        [WASM_TRAP_TABLE_BOUNDS] = "out of bounds table access",
        [WASM_TRAP_DIVIDE_BY_ZERO] = "integer divide by zero",
        [WASM_TRAP_INTEGER_OVERFLOW] = "integer overflow",
        [WASM_TRAP_INVALID_CONVERSION] = "invalid conversion to integer",
        [WASM_TRAP_INDIRECT_CALL] = "indirect call to a null, absent or differently typed element",
        [WASM_TRAP_STACK_OVERFLOW] = "call stack exhausted",
        [WASM_TRAP_DEADLINE] = "CPU time of the turn used up",
        [WASM_TRAP_HOST] = "host function trapped",
    };
    return trap < WASM_TRAP_COUNT ? texts[trap] : "unknown trap";
}

// ---- contexts --------------------------------------------------------------------------------

// Never inlined: a fiber may have moved to another thread, and a compiler may keep the address of
// a thread-local variable across a switch.
NO_INLINE struct wasm_thread *wasm_thread_current(void) {
    return current_thread;
}

void wasm_context_init(struct wasm_context *context, uint8_t *stack_low, uint8_t *guard_low) {
    assert(guard_low <= stack_low);
    *context = (struct wasm_context){.stack_low = stack_low, .guard_low = guard_low};
}

static uint64_t remaining(const struct wasm_context *context) {
    if (context->cpu_limit_ns == 0)
        return 0;
    return context->cpu_used_ns < context->cpu_limit_ns
               ? context->cpu_limit_ns - context->cpu_used_ns
               : 1;
}

void wasm_context_begin(struct wasm_context *context, uint64_t cpu_limit_ns) {
    assert(context->frame == NULL);
    context->trap = WASM_TRAP_NONE;
    context->host_trap[0] = 0;
    context->interrupted = 0;
    context->cpu_used_ns = 0;
    context->cpu_limit_ns = cpu_limit_ns;
    struct wasm_thread *thread = wasm_thread_current();
    // A batch of turns may stay bound: a new binding, so that an old ticket means nothing.
    if (thread != NULL && atomic_load_explicit(&thread->context, memory_order_relaxed) == context) {
        atomic_store_explicit(&thread->context, NULL, memory_order_relaxed);
        wasm_context_bind(context);
    }
}

void wasm_context_bind(struct wasm_context *context) {
    struct wasm_thread *thread = wasm_thread_current();
    assert(thread != NULL && "wasm_thread_enter comes first");
    assert(atomic_load_explicit(&thread->context, memory_order_relaxed) == NULL);
    uint64_t binding = atomic_load_explicit(&thread->binding, memory_order_relaxed) + 1;
    // Our handler reads these on this thread: the order of the program is enough for it. The
    // watchdog pairs `binding` (release) with what it says of `remaining_ns`.
    atomic_store_explicit(&thread->remaining_ns, remaining(context), memory_order_relaxed);
    atomic_store_explicit(&thread->context, context, memory_order_relaxed);
    atomic_store_explicit(&thread->binding, binding, memory_order_release);
}

void wasm_context_unbind(struct wasm_context *context) {
    struct wasm_thread *thread = wasm_thread_current();
    assert(thread != NULL);
    assert(atomic_load_explicit(&thread->context, memory_order_relaxed) == context);
    uint64_t binding = atomic_load_explicit(&thread->binding, memory_order_relaxed);
    atomic_store_explicit(&thread->remaining_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&thread->context, NULL, memory_order_relaxed);
    // Acquire: `charged_ns` belongs to the binding that was read.
    if (atomic_load_explicit(&thread->charged_binding, memory_order_acquire) == binding)
        context->cpu_used_ns += atomic_load_explicit(&thread->charged_ns, memory_order_relaxed);
}

struct wasm_context *wasm_context_current(void) {
    struct wasm_thread *thread = wasm_thread_current();
    return thread == NULL ? NULL : atomic_load_explicit(&thread->context, memory_order_relaxed);
}

// ---- frames ----------------------------------------------------------------------------------

static void unblock_signals(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < COUNT_OF(fault_signals); i++)
        (void)sigaddset(&set, fault_signals[i]);
    (void)sigaddset(&set, wasm_interrupt_signal());
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void wasm_trap_jump(struct wasm_context *context, enum wasm_trap trap, bool by_signal) {
    struct wasm_frame *frame = context->frame;
    assert(frame != NULL);
    // `in_guest` stays as it is until the frame is reached: with the stack all but used up the jump
    // itself may meet the guard page, and then the fault handler jumps to the same frame.
    context->trap = trap;
    frame->by_signal = by_signal;
    siglongjmp(frame->jump, 1);
}

void wasm_deadline(struct wasm_context *context) {
    wasm_trap_jump(context, WASM_TRAP_DEADLINE, false);
}

// Where a jump arrives, with the stack at `here`. Reads the context again, because nothing that
// lived in a register before the jump is to be trusted; so it is a function of its own.
static NO_INLINE void trap_landed(uint8_t *here) {
    struct wasm_context *context = wasm_context_current();
    // The functions that were jumped over do not take back what they told AddressSanitizer of
    // their variables, and a jump out of a signal handler, which has a stack of its own, does not
    // do it for them.
    ASAN_UNPOISON_MEMORY_REGION(context->stack_low, (size_t)(here - context->stack_low));
    wasm_guest_leave(context);
    struct wasm_frame *left = context->frame;
    context->frame = left->previous;
    if (left->by_signal)
        unblock_signals();
}

bool wasm_run(wasm_body body, void *data) {
    struct wasm_context *context = wasm_context_current();
    assert(context != NULL && "guest code needs a bound context");
    assert(context->in_guest == 0);
    struct wasm_frame frame;
    frame.previous = context->frame;
    if (sigsetjmp(frame.jump, 0) == 0) {
        context->frame = &frame;
        bool done = body(context, data);
        context->frame = frame.previous;
        return done;
    }
    trap_landed(STACK_POINTER());
    return false;
}

static bool no_slots(void *data, uint64_t *slots) {
    (void)data;
    (void)slots;
    return wasm_raise("a function that passes function references can be called by guests only");
}

struct wasm_entry wasm_entry_of(const struct wasm_func *func) {
    if (func->host != NULL)
        return (struct wasm_entry){.host = func->host, .data = func->data};
    return wasm_instance_entry(func->instance, func->export_index);
}

struct wasm_entry wasm_instance_entry(const struct wasm_instance *instance, uint32_t export_index) {
    uint32_t import = instance->code->export_imports[export_index];
    if (UNLIKELY(import != UINT32_MAX))
        return wasm_entry_of(&instance->imports[import].of.func);
    wasm_rt_thunk thunk = instance->code->native->exports[export_index].thunk;
    if (UNLIKELY(thunk == NULL))
        return (struct wasm_entry){.host = no_slots};
    return (struct wasm_entry){.guest = thunk, .data = instance->native};
}

struct single_call {
    struct wasm_entry entry;
    uint64_t *slots;
};

static bool run_single_call(struct wasm_context *context, void *data) {
    const struct single_call *call = data;
    return wasm_enter(context, &call->entry, call->slots);
}

bool wasm_call(const struct wasm_func *func, uint64_t *slots) {
    struct single_call call = {wasm_entry_of(func), slots};
    return wasm_run(run_single_call, &call);
}

bool wasm_raise(const char *format, ...) {
    struct wasm_context *context = wasm_context_current();
    assert(context != NULL);
    if (format == NULL) {
        assert(context->trap != WASM_TRAP_NONE);
        return false;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(context->host_trap, sizeof context->host_trap, format, arguments);
    va_end(arguments);
    context->trap = WASM_TRAP_HOST;
    return false;
}

// ---- signals ---------------------------------------------------------------------------------

static void report(const char *text, const void *address) {
    char line[160];
    int size = snprintf(line, sizeof line, "theater: %s at address %p\n", text, address);
    if (size > 0 && write(STDERR_FILENO, line, (size_t)size) < 0)
        return;
}

// Gives the fault back to whoever had it before us (a sanitizer, or the default that ends the
// process): returning runs the faulting instruction again.
static void fault_elsewhere(int signal, const siginfo_t *info) {
    report("fault outside guest code: this is a bug of the runtime", info->si_addr);
    for (size_t i = 0; i < COUNT_OF(fault_signals); i++)
        if (fault_signals[i] == signal)
            (void)sigaction(signal, &previous_actions[i], NULL);
    if (info->si_code <= 0)
        (void)raise(signal);
}

static void on_fault(int signal, siginfo_t *info, void *unused) {
    (void)unused;
    struct wasm_context *context = wasm_context_current();
    const uint8_t *address = info->si_addr;
    bool is_fault = info->si_code > 0;
    bool in_guard = context != NULL && is_fault && signal != SIGFPE &&
                    address >= context->guard_low && address < context->stack_low;
    bool in_guest = context != NULL && context->in_guest == 1;
    if (in_guest && in_guard)
        wasm_trap_jump(context, WASM_TRAP_STACK_OVERFLOW, true);
    if (in_guest && is_fault && signal == SIGFPE)
        wasm_trap_jump(context, WASM_TRAP_DIVIDE_BY_ZERO, true);
    if (in_guard)
        report("a host function used more stack than it may", address);
    fault_elsewhere(signal, info);
}

// ThreadSanitizer must not look: under it the signal may come in the middle of its own switch to
// another fiber, and it would take our reads of this thread's context for those of no fiber at all.
NO_SANITIZE_THREAD static void on_interrupt(int signal, siginfo_t *info, void *unused) {
    (void)signal;
    (void)info;
    (void)unused;
    int saved_errno = errno;
    struct wasm_thread *thread = wasm_thread_current();
    uint64_t ticket = thread == NULL ? 0 : atomic_exchange(&thread->ticket, 0);
    struct wasm_context *context = wasm_context_current();
    bool for_us = context != NULL && ticket != 0 &&
                  ticket == atomic_load_explicit(&thread->binding, memory_order_relaxed);
    if (for_us && context->in_guest == 1)
        wasm_trap_jump(context, WASM_TRAP_DEADLINE, true);
    if (for_us)
        context->interrupted = 1;
    errno = saved_errno;
}

static void install_handlers(void) {
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    (void)sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_fault;
    for (size_t i = 0; i < COUNT_OF(fault_signals); i++)
        if (sigaction(fault_signals[i], &action, &previous_actions[i]) != 0)
            fatal("cannot handle signal %d", fault_signals[i]);
    action.sa_sigaction = on_interrupt;
    // A wait of a host function that the deadline hits goes on; `interrupted` is seen after it.
    // And one at a time: the watchdog asks again every tick, and a jump that takes longer than that
    // would be interrupted over and over until the signal stack ends. Landing unblocks it.
    action.sa_flags = (action.sa_flags & ~SA_NODEFER) | SA_RESTART;
    if (sigaction(wasm_interrupt_signal(), &action, NULL) != 0)
        fatal("cannot handle signal %d", wasm_interrupt_signal());
}

void wasm_thread_enter(void) {
    assert(current_thread == NULL && "wasm_thread_enter: already entered");
    (void)pthread_once(&once, install_handlers);
    struct wasm_thread *thread = xcalloc(1, sizeof *thread);
    clockid_t clock;
    thread->thread = (unsigned long)pthread_self();
    if (pthread_getcpuclockid(pthread_self(), &clock) != 0)
        fatal("this system has no CPU clocks of threads");
    thread->cpu_clock = clock;
    thread->signal_stack =
        mmap(NULL, SIGNAL_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (thread->signal_stack == MAP_FAILED)
        fatal("no memory for a signal stack");
    stack_t stack = {.ss_sp = thread->signal_stack, .ss_size = SIGNAL_STACK_BYTES};
    if (sigaltstack(&stack, NULL) != 0)
        fatal("cannot set a signal stack");
    current_thread = thread;
    unblock_signals();
    wasm_watchdog_add(thread);
}

void wasm_thread_leave(void) {
    struct wasm_thread *thread = current_thread;
    assert(thread != NULL);
    assert(atomic_load_explicit(&thread->context, memory_order_relaxed) == NULL);
    wasm_watchdog_remove(thread);
    current_thread = NULL;
    stack_t stack = {.ss_flags = SS_DISABLE};
    (void)sigaltstack(&stack, NULL);
    (void)munmap(thread->signal_stack, SIGNAL_STACK_BYTES);
    free(thread);
}

// ---- calls from generated code ---------------------------------------------------------------

NO_RETURN static void api_trap(int code) {
    static const enum wasm_trap traps[] = {
        [WASM_RT_TRAP_OOB_MEMORY] = WASM_TRAP_MEMORY_BOUNDS,
        [WASM_RT_TRAP_OOB_TABLE] = WASM_TRAP_TABLE_BOUNDS,
        [WASM_RT_TRAP_INT_OVERFLOW] = WASM_TRAP_INTEGER_OVERFLOW,
        [WASM_RT_TRAP_DIV_BY_ZERO] = WASM_TRAP_DIVIDE_BY_ZERO,
        [WASM_RT_TRAP_INVALID_CONVERSION] = WASM_TRAP_INVALID_CONVERSION,
        [WASM_RT_TRAP_UNREACHABLE] = WASM_TRAP_UNREACHABLE,
        [WASM_RT_TRAP_CALL_INDIRECT] = WASM_TRAP_INDIRECT_CALL,
        [WASM_RT_TRAP_EXHAUSTION] = WASM_TRAP_STACK_OVERFLOW,
    };
    assert(code > 0 && (size_t)code < COUNT_OF(traps));
    wasm_trap_jump(wasm_context_current(), traps[code], false);
}

static uint32_t api_register_func_type(uint32_t param_count, uint32_t result_count, ...) {
    struct buf bytes = {0};
    va_list arguments;
    va_start(arguments, result_count);
    (void)buf_reserve(&bytes, 1);  // an address also without types
    for (uint32_t i = 0; i < param_count + result_count; i++)
        buf_append_byte(&bytes, (uint8_t)va_arg(arguments, int));
    va_end(arguments);
    struct wasm_func_type type = {param_count, result_count, bytes.data, bytes.data + param_count};
    uint32_t id = wasm_type_id(&type);
    buf_release(&bytes);
    return id;
}

// The instance being made on this thread: who pays for what it defines.
static _Thread_local struct wasm_instance *instantiating;

void wasm_instantiating(struct wasm_instance *instance) {
    instantiating = instance;
}

NO_RETURN static void no_room(struct wasm_context *context) {
    instantiating->over_budget = true;
    wasm_trap_jump(context, WASM_TRAP_UNREACHABLE, false);
}

// Leaves guest code for code of ours that must not meet the guard page: traps first if less than
// HOST_STACK_BYTES of stack remain.
static void leave_with_stack(struct wasm_context *context) {
    uintptr_t here = (uintptr_t)STACK_POINTER();
    if (UNLIKELY(here - (uintptr_t)context->stack_low < HOST_STACK_BYTES))
        wasm_trap_jump(context, WASM_TRAP_STACK_OVERFLOW, false);
    wasm_guest_leave(context);
}

static void api_allocate_memory(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages) {
    struct wasm_context *context = wasm_context_current();
    leave_with_stack(context);
    if (!wasm_memory_allocate(memory, pages, max_pages, instantiating->budget))
        no_room(context);
    memory->owner = instantiating;
    wasm_guest_enter(context);
}

static uint32_t api_grow_memory(wasm_rt_memory_t *memory, uint32_t pages) {
    struct wasm_context *context = wasm_context_current();
    leave_with_stack(context);
    uint32_t old = wasm_memory_grow(memory, pages);
    wasm_guest_enter(context);
    return old;
}

static void allocate_table(void *table, uint32_t size, uint32_t max, enum wasm_type element) {
    struct wasm_context *context = wasm_context_current();
    leave_with_stack(context);
    if (!wasm_table_allocate(table, size, max, element, instantiating->budget))
        no_room(context);
    ((struct wasm_table *)table)->owner = instantiating;
    wasm_guest_enter(context);
}

static void api_allocate_funcref_table(wasm_rt_funcref_table_t *table, uint32_t size,
                                       uint32_t max) {
    allocate_table(table, size, max, WASM_FUNCREF);
}

static void api_allocate_externref_table(wasm_rt_externref_table_t *table, uint32_t size,
                                         uint32_t max) {
    allocate_table(table, size, max, WASM_EXTERNREF);
}

static uint32_t grow_table(void *table, uint32_t more) {
    struct wasm_context *context = wasm_context_current();
    leave_with_stack(context);
    uint32_t old = wasm_table_grow(table, more);
    wasm_guest_enter(context);
    return old;
}

static uint32_t api_grow_funcref_table(wasm_rt_funcref_table_t *table, uint32_t more,
                                       wasm_rt_funcref_t value) {
    uint32_t old = grow_table(table, more);
    for (uint32_t i = 0; old != UINT32_MAX && i < more; i++)
        table->data[old + i] = value;
    return old;
}

static uint32_t api_grow_externref_table(wasm_rt_externref_table_t *table, uint32_t more,
                                         wasm_rt_externref_t value) {
    uint32_t old = grow_table(table, more);
    for (uint32_t i = 0; old != UINT32_MAX && i < more; i++)
        table->data[old + i] = value;
    return old;
}

static void api_free_funcref_table(wasm_rt_funcref_table_t *table) {
    wasm_table_free((void *)table);
}

static void api_free_externref_table(wasm_rt_externref_table_t *table) {
    wasm_table_free((void *)table);
}

static void api_call_host(void *link, uint64_t *slots) {
    struct wasm_context *context = wasm_context_current();
    const struct wasm_func *func = link;
    leave_with_stack(context);
    bool done = func->host(func->data, slots);
    // The host function may have waited, and this fiber may be on another thread now; the context
    // went with it.
    if (UNLIKELY(!done))
        wasm_trap_jump(context, context->trap, false);
    wasm_guest_enter(context);
}

const struct wasm_rt_api *wasm_api(void) {
    static const struct wasm_rt_api api = {
        .trap = api_trap,
        .register_func_type = api_register_func_type,
        .allocate_memory = api_allocate_memory,
        .grow_memory = api_grow_memory,
        .free_memory = wasm_memory_free,
        .allocate_funcref_table = api_allocate_funcref_table,
        .grow_funcref_table = api_grow_funcref_table,
        .free_funcref_table = api_free_funcref_table,
        .allocate_externref_table = api_allocate_externref_table,
        .grow_externref_table = api_grow_externref_table,
        .free_externref_table = api_free_externref_table,
        .call_host = api_call_host,
    };
    return &api;
}
