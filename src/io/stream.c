// SPDX-License-Identifier: Apache-2.0
// See stream.h. Under TLS, what the socket brings goes into OpenSSL's memory (`in`), what OpenSSL
// wants to send is taken from its memory (`out`).
//
// Output: first what waits from earlier, then the new. Parts that the socket does not take at once
// become chunks of the queue. One uv_write is under way at a time: without TLS of the first chunks
// themselves, with TLS of records made of them, so that only so much is encrypted beforehand.
#include "io/stream.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

enum {
    PARTS_MOST = 8,                 // of one io_stream_write
    CHUNKS_AT_ONCE = 16,            // in one uv_write
    RECORD_BYTES = 16 * 1024,       // of TLS, at most
    RECORDS_MOST_BYTES = 64 * 1024  // encrypted ahead of the socket
};

struct chunk {
    struct chunk *next;
    struct bytes *content;
    size_t offset;  // what went out already
};

struct io_stream {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct io_loop *loop;
    const struct io_stream_handler *handler;
    void *context;
    struct io_tls *tls;  // NULL: none
    SSL *ssl;
    BIO *in, *out;       // belong to ssl
    struct buf records;  // being written
    struct chunk *first, **end;
    uint64_t queued, written;
    bool is_reading;  // libuv reads
    bool is_paused;   // the owner wants nothing
    bool is_decrypting;
    bool is_writing;  // a uv_write is under way, of so many bytes:
    size_t in_flight;
    bool has_waited;    // something was queued since the last `drained`
    bool is_finished;   // by the owner
    bool has_notified;  // OpenSSL has told the peer that it was
    bool is_shut;       // uv_shutdown was called
    bool has_ended;     // nothing more comes; `ended` was called
    bool is_broken;     // writing makes no sense
    bool is_closing;
};

// ---- certificates
// --------------------------------------------------------------------------------

struct io_tls {
    _Atomic uint32_t references;
    SSL_CTX *context;
};

static int no_passphrase(char *buffer, int size, int is_writing, void *argument) {
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)argument;
    return -1;
}

static enum status use_certificates(SSL_CTX *context, BIO *file, struct error *error) {
    X509 *own = PEM_read_bio_X509(file, NULL, no_passphrase, NULL);
    if (own == NULL || SSL_CTX_use_certificate(context, own) != 1) {
        X509_free(own);
        return error_set(error, ERR_INVALID,
                         "the certificate is not in PEM form, or of a kind "
                         "that cannot be used");
    }
    X509_free(own);
    X509 *next;
    while ((next = PEM_read_bio_X509(file, NULL, no_passphrase, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(context, next) != 1) {
            X509_free(next);
            return error_set(error, ERR_INVALID, "the certificate's chain cannot be used");
        }
    }
    return OK;
}

static enum status use_key(SSL_CTX *context, BIO *file, struct error *error) {
    EVP_PKEY *key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, NULL);
    if (key == NULL) {
        return error_set(error, ERR_INVALID,
                         "the private key is not in PEM form, or has a passphrase, which nobody "
                         "could give");
    }
    enum status status = OK;
    if (SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1) {
        status = error_set(error, ERR_INVALID,
                           "the private key does not belong to the "
                           "certificate");
    }
    EVP_PKEY_free(key);
    return status;
}

// Only HTTP/1.1 is spoken here; a client that offers other protocols alone is told so.
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *offered, unsigned int offered_size,
                           void *argument) {
    (void)ssl;
    (void)argument;
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    int found =
        SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, offered, offered_size);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

