/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cycle (sync.h).  A new key gets into the file ring only after a store that answers has accepted
 * it, unless none does and keys run out; and nothing removes a key: rings only merge.  So a store that
 * was flushed, rolled back or lies can neither end a key nor bring one back.  stekctl; one thread.
 */
#include "sync.h"

#include <string.h>

#include "stek_admit.h"
#include "stek_audit.h"
#include "stek_error.h"
#include "stek_ring_merge.h"

/* Keys live as long as their makers decided: what a store contains does not depend on a lifetime of its
 * writer.  If it did, hosts with different settings would take turns in writing what the other leaves
 * out. */
static apr_status_t take_in(stek_ring_t **pring, const stek_ring_t *ring, apr_time_t now)
{
    return stek_ring_merge_into(pring, ring, now, 0);
}

apr_interval_time_t sync_lifetime(const sync_rules_t *rules)
{
    return rules->generate ? rules->params.lifetime : 0;
}

/* Keys that begin too late (stek_admit.h): how many were dropped from ring. */
static apr_size_t drop_later(stek_ring_t *ring, const sync_rules_t *rules, apr_time_t now)
{
    return stek_admit_keys(ring, rules->generate ? &rules->params : NULL, now);
}

/* *placks: theirs, without ended keys, lacks something that wanted has.  Later keys than this host takes
 * in do not count: others may see that differently, and hosts must not take turns in writing. */
static apr_status_t lacks(const stek_ring_t *theirs, const stek_ring_t *wanted,
                          const sync_rules_t *rules, apr_time_t now, int *placks)
{
    stek_ring_t *tidy = NULL;
    apr_status_t rv = take_in(&tidy, theirs, now);

    if (rv == APR_SUCCESS) {
        (void)drop_later(tidy, rules, now);
        *placks = !stek_ring_equal(tidy, wanted);
    }
    stek_ring_destroy(tidy);
    return rv;
}

static int may_generate(const stek_ring_t *shared, const sync_view_t *views, int store_n,
                        const sync_rules_t *rules, apr_time_t now)
{
    int i;

    if (!rules->generate) {
        return 0;
    }
    for (i = 0; i < store_n; i++) {
        if (!views[i].distrusted
            && (views[i].answer == SYNC_GOOD || views[i].answer == SYNC_ABSENT)) {
            return 1;
        }
    }
    /* No store decides, so other hosts may not learn of new keys: make them only when needed. */
    return !shared || stek_schedule_covered_until(shared, now) - now < SYNC_ALONE_BELOW;
}

/* Makes wanted from shared.  What ends here by this host's lifetime stays. */
static apr_status_t extend(const sync_rules_t *rules, int generate, apr_time_t now, stek_rng_t *rng,
                           sync_plan_t *plan)
{
    stek_ring_t *none = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (!generate) {
        return plan->shared ? stek_ring_merge(plan->shared, NULL, now, 0, &plan->wanted)
                            : APR_SUCCESS;
    }
    if (!plan->shared) {
        rv = stek_ring_create(0, 0, &none);
    }
    if (rv == APR_SUCCESS) {
        rv = stek_schedule_extend(plan->shared ? plan->shared : none, &rules->params, now, rng,
                                  &plan->wanted, &plan->made);
    }
    if (rv == APR_SUCCESS && plan->shared) {
        rv = take_in(&plan->wanted, plan->shared, now);
    }
    if (rv == APR_SUCCESS) {
        plan->wanted->interval = rules->params.interval;
        plan->wanted->lifetime = rules->params.lifetime;
    }
    stek_ring_destroy(none);
    return rv;
}

/* Takes in what a store has, without what begins after latest.  Only somebody who has the secret can fill a
 * ring with tombstones: what does not fit with them counts as an object that is refused. */
static apr_status_t take_in_view(stek_ring_t **pring, sync_view_t *view, apr_time_t latest,
                                 apr_time_t now)
{
    apr_status_t rv = APR_SUCCESS;

    if (view->answer == SYNC_GOOD) {
        (void)stek_ring_drop_later(view->ring, latest);
        rv = take_in(pring, view->ring, now);
    }
    if (rv == STEK_EFULL) {
        stek_ring_destroy(view->ring);
        view->ring = NULL;
        view->answer = SYNC_REFUSED;
        view->why = rv;
        rv = APR_SUCCESS;
    }
    return rv;
}

