/* A stream socket that speaks in lines, served by the poller. */
#ifndef LANTERN_LANTERND_CONN_H
#define LANTERN_LANTERND_CONN_H

#include "common/linebuf.h"
#include "common/poller.h"

enum conn_end {
	CONN_EOF,      /* the peer sends no more; answers may still be sent */
	CONN_TOO_LONG, /* a line beyond the limit; nothing more is read */
	CONN_CLOSED,   /* nothing can be sent or read any more */
};

struct conn_events {
	void (*line)(void *arg, const char *line, size_t len);
	void (*end)(void *arg, enum conn_end end);
};

struct conn {
	int fd;
	struct poll_entry *entry;
	struct linebuf in;
	struct strbuf out;
	size_t sent;      /* bytes of `out` already written */
	size_t out_limit; /* a peer that lets more pile up is cut off */
	const struct conn_events *events;
	void *arg;
	size_t drained;   /* bytes thrown away since conn_finish() */
	bool reading;
	bool draining;
	bool finishing;
	bool saw_eof;
	bool overflow;
	bool busy;        /* within a callback: conn_free() must wait */
	bool freed;
};

/* Takes over FD and makes it non-blocking. */
struct conn *conn_new(struct poller *poller, int fd, size_t line_limit,
		      size_t out_limit, const struct conn_events *events,
		      void *arg);

/* Queues data; errors show up later as CONN_CLOSED. */
void conn_send(struct conn *conn, const void *data, size_t len);

/* Reads no more lines, sends what is queued, and then ends: CONN_CLOSED. */
void conn_finish(struct conn *conn);

/* Closes at once, whatever is queued. Allowed within the callbacks. */
void conn_free(struct conn *conn);

#endif
