/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * txgen: send packets of one length, of a mix of lengths (IMIX), or of a capture, evenly spaced.
 *
 *   txgen --link veth0 --rate 100000 --imix --count 1000000
 *   rxdrop --link veth1 --verify                              (at the other end: what became of them)
 *
 * Frames to send come from the pool, empty, and each has one owner: write, send, and that is all. After the
 * transmission they are back. A packet of number k is due at start + k / rate; a thread that sleeps too long
 * sends what has become due since then, but no more than a batch: what it could not send, it does not send.
 */
#include "common.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#ifdef HAVE_PCAP
#include <pcap/pcap.h>
#endif

#define SPIN_NS 60000     /* less than this is not worth a sleep */
#define SLEEP_NS 50000000 /* look at the interface and at stopping() in between */

/* What is sent, over and over. */
static struct shape {
	uint32_t len;
	const unsigned char *data;
} * shapes;
static unsigned shape_count;

static uint32_t rate, count, size, imix, plain;
static const char *pcap, *headers;
static uint16_t first_stream; /* each thread is one; those of another run have other numbers */

/* ---- sending ------------------------------------------------------------------------------------- */

/* When is packet number k due, nanoseconds after the start? */
static uint64_t due(uint64_t k)
{
	return (uint64_t)((double)k * 1e9 / rate);
}

/* How many packets are due, at most a batch. *start moves on past what will never be sent. */
static unsigned packets_due(const struct link *link, uint64_t *start, uint64_t number)
{
	uint64_t now = sxsk_stamp_clock();
	unsigned n = 0;

	if (rate == 0)
		return link->batch;
	while (n < link->batch && *start + due(number + n) <= now)
		n++;
	if (n == link->batch && *start + due(number + n) < now)
		*start = now - due(number + n - 1);
	return n;
}

/* Not before the next packet is due, or after a while. False: the link has failed. */
static bool pause_until(struct link *link, uint64_t when)
{
	uint64_t now = sxsk_stamp_clock(), ns = when > now ? when - now : 0;
	struct timespec t;
	int error = 0;

	(void)!sxsk_tx_burst(link->socket, NULL, 0); /* those before it come home */
	if (ns > 1000000)
		error = sxsk_socket_error(link->socket);
	if (error != 0)
		return link_fail(link);
	if (ns < SPIN_NS || link->program->wait == WAIT_BUSY)
		return true;
	ns = ns < SLEEP_NS ? ns - SPIN_NS / 2 : SLEEP_NS;
	t = (struct timespec){ .tv_nsec = (long)ns };
	(void)nanosleep(&t, NULL);
	return true;
}

/* Number them from `number` on. Returns how many there were frames for. */
static unsigned make(const struct link *link, struct sxsk_buf bufs[], unsigned n, uint64_t number)
{
	uint16_t stream = (uint16_t)(first_stream + (link - link->program->links));

	n = sxsk_pool_alloc(link->program->pool, bufs, n);
	for (unsigned i = 0; i < n; i++) {
		const struct shape *shape = &shapes[(number + i) % shape_count];
		unsigned char *data = sxsk_buf_data_mut(bufs[i]);

		if (sxsk_buf_put(&bufs[i], shape->len) != 0)
			continue; /* it was checked: check_shapes() */
		memcpy(data, shape->data, shape->len);
		if (!plain)
			sxsk_stamp_write(data, shape->len, stream, (uint32_t)(number + i));
	}
	return n;
}

static void generate(struct link *link)
{
	const unsigned events = SXSK_WAIT_TX;
	uint64_t start = sxsk_stamp_clock(), number = 0;
	struct sxsk_buf bufs[MAX_BATCH];
	unsigned n = 0, sent = 0, taken, idle = 0;

	(void)prctl(PR_SET_TIMERSLACK, 1); /* nanoseconds: as even as it can be */
	while (!stopping(link->program) && (count == 0 || number < count || sent < n)) {
		if (sent == n) {
			sent = 0;
			n = packets_due(link, &start, number);
			if (count && n > count - number)
				n = (unsigned)(count - number);
			n = make(link, bufs, n, number);
			number += n;
			if (n > 0)
				received(link, bufs[0]); /* from itself, as it were */
		}
		if (n == 0 && rate && !pause_until(link, start + due(number)))
			break;
		/* Takes as many as there is room for. */
		taken = sxsk_tx_burst(link->socket, bufs + sent, n - sent);
		sent += taken;
		idle = taken || (n == 0 && rate) ? 0 : idle + 1;
		if (idle >= IDLE_LOOKS && !links_sleep(link, &events, 1))
			break;
	}
	link_finish(link, bufs + sent, n - sent);
}

/* ---- what to send -------------------------------------------------------------------------------- */

