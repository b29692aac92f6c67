/* Questions about the past, from any protocol: GET $history/<path>?from=&to=&limit=&order=&aggregate=&step=&as=, or the same words as the
 * payload, and path= for a filter.  They are read on a thread of their own, so that the loop never waits for the disk. */
#include "hub/history.h"
#include "base/status.h"
#include "core/url.h"
#include <signal.h>
#include <stdlib.h>
#include <time.h>

typedef struct history_job {
    struct history_job *next;
    list link; /* in history->waiting */
    bridge_store_wait wait;
    history *history;
    bridge_call *call;
    char *path; /* of the answer */
    history_range range;
    history_name *names;
    size_t count;
} history_job;

/* ---- the words of a question */

/* Times beyond all times are the last one, and the first. */
static int64_t whole(double ms)
{
    const double most = (double)((int64_t)1 << 62);

    return (int64_t)(ms > most ? most : ms < -most ? -most : ms);
}

/* +01:00 [RFC 3339 5.6] */
static int read_offset(const char *word, int64_t *out)
{
    static const char least[] = "+00:00", most[] = "+29:59";

    if (strlen(word) != sizeof least - 1) return BRIDGE_SYNTAX;
    for (size_t i = 1; i < sizeof least - 1; i++)
        if (word[i] < least[i] || word[i] > most[i]) return BRIDGE_SYNTAX;
    int hours = (word[1] - '0') * 10 + word[2] - '0', minutes = (word[4] - '0') * 10 + word[5] - '0';
    int64_t shift = (hours * 60 + minutes) * INT64_C(60000);
    *out += *word == '+' ? -shift : shift;
    return hours < 24 ? 0 : BRIDGE_SYNTAX;
}

/* ms since 1970: digits (seconds up to 11 of them, else ms), RFC 3339, or -1h before now. */
static int read_time(text t, int64_t now, int64_t *out)
{
    char word[40], *end;
    struct tm tm = {0};

    if (t.len == 0 || t.len >= sizeof word) return BRIDGE_SYNTAX;
    memcpy(word, t.p, t.len);
    word[t.len] = 0;
    if (strcmp(word, "now") == 0) return *out = now, 0;
    double n = strtod(word, &end);
    if (n != n) return BRIDGE_SYNTAX;
    if (end > word && *end == 0) return *out = whole(t.len <= 11 || strchr(word, '.') ? n * 1000 : n), 0;
    if (word[0] == '-' && end[0] && !end[1]) {
        int64_t unit = *end == 's' ? 1000 : *end == 'm' ? 60000 : *end == 'h' ? 3600000 : *end == 'd' ? 86400000 : 0;
        return unit ? (*out = now + whole(n * (double)unit), 0) : BRIDGE_SYNTAX;
    }
    end = strptime(word, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end) end = strptime(word, "%Y-%m-%d", &tm);
    if (!end) return BRIDGE_SYNTAX;
    *out = (int64_t)timegm(&tm) * 1000;
    if (*end == '.') *out += whole(strtod(end, &end) * 1000 + 0.5);
    if (*end == '+' || *end == '-') return read_offset(end, out);
    return *end == 0 || strcmp(end, "Z") == 0 ? 0 : BRIDGE_SYNTAX;
}

#define STEP_MOST ((uint64_t)1 << 48) /* ms; nine thousand years */

static int read_step(text t, int64_t *out)
{
    int64_t unit = 1000;
    uint64_t n;

    if (t.len > 2 && memcmp(t.p + t.len - 2, "ms", 2) == 0) unit = 1, t.len -= 2;
    else if (t.len > 1 && strchr("smhd", t.p[t.len - 1])) {
        char c = t.p[--t.len];
        unit = c == 's' ? 1000 : c == 'm' ? 60000 : c == 'h' ? 3600000 : 86400000;
    }
    if (!text_to_u64(t, STEP_MOST / (uint64_t)unit, &n) || n == 0) return BRIDGE_SYNTAX;
    *out = (int64_t)n * unit;
    return 0;
}

static int choose(text t, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (text_is(t, words[i])) return i;
    return BRIDGE_SYNTAX;
}

