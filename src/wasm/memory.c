// SPDX-License-Identifier: Apache-2.0
// Linear memories and tables, paid for by their actor's budget.
//
// Memories are blocks of power-of-two sizes (64 KiB to 4 GiB), cut from arenas of reserved address
// space that live as long as the process. A mapping per memory would meet vm.max_map_count (65,530
// by default) long before 100,000 actors; arenas join into a few mappings. A block given back keeps
// its address and loses its pages (MADV_DONTNEED), so that it reads as zero when taken again.
//
// A few small blocks of each class keep pages: they are put aside as they are, cleared by the
// watchdog a little later, and taken before others. So who makes an instance when one has just
// ended (a restart, a wake-up) waits neither for the kernel nor for page faults.
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "wasm/internal.h"

enum { CLASS_COUNT = 17 };                    // 1, 2, 4 … 65536 pages
static const uint64_t ARENA_BYTES = 1 << 30;  // or one block, if that is larger

// Blocks that keep pages: of a class, up to what size, and with how many pages.
enum { KEPT_BLOCKS_MOST = 16, KEPT_BYTES_MOST = 1 << 20, KEPT_PAGES_MOST = 64 };
enum { PAGE_BYTES = 4096 };

// `lock` guards the rest.
struct size_class {
    pthread_mutex_t lock;
    struct used_block {
        uint8_t *block;
        uint64_t used_bytes;
    } used_blocks[KEPT_BLOCKS_MOST];         // not cleared yet
    uint8_t *warm_blocks[KEPT_BLOCKS_MOST];  // cleared; taken first
    size_t used_count, warm_count;           // together at most KEPT_BLOCKS_MOST, but for a moment
    uint8_t **free_blocks;
    size_t free_count;
    size_t free_capacity;
    uint8_t *arena_next;  // blocks never taken
    uint8_t *arena_end;
};

static struct size_class classes[CLASS_COUNT] = {
    [0 ... CLASS_COUNT - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}};

// Somebody calls wasm_blocks_clear from time to time; and there is a reason to. Relaxed: the
// classes' locks order everything else, and who misses a change sees it the next time.
static _Atomic bool has_clearer, has_used_blocks;

