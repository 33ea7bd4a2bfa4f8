/* Requests to a daemon without plugins, through a socketpair. */
#include "lanternd/client.h"
#include "tests/check.h"

#include <sys/socket.h>
#include <unistd.h>

static struct daemon d;
static int fd;

/* Sends one line; the answer is in BUF, without its newline. */
static const char *ask(const char *line)
{
	static char buf[8192];
	ssize_t n = -1;
	int i;

	CHECK(send(fd, line, strlen(line), 0) == (ssize_t)strlen(line));
	CHECK(send(fd, "\n", 1, 0) == 1);
	for (i = 0; i < 100 && n < 0; i++) {
		CHECK_INT(poller_run(&d.poller, 10), 0);
		n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	}
	CHECK(n > 0 && buf[n - 1] == '\n');
	buf[n - 1] = '\0';
	return buf;
}

static void check_ask(const char *line, const char *expected)
{
	CHECK_STR(ask(line), expected);
}

int main(void)
{
	struct options options;
	int fds[2];

	options_init(&options);
	options.log_level = LOG_ERROR;
	options.max_request = 500;
	options.max_lamps = 2;
	daemon_init(&d, &options);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	daemon_add_client(&d, fds[0]);
	fd = fds[1];

	check_ask("{\"id\":1,\"method\":\"ping\"}", "{\"id\":1,\"result\":\"pong\"}");
	check_ask("{\"method\":\"echo\",\"params\":{\"a\":[1e3]}}",
		  "{\"id\":null,\"result\":{\"a\":[1e3]}}");
	check_ask("{\"id\":2,\"method\":\"add\",\"params\":{\"name\":\"a\",\"tags\":[\"x\"]}}",
		  "{\"id\":2,\"result\":{\"name\":\"a\",\"watts\":10,\"lit\":false,"
		  "\"colour\":\"#ffffff\",\"tags\":[\"x\"]}}");
	check_ask("{\"id\":3,\"method\":\"set\",\"params\":{\"name\":\"a\",\"watts\":3}}",
		  "{\"id\":3,\"result\":{\"name\":\"a\",\"watts\":3,\"lit\":false,"
		  "\"colour\":\"#ffffff\",\"tags\":[\"x\"]}}");
	check_ask("{\"id\":4,\"method\":\"set\",\"params\":{\"name\":\"a\",\"tags\":[]}}",
		  "{\"id\":4,\"result\":{\"name\":\"a\",\"watts\":3,\"lit\":false,"
		  "\"colour\":\"#ffffff\",\"tags\":[]}}");
	check_ask("{\"id\":5,\"method\":\"set\",\"params\":{\"name\":\"a\",\"tags\":[\"-\"]}}",
		  "{\"id\":5,\"error\":{\"code\":-32602,\"message\":\"tags: expected names\"}}");
	ask("{\"method\":\"add\",\"params\":{\"name\":\"b\"}}");
	check_ask("{\"id\":6,\"method\":\"add\",\"params\":{\"name\":\"c\"}}",
		  "{\"id\":6,\"error\":{\"code\":3,\"message\":\"there is no room for another lamp\"}}");
	check_ask("{\"id\":7,\"method\":\"del\",\"params\":{\"name\":\"b\"}}",
		  "{\"id\":7,\"result\":{\"deleted\":\"b\"}}");
	check_ask("{\"id\":8,\"method\":\"log-level\",\"params\":{\"level\":\"loud\"}}",
		  "{\"id\":8,\"error\":{\"code\":-32602,\"message\":\"level: expected debug, info, warning or error\"}}");
	check_ask("{\"id\":9,\"method\":\"log-level\"}", "{\"id\":9,\"result\":\"error\"}");
	check_ask("{\"id\":{},\"method\":\"ping\"}",
		  "{\"id\":null,\"error\":{\"code\":-32600,\"message\":\"id: expected a number, a string or null\"}}");
	check_ask("{,", "{\"id\":null,\"error\":{\"code\":-32700,"
		  "\"message\":\"expected a key in quotes, at byte 1\"}}");
	CHECK(strstr(ask("{\"method\":\"events\"}"), "request-refused"));
	CHECK(strstr(ask("{\"method\":\"help\"}"), "\"list-plugins\""));
	CHECK(strstr(ask("{\"method\":\"getinfo\"}"), "\"lamps\":1,"));
	CHECK(!d.stop);
	check_ask("{\"id\":\"s\",\"method\":\"stop\"}", "{\"id\":\"s\",\"result\":\"stopping\"}");
	CHECK(d.stop);

	/* A client that hangs up is forgotten. */
	CHECK_INT(d.clients.len, 1);
	close(fd);
	while (d.clients.len)
		CHECK_INT(poller_run(&d.poller, 10), 0);
	daemon_free(&d);
	options_free(&options);
	return 0;
}
