/* libcurl's multi interface on libuv: curl says which descriptors it waits for and until when, we say what became of them.
 *
 * curl's own memory is the process's (curl_global_init_mem() is for all bridges at once); what we keep of an answer is the bridge's. */
#include "loop/fetch.h"
#include "base/status.h"
#include "loop/internal.h"
#include <curl/curl.h>

struct fetcher {
    loop *loop;
    CURLM *multi;
    timer patience;  /* curl's */
    turn_end begin;  /* starts what waits, buries what was cancelled: never from within curl */
    list waiting, running, over;
    unsigned count;
};

struct fetch {
    struct fetcher *in;
    list link;
    CURL *easy;
    struct curl_slist *headers;
    fetch_fn fn; /* NULL: cancelled */
    bool (*on_data)(void *user, const fetch_answer *answer);
    void *user;
    buf body;
    size_t head;
    int broken; /* why we ended it ourselves */
    bool added, stop;
    char why[CURL_ERROR_SIZE];
};

typedef struct watched { /* a descriptor of curl's */
    uv_poll_t poll;
    struct fetcher *in;
    mem *mem;
    curl_socket_t fd;
} watched;

/* ---- what became of it */

static int outcome_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK: return 0;
    case CURLE_OPERATION_TIMEDOUT: return BRIDGE_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return BRIDGE_UNREACHABLE;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE: return BRIDGE_DENIED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return BRIDGE_INVALID;
    case CURLE_FILESIZE_EXCEEDED: return BRIDGE_TOOBIG; /* said so in Content-Length */
    case CURLE_OUT_OF_MEMORY: return BRIDGE_NOMEM;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE: return BRIDGE_CLOSED;
    default: return BRIDGE_PROTOCOL;
    }
}

