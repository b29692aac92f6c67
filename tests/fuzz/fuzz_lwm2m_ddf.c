/* Any bytes as an object definition (DDF): an error, or objects whose names and numbers can be asked for. */
#include "adapter/lwm2m/ddf.h"
#include "fuzz_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    lwm2m_model *model = lwm2m_model_new(mem_default());
    bridge_error err = {0};
    const lwm2m_object *objects;
    unsigned count = 0;

    if (!model) return 0;
    lwm2m_model_add(model, "fuzz.xml", data, len, &err);
    lwm2m_model_add(model, "again.xml", data, len, &err); /* the same numbers take the place of those before */
    objects = lwm2m_model_objects(model, &count);
    for (unsigned i = 0; i < count; i++) {
        const lwm2m_object *o = lwm2m_object_of(model, objects[i].id);

        MUST(o == &objects[i] && o->name);
        MUST(i == 0 || objects[i - 1].id < o->id);
        for (unsigned k = 0; k < o->count; k++) MUST(lwm2m_resource_of(model, o->id, o->resources[k].id));
        lwm2m_object_named(model, text_of(o->name));
    }
    lwm2m_model_free(model);
    return 0;
}
