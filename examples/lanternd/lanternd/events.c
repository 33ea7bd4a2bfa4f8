#include "lanternd/events.h"

#include "wire/event_wiregen.h"

#include <string.h>

void events_init(struct events *e, size_t size)
{
	ring_init(&e->ring, size);
}

void events_free(struct events *e)
{
	ring_free(&e->ring);
}

static void push(struct events *e, struct strbuf *message)
{
	ring_push(&e->ring, message->data, message->len);
	strbuf_free(message);
}

void events_started(struct events *e, uint64_t time, const char *version,
		    uint32_t pid)
{
	/* The messages own their strings only when they were read. */
	const struct event_started msg = {time, (char *)version, pid};
	struct strbuf out;

	strbuf_init(&out);
	towire_event_started(&out, &msg);
	push(e, &out);
}

void events_lamp(struct events *e, uint64_t time, char action, const char *name)
{
	const struct event_lamp msg = {time, (uint8_t)action, (char *)name};
	struct strbuf out;

	strbuf_init(&out);
	towire_event_lamp(&out, &msg);
	push(e, &out);
}

void events_plugin(struct events *e, uint64_t time, const char *name,
		   const char *state, const struct vec *methods)
{
	const struct event_plugin msg = {
		.time = time,
		.name = (char *)name,
		.state = (char *)state,
		.methods = (char **)methods->items,
		.n_methods = (uint16_t)methods->len,
	};
	struct strbuf out;

	strbuf_init(&out);
	towire_event_plugin(&out, &msg);
	push(e, &out);
}

void events_refused(struct events *e, uint64_t time, uint64_t client,
		    const char *reason)
{
	const struct event_request_refused msg = {time, client, (char *)reason};
	struct strbuf out;

	strbuf_init(&out);
	towire_event_request_refused(&out, &msg);
	push(e, &out);
}

static void begin(struct json_writer *w, const char *event, uint64_t time)
{
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "event", event);
	jsonw_uint(w, "time", time);
}

static void write_started(struct json_writer *w, const void *data, size_t len)
{
	struct event_started msg;

	if (!fromwire_event_started(data, len, &msg))
		return;
	begin(w, "started", msg.time);
	jsonw_string(w, "version", msg.version);
	jsonw_uint(w, "pid", msg.pid);
	jsonw_object_end(w);
	event_started_clear(&msg);
}

static void write_lamp(struct json_writer *w, const void *data, size_t len)
{
	struct event_lamp msg;

	if (!fromwire_event_lamp(data, len, &msg))
		return;
	begin(w, msg.action == 'a' ? "lamp-added" :
	      msg.action == 'c' ? "lamp-changed" : "lamp-deleted", msg.time);
	jsonw_string(w, "name", msg.name);
	jsonw_object_end(w);
	event_lamp_clear(&msg);
}

static void write_plugin(struct json_writer *w, const void *data, size_t len)
{
	struct event_plugin msg;
	size_t i;

	if (!fromwire_event_plugin(data, len, &msg))
		return;
	begin(w, "plugin", msg.time);
	jsonw_string(w, "name", msg.name);
	jsonw_string(w, "state", msg.state);
	jsonw_array_begin(w, "methods");
	for (i = 0; i < msg.n_methods; i++)
		jsonw_string(w, NULL, msg.methods[i]);
	jsonw_array_end(w);
	jsonw_object_end(w);
	event_plugin_clear(&msg);
}

static void write_refused(struct json_writer *w, const void *data, size_t len)
{
	struct event_request_refused msg;

	if (!fromwire_event_request_refused(data, len, &msg))
		return;
	begin(w, "request-refused", msg.time);
	jsonw_uint(w, "client", msg.client);
	jsonw_string(w, "reason", msg.reason);
	jsonw_object_end(w);
	event_request_refused_clear(&msg);
}

static void write_one(const void *data, size_t len, void *arg)
{
	switch (event_wire_peek(data, len)) {
	case WIRE_EVENT_STARTED:
		write_started(arg, data, len);
		break;
	case WIRE_EVENT_LAMP:
		write_lamp(arg, data, len);
		break;
	case WIRE_EVENT_PLUGIN:
		write_plugin(arg, data, len);
		break;
	case WIRE_EVENT_REQUEST_REFUSED:
		write_refused(arg, data, len);
		break;
	}
}

void events_write(const struct events *e, struct json_writer *w,
		  const char *key)
{
	jsonw_array_begin(w, key);
	ring_each(&e->ring, write_one, w);
	jsonw_array_end(w);
}
