/* hub/app.h - the application itself as a peer: it publishes, asks, watches and answers like any other. */
#ifndef HUB_APP_H
#define HUB_APP_H
#include "hub/hub.h"

int app_open(hub *h);
void app_close(hub *h);
int app_watch(hub *h, const char *pattern, bridge_msg_fn fn, void *user, void **out, bridge_error *err);
void app_unwatch(hub *h, void *watch);
void app_bury(hub *h); /* frees what was unwatched during a fan-out */
#endif
