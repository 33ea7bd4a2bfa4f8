/* plugin_serve() in a child, at the other end of a socketpair. */
#include "plugins/libplugin.h"
#include "tests/check.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static bool twice(const struct json *params, struct json_writer *w,
		  struct strbuf *err)
{
	int64_t n;

	if (!json_int64(json_get(params, "n"), &n)) {
		strbuf_adds(err, "n: expected a number");
		return false;
	}
	jsonw_int(w, "result", 2 * n);
	return true;
}

static const struct plugin_method methods[] = {{"twice", twice}, {NULL, NULL}};
static const struct plugin_definition definition = {"test", "1.0", methods};

/* Sends INPUT in pieces of SIZE bytes, and returns all that comes back. */
static int converse(const char *input, size_t size, struct strbuf *output)
{
	size_t len = strlen(input), at;
	int fds[2], status;
	char buf[512];
	ssize_t n;
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		_exit(plugin_serve(&definition, fds[1], fds[1]));
	}
	close(fds[1]);
	for (at = 0; at < len; at += size)
		CHECK(send(fds[0], input + at, len - at < size ? len - at : size,
			   MSG_NOSIGNAL) > 0);
	shutdown(fds[0], SHUT_WR);
	while ((n = read(fds[0], buf, sizeof(buf))) > 0)
		strbuf_add(output, buf, (size_t)n);
	close(fds[0]);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_talk(const char *input, int code, const char *expected)
{
	static const size_t sizes[] = {1000, 7, 1};
	struct strbuf output;
	size_t i;

	strbuf_init(&output);
	for (i = 0; i < 3; i++) {
		strbuf_reset(&output);
		/* What is no request ends it at once: send that in one go. */
		if (code && i)
			break;
		CHECK_INT(converse(input, sizes[i], &output), code);
		CHECK_STR(output.data, expected);
	}
	strbuf_free(&output);
}

int main(void)
{
	check_talk("", 0, "");
	check_talk("{\"id\":1,\"method\":\"hello\",\"params\":{}}\n", 0,
		   "{\"id\":1,\"result\":{\"name\":\"test\",\"version\":\"1.0\","
		   "\"methods\":[\"twice\"]}}\n");
	check_talk("{\"id\":\"x\",\"method\":\"twice\",\"params\":{\"n\":21}}\n"
		   "{\"method\":\"status\",\"params\":{}}\n"
		   "{\"id\":2,\"method\":\"twice\"}\n"
		   "{\"id\":3,\"method\":\"thrice\"}\n", 0,
		   "{\"id\":\"x\",\"result\":42}\n"
		   "{\"id\":2,\"error\":{\"code\":-32602,\"message\":\"n: expected a number\"}}\n"
		   "{\"id\":3,\"error\":{\"code\":-32601,\"message\":\"there is no such method\"}}\n");
	check_talk("{\"id\":1,\"method\":\"twice\"}", 0, "");
	/* Its complaint is expected: keep it out of the test's output. */
	CHECK(freopen("/dev/null", "w", stderr));
	check_talk("nonsense\n", 1, "");
	return 0;
}
