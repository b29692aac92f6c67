/* bridge.i - the module libbridge._bridge: private and thin.  All manners are in the Python beside it.
 *
 * What SWIG wraps is engine.h (a bridge that queues what happens) and not bridge.h itself: bridge.h's callbacks would each
 * cross into Python on their own. */
%module(package="libbridge") bridge
%include <stdint.i>
%include <exception.i>

%{
#include "engine.h"
%}

%init %{
    if (message_type_add(m) < 0) return NULL;
%}

/* A call that can fail has an `err`; on failure it becomes the exception that libbridge.errors has for the status. */
%typemap(in, numinputs=0) bridge_error *err (bridge_error problem) {
    memset(&problem, 0, sizeof problem);
    $1 = &problem;
}
%typemap(argout) bridge_error *err {
    if ($1->status < 0) {
        Py_XDECREF($result);
        raise_status($1->status, $1);
        SWIG_fail;
    }
}
%typemap(in) const char * (Py_ssize_t said = 0) { /* None is NULL; C would stop at a NUL within */
    $1 = NULL;
    if ($input != Py_None) {
        if (!PyUnicode_Check($input)) SWIG_exception_fail(SWIG_TypeError, "a str is needed");
        $1 = (char *)PyUnicode_AsUTF8AndSize($input, &said);
        if (!$1) SWIG_fail;
        if (strlen($1) != (size_t)said) SWIG_exception_fail(SWIG_ValueError, "embedded null character");
    }
}
%typemap(freearg) const char * ""
%typemap(in) bridge_msg *msg {
    $1 = message_of($input);
    if (!$1) SWIG_exception_fail(SWIG_TypeError, "a message is needed");
}
%typemap(in) bridge_msg *maybe {
    $1 = $input == Py_None ? NULL : message_of($input);
    if (!$1 && $input != Py_None) SWIG_exception_fail(SWIG_TypeError, "a message or None is needed");
}

%inline %{
/* [(number, name, text), ...] for every status that is a failure */
PyObject *statuses(void)
{
    PyObject *list = PyList_New(0);

#define ADD(name, number, text)                                                                                        \
    if (list) {                                                                                                        \
        PyObject *row = Py_BuildValue("(iss)", number, #name, text);                                                   \
        if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);                                                      \
        Py_XDECREF(row);                                                                                               \
    }
    BRIDGE_STATUS_MAP(ADD)
#undef ADD
    return list;
}

unsigned library_version(void)
{
    return bridge_version();
}

void check_config(const char *text, bridge_error *err)
{
    int rc = bridge_check(text, err);
    err->status = rc < 0 ? rc : 0;
}
%}

%{
static int add_listener_url(PyObject *list, const char *url)
{
    PyObject *text = PyUnicode_FromString(url);
    int rc = text ? PyList_Append(list, text) : -1;

    Py_XDECREF(text);
    return rc;
}

static void on_listener(void *user, const char *url)
{
    if (!PyErr_Occurred()) add_listener_url(user, url);
}

static void on_stat(void *user, const char *name, const char *labels, double value)
{
    PyObject *row = PyErr_Occurred() ? NULL : Py_BuildValue("(ssd)", name, labels, value);

    if (row) PyList_Append(user, row);
    Py_XDECREF(row);
}

/* (id, object, status) of one event; takes over what the event owns. */
static PyObject *event_row(event *ev, PyTypeObject *message_type)
{
    PyObject *object = NULL;

    if (ev->kind == EVENT_LOG) {
        const char *line = ev->text + strlen(ev->text) + 1;
        object = Py_BuildValue("(NN)", PyUnicode_DecodeUTF8(ev->text, (Py_ssize_t)strlen(ev->text), "replace"),
                               PyUnicode_DecodeUTF8(line, (Py_ssize_t)strlen(line), "replace"));
    } else if (ev->kind == EVENT_INTEREST) {
        object = PyUnicode_DecodeUTF8(ev->text, (Py_ssize_t)strlen(ev->text), "replace");
    } else if (ev->kind == EVENT_CALL) {
        question *q = (question *)malloc(sizeof *q);

        if (!q) return PyErr_NoMemory();
        q->call = ev->call;
        ev->call = NULL;
        object = SWIG_InternalNewPointerObj(q, SWIGTYPE_p_question, SWIG_POINTER_OWN);
    } else if (ev->msg) {
        bridge_msg *msg = ev->msg;

        ev->msg = NULL;
        object = message_wrap(message_type, msg);
    } else {
        object = Py_NewRef(Py_None);
    }
    return object ? Py_BuildValue("(KNi)", (unsigned long long)ev->id, object, ev->status) : NULL;
}

static bool is_open(const engine *e, bridge_error *err)
{
    err->status = e->b ? 0 : BRIDGE_CLOSED;
    return e->b;
}
%}

