/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version, in this one place: the module, stekctl, the Makefile and the packages read it here.
 */
#ifndef STEK_VERSION_H
#define STEK_VERSION_H

#define STEK_VERSION "0.1.0"

#endif
