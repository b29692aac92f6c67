/* codec/link.h - link-format (RFC 6690): reading, writing, and the filters of /.well-known/core and resource
 * directories. */
#ifndef CODEC_LINK_H
#define CODEC_LINK_H
#include "base/text.h"
#include "bridge/bridge.h"

typedef struct link_item {
    text target; /* between < and > */
    text params; /* ";rt=\"x\";obs", as it was written */
} link_item;

typedef struct link_param {
    text name, value; /* value: what stands between the quotes, with its backslashes; see link_unquote() */
    bool has_value, quoted;
} link_param;

/* The walk: while ((rc = link_next(&rest, &one, err)) > 0).  1, 0 at the end, SYNTAX. */
int link_next(text *rest, link_item *out, bridge_error *err);
/* 1, 0 at the end; never fails on what link_next() has accepted. */
int link_param_next(text *params, link_param *out);
bool link_param_find(const link_item *l, const char *name, link_param *out); /* the first of that name */
int link_unquote(buf *out, const link_param *param);

/* Writing: link_put() once a link, with the comma before all but the first, then its parameters. */
int link_put(buf *out, text target);
int link_put_param(buf *out, const char *name, text value); /* quoted; quotes and backslashes get theirs */
int link_put_token(buf *out, const char *name, text value); /* not quoted: numbers and tokens, ct=40 */
int link_put_flag(buf *out, const char *name);              /* ;obs */
int link_put_again(buf *out, const link_param *param);      /* as it was written */

/* One "name=value" of a query, percent-decoded (CoAP's Uri-Query, RFC 6690 4.1, RFC 9176 6.2): a '*' at the end of the
 * value stands for anything; rt, if, rel, rev and ct may hold several values with blanks between, of which one must
 * match; href is the target; a name without '=' asks whether it is there.  Several filters must all match. */
typedef struct link_filter {
    text name, value;
    bool has_value, prefix;
} link_filter;
link_filter link_filter_of(text query);
bool link_matches(const link_item *l, const link_filter *filters, size_t count);
#endif
