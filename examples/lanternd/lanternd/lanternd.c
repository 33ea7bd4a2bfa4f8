/* lanternd: keeps lamps, and answers to JSON requests on a socket. */
#include "lanternd/daemon.h"

#include <stdio.h>

static int run(const struct options *options)
{
	struct daemon daemon;
	int code;

	daemon_init(&daemon, options);
	code = daemon_run(&daemon);
	daemon_free(&daemon);
	return code;
}

int main(int argc, char **argv)
{
	struct options options;
	struct strbuf text;
	int code = EXIT_OK;

	strbuf_init(&text);
	options_init(&options);
	if (!options_parse(&options, argc, argv, &text)) {
		fprintf(stderr, "lanternd: %s; see lanternd --help\n",
			text.data);
		code = EXIT_USAGE;
	} else if (options.help) {
		options_help(&text);
		fputs(text.data, stdout);
	} else if (options.version) {
		printf("lanternd %s\n", LANTERN_VERSION);
	} else {
		code = run(&options);
	}
	options_free(&options);
	strbuf_free(&text);
	return code;
}
