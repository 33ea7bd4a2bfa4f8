#include "lanternd/methods.h"

#include "common/alloc.h"
#include "common/colour.h"
#include "common/filesum.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool fail(struct method_error *err, int code, const char *message)
{
	err->code = code;
	strbuf_adds(&err->message, message);
	return false;
}

static bool get_info(struct daemon *d, const struct json *params,
		     struct json_writer *w, struct method_error *err)
{
	(void)params;
	(void)err;
	jsonw_object_begin(w, "result");
	jsonw_string(w, "version", LANTERN_VERSION);
	jsonw_int(w, "pid", getpid());
	jsonw_uint(w, "uptime-ms", timers_clock() - d->started);
	jsonw_uint(w, "lamps", d->store.lamps.len);
	jsonw_uint(w, "lit", d->store.lit);
	jsonw_uint(w, "clients", d->clients.len);
	jsonw_uint(w, "requests", d->requests);
	jsonw_uint(w, "plugins", plugins_count(&d->plugins, PLUGIN_READY));
	jsonw_string(w, "checksum", filesum_mode);
	jsonw_string(w, "log-level", log_level_name(d->log.level));
	jsonw_object_end(w);
	return true;
}

static bool ping(struct daemon *d, const struct json *params,
		 struct json_writer *w, struct method_error *err)
{
	(void)d;
	(void)params;
	(void)err;
	jsonw_string(w, "result", "pong");
	return true;
}

static bool echo(struct daemon *d, const struct json *params,
		 struct json_writer *w, struct method_error *err)
{
	(void)d;
	(void)err;
	jsonw_value(w, "result", params);
	return true;
}

static bool list_plugins(struct daemon *d, const struct json *params,
			 struct json_writer *w, struct method_error *err)
{
	size_t i, j;

	(void)params;
	(void)err;
	jsonw_array_begin(w, "result");
	for (i = 0; i < d->plugins.list.len; i++) {
		const struct plugin *plugin = d->plugins.list.items[i];

		jsonw_object_begin(w, NULL);
		jsonw_string(w, "name", plugin->name);
		jsonw_string(w, "file", plugin->file);
		jsonw_string(w, "state", plugin_state_name(plugin->state));
		if (plugin->version)
			jsonw_string(w, "version", plugin->version);
		if (plugin->pid > 0)
			jsonw_int(w, "pid", plugin->pid);
		jsonw_array_begin(w, "methods");
		for (j = 0; j < plugin->methods.len; j++)
			jsonw_string(w, NULL, plugin->methods.items[j]);
		jsonw_array_end(w);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
	return true;
}

/* Sets what PARAMS mention; the tags are allocated. */
static bool read_lamp(const struct json *params, struct lamp_record *lamp,
		      struct method_error *err)
{
	const struct json *watts = json_get(params, "watts");
	const struct json *lit = json_get(params, "lit");
	const struct json *colour = json_get(params, "colour");
	const struct json *tags = json_get(params, "tags");
	int64_t number;
	size_t i;

	if (watts) {
		if (!json_int64(watts, &number) || number < 0 ||
		    number > UINT16_MAX)
			return fail(err, ERROR_PARAMS, "watts: expected a number from 0 to 65535");
		lamp->watts = (uint16_t)number;
	}
	if (lit && !json_bool(lit, &lamp->lit))
		return fail(err, ERROR_PARAMS, "lit: expected true or false");
	if (colour && (!json_string(colour) ||
		       !colour_parse(json_string(colour), &lamp->colour)))
		return fail(err, ERROR_PARAMS, "colour: expected \"#rrggbb\"");
	if (!tags)
		return true;
	if (tags->type != JSON_ARRAY || tags->len > STORE_TAGS_MAX)
		return fail(err, ERROR_PARAMS, "tags: expected a list of at most 16");
	for (i = 0; i < tags->len; i++)
		if (!json_string(tags->items[i]) ||
		    !store_name_valid(json_string(tags->items[i])))
			return fail(err, ERROR_PARAMS, "tags: expected names");
	/* Borrowed from PARAMS: the store copies. */
	lamp->tags = tags->len ? xcalloc(tags->len, sizeof(*lamp->tags)) : NULL;
	for (i = 0; i < tags->len; i++)
		lamp->tags[i] = tags->items[i]->text;
	lamp->n_tags = (uint16_t)tags->len;
	return true;
}

static void write_lamp(struct json_writer *w, const char *key,
		       const struct lamp_record *lamp)
{
	char colour[COLOUR_TEXT_SIZE];
	size_t i;

	colour_format(lamp->colour, colour);
	jsonw_object_begin(w, key);
	jsonw_string(w, "name", lamp->name);
	jsonw_uint(w, "watts", lamp->watts);
	jsonw_bool(w, "lit", lamp->lit);
	jsonw_string(w, "colour", colour);
	jsonw_array_begin(w, "tags");
	for (i = 0; i < lamp->n_tags; i++)
		jsonw_string(w, NULL, lamp->tags[i]);
	jsonw_array_end(w);
	jsonw_object_end(w);
}

/* The name in PARAMS, which every method on one lamp needs. */
static const char *lamp_name(const struct json *params,
			     struct method_error *err)
{
	const char *name = json_string(json_get(params, "name"));

