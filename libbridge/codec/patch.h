/* codec/patch.h - the two patches of JSON, on trees.  All or nothing is the caller's: on failure *target is anything.
 */
#ifndef CODEC_PATCH_H
#define CODEC_PATCH_H
#include "codec/node.h"

int patch_merge(scratch *s, node **target, const node *patch,
                bridge_error *err); /* RFC 7396; *target NULL: no value yet */
int patch_json(scratch *s, node **target, const node *patch, bridge_error *err); /* RFC 6902 */
#endif
