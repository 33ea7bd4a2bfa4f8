/*
 * What a plugin in C needs: it names its methods, plugin_serve() does the
 * talking. One request is answered after the other.
 */
#ifndef LANTERN_PLUGINS_LIBPLUGIN_H
#define LANTERN_PLUGINS_LIBPLUGIN_H

#include "common/json_write.h"

struct plugin_method {
	const char *name;
	/* Writes one value with the key "result", or a message to ERR. */
	bool (*fn)(const struct json *params, struct json_writer *w,
		   struct strbuf *err);
};

struct plugin_definition {
	const char *name;
	const char *version;
	const struct plugin_method *methods; /* ends with a NULL name */
};

/* Answers requests from IN on OUT until IN ends. An exit code: 0, or 1 if the
 * daemon is not to be understood or OUT is gone. */
int plugin_serve(const struct plugin_definition *def, int in, int out);

#endif