enum status io_tls_new(struct slice certificate, struct slice key, struct io_tls **out,
                       struct error *error) {
    if (certificate.size > INT32_MAX || key.size > INT32_MAX) {
        return error_set(error, ERR_LIMIT, "the certificate or the key is too large");
    }
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *certificate_file = BIO_new_mem_buf(certificate.data, (int)certificate.size);
    BIO *key_file = BIO_new_mem_buf(key.data, (int)key.size);
    if (context == NULL || certificate_file == NULL || key_file == NULL) {
        fatal("OpenSSL has no memory for a TLS context");
    }
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(
        context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    // Sessions are kept by the clients, in tickets.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    enum status status = use_certificates(context, certificate_file, error);
    if (status == OK) {
        status = use_key(context, key_file, error);
    }
    BIO_free(certificate_file);
    BIO_free(key_file);
    ERR_clear_error();
    if (status != OK) {
        SSL_CTX_free(context);
        return status;
    }
    struct io_tls *tls = xcalloc(1, sizeof *tls);
    atomic_init(&tls->references, 1);
    tls->context = context;
    *out = tls;
    return OK;
}

struct io_tls *io_tls_ref(struct io_tls *tls) {
    if (tls != NULL) {
        atomic_fetch_add_explicit(&tls->references, 1, memory_order_relaxed);
    }
    return tls;
}

void io_tls_unref(struct io_tls *tls) {
    // Release and acquire: whoever frees comes after all other uses.
    if (tls != NULL && atomic_fetch_sub_explicit(&tls->references, 1, memory_order_acq_rel) == 1) {
        SSL_CTX_free(tls->context);
        free(tls);
    }
}

// ---- ending
// --------------------------------------------------------------------------------------

static void stop_reading(struct io_stream *stream) {
    if (stream->is_reading) {
        uv_read_stop((uv_stream_t *)&stream->tcp);
        stream->is_reading = false;
    }
}

static void drop_queue(struct io_stream *stream) {
    while (stream->first != NULL) {
        struct chunk *next = stream->first->next;
        bytes_unref(stream->first->content);
        free(stream->first);
        stream->first = next;
    }
    stream->end = &stream->first;
    stream->queued = 0;
}

static void tell_end(struct io_stream *stream, bool is_clean) {
    bool is_new = !stream->has_ended || (!is_clean && !stream->is_broken);
    stream->is_broken |= !is_clean;
    if (is_new && !stream->is_closing) {
        stream->has_ended = true;
        stop_reading(stream);
        stream->handler->ended(stream->context, is_clean);
    }
}

static void after_close(uv_handle_t *handle) {
    struct io_stream *stream = handle->data;
    const struct io_stream_handler *handler = stream->handler;
    void *context = stream->context;
    drop_queue(stream);
    SSL_free(stream->ssl);
    io_tls_unref(stream->tls);
    buf_release(&stream->records);
    free(stream);
    handler->closed(context);
}

void io_stream_close(struct io_stream *stream) {
    if (!stream->is_closing) {
        stream->is_closing = true;
        uv_close((uv_handle_t *)&stream->tcp, after_close);
    }
}

// ---- the queue
// -----------------------------------------------------------------------------------

static void consume(struct io_stream *stream, size_t size) {
    stream->queued -= size;
    while (size > 0) {
        struct chunk *chunk = stream->first;
        size_t left = chunk->content->size - chunk->offset;
        if (size < left) {
            chunk->offset += size;
            return;
        }
        size -= left;
        stream->first = chunk->next;
        if (stream->first == NULL) {
            stream->end = &stream->first;
        }
        bytes_unref(chunk->content);
        free(chunk);
    }
}

// Takes `content`, which is longer than `offset`.
static void enqueue(struct io_stream *stream, struct bytes *content, size_t offset) {
    struct chunk *chunk = xmalloc(sizeof *chunk);
    *chunk = (struct chunk){.content = content, .offset = offset};
    *stream->end = chunk;
    stream->end = &chunk->next;
    stream->queued += content->size - offset;
}

// All but the first `skip` bytes.
static void enqueue_parts(struct io_stream *stream, const struct slice *parts, size_t count,
                          struct bytes *body, size_t skip) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += parts[i].size;
    }
    if (total > skip) {
        struct bytes *joined = bytes_new(total);
        size_t at = 0;
        for (size_t i = 0; i < count; i++) {
            if (parts[i].size != 0) {
                memcpy(joined->data + at, parts[i].data, parts[i].size);
                at += parts[i].size;
            }
        }
        enqueue(stream, joined, skip);
        skip = total;
    }
    if (body != NULL && body->size > skip - total) {
        enqueue(stream, bytes_ref(body), skip - total);
    }
}