	if (name && store_name_valid(name))
		return name;
	fail(err, ERROR_PARAMS, "name: expected 1 to 64 letters, digits, '-', '_' or '.'");
	return NULL;
}

static bool store_result(struct daemon *d, enum store_status status,
			 char action, const char *name, struct json_writer *w,
			 struct method_error *err)
{
	switch (status) {
	case STORE_OK:
		break;
	case STORE_EXISTS:
		return fail(err, ERROR_EXISTS, "there is a lamp of that name");
	case STORE_MISSING:
		return fail(err, ERROR_MISSING, "there is no lamp of that name");
	case STORE_FULL:
		return fail(err, ERROR_FULL, "there is no room for another lamp");
	case STORE_INVALID:
		return fail(err, ERROR_PARAMS, "that is no valid lamp");
	}
	if (action == 'd') {
		jsonw_object_begin(w, "result");
		jsonw_string(w, "deleted", name);
		jsonw_object_end(w);
	} else {
		write_lamp(w, "result", store_get(&d->store, name));
	}
	daemon_lamps_changed(d, action, name);
	return true;
}

static bool add(struct daemon *d, const struct json *params,
		struct json_writer *w, struct method_error *err)
{
	const char *name = lamp_name(params, err);
	struct lamp_record lamp = {
		.name = (char *)name, .watts = 10, .colour = 0xffffff,
	};
	enum store_status status;

	if (!name || !read_lamp(params, &lamp, err))
		return false;
	status = store_add(&d->store, &lamp);
	free(lamp.tags);
	return store_result(d, status, 'a', name, w, err);
}

static bool set(struct daemon *d, const struct json *params,
		struct json_writer *w, struct method_error *err)
{
	const char *name = lamp_name(params, err);
	const struct lamp_record *old;
	enum store_status status;
	struct lamp_record lamp;

	if (!name)
		return false;
	old = store_get(&d->store, name);
	if (!old)
		return store_result(d, STORE_MISSING, 'c', name, w, err);
	lamp = *old;
	if (!read_lamp(params, &lamp, err))
		return false;
	status = store_replace(&d->store, &lamp);
	/* Without new tags it was the old lamp's list, which is gone by now. */
	if (json_get(params, "tags"))
		free(lamp.tags);
	return store_result(d, status, 'c', name, w, err);
}

static bool get(struct daemon *d, const struct json *params,
		struct json_writer *w, struct method_error *err)
{
	const char *name = lamp_name(params, err);
	const struct lamp_record *lamp;

	if (!name)
		return false;
	lamp = store_get(&d->store, name);
	if (!lamp)
		return store_result(d, STORE_MISSING, 'g', name, w, err);
	write_lamp(w, "result", lamp);
	return true;
}

static bool del(struct daemon *d, const struct json *params,
		struct json_writer *w, struct method_error *err)
{
	const char *name = lamp_name(params, err);

