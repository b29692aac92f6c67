/* bridged.h - what the few files of the stand-alone bridge share. */
#ifndef BRIDGED_H
#define BRIDGED_H
#include "bridge/bridge.h"

enum { EXIT_OK = 0, EXIT_RUNTIME = 1, EXIT_USAGE = 2 };

typedef struct options {
    const char *config;   /* -c */
    const char *store;    /* --store */
    const char *explain;  /* --explain */
    const char *dry_run;  /* --dry-run */
    int64_t linger;       /* --linger, ms */
    const char *as;       /* --as; NULL: nobody */
    const char *listener; /* --listener; NULL: the only one of the protocol */
    char **urls;          /* what stands behind the options */
    int url_count;
    size_t max_memory; /* bytes; 0: no limit */
    int log_level;
    bool check_only;      /* --check-config */
} options;

/* Reads the command line.  Returns -1 to go on, else the exit code: the help was asked for, or something is wrong. */
int options_read(options *o, int argc, char **argv);

/* What recorded messages would come to; load reads the config and answers -1 when all is well. */
int dry_run(const options *o, int (*load)(const char *name, bridge *b));
int record_main(int argc, char **argv); /* bridged record ... */
int replay_main(int argc, char **argv);

/* Prints up to three commands that show something crossing the protocols which listen. */
typedef struct hints {
    char mqtt[128], http[128], coap[128]; /* the first listener of each, as URL; "" for none */
} hints;
void hints_note(hints *h, const char *url);
void hints_print(const hints *h);

#endif
