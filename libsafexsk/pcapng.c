/* SPDX-License-Identifier: BSD-2-Clause */
#include "bytes.h"
#include "internal.h"

#include <safexsk/pcapng.h>
#include <string.h>
#include <time.h>

#define OPTION_MAX 65535u /* bytes */

/* What is in a block, or in an option of a block, is padded to whole words. */
static uint32_t padded(size_t n)
{
	return (uint32_t)(n + 3) / 4 * 4;
}

static void put(FILE *f, const void *bytes, size_t n)
{
	(void)fwrite(bytes, 1, n, f);
	(void)fwrite("\0\0\0", 1, padded(n) - n, f);
}

static void put_option(FILE *f, uint16_t code, const char *bytes, size_t n)
{
	const uint16_t head[2] = { code, (uint16_t)n };

	put(f, head, sizeof(head));
	put(f, bytes, n);
}

void sxsk_pcapng_begin(FILE *f)
{
	/* Section header: byte order, version 1.0, a section of unknown length. */
	const uint32_t head[] = { 0x0a0d0d0a, 28, 0x1a2b3c4d },
		       rest[] = { UINT32_MAX, UINT32_MAX, 28 };
	const uint16_t version[] = { 1, 0 };

	put(f, head, sizeof(head));
	put(f, version, sizeof(version));
	put(f, rest, sizeof(rest));
}

void sxsk_pcapng_interface(FILE *f, const char *name, const char *description)
{
	const size_t named = strnlen(name, OPTION_MAX),
		     described = strnlen(description, OPTION_MAX);
	const uint32_t length = 40 + padded(named) + padded(described);
	const uint32_t head[] = { 1, length }, most = PACKET_MAX;
	const uint16_t link_type[] = { 1, 0 }; /* Ethernet */

	put(f, head, sizeof(head));
	put(f, link_type, sizeof(link_type));
	put(f, &most, sizeof(most));
	put_option(f, 2, name, named);
	put_option(f, 3, description, described);
	put_option(f, 9, "\011", 1); /* times count 10^-9 s */
	put_option(f, 0, "", 0);     /* no more options */
	put(f, &length, sizeof(length));
}

void sxsk_pcapng_packet(FILE *f, uint32_t interface, uint64_t ns, const struct sxsk_buf bufs[],
			unsigned n)
{
	uint32_t bytes = 0, head[7] = { 6, 0, interface };
	struct timespec now;

	if (ns == 0 && clock_gettime(CLOCK_REALTIME, &now) == 0)
		ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	head[3] = (uint32_t)(ns >> 32);
	head[4] = (uint32_t)ns;
	for (unsigned i = 0; i < n; i++) {
		if (!sxsk_buf_data(bufs[i]))
			return;
		bytes += sxsk_buf_len(bufs[i]);
		if (bytes > PACKET_MAX)
			return;
	}
	head[1] = 32 + padded(bytes);
	head[5] = head[6] = bytes; /* all of them are here */
	put(f, head, sizeof(head));
	for (unsigned i = 0; i < n; i++)
		(void)fwrite(sxsk_buf_data(bufs[i]), 1, sxsk_buf_len(bufs[i]), f);
	(void)fwrite("\0\0\0", 1, padded(bytes) - bytes, f);
	put(f, &head[1], 4);
}
