/* adapter/lwm2m/ddf.h - object definitions of the OMA, one XML file each (LwM2M 1.1 core, D.1), read from a folder. */
#ifndef LWM2M_DDF_H
#define LWM2M_DDF_H
#include "adapter/lwm2m/model.h"
#include "base/mem.h"

enum { /* docs/limits.md */
    DDF_FILE_MAX = 1 << 20,     /* bytes of one file */
    DDF_OBJECTS_MAX = 4096,     /* of one folder */
    DDF_RESOURCES_MAX = 1024,   /* of one object */
    DDF_NAME_MAX = 127,         /* bytes of a name, a unit or a URN; longer ones are cut */
    DDF_DEPTH_MAX = 16
};
int lwm2m_model_read(lwm2m_model **out, mem *m, const char *folder, bridge_error *err); /* all *.xml of it; IO, SYNTAX, TOOBIG */
int lwm2m_model_add(lwm2m_model *model, const char *name, const void *xml, size_t len, bridge_error *err); /* one file's text */
lwm2m_model *lwm2m_model_new(mem *m); /* of nothing; NULL: no memory */
void lwm2m_model_free(lwm2m_model *model); /* NULL is fine */
const lwm2m_object *lwm2m_model_objects(const lwm2m_model *model, unsigned *count); /* by id */
#endif
