/* Where the daemon's socket is, for the daemon and for its clients. */
#ifndef LANTERN_COMMON_SOCKPATH_H
#define LANTERN_COMMON_SOCKPATH_H

#include "common/strbuf.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

/* $XDG_RUNTIME_DIR/lanternd.sock, else /tmp/lanternd-UID.sock. */
void sockpath_default(struct strbuf *out);

/* False and a reason in ERR if PATH does not fit into an address. */
bool sockpath_address(const char *path, struct sockaddr_un *address,
		      struct strbuf *err);

#endif
