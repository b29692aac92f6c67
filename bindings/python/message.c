/* message.c - _bridge.Msg, a reference to a message: what it says is read when it is asked for, never copied before.
 * A hand-written type, because one of these is made for every message that reaches Python. */
#include "engine.h"
#include <string.h>

typedef struct msg_object {
    PyObject_HEAD
    bridge_msg *msg;
} msg_object;

/* The exception of libbridge.errors for a status; found by name so that nothing is kept in a static. */
void raise_status(int status, const bridge_error *err)
{
    const char *text = err && err->text[0] ? err->text : bridge_status_text(status);
    PyObject *errors = PyImport_ImportModule("libbridge.errors"), *made = NULL;

    if (errors) made = PyObject_CallMethod(errors, "error_for", "isi", status, text, err ? err->line : 0);
    if (made) PyErr_SetObject((PyObject *)Py_TYPE(made), made);
    Py_XDECREF(made);
    Py_XDECREF(errors);
}

static bridge_msg *msg_of(PyObject *self)
{
    return ((msg_object *)self)->msg;
}

PyObject *message_wrap(PyTypeObject *type, bridge_msg *msg)
{
    msg_object *o = (msg_object *)type->tp_alloc(type, 0);

    if (!o) {
        bridge_msg_unref(msg);
        return NULL;
    }
    o->msg = msg;
    return (PyObject *)o;
}

static void msg_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    bridge_msg_unref(msg_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- making one: props are a sequence of (name, value) */

static int props_read(PyObject *sequence, bridge_prop *props, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(sequence, i);

        if (!PyTuple_Check(pair) || !PyArg_ParseTuple(pair, "ss", &props[i].name, &props[i].value)) {
            if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "props are pairs of (name, value)");
            return -1;
        }
    }
    return 0;
}

static void raise_unmade(int status, const bridge_fields *f)
{
    bridge_error err = {.status = status};

    if (status == BRIDGE_INVALID && f->qos > 2) snprintf(err.text, sizeof err.text, "qos is 0, 1 or 2");
    else if (status == BRIDGE_INVALID) snprintf(err.text, sizeof err.text, "nothing can be said at \"%.100s\"", f->path);
    raise_status(status, &err);
}

static PyObject *msg_make(PyTypeObject *type, bridge_fields *fields, PyObject *props)
{
    PyObject *list = props && props != Py_None ? PySequence_Fast(props, "props are pairs of (name, value)") : NULL;
    Py_ssize_t count = list ? PySequence_Fast_GET_SIZE(list) : 0;
    bridge_prop *pairs = count ? PyMem_Calloc((size_t)count, sizeof *pairs) : NULL;
    bridge_msg *msg = NULL;
    PyObject *made = NULL;
    int rc = 0;

    if (props && props != Py_None && !list) return NULL;
    if (count && !pairs) PyErr_NoMemory();
    else if (props_read(list, pairs, count) == 0) {
        fields->props = pairs;
        fields->prop_count = (size_t)count;
        rc = bridge_msg_new(&msg, fields);
        if (rc < 0) raise_unmade(rc, fields);
        else made = message_wrap(type, msg);
    }
    PyMem_Free(pairs);
    Py_XDECREF(list);
    return made;
}

static PyObject *msg_new(PyTypeObject *type, PyObject *args, PyObject *kw)
{
    static const char *const words[] = {"path", "payload",    "format",   "qos",         "retain", "time", "ttl",
                            "origin", "media_type", "response", "correlation", "props",  NULL};
    bridge_fields f = {.size = sizeof f};
    int format = BRIDGE_FORMAT_AUTO, retain = 0;
    Py_buffer data = {0}, correlation = {0};
    long long time = 0, ttl = 0;
    PyObject *props = NULL, *made = NULL;
    unsigned char qos = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kw, "sy*|ibpLLzzzz*O", (char **)words, &f.path, &data, &format, &qos, &retain, &time,
                                     &ttl, &f.origin, &f.media_type, &f.response, &correlation, &props))
        return NULL;
    f.data = data.buf;
    f.len = (size_t)data.len;
    f.format = (bridge_format)format;
    f.qos = qos;
    f.retain = retain != 0;
    f.time = time;
    f.ttl = ttl;
    f.correlation = correlation.buf;
    f.correlation_len = correlation.buf ? (size_t)correlation.len : 0;
    made = msg_make(type, &f, props);
    PyBuffer_Release(&data);
    if (correlation.obj) PyBuffer_Release(&correlation);
    return made;
}

/* ---- looking at one */

static PyObject *text_or_none(const char *text)
{
    if (!text) Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(text, (Py_ssize_t)strlen(text), "surrogateescape");
}