static int status_of(const fetch *f)
{
    long status = 0;

    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

static void release(fetch *f)
{
    if (f->added) curl_multi_remove_handle(f->in->multi, f->easy);
    list_remove(&f->link);
    f->in->count--;
    curl_easy_cleanup(f->easy);
    curl_slist_free_all(f->headers);
    buf_done(&f->body);
    mem_free(f->in->loop->mem, f);
}

static void finish(fetch *f, CURLcode code)
{
    fetch_answer a = {.fetch = f, .outcome = f->broken ? f->broken : outcome_of(code), .status = status_of(f)};

    if (a.outcome < 0) a.why = f->broken ? bridge_status_text(f->broken) : f->why[0] ? f->why : curl_easy_strerror(code);
    a.body = f->body.data;
    a.len = f->body.len;
    if (f->fn) f->fn(f->user, &a);
    release(f);
}

static void look_for_ends(struct fetcher *in)
{
    CURLMsg *said;
    int more;

    while ((said = curl_multi_info_read(in->multi, &more))) {
        fetch *f = NULL;
        if (said->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(said->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        finish(f, said->data.result);
    }
}

/* ---- descriptors and time */

static void happened(struct fetcher *in, curl_socket_t fd, int what)
{
    int running;

    curl_multi_socket_action(in->multi, fd, what, &running);
    look_for_ends(in);
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
    watched *w = handle->data;
    int what = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);

    happened(w->in, w->fd, status < 0 ? CURL_CSELECT_ERR : what);
}

static void on_closed(uv_handle_t *handle)
{
    watched *w = handle->data;

    mem_free(w->mem, w);
}

static watched *watch_new(struct fetcher *in, curl_socket_t fd)
{
    watched *w = mem_new(in->loop->mem, watched);

    if (!w) return NULL;
    w->in = in;
    w->mem = in->loop->mem;
    w->fd = fd;
    if (uv_poll_init_socket(&in->loop->uv, &w->poll, fd) < 0) {
        mem_free(w->mem, w);
        return NULL;
    }
    w->poll.data = w;
    return w;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
    struct fetcher *in = user;
    watched *w = known;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (!w) return 0;
        uv_poll_stop(&w->poll);
        uv_close((uv_handle_t *)&w->poll, on_closed);
        curl_multi_assign(in->multi, fd, NULL);
        return 0;
    }
    if (!w) {
        w = watch_new(in, fd);
        if (!w) return -1; /* curl ends what uses it */
        curl_multi_assign(in->multi, fd, w);
    }
    uv_poll_start(&w->poll, (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0), on_ready);
    return 0;
}

static void on_time(timer *t)
{
    happened(list_of(t, struct fetcher, patience), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long ms, void *user)
{
    struct fetcher *in = user;

    (void)multi;
    if (ms < 0) timer_stop(&in->patience);
    else if (timer_start(&in->patience, in->loop, ms, on_time) < 0) return -1;
    return 0;
}

/* ---- bytes */

static size_t on_head(char *line, size_t size, size_t count, void *user)
{
    fetch *f = user;

    (void)line;
    f->head += size * count;
    if (f->head <= FETCH_MAX_HEAD) return size * count;
    f->broken = BRIDGE_TOOBIG;
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    fetch *f = user;
    size_t len = size * count;

    if (!f->fn) return 0;
    if (f->on_data) {
        fetch_answer a = {.fetch = f, .status = status_of(f), .body = (uint8_t *)data, .len = len};
        f->stop = !f->on_data(f->user, &a);
        if (f->stop) f->broken = BRIDGE_CANCELED;
    } else {
        f->broken = buf_put(&f->body, data, len);
    }
    return f->broken < 0 || !f->fn ? 0 : len;
}

text fetch_header(const fetch_answer *answer, const char *name)
{
    struct curl_header *h;

    if (curl_easy_header(answer->fetch->easy, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK) return (text){NULL, 0};
    if (h->amount > 1 && curl_easy_header(answer->fetch->easy, name, h->amount - 1, CURLH_HEADER, -1, &h) != CURLHE_OK)
        return (text){NULL, 0};
    return text_of(h->value);
}

void fetch_headers(const fetch_answer *answer, void (*fn)(void *, const char *, const char *), void *user)
{
    struct curl_header *h = NULL;

    while ((h = curl_easy_nextheader(answer->fetch->easy, CURLH_HEADER, -1, h)))
        fn(user, h->name, h->value);
}

/* ---- beginning */

static void on_turn_end(turn_end *t)
{
    struct fetcher *in = list_of(t, struct fetcher, begin);
    list *it;

    while ((it = list_pop(&in->over)))
        release(list_of(it, fetch, link));
    while ((it = list_pop(&in->waiting))) {
        fetch *f = list_of(it, fetch, link);
        list_push(&in->running, &f->link);
        f->added = curl_multi_add_handle(in->multi, f->easy) == CURLM_OK;
        if (!f->added) finish(f, CURLE_OUT_OF_MEMORY);
    }
}

static struct fetcher *fetcher_new(loop *l)
{
    struct fetcher *in = mem_new(l->mem, struct fetcher);

    if (!in) return NULL;
    curl_global_init(CURL_GLOBAL_DEFAULT); /* counted, and safe in threads: CURL_VERSION_THREADSAFE */
    in->multi = curl_multi_init();
    if (!in->multi) {
        curl_global_cleanup();
        mem_free(l->mem, in);
        return NULL;
    }
    in->loop = l;
    list_init(&in->waiting);
    list_init(&in->running);
    list_init(&in->over);
    turn_end_init(&in->begin, on_turn_end);
    curl_multi_setopt(in->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(in->multi, CURLMOPT_SOCKETDATA, in);
    curl_multi_setopt(in->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(in->multi, CURLMOPT_TIMERDATA, in);
    curl_multi_setopt(in->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)FETCH_PER_HOST);
    return in;
}

static void drop(list *all)
{
    while (!list_empty(all))
        release(list_of(all->next, fetch, link));
}

void fetch_end(loop *l)
{
    struct fetcher *in = l->fetcher;

    if (!in) return;
    turn_end_cancel(&in->begin);
    drop(&in->waiting);
    drop(&in->running);
    drop(&in->over);
    curl_multi_cleanup(in->multi);
    timer_stop(&in->patience);
    curl_global_cleanup();
    l->fetcher = NULL;
    mem_free(l->mem, in);
}

static bool is_one_line(const char *s)
{
    return !s[strcspn(s, "\r\n")];
}

static bool add_header(fetch *f, const char *line)
{
    struct curl_slist *more = is_one_line(line) ? curl_slist_append(f->headers, line) : NULL;

    if (more) f->headers = more;
    return more;
}

static void set_tls(CURL *c, const fetch_tls *tls)
{
    if (tls->ca) {
        curl_easy_setopt(c, CURLOPT_CAINFO, tls->ca);
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
    }
    if (tls->cert) curl_easy_setopt(c, CURLOPT_SSLCERT, tls->cert);
    if (tls->key || tls->cert) curl_easy_setopt(c, CURLOPT_SSLKEY, tls->key ? tls->key : tls->cert);
    if (tls->insecure) {
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static int set_body(fetch *f, const fetch_ask *ask)
{
    const char *method = ask->method ? ask->method : "GET";

    if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(f->easy, CURLOPT_NOBODY, 1L);
        return 0;
    }
    if (ask->body) {
        curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->len);
        if (curl_easy_setopt(f->easy, CURLOPT_COPYPOSTFIELDS, ask->len ? ask->body : "") != CURLE_OK) return BRIDGE_NOMEM;
        if (!add_header(f, "Expect:")) return BRIDGE_NOMEM; /* no second round trip for small bodies */
    }
    return curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, method) == CURLE_OK ? 0 : BRIDGE_NOMEM;
}

static bool has_header(const fetch_ask *ask, const char *name)
{
    for (const char *const *h = ask->headers; h && *h; h++)
        if (strncasecmp(*h, name, strlen(name)) == 0) return true;
    return false;
}

static int set_all(fetch *f, const fetch_ask *ask)
{
    CURL *c = f->easy;
    long timeout = (long)(ask->timeout > 0 ? ask->timeout : ask->timeout == 0 ? FETCH_TIME : 0);
    int rc = set_body(f, ask);

    for (const char *const *h = ask->headers; rc == 0 && h && *h; h++)
        if (!add_header(f, *h)) rc = is_one_line(*h) ? BRIDGE_NOMEM : BRIDGE_INVALID;
    if (rc == 0 && ask->body && !has_header(ask, "content-type:") && !add_header(f, "Content-Type:")) rc = BRIDGE_NOMEM;
    if (rc == 0 && !has_header(ask, "user-agent:") && !add_header(f, "User-Agent: libbridge")) rc = BRIDGE_NOMEM;
    if (rc == 0 && curl_easy_setopt(c, CURLOPT_URL, ask->url) != CURLE_OK) rc = BRIDGE_NOMEM;
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, f->headers);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L); /* a cancelled look-up of a name is left to its thread, not waited for */
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L); /* ".." is a name like others */
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)FETCH_CONNECT_TIME);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(c, CURLOPT_PRIVATE, f);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, f->why);
    if (!ask->on_data) curl_easy_setopt(c, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)f->body.max);
    if (ask->user) curl_easy_setopt(c, CURLOPT_USERNAME, ask->user);
    if (ask->password) curl_easy_setopt(c, CURLOPT_PASSWORD, ask->password);
    set_tls(c, &ask->tls);
    return rc;
}

