#include "lanternd/options.h"

#include "common/args.h"
#include "common/sockpath.h"

#include <string.h>
#include <unistd.h>

#ifndef PLUGIN_DIR
#define PLUGIN_DIR "/usr/local/libexec/lanternd/plugins"
#endif

struct raw {
	const char *socket;
	const char *plugin_dir;
	const char *log_level;
	bool foreground;
};

enum { N_OPTIONS = 13 };

static void fill_table(struct options *o, struct raw *raw,
		       struct arg_option table[N_OPTIONS])
{
	const struct arg_option filled[N_OPTIONS] = {
		{"socket", ARG_STRING, &raw->socket, "PATH",
		 "where to listen", 0, 0},
		{"plugin-dir", ARG_STRING, &raw->plugin_dir, "DIR",
		 "the plugins and plugins.sha256", 0, 0},
		{"no-plugins", ARG_FLAG, &o->no_plugins, NULL,
		 "start none", 0, 0},
		{"check-plugins", ARG_FLAG, &o->check_plugins, NULL,
		 "verify, start and stop the plugins, then exit", 0, 0},
		{"plugin-timeout", ARG_NUMBER, &o->plugin_timeout_ms, "MS",
		 "for a plugin's answer (30000)", 1, 3600000},
		{"state", ARG_STRING, &o->state, "FILE",
		 "keep the lamps in FILE", 0, 0},
		{"log-level", ARG_STRING, &raw->log_level, "LEVEL",
		 "debug, info, warning or error (info)", 0, 0},
		{"max-request", ARG_NUMBER, &o->max_request, "BYTES",
		 "the longest request (65536)", 64, 16777216},
		{"max-clients", ARG_NUMBER, &o->max_clients, "N",
		 "connections at a time (64)", 1, 4096},
		{"max-lamps", ARG_NUMBER, &o->max_lamps, "N",
		 "lamps in the store (10000)", 1, 1000000},
		{"foreground", ARG_FLAG, &raw->foreground, NULL,
		 "stay in the foreground: the default, and the only way", 0, 0},
		{"version", ARG_FLAG, &o->version, NULL,
		 "print the version", 0, 0},
		{"help", ARG_FLAG, &o->help, NULL, "print this help", 0, 0},
	};

	memcpy(table, filled, sizeof(filled));
}

void options_init(struct options *o)
{
	memset(o, 0, sizeof(*o));
	strbuf_init(&o->socket);
	strbuf_init(&o->plugin_dir);
	o->log_level = LOG_INFO;
	o->plugin_timeout_ms = 30000;
	o->max_request = 65536;
	o->max_clients = 64;
	o->max_lamps = 10000;
}

void options_free(struct options *o)
{
	strbuf_free(&o->socket);
	strbuf_free(&o->plugin_dir);
}

static bool has_list(const char *dir)
{
	struct strbuf path;
	bool found;

	strbuf_init(&path);
	strbuf_addf(&path, "%s/plugins.sha256", dir);
	found = access(path.data, R_OK) == 0;
	strbuf_free(&path);
	return found;
}

/*
 * A build tree and a tree installed somewhere else than configured work too:
 * look beside the program first.
 */
static void default_plugin_dir(struct strbuf *out)
{
	static const char *const beside[] = {
		"/../libexec/lanternd/plugins", "/../plugins",
	};
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;
	size_t i;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash)
		*slash = '\0';
	for (i = 0; slash && i < sizeof(beside) / sizeof(*beside); i++) {
		strbuf_reset(out);
		strbuf_addf(out, "%s%s", self, beside[i]);
		if (has_list(out->data))
			return;
	}
	strbuf_reset(out);
	strbuf_adds(out, PLUGIN_DIR);
}

bool options_parse(struct options *o, int argc, char **argv, struct strbuf *err)
{
	struct arg_option table[N_OPTIONS + 1] = {{0}};
	struct raw raw = {NULL, NULL, NULL, false};
	int rest;

	fill_table(o, &raw, table);
	rest = args_parse(argc, argv, table, err);
	if (rest < 0)
		return false;
	if (rest < argc) {
		strbuf_addf(err, "unexpected argument '%s'", argv[rest]);
		return false;
	}
	if (raw.log_level && !log_level_parse(raw.log_level, &o->log_level)) {
		strbuf_addf(err, "--log-level: expected debug, info, warning or error, not '%s'",
			    raw.log_level);
		return false;
	}
	if (raw.socket)
		strbuf_adds(&o->socket, raw.socket);
	else
		sockpath_default(&o->socket);
	if (raw.plugin_dir)
		strbuf_adds(&o->plugin_dir, raw.plugin_dir);
	else
		default_plugin_dir(&o->plugin_dir);
	return true;
}

void options_help(struct strbuf *out)
{
	struct arg_option table[N_OPTIONS + 1] = {{0}};
	struct options o;
	struct raw raw;

	options_init(&o);
	fill_table(&o, &raw, table);
	strbuf_adds(out, "Usage: lanternd [OPTION]...\n\n"
		    "Keeps lamps, and answers to JSON requests on a socket.\n\n");
	args_help(table, out);
	options_free(&o);
}