/* *pall: what is in the file ring and the stores, without what begins after latest; NULL: nothing. */
static apr_status_t take_in_all(const stek_ring_t *file_ring, sync_view_t *views, int store_n,
                                apr_time_t latest, apr_time_t now, stek_ring_t **pall)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    stek_ring_destroy(*pall);
    *pall = NULL;
    if (file_ring) {
        rv = take_in(pall, file_ring, now);
    }
    if (rv == APR_SUCCESS && *pall) {
        (void)stek_ring_drop_later(*pall, latest);
    }
    for (i = 0; rv == APR_SUCCESS && i < store_n; i++) {
        rv = take_in_view(pall, &views[i], latest, now);
    }
    return rv;
}

/* After what time no host takes in a key that begins, as far as this one can tell. */
static apr_time_t latest_for_all(const stek_ring_t *ring, const sync_rules_t *rules, apr_time_t now)
{
    apr_time_t any = stek_admit_latest(ring, NULL, now);
    apr_time_t own = rules->generate ? stek_admit_latest(ring, &rules->params, now) : any;

    return own > any ? own : any;
}

/* Makes shared.  Keys that no host takes in must not have the room of others: a store that has them, and
 * lacks nothing else, is not written, so they would have it for good.  Which they are only all rings
 * together can tell, because one may fill another's gaps.  A host's own rules come after that: what only
 * some hosts take in has room on all of them, or they would take turns in writing. */
static apr_status_t share(const stek_ring_t *file_ring, sync_view_t *views, int store_n,
                          const sync_rules_t *rules, apr_time_t now, sync_plan_t *plan)
{
    apr_status_t rv = take_in_all(file_ring, views, store_n, APR_INT64_MAX, now, &plan->shared);
    apr_size_t far_n;
    apr_time_t latest;

    if (rv != APR_SUCCESS || !plan->shared) {
        return rv;
    }
    latest = latest_for_all(plan->shared, rules, now);
    far_n = stek_ring_drop_later(plan->shared, latest);
    if (far_n > 0) {
        rv = take_in_all(file_ring, views, store_n, latest, now, &plan->shared);
    }
    if (rv == APR_SUCCESS && plan->shared) {
        plan->left_out_n = far_n + plan->shared->left_out_n + drop_later(plan->shared, rules, now);
        plan->doubled_n = stek_audit_drop_shared(plan->shared);
    }
    return rv;
}

apr_status_t sync_plan(const stek_ring_t *file_ring, sync_view_t *views, int store_n,
                       const sync_rules_t *rules, apr_time_t now, stek_rng_t *rng,
                       sync_plan_t *plan)
{
    apr_status_t rv;
    int i, write_n = 0;

    memset(plan, 0, sizeof(*plan));
    rv = share(file_ring, views, store_n, rules, now, plan);
    if (rv == APR_SUCCESS) {
        rv = extend(rules, may_generate(plan->shared, views, store_n, rules, now), now, rng, plan);
    }
    for (i = 0; rv == APR_SUCCESS && plan->wanted && i < store_n; i++) {
        plan->write[i] = views[i].answer == SYNC_ABSENT || views[i].answer == SYNC_REFUSED
                         || views[i].old_seal;
        if (views[i].answer == SYNC_GOOD && !plan->write[i]) {
            rv = lacks(views[i].ring, plan->wanted, rules, now, &plan->write[i]);
        }
        write_n += plan->write[i];
    }
    if (rv == APR_SUCCESS && plan->wanted && (write_n > 0 || plan->made > 0)) {
        plan->wanted->generation = stek_ring_next_generation(plan->wanted->generation);
        plan->wanted->written_at = stek_ring_room_time(plan->wanted, now);
    }
    if (rv != APR_SUCCESS) {
        sync_plan_release(plan);
    }
    return rv;
}

void sync_plan_release(sync_plan_t *plan)
{
    stek_ring_destroy(plan->shared);
    stek_ring_destroy(plan->wanted);
    plan->shared = NULL;
    plan->wanted = NULL;
}

void sync_views_release(sync_view_t *views, int store_n)
{
    int i;

    for (i = 0; i < store_n; i++) {
        stek_ring_destroy(views[i].ring);
        views[i].ring = NULL;
    }
}

static void look_at(const sync_view_t *views, int store_n, apr_time_t now, sync_result_t *result)
{
    int i;

    result->answered_n = 0;
    result->skew = 0;
    for (i = 0; i < store_n; i++) {
        result->answered_n += views[i].answer == SYNC_GOOD || views[i].answer == SYNC_ABSENT;
        if (views[i].answer == SYNC_GOOD && views[i].ring->written_at - now > result->skew) {
            result->skew = views[i].ring->written_at - now;
        }
    }
}

/* Writes to the stores that lack something.  Once a store that decides says that another host has
 * written, the others get what is shared, but not the new keys: nobody has seen them yet, unless an
 * earlier store took them, and then the next try reads them there.  *pagain: try again. */