// ---- writing
// -------------------------------------------------------------------------------------

static void flush(struct io_stream *stream);
static void settle(struct io_stream *stream);

static void after_write(uv_write_t *write, int code) {
    struct io_stream *stream = write->data;
    stream->is_writing = false;
    if (stream->is_closing) {
        return;
    }
    if (code != 0) {
        drop_queue(stream);
        tell_end(stream, false);
        return;
    }
    stream->written += stream->in_flight;
    if (stream->ssl == NULL) {
        consume(stream, stream->in_flight);
    } else {
        buf_clear(&stream->records);
    }
    flush(stream);
    settle(stream);
}

// What the socket takes at once; 0 also when it fails, because a uv_write will say so later.
static size_t try_write(struct io_stream *stream, const uv_buf_t *bufs, unsigned count) {
    int size = uv_try_write((uv_stream_t *)&stream->tcp, bufs, count);
    stream->written += size > 0 ? (uint64_t)size : 0;
    return size > 0 ? (size_t)size : 0;
}

static void begin_write(struct io_stream *stream, const uv_buf_t *bufs, unsigned count,
                        size_t size) {
    stream->write.data = stream;
    stream->in_flight = size;
    int code = uv_write(&stream->write, (uv_stream_t *)&stream->tcp, bufs, count, after_write);
    stream->is_writing = code == 0;
    if (code != 0) {
        // The socket is gone. What reads from it will hear of that.
        stream->is_broken = true;
        drop_queue(stream);
    }
}

static void flush_plain(struct io_stream *stream) {
    while (stream->first != NULL && !stream->is_writing && !stream->is_broken) {
        uv_buf_t bufs[CHUNKS_AT_ONCE];
        unsigned count = 0;
        size_t size = 0;
        for (struct chunk *at = stream->first; at != NULL && count < CHUNKS_AT_ONCE;
             at = at->next) {
            size_t left = at->content->size - at->offset;
            // libuv counts what it writes in an int.
            left = left < (1U << 24) ? left : (1U << 24);
            bufs[count++] = uv_buf_init((char *)at->content->data + at->offset, (unsigned)left);
            size += left;
            if (left < at->content->size - at->offset) {
                break;
            }
        }
        size_t done = try_write(stream, bufs, count);
        if (done > 0) {
            consume(stream, done);
        } else {
            begin_write(stream, bufs, count, size);
        }
    }
}

// Makes one TLS record of what is first in the queue. False: OpenSSL takes nothing now.
static bool encrypt_one(struct io_stream *stream) {
    uint8_t joined[RECORD_BYTES];
    size_t size = 0;
    for (struct chunk *at = stream->first; at != NULL && size < sizeof joined; at = at->next) {
        size_t left = at->content->size - at->offset;
        left = left < sizeof joined - size ? left : sizeof joined - size;
        memcpy(joined + size, at->content->data + at->offset, left);
        size += left;
    }
    int done = SSL_write(stream->ssl, joined, (int)size);
    if (done > 0) {
        consume(stream, (size_t)done);
        return true;
    }
    if (SSL_get_error(stream->ssl, done) != SSL_ERROR_WANT_READ) {
        stream->is_broken = true;
        drop_queue(stream);
    }
    ERR_clear_error();
    return false;
}

// Moves what OpenSSL wants to send to `records`.
static void take_records(struct io_stream *stream) {
    char *data = NULL;
    long size = BIO_get_mem_data(stream->out, &data);
    if (size > 0) {
        buf_append(&stream->records, data, (size_t)size);
        (void)BIO_reset(stream->out);
    }
}

