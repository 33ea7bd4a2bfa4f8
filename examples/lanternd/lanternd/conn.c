#include "lanternd/conn.h"

#include "common/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE ((size_t)16 * 1024)

/* How much of a refused request is read and dropped before closing. */
#define DRAIN_LIMIT ((size_t)16 * 1024 * 1024)

static bool all_sent(const struct conn *conn)
{
	return conn->sent == conn->out.len;
}

static void update_events(struct conn *conn)
{
	short events = 0;

	if (conn->reading || conn->draining)
		events |= POLLIN;
	/* A finishing connection is asked once more, to close. */
	if (!all_sent(conn) || conn->overflow ||
	    (conn->finishing && !conn->draining))
		events |= POLLOUT;
	conn->entry->events = events;
}

static void end(struct conn *conn, enum conn_end how)
{
	conn->reading = false;
	if (how == CONN_CLOSED)
		conn->draining = false;
	conn->events->end(conn->arg, how);
}

static void hand_out_lines(struct conn *conn)
{
	char *line;
	size_t len;

	while (conn->reading && !conn->freed) {
		switch (linebuf_next(&conn->in, &line, &len)) {
		case LINEBUF_LINE:
			conn->events->line(conn->arg, line, len);
			break;
		case LINEBUF_MORE:
			return;
		case LINEBUF_TOO_LONG:
			end(conn, CONN_TOO_LONG);
			return;
		}
	}
}

static void do_read(struct conn *conn)
{
	char buf[READ_SIZE];
	ssize_t n = read(conn->fd, buf, sizeof(buf));

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			end(conn, CONN_CLOSED);
	} else if (n == 0) {
		conn->saw_eof = true;
		end(conn, conn->draining ? CONN_CLOSED : CONN_EOF);
	} else if (conn->draining) {
		conn->drained += (size_t)n;
		if (conn->drained > DRAIN_LIMIT)
			end(conn, CONN_CLOSED);
	} else {
		linebuf_feed(&conn->in, buf, (size_t)n);
		hand_out_lines(conn);
	}
}

static void do_write(struct conn *conn)
{
	if (conn->overflow) {
		end(conn, CONN_CLOSED);
		return;
	}
	if (!all_sent(conn)) {
		ssize_t n = send(conn->fd, conn->out.data + conn->sent,
				 conn->out.len - conn->sent, MSG_NOSIGNAL);

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				end(conn, CONN_CLOSED);
			return;
		}
		conn->sent += (size_t)n;
		if (!all_sent(conn))
			return;
		strbuf_reset(&conn->out);
		conn->sent = 0;
	}
	if (!conn->finishing || conn->draining)
		return;
	if (conn->saw_eof) {
		end(conn, CONN_CLOSED);
		return;
	}
	/*
	 * Closing with input unread would reset the connection, and the peer
	 * might lose the answer: let it hang up first.
	 */
	shutdown(conn->fd, SHUT_WR);
	conn->draining = true;
}

static void on_event(void *arg, short revents)
{
	struct conn *conn = arg;

	conn->busy = true;
	if (conn->reading || conn->draining) {
		if (revents & (POLLIN | POLLHUP | POLLERR))
			do_read(conn);
	} else if (revents & (POLLHUP | POLLERR)) {
		end(conn, CONN_CLOSED);
	}
	if (!conn->freed && (revents & POLLOUT))
		do_write(conn);
	conn->busy = false;
	if (conn->freed)
		free(conn);
	else
		update_events(conn);
}

struct conn *conn_new(struct poller *poller, int fd, size_t line_limit,
		      size_t out_limit, const struct conn_events *events,
		      void *arg)
{
	struct conn *conn = xcalloc(1, sizeof(*conn));

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	conn->fd = fd;
	linebuf_init(&conn->in, line_limit);
	strbuf_init(&conn->out);
	conn->out_limit = out_limit;
	conn->events = events;
	conn->arg = arg;
	conn->reading = true;
	conn->entry = poller_add(poller, fd, POLLIN, on_event, conn);
	return conn;
}

void conn_send(struct conn *conn, const void *data, size_t len)
{
	if (conn->overflow)
		return;
	if (conn->out.len - conn->sent + len > conn->out_limit)
		conn->overflow = true;
	else
		strbuf_add(&conn->out, data, len);
	update_events(conn);
}

void conn_finish(struct conn *conn)
{
	conn->finishing = true;
	conn->reading = false;
	update_events(conn);
}

void conn_free(struct conn *conn)
{
	poller_remove(conn->entry);
	close(conn->fd);
	linebuf_free(&conn->in);
	strbuf_free(&conn->out);
	conn->reading = false;
	conn->freed = true;
	if (!conn->busy)
		free(conn);
}
