/*
 * The plugins: checked against plugins.sha256, started, spoken to in JSON
 * lines over a socket which is their standard input and output, stopped.
 */
#ifndef LANTERN_LANTERND_PLUGINS_H
#define LANTERN_LANTERND_PLUGINS_H

#include "common/json.h"
#include "common/log.h"
#include "common/timers.h"
#include "lanternd/conn.h"

#include <sys/types.h>

#define PLUGINS_LIST "plugins.sha256"

enum plugin_state {
	PLUGIN_STARTING,
	PLUGIN_READY,
	PLUGIN_DEAD,
};

struct plugin {
	struct plugins *owner;
	char *file;            /* its name within the directory */
	char *name;            /* what it calls itself, else its file name */
	char *version;
	pid_t pid;             /* -1 once reaped */
	struct conn *conn;     /* NULL once closed */
	enum plugin_state state;
	struct vec methods;    /* char * */
	struct vec calls;      /* struct plugin_call *, unanswered */
	bool wants_status;
};

/* Exactly one of the three is set. */
struct plugin_answer {
	const struct json *result;
	const struct json *error;
	const char *failure; /* the plugin died, was too slow, or babbled */
};

typedef void plugin_answer_fn(void *arg, uint64_t token,
			      const struct plugin_answer *answer);

struct plugins {
	struct vec list;       /* struct plugin * */
	struct poller *poller;
	struct timers *timers;
	struct log *log;
	uint64_t timeout_ms;   /* for an answer */
	uint64_t last_call;
	bool stopping;
	/* May the plugins not have this method? */
	bool (*reserved)(const char *method);
	/* Called when a plugin becomes ready or dead. */
	void (*changed)(void *arg, const struct plugin *plugin);
	void *arg;
};

void plugins_init(struct plugins *ps, struct poller *poller,
		  struct timers *timers, struct log *log, uint64_t timeout_ms);

/* The processes must have been stopped. */
void plugins_free(struct plugins *ps);

/* Verifies every file on DIR's list and starts them; stops at the first
 * failure, with a reason in ERR. */
bool plugins_start(struct plugins *ps, const char *dir, const char *version,
		   struct strbuf *err);

/* Starts one file, unverified. */
struct plugin *plugins_spawn(struct plugins *ps, const char *path,
			     const char *version, struct strbuf *err);

size_t plugins_count(const struct plugins *ps, enum plugin_state state);

/* NULL if no living plugin has the method. */
struct plugin *plugins_find_method(const struct plugins *ps,
				   const char *method);

/* FN is called once, later, whatever happens. */
void plugin_call(struct plugin *plugin, const char *method,
		 const struct json *params, plugin_answer_fn *fn, void *arg,
		 uint64_t token);

/* Sends NOTICE, a whole line, to the plugins that asked for the status. */
void plugins_notify(struct plugins *ps, const struct strbuf *notice);

/* After a SIGCHLD. */
void plugins_reap(struct plugins *ps);

/* Asks all to end. */
void plugins_stop(struct plugins *ps);
bool plugins_all_gone(const struct plugins *ps);
void plugins_kill(struct plugins *ps, int signal_number);

const char *plugin_state_name(enum plugin_state state);

#endif
