#include "plugins/libplugin.h"

#include "common/linebuf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_LIMIT ((size_t)16 * 1024 * 1024)

static void hello(const struct plugin_definition *def, struct json_writer *w)
{
	const struct plugin_method *method;

	jsonw_object_begin(w, "result");
	jsonw_string(w, "name", def->name);
	jsonw_string(w, "version", def->version);
	jsonw_array_begin(w, "methods");
	for (method = def->methods; method->name; method++)
		jsonw_string(w, NULL, method->name);
	jsonw_array_end(w);
	jsonw_object_end(w);
}

static void call(const struct plugin_definition *def, const char *name,
		 const struct json *params, struct json_writer *w)
{
	const struct plugin_method *method = def->methods;
	struct strbuf err;

	while (method->name && strcmp(method->name, name) != 0)
		method++;
	strbuf_init(&err);
	if (!method->name) {
		jsonw_object_begin(w, "error");
		jsonw_int(w, "code", -32601);
		jsonw_string(w, "message", "there is no such method");
		jsonw_object_end(w);
	} else if (!method->fn(params, w, &err)) {
		jsonw_object_begin(w, "error");
		jsonw_int(w, "code", -32602);
		jsonw_string(w, "message", err.data);
		jsonw_object_end(w);
	}
	strbuf_free(&err);
}

/* False if the line is no request. */
static bool answer(const struct plugin_definition *def, const char *line,
		   size_t len, struct strbuf *out)
{
	struct json *request = json_parse(line, len, NULL);
	const struct json *id = json_get(request, "id");
	const char *method = json_string(json_get(request, "method"));
	struct json_writer w;

	if (!method) {
		json_free(request);
		return false;
	}
	/* Without an id it is a notice, which a plugin may ignore. */
	if (id) {
		jsonw_init(&w, out);
		jsonw_object_begin(&w, NULL);
		jsonw_value(&w, "id", id);
		if (strcmp(method, "hello") == 0)
			hello(def, &w);
		else
			call(def, method, json_get(request, "params"), &w);
		jsonw_object_end(&w);
		strbuf_addc(out, '\n');
	}
	json_free(request);
	return true;
}

static bool write_all(int fd, const struct strbuf *sb)
{
	size_t done = 0;

	while (done < sb->len) {
		ssize_t n = write(fd, sb->data + done, sb->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

static bool answer_lines(const struct plugin_definition *def,
			 struct linebuf *lines, struct strbuf *out)
{
	enum linebuf_status status;
	char *line;
	size_t len;

	while ((status = linebuf_next(lines, &line, &len)) == LINEBUF_LINE) {
		if (!answer(def, line, len, out)) {
			fprintf(stderr, "%s: this is no request: %.80s\n",
				def->name, line);
			return false;
		}
	}
	return status == LINEBUF_MORE;
}

int plugin_serve(const struct plugin_definition *def, int in, int out)
{
	struct linebuf lines;
	struct strbuf answers;
	char buf[4096];
	int code = 0;

	linebuf_init(&lines, LINE_LIMIT);
	strbuf_init(&answers);
	while (code == 0) {
		ssize_t n = read(in, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		linebuf_feed(&lines, buf, (size_t)n);
		if (!answer_lines(def, &lines, &answers) ||
		    !write_all(out, &answers))
			code = 1;
		strbuf_reset(&answers);
	}
	strbuf_free(&answers);
	linebuf_free(&lines);
	return code;
}
