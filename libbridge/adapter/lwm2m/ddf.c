/* Object definitions of the OMA: <LWM2M><Object><Name/><ObjectID/>...<Resources><Item ID=""><Name/>... (LwM2M 1.1 core, D.1). */
#include "adapter/lwm2m/ddf.h"
#include "base/status.h"
#include "base/textfile.h"
#include <dirent.h>
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

struct lwm2m_model {
    mem *mem;
    lwm2m_object *objects;
    size_t count, room;
};

typedef struct reader { /* one file under way */
    lwm2m_model *model;
    XML_Parser parser;
    lwm2m_object object;
    lwm2m_resource item, *items;
    size_t count, room;
    char words[DDF_NAME_MAX + 1]; /* of the innermost element */
    size_t len;
    int depth, status;
    bool in_object, in_item, has_id;
} reader;

/* ---- One object */

static void resources_free(mem *m, const lwm2m_resource *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mem_free(m, (void *)(uintptr_t)items[i].name);
        mem_free(m, (void *)(uintptr_t)items[i].unit);
    }
    mem_free(m, (void *)(uintptr_t)items);
}

static void object_free(mem *m, lwm2m_object *o)
{
    resources_free(m, o->resources, o->count);
    mem_free(m, (void *)(uintptr_t)o->name);
    mem_free(m, (void *)(uintptr_t)o->urn);
    *o = (lwm2m_object){0};
}

static void item_drop(reader *x)
{
    mem_free(x->model->mem, (void *)(uintptr_t)x->item.name);
    mem_free(x->model->mem, (void *)(uintptr_t)x->item.unit);
    x->item = (lwm2m_resource){0};
}

static void give_up(reader *x, int status)
{
    if (x->status == 0) x->status = status;
    XML_StopParser(x->parser, XML_FALSE);
}

static void keep_words(reader *x, const char **place)
{
    char *copy = mem_text_len(x->model->mem, x->words, x->len);

    if (!copy) {
        give_up(x, BRIDGE_NOMEM);
        return;
    }
    mem_free(x->model->mem, (void *)(uintptr_t)*place);
    *place = copy;
}

static bool keep_id(reader *x, const char *words, size_t len, uint16_t *out)
{
    uint64_t id;

    if (!text_to_u64(text_trim((text){words, len}), UINT16_MAX, &id)) {
        give_up(x, BRIDGE_SYNTAX);
        return false;
    }
    *out = (uint16_t)id;
    return true;
}

static uint8_t type_of(text words)
{
    static const struct {
        const char *word;
        lwm2m_type type;
    } types[] = {{"String", LWM2M_STRING},   {"Integer", LWM2M_INTEGER}, {"Unsigned Integer", LWM2M_UNSIGNED}, {"Float", LWM2M_FLOAT},
                 {"Boolean", LWM2M_BOOLEAN}, {"Opaque", LWM2M_OPAQUE},   {"Time", LWM2M_TIME},                 {"Objlnk", LWM2M_LINK},
                 {"Corelnk", LWM2M_CORELINK}};

    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (text_is_nocase(words, types[i].word)) return types[i].type;
    return LWM2M_NONE;
}

static uint8_t ops_of(text words)
{
    uint8_t ops = 0;

    for (size_t i = 0; i < words.len; i++) ops |= words.p[i] == 'R' ? LWM2M_READ : words.p[i] == 'W' ? LWM2M_WRITE : words.p[i] == 'E' ? LWM2M_EXECUTE : 0;
    return ops;
}

/* ---- Elements */

static void item_end(reader *x)
{
    mem *m = x->model->mem;

    x->in_item = false;
    if (!x->item.name) {
        item_drop(x);
        return;
    }
    if (x->count >= DDF_RESOURCES_MAX) {
        give_up(x, BRIDGE_TOOBIG);
        return;
    }
    if (mem_grow(m, (void **)&x->items, &x->room, x->count, sizeof *x->items) < 0) {
        give_up(x, BRIDGE_NOMEM);
        return;
    }
    x->items[x->count++] = x->item;
    x->item = (lwm2m_resource){0};
}

