/* lantern-cli: sends one request to lanternd and prints the answer. */
#include "cli/request.h"
#include "common/args.h"
#include "common/linebuf.h"
#include "common/sockpath.h"
#include "common/timers.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_LIMIT ((size_t)64 * 1024 * 1024)

/* The exit codes; doc/lantern-cli.1.md describes them. */
enum {
	EXIT_OK = 0,
	EXIT_ERROR_ANSWER = 1,
	EXIT_USAGE = 2,
	EXIT_NO_DAEMON = 3,
	EXIT_BAD_ANSWER = 4,
	EXIT_TIMEOUT = 5,
};

struct cli {
	const char *socket;
	uint64_t timeout; /* seconds */
	bool raw;
	bool version;
	bool help;
};

static int complain(int code, const char *message)
{
	fprintf(stderr, "lantern-cli: %s\n", message);
	return code;
}

static int connect_to(const char *path, struct strbuf *err)
{
	struct sockaddr_un address;
	int fd;

	if (!sockpath_address(path, &address, err))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address,
			       sizeof(address)) == 0)
		return fd;
	strbuf_addf(err, "cannot connect to %s: %s; is lanternd running?",
		    path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_all(int fd, const struct strbuf *request)
{
	size_t done = 0;

	while (done < request->len) {
		ssize_t n = send(fd, request->data + done, request->len - done,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* EXIT_OK and a line, or another exit code. */
static int receive_line(int fd, uint64_t deadline, struct linebuf *lines,
			char **line, size_t *len)
{
	enum linebuf_status status;
	char buf[16384];

	while ((status = linebuf_next(lines, line, len)) == LINEBUF_MORE) {
		struct pollfd pfd = {fd, POLLIN, 0};
		uint64_t now = timers_clock();
		ssize_t n;

		if (now >= deadline ||
		    poll(&pfd, 1, (int)(deadline - now)) == 0)
			return EXIT_TIMEOUT;
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return EXIT_NO_DAEMON;
		linebuf_feed(lines, buf, (size_t)n);
	}
	return status == LINEBUF_LINE ? EXIT_OK : EXIT_BAD_ANSWER;
}

static int print_answer(const char *line, size_t len, bool raw)
{
	struct json *answer = json_parse(line, len, NULL);
	const struct json *result = json_get(answer, "result");
	const struct json *error = json_get(answer, "error");
	const char *message = json_string(json_get(error, "message"));
	struct strbuf text;
	int code = result ? EXIT_OK : EXIT_ERROR_ANSWER;

	if (!result && !message) {
		json_free(answer);
		return complain(EXIT_BAD_ANSWER, "that is no answer");
	}
	if (raw) {
		puts(line);
	} else if (!result) {
		code = complain(EXIT_ERROR_ANSWER, message);
	} else if (json_string(result)) {
		puts(json_string(result));
	} else {
		strbuf_init(&text);
		request_pretty(result, &text);
		fputs(text.data, stdout);
		strbuf_free(&text);
	}
	json_free(answer);
	return code;
}

static int exchange(const struct cli *cli, const char *path,
		    const struct strbuf *request)
{
	uint64_t deadline = timers_clock() + cli->timeout * 1000;
	struct linebuf lines;
	struct strbuf err;
	char *line;
	size_t len;
	int code;
	int fd;

	strbuf_init(&err);
	fd = connect_to(path, &err);
	if (fd < 0) {
		code = complain(EXIT_NO_DAEMON, err.data);
		strbuf_free(&err);
		return code;
	}
	linebuf_init(&lines, ANSWER_LIMIT);
	/* If sending fails half-way, the daemon may have said why. */
	send_all(fd, request);
	code = receive_line(fd, deadline, &lines, &line, &len);
	if (code == EXIT_OK)
		code = print_answer(line, len, cli->raw);
	else if (code == EXIT_TIMEOUT)
		complain(code, "no answer in time");
	else if (code == EXIT_NO_DAEMON)
		complain(code, "the connection was lost");
	else
		complain(code, "the answer is too long");
	linebuf_free(&lines);
	strbuf_free(&err);
	close(fd);
	return code;
}

static int run(const struct cli *cli, const char *method, char **words,
	       size_t n_words)
{
	struct strbuf path, request, err;
	int code;

	strbuf_init(&path);
	strbuf_init(&request);
	strbuf_init(&err);
	if (cli->socket)
		strbuf_adds(&path, cli->socket);
	else
		sockpath_default(&path);
	if (request_build(method, words, n_words, &request, &err))
		code = exchange(cli, path.data, &request);
	else
		code = complain(EXIT_USAGE, err.data);
	strbuf_free(&err);
	strbuf_free(&request);
	strbuf_free(&path);
	return code;
}

static int print_help(const struct arg_option *options)
{
	struct strbuf text;

	strbuf_init(&text);
	strbuf_adds(&text, "Usage: lantern-cli [OPTION]... METHOD [KEY=VALUE]...\n"
		    "       lantern-cli [OPTION]... METHOD '{...}'\n\n"
		    "Sends one request to lanternd and prints the answer.\n\n");
	args_help(options, &text);
	fputs(text.data, stdout);
	strbuf_free(&text);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct cli cli = {.timeout = 60};
	const struct arg_option options[] = {
		{"socket", ARG_STRING, &cli.socket, "PATH",
		 "where lanternd listens", 0, 0},
		{"timeout", ARG_NUMBER, &cli.timeout, "SECONDS",
		 "for the answer (60)", 1, 86400},
		{"raw", ARG_FLAG, &cli.raw, NULL,
		 "print the answer as it came", 0, 0},
		{"version", ARG_FLAG, &cli.version, NULL,
		 "print the version", 0, 0},
		{"help", ARG_FLAG, &cli.help, NULL, "print this help", 0, 0},
		{NULL, ARG_FLAG, NULL, NULL, NULL, 0, 0},
	};
	struct strbuf err;
	int first;

	strbuf_init(&err);
	first = args_parse(argc, argv, options, &err);
	if (first < 0)
		complain(EXIT_USAGE, err.data);
	strbuf_free(&err);
	if (first < 0)
		return EXIT_USAGE;
	if (cli.help)
		return print_help(options);
	if (cli.version) {
		printf("lantern-cli %s\n", LANTERN_VERSION);
		return EXIT_OK;
	}
	if (first == argc)
		return complain(EXIT_USAGE, "expected a method; see lantern-cli --help");
	return run(&cli, argv[first], argv + first + 1,
		   (size_t)(argc - first - 1));
}