	if (!name)
		return false;
	return store_result(d, store_delete(&d->store, name), 'd', name, w,
			    err);
}

static bool has_tag(const struct lamp_record *lamp, const char *tag)
{
	size_t i;

	for (i = 0; i < lamp->n_tags; i++)
		if (strcmp(lamp->tags[i], tag) == 0)
			return true;
	return false;
}

static bool list(struct daemon *d, const struct json *params,
		 struct json_writer *w, struct method_error *err)
{
	const char *tag = json_string(json_get(params, "tag"));
	const struct lamp_record **lamps;
	size_t i;

	if (json_get(params, "tag") && !tag)
		return fail(err, ERROR_PARAMS, "tag: expected a string");
	lamps = store_sorted(&d->store);
	jsonw_array_begin(w, "result");
	for (i = 0; i < d->store.lamps.len; i++)
		if (!tag || has_tag(lamps[i], tag))
			write_lamp(w, NULL, lamps[i]);
	jsonw_array_end(w);
	free(lamps);
	return true;
}

static bool list_events(struct daemon *d, const struct json *params,
			struct json_writer *w, struct method_error *err)
{
	(void)params;
	(void)err;
	events_write(&d->events, w, "result");
	return true;
}

static bool set_log_level(struct daemon *d, const struct json *params,
			  struct json_writer *w, struct method_error *err)
{
	const struct json *level = json_get(params, "level");

	if (level && (!json_string(level) ||
		      !log_level_parse(json_string(level), &d->log.level)))
		return fail(err, ERROR_PARAMS, "level: expected debug, info, warning or error");
	jsonw_string(w, "result", log_level_name(d->log.level));
	return true;
}

static void write_line(const void *data, size_t len, void *arg)
{
	(void)len; /* ring_each() hands out NUL-terminated records */
	jsonw_string(arg, NULL, data);
}

static bool recent_log(struct daemon *d, const struct json *params,
		       struct json_writer *w, struct method_error *err)
{
	(void)params;
	(void)err;
	jsonw_array_begin(w, "result");
	ring_each(&d->log.recent, write_line, w);
	jsonw_array_end(w);
	return true;
}

static bool stop(struct daemon *d, const struct json *params,
		 struct json_writer *w, struct method_error *err)
{
	(void)params;
	(void)err;
	d->stop = true;
	jsonw_string(w, "result", "stopping");
	return true;
}

static bool help(struct daemon *d, const struct json *params,
		 struct json_writer *w, struct method_error *err);

static const struct method methods[] = {
	{"add", "adds a lamp: name, watts, lit, colour, tags", add},
	{"del", "deletes a lamp: name", del},
	{"echo", "answers with its parameters", echo},
	{"events", "what happened lately", list_events},
	{"get", "one lamp: name", get},
	{"getinfo", "about the daemon", get_info},
	{"help", "lists the methods", help},
	{"list", "all lamps, or those with a tag: tag", list},
	{"list-plugins", "the plugins and their methods", list_plugins},
	{"log", "the last lines of the log", recent_log},
	{"log-level", "shows or sets the log level: level", set_log_level},
	{"ping", "answers \"pong\"", ping},
	{"set", "changes a lamp: name, watts, lit, colour, tags", set},
	{"stop", "stops the daemon", stop},
};

#define N_METHODS (sizeof(methods) / sizeof(*methods))

static bool help(struct daemon *d, const struct json *params,
		 struct json_writer *w, struct method_error *err)
{
	size_t i, j;

	(void)params;
	(void)err;
	jsonw_object_begin(w, "result");
	for (i = 0; i < N_METHODS; i++)
		jsonw_string(w, methods[i].name, methods[i].help);
	for (i = 0; i < d->plugins.list.len; i++) {
		const struct plugin *plugin = d->plugins.list.items[i];

		for (j = 0; plugin->state == PLUGIN_READY &&
			    j < plugin->methods.len; j++)
			jsonw_string(w, plugin->methods.items[j],
				     "answered by a plugin");
	}
	jsonw_object_end(w);
	return true;
}

const struct method *methods_find(const char *name)
{
	size_t i;

	for (i = 0; i < N_METHODS; i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}

bool methods_reserved(const char *name)
{
	/* "hello" and "status" are what the daemon says to the plugins. */
	return methods_find(name) || strcmp(name, "hello") == 0 ||
	       strcmp(name, "status") == 0;
}
