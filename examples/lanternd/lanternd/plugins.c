#include "lanternd/plugins.h"

#include "common/alloc.h"
#include "common/filesum.h"
#include "common/json_write.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_LIMIT ((size_t)1024 * 1024)
#define OUT_LIMIT ((size_t)4 * 1024 * 1024)
#define METHODS_MAX 64

struct plugin_call {
	struct plugin *plugin;
	uint64_t id;
	uint64_t timer;
	plugin_answer_fn *fn;
	void *arg;
	uint64_t token;
};

void plugins_init(struct plugins *ps, struct poller *poller,
		  struct timers *timers, struct log *log, uint64_t timeout_ms)
{
	memset(ps, 0, sizeof(*ps));
	vec_init(&ps->list);
	ps->poller = poller;
	ps->timers = timers;
	ps->log = log;
	ps->timeout_ms = timeout_ms;
}

static void clear_methods(struct plugin *plugin)
{
	while (plugin->methods.len)
		free(vec_remove(&plugin->methods, plugin->methods.len - 1));
}

/* Takes the call out of the plugin's list, answers it and frees it. */
static void answer_call(struct plugin_call *call,
			const struct plugin_answer *answer)
{
	struct vec *calls = &call->plugin->calls;

	vec_remove(calls, vec_find(calls, call));
	timers_cancel(call->plugin->owner->timers, call->timer);
	call->fn(call->arg, call->token, answer);
	free(call);
}

static void plugin_down(struct plugin *plugin, const char *why)
{
	const struct plugin_answer answer = {.failure = why};
	struct plugins *ps = plugin->owner;

	if (plugin->conn) {
		conn_free(plugin->conn);
		plugin->conn = NULL;
	}
	if (plugin->state == PLUGIN_DEAD)
		return;
	plugin->state = PLUGIN_DEAD;
	log_add(ps->log, ps->stopping ? LOG_DEBUG : LOG_ERROR,
		"plugin %s is gone: %s", plugin->name, why);
	while (plugin->calls.len)
		answer_call(plugin->calls.items[0], &answer);
	if (plugin->pid > 0 && !ps->stopping)
		kill(plugin->pid, SIGTERM);
	if (ps->changed)
		ps->changed(ps->arg, plugin);
}

void plugins_free(struct plugins *ps)
{
	size_t i;

	ps->stopping = true;
	ps->changed = NULL;
	for (i = 0; i < ps->list.len; i++) {
		struct plugin *plugin = ps->list.items[i];

		plugin_down(plugin, "the daemon ends");
		clear_methods(plugin);
		vec_free(&plugin->methods);
		vec_free(&plugin->calls);
		free(plugin->file);
		free(plugin->name);
		free(plugin->version);
		free(plugin);
	}
	vec_free(&ps->list);
}

static void on_line(void *arg, const char *line, size_t len)
{
	struct plugin *plugin = arg;
	struct plugin_answer answer = {NULL, NULL, NULL};
	struct json *reply = json_parse(line, len, NULL);
	struct plugin_call *call = NULL;
	int64_t id;
	size_t i;

	answer.result = json_get(reply, "result");
	answer.error = json_get(reply, "error");
	if (!json_int64(json_get(reply, "id"), &id) ||
	    !answer.result == !answer.error ||
	    (answer.error && !json_string(json_get(answer.error, "message")))) {
		json_free(reply);
		plugin_down(plugin, "it sent something that is no answer");
		return;
	}
	for (i = 0; i < plugin->calls.len && !call; i++) {
		struct plugin_call *candidate = plugin->calls.items[i];

		if (candidate->id == (uint64_t)id)
			call = candidate;
	}
	if (call)
		answer_call(call, &answer);
	else
		log_add(plugin->owner->log, LOG_WARNING,
			"plugin %s: late or unknown answer", plugin->name);
	json_free(reply);
}

static void on_end(void *arg, enum conn_end how)
{
	plugin_down(arg, how == CONN_TOO_LONG ? "it sent a line too long" :
		    "it closed the connection");
}

static void on_timeout(void *arg)
{
	const struct plugin_answer answer = {.failure = "no answer in time"};
	struct plugin_call *call = arg;

	call->timer = 0;
	answer_call(call, &answer);
}