static PyObject *props_build(const bridge_fields *f)
{
    PyObject *list = PyTuple_New((Py_ssize_t)f->prop_count);

    for (size_t i = 0; list && i < f->prop_count; i++) {
        PyObject *pair = Py_BuildValue("(ss)", f->props[i].name, f->props[i].value);

        if (!pair) Py_CLEAR(list);
        else PyTuple_SET_ITEM(list, (Py_ssize_t)i, pair);
    }
    return list;
}

enum { GET_PATH, GET_PAYLOAD, GET_FORMAT, GET_QOS, GET_RETAIN, GET_TIME, GET_TTL, GET_ORIGIN, GET_VERSION,
       GET_MEDIA_TYPE, GET_RESPONSE, GET_CORRELATION, GET_PROPS };

static PyObject *msg_get(PyObject *self, void *which)
{
    const bridge_fields *f = bridge_msg_look(msg_of(self), BRIDGE_FIELDS());

    switch ((int)(intptr_t)which) {
    case GET_PATH: return text_or_none(f->path);
    case GET_PAYLOAD: return PyBytes_FromStringAndSize(f->data, (Py_ssize_t)f->len);
    case GET_FORMAT: return PyLong_FromLong(f->format);
    case GET_QOS: return PyLong_FromLong(f->qos);
    case GET_RETAIN: return PyBool_FromLong(f->retain);
    case GET_TIME: return PyLong_FromLongLong(f->time);
    case GET_TTL: return PyLong_FromLongLong(f->ttl);
    case GET_ORIGIN: return text_or_none(f->origin ? f->origin : "");
    case GET_VERSION: return PyLong_FromUnsignedLongLong(f->version);
    case GET_MEDIA_TYPE: return text_or_none(f->media_type);
    case GET_RESPONSE: return text_or_none(f->response);
    case GET_CORRELATION:
        if (!f->correlation) Py_RETURN_NONE;
        return PyBytes_FromStringAndSize(f->correlation, (Py_ssize_t)f->correlation_len);
    default: return props_build(f);
    }
}

static PyObject *msg_as(PyObject *self, PyObject *arg)
{
    long format = PyLong_AsLong(arg);
    bridge_error err = {0};
    bridge_msg *out = NULL;
    int rc;

    if (format == -1 && PyErr_Occurred()) return NULL;
    rc = bridge_msg_as(msg_of(self), (bridge_format)format, &out, &err);
    if (rc < 0) {
        raise_status(rc, &err);
        return NULL;
    }
    return message_wrap(Py_TYPE(self), out);
}

static PyGetSetDef msg_fields[] = {
    {"path", msg_get, NULL, "where it was said", (void *)GET_PATH},
    {"payload", msg_get, NULL, "the bytes, as they came", (void *)GET_PAYLOAD},
    {"_format", msg_get, NULL, "IANA CoAP Content-Format number", (void *)GET_FORMAT},
    {"qos", msg_get, NULL, "0, 1 or 2", (void *)GET_QOS},
    {"retain", msg_get, NULL, "kept as the path's last value", (void *)GET_RETAIN},
    {"_time", msg_get, NULL, "ms since 1970", (void *)GET_TIME},
    {"_ttl", msg_get, NULL, "ms to live, 0: for ever", (void *)GET_TTL},
    {"origin", msg_get, NULL, "who said it: \"mqtt:client-7\"", (void *)GET_ORIGIN},
    {"version", msg_get, NULL, "larger is newer; 0: not accepted by a bridge yet", (void *)GET_VERSION},
    {"media_type", msg_get, NULL, "of a format without a number", (void *)GET_MEDIA_TYPE},
    {"response", msg_get, NULL, "where the answer shall go", (void *)GET_RESPONSE},
    {"correlation", msg_get, NULL, "what the answer shall carry", (void *)GET_CORRELATION},
    {"props", msg_get, NULL, "((name, value), ...)", (void *)GET_PROPS},
    {0}};
static PyMethodDef msg_methods[] = {{"_as", msg_as, METH_O, "the same message in another format"}, {0}};
static PyType_Slot msg_slots[] = {{Py_tp_new, (void *)msg_new},
                                  {Py_tp_dealloc, (void *)msg_dealloc},
                                  {Py_tp_getset, msg_fields},
                                  {Py_tp_methods, msg_methods},
                                  {0}};
static PyType_Spec msg_spec = {.name = "libbridge._bridge.Msg",
                               .basicsize = sizeof(msg_object),
                               .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                               .slots = msg_slots};

int message_type_add(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&msg_spec);
    int rc = type ? PyModule_AddObjectRef(module, "Msg", type) : -1;

    Py_XDECREF(type);
    return rc;
}

bridge_msg *message_of(PyObject *object)
{
    /* Subclasses are made from our type only, so the destructor tells ours from any other object's. */
    PyTypeObject *base = Py_TYPE(object);

    while (base && base->tp_dealloc != msg_dealloc) base = base->tp_base;
    return base ? msg_of(object) : NULL;
}