%nodefaultctor;
typedef struct ticker {} ticker;
%extend ticker {
    ticker(bool frozen) { return ticker_new(frozen); }
    ~ticker() { ticker_unref($self); }
    int64_t ms() { return ticker_now($self); }
    void advance(int64_t ms) { atomic_fetch_add(&$self->moved, ms); }
}

typedef struct held {} held;
%extend held {
    ~held() { held_unref($self); }
    const char *name() { return $self->name ? $self->name : ""; }
    bool is_open() { return $self->slot; }
    uint64_t lost() { return $self->lost; }
    void close() { held_shut($self); }
}

typedef struct question {} question;
%extend question {
    ~question() {
        bridge_call_unref($self->call);
        free($self);
    }
    int verb() { return bridge_call_verb($self->call); }
    PyObject *msg(PyObject *message_type) {
        return message_wrap((PyTypeObject *)message_type, bridge_msg_ref(bridge_call_msg($self->call)));
    }
    const char *capture(const char *name) { return bridge_call_capture($self->call, name); }
    const char *query() { return bridge_call_query($self->call); }
    long long timeout() { return bridge_call_timeout($self->call); }
    void reply(int status, bridge_msg *maybe) { bridge_call_reply($self->call, status, maybe); }
}

typedef struct reading {} reading;
%extend reading {
    ~reading() { past_free($self); }
    void close() { past_close($self); }
    PyObject *take(int most, bridge_error *err) { return past_take($self, most, err); }
}