void plugin_call(struct plugin *plugin, const char *method,
		 const struct json *params, plugin_answer_fn *fn, void *arg,
		 uint64_t token)
{
	struct plugins *ps = plugin->owner;
	struct plugin_call *call = xmalloc(sizeof(*call));
	struct json_writer w;
	struct strbuf line;

	call->plugin = plugin;
	call->id = ++ps->last_call;
	call->fn = fn;
	call->arg = arg;
	call->token = token;
	call->timer = timers_add(ps->timers, timers_clock() + ps->timeout_ms,
				 on_timeout, call);
	vec_push(&plugin->calls, call);

	strbuf_init(&line);
	jsonw_init(&w, &line);
	jsonw_object_begin(&w, NULL);
	jsonw_uint(&w, "id", call->id);
	jsonw_string(&w, "method", method);
	if (params)
		jsonw_value(&w, "params", params);
	jsonw_object_end(&w);
	strbuf_addc(&line, '\n');
	conn_send(plugin->conn, line.data, line.len);
	strbuf_free(&line);
}

/* Lower-case letters, digits and '-', beginning with a letter. */
static bool word_valid(const char *word)
{
	size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return word[len] == '\0' && len >= 1 && len <= 64 &&
	       word[0] >= 'a' && word[0] <= 'z';
}

/* NULL, or why the plugin's introduction is refused. */
static const char *accept_hello(struct plugin *plugin,
				const struct json *result)
{
	const struct json *methods = json_get(result, "methods");
	const char *name = json_string(json_get(result, "name"));
	const char *version = json_string(json_get(result, "version"));
	struct plugins *ps = plugin->owner;
	size_t i;

	if (!name || !word_valid(name) || !version)
		return "its hello has no valid name or version";
	if (!methods || methods->type != JSON_ARRAY ||
	    methods->len > METHODS_MAX)
		return "its hello has no valid list of methods";
	for (i = 0; i < methods->len; i++) {
		const char *method = json_string(methods->items[i]);

		if (!method || !word_valid(method))
			return "its hello has a method without a valid name";
		if ((ps->reserved && ps->reserved(method)) ||
		    plugins_find_method(ps, method))
			return "its hello has a method that is taken";
		vec_push(&plugin->methods, xstrdup(method));
	}
	free(plugin->name);
	plugin->name = xstrdup(name);
	plugin->version = xstrdup(version);
	json_bool(json_get(result, "status"), &plugin->wants_status);
	return NULL;
}

static void on_hello(void *arg, uint64_t token,
		     const struct plugin_answer *answer)
{
	struct plugin *plugin = arg;
	struct plugins *ps = plugin->owner;
	const char *refused;

	(void)token;
	if (plugin->state == PLUGIN_DEAD)
		return;
	if (!answer->result) {
		plugin_down(plugin, answer->failure ? answer->failure :
			    "it refused the hello");
		return;
	}
	refused = accept_hello(plugin, answer->result);
	if (refused) {
		plugin_down(plugin, refused);
		return;
	}
	plugin->state = PLUGIN_READY;
	log_add(ps->log, LOG_INFO, "plugin %s %s is ready, methods: %zu",
		plugin->name, plugin->version, plugin->methods.len);
	if (ps->changed)
		ps->changed(ps->arg, plugin);
}

static void send_hello(struct plugin *plugin, const char *version)
{
	struct json_writer w;
	struct json *params;
	struct strbuf text;

	strbuf_init(&text);
	jsonw_init(&w, &text);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "daemon", "lanternd");
	jsonw_string(&w, "version", version);
	jsonw_object_end(&w);
	params = json_parse(text.data, text.len, NULL);
	plugin_call(plugin, "hello", params, on_hello, plugin, 0);
	json_free(params);
	strbuf_free(&text);
}

struct plugin *plugins_spawn(struct plugins *ps, const char *path,
			     const char *version, struct strbuf *err)
{
	static const struct conn_events events = {on_line, on_end};
	const char *slash = strrchr(path, '/');
	char *argv[] = {(char *)path, NULL};
	struct plugin *plugin;
	int fds[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
		strbuf_addf(err, "cannot start %s: %s", path, strerror(errno));
		return NULL;
	}
	pid = fork();
	if (pid < 0) {
		strbuf_addf(err, "cannot start %s: %s", path, strerror(errno));
		close(fds[0]);
		close(fds[1]);
		return NULL;
	}
	if (pid == 0) {
		/* Everything else is closed by exec. */
		if (dup2(fds[1], STDIN_FILENO) >= 0 &&
		    dup2(fds[1], STDOUT_FILENO) >= 0)
			execv(path, argv);
		_exit(127);
	}
	close(fds[1]);

	plugin = xcalloc(1, sizeof(*plugin));
	plugin->owner = ps;
	plugin->file = xstrdup(slash ? slash + 1 : path);
	plugin->name = xstrdup(plugin->file);
	plugin->pid = pid;
	plugin->state = PLUGIN_STARTING;
	vec_init(&plugin->methods);
	vec_init(&plugin->calls);
	plugin->conn = conn_new(ps->poller, fds[0], LINE_LIMIT, OUT_LIMIT,
				&events, plugin);
	vec_push(&ps->list, plugin);
	send_hello(plugin, version);
	return plugin;
}

