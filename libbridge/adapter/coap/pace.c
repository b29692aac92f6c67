/* When what we ask is sent again: by what is known of the way there and back (RFC 7252 4.7 lets us do better than 4.2 where we know more;
 * the estimators, their weights, the back-off and the aging are CoCoA's, draft-ietf-core-cocoa-03).
 *
 *      strong   what was acknowledged without being sent again: certain        counts half
 *      weak     what was sent again up to twice, from its first time on        counts a quarter
 *
 * Never sooner than after a second (RFC 8085 3.1.1), and nobody is given up sooner than by RFC 7252 4.8.2: what is quick to be sent again
 * waits the longer for its last chance. */
#include "adapter/coap/inside.h"

enum { RTO_LEAST = 1000, RTO_SLOW = 3000, RTO_MOST = 32000, WEAK_TRIES = 2, AGE_SLOW = 4 /* times itself, without news */ };

static unsigned clamp(const coap_engine *e, unsigned ms)
{
    unsigned least = e->limits.ack_timeout < RTO_LEAST ? e->limits.ack_timeout : RTO_LEAST;

    return ms < least ? least : ms > RTO_MOST ? RTO_MOST : ms;
}

unsigned pace_first(coap_peer *p)
{
    coap_engine *e = p->engine;
    pace_known *k = &p->pace;

    if (!k->rto) return e->limits.ack_timeout;
    if (k->rto > RTO_SLOW && e->now - k->since > (int64_t)AGE_SLOW * k->rto) { /* it may be better by now */
        k->rto = (uint16_t)clamp(e, 1000 + k->rto / 2);
        k->since = e->now;
    }
    return k->rto;
}

unsigned pace_next(const coap_engine *e, const coap_sent *s)
{
    int64_t all = (int64_t)e->limits.ack_timeout * ((1 << (e->limits.max_retransmit + 1)) - 1), left = s->began + all - e->now;
    unsigned next = s->rto > RTO_SLOW ? s->wait + s->wait / 2 : s->wait * 2;

    return s->asks && s->tries == e->limits.max_retransmit && left > next ? (unsigned)left : next;
}

static unsigned estimate(pace_estimate *x, unsigned took, unsigned spread)
{
    if (!x->heard) {
        *x = (pace_estimate){.mean = took, .deviation = took / 2, .heard = true};
    } else { /* RFC 6298 2.3 */
        unsigned off = x->mean > took ? x->mean - took : took - x->mean;

        x->deviation = (3 * x->deviation + off) / 4;
        x->mean = (7 * x->mean + took) / 8;
    }
    return x->mean + spread * x->deviation;
}

void pace_heard(coap_sent *s)
{
    coap_engine *e = s->peer->engine;
    pace_known *k = &s->peer->pace;
    int64_t took = e->now - s->began;
    unsigned was = k->rto ? k->rto : e->limits.ack_timeout, now;

    if (!s->asks || s->tries > WEAK_TRIES) return;
    s->asks = false; /* it is counted once */
    if (took > RTO_MOST) took = RTO_MOST;
    now = s->tries ? clamp(e, estimate(&k->weak, (unsigned)took, 1)) : clamp(e, estimate(&k->strong, (unsigned)took, 4));
    k->rto = (uint16_t)clamp(e, s->tries ? (3 * was + now) / 4 : (was + now) / 2);
    k->since = e->now;
}
