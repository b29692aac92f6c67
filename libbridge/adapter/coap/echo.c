/* Is it there, where it says it is?  The Echo option (RFC 9175 2): 4.01 with a value that comes back with the question asked again.
 *
 *      unverified --its Echo comes back, or an acknowledgement of ours--> verified, for ECHO_FRESH
 *
 * limits.echo 1: before somebody unverified is sent much more than was received from it (2.4), or is made an observer.
 * limits.echo 2: besides, before anything is changed: the question was made just now (2.3). */
#include "adapter/coap/inside.h"
#include "base/hash.h"

enum { ECHO_FRESH = 300 * 1000, ECHO_SMALL = 136, ECHO_FACTOR = 3 };

static void echo_make(const coap_peer *p, uint32_t second, uint8_t *out)
{
    const coap_engine *e = p->engine;
    uint64_t proof = hash_bytes(&p->address, sizeof p->address, hash_mix(e->echo_secret[0] ^ second, e->echo_secret[1] | 1));

    proof = hash_bytes(&proof, sizeof proof, e->echo_secret[1]);
    memcpy(out, &second, 4);
    memcpy(out + 4, &proof, 8);
}

static bool echo_is_ours(const coap_peer *p, const coap_option *echo)
{
    uint8_t wanted[ECHO_LEN], wrong = 0;
    uint32_t second, now = (uint32_t)(p->engine->now / 1000);

    if (echo->len != ECHO_LEN) return false;
    memcpy(&second, echo->p, 4);
    if (now - second > ECHO_FRESH / 1000) return false;
    echo_make(p, second, wanted);
    for (int i = 0; i < ECHO_LEN; i++) wrong |= wanted[i] ^ echo->p[i];
    return !wrong;
}

void echo_verified(coap_peer *p) { p->verified = p->engine->now + ECHO_FRESH; }

static bool is_verified(const coap_peer *p) { return p->link || p->stream || p->verified > p->engine->now; }

coap_reply echo_challenge(const coap_request *r, echo_room *room)
{
    static const char why[] = "again, with Echo";

    echo_make(r->peer, (uint32_t)(r->engine->now / 1000), room->value);
    room->option = (coap_option){COAP_ECHO, ECHO_LEN, room->value};
    return (coap_reply){.code = COAP_UNAUTHORIZED, .extra = &room->option, .extra_count = 1, .data = why, .len = sizeof why - 1};
}

bool echo_take(coap_request *r)
{
    const coap_meta *m = r->meta;
    unsigned mode = r->engine->limits.echo;
    echo_room room;
    coap_reply challenge;
    bool changes = r->code != COAP_GET && r->code != COAP_FETCH;

    if (!mode) return true;
    if (m->has & COAP_HAS_ECHO && echo_is_ours(r->peer, &m->echo)) echo_verified(r->peer);
    if (r->multicast || is_verified(r->peer)) return true;
    if (!(mode > 1 && changes) && !(m->has & COAP_HAS_OBSERVE && m->observe == 0)) return true;
    challenge = echo_challenge(r, &room);
    coap_respond(r, &challenge);
    return false;
}

bool echo_may_answer(const coap_request *r, size_t len)
{
    size_t most = ECHO_FACTOR * (size_t)r->wire_len;

    return !r->engine->limits.echo || r->multicast || is_verified(r->peer) || len <= (most > ECHO_SMALL ? most : ECHO_SMALL);
}
