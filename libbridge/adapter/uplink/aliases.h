/* adapter/uplink/aliases.h - topic aliases of one connection [5: 3.3.2.3.4]: a number instead of a topic that was said before. */
#ifndef ADAPTER_UPLINK_ALIASES_H
#define ADAPTER_UPLINK_ALIASES_H
#include "base/list.h"
#include "base/map.h"

enum { ALIAS_TOPIC_MIN = 5 }; /* bytes; what is shorter costs no more than its number */

/* Ours.  The topic that was said longest ago gives its number to a new one, but not if it was among the last of them: when more topics go
 * round than there are numbers, some keep theirs, instead of none. */
typedef struct aliases_out {
    mem *mem;
    map by_topic;
    list used; /* longest ago first */
    uint64_t said;
    unsigned most, count;
} aliases_out;

typedef struct alias_use { /* of one message; number 0: its topic goes as it is */
    unsigned number;
    bool known; /* the broker knows what it stands for */
    struct alias *taken;
} alias_use;

void aliases_out_init(aliases_out *a, mem *m);
void aliases_out_begin(aliases_out *a, unsigned most); /* a new connection: none is known */
void aliases_out_done(aliases_out *a);
/* What to write for this topic; then one of the other two: it was written, or it was not. */
alias_use aliases_out_use(aliases_out *a, text topic);
void aliases_out_said(aliases_out *a, const alias_use *use);
void aliases_out_unsaid(aliases_out *a, const alias_use *use);

/* Theirs. */
typedef struct aliases_in {
    mem *mem;
    char **topics;
    unsigned most;
} aliases_in;

void aliases_in_begin(aliases_in *a, mem *m, unsigned most); /* forgets all */
/* The topic of a packet that says this number: the one it brings, which is remembered, or, when that is empty, the one known.  0 or the reason
 * to break off. */
int aliases_in_resolve(aliases_in *a, unsigned number, text *topic);
#endif
