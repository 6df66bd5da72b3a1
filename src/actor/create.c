// SPDX-License-Identifier: Apache-2.0
// How an actor comes into being: its place in the tree and in the registry, what it may do, and its
// chain.
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"
#include "actor/recovery.h"
#include "codec/cbor.h"

// The key of a parent authority's map; borrows the pointer.
static struct slice program_key(struct program *const *program) {
    return slice_of(program, sizeof *program);
}

// Lock held. Gives a reference to the authority of actors that run `program` under `parent`.
static struct authority *derive_authority(struct authority *parent, struct program *program,
                                          const struct manifest *parent_manifest) {
    struct authority *known = map_get(&parent->derived, program_key(&program));
    if (known != NULL) {
        known->references++;
        return known;
    }
    struct authority *made = xcalloc(1, sizeof *made);
    arena_init(&made->arena, UINT64_MAX);
    made->references = 1;
    made->program = program_ref(program);
    if (parent_manifest != NULL) {
        manifest_child_bound(parent_manifest, &parent->bound, &made->arena, &made->bound);
    } else {
        made->bound = parent->bound;
    }
    manifest_effective(program->manifest, &made->bound, &made->arena, &made->effective);
    struct buf text = {0};
    permissions_describe(&made->effective, &text);
    sha256(buf_slice(&text), made->hash);
    buf_release(&text);
    // The lists in `bound` may be the parent's.
    made->parent = parent;
    parent->references++;
    bool is_new = map_add(&parent->derived, program_key(&program), made);
    assert(is_new);
    (void)is_new;
    return made;
}

// Lock held. Gives back one reference; an authority that ended is left to the caller.
static struct authority *authority_drop(struct authority *authority) {
    if (--authority->references > 0 || authority->parent == NULL) {
        return NULL;
    }
    (void)map_remove(&authority->parent->derived, program_key(&authority->program));
    return authority;
}

void authority_unref(struct actor_system *system, struct authority *authority) {
    while (authority != NULL) {
        system_lock(system);
        struct authority *ended = authority_drop(authority);
        system_unlock(system);
        authority = ended != NULL ? ended->parent : NULL;
        if (ended != NULL) {
            program_unref(ended->program);
            arena_release(&ended->arena);
            map_release(&ended->derived);
            free(ended);
        }
    }
}

// Lock held. Puts the actor under its parent, or among the roots.
static void tree_add(struct actor *actor, struct actor *parent) {
    struct actor **first = parent != NULL ? &parent->first_child : &actor->system->roots;
    actor->parent = parent;
    actor->next_sibling = *first;
    if (*first != NULL) {
        (*first)->previous_sibling = actor;
    }
    *first = actor;
    if (parent != NULL) {
        parent->child_count++;
    }
}

void tree_remove(struct actor *actor) {
    struct actor *parent = actor->parent;
    struct actor **first = parent != NULL ? &parent->first_child : &actor->system->roots;
    restart_group_forget(actor);
    *(actor->previous_sibling != NULL ? &actor->previous_sibling->next_sibling : first) =
        actor->next_sibling;
    if (actor->next_sibling != NULL) {
        actor->next_sibling->previous_sibling = actor->previous_sibling;
    }
    if (parent != NULL) {
        parent->child_count--;
        restart_group_go_on(parent);
    }
    actor->parent = NULL;
}

static void actor_init(struct actor *actor, struct actor_system *system, struct program *program,
                       struct bytes *state) {
    sched_task_init(&actor->task, system->config.sched, actor_run);
    actor->system = system;
    actor->program = program_ref(program);
    actor->budget.memory_limit_bytes = program->manifest->limits.memory_bytes;
    actor->initial_state = bytes_ref(state);
    actor->state = bytes_ref(state);
    actor->is_first_start = true;
    atomic_init(&actor->references, 2);  // the registry's and the caller's
    atomic_init(&actor->status, ACTOR_STARTING);
}

// Finds or begins the chain of the chosen id.
static enum status open_chain(struct actor *actor, const char *id, struct error *error) {
    if (actor->system->config.log == NULL) {
        actor->head.id = actor_id(actor);
        return OK;
    }
    bool found = false;
    uint8_t nonce[CHAIN_NONCE_BYTES];
    enum status status =
        chain_head_open(actor->system->config.log, id, &actor->head, nonce, &found, error);
    actor->is_resumed = found && actor->head.next_seq > 0;
    return status;
}