static int take_word(history_range *r, text key, text value, int64_t now, const char **wrong)
{
    static const char *const says[] = {"json", "csv", "senml", "columns", NULL};
    static const char *const sums[] = {"none", "mean", "min", "max", "sum", "count", "first", "last", NULL};
    static const char *const orders[] = {"up", "down", NULL};
    uint64_t n;
    int i;

    if (text_is(key, "from")) return *wrong = "from: a time", read_time(value, now, &r->from);
    if (text_is(key, "to")) return *wrong = "to: a time", read_time(value, now, &r->upto);
    if (text_is(key, "step")) return *wrong = "step: 60s, 5m, 1h, 1d", read_step(value, &r->step);
    if (text_is(key, "limit")) {
        *wrong = "limit: 1 to 1000000";
        if (!text_to_u64(value, HISTORY_LIMIT_MAX, &n) || n == 0) return BRIDGE_SYNTAX;
        return r->limit = (size_t)n, 0;
    }
    if (text_is(key, "as")) return *wrong = "as: json, csv, senml or columns", i = choose(value, says), i < 0 ? i : (r->as = (unsigned)i, 0);
    if (text_is(key, "aggregate"))
        return *wrong = "aggregate: mean, min, max, sum, count, first or last", i = choose(value, sums), i < 0 ? i : (r->aggregate = (unsigned)i, 0);
    if (text_is(key, "order")) return *wrong = "order: up or down", i = choose(value, orders), i < 0 ? i : (r->newest_first = i, 0);
    *wrong = "the words are path, from, to, limit, order, aggregate, step, as";
    return BRIDGE_INVALID;
}

/* filter: what path= says, else as it was. */
static int read_words(mem *m, history_range *r, text words, int64_t now, buf *filter, const char **wrong)
{
    text one, key, value;
    int rc = 0;

    while (rc == 0 && words.len) {
        buf plain;
        text_cut(words, '&', &one, &words);
        if (one.len == 0) continue;
        text_cut(one, '=', &key, &value);
        buf_init(&plain, m, 65536);
        rc = text_percent_decode(&plain, value);
        *wrong = "a bad escape";
        if (rc == 0 && text_is(key, "path")) {
            buf_clear(filter);
            rc = buf_put(filter, plain.data, plain.len);
        } else if (rc == 0) {
            rc = take_word(r, key, (text){(char *)plain.data, plain.len}, now, wrong);
        }
        buf_done(&plain);
    }
    return rc;
}

/* ---- answering */

static void say_no(hub *h, bridge_call *call, int status, const char *why)
{
    bridge_fields f = {.size = sizeof f, .path = bridge_call_msg(call)->path, .data = why, .len = why ? strlen(why) : 0, .format = BRIDGE_TEXT};
    bridge_msg *msg = NULL;

    if (why) msg_new(h->mem, &f, NULL, &msg);
    bridge_call_reply(call, status, msg);
    bridge_msg_unref(msg);
}

static void job_free(mem *m, history_job *j)
{
    bridge_call_unref(j->call);
    history_names_free(m, j->names, j->count);
    mem_free(m, j->path);
    mem_free(m, j);
}

static void run_job(history *x, history_job *j)
{
    static const bridge_format formats[] = {[SAY_JSON] = BRIDGE_JSON, [SAY_CSV] = BRIDGE_FORMAT_NAMED, [SAY_SENML] = BRIDGE_SENML_JSON, [SAY_COLUMNS] = BRIDGE_JSON};
    mem *m = x->hub->mem;
    bridge_msg *msg = NULL;
    buf out;
    int rc;

    buf_init(&out, m, HISTORY_ANSWER_MAX);
    rc = history_say(x->hub->store, m, &j->range, j->names, j->count, &x->quit, &out);
    if (rc == 0) {
        bridge_fields f = {.size = sizeof f, .path = j->path, .data = out.data, .len = out.len, .format = formats[j->range.as]};
        if (j->range.as == SAY_CSV) f.media_type = "text/csv; charset=utf-8";
        rc = msg_new(m, &f, NULL, &msg);
    }
    buf_done(&out);
    bridge_call_reply(j->call, rc, msg);
    bridge_msg_unref(msg);
}

static void *read_on(void *user)
{
    history *x = user;

    pthread_mutex_lock(&x->lock);
    for (;;) {
        while (!x->first && !atomic_load(&x->quit)) pthread_cond_wait(&x->wake, &x->lock);
        history_job *j = x->first;
        if (!j) break;
        x->first = j->next;
        if (!x->first) x->last = &x->first;
        x->jobs--;
        pthread_mutex_unlock(&x->lock);
        if (!atomic_load(&x->quit)) run_job(x, j);
        job_free(x->hub->mem, j);
        pthread_mutex_lock(&x->lock);
    }
    pthread_mutex_unlock(&x->lock);
    return NULL;
}

static int start_reading(history *x)
{
    sigset_t all, was;
    int rc;

    if (x->running) return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was);
    rc = pthread_create(&x->thread, NULL, read_on, x);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    x->running = rc == 0;
    return rc == 0 ? 0 : BRIDGE_IO;
}

