#include "common/sockpath.h"
#include "lanternd/options.h"
#include "tests/check.h"

static void socket_paths(void)
{
	struct sockaddr_un address;
	struct strbuf out;
	char longest[200];

	strbuf_init(&out);
	setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
	sockpath_default(&out);
	CHECK_STR(out.data, "/run/user/7/lanternd.sock");
	strbuf_reset(&out);
	unsetenv("XDG_RUNTIME_DIR");
	sockpath_default(&out);
	CHECK(strncmp(out.data, "/tmp/lanternd-", 14) == 0);
	strbuf_reset(&out);

	memset(longest, 'x', sizeof(longest));
	longest[107] = '\0';
	CHECK(sockpath_address(longest, &address, &out));
	CHECK_STR(address.sun_path, longest);
	longest[107] = 'x';
	longest[108] = '\0';
	CHECK(!sockpath_address(longest, &address, &out));
	CHECK(!sockpath_address("", &address, &out));
	CHECK(strstr(out.data, "1 to 107 bytes"));
	strbuf_free(&out);
}

static void command_lines(void)
{
	char *good[] = {
		(char *)"lanternd", (char *)"--socket=/s", (char *)"--plugin-dir",
		(char *)"/p", (char *)"--log-level=debug", (char *)"--max-lamps=3",
		(char *)"--check-plugins", (char *)"--foreground",
	};
	char *level[] = {(char *)"lanternd", (char *)"--log-level=loud"};
	char *word[] = {(char *)"lanternd", (char *)"word"};
	struct options o;
	struct strbuf err;

	strbuf_init(&err);
	options_init(&o);
	CHECK(options_parse(&o, 8, good, &err));
	CHECK_STR(o.socket.data, "/s");
	CHECK_STR(o.plugin_dir.data, "/p");
	CHECK_INT(o.log_level, LOG_DEBUG);
	CHECK_INT(o.max_lamps, 3);
	CHECK_INT(o.max_clients, 64);
	CHECK(o.check_plugins && !o.no_plugins && !o.version);
	options_free(&o);

	options_init(&o);
	CHECK(!options_parse(&o, 2, level, &err));
	CHECK(strstr(err.data, "not 'loud'"));
	strbuf_reset(&err);
	CHECK(!options_parse(&o, 2, word, &err));
	CHECK_STR(err.data, "unexpected argument 'word'");
	strbuf_reset(&err);
	CHECK(options_parse(&o, 1, word, &err));
	CHECK(o.plugin_dir.len > 0);
	options_free(&o);

	options_help(&err);
	CHECK(strstr(err.data, "--check-plugins"));
	strbuf_free(&err);
}

int main(void)
{
	socket_paths();
	command_lines();
	return 0;
}
