/* adapter/http/hand.h - routes that people add and take away: POST and DELETE at /api/routes. */
#ifndef HTTP_HAND_H
#define HTTP_HAND_H
#include "adapter/http/answer.h"

bool hand_serve(request *r); /* false: not its target */
bool hand_may(request *r);   /* may the asker change routes here? */
const char *hand_allow(const request *r); /* the Allow of its targets; NULL: not one, or only read */
#endif
