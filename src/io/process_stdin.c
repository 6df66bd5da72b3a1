// SPDX-License-Identifier: Apache-2.0
// Orders to a process: writing to its standard input and closing that, signals, its end.
#include <stdlib.h>

#include "io/process_internal.h"

static void answer(struct io_process_order *order, enum status status) {
    struct io_process *process = order->process;
    order->status = status;
    order->done(order);
    io_process_unref(process);
}

static enum status refuse_ended(struct io_process_order *order) {
    return error_set(&order->error, ERR_CLOSED, "the program has ended");
}

// ---- standard input
// ------------------------------------------------------------------------------

struct chunk {
    uv_write_t write;
    struct io_process *process;
    size_t size;
    uint8_t data[];
};

static void input_closed(uv_handle_t *handle) {
    struct io_process *process = handle->data;
    process->has_input = false;
    process_handle_closed(handle);
}

void process_close_input(struct io_process *process) {
    if (process->has_input && !uv_is_closing((uv_handle_t *)&process->input)) {
        uv_close((uv_handle_t *)&process->input, input_closed);
    }
}

static void chunk_written(uv_write_t *write, int status) {
    struct chunk *chunk = CONTAINER_OF(write, struct chunk, write);
    struct io_process *process = chunk->process;
    process->input_bytes -= chunk->size;
    free(chunk);
    if (status != 0 || (process->is_input_closing && process->input_bytes == 0)) {
        process_close_input(process);
    }
}

static void queue(struct io_process *process, struct slice data) {
    struct chunk *chunk = xmalloc(sizeof *chunk + data.size);
    chunk->process = process;
    chunk->size = data.size;
    memcpy(chunk->data, data.data, data.size);
    uv_buf_t part = uv_buf_init((char *)chunk->data, (unsigned)data.size);
    process->input_bytes += data.size;
    if (uv_write(&chunk->write, (uv_stream_t *)&process->input, &part, 1, chunk_written) != 0) {
        process->input_bytes -= data.size;
        free(chunk);
        process_close_input(process);
    }
}

static bool is_input_open(const struct io_process *process) {
    return process->has_input && !process->is_input_closing &&
           !uv_is_closing((const uv_handle_t *)&process->input);
}

static enum status write_input(struct io_process *process, struct io_process_order *order) {
    if (!is_input_open(process)) {
        return error_set(&order->error, ERR_CLOSED, "the program's standard input is closed");
    }
    uint64_t left = IO_PROCESS_STDIN_MOST_BYTES - process->input_bytes;
    struct slice data = order->data;
    data.size = data.size < left ? data.size : (size_t)left;
    order->taken = data.size;
    if (process->input_bytes == 0 && data.size > 0) {
        uv_buf_t part = uv_buf_init((char *)(uintptr_t)data.data, (unsigned)data.size);
        int size = uv_try_write((uv_stream_t *)&process->input, &part, 1);
        if (size < 0 && size != UV_EAGAIN) {
            process_close_input(process);
            return error_set(&order->error, ERR_CLOSED,
                             "the program's standard input is closed: %s", uv_strerror(size));
        }
        data =
            slice_of(data.data + (size > 0 ? size : 0), data.size - (size > 0 ? (size_t)size : 0));
    }
    if (data.size > 0) {
        queue(process, data);
    }
    return OK;
}

static enum status close_input(struct io_process *process, struct io_process_order *order) {
    if (!is_input_open(process)) {
        return error_set(&order->error, ERR_CLOSED, "the program's standard input is closed");
    }
    process->is_input_closing = true;
    if (process->input_bytes == 0) {
        process_close_input(process);
    }
    return OK;
}

// ---- signals
// -------------------------------------------------------------------------------------

void process_signal_answered(struct io_process *process, int code) {
    struct io_process_order *order = process->signals;
    if (order == NULL) {
        return;
    }
    process->signals = order->next;
    if (process->signals == NULL) {
        process->signals_end = &process->signals;
    }
    answer(order,
           code == 0 ? OK : error_set_os(&order->error, code, "signal %d", (int)order->signal));
}

void process_orders_fail(struct io_process *process) {
    while (process->signals != NULL) {
        struct io_process_order *order = process->signals;
        process->signals = order->next;
        answer(order, refuse_ended(order));
    }
    process->signals_end = &process->signals;
}

// ---- orders
// --------------------------------------------------------------------------------------

static void run_order(struct io_post *post) {
    struct io_process_order *order = CONTAINER_OF(post, struct io_process_order, post);
    struct io_process *process = order->process;
    enum io_process_state state = io_process_state(process, NULL);
    enum status status = OK;
    if (state >= IO_PROCESS_ENDED) {
        status = refuse_ended(order);
    } else if (order->kind == IO_ORDER_WRITE) {
        status = write_input(process, order);
    } else if (order->kind == IO_ORDER_CLOSE_STDIN) {
        status = close_input(process, order);
    } else if (order->kind == IO_ORDER_KILL) {
        process_command(process, EXEC_KILL, 0);
    } else {
        order->next = NULL;
        *process->signals_end = order;
        process->signals_end = &order->next;
        process_command(process, EXEC_SIGNAL, order->signal);
        return;  // answered by the supervisor's report, or its end
    }
    answer(order, status);
}

void io_process_order(struct io_process *process, struct io_process_order *order) {
    order->process = io_process_ref(process);
    order->post.run = run_order;
    io_loop_post(process->processes->loop, &order->post);
}