static int by_id(const void *a, const void *b) { return ((const lwm2m_resource *)a)->id - ((const lwm2m_resource *)b)->id; }
static int by_object(const void *a, const void *b) { return ((const lwm2m_object *)a)->id - ((const lwm2m_object *)b)->id; }

static void object_end(reader *x)
{
    lwm2m_model *md = x->model;

    x->in_object = false;
    if (!x->has_id || !x->object.name) {
        give_up(x, BRIDGE_SYNTAX);
        return;
    }
    if (x->count) qsort(x->items, x->count, sizeof *x->items, by_id);
    for (size_t i = 0; i < md->count; i++) { /* the last one read counts */
        if (md->objects[i].id != x->object.id) continue;
        object_free(md->mem, &md->objects[i]);
        md->objects[i] = md->objects[--md->count];
        break;
    }
    if (md->count >= DDF_OBJECTS_MAX || mem_grow(md->mem, (void **)&md->objects, &md->room, md->count, sizeof *md->objects) < 0) {
        give_up(x, md->count >= DDF_OBJECTS_MAX ? BRIDGE_TOOBIG : BRIDGE_NOMEM);
        return;
    }
    x->object.resources = x->items;
    x->object.count = (unsigned)x->count;
    md->objects[md->count++] = x->object;
    x->object = (lwm2m_object){0};
    x->items = NULL;
    x->count = x->room = 0;
    x->has_id = false;
}

static void on_start(void *user, const char *name, const char **attributes)
{
    reader *x = user;

    x->len = 0;
    if (++x->depth > DDF_DEPTH_MAX) {
        give_up(x, BRIDGE_TOOBIG);
    } else if (strcmp(name, "Object") == 0 && !x->in_object) {
        x->in_object = true;
    } else if (strcmp(name, "Item") == 0 && x->in_object && !x->in_item) {
        x->in_item = true;
        for (; attributes[0]; attributes += 2)
            if (strcmp(attributes[0], "ID") == 0) keep_id(x, attributes[1], strlen(attributes[1]), &x->item.id);
    }
}

static void on_words(void *user, const char *p, int len)
{
    reader *x = user;
    size_t room = DDF_NAME_MAX - x->len;

    if ((size_t)len > room) len = (int)room;
    memcpy(x->words + x->len, p, (size_t)len);
    x->len += (size_t)len;
}

static void item_word(reader *x, const char *name, text words)
{
    if (strcmp(name, "Name") == 0) keep_words(x, &x->item.name);
    if (strcmp(name, "Units") == 0 && words.len) keep_words(x, &x->item.unit);
    if (strcmp(name, "Type") == 0) x->item.type = type_of(words);
    if (strcmp(name, "Operations") == 0) x->item.ops = ops_of(words);
    if (strcmp(name, "MultipleInstances") == 0) x->item.multiple = text_is(words, "Multiple");
}

static void object_word(reader *x, const char *name, text words)
{
    if (strcmp(name, "Name") == 0) keep_words(x, &x->object.name);
    if (strcmp(name, "ObjectURN") == 0) keep_words(x, &x->object.urn);
    if (strcmp(name, "ObjectID") == 0) x->has_id = keep_id(x, words.p, words.len, &x->object.id);
    if (strcmp(name, "MultipleInstances") == 0) x->object.multiple = text_is(words, "Multiple");
}

static void on_end(void *user, const char *name)
{
    reader *x = user;
    text words;

    while (x->len && strchr(" \t\r\n", x->words[x->len - 1])) x->len--;
    size_t skip = 0;
    while (skip < x->len && strchr(" \t\r\n", x->words[skip])) skip++;
    x->len -= skip;
    memmove(x->words, x->words + skip, x->len);
    words = (text){x->words, x->len};
    x->depth--;
    if (x->in_item && strcmp(name, "Item") == 0)
        item_end(x);
    else if (x->in_item)
        item_word(x, name, words);
    else if (x->in_object && strcmp(name, "Object") == 0)
        object_end(x);
    else if (x->in_object)
        object_word(x, name, words);
    x->len = 0;
}

