#include "common/sockpath.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void sockpath_default(struct strbuf *out)
{
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (dir && dir[0] == '/')
		strbuf_addf(out, "%s/lanternd.sock", dir);
	else
		strbuf_addf(out, "/tmp/lanternd-%lu.sock",
			    (unsigned long)geteuid());
}

bool sockpath_address(const char *path, struct sockaddr_un *address,
		      struct strbuf *err)
{
	size_t len = strlen(path);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (!len || len >= sizeof(address->sun_path)) {
		strbuf_addf(err, "the socket path must have 1 to %zu bytes: '%s'",
			    sizeof(address->sun_path) - 1, path);
		return false;
	}
	memcpy(address->sun_path, path, len + 1);
	return true;
}
