/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SAFEXSK_VERSION_H
#define SAFEXSK_VERSION_H

#define SXSK_VERSION_MAJOR 0
#define SXSK_VERSION_MINOR 1
#define SXSK_VERSION_PATCH 0

#endif
