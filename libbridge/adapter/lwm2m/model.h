/* adapter/lwm2m/model.h - the object model: what objects and resources are called, of what type they are, what can be done.
 *
 * A table of the OMA's core objects and of common IPSO objects is built in (model_table.c); a folder of the OMA's XML files (DDF) adds to
 * it and comes first (ddf.c).  Names are aliases of numbers, in the form of an identifier: "Sensor Value" is sensorValue. */
#ifndef LWM2M_MODEL_H
#define LWM2M_MODEL_H
#include "base/text.h"
#include "bridge/sys/codec.h"

enum { LWM2M_READ = 1, LWM2M_WRITE = 2, LWM2M_EXECUTE = 4 };
typedef enum lwm2m_type { /* LwM2M 1.1 core, appendix C */
    LWM2M_NONE, LWM2M_STRING, LWM2M_INTEGER, LWM2M_UNSIGNED, LWM2M_FLOAT, LWM2M_BOOLEAN, LWM2M_OPAQUE, LWM2M_TIME, LWM2M_LINK,
    LWM2M_CORELINK
} lwm2m_type;

typedef struct lwm2m_resource {
    uint16_t id;
    uint8_t type, ops; /* lwm2m_type; LWM2M_READ ... */
    bool multiple;
    const char *name, *unit; /* "Sensor Value"; unit NULL: none */
} lwm2m_resource;

typedef struct lwm2m_object {
    uint16_t id;
    bool multiple;
    const char *name, *urn; /* urn NULL: the OMA's own */
    const lwm2m_resource *resources; /* by id */
    unsigned count;
} lwm2m_object;

typedef struct lwm2m_model lwm2m_model; /* what was read from files */
const lwm2m_object *lwm2m_object_of(const lwm2m_model *m, uint16_t id);               /* m may be NULL: the built-in ones */
const lwm2m_object *lwm2m_object_named(const lwm2m_model *m, text name);              /* "temperature", "Temperature" */
const lwm2m_resource *lwm2m_resource_of(const lwm2m_model *m, uint16_t object, uint16_t id);
const lwm2m_resource *lwm2m_resource_named(const lwm2m_object *o, text name);
bridge_type lwm2m_record_type(lwm2m_type t); /* NIL: none */
/* "Sensor Value" as an identifier, "sensorValue", into out; the length. */
size_t lwm2m_identifier(const char *name, char *out, size_t room);
extern const lwm2m_object lwm2m_objects[];
extern const unsigned lwm2m_object_count;
#endif