static bool add_shape(const struct program *p, const unsigned char *data, uint32_t len)
{
	uint32_t most = p->bufsize - 256,
		 padded = len < SXSK_STAMP_LEAST && !plain ? SXSK_STAMP_LEAST : len;
	struct shape *more = realloc(shapes, (shape_count + 1) * sizeof(*shapes));
	unsigned char *copy = calloc(1, padded);

	if (more)
		shapes = more;
	if (!more || !copy)
		return wrong("there is no memory for so many packets");
	if (len < 14 || len > most)
		return wrong("packet %u has %u bytes: 14 to %u can be sent (see --bufsize)",
			     shape_count + 1, len, most);
	memcpy(copy, data, len);
	shapes[shape_count++] = (struct shape){ padded, copy };
	return true;
}

/* --headers, or those of stamps. */
static bool add_size(const struct program *p, uint32_t len)
{
	unsigned char data[4096] = { 0 };
	uint32_t n = 0;

	sxsk_stamp_headers(data, len);
	for (const char *hex = headers; hex && *hex; hex += 2, n++)
		if (n == len || !isxdigit(hex[0]) || !isxdigit(hex[1]) ||
		    sscanf(hex, "%2hhx", &data[n]) != 1)
			return wrong("--headers is '%s': give two hexadecimal digits for each "
				     "byte, at most %u",
				     headers, len);
	return add_shape(p, data, len);
}

#ifdef HAVE_PCAP
static bool add_capture(const struct program *p, const char *path)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *capture = pcap_open_offline(path, error);
	struct pcap_pkthdr *header;
	const unsigned char *data;
	bool ok = true;
	int got = 0;

	if (!capture)
		return wrong("--pcap: %s", error);
	if (pcap_datalink(capture) != DLT_EN10MB)
		ok = wrong("--pcap: %s is not of an Ethernet: capture on another interface", path);
	while (ok && (got = pcap_next_ex(capture, &header, &data)) == 1)
		ok = header->caplen == header->len ?
			     add_shape(p, data, header->caplen) :
			     wrong("--pcap: packet %u is cut off: capture all of it",
				   shape_count + 1);
	ok = ok && (got != PCAP_ERROR || wrong("--pcap: %s", pcap_geterr(capture)));
	pcap_close(capture);
	return ok && (shape_count > 0 || wrong("--pcap: there is no packet in %s", path));
}
#else
static bool add_capture(const struct program *p, const char *path)
{
	return wrong(
		"--pcap %s: built without libpcap; install libpcap-dev, and configure and build "
		"again",
		path);
}
#endif

/* Twelve packets, as the simple IMIX has them: 7 short, 4 medium, 1 long, here mixed. */
static bool add_imix(const struct program *p)
{
	static const uint32_t sizes[] = { 60, 590, 60, 60, 590, 60, 1514, 60, 590, 60, 590, 60 };
	bool ok = true;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && ok; i++)
		ok = add_size(p, sizes[i]);
	return ok;
}

static bool prepare(struct program *p)
{
	if ((size != 0) + imix + (pcap != NULL) > 1)
		return wrong("--size, --imix and --pcap: give one of them");
	(void)getrandom(&first_stream, sizeof(first_stream), 0);
	return pcap ? add_capture(p, pcap) : imix ? add_imix(p) : add_size(p, size ? size : 60);
}

int main(int argc, char **argv)
{
	static struct program program = {
		.name = "txgen",
		.example = "--link veth0 --rate 100000 --imix",
		.prepare = prepare,
		.work = generate,
		.links_per_thread = 1,
		.socket_flags = SXSK_SOCKET_NO_RX,
	};
	const struct option options[] = {
		{ "--link", "IF[:Q]", "interface, or mem:NAME, and its queue (0); may be repeated",
		  option_link, &program, 0, 0 },
		{ "--rate", "PPS", "packets a second on each link (0: as many as it takes)",
		  option_number, &rate, 0, 200000000 },
		{ "--count", "N", "end after so many on each link (0: do not)", option_number,
		  &count, 0, UINT32_MAX },
		{ "--size", "BYTES", "of each packet, without checksum (60)", option_number, &size,
		  SXSK_STAMP_LEAST, 3840 },
		{ "--imix", NULL, "7 packets of 60 bytes, 4 of 590, 1 of 1514, and so on",
		  option_set, &imix, 1, 0 },
		{ "--headers", "HEX", "how they begin (Ethernet, IPv4, UDP to the discard port)",
		  option_text, &headers, 0, 0 },
		{ "--pcap", "FILE", "the packets of a capture, in turn", option_text, &pcap, 0, 0 },
		{ "--plain", NULL, "no number, time and sum in each one's last 18 bytes",
		  option_set, &plain, 1, 0 },
		COMMON_OPTIONS(&program),
	};

	return program_run(&program, options, argc, argv);
}
