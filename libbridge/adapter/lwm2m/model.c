#include "adapter/lwm2m/model.h"
#include "adapter/lwm2m/ddf.h"
#include <ctype.h>
#include <stdlib.h>

size_t lwm2m_identifier(const char *name, char *out, size_t room)
{
    bool upper = false;
    size_t n = 0;

    for (; *name && n + 1 < room; name++) {
        unsigned char c = (unsigned char)*name;

        if (!isalnum(c)) {
            upper = n > 0;
            continue;
        }
        c = (unsigned char)(upper ? toupper(c) : n == 0 ? tolower(c) : c);
        out[n++] = (char)c;
        upper = false;
    }
    out[n] = 0;
    return n;
}

static bool is_named(const char *name, text wanted)
{
    char identifier[128];
    size_t n = lwm2m_identifier(name, identifier, sizeof identifier);

    return text_is_nocase(wanted, identifier) ? n > 0 : text_is_nocase(wanted, name);
}

static int by_object(const void *key, const void *item) { return *(const uint16_t *)key - ((const lwm2m_object *)item)->id; }
static int by_resource(const void *key, const void *item) { return *(const uint16_t *)key - ((const lwm2m_resource *)item)->id; }

const lwm2m_object *lwm2m_object_of(const lwm2m_model *m, uint16_t id)
{
    unsigned count = 0;
    const lwm2m_object *read = m ? lwm2m_model_objects(m, &count) : NULL;
    const lwm2m_object *o = count ? bsearch(&id, read, count, sizeof *read, by_object) : NULL;

    return o ? o : bsearch(&id, lwm2m_objects, lwm2m_object_count, sizeof *lwm2m_objects, by_object);
}

const lwm2m_object *lwm2m_object_named(const lwm2m_model *m, text name)
{
    unsigned count = 0;
    const lwm2m_object *read = m ? lwm2m_model_objects(m, &count) : NULL;

    for (unsigned i = 0; i < count; i++)
        if (is_named(read[i].name, name)) return &read[i];
    for (unsigned i = 0; i < lwm2m_object_count; i++)
        if (is_named(lwm2m_objects[i].name, name)) return &lwm2m_objects[i];
    return NULL;
}

const lwm2m_resource *lwm2m_resource_of(const lwm2m_model *m, uint16_t object, uint16_t id)
{
    const lwm2m_object *o = lwm2m_object_of(m, object);

    return o && o->count ? bsearch(&id, o->resources, o->count, sizeof *o->resources, by_resource) : NULL;
}

const lwm2m_resource *lwm2m_resource_named(const lwm2m_object *o, text name)
{
    for (unsigned i = 0; o && i < o->count; i++)
        if (is_named(o->resources[i].name, name)) return &o->resources[i];
    return NULL;
}

bridge_type lwm2m_record_type(lwm2m_type t)
{
    switch (t) {
    case LWM2M_STRING:
    case LWM2M_CORELINK: return BRIDGE_STRING;
    case LWM2M_INTEGER:
    case LWM2M_TIME: return BRIDGE_INT;
    case LWM2M_UNSIGNED: return BRIDGE_UINT;
    case LWM2M_FLOAT: return BRIDGE_REAL;
    case LWM2M_BOOLEAN: return BRIDGE_BOOL;
    case LWM2M_OPAQUE: return BRIDGE_OPAQUE;
    case LWM2M_LINK: return BRIDGE_OBJLNK;
    default: return BRIDGE_NIL;
    }
}
