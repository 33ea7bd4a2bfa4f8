/* The daemon: its state, its clients, its life. */
#ifndef LANTERN_LANTERND_DAEMON_H
#define LANTERN_LANTERND_DAEMON_H

#include "common/json_write.h"
#include "lanternd/events.h"
#include "lanternd/options.h"
#include "lanternd/plugins.h"
#include "lanternd/store.h"

struct daemon {
	const struct options *options;
	struct log log;
	struct poller poller;
	struct timers timers;
	struct store store;
	struct events events;
	struct plugins plugins;
	struct vec clients;        /* struct client * */
	uint64_t last_client;
	uint64_t started;          /* timers_clock() */
	uint64_t requests;
	uint64_t save_timer;       /* 0: nothing to save */
	struct poll_entry *listen; /* NULL while not listening */
	bool stop;
	int signal_pipe[2];
};

struct client {
	struct daemon *daemon;
	struct conn *conn;
	uint64_t id;
	uint64_t linger_timer;
	size_t pending; /* calls forwarded to plugins */
	bool eof;
};

enum {
	EXIT_OK = 0,
	EXIT_RUNTIME = 1,
	EXIT_USAGE = 2,
	EXIT_PLUGINS = 3,
};

void daemon_init(struct daemon *d, const struct options *options);
void daemon_free(struct daemon *d);

/* Serves until it is told to stop; one of the EXIT_ codes. */
int daemon_run(struct daemon *d);

/* Takes over a connected socket. */
struct client *daemon_add_client(struct daemon *d, int fd);

/* After each change of the lamps: saves soon, and tells the plugins. */
void daemon_lamps_changed(struct daemon *d, char action, const char *name);

#endif
