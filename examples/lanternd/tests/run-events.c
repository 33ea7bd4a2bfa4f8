/* The event log, and with it the generated messages of event_wire.csv. */
#include "lanternd/events.h"
#include "tests/check.h"
#include "wire/event_wiregen.h"

static struct json *written(const struct events *e)
{
	struct json_writer w;
	struct strbuf out;
	struct json *v;

	strbuf_init(&out);
	jsonw_init(&w, &out);
	events_write(e, &w, NULL);
	v = json_parse(out.data, out.len, NULL);
	CHECK(v && v->type == JSON_ARRAY);
	strbuf_free(&out);
	return v;
}

static void all_kinds(void)
{
	struct events e;
	struct vec methods;
	struct json *v;
	int64_t number;

	vec_init(&methods);
	vec_push(&methods, (char *)"one");
	vec_push(&methods, (char *)"two");
	events_init(&e, 1000);
	events_started(&e, 10, "0.3.0", 77);
	events_lamp(&e, 11, 'a', "desk");
	events_lamp(&e, 12, 'c', "desk");
	events_lamp(&e, 13, 'd', "desk");
	events_plugin(&e, 14, "colour", "ready", &methods);
	events_refused(&e, 15, 1ull << 40, "why \"not\"");
	v = written(&e);
	CHECK_INT(v->len, 6);
	CHECK_STR(json_string(json_get(v->items[0], "event")), "started");
	CHECK_STR(json_string(json_get(v->items[1], "event")), "lamp-added");
	CHECK_STR(json_string(json_get(v->items[2], "event")), "lamp-changed");
	CHECK_STR(json_string(json_get(v->items[3], "event")), "lamp-deleted");
	CHECK_INT(json_get(v->items[4], "methods")->len, 2);
	CHECK(json_int64(json_get(v->items[5], "client"), &number));
	CHECK_INT(number, 1ll << 40);
	CHECK_STR(json_string(json_get(v->items[5], "reason")), "why \"not\"");
	json_free(v);
	events_free(&e);
	vec_free(&methods);
}

static void old_ones_go(void)
{
	struct events e;
	struct json *v;
	char name[16];
	int i;

	events_init(&e, 200);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "lamp-%d", i);
		events_lamp(&e, (uint64_t)i, 'a', name);
	}
	v = written(&e);
	CHECK(v->len > 3 && v->len < 20);
	CHECK_STR(json_string(json_get(v->items[v->len - 1], "name")),
		  "lamp-999");
	json_free(v);
	events_free(&e);
}

static void truncations(void)
{
	char *methods[] = {(char *)"one", (char *)"two"};
	const struct event_plugin in = {1, (char *)"n", (char *)"s", methods, 2};
	struct event_plugin out;
	struct strbuf wire;
	size_t len;

	strbuf_init(&wire);
	towire_event_plugin(&wire, &in);
	for (len = 0; len < wire.len; len++)
		CHECK(!fromwire_event_plugin(wire.data, len, &out));
	CHECK(fromwire_event_plugin(wire.data, wire.len, &out));
	CHECK_STR(out.methods[1], "two");
	event_plugin_clear(&out);
	CHECK_STR(event_wire_name(WIRE_EVENT_LAMP), "event_lamp");
	strbuf_free(&wire);
}

int main(void)
{
	all_kinds();
	old_ones_go();
	truncations();
	return 0;
}