bool wasm_budget_take(struct wasm_budget *budget, uint64_t bytes) {
    // Relaxed: the count guards no other data.
    uint64_t used = atomic_load_explicit(&budget->memory_used_bytes, memory_order_relaxed);
    do {
        if (used > budget->memory_limit_bytes || bytes > budget->memory_limit_bytes - used) {
            atomic_store_explicit(&budget->was_refused, true, memory_order_relaxed);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(&budget->memory_used_bytes, &used, used + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void wasm_budget_give(struct wasm_budget *budget, uint64_t bytes) {
    uint64_t before =
        atomic_fetch_sub_explicit(&budget->memory_used_bytes, bytes, memory_order_relaxed);
    assert(before >= bytes);
}

uint64_t wasm_class_pages(uint32_t class_index) {
    assert(class_index < CLASS_COUNT);
    return UINT64_C(1) << class_index;
}

static uint8_t *map_arena(uint64_t bytes) {
    void *arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (arena == MAP_FAILED)
        return NULL;
    // One touched page must cost one page. Failure (a kernel without huge pages) is fine.
    (void)madvise(arena, bytes, MADV_NOHUGEPAGE);
    return arena;
}

// Under the address sanitizer a gap follows each block, and what lies behind the used part of a
// block (all of it when it is free) is fenced off for the host, as far as FENCE_BYTES: a write of
// ours that misses a guest's memory is found. Generated code has checks of its own.
enum { BLOCK_STRIDE = HAVE_ASAN ? 2 : 1, FENCE_BYTES = 65536 };

static size_t fence_size(uint32_t class_index, uint64_t used_bytes) {
    uint64_t rest = wasm_class_pages(class_index) * WASM_PAGE_BYTES * BLOCK_STRIDE - used_bytes;
    return rest < FENCE_BYTES ? (size_t)rest : FENCE_BYTES;
}

static void put_fence(uint8_t *block, uint32_t class_index, uint64_t used_bytes) {
    ASAN_POISON_MEMORY_REGION(block + used_bytes, fence_size(class_index, used_bytes));
}

static void take_fence(uint8_t *block, uint32_t class_index, uint64_t used_bytes) {
    ASAN_UNPOISON_MEMORY_REGION(block + used_bytes, fence_size(class_index, used_bytes));
}

uint8_t *wasm_block_take(uint32_t pages, uint32_t *class_index) {
    assert(pages > 0 && pages <= 65536);
    uint32_t index = 0;
    while (wasm_class_pages(index) < pages)
        index++;
    struct size_class *class = &classes[index];
    uint64_t block_bytes = wasm_class_pages(index) * WASM_PAGE_BYTES;
    uint8_t *block = NULL;
    pthread_mutex_lock(&class->lock);
    if (class->warm_count > 0) {
        block = class->warm_blocks[--class->warm_count];
    } else if (class->free_count > 0) {
        block = class->free_blocks[--class->free_count];
    } else {
        if (class->arena_next == class->arena_end) {
            uint64_t stride = block_bytes * BLOCK_STRIDE;
            uint64_t bytes = stride > ARENA_BYTES ? stride : ARENA_BYTES;
            class->arena_next = map_arena(bytes);
            class->arena_end = class->arena_next == NULL ? NULL : class->arena_next + bytes;
        }
        block = class->arena_next;
        if (block != NULL)
            class->arena_next += block_bytes * BLOCK_STRIDE;
    }
    pthread_mutex_unlock(&class->lock);
    *class_index = index;
    if (block != NULL)
        take_fence(block, index, 0);
    return block;
}

static void drop_pages(uint8_t *from, uint64_t bytes) {
    // Locked pages cannot be dropped; then they are cleared.
    if (bytes > 0 && madvise(from, bytes, MADV_DONTNEED) != 0)
        memset(from, 0, bytes);
}

// Clears the pages that are there, when they are few, and drops what else there may be: a page that
// was swapped out is not there, but has the old content. False: nothing was done.
static bool clear_pages(uint8_t *block, uint64_t used_bytes) {
    unsigned char is_there[KEPT_BYTES_MOST / PAGE_BYTES] = {0};
    assert(used_bytes <= KEPT_BYTES_MOST);
    if (mincore(block, used_bytes, is_there) != 0)
        return false;
    uint64_t pages = used_bytes / PAGE_BYTES;
    uint64_t count = 0;
    for (uint64_t i = 0; i < pages; i++)
        count += is_there[i] & 1;
    if (count > KEPT_PAGES_MOST)
        return false;
    uint64_t done = 0;  // pages
    for (uint64_t i = 0; i < pages; i++) {
        if ((is_there[i] & 1) != 0) {
            drop_pages(block + done * PAGE_BYTES, (i - done) * PAGE_BYTES);
            memset(block + i * PAGE_BYTES, 0, PAGE_BYTES);
            done = i + 1;
        }
    }
    drop_pages(block + done * PAGE_BYTES, (pages - done) * PAGE_BYTES);
    return true;
}

// With the lock.
static void push_free(struct size_class *class, uint8_t *block) {
    if (class->free_count == class->free_capacity) {
        class->free_capacity = class->free_capacity == 0 ? 64 : class->free_capacity * 2;
        class->free_blocks =
            xrealloc(class->free_blocks, class->free_capacity * sizeof *class->free_blocks);
    }
    class->free_blocks[class->free_count++] = block;
}

// Puts the block aside as it is; false when enough are.
static bool put_aside(struct size_class *class, uint8_t *block, uint64_t used_bytes) {
    if (used_bytes > KEPT_BYTES_MOST || !atomic_load_explicit(&has_clearer, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&class->lock);
    bool has_place = class->used_count + class->warm_count < KEPT_BLOCKS_MOST;
    if (has_place)
        class->used_blocks[class->used_count++] =
            (struct used_block){.block = block, .used_bytes = used_bytes};
    pthread_mutex_unlock(&class->lock);
    if (has_place)
        atomic_store_explicit(&has_used_blocks, true, memory_order_relaxed);
    return has_place;
}

void wasm_block_give(uint8_t *block, uint32_t class_index, uint64_t used_bytes) {
    assert(block != NULL && used_bytes <= wasm_class_pages(class_index) * WASM_PAGE_BYTES);
    struct size_class *class = &classes[class_index];
    take_fence(block, class_index, used_bytes);
    put_fence(block, class_index, 0);
    if (put_aside(class, block, used_bytes))
        return;
    take_fence(block, class_index, 0);
    drop_pages(block, used_bytes);
    put_fence(block, class_index, 0);
    pthread_mutex_lock(&class->lock);
    push_free(class, block);
    pthread_mutex_unlock(&class->lock);
}

// Clears one block that was put aside; false when there is none.
static bool clear_one(uint32_t class_index) {
    struct size_class *class = &classes[class_index];
    pthread_mutex_lock(&class->lock);
    bool is_there = class->used_count > 0;
    struct used_block used = {0};
    if (is_there)
        used = class->used_blocks[--class->used_count];
    pthread_mutex_unlock(&class->lock);
    if (!is_there)
        return false;
    take_fence(used.block, class_index, 0);
    bool is_warm = clear_pages(used.block, used.used_bytes);
    if (!is_warm)
        drop_pages(used.block, used.used_bytes);
    put_fence(used.block, class_index, 0);
    pthread_mutex_lock(&class->lock);
    if (is_warm && class->warm_count < KEPT_BLOCKS_MOST)
        class->warm_blocks[class->warm_count++] = used.block;
    else
        push_free(class, used.block);
    pthread_mutex_unlock(&class->lock);
    return true;
}

bool wasm_blocks_clear(void) {
    if (!atomic_exchange_explicit(&has_used_blocks, false, memory_order_relaxed))
        return false;
    for (uint32_t i = 0; i < CLASS_COUNT; i++)
        while (clear_one(i)) {
        }
    return true;
}

void wasm_blocks_set_clearer(bool is_there) {
    atomic_store_explicit(&has_clearer, is_there, memory_order_relaxed);
    if (!is_there) {
        atomic_store_explicit(&has_used_blocks, true, memory_order_relaxed);
        (void)wasm_blocks_clear();
    }
}

bool wasm_memory_allocate(wasm_rt_memory_t *memory, uint32_t pages, uint32_t max_pages,
                          struct wasm_budget *budget) {
    assert(!memory->allocated);
    uint64_t bytes = (uint64_t)pages * WASM_PAGE_BYTES;
    if (pages > WASM_PAGES_MAX || !wasm_budget_take(budget, bytes))
        return false;
    uint32_t class_index = WASM_NO_CLASS;
    uint8_t *data = pages == 0 ? NULL : wasm_block_take(pages, &class_index);
    if (pages > 0 && data == NULL) {
        wasm_budget_give(budget, bytes);
        return false;
    }
    memory->data = data;
    memory->size = bytes;
    memory->pages = pages;
    memory->max_pages = max_pages < WASM_PAGES_MAX ? max_pages : WASM_PAGES_MAX;
    memory->class_index = class_index;
    memory->budget = budget;
    memory->allocated = true;
    if (data != NULL)
        put_fence(data, class_index, bytes);
    return true;
}

// Makes room for `pages`: within the block, or in a larger one with the content moved.
static bool memory_room(wasm_rt_memory_t *memory, uint32_t pages) {
    if (memory->class_index != WASM_NO_CLASS && pages <= wasm_class_pages(memory->class_index))
        return true;
    uint32_t class_index;
    uint8_t *block = wasm_block_take(pages, &class_index);
    if (block == NULL)
        return false;
    if (memory->class_index != WASM_NO_CLASS) {
        memcpy(block, memory->data, memory->size);
        wasm_block_give(memory->data, memory->class_index, memory->size);
    }
    memory->data = block;
    memory->class_index = class_index;
    return true;
}

uint32_t wasm_memory_grow(wasm_rt_memory_t *memory, uint32_t more) {
    uint32_t old = memory->pages;
    if (more == 0)
        return old;
    if (more > memory->max_pages || old > memory->max_pages - more)
        return UINT32_MAX;
    uint64_t bytes = (uint64_t)more * WASM_PAGE_BYTES;
    if (!wasm_budget_take(memory->budget, bytes))
        return UINT32_MAX;
    if (!memory_room(memory, old + more)) {
        wasm_budget_give(memory->budget, bytes);
        return UINT32_MAX;
    }
    take_fence(memory->data, memory->class_index, memory->size);
    memory->pages = old + more;
    memory->size += bytes;
    put_fence(memory->data, memory->class_index, memory->size);
    return old;
}

void wasm_memory_free(wasm_rt_memory_t *memory) {
    if (!memory->allocated)
        return;
    if (memory->class_index != WASM_NO_CLASS)
        wasm_block_give(memory->data, memory->class_index, memory->size);
    wasm_budget_give(memory->budget, memory->size);
    *memory = (wasm_rt_memory_t){0};
}

struct wasm_memory_view wasm_memory_view(const struct wasm_memory *memory) {
    return (struct wasm_memory_view){.data = memory->data, .size = memory->size};
}

static uint64_t element_bytes(const struct wasm_table *table) {
    return table->element_type == WASM_FUNCREF ? sizeof(wasm_rt_funcref_t)
                                               : sizeof(wasm_rt_externref_t);
}

bool wasm_table_allocate(struct wasm_table *table, uint32_t size, uint32_t max_size,
                         enum wasm_type element, struct wasm_budget *budget) {
    assert(table->budget == NULL);
    table->element_type = element;
    if (!wasm_budget_take(budget, size * element_bytes(table)))
        return false;
    table->budget = budget;
    table->data = size == 0 ? NULL : calloc(size, element_bytes(table));
    if (size > 0 && table->data == NULL) {
        wasm_budget_give(budget, size * element_bytes(table));
        table->budget = NULL;
        return false;
    }
    table->size = table->capacity = size;
    table->max_size = max_size;
    return true;
}

uint32_t wasm_table_grow(struct wasm_table *table, uint32_t more) {
    uint32_t old = table->size;
    if (more > table->max_size || old > table->max_size - more || old + more == UINT32_MAX)
        return UINT32_MAX;
    uint64_t bytes = more * element_bytes(table);
    if (!wasm_budget_take(table->budget, bytes))
        return UINT32_MAX;
    if (old + more > table->capacity) {
        uint64_t capacity = (uint64_t)old + more;
        void *data = realloc(table->data, capacity * element_bytes(table));
        if (data == NULL) {
            wasm_budget_give(table->budget, bytes);
            return UINT32_MAX;
        }
        table->data = data;
        table->capacity = (uint32_t)capacity;
    }
    table->size = old + more;
    return old;
}

void wasm_table_free(struct wasm_table *table) {
    if (table->budget == NULL)
        return;
    free(table->data);
    wasm_budget_give(table->budget, table->size * element_bytes(table));
    *table = (struct wasm_table){0};
}