%newobject engine::read_history;
%newobject engine::listen;
%newobject engine::connect;
%newobject engine::route;
%newobject engine::transform;
%newobject engine::describe;
%newobject engine::subscribe;
%newobject engine::handle;
%newobject engine::on_access;
typedef struct engine {} engine;
%extend engine {
    engine(ticker *clock, bool want_log, int log_level, size_t max_message, size_t max_queue, bool offline,
           const char *store, bridge_error *err) {
        return engine_new(BRIDGE_OPTIONS(.log_level = log_level, .max_message = max_message, .max_queue = max_queue,
                                         .offline = offline, .store = store), clock, want_log, err);
    }
    ~engine() { engine_release($self); }
    void close() { engine_shut($self); }
    void forget() { engine_disown($self); }
    bool is_open() { return $self->b; }
    int turn(int most) { return engine_step($self, most); }
    void wake() { engine_poke($self); }
    int fd() { return $self->b ? bridge_fd($self->b) : -1; }
    int timeout() { return !$self->b ? -1 : $self->count ? 0 : bridge_timeout($self->b); }
    uint64_t lost() { return $self->lost; }

    /* Up to `most` of what happened, as (id, object, status). */
    PyObject *take(int most, PyObject *message_type) {
        PyObject *list = PyList_New(0), *row;
        event ev;

        while (list && most-- > 0 && engine_pop($self, &ev)) {
            row = event_row(&ev, (PyTypeObject *)message_type);
            event_done(&ev);
            if (!row || PyList_Append(list, row) < 0) Py_CLEAR(list);
            Py_XDECREF(row);
        }
        return list;
    }

    held *listen(const char *url, bridge_error *err) { return held_open($self, 0, 0, NULL, open_listener, url, err); }
    held *connect(const char *url, bridge_error *err) { return held_open($self, 0, 0, NULL, open_uplink, url, err); }
    held *route(const char *source, const char *target, const char *format, int ways, int keep, int max_qos,
                int priority, const char *transform, int on_error, bool lasting, bridge_error *err) {
        return held_open($self, 0, 0, NULL, open_route,
                         BRIDGE_ROUTE(.source = source, .target = target, .format = format,
                                      .ways = (bridge_ways)ways, .retain = (bridge_keep)keep, .max_qos = max_qos,
                                      .priority = priority, .transform = transform,
                                      .on_error = (bridge_on_error)on_error, .lasting = lasting), err);
    }
    void forget_route(const char *source, const char *target, bridge_error *err) {
        int rc;

        if (!is_open($self, err)) return;
        rc = bridge_route_forget($self->b, source, target, err);
        err->status = rc < 0 ? rc : 0;
    }
    held *transform(const char *name, PyObject *asked, bridge_error *err) {
        return held_open($self, 0, 0, asked, open_function, name, err);
    }
    held *describe(const char *pattern, const char *attributes, bridge_error *err) {
        const char *both[] = {pattern, attributes};
        return held_open($self, 0, 0, NULL, open_description, both, err);
    }
    held *subscribe(const char *pattern, uint64_t id, size_t most, bridge_error *err) {
        return held_open($self, id, most, NULL, open_subscription, pattern, err);
    }
    held *handle(const char *pattern, uint64_t id, bool watched, bridge_error *err) {
        return held_open($self, id, 0, NULL, watched ? open_owner : open_handler, pattern, err);
    }
    held *on_access(PyObject *asked, bridge_error *err) {
        return held_open($self, 0, 0, asked, open_policy, NULL, err);
    }
    held *on_credential(PyObject *asked, bridge_error *err) {
        return held_open($self, 0, 0, asked, open_credential, NULL, err);
    }
    void credentials_changed(const char *identity, bridge_error *err) {
        if (is_open($self, err)) err->status = bridge_credentials_changed($self->b, identity);
    }
    void load(const char *text, bridge_error *err) {
        int rc;

        if (!is_open($self, err)) return;
        rc = bridge_load($self->b, text, err);
        err->status = rc < 0 ? rc : 0;
    }
    void record_history(const char *pattern, int64_t keep, uint64_t records, int64_t resolution, bool none, bridge_error *err) {
        int rc;

        if (!is_open($self, err)) return;
        rc = bridge_record_history($self->b, pattern, none ? NULL : BRIDGE_HISTORY(.keep = keep, .records = records, .resolution = resolution), err);
        err->status = rc < 0 ? rc : 0;
    }
    reading *read_history(const char *filter, int64_t since, int64_t until, bool newest_first, bridge_error *err) {
        return past_open($self, filter, since, until, newest_first, err);
    }
    void publish(bridge_msg *msg, bridge_error *err) {
        if (is_open($self, err)) err->status = bridge_publish($self->b, msg);
    }
    void request(uint64_t id, int verb, bridge_msg *msg, int64_t timeout, bridge_error *err) {
        err->status = engine_ask($self, id, verb, msg, timeout);
    }
    PyObject *explain(const char *path, bridge_error *err) {
        int len = 4096, want;
        PyObject *text = NULL;
        char *room;

        if (!is_open($self, err)) return NULL;
        do {
            room = (char *)PyMem_Malloc((size_t)len);
            want = room ? bridge_explain($self->b, path, room, (size_t)len) : BRIDGE_NOMEM;
            if (want >= 0 && want < len) text = PyUnicode_DecodeUTF8(room, (Py_ssize_t)strlen(room), "replace");
            PyMem_Free(room);
        } while (want >= len && (len = want + 1) > 0);
        err->status = want < 0 ? want : 0;
        return text;
    }
    PyObject *listeners(bridge_error *err) {
        PyObject *list = is_open($self, err) ? PyList_New(0) : NULL;

        if (list) bridge_listeners($self->b, on_listener, list);
        return list;
    }
    PyObject *stats(bridge_error *err) {
        PyObject *list = is_open($self, err) ? PyList_New(0) : NULL;

        if (list) bridge_stats($self->b, on_stat, list);
        return list;
    }
}
