/* Command lines: long options with values, a table for each program. */
#ifndef LANTERN_COMMON_ARGS_H
#define LANTERN_COMMON_ARGS_H

#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

enum arg_kind {
	ARG_FLAG,   /* --name           → bool */
	ARG_STRING, /* --name TEXT      → const char *, points into argv */
	ARG_NUMBER, /* --name N         → uint64_t within [min, max] */
};

struct arg_option {
	const char *name; /* without the dashes */
	enum arg_kind kind;
	void *dest;
	const char *placeholder; /* for the help: "PATH", NULL for flags */
	const char *help;
	uint64_t min, max;
};

/*
 * Reads "--name value", "--name=value" and "--", and stops at the first word
 * which is no option. Returns its index in argv, or -1 and a reason in ERR.
 * The table ends with an entry whose name is NULL.
 */
int args_parse(int argc, char **argv, const struct arg_option *options,
	       struct strbuf *err);

/* One line an option. */
void args_help(const struct arg_option *options, struct strbuf *out);

#endif
