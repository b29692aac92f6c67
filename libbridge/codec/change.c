/* codec_patch() and codec_fetch(): which patch suits which format, and the way there and back. */
#include "codec/etch.h"
#include "codec/patch.h"

static bool ends_with(const char *name, const char *end)
{
    size_t n = name ? strlen(name) : 0, m = strlen(end);

    return n >= m && memcmp(name + n - m, end, m) == 0;
}

/* JSON or CBOR, when the format is made of one; FORMAT_NAMED else.  What nobody named may be JSON even as a scalar. */
static bridge_format tree_format(bridge_format format, const void *data, size_t len)
{
    const char *media_type = format_media_type(format);

    if (format == BRIDGE_FORMAT_AUTO) return codec_guess(data, len) == BRIDGE_BYTES ? BRIDGE_FORMAT_NAMED : BRIDGE_JSON;
    if (format == BRIDGE_JSON || ends_with(media_type, "+json")) return BRIDGE_JSON;
    if (format == BRIDGE_CBOR || ends_with(media_type, "+cbor")) return BRIDGE_CBOR;
    return BRIDGE_FORMAT_NAMED;
}

static int unsuited(bridge_format format, bridge_error *err)
{
    const char *name = format_media_type(format);

    return fail(err, BRIDGE_FORMAT, "a value of %s cannot be changed by this kind of patch",
                name ? name : "this format");
}

static int patch_tree(scratch *s, bridge_format format, const void *data, size_t len, bridge_format patch,
                      const void *patch_data, size_t patch_len, buf *out, bridge_error *err)
{
    bridge_format tree = tree_format(format, data, len);
    node *target = NULL, *change = NULL;
    int rc;

    if (tree == BRIDGE_FORMAT_NAMED) return unsuited(format, err);
    rc = node_read(s, BRIDGE_JSON, patch_data, patch_len, &change, err);
    if (rc == 0 && len)
        rc = node_read(s, tree, data, len, &target, err);
    else if (rc == 0 && patch == BRIDGE_JSON_PATCH)
        rc = node_read(s, BRIDGE_JSON, "null", 4, &target, err);
    if (rc == 0)
        rc = patch == BRIDGE_JSON_PATCH ? patch_json(s, &target, change, err) : patch_merge(s, &target, change, err);
    return rc ? rc : node_write(target, tree, out, err);
}

typedef int etch_fn(scratch *s, const char *path, double now, bool json, const void *data, size_t len,
                    collector *target, bridge_error *err);

static int through_etch(scratch *s, etch_fn *etch, const char *path, double now, const bridge_codec *from,
                        const void *data, size_t len, bridge_format kind, const void *etch_data, size_t etch_len,
                        const bridge_codec *to, buf *out, bridge_error *err)
{
    collector records = {.scratch = s, .err = err};
    int rc = len ? from->read(s, path, now, data, len, collect, &records, err) : 0;

    if (rc == 0) rc = etch(s, path, now, kind == BRIDGE_SENML_ETCH_JSON, etch_data, etch_len, &records, err);
    return rc ? rc : to->write(s, path, records.records, records.count, out, err);
}

bridge_format codec_patch_makes(bridge_format patch)
{
    switch ((int)patch) {
    case BRIDGE_MERGE_PATCH:
    case BRIDGE_JSON_PATCH: return BRIDGE_JSON;
    case BRIDGE_SENML_ETCH_JSON: return BRIDGE_SENML_JSON;
    case BRIDGE_SENML_ETCH_CBOR: return BRIDGE_SENML_CBOR;
    default: return BRIDGE_FORMAT_NAMED;
    }
}

int codec_patch(mem *m, const char *path, double now, bridge_format format, const void *data, size_t len,
                bridge_format patch, const void *patch_data, size_t patch_len, buf *out, bridge_error *err)
{
    bridge_format makes = codec_patch_makes(patch);
    const bridge_codec *codec;
    size_t start = out->len;
    scratch s;
    int rc;

    if (err) err->status = 0;
    if (len == 0) data = "";
    if (makes == BRIDGE_FORMAT_NAMED) return codec_missing(BRIDGE_FORMAT, patch, err);
    if (len == 0 && format == BRIDGE_FORMAT_AUTO) format = makes;
    scratch_init(&s, m);
    if (makes == BRIDGE_JSON) {
        rc = patch_tree(&s, format, data, len, patch, patch_data, patch_len, out, err);
    } else {
        codec = codec_find(format == BRIDGE_FORMAT_AUTO ? codec_guess(data, len) : format);
        if (!codec || !codec->read || !codec->write)
            rc = unsuited(format, err);
        else
            rc = through_etch(&s, etch_patch, path, now, codec, data, len, patch, patch_data, patch_len, codec, out,
                              err);
    }
    scratch_done(&s);
    if (rc) out->len = start;
    return codec_said(rc, err);
}

int codec_fetch(mem *m, const char *path, double now, bridge_format format, const void *data, size_t len,
                bridge_format fetch, const void *fetch_data, size_t fetch_len, bridge_format target, buf *out,
                bridge_error *err)
{
    const bridge_codec *from = codec_find(format == BRIDGE_FORMAT_AUTO ? codec_guess(data, len) : format);
    const bridge_codec *to = codec_find(target);
    size_t start = out->len;
    scratch s;
    int rc;

    if (err) err->status = 0;
    if (len == 0) data = "";
    if (fetch != BRIDGE_SENML_ETCH_JSON && fetch != BRIDGE_SENML_ETCH_CBOR)
        return codec_missing(BRIDGE_FORMAT, fetch, err);
    if (!from || !from->read) return codec_missing(BRIDGE_FORMAT, format, err);
    if (!to || !to->write) return codec_missing(BRIDGE_NOTACCEPTABLE, target, err);
    scratch_init(&s, m);
    rc = through_etch(&s, etch_fetch, path, now, from, data, len, fetch, fetch_data, fetch_len, to, out, err);
    scratch_done(&s);
    if (rc) out->len = start;
    return codec_said(rc, err);
}
