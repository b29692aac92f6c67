/* adapter/http/about.h - answers about the bridge itself. */
#ifndef HTTP_ABOUT_H
#define HTTP_ABOUT_H
#include "adapter/http/answer.h"

/* What is told about the bridge is asked for like a value, so that one policy guards both.  False: refused, and said so. */
bool about_may(request *r, const char *path);
void about_me(request *r);
void about_peers(request *r);
void about_ports(request *r);
void about_routes(request *r);
#endif
