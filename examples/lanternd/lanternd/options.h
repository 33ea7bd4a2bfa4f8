/* The daemon's command line. */
#ifndef LANTERN_LANTERND_OPTIONS_H
#define LANTERN_LANTERND_OPTIONS_H

#include "common/log.h"
#include "common/strbuf.h"

#include <stdbool.h>
#include <stdint.h>

struct options {
	struct strbuf socket;
	struct strbuf plugin_dir;
	const char *state; /* NULL: lamps are forgotten at the end */
	enum log_level log_level;
	uint64_t plugin_timeout_ms;
	uint64_t max_request;
	uint64_t max_clients;
	uint64_t max_lamps;
	bool check_plugins;
	bool no_plugins;
	bool version;
	bool help;
};

void options_init(struct options *o);
void options_free(struct options *o);

/* False and a reason in ERR if the command line is wrong. */
bool options_parse(struct options *o, int argc, char **argv,
		   struct strbuf *err);

void options_help(struct strbuf *out);

#endif