static void flush_tls(struct io_stream *stream) {
    while (!stream->is_writing) {
        while (stream->first != NULL && stream->records.size < RECORDS_MOST_BYTES &&
               encrypt_one(stream)) {
            take_records(stream);
        }
        bool is_all = stream->first == NULL && stream->is_finished && !stream->is_broken;
        if (is_all && !stream->has_notified && SSL_is_init_finished(stream->ssl)) {
            stream->has_notified = true;
            (void)SSL_shutdown(stream->ssl);
            ERR_clear_error();
        }
        take_records(stream);
        if (stream->records.size == 0) {
            return;
        }
        uv_buf_t buf = uv_buf_init((char *)stream->records.data, (unsigned)stream->records.size);
        size_t done = try_write(stream, &buf, 1);
        if (done == stream->records.size) {
            buf_clear(&stream->records);
        } else {
            buf = uv_buf_init(buf.base + done, (unsigned)(stream->records.size - done));
            begin_write(stream, &buf, 1, buf.len);
            if (!stream->is_writing) {
                return;
            }
        }
    }
}

static void after_shutdown(uv_shutdown_t *request, int code) {
    (void)request;
    (void)code;
}

// As much as goes now. No callback of the owner is called.
static void flush(struct io_stream *stream) {
    if (stream->is_closing || stream->is_writing) {
        return;
    }
    if (stream->ssl != NULL) {
        flush_tls(stream);
    } else {
        flush_plain(stream);
    }
    bool is_all = stream->first == NULL && !stream->is_writing;
    if (is_all && stream->is_finished && !stream->is_shut && !stream->is_broken) {
        stream->is_shut = true;
        (void)uv_shutdown(&stream->shutdown, (uv_stream_t *)&stream->tcp, after_shutdown);
    }
}

static void settle(struct io_stream *stream) {
    bool is_all = stream->first == NULL && !stream->is_writing;
    if (is_all && stream->has_waited && !stream->is_closing && !stream->is_broken) {
        stream->has_waited = false;
        stream->handler->drained(stream->context);
    }
}

void io_stream_write(struct io_stream *stream, const struct slice *parts, size_t count,
                     struct bytes *body) {
    assert(count <= PARTS_MOST);
    if (stream->is_closing || stream->is_broken || stream->is_finished) {
        return;
    }
    size_t done = 0;
    if (stream->ssl == NULL && stream->first == NULL && !stream->is_writing) {
        uv_buf_t bufs[PARTS_MOST + 1];
        unsigned used = 0;
        for (size_t i = 0; i < count; i++) {
            if (parts[i].size != 0) {
                bufs[used++] =
                    uv_buf_init((char *)(uintptr_t)parts[i].data, (unsigned)parts[i].size);
            }
        }
        if (body != NULL && body->size != 0) {
            size_t most = body->size < (1U << 24) ? body->size : (1U << 24);
            bufs[used++] = uv_buf_init((char *)body->data, (unsigned)most);
        }
        done = used > 0 ? try_write(stream, bufs, used) : 0;
    }
    enqueue_parts(stream, parts, count, body, done);
    flush(stream);
    stream->has_waited |= stream->first != NULL || stream->is_writing;
}

uint64_t io_stream_queued(const struct io_stream *stream) {
    return stream->queued + (stream->ssl != NULL && stream->is_writing ? stream->in_flight : 0);
}

uint64_t io_stream_written(const struct io_stream *stream) {
    return stream->written;
}

void io_stream_finish(struct io_stream *stream) {
    stream->is_finished = true;
    flush(stream);
}

// ---- reading
// -------------------------------------------------------------------------------------

// Gives the owner what OpenSSL has, as long as it wants it.
static void decrypt(struct io_stream *stream) {
    if (stream->is_decrypting) {
        return;
    }
    stream->is_decrypting = true;
    while (!stream->is_paused && !stream->is_closing && !stream->has_ended) {
        uint8_t plain[RECORD_BYTES];
        int size = SSL_read(stream->ssl, plain, (int)sizeof plain);
        if (size > 0) {
            stream->handler->read(stream->context, slice_of(plain, (size_t)size));
            continue;
        }
        int reason = SSL_get_error(stream->ssl, size);
        ERR_clear_error();
        if (reason == SSL_ERROR_WANT_READ) {
            break;
        }
        // What OpenSSL has to say about it, an alert, goes out first.
        flush(stream);
        tell_end(stream, reason == SSL_ERROR_ZERO_RETURN);
    }
    stream->is_decrypting = false;
    flush(stream);
    settle(stream);
}

