// SPDX-License-Identifier: Apache-2.0
// Restart policy: what follows when an actor's instance ended by itself, and how several children
// of one parent begin anew together (contract, section 3, Supervision; docs/supervision.md).
//
// Restarts count against a window that slides: of the moments at which its children were restarted
// a parent remembers those of the last window_ms, which are at most max_restarts.
//
// one-for-all and rest-for-one restart a group. It belongs to the parent, under the lock, and is
// driven by its members' own tasks: one at a time is told to go down, the newest child first, and
// says so when its instance and its own children are gone; then, after the back-off, one at a time
// is told to start, the oldest first, and says so when its init has returned. A member that ends
// meanwhile begins the group anew. The parent itself does nothing and may wait for anything, which
// is why a member that is down waits for the one in progress in the wait graph (wait.c).
#include <assert.h>
#include <stdlib.h>

#include "actor/internal.h"

// What rules root actors, whose parent is the node.
static const struct manifest_supervision node_supervision = {.strategy = MANIFEST_ONE_FOR_ONE,
                                                             .max_restarts = 3,
                                                             .window_ms = 5000,
                                                             .backoff_initial_ms = 100,
                                                             .backoff_max_ms = 10000};

static const struct manifest_supervision *rules_of(const struct actor *actor) {
    return actor->parent != NULL ? &actor->parent->program->manifest->supervision
                                 : &node_supervision;
}

// ---- the window
// ----------------------------------------------------------------------------------

// A ring of moments, oldest first.
struct restart_window {
    uint64_t *times_ns;
    uint32_t first, count, capacity;
};

// How many restarts there were in the last `width_ns`; forgets those before.
static uint32_t window_count(struct restart_window *window, uint64_t now_ns, uint64_t width_ns) {
    while (window->count > 0 && now_ns - window->times_ns[window->first] > width_ns) {
        window->first = (window->first + 1) % window->capacity;
        window->count--;
    }
    return window->count;
}

static void window_add(struct restart_window *window, uint64_t now_ns) {
    if (window->count == window->capacity) {
        uint32_t capacity = window->capacity == 0 ? 4 : 2 * window->capacity;
        uint64_t *times_ns = xcalloc(capacity, sizeof *times_ns);
        for (uint32_t i = 0; i < window->count; i++) {
            times_ns[i] = window->times_ns[(window->first + i) % window->capacity];
        }
        free(window->times_ns);
        *window = (struct restart_window){
            .times_ns = times_ns, .count = window->count, .capacity = capacity};
    }
    assert(window->count < window->capacity);
    window->times_ns[(window->first + window->count++) % window->capacity] = now_ns;
}

static void window_free(struct restart_window **window) {
    if (*window != NULL) {
        free((*window)->times_ns);
        free(*window);
        *window = NULL;
    }
}

void restart_forget(struct actor *actor) {
    window_free(&actor->window);
}

void restart_release(struct actor *actor) {
    assert(actor->group == NULL);
    window_free(&actor->window);
    window_free(&actor->own_window);
}

// Whether it has an instance that is to go because of a sibling.
static bool is_to_go(const struct actor *actor) {
    return actor->group_part == RESTART_TO_STOP || actor->group_part == RESTART_GOING;
}

// ---- the decision
// --------------------------------------------------------------------------------

const char *restart_decision_text(enum restart_decision decision) {
    static const char *const words[] = {[RESTART_AGAIN] = "restart",
                                        [RESTART_REST] = "rest",
                                        [RESTART_STOP] = "stop",
                                        [RESTART_ESCALATE] = "escalate"};
    return words[decision];
}

// None for the first restart in a window; then exponential, with up to a quarter of jitter.
static uint64_t back_off_ns(struct actor *actor, const struct manifest_supervision *rules,
                            uint32_t restarts) {
    if (restarts == 0 || rules->backoff_initial_ms == 0) {
        return 0;
    }
    uint64_t delay_ms = rules->backoff_initial_ms;
    for (uint32_t i = 1; i < restarts && delay_ms < rules->backoff_max_ms; i++) {
        delay_ms *= 2;
    }
    delay_ms = delay_ms < rules->backoff_max_ms ? delay_ms : rules->backoff_max_ms;
    uint8_t jitter = 0;
    env_random(actor->system->config.env, &jitter, sizeof jitter);
    return delay_ms * 1000000U + delay_ms * 1000000U / 4 * jitter / 256;
}