static bool verify(const char *path, const uint8_t expected[SHA256_LEN],
		   struct strbuf *err)
{
	uint8_t sum[SHA256_LEN];

	if (!filesum_sha256(path, sum, err))
		return false;
	if (memcmp(sum, expected, SHA256_LEN) == 0)
		return true;
	strbuf_addf(err, "checksum mismatch: %s is not the file in %s",
		    path, PLUGINS_LIST);
	return false;
}

bool plugins_start(struct plugins *ps, const char *dir, const char *version,
		   struct strbuf *err)
{
	struct filesum_list list;
	struct strbuf path;
	bool ok;
	size_t i;

	strbuf_init(&path);
	strbuf_addf(&path, "%s/%s", dir, PLUGINS_LIST);
	ok = filesum_load(path.data, &list, err);
	/* All are verified before any is run. */
	for (i = 0; ok && i < list.len; i++) {
		strbuf_reset(&path);
		strbuf_addf(&path, "%s/%s", dir, list.items[i].name);
		ok = verify(path.data, list.items[i].sum, err);
		if (ok)
			log_add(ps->log, LOG_DEBUG, "%s: checksum is right",
				path.data);
	}
	for (i = 0; ok && i < list.len; i++) {
		strbuf_reset(&path);
		strbuf_addf(&path, "%s/%s", dir, list.items[i].name);
		ok = plugins_spawn(ps, path.data, version, err) != NULL;
	}
	filesum_list_free(&list);
	strbuf_free(&path);
	return ok;
}

size_t plugins_count(const struct plugins *ps, enum plugin_state state)
{
	size_t count = 0;
	size_t i;

	for (i = 0; i < ps->list.len; i++)
		if (((struct plugin *)ps->list.items[i])->state == state)
			count++;
	return count;
}

struct plugin *plugins_find_method(const struct plugins *ps, const char *method)
{
	size_t i, j;

	for (i = 0; i < ps->list.len; i++) {
		struct plugin *plugin = ps->list.items[i];

		if (plugin->state == PLUGIN_DEAD)
			continue;
		for (j = 0; j < plugin->methods.len; j++)
			if (strcmp(plugin->methods.items[j], method) == 0)
				return plugin;
	}
	return NULL;
}

void plugins_notify(struct plugins *ps, const struct strbuf *notice)
{
	size_t i;

	for (i = 0; i < ps->list.len; i++) {
		struct plugin *plugin = ps->list.items[i];

		if (plugin->state == PLUGIN_READY && plugin->wants_status)
			conn_send(plugin->conn, notice->data, notice->len);
	}
}

void plugins_reap(struct plugins *ps)
{
	struct strbuf why;
	size_t i;
	int status;

	strbuf_init(&why);
	for (i = 0; i < ps->list.len; i++) {
		struct plugin *plugin = ps->list.items[i];

		if (plugin->pid < 0 ||
		    waitpid(plugin->pid, &status, WNOHANG) != plugin->pid)
			continue;
		plugin->pid = -1;
		strbuf_reset(&why);
		if (WIFSIGNALED(status))
			strbuf_addf(&why, "it died of signal %d",
				    WTERMSIG(status));
		else
			strbuf_addf(&why, "it ended with status %d",
				    WEXITSTATUS(status));
		plugin_down(plugin, why.data);
	}
	strbuf_free(&why);
}

void plugins_stop(struct plugins *ps)
{
	size_t i;

	ps->stopping = true;
	for (i = 0; i < ps->list.len; i++) {
		struct plugin *plugin = ps->list.items[i];

		/* The end of its input is a plugin's signal to end. */
		if (plugin->conn)
			conn_finish(plugin->conn);
	}
}

bool plugins_all_gone(const struct plugins *ps)
{
	size_t i;

	for (i = 0; i < ps->list.len; i++)
		if (((struct plugin *)ps->list.items[i])->pid > 0)
			return false;
	return true;
}

void plugins_kill(struct plugins *ps, int signal_number)
{
	size_t i;

	for (i = 0; i < ps->list.len; i++) {
		struct plugin *plugin = ps->list.items[i];

		if (plugin->pid > 0) {
			log_add(ps->log, LOG_WARNING,
				"plugin %s does not end: signal %d",
				plugin->name, signal_number);
			kill(plugin->pid, signal_number);
		}
	}
}

const char *plugin_state_name(enum plugin_state state)
{
	static const char *const names[] = {"starting", "ready", "dead"};

	return names[state];
}