// Whether event 0, which `data` is of, names `parent` (NULL: the node) as the parent.
static bool names_parent(struct slice data, const struct actor *parent) {
    struct cbor_reader reader = cbor_reader_of(data);
    uint64_t pairs = 0;
    if (cbor_read_map(&reader, &pairs, NULL) != OK) {
        return false;
    }
    for (uint64_t i = 0; i < pairs; i++) {
        uint64_t key = 0;
        struct slice id;
        if (cbor_read_uint(&reader, &key, NULL) != OK) {
            return false;
        }
        if (key == 2) {
            return cbor_read_text(&reader, &id, NULL) == OK && parent != NULL &&
                   slice_equal(id, bytes_slice(parent->id));
        }
        if (cbor_skip(&reader, NULL) != OK) {
            return false;
        }
    }
    return false;
}

// An actor that spawns may go on with the chain of a former child of its own, and of nobody else:
// with the id would come the right to read the history.
static enum status check_former_child(struct actor *actor, const struct actor *parent,
                                      struct error *error) {
    struct chain_reader *reader = NULL;
    enum status status =
        chain_reader_open(actor->system->config.log, actor_id(actor), 0, &reader, error);
    if (status != OK) {
        return status;
    }
    struct chain_event event;
    bool more = false;
    status = chain_reader_next(reader, &event, &more, error);
    if (status == OK && (!more || !names_parent(event.data, parent))) {
        status = error_set(error, ERR_EXISTS, "the id %s belongs to another actor's history",
                           actor_id(actor));
    }
    chain_reader_close(reader);
    return status;
}

// An actor that others may have found already, but that never lived.
static void unregister(struct actor *actor) {
    struct actor_system *system = actor->system;
    system_lock(system);
    struct actor *parent = actor->parent;
    tree_remove(actor);
    map_remove(&system->actors, bytes_slice(actor->id));
    atomic_store(&actor->status, ACTOR_STOPPED);
    completion_fail_all(&actor->stoppers, OK, NULL);
    completion_fail_all(&actor->room_waiters, ERR_CLOSED, "the actor could not be made");
    bool has_token = atomic_exchange(&actor->control, 0) != 0;
    if (parent != NULL) {
        // It may be waiting for its last child, to stop or to start anew.
        actor_control(parent, CONTROL_CHILD);
    }
    pthread_cond_broadcast(&system->changed);
    system_unlock(system);
    busy_drop(system, has_token ? 1 : 0);
}

enum status actor_create(struct actor_system *system, struct actor *parent, struct program *program,
                         const char *chosen_id, struct bytes *state, struct actor **out,
                         struct error *error) {
    char id[ACTOR_ID_BYTES];
    const char *wanted = chosen_id != NULL ? chosen_id : program->manifest->id;
    if (wanted != NULL) {
        enum status status = manifest_check_id(slice_text(wanted), error);
        if (status != OK) {
            return status;
        }
        if (strcmp(wanted, node_chain_id) == 0) {
            return error_set(error, ERR_INVALID, "the id \"%s\" is reserved for the node", wanted);
        }
        memcpy(id, wanted, strlen(wanted) + 1);
    } else {
        env_uuid(system->config.env, id);
    }
    struct actor *actor = xcalloc(1, sizeof *actor);
    actor_init(actor, system, program, state);
    actor->id = bytes_copy_text(id);
    enum status status = OK;
    system_lock(system);
    if (parent != NULL &&
        (actor_status(parent) == ACTOR_STOPPED || atomic_load(&parent->stop_requested))) {
        status = error_set(error, ERR_STOPPING, "actor is stopping");
    } else if (parent != NULL &&
               parent->child_count >= parent->program->manifest->limits.children) {
        status = error_set(error, ERR_LIMIT, "the actor has %u children already (limits.children)",
                           parent->child_count);
    } else if (map_get(&system->actors, bytes_slice(actor->id)) != NULL) {
        status = error_set(error, ERR_EXISTS, "an actor with the id %s is running already", id);
    } else {
        bool added = map_add(&system->actors, bytes_slice(actor->id), actor);
        assert(added);
        (void)added;
        tree_add(actor, parent);
        actor->authority =
            derive_authority(parent != NULL ? parent->authority : &system->node, program,
                             parent != NULL ? parent->program->manifest : NULL);
    }
    system_unlock(system);
    if (status == OK) {
        status = open_chain(actor, id, error);
        if (status == OK && actor->is_resumed && parent != NULL) {
            status = check_former_child(actor, parent, error);
        }
        if (status != OK) {
            unregister(actor);
        }
    }
    if (status != OK) {
        atomic_store(&actor->status, ACTOR_STOPPED);
        mailbox_drain(actor, "the actor could not be made");
        actor_unref(actor);  // the registry's
        actor_unref(actor);
        return status;
    }
    // Release: whoever sees it sees the chain's head too.
    atomic_store_explicit(&actor->is_made, true, memory_order_release);
    *out = actor;
    return OK;
}
