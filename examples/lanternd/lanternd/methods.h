/* The methods which the daemon answers itself. */
#ifndef LANTERN_LANTERND_METHODS_H
#define LANTERN_LANTERND_METHODS_H

#include "lanternd/daemon.h"

/* Codes of an error answer; the negative ones are JSON-RPC's. */
enum {
	ERROR_PARSE = -32700,
	ERROR_REQUEST = -32600,
	ERROR_METHOD = -32601,
	ERROR_PARAMS = -32602,
	ERROR_MISSING = 1,
	ERROR_EXISTS = 2,
	ERROR_FULL = 3,
	ERROR_PLUGIN = 4,
	ERROR_TOO_LONG = 5,
};

struct method_error {
	int code;
	struct strbuf message;
};

struct method {
	const char *name;
	const char *help;
	/* Writes one value with the key "result", or fills ERR. */
	bool (*fn)(struct daemon *d, const struct json *params,
		   struct json_writer *w, struct method_error *err);
};

/* NULL if there is none. */
const struct method *methods_find(const char *name);

bool methods_reserved(const char *name);

#endif
