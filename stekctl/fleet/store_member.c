/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts and ports (store_member.h).
 */
#include "store_member.h"

#include <string.h>

#include "options.h"

int store_member_split(char *text, int default_port, char **phost)
{
    char *port = NULL;

    if (*text == '[' && strchr(text, ']')) {
        text++;
        port = strchr(text, ']');
        *port++ = '\0';
        port = *port == ':' ? port + 1 : NULL;
    }
    else if (strchr(text, ':')) {
        port = strchr(text, ':');
        *port++ = '\0';
    }
    *phost = text;
    return !*text ? 0 : !port ? default_port : options_number(port, 1, 65535);
}

int store_member_next(char **plist, int default_port, char **phost)
{
    char *member = *plist, *comma = strchr(member, ',');

    *plist = NULL;
    if (comma) {
        *comma = '\0';
        *plist = comma + 1;
    }
    return store_member_split(member, default_port, phost);
}