int fetch_start(loop *l, const fetch_ask *ask, fetch_fn fn, void *user, fetch **out, bridge_error *err)
{
    struct fetcher *in = l->fetcher ? l->fetcher : (l->fetcher = fetcher_new(l));
    fetch *f;
    int rc;

    if (!in) return fail(err, BRIDGE_IO, "libcurl cannot be started");
    if (in->count >= FETCH_MAX) return fail(err, BRIDGE_BUSY, "%d requests are under way", FETCH_MAX);
    if (ask->method && !is_one_line(ask->method)) return fail(err, BRIDGE_INVALID, "a method is one word");
    f = mem_new(l->mem, fetch);
    if (!f) return fail_nomem(err);
    f->in = in;
    in->count++;
    f->fn = fn;
    f->on_data = ask->on_data;
    f->user = user;
    list_init(&f->link);
    buf_init(&f->body, l->mem, ask->max_body ? ask->max_body : FETCH_MAX_BODY);
    f->easy = curl_easy_init();
    rc = f->easy ? set_all(f, ask) : BRIDGE_NOMEM;
    if (rc < 0) {
        release(f);
        return rc == BRIDGE_INVALID ? fail(err, rc, "a header field is one line") : fail_nomem(err);
    }
    list_push(&in->waiting, &f->link);
    turn_end_want(l, &in->begin);
    if (out) *out = f;
    return 0;
}

void fetch_cancel(fetch *f)
{
    if (!f) return;
    f->fn = NULL;
    list_remove(&f->link);
    list_push(&f->in->over, &f->link);
    turn_end_want(f->in->loop, &f->in->begin);
}
