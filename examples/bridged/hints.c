/* hints.c - three commands to try, with the ports that really listen. */
#include "bridged.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void keep(char *into, size_t room, const char *url)
{
    if (!*into) snprintf(into, room, "%.*s", (int)strcspn(url, "?"), url);
}

void hints_note(hints *h, const char *url)
{
    if (strncmp(url, "mqtt://", 7) == 0) keep(h->mqtt, sizeof h->mqtt, url);
    if (strncmp(url, "http://", 7) == 0) keep(h->http, sizeof h->http, url);
    if (strncmp(url, "coap://", 7) == 0) keep(h->coap, sizeof h->coap, url);
}

/* "mqtt://[::1]:1883" is host "::1" and port "1883"; a name without port is 1883. */
static void host_and_port(const char *url, char *host, size_t room, char *port, size_t port_room)
{
    const char *at = url + strlen("mqtt://"), *end = at + strcspn(at, "/"), *colon = end;

    while (colon > at && *colon != ':' && *colon != ']') colon--;
    if (*colon != ':') colon = end;
    snprintf(port, port_room, "%.*s", colon < end ? (int)(end - colon - 1) : 4, colon < end ? colon + 1 : "1883");
    if (*at == '[') snprintf(host, room, "%.*s", (int)strcspn(at + 1, "]"), at + 1);
    else snprintf(host, room, "%.*s", (int)(colon - at), at);
}

static const char *slash(const char *url)
{
    return *url && url[strlen(url) - 1] == '/' ? "" : "/";
}

static bool is_in_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[512];

    for (size_t len; path && *path; path += len + (path[len] == ':')) {
        len = strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/%s", (int)len, path, program);
        if (access(file, X_OK) == 0) return true;
    }
    return false;
}

/* Debian 12 names it after its TLS library and has no plain name. */
static const char *coap_client(void)
{
    return is_in_path("coap-client") ? "coap-client" : "coap-client-notls";
}

void hints_print(const hints *h)
{
    char host[128], port[16];

    if (!*h->mqtt && !*h->http && !*h->coap) return;
    puts("try, in another terminal:");
    if (*h->mqtt) {
        host_and_port(h->mqtt, host, sizeof host, port, sizeof port);
        printf("  mosquitto_sub -h %s -p %s -t 'home/#' -v\n", host, port);
    }
    if (*h->http) printf("  curl -X PUT -d 21.5 %s%shome/kitchen/temperature\n", h->http, slash(h->http));
    if (*h->coap) printf("  %s -m get %s%shome/kitchen/temperature\n", coap_client(), h->coap, slash(h->coap));
}