static apr_status_t write_all(const sync_port_t *port, const sync_plan_t *plan,
                              const sync_view_t *views, const sync_rules_t *rules, apr_time_t now,
                              sync_result_t *result, int *pagain)
{
    int i, lacks_it = 0, lost = 0;
    apr_status_t rv = APR_SUCCESS;

    result->written_n = 0;
    result->failed_n = 0;
    for (i = 0; rv == APR_SUCCESS && i < port->store_n; i++) {
        const stek_ring_t *ring = lost ? plan->shared : plan->wanted;

        result->overtaken[i] = 0;
        lacks_it = plan->write[i] && ring;
        if (lacks_it && lost && views[i].answer == SYNC_GOOD && !views[i].old_seal) {
            rv = lacks(views[i].ring, ring, rules, now, &lacks_it);
        }
        if (rv == APR_SUCCESS && lacks_it) {
            sync_written_e written = port->write(port->baton, i, ring, now);

            result->overtaken[i] = written == SYNC_CHANGED;
            result->written_n += written == SYNC_WRITTEN;
            result->failed_n += written == SYNC_FAILED;
            lost = lost || (written == SYNC_CHANGED && !views[i].distrusted);
        }
    }
    *pagain = lost;
    return rv;
}

/* What belongs in the file ring after a try, taken out of the plan: without the new keys if another
 * host was first, unless keys run out. */
static stek_ring_t *take_agreed(sync_plan_t *plan, int lost, int last, apr_time_t now)
{
    stek_ring_t **pkeep = &plan->wanted, *kept;

    if (lost && plan->made > 0
        && !(last
             && (!plan->shared
                 || stek_schedule_covered_until(plan->shared, now) - now < SYNC_ALONE_BELOW))) {
        pkeep = &plan->shared;
        plan->made = 0;
    }
    kept = *pkeep;
    *pkeep = NULL;
    return kept;
}

/* Puts what a try came to into the file ring. */
static apr_status_t keep(const sync_port_t *port, const stek_ring_t *agreed, apr_time_t now,
                         apr_interval_time_t lifetime, sync_result_t *result)
{
    if (!agreed) {
        return APR_SUCCESS;
    }
    result->generation = agreed->generation;
    return port->save(port->baton, agreed, now, lifetime, &result->covered_until);
}

/* One try.  *pagain: another host wrote first. */
static apr_status_t attempt(const sync_port_t *port, const sync_rules_t *rules, apr_time_t now,
                            stek_rng_t *rng, int last, sync_view_t *views, sync_result_t *result,
                            int *pagain)
{
    stek_ring_t *file_ring = NULL, *agreed = NULL;
    sync_plan_t plan = {0};
    apr_status_t rv;
    int i;

    memset(views, 0, (apr_size_t)port->store_n * sizeof(*views));
    rv = port->load(port->baton, &file_ring);
    if (rv == APR_SUCCESS) {
        port->read(port->baton, now, views);
        look_at(views, port->store_n, now, result);
        for (i = 0; i < port->store_n; i++) {
            /* The last try is for those that let others write. */
            views[i].distrusted |= last && result->overtaken[i];
        }
        rv = sync_plan(file_ring, views, port->store_n, rules, now, rng, &plan);
    }
    if (rv == APR_SUCCESS) {
        rv = write_all(port, &plan, views, rules, now, result, pagain);
    }
    if (rv == APR_SUCCESS) {
        agreed = take_agreed(&plan, *pagain, last, now);
        result->made = plan.made;
        result->left_out_n = plan.left_out_n;
        result->doubled_n = plan.doubled_n;
        rv = keep(port, agreed, now, sync_lifetime(rules), result);
    }
    stek_ring_destroy(agreed);
    sync_plan_release(&plan);
    sync_views_release(views, port->store_n);
    stek_ring_destroy(file_ring);
    return rv;
}

apr_status_t sync_cycle(const sync_port_t *port, const sync_rules_t *rules, stek_rng_t *rng,
                        sync_view_t *views, sync_result_t *result)
{
    const apr_time_t begun = port->now(port->baton);
    apr_status_t rv = APR_SUCCESS;
    int again = 1, last = 0;

    memset(result, 0, sizeof(*result));
    while (rv == APR_SUCCESS && again && !last) {
        apr_time_t now;

        if (result->tries > 0) {
            port->pause(port->baton, result->tries);
        }
        now = port->now(port->baton);
        last = ++result->tries == SYNC_TRIES || now - begun >= SYNC_TRIES_TIME;
        rv = attempt(port, rules, now, rng, last, views, result, &again);
    }
    result->took = port->now(port->baton) - begun;
    return rv;
}