enum restart_decision restart_decide(struct actor *actor, enum restart_end end,
                                     uint64_t *delay_ns) {
    const struct manifest_supervision *rules = rules_of(actor);
    enum manifest_restart policy = actor->program->manifest->restart;
    bool is_root = actor->parent == NULL;
    if (policy == MANIFEST_TEMPORARY) {
        return is_root ? RESTART_STOP : RESTART_REST;
    }
    assert(end == RESTART_CRASHED || policy == MANIFEST_PERMANENT);
    (void)end;
    if (is_to_go(actor)) {
        return RESTART_AGAIN;  // with the sibling's restart, which was counted
    }
    struct restart_window **window = is_root ? &actor->own_window : &actor->parent->window;
    if (*window == NULL) {
        *window = xcalloc(1, sizeof **window);
    }
    uint64_t now_ns = env_monotonic_ns(actor->system->config.env);
    uint32_t restarts = window_count(*window, now_ns, rules->window_ms * 1000000U);
    if (restarts >= rules->max_restarts) {
        return is_root ? RESTART_STOP : RESTART_ESCALATE;
    }
    window_add(*window, now_ns);
    *delay_ns = back_off_ns(actor, rules, restarts);
    return RESTART_AGAIN;
}

// ---- the back-off
// --------------------------------------------------------------------------------

static void delay_over(struct sched_timer *timer) {
    struct actor *actor = CONTAINER_OF(timer, struct actor_live, timer)->actor;
    struct actor_system *system = actor->system;
    actor_control(actor, CONTROL_START);
    busy_drop(system, 1);
}

void restart_delay(struct actor *actor, uint64_t delay_ns) {
    if (delay_ns == 0) {
        actor_control(actor, CONTROL_START);
        return;
    }
    busy_add(actor->system);
    actor->has_backoff = true;
    sched_timer_arm(actor->system->config.sched, &lifecycle_live(actor)->timer,
                    env_monotonic_ns(actor->system->config.env) + delay_ns, delay_over);
}

void restart_cancel_delay(struct actor *actor) {
    if (actor->has_backoff) {
        actor->has_backoff = false;
        if (sched_timer_cancel(actor->system->config.sched, &actor->live->timer)) {
            busy_drop(actor->system, 1);
        }
    }
}

// ---- groups
// --------------------------------------------------------------------------------------

struct restart_group {
    struct actor *leader;   // whose end began it, last; NULL: it is no child any more
    struct actor *current;  // told to go down or to start, and has not said that it did
    struct actor *oldest;   // of the members, or older
    struct actor *next;     // where the search for the next member goes on; NULL: at its beginning
    uint32_t to_stop, going, down;  // members by their part
    bool is_due;                    // the back-off is over
    bool is_starting;               // the search goes from old to new
};

static uint32_t *count_of(struct restart_group *group, enum restart_part part) {
    switch (part) {
        case RESTART_TO_STOP:
            return &group->to_stop;
        case RESTART_GOING:
            return &group->going;
        case RESTART_DOWN:
            return &group->down;
        case RESTART_NO_PART:
        case RESTART_STARTING:
            break;
    }
    return NULL;
}

static void set_part(struct actor *actor, enum restart_part part) {
    struct restart_group *group = actor->parent->group;
    uint32_t *from = count_of(group, (enum restart_part)actor->group_part);
    uint32_t *to = count_of(group, part);
    if (from != NULL) {
        (*from)--;
    }
    if (to != NULL) {
        (*to)++;
    }
    actor->group_part = (uint8_t)part;
}

// Whether it begins anew with its sibling. One whose first init has not returned is nobody's child
// yet, and one that crashed and rests does not run.
static bool may_join(const struct actor *actor) {
    enum actor_status status = actor_status(actor);
    return (status == ACTOR_RUNNING || status == ACTOR_RESTARTING) &&
           !atomic_load(&actor->stop_requested) &&
           (actor->group_part == RESTART_NO_PART || actor->group_part == RESTART_STARTING);
}

static void add_members(struct restart_group *group, struct actor *leader, bool is_for_all) {
    bool is_older = group->oldest == NULL;  // than all members so far
    for (struct actor *newer = leader->previous_sibling; newer != NULL;
         newer = newer->previous_sibling) {
        is_older = is_older || newer == group->oldest;
        if (may_join(newer)) {
            set_part(newer, RESTART_TO_STOP);
        }
    }
    struct actor *oldest = leader;
    for (struct actor *older = leader->next_sibling; is_for_all && older != NULL;
         older = older->next_sibling) {
        oldest = older;
        if (may_join(older)) {
            set_part(older, RESTART_TO_STOP);
        }
    }
    if (is_for_all || is_older) {
        group->oldest = oldest;
    }
}

bool restart_with_group(struct actor *actor, bool is_due) {
    struct actor *parent = actor->parent;
    if (parent == NULL || atomic_load(&parent->stop_requested) ||
        parent->program->manifest->supervision.strategy == MANIFEST_ONE_FOR_ONE) {
        return false;
    }
    if (is_to_go(actor)) {
        return true;  // it went by itself, which changes nothing
    }
    if (parent->group == NULL) {
        parent->group = xcalloc(1, sizeof *parent->group);
    }
    struct restart_group *group = parent->group;
    group->leader = actor;
    group->is_due = is_due;
    group->is_starting = false;
    group->next = NULL;
    set_part(actor, RESTART_GOING);
    add_members(group, actor,
                parent->program->manifest->supervision.strategy == MANIFEST_ONE_FOR_ALL);
    // Whoever is told to go down in its turn is not waited for before.
    if (group->current == actor ||
        (group->current != NULL && group->current->group_part == RESTART_TO_STOP)) {
        group->current = NULL;
    }
    restart_group_go_on(parent);
    return true;
}