static void give_memory(uv_handle_t *handle, size_t suggested, uv_buf_t *out) {
    (void)suggested;
    struct io_stream *stream = handle->data;
    *out = uv_buf_init((char *)io_loop_scratch(stream->loop), IO_LOOP_SCRATCH_BYTES);
}

static void on_read(uv_stream_t *tcp, ssize_t size, const uv_buf_t *buf) {
    struct io_stream *stream = tcp->data;
    if (size < 0) {
        // Under TLS the peer says so before: without that, anybody may have cut the connection.
        tell_end(stream, size == UV_EOF && stream->ssl == NULL);
    } else if (size > 0 && stream->ssl == NULL) {
        stream->handler->read(stream->context, slice_of(buf->base, (size_t)size));
    } else if (size > 0) {
        if (BIO_write(stream->in, buf->base, (int)size) != size) {
            fatal("OpenSSL has no memory for what a client sent");
        }
        decrypt(stream);
    }
}

static void start_reading(struct io_stream *stream) {
    if (!stream->is_reading && !stream->is_paused && !stream->has_ended && !stream->is_closing) {
        stream->is_reading = uv_read_start((uv_stream_t *)&stream->tcp, give_memory, on_read) == 0;
    }
}

void io_stream_pause(struct io_stream *stream) {
    stream->is_paused = true;
    stop_reading(stream);
}

void io_stream_resume(struct io_stream *stream) {
    stream->is_paused = false;
    if (stream->ssl != NULL && SSL_is_init_finished(stream->ssl)) {
        decrypt(stream);
    }
    start_reading(stream);
}

// ---- beginning
// -----------------------------------------------------------------------------------

static void ignore_closed(void *context) {
    (void)context;
}
static const struct io_stream_handler nobody = {.closed = ignore_closed};

static void start_tls(struct io_stream *stream, struct io_tls *tls) {
    stream->tls = io_tls_ref(tls);
    stream->ssl = SSL_new(tls->context);
    stream->in = BIO_new(BIO_s_mem());
    stream->out = BIO_new(BIO_s_mem());
    if (stream->ssl == NULL || stream->in == NULL || stream->out == NULL) {
        fatal("OpenSSL has no memory for a connection");
    }
    // Empty memory means: more may come.
    BIO_set_mem_eof_return(stream->in, -1);
    SSL_set_bio(stream->ssl, stream->in, stream->out);
    SSL_set_accept_state(stream->ssl);
}

struct io_stream *io_stream_accept(struct io_loop *loop, struct uv_stream_s *listener,
                                   struct io_tls *tls, const struct io_stream_handler *handler,
                                   void *context) {
    struct io_stream *stream = xcalloc(1, sizeof *stream);
    stream->loop = loop;
    stream->handler = &nobody;
    stream->end = &stream->first;
    if (uv_tcp_init(io_loop_uv(loop), &stream->tcp) != 0) {
        free(stream);
        return NULL;
    }
    stream->tcp.data = stream;
    if (uv_accept(listener, (uv_stream_t *)&stream->tcp) != 0) {
        io_stream_close(stream);
        return NULL;
    }
    (void)uv_tcp_nodelay(&stream->tcp, 1);
    if (tls != NULL) {
        start_tls(stream, tls);
    }
    start_reading(stream);
    if (!stream->is_reading) {
        io_stream_close(stream);
        return NULL;
    }
    stream->handler = handler;
    stream->context = context;
    return stream;
}

void io_stream_hand_over(struct io_stream *stream, const struct io_stream_handler *handler,
                         void *context) {
    stream->handler = handler;
    stream->context = context;
}
