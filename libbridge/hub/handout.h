/* hub/handout.h - a message for whoever knows its name: the package of an update, at a URL that only one device was told.
 *
 * The name is the permission; no login and no rule is asked.  So it is one that nobody guesses (96 random bits), it ends when whoever
 * made it says so, and no more than a number of bytes goes out under it.  The adapter that makes it and the ones that serve it need
 * not know each other. */
#ifndef HUB_HANDOUT_H
#define HUB_HANDOUT_H
#include "hub/port.h"

typedef struct handout handout;
int handout_new(handout **out, bridge_port *port, const char *name, bridge_msg *msg, uint64_t bytes); /* EXISTS, NOMEM */
void handout_free(handout *h); /* NULL is fine */
handout *handout_find(bridge_port *port, text name); /* NULL: there is none */
bridge_msg *handout_msg(const handout *h);           /* borrow */
bool handout_spend(handout *h, uint64_t bytes);      /* false: that would be too many, nothing is given out */
#endif