// The next child of this part, in the direction of the search.
static struct actor *find_next(struct actor *parent, enum restart_part part) {
    struct restart_group *group = parent->group;
    struct actor *at = group->next;
    if (at == NULL) {
        at = group->is_starting ? group->oldest : parent->first_child;
    }
    while (at != NULL && at->group_part != (uint8_t)part) {
        at = group->is_starting ? at->previous_sibling : at->next_sibling;
    }
    group->next = at;
    return at;
}

static void tell_to_go_down(struct restart_group *group, struct actor *member) {
    set_part(member, RESTART_GOING);
    group->current = member;
    actor_request_down(member, CONTROL_DOWN);
}

static void tell_to_start(struct restart_group *group, struct actor *member) {
    set_part(member, RESTART_STARTING);
    group->current = member;
    actor_control(member, CONTROL_START);
    if (member->held != NULL && list_is_empty(&member->starters)) {
        // It waits for its parent to take a notice, which may wait for another member.
        wait_break_cycle(member, member->parent);
    }
}

void restart_group_go_on(struct actor *parent) {
    struct restart_group *group = parent->group;
    if (group == NULL || group->current != NULL) {
        return;
    }
    if (group->to_stop > 0) {
        struct actor *member = find_next(parent, RESTART_TO_STOP);
        assert(member != NULL);
        tell_to_go_down(group, member);
        return;
    }
    if (group->going > 0 || !group->is_due) {
        return;
    }
    if (!group->is_starting) {
        group->is_starting = true;
        group->next = NULL;
    }
    if (group->down > 0) {
        struct actor *member = find_next(parent, RESTART_DOWN);
        assert(member != NULL);
        tell_to_start(group, member);
        return;
    }
    free(group);
    parent->group = NULL;
}

void restart_group_down(struct actor *actor) {
    if (actor->group_part != RESTART_GOING) {
        return;
    }
    struct restart_group *group = actor->parent->group;
    set_part(actor, RESTART_DOWN);
    if (group->current == actor) {
        group->current = NULL;
    }
    restart_group_go_on(actor->parent);
}

void restart_group_leave(struct actor *actor) {
    if (actor->group_part == RESTART_NO_PART) {
        return;
    }
    struct restart_group *group = actor->parent->group;
    set_part(actor, RESTART_NO_PART);
    if (group->current == actor) {
        group->current = NULL;
    }
    if (group->leader == actor && !group->is_starting) {
        group->is_due = true;
    }
    restart_group_go_on(actor->parent);
}

void restart_group_up(struct actor *actor) {
    if (actor->group_part == RESTART_STARTING) {
        restart_group_leave(actor);
    }
}

void restart_group_is_due(struct actor *actor, bool is_asked) {
    struct restart_group *group = actor->parent != NULL ? actor->parent->group : NULL;
    if (group != NULL && actor->group_part != RESTART_NO_PART &&
        (is_asked || group->leader == actor)) {
        group->is_due = true;
        restart_group_go_on(actor->parent);
    }
}

void restart_group_forget(struct actor *actor) {
    struct restart_group *group = actor->parent != NULL ? actor->parent->group : NULL;
    if (group == NULL) {
        return;
    }
    if (actor->group_part != RESTART_NO_PART) {
        set_part(actor, RESTART_NO_PART);
    }
    if (group->leader == actor) {
        group->leader = NULL;
        group->is_due = true;
    }
    if (group->current == actor) {
        group->current = NULL;
    }
    if (group->oldest == actor) {
        group->oldest = actor->previous_sibling;
    }
    if (group->next == actor) {
        group->next = group->is_starting ? actor->previous_sibling : actor->next_sibling;
    }
}

void restart_group_end(struct actor *parent) {
    if (parent->group == NULL) {
        return;
    }
    for (struct actor *child = parent->first_child; child != NULL; child = child->next_sibling) {
        child->group_part = RESTART_NO_PART;
    }
    free(parent->group);
    parent->group = NULL;
}

struct actor *restart_group_waits_for(const struct actor *actor) {
    if (actor->group_part != RESTART_DOWN) {
        return NULL;
    }
    // One that goes down waits for nobody any more.
    struct actor *current = actor->parent->group->current;
    return current != NULL && current->group_part == RESTART_STARTING ? current : NULL;
}

const char *restart_group_reason(const struct actor *actor, struct bytes **leader) {
    const struct actor *parent = actor->parent;
    const struct restart_group *group = parent != NULL ? parent->group : NULL;
    bool is_known = group != NULL && group->leader != NULL;
    *leader = is_known ? bytes_ref(group->leader->id) : NULL;
    bool is_for_all =
        parent != NULL && parent->program->manifest->supervision.strategy == MANIFEST_ONE_FOR_ALL;
    return is_for_all ? "one-for-all" : "rest-for-one";
}
