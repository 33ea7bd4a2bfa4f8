/* A plugin: schedule-until and schedule-lit. */
#include "plugins/clocktime.h"
#include "plugins/libplugin.h"

#include <unistd.h>

static bool get_time(const struct json *params, const char *key, int *minutes,
		     struct strbuf *err)
{
	const char *text = json_string(json_get(params, key));

	if (text && clocktime_parse(text, minutes))
		return true;
	strbuf_addf(err, "%s: expected \"HH:MM\"", key);
	return false;
}

static bool schedule_until(const struct json *params, struct json_writer *w,
			   struct strbuf *err)
{
	int now, at;

	if (!get_time(params, "now", &now, err) ||
	    !get_time(params, "at", &at, err))
		return false;
	jsonw_object_begin(w, "result");
	jsonw_int(w, "minutes", clocktime_until(now, at));
	jsonw_object_end(w);
	return true;
}

static bool schedule_lit(const struct json *params, struct json_writer *w,
			 struct strbuf *err)
{
	int at, from, to;

	if (!get_time(params, "at", &at, err) ||
	    !get_time(params, "from", &from, err) ||
	    !get_time(params, "to", &to, err))
		return false;
	jsonw_bool(w, "result", clocktime_within(at, from, to));
	return true;
}

int main(void)
{
	static const struct plugin_method methods[] = {
		{"schedule-until", schedule_until},
		{"schedule-lit", schedule_lit},
		{NULL, NULL},
	};
	static const struct plugin_definition definition = {
		"schedule", LANTERN_VERSION, methods,
	};

	return plugin_serve(&definition, STDIN_FILENO, STDOUT_FILENO);
}
