#include "lanternd/daemon.h"

#include "common/sockpath.h"
#include "lanternd/client.h"
#include "lanternd/methods.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_MEMORY ((size_t)16 * 1024)
#define EVENT_MEMORY ((size_t)16 * 1024)
#define SAVE_DELAY_MS 200
#define STOP_GRACE_MS 10000
#define FLUSH_GRACE_MS 2000

/* For the signal handler, which has no other way to find the daemon. */
static int signal_fd = -1;

static void on_signal(int number)
{
	int saved = errno;
	char byte = (char)number;

	/* A full pipe has woken the loop already. */
	if (write(signal_fd, &byte, 1) < 0)
		errno = saved;
	errno = saved;
}

static void read_signals(void *arg, short revents)
{
	struct daemon *d = arg;
	char bytes[64];
	ssize_t n, i;

	(void)revents;
	n = read(d->signal_pipe[0], bytes, sizeof(bytes));
	for (i = 0; i < n; i++) {
		if (bytes[i] == SIGCHLD) {
			plugins_reap(&d->plugins);
		} else if (!d->stop) {
			log_add(&d->log, LOG_INFO, "signal %d: stopping",
				bytes[i]);
			d->stop = true;
		}
	}
}

static void catch_signals(struct daemon *d)
{
	struct sigaction action;

	if (pipe2(d->signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
		d->signal_pipe[0] = d->signal_pipe[1] = -1;
		return;
	}
	signal_fd = d->signal_pipe[1];
	poller_add(&d->poller, d->signal_pipe[0], POLLIN, read_signals, d);
	memset(&action, 0, sizeof(action));
	action.sa_handler = on_signal;
	action.sa_flags = SA_RESTART;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGCHLD, &action, NULL);
}

static void release_signals(struct daemon *d)
{
	if (d->signal_pipe[0] < 0)
		return;
	/* It is stopping already: to be asked once more must not end it with
	 * the signal, as if it had not stopped by itself. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	signal_fd = -1;
	close(d->signal_pipe[0]);
	close(d->signal_pipe[1]);
}

/* A seed that nobody can guess, where the system has one. */
static void random_seed(uint8_t seed[TINYHASH_KEY_LEN])
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	memset(seed, 0, TINYHASH_KEY_LEN);
	if (fd < 0)
		return;
	if (read(fd, seed, TINYHASH_KEY_LEN) < TINYHASH_KEY_LEN)
		memset(seed, 0, TINYHASH_KEY_LEN);
	close(fd);
}

static void send_status(struct daemon *d)
{
	struct json_writer w;
	struct strbuf line;

	strbuf_init(&line);
	jsonw_init(&w, &line);
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "method", "status");
	jsonw_object_begin(&w, "params");
	jsonw_string(&w, "version", LANTERN_VERSION);
	jsonw_uint(&w, "lamps", d->store.lamps.len);
	jsonw_uint(&w, "lit", d->store.lit);
	jsonw_object_end(&w);
	jsonw_object_end(&w);
	strbuf_addc(&line, '\n');
	plugins_notify(&d->plugins, &line);
	strbuf_free(&line);
}

static void on_plugin_changed(void *arg, const struct plugin *plugin)
{
	struct daemon *d = arg;

	events_plugin(&d->events, (uint64_t)time(NULL), plugin->name,
		      plugin_state_name(plugin->state), &plugin->methods);
	if (plugin->state == PLUGIN_READY)
		send_status(d);
}

void daemon_init(struct daemon *d, const struct options *options)
{
	uint8_t seed[TINYHASH_KEY_LEN];

	memset(d, 0, sizeof(*d));
	d->options = options;
	d->started = timers_clock();
	d->signal_pipe[0] = d->signal_pipe[1] = -1;
	log_init(&d->log, "lanternd", STDERR_FILENO, LOG_MEMORY);
	d->log.level = options->log_level;
	poller_init(&d->poller);
	timers_init(&d->timers);
	random_seed(seed);
	store_init(&d->store, seed, options->max_lamps);
	events_init(&d->events, EVENT_MEMORY);
	plugins_init(&d->plugins, &d->poller, &d->timers, &d->log,
		     options->plugin_timeout_ms);
	d->plugins.reserved = methods_reserved;
	d->plugins.changed = on_plugin_changed;
	d->plugins.arg = d;
	vec_init(&d->clients);
}

void daemon_free(struct daemon *d)
{
	plugins_free(&d->plugins);
	while (d->clients.len)
		client_free(d->clients.items[0]);
	vec_free(&d->clients);
	events_free(&d->events);
	store_free(&d->store);
	timers_free(&d->timers);
	poller_free(&d->poller);
	release_signals(d);
	log_free(&d->log);
}

static bool save(struct daemon *d)
{
	struct strbuf err;
	bool ok;

	if (!d->options->state)
		return true;
	strbuf_init(&err);
	ok = store_save(&d->store, d->options->state, &err);
	if (!ok)
		log_add(&d->log, LOG_ERROR, "%s", err.data);
	strbuf_free(&err);
	return ok;
}

static void on_save_timer(void *arg)
{
	struct daemon *d = arg;

	d->save_timer = 0;
	save(d);
}

void daemon_lamps_changed(struct daemon *d, char action, const char *name)
{
	events_lamp(&d->events, (uint64_t)time(NULL), action, name);
	send_status(d);
	/* Many changes at once make one write. */
	if (!d->save_timer)
		d->save_timer = timers_add(&d->timers,
					   timers_clock() + SAVE_DELAY_MS,
					   on_save_timer, d);
}

