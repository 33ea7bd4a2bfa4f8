/* The daemon's side of the plugins, with shell scripts as plugins. */
#include "lanternd/plugins.h"
#include "common/hex.h"
#include "common/sha256.h"
#include "tests/check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELLO "read l; echo '{\"id\":1,\"result\":{\"name\":\"sh\"," \
	"\"version\":\"1\",\"methods\":[\"one\"]}}'\n"

static char dir[] = "/tmp/run-plugins.XXXXXX";
static char script[64], list[64];

struct fixture {
	struct poller poller;
	struct timers timers;
	struct log log;
	struct plugins plugins;
	struct strbuf got;
	int answers;
};

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode);

	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool reserved(const char *method)
{
	return strcmp(method, "taken") == 0;
}

static void on_answer(void *arg, uint64_t token,
		      const struct plugin_answer *answer)
{
	struct fixture *f = arg;

	CHECK_INT(token, 5);
	f->answers++;
	strbuf_reset(&f->got);
	strbuf_adds(&f->got, answer->failure ? answer->failure :
		    answer->result ? json_string(answer->result) :
		    json_string(json_get(answer->error, "message")));
}

static void step(struct fixture *f)
{
	poller_run(&f->poller, 20);
	timers_run(&f->timers, timers_clock());
	plugins_reap(&f->plugins);
}

/* Starts a plugin that runs BODY; false if it is refused for its sum. */
static bool start(struct fixture *f, const char *body, bool right_sum,
		  uint64_t timeout)
{
	char line[2 * SHA256_LEN + 16];
	struct strbuf text, err;
	uint8_t sum[SHA256_LEN];
	bool ok;

	poller_init(&f->poller);
	timers_init(&f->timers);
	log_init(&f->log, "test", -1, 4096);
	plugins_init(&f->plugins, &f->poller, &f->timers, &f->log, timeout);
	f->plugins.reserved = reserved;
	strbuf_init(&f->got);
	f->answers = 0;

	strbuf_init(&text);
	strbuf_init(&err);
	strbuf_addf(&text, "#!/bin/sh\n%s", body);
	write_file(script, text.data, 0755);
	sha256(text.data, text.len, sum);
	sum[0] ^= !right_sum;
	hex_encode(sum, SHA256_LEN, line);
	strcat(line, "  script\n");
	write_file(list, line, 0644);
	ok = plugins_start(&f->plugins, dir, "0", &err);
	CHECK(ok == (err.len == 0));
	strbuf_free(&text);
	strbuf_free(&err);
	while (ok && plugins_count(&f->plugins, PLUGIN_STARTING))
		step(f);
	return ok;
}

static void finish(struct fixture *f)
{
	plugins_stop(&f->plugins);
	while (!plugins_all_gone(&f->plugins))
		step(f);
	plugins_free(&f->plugins);
	timers_free(&f->timers);
	poller_free(&f->poller);
	log_free(&f->log);
	strbuf_free(&f->got);
}

static void check_call(const char *body, uint64_t timeout,
		       const char *expected)
{
	struct fixture f;
	struct plugin *plugin;

	CHECK(start(&f, body, true, 20000));
	/* Not for the hello, which takes its time on a busy machine. */
	f.plugins.timeout_ms = timeout;
	plugin = plugins_find_method(&f.plugins, "one");
	CHECK(plugin);
	CHECK_STR(plugin->name, "sh");
	plugin_call(plugin, "one", NULL, on_answer, &f, 5);
	while (!f.answers)
		step(&f);
	CHECK_STR(f.got.data, expected);
	finish(&f);
	CHECK_INT(f.answers, 1);
}

static void check_refused(const char *body)
{
	struct fixture f;

	CHECK(start(&f, body, true, 20000));
	CHECK_INT(plugins_count(&f.plugins, PLUGIN_DEAD), 1);
	CHECK(!plugins_find_method(&f.plugins, "one"));
	finish(&f);
}

int main(void)
{
	struct fixture f;

	CHECK(mkdtemp(dir));
	snprintf(script, sizeof(script), "%s/script", dir);
	snprintf(list, sizeof(list), "%s/%s", dir, PLUGINS_LIST);

	CHECK(!start(&f, "exit 0\n", false, 20000));
	finish(&f);
	check_call(HELLO "read l; echo '{\"id\":2,\"result\":\"yes\"}'; read l\n",
		   20000, "yes");
	check_call(HELLO "read l; echo '{\"id\":2,\"error\":{\"code\":1,\"message\":\"no\"}}'\nread l\n",
		   20000, "no");
	check_call(HELLO "read l; echo babble; read l\n", 20000,
		   "it sent something that is no answer");
	check_call(HELLO "read l; read l\n", 100, "no answer in time");
	check_refused("exit 3\n");
	check_refused("echo '{\"id\":1,\"result\":{}}'; read l; read l\n");
	check_refused("echo '{\"id\":1,\"result\":{\"name\":\"sh\",\"version\":\"1\",\"methods\":[\"taken\"]}}'\nread l; read l\n");
	check_refused("echo '{\"id\":1,\"result\":{\"name\":\"S H\",\"version\":\"1\",\"methods\":[]}}'\nread l; read l\n");
	CHECK(unlink(script) == 0 && unlink(list) == 0 && rmdir(dir) == 0);
	return 0;
}