static int queue_job(history *x, history_job *j)
{
    int rc = start_reading(x);

    if (rc < 0) return rc;
    pthread_mutex_lock(&x->lock);
    if (x->jobs >= HISTORY_JOBS_MAX) {
        rc = BRIDGE_BUSY;
    } else {
        *x->last = j;
        x->last = &j->next;
        x->jobs++;
        pthread_cond_signal(&x->wake);
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

/* What was recorded before the question is part of the answer. */
static void on_written(bridge_store_wait *w, int status)
{
    history_job *j = list_of(w, history_job, wait);
    history *x = j->history;
    int rc;

    list_remove(&j->link);
    rc = status == BRIDGE_CLOSED ? status : queue_job(x, j); /* from here on it is the reader's */
    if (rc == 0) return;
    bridge_call_reply(j->call, rc, NULL);
    job_free(x->hub->mem, j);
}

static int take_question(history *x, bridge_call *call, history_job *j, const char **wrong)
{
    static const char prefix[] = "$history/";
    hub *h = x->hub;
    const bridge_msg *msg = bridge_call_msg(call);
    const bridge_terms *terms = bridge_call_terms(call);
    buf filter;
    int rc = 0;

    j->range = (history_range){.upto = INT64_MAX, .limit = HISTORY_LIMIT};
    buf_init(&filter, h->mem, 65536);
    if (strncmp(msg->path, prefix, sizeof prefix - 1) == 0) rc = buf_text(&filter, msg->path + sizeof prefix - 1);
    if (rc == 0 && terms && terms->query) rc = read_words(h->mem, &j->range, text_of(terms->query), loop_calendar(h->loop), &filter, wrong);
    if (rc == 0 && msg->len)
        rc = read_words(h->mem, &j->range, (text){(const char *)msg_data(msg), msg->len}, loop_calendar(h->loop), &filter, wrong);
    if (rc == 0 && filter.len == 0) {
        *wrong = "which path?";
        rc = BRIDGE_INVALID;
    } else if (rc == 0) {
        *wrong = NULL;
    }
    if (rc == 0) rc = buf_cstr(&filter) ? history_names(h, hub_call_from(call), (char *)filter.data, h->mem, &j->names, &j->count) : BRIDGE_NOMEM;
    if (rc == BRIDGE_SYNTAX && !*wrong) *wrong = "not a pattern";
    buf_done(&filter);
    return rc;
}

static void on_call(void *user, bridge_call *call)
{
    history *x = user;
    mem *m = x->hub->mem;
    bridge_verb verb = bridge_call_verb(call);
    const char *wrong = NULL;
    history_job *j;
    int rc;

    if (verb != BRIDGE_GET && verb != BRIDGE_POST) {
        bridge_call_reply(call, BRIDGE_METHOD, NULL);
        return;
    }
    j = mem_new(m, history_job);
    rc = j ? 0 : BRIDGE_NOMEM;
    if (rc == 0) j->path = mem_text(m, bridge_call_msg(call)->path);
    if (rc == 0) rc = j->path ? take_question(x, call, j, &wrong) : BRIDGE_NOMEM;
    if (rc == 0) {
        j->call = bridge_call_ref(call);
        j->history = x;
        j->wait.fn = on_written;
        list_push(&x->waiting, &j->link);
        bridge_store_when(x->hub->store, &j->wait);
        return;
    }
    say_no(x->hub, call, rc, wrong);
    if (j) job_free(m, j);
}

int history_listen(history *x)
{
    const bridge_owner_fns fns = {.size = sizeof fns, .call = on_call};

    x->last = &x->first;
    list_init(&x->waiting);
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->wake, NULL);
    return bridge_peer_own(x->hub->app, "$history/{path...}", &fns, x, &x->owner);
}

void history_deaf(history *x)
{
    pthread_mutex_lock(&x->lock);
    atomic_store(&x->quit, true);
    pthread_cond_signal(&x->wake);
    pthread_mutex_unlock(&x->lock);
    if (x->running) pthread_join(x->thread, NULL);
    for (list *it; (it = list_pop(&x->waiting));) {
        history_job *j = list_of(it, history_job, link);
        bridge_store_forget(&j->wait);
        job_free(x->hub->mem, j);
    }
    while (x->first) {
        history_job *j = x->first;
        x->first = j->next;
        job_free(x->hub->mem, j);
    }
    bridge_owner_close(x->owner);
    pthread_cond_destroy(&x->wake);
    pthread_mutex_destroy(&x->lock);
}