static void run_once(struct daemon *d)
{
	int wait = timers_wait(&d->timers, timers_clock());

	if (poller_run(&d->poller, wait) < 0) {
		log_add(&d->log, LOG_ERROR, "poll: %s", strerror(errno));
		d->stop = true;
	}
	timers_run(&d->timers, timers_clock());
}

static int start_plugins(struct daemon *d)
{
	struct strbuf err;
	bool ok;

	if (d->options->no_plugins)
		return EXIT_OK;
	strbuf_init(&err);
	ok = plugins_start(&d->plugins, d->options->plugin_dir.data,
			   LANTERN_VERSION, &err);
	if (!ok)
		log_add(&d->log, LOG_ERROR, "%s", err.data);
	strbuf_free(&err);
	while (ok && !d->stop && plugins_count(&d->plugins, PLUGIN_STARTING) &&
	       !plugins_count(&d->plugins, PLUGIN_DEAD))
		run_once(d);
	if (!ok || plugins_count(&d->plugins, PLUGIN_DEAD))
		return EXIT_PLUGINS;
	return EXIT_OK;
}

static void stop_plugins(struct daemon *d)
{
	static const int signals[] = {0, SIGTERM, SIGKILL};
	size_t i;

	plugins_stop(&d->plugins);
	for (i = 0; i < 3 && !plugins_all_gone(&d->plugins); i++) {
		uint64_t deadline = timers_clock() + STOP_GRACE_MS;

		if (signals[i])
			plugins_kill(&d->plugins, signals[i]);
		while (!plugins_all_gone(&d->plugins) &&
		       timers_clock() < deadline) {
			if (poller_run(&d->poller, 50) < 0)
				break;
			timers_run(&d->timers, timers_clock());
			plugins_reap(&d->plugins);
		}
	}
}

static void on_connection(void *arg, short revents)
{
	struct daemon *d = arg;
	int fd = accept4(d->listen->fd, NULL, NULL, SOCK_CLOEXEC);

	(void)revents;
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_add(&d->log, LOG_WARNING, "accept: %s",
				strerror(errno));
		return;
	}
	if (d->clients.len >= d->options->max_clients) {
		log_add(&d->log, LOG_WARNING, "too many clients");
		close(fd);
		return;
	}
	daemon_add_client(d, fd);
}

/* Is there nobody behind the socket file that is there already? */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address,
			sizeof(*address)) != 0 && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static bool bind_socket(int fd, const struct sockaddr_un *address)
{
	mode_t old = umask(0177);
	bool ok = bind(fd, (const struct sockaddr *)address,
		       sizeof(*address)) == 0;

	if (!ok && errno == EADDRINUSE && is_stale(address)) {
		unlink(address->sun_path);
		ok = bind(fd, (const struct sockaddr *)address,
			  sizeof(*address)) == 0;
	}
	umask(old);
	return ok;
}

static bool start_listening(struct daemon *d)
{
	const char *path = d->options->socket.data;
	struct sockaddr_un address;
	struct strbuf err;
	int fd;

	strbuf_init(&err);
	if (!sockpath_address(path, &address, &err)) {
		log_add(&d->log, LOG_ERROR, "%s", err.data);
		strbuf_free(&err);
		return false;
	}
	strbuf_free(&err);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !bind_socket(fd, &address) || listen(fd, 64) != 0) {
		log_add(&d->log, LOG_ERROR, "cannot listen on %s: %s", path,
			strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	d->listen = poller_add(&d->poller, fd, POLLIN, on_connection, d);
	log_add(&d->log, LOG_INFO, "listening on %s", path);
	return true;
}

static void stop_listening(struct daemon *d)
{
	uint64_t deadline = timers_clock() + FLUSH_GRACE_MS;
	size_t i;

	close(d->listen->fd);
	poller_remove(d->listen);
	d->listen = NULL;
	unlink(d->options->socket.data);
	/* The last answers, such as the one to "stop", still go out. */
	for (i = 0; i < d->clients.len; i++)
		conn_finish(((struct client *)d->clients.items[i])->conn);
	while (d->clients.len && timers_clock() < deadline) {
		bool queued = false;

		for (i = 0; i < d->clients.len; i++)
			if (((struct client *)d->clients.items[i])->conn->out.len)
				queued = true;
		if (!queued || poller_run(&d->poller, 50) < 0)
			break;
	}
}

static bool load(struct daemon *d)
{
	struct strbuf err;
	bool ok;

	if (!d->options->state)
		return true;
	strbuf_init(&err);
	ok = store_load(&d->store, d->options->state, &err);
	if (!ok)
		log_add(&d->log, LOG_ERROR, "%s", err.data);
	strbuf_free(&err);
	return ok;
}

static int serve(struct daemon *d)
{
	bool saved = true;

	if (!start_listening(d))
		return EXIT_RUNTIME;
	while (!d->stop)
		run_once(d);
	stop_listening(d);
	if (d->save_timer)
		saved = save(d);
	return saved ? EXIT_OK : EXIT_RUNTIME;
}

int daemon_run(struct daemon *d)
{
	int code = EXIT_RUNTIME;

	catch_signals(d);
	if (d->options->check_plugins || load(d)) {
		events_started(&d->events, (uint64_t)time(NULL),
			       LANTERN_VERSION, (uint32_t)getpid());
		code = start_plugins(d);
	}
	if (code == EXIT_OK && !d->options->check_plugins && !d->stop)
		code = serve(d);
	stop_plugins(d);
	log_add(&d->log, LOG_INFO, "stopped");
	return code;
}
