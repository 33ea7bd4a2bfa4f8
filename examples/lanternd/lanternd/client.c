/* Clients: their requests, and the answers to them. */
#include "lanternd/client.h"

#include "common/alloc.h"
#include "lanternd/methods.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OUT_LIMIT ((size_t)8 * 1024 * 1024)
#define LINGER_MS 5000

/* A request that was passed on to a plugin. */
struct forwarded {
	struct daemon *daemon;
	uint64_t client;
	struct strbuf id; /* as JSON */
};

static void begin_answer(struct strbuf *line, struct json_writer *w,
			 const struct json *id)
{
	strbuf_init(line);
	jsonw_init(w, line);
	jsonw_object_begin(w, NULL);
	jsonw_value(w, "id", id);
}

static void send_answer(struct client *client, struct strbuf *line,
			struct json_writer *w)
{
	jsonw_object_end(w);
	strbuf_addc(line, '\n');
	conn_send(client->conn, line->data, line->len);
	strbuf_free(line);
}

static void write_error(struct json_writer *w, int code, const char *message)
{
	jsonw_object_begin(w, "error");
	jsonw_int(w, "code", code);
	jsonw_string(w, "message", message);
	jsonw_object_end(w);
}

static void refuse(struct client *client, const struct json *id, int code,
		   const char *message)
{
	struct json_writer w;
	struct strbuf line;

	begin_answer(&line, &w, id);
	write_error(&w, code, message);
	send_answer(client, &line, &w);
}

static struct client *find_client(struct daemon *d, uint64_t id)
{
	size_t i;

	for (i = 0; i < d->clients.len; i++) {
		struct client *client = d->clients.items[i];

		if (client->id == id)
			return client;
	}
	return NULL;
}

static void on_plugin_answer(void *arg, uint64_t token,
			     const struct plugin_answer *answer)
{
	struct forwarded *fw = arg;
	struct client *client = find_client(fw->daemon, fw->client);
	struct json *id = json_parse(fw->id.data, fw->id.len, NULL);
	struct json_writer w;
	struct strbuf line;

	(void)token;
	/* The client may have gone meanwhile. */
	if (client) {
		begin_answer(&line, &w, id);
		if (answer->result)
			jsonw_value(&w, "result", answer->result);
		else if (answer->error)
			jsonw_value(&w, "error", answer->error);
		else
			write_error(&w, ERROR_PLUGIN, answer->failure);
		send_answer(client, &line, &w);
		if (--client->pending == 0 && client->eof)
			conn_finish(client->conn);
	}
	json_free(id);
	strbuf_free(&fw->id);
	free(fw);
}

static void forward(struct client *client, struct plugin *plugin,
		    const struct json *id, const char *method,
		    const struct json *params)
{
	struct forwarded *fw = xmalloc(sizeof(*fw));
	struct json_writer w;

	fw->daemon = client->daemon;
	fw->client = client->id;
	strbuf_init(&fw->id);
	jsonw_init(&w, &fw->id);
	jsonw_value(&w, NULL, id);
	client->pending++;
	plugin_call(plugin, method, params, on_plugin_answer, fw, 0);
}

static void answer_builtin(struct client *client, const struct method *method,
			   const struct json *id, const struct json *params)
{
	struct method_error err = {0};
	struct json_writer w;
	struct strbuf line;

	strbuf_init(&err.message);
	begin_answer(&line, &w, id);
	if (!method->fn(client->daemon, params, &w, &err))
		write_error(&w, err.code, err.message.data);
	send_answer(client, &line, &w);
	strbuf_free(&err.message);
}

static bool id_valid(const struct json *id)
{
	return !id || id->type == JSON_NUMBER || id->type == JSON_STRING ||
	       id->type == JSON_NULL;
}

static void dispatch(struct client *client, const struct json *request)
{
	const struct json *id = json_get(request, "id");
	const struct json *params = json_get(request, "params");
	const char *name = json_string(json_get(request, "method"));
	struct daemon *d = client->daemon;
	const struct method *method;
	struct plugin *plugin;

	if (!id_valid(id)) {
		refuse(client, NULL, ERROR_REQUEST,
		       "id: expected a number, a string or null");
		return;
	}
	if (!name) {
		refuse(client, id, ERROR_REQUEST,
		       "expected an object with a method");
		return;
	}
	if (params && params->type != JSON_OBJECT) {
		refuse(client, id, ERROR_PARAMS, "params: expected an object");
		return;
	}
	method = methods_find(name);
	if (method) {
		answer_builtin(client, method, id, params);
		return;
	}
	plugin = plugins_find_method(&d->plugins, name);
	if (plugin)
		forward(client, plugin, id, name, params);
	else
		refuse(client, id, ERROR_METHOD, "there is no such method");
}

static void on_line(void *arg, const char *line, size_t len)
{
	struct client *client = arg;
	struct daemon *d = client->daemon;
	struct json_error error;
	struct json *request;
	struct strbuf message;

	if (len == 0)
		return;
	d->requests++;
	request = json_parse(line, len, &error);
	if (!request) {
		strbuf_init(&message);
		strbuf_addf(&message, "%s, at byte %zu", error.message,
			    error.offset);
		events_refused(&d->events, (uint64_t)time(NULL), client->id,
			       message.data);
		log_add(&d->log, LOG_INFO, "client %llu: bad JSON: %s",
			(unsigned long long)client->id, message.data);
		refuse(client, NULL, ERROR_PARSE, message.data);
		strbuf_free(&message);
		return;
	}
	dispatch(client, request);
	json_free(request);
}

static void on_linger(void *arg)
{
	struct client *client = arg;

	client->linger_timer = 0;
	client_free(client);
}

static void on_end(void *arg, enum conn_end how)
{
	struct client *client = arg;
	struct daemon *d = client->daemon;

	switch (how) {
	case CONN_EOF:
		client->eof = true;
		if (!client->pending)
			conn_finish(client->conn);
		break;
	case CONN_TOO_LONG:
		events_refused(&d->events, (uint64_t)time(NULL), client->id,
			       "request too long");
		log_add(&d->log, LOG_WARNING, "client %llu: request too long",
			(unsigned long long)client->id);
		refuse(client, NULL, ERROR_TOO_LONG,
		       "the request is too long");
		conn_finish(client->conn);
		client->linger_timer = timers_add(&d->timers,
						  timers_clock() + LINGER_MS,
						  on_linger, client);
		break;
	case CONN_CLOSED:
		client_free(client);
		break;
	}
}

struct client *daemon_add_client(struct daemon *d, int fd)
{
	static const struct conn_events events = {on_line, on_end};
	struct client *client = xcalloc(1, sizeof(*client));

	client->daemon = d;
	client->id = ++d->last_client;
	client->conn = conn_new(&d->poller, fd, d->options->max_request,
				OUT_LIMIT, &events, client);
	vec_push(&d->clients, client);
	log_add(&d->log, LOG_DEBUG, "client %llu: connected",
		(unsigned long long)client->id);
	return client;
}

void client_free(struct client *client)
{
	struct daemon *d = client->daemon;

	log_add(&d->log, LOG_DEBUG, "client %llu: gone",
		(unsigned long long)client->id);
	vec_remove(&d->clients, vec_find(&d->clients, client));
	timers_cancel(&d->timers, client->linger_timer);
	conn_free(client->conn);
	free(client);
}
