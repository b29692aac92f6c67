/* The table of literal children: open addressing, linear probing, keyed by (parent, segment).
 *
 * Slots carry the whole hash, so a probe that fails touches no node, and growing touches none either.  A slot's place
 * is the top bits of the hash.  Growing is spread over the following changes: lookups that miss in `slots` look in
 * `old`, from which each change moves MOVE_AT_ONCE slots: many, because a trie that stops growing in the middle looks in both
 * for ever, and cheaply, because the order stays the same in a table of another size. */
#include "core/trie.h"

enum { FIRST_BITS = 4, MOVE_AT_ONCE = 128 };

static void put(trie *t, trie_slot slot)
{
    uint32_t mask = (1u << t->bits) - 1, i = slot.hash >> (32 - t->bits);

    while (t->slots[i].node)
        i = (i + 1) & mask;
    t->slots[i] = slot;
}

static void move_some(trie *t)
{
    uint32_t room;

    if (!t->old) return;
    room = 1u << t->old_bits;
    for (int i = 0; i < MOVE_AT_ONCE && t->moved < room; i++, t->moved++) {
        trie_slot *slot = &t->old[t->moved];

        if (slot->node && slot->node != TRIE_GONE) {
            put(t, *slot);
            slot->node = TRIE_GONE;
        }
    }
    if (t->moved < room) return;
    mem_free(t->mem, t->old);
    t->old = NULL;
}

static int resize(trie *t, uint32_t bits)
{
    trie_slot *slots = bits < 32 ? mem_new_array(t->mem, trie_slot, (size_t)1 << bits) : NULL;

    if (!slots) return BRIDGE_NOMEM;
    t->old = t->slots;
    t->old_bits = t->bits;
    t->moved = 0;
    t->slots = slots;
    t->bits = bits;
    return 0;
}

int trie_index_room(trie *t)
{
    size_t room = t->slots ? (size_t)1 << t->bits : 0;

    move_some(t);
    if (t->indexed < room / 4 * 3) return 0; /* above that, misses take long walks */
    while (t->old)
        move_some(t); /* only after a shrink in vain */
    return resize(t, t->slots ? t->bits + 1 : FIRST_BITS);
}

void trie_index_put(trie *t, uint32_t node)
{
    put(t, (trie_slot){trie_at(t, node)->hash, node});
    t->indexed++;
}

/* Closes the hole at i by what would rather be there, so that there are no tombstones (Knuth 6.4 R). */
static void close_hole(trie *t, uint32_t i)
{
    uint32_t mask = (1u << t->bits) - 1;

    for (uint32_t j = (i + 1) & mask; t->slots[j].node; j = (j + 1) & mask) {
        uint32_t home = t->slots[j].hash >> (32 - t->bits);

        if (((j - home) & mask) < ((j - i) & mask)) continue;
        t->slots[i] = t->slots[j];
        i = j;
    }
    t->slots[i].node = 0;
}

void trie_index_remove(trie *t, uint32_t node)
{
    uint32_t hash = trie_at(t, node)->hash, mask = (1u << t->bits) - 1, i = hash >> (32 - t->bits);

    while (t->slots[i].node && t->slots[i].node != node)
        i = (i + 1) & mask;
    if (t->slots[i].node) {
        close_hole(t, i);
    } else {
        mask = (1u << t->old_bits) - 1;
        for (i = hash >> (32 - t->old_bits); t->old[i].node != node;)
            i = (i + 1) & mask;
        t->old[i].node = TRIE_GONE;
    }
    t->indexed--;
    move_some(t);
    if (!t->old && t->bits > FIRST_BITS + 4 && t->indexed < (1u << t->bits) / 8)
        (void)resize(t, t->bits - 1); /* no memory for a smaller one: the big one does as well */
}

void trie_index_done(trie *t)
{
    mem_free(t->mem, t->slots);
    mem_free(t->mem, t->old);
    t->slots = t->old = NULL;
}
