/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data that outlive a reload, which unloads this module and loads it again, or another build of it.
 * They are found by what they are, a layout number and their size: a build with other structures
 * finds none and starts with what the files hold.  It also wipes the secrets that the
 * previous build has left, of which it knows nothing but where they are.  Parent only, one thread.
 */
#ifndef MOD_STEK_RETAINED_H
#define MOD_STEK_RETAINED_H

#include <apr.h>

#pragma GCC visibility push(hidden)

/* The data of that name, layout and size, zeroed when they are new; never NULL (httpd ends without
 * memory).  layout: counts up with every change of what the data mean or how they are laid out.
 * size: of the data.  reach: the sum of the sizes of all structures that hang off them. */
void *mod_stek_retained(const char *what, int layout, apr_size_t size, apr_size_t reach);

/* End of a configuration, after which another build may come: forgets what was listed; *proot is
 * set to NULL when another build has ended what is listed from now on... */
void mod_stek_retained_list_begin(int layout, apr_size_t reach, void **proot);

/* ...and lists a mapping, which will be wiped, or a descriptor (< 0: none).  Without memory they go
 * unlisted. */
void mod_stek_retained_list(void *address, apr_size_t len);
void mod_stek_retained_list_fd(int fd);

/* Last post_config: unmaps and closes what a build with another layout or reach has listed, and
 * in any case forgets the list. */
void mod_stek_retained_end_former(int layout, apr_size_t reach);

#pragma GCC visibility pop
#endif