/* No entity is ever expanded: these files need none, and a few nested ones would be gigabytes. */
static void on_entity(void *user, const char *name, int is_parameter, const char *value, int len, const char *base, const char *system,
                      const char *public_id, const char *notation)
{
    (void)name, (void)is_parameter, (void)value, (void)len, (void)base, (void)system, (void)public_id, (void)notation;
    give_up(user, BRIDGE_SYNTAX);
}

int lwm2m_model_add(lwm2m_model *model, const char *name, const void *xml, size_t len, bridge_error *err)
{
    reader *x = len <= DDF_FILE_MAX ? mem_new(model->mem, reader) : NULL;
    int rc = 0, line = 0;

    if (len > DDF_FILE_MAX) return fail(err, BRIDGE_TOOBIG, "%s: more than %d bytes", name, DDF_FILE_MAX);
    if (!x || !(x->parser = XML_ParserCreate(NULL))) {
        mem_free(model->mem, x);
        return fail_nomem(err);
    }
    x->model = model;
    XML_SetUserData(x->parser, x);
    XML_SetElementHandler(x->parser, on_start, on_end);
    XML_SetCharacterDataHandler(x->parser, on_words);
    XML_SetEntityDeclHandler(x->parser, on_entity);
    if (XML_Parse(x->parser, xml, (int)len, 1) == XML_STATUS_ERROR) {
        line = (int)XML_GetCurrentLineNumber(x->parser);
        rc = x->status ? x->status : BRIDGE_SYNTAX;
        fail(err, rc, "%s line %d: %s", name, line, x->status ? "no object definition" : XML_ErrorString(XML_GetErrorCode(x->parser)));
    }
    XML_ParserFree(x->parser);
    item_drop(x);
    object_free(model->mem, &x->object);
    resources_free(model->mem, x->items, x->count);
    mem_free(model->mem, x);
    if (model->count) qsort(model->objects, model->count, sizeof *model->objects, by_object);
    return rc;
}

/* ---- A folder */

lwm2m_model *lwm2m_model_new(mem *m)
{
    lwm2m_model *model = mem_new(m, lwm2m_model);

    if (model) model->mem = m;
    return model;
}

static int file_read(lwm2m_model *model, const char *folder, const char *name, bridge_error *err)
{
    char path[1024];
    buf b;
    int rc;

    if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return fail(err, BRIDGE_TOOBIG, "%s: too long a name", name);
    rc = textfile_read(&b, model->mem, path, err);
    if (rc < 0) return rc;
    rc = lwm2m_model_add(model, path, b.data ? (const void *)b.data : "", b.len, err);
    textfile_drop(&b);
    return rc;
}

int lwm2m_model_read(lwm2m_model **out, mem *m, const char *folder, bridge_error *err)
{
    DIR *dir = opendir(folder);
    lwm2m_model *model = dir ? lwm2m_model_new(m) : NULL;
    const struct dirent *entry;
    int rc = 0;

    if (!dir) return fail(err, BRIDGE_IO, "%s: no such folder", folder);
    if (!model) rc = fail_nomem(err);
    while (rc == 0 && (entry = readdir(dir))) {
        size_t len = strlen(entry->d_name);
        if (len > 4 && strcasecmp(entry->d_name + len - 4, ".xml") == 0) rc = file_read(model, folder, entry->d_name, err);
    }
    closedir(dir);
    if (rc < 0)
        lwm2m_model_free(model);
    else
        *out = model;
    return rc;
}

void lwm2m_model_free(lwm2m_model *model)
{
    if (!model) return;
    for (size_t i = 0; i < model->count; i++) object_free(model->mem, &model->objects[i]);
    mem_free(model->mem, model->objects);
    mem_free(model->mem, model);
}

const lwm2m_object *lwm2m_model_objects(const lwm2m_model *model, unsigned *count)
{
    *count = (unsigned)model->count;
    return model->objects;
}
